//! The looks of a sweep: in turn, so many at once, each within the sweep's deadline.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt, stream};
use lamplighter_core::Moment;
use lamplighter_core::settings::Settings;
use lamplighter_core::sight::{Look, NotLooked};
use lamplighter_core::spec::{Check, Restart, ServiceSpec};
use lamplighter_core::sweep::{Turn, turn};
use lamplighter_core::watch::{Status, Watch};
use lamplighter_store::Placed;
use tokio::time::Instant;

use crate::Env;

/// A look that could run for less than this before the sweep's deadline is not begun: it would only blame the host
/// for our lack of time.
const LEAST_LOOK: Duration = Duration::from_millis(250);

/// A service that is known to be down keeps a sweep waiting for so long, no longer: most hosts that are well answer in a
/// tenth of it, and where sweeps are paid for by their time, one silent host would otherwise set the bill.
const KNOWN_DOWN_LIMIT: Duration = Duration::from_secs(2);
/// So often it is waited for as long as its policy says, or a host that needs longer would never be seen to be back.
const PATIENT_EVERY: Duration = Duration::from_secs(600);

/// Looks at every service whose turn it is, so many at once, until the deadline.
pub(super) async fn look_at_all(
    env: &Env,
    settings: &Settings,
    all: &[(usize, &Placed)],
    now: Moment,
    tick: u64,
    deadline: Instant,
) -> Vec<(Turn, Option<Look>)> {
    let mut results: Vec<(Turn, Option<Look>)> =
        all.iter().map(|(_, placed)| (turn(settings, &placed.spec, &placed.watch, now), None)).collect();
    let mut order: Vec<usize> = (0..all.len()).filter(|index| results[*index].0 == Turn::Look).collect();
    // They take turns at being first, so that no service is always the one for which there is no time left.
    let rotation = usize::try_from(tick).unwrap_or(0).wrapping_mul(7_919) % all.len().max(1);
    order.sort_by_key(|index| (index + rotation) % all.len().max(1));
    let (slow, mut quick): (Vec<usize>, Vec<usize>) =
        order.into_iter().partition(|index| keeps_us_waiting(&all[*index].1.watch));
    let slots = Slots::of(settings.concurrency, quick.len(), slow.len());
    let beside = match slots.beside {
        0 => {
            quick.extend(slow);
            Vec::new()
        }
        _ => slow,
    };
    let is_patient = is_patient(tick, settings.every);
    let look = |index: usize| async move {
        let placed = all[index].1;
        let until = match is_known_down(&placed.spec, &placed.watch) && !is_patient {
            true => deadline.min(Instant::now() + KNOWN_DOWN_LIMIT),
            false => deadline,
        };
        (index, look_at(env, &placed.spec, until).await)
    };
    let quick = stream::iter(quick).map(look).buffer_unordered(slots.quick.max(1));
    let beside = stream::iter(beside).map(look).buffer_unordered(slots.beside.max(1));
    let mut looks = stream::select(quick, beside);
    while let Some((index, look)) = looks.next().await {
        results[index].1 = Some(look);
    }
    drop(looks);
    results
}

/// How many looks are taken at once.
#[derive(Debug, PartialEq, Eq)]
struct Slots {
    quick: usize,
    /// At hosts that keep us waiting. Zero if there is no room beside the others: then they come after them.
    beside: usize,
}

impl Slots {
    /// Hosts that keep us waiting do so beside the others, not after them; and take no more than half of the room, or
    /// their share of it, so that they cannot use up the others' time.
    fn of(concurrency: u32, quick: usize, slow: usize) -> Slots {
        let at_once = usize::try_from(concurrency).unwrap_or(1).max(1);
        let share = at_once * slow / (quick + slow).max(1);
        let beside = match quick {
            0 => 0,
            _ => slow.min(share.max(at_once / 2)).min(at_once - 1),
        };
        Slots { quick: at_once - beside, beside }
    }
}

fn keeps_us_waiting(watch: &Watch) -> bool {
    watch.unreachable_streak > 0 || watch.status == Status::Down
}

fn is_known_down(spec: &ServiceSpec, watch: &Watch) -> bool {
    watch.status == Status::Down
        && no_answer_is_no_news(&spec.check, &spec.restart, spec.policy.unreachable_limit, watch)
}

/// Whether one more look that gets no answer changes nothing about a service that is down.
fn no_answer_is_no_news(check: &Check, restart: &Restart, unreachable_limit: u32, watch: &Watch) -> bool {
    match check {
        Check::Systemd(_) | Check::Docker(_) | Check::Command(_) => {
            watch.unreachable_streak >= unreachable_limit
        }
        // These look from here, and never find a host unreachable. Where a restart may follow, the look must have the time
        // to learn which run would be restarted.
        Check::Http(_) | Check::Tcp(_) => *restart == Restart::Never,
    }
}

/// The first tick in each stretch of [`PATIENT_EVERY`], for all services alike: one sweep is long, and the others short.
fn is_patient(tick: u64, every: Duration) -> bool {
    tick % PATIENT_EVERY.as_secs() < every.as_secs().max(1)
}

/// Takes one look, clipped to the deadline. A panic on the way ends this look and no other.
pub async fn look_at(env: &Env, spec: &ServiceSpec, deadline: Instant) -> Look {
    let now = env.clock().now();
    let left = deadline.saturating_duration_since(Instant::now());
    if left < LEAST_LOOK {
        return Look::not_taken(now, NotLooked::OutOfTime);
    }
    contained(env, spec, now, env.parts.hosts.look(spec, now, left)).await
}

/// Looks once within the policy's own limits, and learns which run of the service is there even if it is up.
pub(crate) async fn look_closely(env: &Env, spec: &ServiceSpec) -> Look {
    let policy = &spec.policy;
    let limit = policy.connect_limit + policy.command_limit + policy.http_limit;
    let now = env.clock().now();
    contained(env, spec, now, env.parts.hosts.look_closely(spec, now, limit)).await
}

/// A look whose panic ends nothing else: the service was then not judged.
async fn contained(env: &Env, spec: &ServiceSpec, now: Moment, look: BoxFuture<'_, Look>) -> Look {
    AssertUnwindSafe(look).catch_unwind().await.unwrap_or_else(|_| {
        tracing::error!(env = %env.name(), service = %spec.id, "a look panicked; the service was not judged");
        Look::not_taken(now, NotLooked::OurFault)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_that_keep_us_waiting_take_half_of_the_room_or_their_share() {
        for (concurrency, quick, slow, expected) in [
            (64, 500, 0, (64, 0)),
            (64, 495, 5, (59, 5)),
            (64, 400, 100, (32, 32)),
            (64, 100, 400, (13, 51)),
            (64, 0, 500, (64, 0)),
            (1, 499, 1, (1, 0)),
            (2, 1, 499, (1, 1)),
        ] {
            let slots = Slots::of(concurrency, quick, slow);
            assert_eq!((slots.quick, slots.beside), expected, "{quick} quick, {slow} slow");
        }
    }

    #[test]
    fn one_tick_in_ten_minutes_is_patient_whatever_the_interval() {
        let patient = |every: u64| {
            let ticks = (0..3_600).step_by(usize::try_from(every).unwrap());
            ticks.filter(|tick| is_patient(*tick, Duration::from_secs(every))).count()
        };
        assert_eq!([5, 60, 90, 600, 1_800].map(patient), [6, 6, 6, 6, 2]);
    }

    #[test]
    fn only_what_another_bad_look_would_not_change_is_not_waited_for() {
        let (unit, port) = (Check::Systemd("web".parse().unwrap()), Check::Tcp(80));
        let restarted = Restart::Systemd("web".parse().unwrap());
        for (check, restart, unreachable_streak, expected) in [
            (&unit, &restarted, 3, true),
            (&unit, &restarted, 2, false),
            (&unit, &Restart::Never, 0, false),
            (&port, &Restart::Never, 0, true),
            (&port, &restarted, 3, false),
        ] {
            let new = Watch::new("web".parse().unwrap(), Moment::from_millis(0));
            let watch = Watch { unreachable_streak, ..new };
            let is_no_news = no_answer_is_no_news(check, restart, 3, &watch);
            assert_eq!(is_no_news, expected, "{check:?}, restart {restart:?}, {unreachable_streak}");
        }
    }
}
