//! Scenarios: what happens to a fleet, and how it must end.

use std::time::Duration;

use super::crash::Crash;
use super::fleet::Nature;
use super::table::BadDay;
use super::{World, id};

/// A scenario.
#[derive(Debug, Clone, Copy)]
pub struct Story {
    /// Its name.
    pub name: &'static str,
    /// The services, and what they are like.
    pub services: &'static [(&'static str, Nature)],
    /// What happens, and when, in seconds after the start.
    pub events: &'static [(u64, Event)],
    /// When it is over.
    pub ends: u64,
    /// Which services must be up at the end.
    pub up: &'static [&'static str],
    /// Which must have an open breaker at the end.
    pub open: &'static [&'static str],
}

/// Something that happens.
#[derive(Debug, Clone, Copy)]
pub enum Event {
    /// A service dies.
    PutOut(&'static str),
    /// A service is mended by hand.
    Light(&'static str),
    /// A service changes its nature.
    Become(&'static str, Nature),
    /// A host is cut off for so many seconds.
    CutOff(&'static str, u64),
    /// Every host is cut off for so many seconds.
    CutOffAll(u64),
    /// The table has such days.
    Table(BadDay),
    /// The post office is closed for so many seconds.
    ClosePost(u64),
}

/// One service dies and a restart heals it.
pub const HEAL: Story = Story {
    name: "heal",
    services: &[("a", Nature::Good)],
    events: &[(70, Event::PutOut("a"))],
    ends: 600,
    up: &["a"],
    open: &[],
};

/// Two services die at once; one needs two restarts.
pub const TWO: Story = Story {
    name: "two",
    services: &[("a", Nature::Good), ("b", Nature::NeedsRestarts(2))],
    events: &[(70, Event::PutOut("a")), (70, Event::PutOut("b"))],
    ends: 900,
    up: &["a", "b"],
    open: &[],
};

/// A service never comes back; its breaker opens, half-opens, and opens again.
pub const HOPELESS: Story = Story {
    name: "hopeless",
    services: &[("a", Nature::Hopeless), ("b", Nature::Good)],
    events: &[(70, Event::PutOut("a"))],
    ends: 2_400,
    up: &["b"],
    open: &["a"],
};

/// A hopeless service is mended by hand while its breaker is open.
pub const MENDED: Story = Story {
    name: "mended",
    services: &[("a", Nature::Hopeless)],
    events: &[(70, Event::PutOut("a")), (400, Event::Light("a")), (400, Event::Become("a", Nature::Good))],
    ends: 900,
    up: &["a"],
    open: &[],
};

/// A service comes up at each restart and dies soon after.
pub const FLAPPING: Story = Story {
    name: "flapping",
    services: &[("a", Nature::Flapping(Duration::from_secs(40)))],
    events: &[(70, Event::PutOut("a"))],
    ends: 1_500,
    up: &[],
    open: &["a"],
};

/// A service is away for a second, just when it is looked at, and then up by itself.
pub const BLINK: Story = Story {
    name: "blink",
    services: &[("a", Nature::Good)],
    events: &[(119, Event::PutOut("a")), (121, Event::Light("a"))],
    ends: 900,
    up: &["a"],
    open: &[],
};

/// Sixty-four services, and nothing happens.
pub const QUIET: Story =
    Story { name: "quiet", services: &MANY, events: &[], ends: 900, up: &["x-1", "y52"], open: &[] };

/// A host is cut off for five minutes; nothing is restarted.
pub const CUT_OFF: Story = Story {
    name: "cut off",
    services: &[("a", Nature::Good), ("b", Nature::Good)],
    events: &[(70, Event::CutOff("a", 300))],
    ends: 900,
    up: &["a", "b"],
    open: &[],
};

/// Everything is cut off, and everything then dies at once: the guard holds, then the brake.
pub const ALL_AT_ONCE: Story = Story {
    name: "all at once",
    services: &[
        ("a", Nature::Good),
        ("b", Nature::Good),
        ("c", Nature::Good),
        ("d", Nature::Good),
        ("e", Nature::Good),
        ("f", Nature::Good),
    ],
    events: &[(70, Event::CutOffAll(300))],
    ends: 900,
    up: &["a", "b", "c", "d", "e", "f"],
    open: &[],
};

/// Everything dies at once: the guard holds until most are mended by hand, then the rest is restarted.
pub const ALL_DIE: Story = Story {
    name: "all die",
    services: &[
        ("a", Nature::Good),
        ("b", Nature::Good),
        ("c", Nature::Good),
        ("d", Nature::Good),
        ("e", Nature::Good),
        ("f", Nature::Good),
    ],
    events: &[
        (70, Event::PutOut("a")),
        (70, Event::PutOut("b")),
        (70, Event::PutOut("c")),
        (70, Event::PutOut("d")),
        (70, Event::PutOut("e")),
        (70, Event::PutOut("f")),
        (400, Event::Light("a")),
        (400, Event::Light("b")),
        (400, Event::Light("c")),
        (400, Event::Light("d")),
    ],
    ends: 900,
    up: &["a", "b", "c", "d", "e", "f"],
    open: &[],
};

/// A dozen services of one owner are cut off, too few to blame ourselves for: one letter tells of all.
pub const DIGEST: Story = Story {
    name: "digest",
    services: &MANY,
    events: &[
        (70, Event::CutOff("x-1", 300)),
        (70, Event::CutOff("x-2", 300)),
        (70, Event::CutOff("x-3", 300)),
        (70, Event::CutOff("x-4", 300)),
        (70, Event::CutOff("x-5", 300)),
        (70, Event::CutOff("x-6", 300)),
        (70, Event::CutOff("x-7", 300)),
        (70, Event::CutOff("x-8", 300)),
        (70, Event::CutOff("x-9", 300)),
        (70, Event::CutOff("x-10", 300)),
        (70, Event::CutOff("x-11", 300)),
        (70, Event::CutOff("x-12", 300)),
    ],
    ends: 900,
    up: &["x-1", "x-12"],
    open: &[],
};

/// A dozen services of one owner die, and restarts heal them: the first is up again before the letter of all has gone.
pub const DIGEST_HEALED: Story = Story {
    name: "digest of what heals",
    services: &MANY,
    events: &[
        (70, Event::PutOut("x-1")),
        (70, Event::PutOut("x-2")),
        (70, Event::PutOut("x-3")),
        (70, Event::PutOut("x-4")),
        (70, Event::PutOut("x-5")),
        (70, Event::PutOut("x-6")),
        (70, Event::PutOut("x-7")),
        (70, Event::PutOut("x-8")),
        (70, Event::PutOut("x-9")),
        (70, Event::PutOut("x-10")),
        (70, Event::PutOut("x-11")),
        (70, Event::PutOut("x-12")),
    ],
    ends: 900,
    up: &["x-1", "x-12"],
    open: &[],
};

/// Twelve services of one owner among sixty-four.
const MANY: [(&str, Nature); 64] = {
    let names = [
        "x-1", "x-2", "x-3", "x-4", "x-5", "x-6", "x-7", "x-8", "x-9", "x-10", "x-11", "x-12", "y01", "y02",
        "y03", "y04", "y05", "y06", "y07", "y08", "y09", "y10", "y11", "y12", "y13", "y14", "y15", "y16",
        "y17", "y18", "y19", "y20", "y21", "y22", "y23", "y24", "y25", "y26", "y27", "y28", "y29", "y30",
        "y31", "y32", "y33", "y34", "y35", "y36", "y37", "y38", "y39", "y40", "y41", "y42", "y43", "y44",
        "y45", "y46", "y47", "y48", "y49", "y50", "y51", "y52",
    ];
    let mut many = [("", Nature::Good); 64];
    let mut index = 0;
    while index < many.len() {
        many[index] = (names[index], Nature::Good);
        index += 1;
    }
    many
};

/// A service dies while the post office is closed and the table has a bad day.
pub const BAD_DAY: Story = Story {
    name: "bad day",
    services: &[("a", Nature::Good), ("b", Nature::NeedsRestarts(2)), ("c", Nature::Hopeless)],
    events: &[
        (61, Event::Table(BadDay::STORMY)),
        (65, Event::ClosePost(200)),
        (70, Event::PutOut("a")),
        (100, Event::PutOut("b")),
        (110, Event::PutOut("c")),
        (500, Event::PutOut("a")),
        (
            900,
            Event::Table(BadDay {
                throttled: 0,
                broken: 0,
                lost: 0,
                answer_lost: 0,
                late: 0,
                twice: 0,
                conflict: 0,
                stale: 0,
            }),
        ),
    ],
    ends: 2_400,
    up: &["a", "b"],
    open: &["c"],
};

/// The table is out of reach for an hour, and a service dies in it.
pub const BLACK_HOLE: Story = Story {
    name: "black hole",
    services: &[("a", Nature::Good)],
    events: &[
        (100, Event::Table(BadDay::BLACK_HOLE)),
        (130, Event::PutOut("a")),
        (
            3_700,
            Event::Table(BadDay {
                throttled: 0,
                broken: 0,
                lost: 0,
                answer_lost: 0,
                late: 0,
                twice: 0,
                conflict: 0,
                stale: 0,
            }),
        ),
    ],
    ends: 4_500,
    up: &["a"],
    open: &[],
};

impl Story {
    /// All of them.
    pub const ALL: &'static [&'static Story] = &[
        &HEAL,
        &TWO,
        &HOPELESS,
        &MENDED,
        &FLAPPING,
        &CUT_OFF,
        &ALL_AT_ONCE,
        &ALL_DIE,
        &DIGEST,
        &DIGEST_HEALED,
        &BAD_DAY,
        &BLACK_HOLE,
    ];

    /// Plays the story with an engine that crashes as planned, and answers the world as it is at the end.
    pub async fn play(&self, seed: u64, crash: Crash) -> World {
        let world = World::new(seed);
        self.play_in(&world, async |world| world.lives(crash).await).await;
        world
    }

    /// Plays the story in `world` while `engines` run.
    pub async fn play_in<'w>(&self, world: &'w World, engines: impl AsyncFnOnce(&'w World)) {
        Box::pin(world.settle(self.services)).await;
        self.unfold(world, engines).await;
    }

    /// Lets happen what happens in the story, to services that are there already, while `engines` run.
    pub async fn unfold<'w>(&self, world: &'w World, engines: impl AsyncFnOnce(&'w World)) {
        let events = async {
            let dawn = tokio::time::Instant::now();
            for (second, event) in self.events {
                tokio::time::sleep_until(dawn + Duration::from_secs(*second)).await;
                event.happen(world, self);
            }
            tokio::time::sleep_until(dawn + Duration::from_secs(self.ends)).await;
        };
        tokio::select! {
            biased;
            () = events => {}
            () = Box::pin(engines(world)) => {}
        }
    }
}

impl Event {
    fn happen(self, world: &World, story: &Story) {
        match self {
            Event::PutOut(service) => world.fleet.put_out(&id(service)),
            Event::Light(service) => world.fleet.light(&id(service)),
            Event::Become(service, nature) => world.fleet.become_(&id(service), nature),
            Event::CutOff(service, seconds) => {
                world.fleet.cut_off(&id(service), Duration::from_secs(seconds))
            }
            Event::CutOffAll(seconds) => {
                for (service, _) in story.services {
                    world.fleet.cut_off(&id(service), Duration::from_secs(seconds));
                }
            }
            Event::Table(day) => world.table.has(day),
            Event::ClosePost(seconds) => {
                world.post.close_until(world.clock.now() + Duration::from_secs(seconds))
            }
        }
    }
}
