//! The minute hand of the one-box home: rings the verbs, each in its own loop, so that a slow one delays no other.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use lamplighter_core::Moment;
use lamplighter_store::{StoreError, Verb};
use tokio_util::sync::CancellationToken;

use crate::{Advanced, Delivered, Env, Recovered, Swept, advance, deliver, health, recover, sweep};

/// How often the sweep's loop gives a sign of life while it waits: half the watchdog interval of the unit that ships.
const BEAT_EVERY: Duration = Duration::from_secs(30);
/// How often `recover` looks for work that no bell announced: what another process committed, or this one before a crash.
const RECOVER_EVERY: Duration = Duration::from_secs(30);
/// How often `advance` looks for work that no bell announced.
const ADVANCE_EVERY: Duration = Duration::from_secs(30);
/// How often the courier looks for work that no bell announced.
const DELIVER_EVERY: Duration = Duration::from_secs(60);
/// How often the health of the env is logged.
const SUMMARY_EVERY: Duration = Duration::from_secs(300);
/// How often expired items are swept out of the embedded store.
const TTL_EVERY: Duration = Duration::from_secs(3_600);
/// Wait after a verb failed for want of the store.
const AFTER_FAILURE: Duration = Duration::from_secs(5);
/// How long a stop waits for a sweep: it has committed nothing before its last look, so leaving it loses nothing.
const SWEEP_GRACE: Duration = Duration::from_secs(3);
/// How long a stop waits for what is under way: one settle, one look and a commit. What takes longer is safely left:
/// the next life asks the host.
pub const GRACE: Duration = Duration::from_secs(30);

/// Runs an env until told to stop, then waits for what is under way, at most [`GRACE`].
///
/// `beat` is called once per turn of the sweep's loop, with a status line: the sign of life for a watchdog.
pub async fn run(env: &Env, stop: CancellationToken, beat: impl Fn(&str) + Send + Sync) {
    let all = async {
        tokio::join!(
            // Each loop holds the SDK's large futures; boxed, they do not all lie on one stack.
            Box::pin(sweeping(env, &stop, &beat)),
            Box::pin(recovering(env, &stop)),
            Box::pin(advancing(env, &stop)),
            Box::pin(delivering(env, &stop)),
            Box::pin(summing_up(env, &stop)),
            Box::pin(forgetting(env, &stop)),
        )
    };
    tokio::select! {
        _ = all => {}
        () = stopped_for(&stop, GRACE) => tracing::warn!(env = %env.name(), "stopped with work under way; the next start asks the hosts what came of it"),
    }
}

/// Sweeps at once, then at every tick. After a sleep of the machine there is one sweep, not one for each missed tick.
async fn sweeping(env: &Env, stop: &CancellationToken, beat: &(impl Fn(&str) + Sync)) {
    let mut skipped: u64 = 0;
    while !stop.is_cancelled() {
        let every = match env.store().settings().await {
            Ok((_, settings)) => settings.every,
            Err(error) => {
                log_failure(env, "sweep", &error);
                beat("store cannot be used");
                wait(stop, AFTER_FAILURE).await;
                continue;
            }
        };
        let tick = env.clock().now().tick(every);
        let sweep = Box::pin(turn_of_the_hand(env, tick, &mut skipped));
        let Some(mut status) = with_beats(sweep, stop, every, beat).await else { return };
        beat(&status);
        let next = Moment::from_millis(i64::try_from(tick.saturating_mul(1_000)).unwrap_or(i64::MAX)) + every;
        while env.clock().now() < next && !stop.is_cancelled() {
            let rest = env.clock().now() + BEAT_EVERY;
            tokio::select! {
                () = stop.cancelled() => return,
                () = env.clock().sleep_until(next.min(rest)) => {}
                () = env.sweep_bell.rung() => status = sweep_out_of_turn(env).await,
            }
            beat(&status);
        }
    }
}

/// Waits for a sweep, and gives signs of life beside it for as long as a sweep may take. `None`: told to stop.
async fn with_beats(
    mut sweep: Pin<Box<impl Future<Output = String>>>,
    stop: &CancellationToken,
    every: Duration,
    beat: &(impl Fn(&str) + Sync),
) -> Option<String> {
    let overdue = tokio::time::Instant::now() + every;
    loop {
        tokio::select! {
            status = &mut sweep => return Some(status),
            // Looks may take most of the interval; what they would have seen, the next life sees.
            () = stopped_for(stop, SWEEP_GRACE) => return None,
            () = tokio::time::sleep(BEAT_EVERY) => {
                // A sweep past its interval is stuck, and the watchdog is there for that.
                if tokio::time::Instant::now() < overdue {
                    beat("sweeping");
                }
            }
        }
    }
}

async fn turn_of_the_hand(env: &Env, tick: u64, skipped: &mut u64) -> String {
    match counted(env, Verb::Sweep, sweep(env, tick)).await {
        Ok(Swept::Done(report)) => {
            let line = report.summary();
            tracing::info!(env = %env.name(), tick, checked = report.checked, healthy = report.healthy, unhealthy = report.unhealthy,
                unreachable = report.unreachable, restarting = report.restarting, skipped = report.skipped,
                duration_ms = report.duration_ms, "{line}");
            line
        }
        Ok(Swept::Held { by, until }) => {
            *skipped += 1;
            tracing::warn!(env = %env.name(), tick, %by, %until, skipped, "sweep {tick} skipped: the previous one is not done");
            format!("sweep {tick} skipped: the previous one is not done")
        }
        Ok(Swept::Past) => format!("sweep {tick} was already done"),
        Ok(Swept::Off) => "off".to_owned(),
        Err(error) => {
            log_failure(env, "sweep", &error);
            "store cannot be used".to_owned()
        }
    }
}

/// A person asked for a sweep, or something was committed that is best looked at soon.
async fn sweep_out_of_turn(env: &Env) -> String {
    let tick = u64::try_from(env.clock().now().as_secs()).unwrap_or(0);
    turn_of_the_hand(env, tick, &mut 0).await
}

/// Makes restarts when the bell rings, when one is due, and now and then for what no bell announced.
async fn recovering(env: &Env, stop: &CancellationToken) {
    while !stop.is_cancelled() {
        let again = match counted(env, Verb::Recover, recover(env, || stop.is_cancelled())).await {
            Ok(Recovered::Rested { next, .. }) => next,
            Ok(Recovered::Held { until }) => Some(until),
            Ok(Recovered::Blind) => None,
            Err(error) => {
                log_failure(env, "recover", &error);
                wait(stop, AFTER_FAILURE).await;
                continue;
            }
        };
        rest(env, stop, again, RECOVER_EVERY, env.recover_bell.rung()).await;
    }
}

/// Carries rollouts on when the bell rings, when something is due, and now and then for what no bell announced.
async fn advancing(env: &Env, stop: &CancellationToken) {
    while !stop.is_cancelled() {
        let again = match counted(env, Verb::Advance, advance(env, || stop.is_cancelled())).await {
            Ok(Advanced::Rested { next }) => next,
            Ok(Advanced::Held { until }) => Some(until),
            Err(error) => {
                log_failure(env, "advance", &error);
                wait(stop, AFTER_FAILURE).await;
                continue;
            }
        };
        rest(env, stop, again, ADVANCE_EVERY, env.advance_bell.rung()).await;
    }
}

/// Brings letters when the bell rings, when one is due, and now and then for what no bell announced.
async fn delivering(env: &Env, stop: &CancellationToken) {
    while !stop.is_cancelled() {
        let again = match counted(env, Verb::Notify, deliver(env, || stop.is_cancelled())).await {
            Ok(Delivered::Sent { next, .. }) => next,
            Ok(Delivered::Held { until }) => Some(until),
            Err(error) => {
                log_failure(env, "notify", &error);
                wait(stop, AFTER_FAILURE).await;
                continue;
            }
        };
        rest(env, stop, again, DELIVER_EVERY, env.courier_bell.rung()).await;
    }
}

/// Counts a run of a verb and its time. Memory is not paid by the time on one box.
async fn counted<T>(env: &Env, verb: Verb, run: impl Future<Output = T>) -> T {
    let began = tokio::time::Instant::now();
    // Boxed: a verb's state is large, and each of its callers would carry it.
    let came = Box::pin(run).await;
    env.store().ledger().note_run(verb, began.elapsed(), 0);
    came
}

/// Waits for the bell, for the next moment something is due, or for the longest rest.
async fn rest(
    env: &Env,
    stop: &CancellationToken,
    next: Option<Moment>,
    longest: Duration,
    bell: impl Future<Output = ()>,
) {
    let until = env.clock().now() + longest;
    let until = next.map_or(until, |next| next.min(until));
    tokio::select! {
        () = stop.cancelled() => {}
        () = bell => {}
        () = env.clock().sleep_until(until) => {}
    }
}

/// Logs the health of the env every five minutes.
async fn summing_up(env: &Env, stop: &CancellationToken) {
    while !stop.is_cancelled() {
        wait(stop, SUMMARY_EVERY).await;
        if stop.is_cancelled() {
            return;
        }
        match health(env).await {
            Ok(health) => {
                tracing::info!(env = %env.name(), services = health.services, "{}", health.summary())
            }
            Err(error) => log_failure(env, "health summary", &error),
        }
    }
}

/// Sweeps expired items out of the embedded store, which does not do it by itself.
async fn forgetting(env: &Env, stop: &CancellationToken) {
    while !stop.is_cancelled() {
        if let Err(error) = env.store().sweep_ttl(env.clock().now()).await {
            log_failure(env, "forgetting expired items", &error);
        }
        wait(stop, TTL_EVERY).await;
    }
}

/// Ends `grace` after the stop.
async fn stopped_for(stop: &CancellationToken, grace: Duration) {
    stop.cancelled().await;
    tokio::time::sleep(grace).await;
}

async fn wait(stop: &CancellationToken, duration: Duration) {
    tokio::select! {
        () = stop.cancelled() => {}
        () = tokio::time::sleep(duration) => {}
    }
}

fn log_failure(env: &Env, verb: &str, error: &StoreError) {
    tracing::error!(env = %env.name(), verb, error = error as &dyn std::error::Error, "{verb} could not use the store: {error}");
}
