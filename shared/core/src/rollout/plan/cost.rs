//! What a plan takes at worst: time, write units, dollars.

use std::time::Duration;

use super::Candidate;
use crate::policy::Policy;
use crate::rollout::SOAK_MOST;
use crate::update::{ASK_LIMIT, CONNECT_LIMIT, Update, UpdateStep, Way};

/// Write units of a service's row when the rollout is started: one item in a transaction, which costs double.
const ROW_UNITS: u64 = 2;
/// Write units of beginning a service: its watch, the head and an event, with their checks.
const BEGIN_UNITS: u64 = 10;
/// Write units of each further step: the watch and an event, with the check that the head goes on.
const STEP_UNITS: u64 = 8;
/// Write units of a service's end: watch, row, head and event.
const VERDICT_UNITS: u64 = 10;
/// Write units of the rollout's own commits around its services, start and end: app, head, list, event and notice, twice.
const FRAME_UNITS: u64 = 24;
/// Write units of a stage's own commits: it soaks, and it is over.
const STAGE_UNITS: u64 = 12;
/// Most write units that updating one service may cost: with the usual three steps it must stay below.
const MOST_UNITS: u64 = 40;

const _: () = assert!(
    ROW_UNITS + BEGIN_UNITS + 2 * STEP_UNITS + VERDICT_UNITS <= MOST_UNITS,
    "check out, install, restart: the usual update keeps to what one may cost"
);

/// A million on-demand write request units, standard table class, us-east-1, cost 0.625 dollars since November 2024
/// (<https://aws.amazon.com/dynamodb/pricing/on-demand/>): so many millionths of a dollar for a thousand.
const MICRO_DOLLARS_PER_THOUSAND_UNITS: u64 = 625;

/// The longest the rollout can take.
pub(super) fn worst_case(order: &[Candidate<'_>], stage_sizes: &[usize], at_once: u32) -> Duration {
    let at_once = usize::try_from(at_once).unwrap_or(usize::MAX).max(1);
    let mut rest = order;
    let mut whole = Duration::ZERO;
    for size in stage_sizes {
        let (stage, later) = rest.split_at((*size).min(rest.len()));
        rest = later;
        let longest = stage.iter().map(longest_update).max().unwrap_or_default();
        let turns = u32::try_from(size.div_ceil(at_once)).unwrap_or(u32::MAX);
        whole = whole.saturating_add(longest.saturating_mul(turns)).saturating_add(SOAK_MOST);
    }
    whole
}

/// The longest one service can take: asked what is there, brought all the way forward, and all the way back.
fn longest_update(candidate: &Candidate<'_>) -> Duration {
    let Some(update) = &candidate.spec.update else { return Duration::ZERO };
    let policy = &candidate.spec.policy;
    CONNECT_LIMIT
        + ASK_LIMIT
        + longest_way(update, Way::Forward, policy)
        + longest_way(update, Way::Back, policy)
}

/// Whatever starts something is followed by its settle time, in which it may say for a while that it is starting, and by
/// the question what is there.
fn longest_way(update: &Update, way: Way, policy: &Policy) -> Duration {
    let longest_step = |step: UpdateStep| match step {
        UpdateStep::Restart | UpdateStep::After => {
            step.limit() + policy.settle + policy.startup_grace + ASK_LIMIT
        }
        UpdateStep::Before
        | UpdateStep::CheckOut
        | UpdateStep::Install
        | UpdateStep::Own(_)
        | UpdateStep::Rollback => step.limit(),
    };
    CONNECT_LIMIT + update.steps(way).into_iter().map(longest_step).sum::<Duration>()
}

/// What the rollout costs if nothing goes wrong.
pub(super) fn write_units(order: &[Candidate<'_>], stages: usize) -> u64 {
    let of_one = |candidate: &Candidate<'_>| {
        let steps = candidate.spec.update.as_ref().map_or(0, |update| update.steps(Way::Forward).len());
        ROW_UNITS + BEGIN_UNITS + STEP_UNITS * count(steps).saturating_sub(1) + VERDICT_UNITS
    };
    FRAME_UNITS + STAGE_UNITS * count(stages) + order.iter().map(of_one).sum::<u64>()
}

fn count(of: usize) -> u64 {
    u64::try_from(of).unwrap_or(u64::MAX)
}

/// What `units` cost, rounded up.
pub(super) fn micro_dollars(units: u64) -> u64 {
    (units * MICRO_DOLLARS_PER_THOUSAND_UNITS).div_ceil(1_000)
}
