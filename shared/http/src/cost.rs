//! What was consumed, and what that makes in a month on AWS.

use axum::http::Method;
use axum::routing::get;
use lamplighter_app::Sweeps;
use lamplighter_core::bill::{
    ALARM_METRICS, Counts, IDLE_POLLS, Line, MONTH_DAYS, PRICES_AS_OF, READ_UNIT, REQUESTS_PER_MESSAGE,
    SCHEDULES, WRITE_UNIT, bill, total, total_beyond_free,
};
use lamplighter_store::{Consumed, Spent, Verb};
use serde_json::{Value, json};

use crate::answer::{Answer, Reply};
use crate::operation::{Access, Given, JSON, Operation};
use crate::query::Asked;
use crate::visit::Visit;

/// Less time than this says nothing of a month: the start reads and writes more than an hour of sweeps.
const LEAST_SECS: f64 = 60.0;
/// What was consumed is told, and projected, from the last days only: a fleet grows.
const DAYS: u32 = 7;

/// The rows of the table.
pub(crate) fn operations() -> Vec<Operation> {
    vec![Operation {
        method: Method::GET,
        path: "/v1/envs/{env}/cost",
        id: "get_cost",
        tag: "health",
        summary: "What was consumed, and what that makes in a month on AWS",
        description: "By who spent it: units of the table as the store itself reported them, runs and their time, letters, \
                      messages; on AWS from the last seven days, as all functions have written it down (each does so \
                      every ten minutes), on one box since it started. On one box nothing is paid: the projection says \
                      what the table and the letters would cost on AWS. Logs, keys and traffic are not counted here.",
        access: Access::SeeAll,
        params: &[],
        body: None,
        answers: &[Given { status: 200, says: "The ledger.", media: JSON, schema: "Cost" }],
        problems: &[],
        route: get(show),
    }]
}

async fn show(visit: Visit, asked: Asked) -> Reply {
    asked.nothing_else("none")?;
    let (store, now) = (visit.store(), visit.now());
    let kept = store.kept_ledger(DAYS, now).await?;
    let since = kept.iter().map(|row| row.since).chain([visit.home.started]).min().unwrap_or(now);
    let seconds = now.since(since).as_secs_f64();
    let spent = |verb: Verb| {
        let rows = kept.iter().filter(|row| row.verb == verb);
        rows.fold(store.ledger().unkept(verb), |sum, Spent { consumed, .. }| sum.and(consumed))
    };
    let verbs: Vec<Value> = Verb::ALL
        .into_iter()
        .map(|verb| {
            let mut row = written(&spent(verb));
            row["verb"] = json!(verb.as_str());
            row
        })
        .collect();
    let all = Verb::ALL.into_iter().fold(Consumed::default(), |sum, verb| sum.and(&spent(verb)));
    Answer::ok(&json!({
        "since": since,
        "uptime_seconds": seconds,
        "verbs": verbs,
        "total": written(&all),
        "projection": projection(visit.env.sweeps(), &all, spent(Verb::Api).runs, seconds),
        "prices": {
            "currency": "USD",
            "region": "us-east-1",
            "as_of": PRICES_AS_OF,
            "per_million_read_units": READ_UNIT * 1e6,
            "per_million_write_units": WRITE_UNIT * 1e6,
        },
    }))
}

fn written(consumed: &Consumed) -> Value {
    let counts =
        Counts { read_units: consumed.read_units, write_units: consumed.write_units, ..Counts::default() };
    json!({
        "calls": consumed.calls,
        "read_units": consumed.read_units,
        "write_units": consumed.write_units,
        "runs": consumed.runs,
        "milliseconds": consumed.millis,
        "gigabyte_seconds": gigabyte_seconds(consumed),
        "letters": consumed.letters,
        "messages": consumed.messages,
        "dollars": total(&bill(&counts)),
    })
}

/// What a month like the time that was counted would consume and cost; null while that is too short to say.
fn projection(sweeps: Sweeps, all: &Consumed, requests: u64, seconds: f64) -> Value {
    if seconds < LEAST_SECS {
        return Value::Null;
    }
    let times = f64::from(MONTH_DAYS) * 86_400.0 / seconds;
    let month = |count: u64| float(count) * times;
    let table = Counts {
        read_units: all.read_units * times,
        write_units: all.write_units * times,
        letters: month(all.letters),
        ..Counts::default()
    };
    let counts = match sweeps {
        Sweeps::Together => table,
        Sweeps::Apart => Counts {
            calls: month(all.runs),
            gigabyte_seconds: gigabyte_seconds(all) * times,
            requests: month(requests),
            schedules: SCHEDULES,
            queue_requests: IDLE_POLLS + month(all.messages) * REQUESTS_PER_MESSAGE,
            alarm_metrics: ALARM_METRICS,
            ..table
        },
    };
    let lines = bill(&counts);
    let shown: Vec<&Line<'_>> = lines.iter().filter(|line| line.count > 0.0).collect();
    json!({
        "days": MONTH_DAYS,
        "read_units": counts.read_units.round(),
        "write_units": counts.write_units.round(),
        "lines": shown,
        "dollars": cents(total(&lines)),
        "dollars_beyond_free_tiers": cents(total_beyond_free(&lines)),
    })
}

fn cents(dollars: f64) -> f64 {
    (dollars * 100.0).round() / 100.0
}

fn gigabyte_seconds(consumed: &Consumed) -> f64 {
    float(consumed.megabyte_millis) / 1_024.0 / 1_000.0
}

#[expect(clippy::cast_precision_loss, reason = "2^53 of anything is more than any env will ever pay for")]
fn float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_projected_to_thirty() {
        let day = Consumed { calls: 10, read_units: 1e6, write_units: 2e6, ..Consumed::default() };
        let month = projection(Sweeps::Together, &day, 0, 86_400.0);
        assert_eq!(month["write_units"], 6e7);
        assert_eq!((&month["dollars"], &month["dollars_beyond_free_tiers"]), (&json!(41.25), &json!(41.25)));
        assert_eq!(projection(Sweeps::Together, &day, 0, 5.0), Value::Null);
    }

    #[test]
    fn on_aws_functions_and_what_stands_around_them_are_on_the_bill() {
        // A day of one function of 128 MB that is called each minute for a second.
        let day = Consumed {
            runs: 1_440,
            millis: 1_440_000,
            megabyte_millis: 1_440_000 * 128,
            messages: 1_440,
            ..Consumed::default()
        };
        let month = projection(Sweeps::Apart, &day, 0, 86_400.0);
        let line = |what: &str| {
            let lines = month["lines"].as_array().unwrap();
            lines.iter().find(|line| line["what"] == what).map(|line| line["count"].as_f64().unwrap())
        };
        assert_eq!(line("functions: calls"), Some(43_200.0));
        assert_eq!(line("functions: gigabyte-seconds"), Some(5_400.0));
        assert_eq!(line("queue: requests"), Some(648_000.0 + 43_200.0 * 2.1));
        assert_eq!(line("alarms: metrics"), Some(5.0));
        assert_eq!(line("letters"), None);
        assert_eq!((&month["dollars"], &month["dollars_beyond_free_tiers"]), (&json!(1.05), &json!(0.0)));
    }
}
