//! What `sweep` does: a minute's tick, and whatever the doorbell queue brings.

use std::time::Duration;

use futures_util::future::BoxFuture;
use lamplighter_app::{Round, Swept, When, round, sweep_shard};
use lamplighter_core::Moment;
use lamplighter_core::report::SweepReport;
use lamplighter_core::settings::{Mode, Settings};
use lamplighter_store::ShardNo;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{Call, Failure, Function, MINUTE, Occasion, Ring};

/// The health of the env is logged this often.
const SUMMARY_EVERY: Duration = Duration::from_secs(300);
/// Kept of a sweep's time for its commits.
const KEPT_FOR_COMMITS: Duration = Duration::from_secs(3);

/// The queue's messages, as Lambda brings them.
#[derive(Deserialize)]
struct Messages {
    #[serde(rename = "Records")]
    records: Vec<Message>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Message {
    message_id: String,
    body: String,
}

/// Sweeps at a schedule's event; hears the queue's messages, sweeps the shards they name and passes other rings on.
///
/// # Errors
/// If the tick was not committed. A message that failed is named in the answer instead: the queue brings it again, and
/// puts it aside after the third time.
pub fn sweep(function: &Function, call: Call, event: Value) -> BoxFuture<'_, Result<Value, Failure>> {
    Box::pin(sweep_or_hear(function, call, event))
}

async fn sweep_or_hear(function: &Function, call: Call, event: Value) -> Result<Value, Failure> {
    if event.get("Records").is_some() {
        let messages = Messages::deserialize(&event).map_err(|error| Failure::BadEvent(error.to_string()))?;
        let mut failed = Vec::new();
        for message in messages.records {
            if let Err(failure) = hear(function, call, &message.body).await {
                failure.log();
                failed.push(json!({"itemIdentifier": message.message_id}));
            }
        }
        return Ok(json!({"batchItemFailures": failed}));
    }
    match call.occasion(&event, function.now())? {
        None => Ok(()),
        Some(Occasion::Minute(minute)) => minute_s_tick(function, call, minute).await,
        Some(Occasion::Rung(ring)) => answer(function, call, ring).await,
    }
    .map(|()| Value::Null)
}

async fn hear(function: &Function, call: Call, body: &str) -> Result<(), Failure> {
    let event: Value = serde_json::from_str(body).map_err(|error| Failure::BadEvent(error.to_string()))?;
    match call.occasion(&event, function.now())? {
        None => Ok(()),
        Some(Occasion::Rung(ring)) => answer(function, call, ring).await,
        Some(Occasion::Minute(_)) => Err(Failure::BadEvent("the queue brings no schedules".to_owned())),
    }
}

async fn answer(function: &Function, call: Call, ring: Ring) -> Result<(), Failure> {
    match ring {
        Ring::Sweep { tick, .. } => {
            let round = round(&function.env, When::Tick(tick)).await?;
            go_round(function, call, &round, Vec::new()).await
        }
        Ring::Shard { tick, shard, .. } => {
            let settings = function.env.store().for_verb(function.role.verb()).settings().await?.1;
            one_shard(function, call, &settings, Ring::shard_no(shard)?, tick).await
        }
        Ring::Recover { .. } | Ring::Advance { .. } | Ring::Notify { .. } => (function.onward)(ring).await,
    }
}

/// The minute's own tick, and rings for those of the env's grid that come before the next minute.
async fn minute_s_tick(function: &Function, call: Call, minute: Moment) -> Result<(), Failure> {
    let round = round(&function.env, When::Grid(minute)).await?;
    if round.settings.mode == Mode::Off {
        return Ok(());
    }
    if minute.tick(SUMMARY_EVERY) == minute.tick(MINUTE) {
        tracing::info!(env = %function.env.name(), "{}", summary(function, &round));
    }
    let later = ticks_within(minute, round.settings.every)
        .map(|tick| Ring::Sweep { due: i64::try_from(tick).unwrap_or(i64::MAX), tick });
    go_round(function, call, &round, later.collect()).await
}

/// Sweeps the first shard that is due, and rings for the others, each of which is a call of its own: a slow one delays
/// nobody else.
async fn go_round(
    function: &Function,
    call: Call,
    round: &Round,
    mut rings: Vec<Ring>,
) -> Result<(), Failure> {
    let due = function.now().as_secs();
    let (here, elsewhere) = match function.doorbell.is_there() {
        true => round.due.split_at(round.due.len().min(1)),
        false => (round.due.as_slice(), [].as_slice()),
    };
    rings.extend(elsewhere.iter().map(|shard| Ring::Shard { due, tick: round.tick, shard: shard.number() }));
    function.ring(&rings).await;
    for shard in here {
        one_shard(function, call, &round.settings, *shard, round.tick).await?;
    }
    Ok(())
}

async fn one_shard(
    function: &Function,
    call: Call,
    settings: &Settings,
    shard: ShardNo,
    tick: u64,
) -> Result<(), Failure> {
    let limit = call.left().saturating_sub(KEPT_FOR_COMMITS);
    match sweep_shard(&function.env, settings, shard, tick, limit).await? {
        Swept::Done(report) => {
            tracing::info!(env = %function.env.name(), %shard, tick, checked = report.checked, healthy = report.healthy,
                unhealthy = report.unhealthy, unreachable = report.unreachable, restarting = report.restarting,
                skipped = report.skipped, duration_ms = report.duration_ms, "{}", report.summary());
            if report.turned_bad > 0 {
                // Whether that is too much is for `recover` to say, by what all shards report.
                function.env.recover_bell.ring();
            }
            Ok(())
        }
        Swept::Held { by, until } => Err(Failure::SweepHeld { tick, by, until }),
        Swept::Past => {
            tracing::debug!(env = %function.env.name(), %shard, tick, "swept already");
            Ok(())
        }
        Swept::Off => Ok(()),
    }
}

/// The ticks of the env's grid after `minute` and before the next one.
fn ticks_within(minute: Moment, every: Duration) -> impl Iterator<Item = u64> {
    let (first, end) = (minute.tick(every), minute + MINUTE);
    let every = every.as_secs().max(1);
    (1..).map(move |number| first + number * every).take_while(move |tick| {
        i64::try_from(*tick).is_ok_and(|tick| Moment::from_millis(tick.saturating_mul(1_000)) < end)
    })
}

/// The env in one line, by what its shards last reported.
fn summary(function: &Function, round: &Round) -> String {
    let reports = || round.shards.iter().filter_map(|shard| shard.report);
    let newest = reports().map(|report| report.tick).max().unwrap_or(0);
    let mut sum = SweepReport { tick: newest, ..SweepReport::default() };
    reports().filter(|report| report.tick == newest).for_each(|report| sum.add(&report));
    let services: u32 = round.shards.iter().map(|shard| shard.services).sum();
    format!(
        "{}: {services} services in {} shards; {}",
        function.env.name(),
        round.shards.len(),
        sum.summary()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_within_a_minute_are_those_of_the_env_s_grid() {
        let within = |minute: i64, every| {
            ticks_within(Moment::from_millis(minute * 1_000), Duration::from_secs(every)).collect::<Vec<_>>()
        };
        assert_eq!(within(120, 60), Vec::<u64>::new());
        assert_eq!(within(120, 20), [140, 160]);
        assert_eq!(within(120, 45), [135]);
        assert_eq!(within(120, 90), Vec::<u64>::new());
        assert_eq!(within(60, 90), [90]);
        assert_eq!(within(120, 3_600), Vec::<u64>::new());
        assert_eq!(within(120, 5).len(), 11);
    }
}
