//! One tick over many services, as a pure function: who is looked at, and what all the looks together mean.

use crate::blindness::{self, Blindness, Others, Verdict};
use crate::decision::Decision;
use crate::digest;
use crate::moment::Moment;
use crate::name::EnvName;
use crate::recovery::{self, Case};
use crate::report::SweepReport;
use crate::settings::{Mode, Settings};
use crate::sight::{Look, NotLooked, Sight};
use crate::spec::{Lifecycle, ServiceSpec};
use crate::watch::{Status, Watch};

/// Whether the sweep looks at a service now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// It is looked at.
    Look,
    /// A restart is open: `recover` looks at it.
    Restarting,
    /// It is left alone, and why.
    Skip(&'static str),
}

/// Says whether a service is looked at in this tick.
#[must_use]
pub fn turn(settings: &Settings, spec: &ServiceSpec, watch: &Watch, now: Moment) -> Turn {
    if settings.mode == Mode::Off {
        return Turn::Skip("this env is off");
    }
    match spec.lifecycle {
        Lifecycle::Ready => {}
        Lifecycle::Provisioning => return Turn::Skip("still provisioning"),
        Lifecycle::Suspended => return Turn::Skip("suspended"),
        Lifecycle::Retired => return Turn::Skip("retired"),
    }
    if watch.hold.as_ref().is_some_and(|hold| hold.is_in_force(now)) {
        return Turn::Skip("held");
    }
    if watch.update.as_ref().is_some_and(|updating| updating.is_in_force(now)) {
        return Turn::Skip("updating");
    }
    if watch.attempt.is_some() { Turn::Restarting } else { Turn::Look }
}

/// One service's part in a tick.
#[derive(Debug, Clone)]
pub struct Seen<'a> {
    /// Its spec.
    pub spec: &'a ServiceSpec,
    /// What is remembered of it.
    pub watch: &'a Watch,
    /// What was to be done with it.
    pub turn: Turn,
    /// What was seen, if it was its turn.
    pub look: Option<Look>,
}

/// How much of the env a sweep looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// All of it: the sweep judges the blindness guard, too.
    Whole,
    /// One shard: `recover` judges the guard, by what all of them report.
    Shard {
        /// Its number.
        number: u16,
        /// What is known of the others.
        others: Others,
    },
}

/// What a tick decided.
#[derive(Debug, Clone)]
pub struct Judged {
    /// A decision for each service where something changed, with its index in what was seen.
    pub decisions: Vec<(usize, Decision)>,
    /// The tally.
    pub report: SweepReport,
    /// What the blindness guard says.
    pub guard: Verdict,
}

/// Judges one tick: tallies it, asks the blindness guard, decides service by service, and gathers digests.
#[must_use]
pub fn judge(
    settings: &Settings,
    env: &EnvName,
    tick: u64,
    now: Moment,
    guard: &Blindness,
    part: &Part,
    seen: &[Seen<'_>],
) -> Judged {
    let report = tallied(tick, seen);
    let guard = match part {
        Part::Whole => blindness::judge(settings, env, now, guard, &report),
        Part::Shard { others, .. } => {
            let believed = blindness::believes(settings, now, guard, &report, others);
            Verdict { believed, next: None, notice: None }
        }
    };
    let mut indices = Vec::new();
    let mut decisions = Vec::new();
    for (index, one) in seen.iter().enumerate() {
        let case = Case { settings, spec: one.spec, tick, now };
        let Some(decision) = decide(case, one, guard.believed) else { continue };
        indices.push(index);
        decisions.push(decision);
    }
    let name = match part {
        Part::Whole => tick.to_string(),
        // Shards of one tick end at different times. Under one name, the digest of the second would be taken for the
        // first one again, wherever letters are told apart by their ids.
        Part::Shard { number, .. } => format!("{tick}.{number:03}"),
    };
    digest::gather(&name, &mut decisions);
    Judged { decisions: indices.into_iter().zip(decisions).collect(), report, guard }
}

fn decide(case: Case<'_>, seen: &Seen<'_>, believed: bool) -> Option<Decision> {
    let look = seen.look.as_ref()?;
    let expired = seen.watch.hold.is_some();
    if expired {
        return Some(recovery::release(case, seen.watch, "its expiry"));
    }
    match &look.sight {
        Sight::Down(_) | Sight::Unreachable(_) if !believed => None,
        Sight::Up | Sight::Down(_) | Sight::Unreachable(_) | Sight::Unknown(_) => {
            recovery::on_sight(case, seen.watch, look)
        }
    }
}

/// The report of a tick in which this was seen.
#[must_use]
pub fn tallied(tick: u64, seen: &[Seen<'_>]) -> SweepReport {
    let mut report = SweepReport { tick, ..SweepReport::default() };
    for one in seen {
        report.add(&counted(one));
    }
    report
}

/// One service's share of the report.
#[must_use]
pub fn counted(seen: &Seen<'_>) -> SweepReport {
    let mut report = SweepReport::default();
    let was_healthy = u32::from(seen.watch.status == Status::Healthy);
    match (&seen.turn, seen.look.as_ref().map(|look| &look.sight)) {
        (Turn::Restarting, _) => report.restarting = 1,
        (Turn::Skip(_), _)
        | (Turn::Look, None | Some(Sight::Unknown(NotLooked::OutOfTime | NotLooked::OurFault))) => {
            report.skipped = 1;
        }
        (Turn::Look, Some(Sight::Up)) => {
            (report.checked, report.healthy) = (1, 1);
            report.were_healthy = was_healthy;
        }
        (Turn::Look, Some(Sight::Down(_))) => {
            (report.checked, report.unhealthy) = (1, 1);
            (report.were_healthy, report.turned_bad) = (was_healthy, was_healthy);
        }
        (Turn::Look, Some(Sight::Unreachable(_))) => {
            (report.checked, report.unreachable) = (1, 1);
            (report.were_healthy, report.turned_bad) = (was_healthy, was_healthy);
        }
        (Turn::Look, Some(Sight::Unknown(NotLooked::Starting | NotLooked::Blind))) => {
            report.checked = 1;
            report.were_healthy = was_healthy;
        }
    }
    report
}
