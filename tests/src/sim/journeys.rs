//! The stories of rollouts.

use std::time::Duration;

use lamplighter_core::rollout::{End, OnHalt, RowStatus};

use super::fleet::Temper;
use super::journey::{Deed, Journey, Member, NEW, NEWEST, OLD, member};

/// When a person starts the rollout: after the third sweep has seen everything healthy.
const START: u64 = 12_000;

/// Three services to which the new version is good.
const THREE: [Member; 3] = [member("a"), member("b"), member("c")];

/// Ten services; two of them share a host.
const TEN: [Member; 10] = [
    member("a"),
    member("b"),
    member("c"),
    member("d"),
    member("e"),
    member("f"),
    member("g").on("shared"),
    member("h").on("shared"),
    member("i"),
    member("j"),
];

const fn changed<const N: usize>(mut cast: [Member; N], index: usize, new: Temper) -> [Member; N] {
    cast[index] = cast[index].with(new);
    cast
}

/// What most stories are like.
const PLAIN: Journey = Journey {
    name: "rollout of 3",
    cast: &THREE,
    deeds: &[(START, Deed::Start(NEW))],
    on_halt: OnHalt::Keep,
    // As often as can be, so that a sweep comes between any two steps.
    every: 5,
    ends: 400,
    end: &[End::Completed],
    rows: &[("a", RowStatus::Success), ("b", RowStatus::Success), ("c", RowStatus::Success)],
};

/// Three services, one a stage.
pub const SUCCESS: Journey = PLAIN;

/// Ten services, five at once.
pub const SUCCESS_OF_TEN: Journey = Journey { name: "rollout of 10", cast: &TEN, rows: &[], ..PLAIN };

/// One of ten cannot be installed: it goes back, the rest goes on.
pub const ONE_GOES_BACK: Journey = Journey {
    name: "one goes back",
    cast: &changed(TEN, 7, Temper::InstallFails),
    end: &[End::CompletedWithFailures],
    rows: &[("h", RowStatus::RolledBack), ("a", RowStatus::Success), ("j", RowStatus::Success)],
    ..PLAIN_OF_TEN
};

const PLAIN_OF_TEN: Journey = SUCCESS_OF_TEN;

/// An install never ends: it is killed at its limit, and the service goes back.
pub const HANGING_INSTALL: Journey = Journey {
    name: "hanging install",
    cast: &changed(TEN, 6, Temper::InstallHangs),
    end: &[End::CompletedWithFailures],
    rows: &[("g", RowStatus::RolledBack)],
    ends: 900,
    ..PLAIN_OF_TEN
};

/// The second stage fails on too many: it halts.
pub const HALT: Journey = Journey {
    name: "halt",
    cast: &changed(changed(TEN, 2, Temper::DownAtStart), 3, Temper::RestartFails),
    end: &[End::Halted],
    rows: &[
        ("a", RowStatus::Success),
        ("c", RowStatus::RolledBack),
        ("d", RowStatus::RolledBack),
        ("j", RowStatus::Pending),
    ],
    ..PLAIN_OF_TEN
};

/// The same, and everything goes back.
pub const HALT_AND_BACK: Journey = Journey {
    name: "halt and roll everything back",
    on_halt: OnHalt::RollBackAll,
    rows: &[
        ("a", RowStatus::RolledBack),
        ("b", RowStatus::RolledBack),
        ("c", RowStatus::RolledBack),
        ("j", RowStatus::Pending),
    ],
    ..HALT
};

/// The only service of the first stage dies ten seconds after its start: the soak catches it.
pub const SOAK_CATCHES: Journey = Journey {
    name: "soak catches a crash",
    cast: &changed(THREE, 0, Temper::CrashesAfter(Duration::from_secs(10))),
    end: &[End::Halted],
    rows: &[("a", RowStatus::RolledBack), ("b", RowStatus::Pending)],
    ..PLAIN
};

/// A service takes its time to start; it is waited for.
pub const SLOW_START: Journey = Journey {
    name: "slow start",
    cast: &changed(THREE, 1, Temper::StartsSlowly(Duration::from_secs(12))),
    ..PLAIN
};

/// A host vanishes in the middle of its update, for longer than anybody waits, and comes back.
pub const VANISHES: Journey = Journey {
    name: "host vanishes",
    deeds: &[(START, Deed::Start(NEW)), (14_000, Deed::CutOff("a", 500))],
    end: &[End::Halted],
    rows: &[("a", RowStatus::RolledBack), ("b", RowStatus::Pending)],
    ends: 900,
    ..PLAIN
};

/// A host vanishes in the middle of its update, and is back before its lease ends.
pub const BLINKS: Journey = Journey {
    name: "host is away for a minute",
    deeds: &[(START, Deed::Start(NEW)), (14_000, Deed::CutOff("a", 60))],
    ..PLAIN
};

/// A host loses its power in the middle of an install.
pub const POWER_CUT: Journey =
    Journey { name: "power cut", deeds: &[(START, Deed::Start(NEW)), (15_000, Deed::Reboot("a"))], ..PLAIN };

/// Neither version comes up any more: a person is called, and nothing goes on.
pub const NO_WAY_BACK: Journey = Journey {
    name: "no way back",
    cast: &[
        Member { old: Temper::DownAtStart, ..member("a").with(Temper::DownAtStart) },
        member("b"),
        member("c"),
    ],
    end: &[End::Halted],
    rows: &[("a", RowStatus::Failed), ("b", RowStatus::Pending)],
    ..PLAIN
};

/// A tracked file was changed by hand, and another checkout's remote is away: nothing is changed on either.
pub const OBSTACLES: Journey = Journey {
    name: "obstacles",
    cast: &TEN,
    deeds: &[(10_000, Deed::Soil("c")), (10_000, Deed::LoseRemote("i", 400)), (START, Deed::Start(NEW))],
    end: &[End::CompletedWithFailures],
    rows: &[("c", RowStatus::RolledBack), ("i", RowStatus::RolledBack), ("j", RowStatus::Success)],
    ..PLAIN
};

/// A person says wait in the middle of the second stage, and a minute later go on.
pub const PAUSED: Journey = Journey {
    name: "pause and resume",
    cast: &TEN,
    deeds: &[(START, Deed::Start(NEW)), (58_000, Deed::Pause), (118_000, Deed::Resume)],
    ends: 500,
    rows: &[],
    ..PLAIN
};

/// Two persons start the same at once: one wins.
pub const TWO_STARTS: Journey =
    Journey { name: "two starts", deeds: &[(START, Deed::StartTwice(NEW))], ..PLAIN };

/// It halts; the fault is mended; it is retried by force and goes through.
pub const RETRIED: Journey = Journey {
    name: "retry",
    cast: &changed(THREE, 0, Temper::DownAtStart),
    deeds: &[
        (START, Deed::Start(NEW)),
        (100_000, Deed::Temper("a", NEW, Temper::Good)),
        (110_000, Deed::Start(NEW)),
        (120_000, Deed::Force(NEW)),
    ],
    ends: 600,
    end: &[End::Halted, End::Completed],
    rows: &[("a", RowStatus::Success), ("c", RowStatus::Success)],
    ..PLAIN
};

/// Two pushes come while a rollout is under way, the later one twice: it is brought when the rollout has ended, once.
pub const PUSHED: Journey = Journey {
    name: "push during a rollout",
    deeds: &[
        (START, Deed::Start(NEW)),
        (30_000, Deed::Push(OLD, "first")),
        (40_000, Deed::Push(NEWEST, "second")),
        (50_000, Deed::Push(NEWEST, "second")),
        (230_000, Deed::Push(NEWEST, "second")),
    ],
    ends: 700,
    end: &[End::Completed, End::Completed],
    ..PLAIN
};

/// A service is removed while its stage is under way.
pub const REMOVED: Journey = Journey {
    name: "removal",
    cast: &TEN,
    deeds: &[(START, Deed::Start(NEW)), (57_500, Deed::Remove("c")), (58_000, Deed::Remove("h"))],
    end: &[End::CompletedWithFailures],
    rows: &[("a", RowStatus::Success)],
    ..PLAIN
};

impl Journey {
    /// All of them.
    pub const ALL: &'static [&'static Journey] = &[
        &SUCCESS,
        &SUCCESS_OF_TEN,
        &ONE_GOES_BACK,
        &HANGING_INSTALL,
        &HALT,
        &HALT_AND_BACK,
        &SOAK_CATCHES,
        &SLOW_START,
        &VANISHES,
        &BLINKS,
        &POWER_CUT,
        &NO_WAY_BACK,
        &OBSTACLES,
        &PAUSED,
        &TWO_STARTS,
        &RETRIED,
        &PUSHED,
        &REMOVED,
    ];
}
