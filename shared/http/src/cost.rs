//! What the table has cost, and what that makes in a month.

use axum::http::Method;
use axum::routing::get;
use lamplighter_store::{Consumed, Verb};
use serde_json::{Value, json};

use crate::answer::{Answer, Reply};
use crate::operation::{Access, Given, JSON, Operation};
use crate::query::Asked;
use crate::visit::Visit;

/// DynamoDB on demand, standard table class, us-east-1, in US dollars, as of [`PRICES_AS_OF`].
const DOLLARS_PER_MILLION_WRITES: f64 = 0.625;
/// Likewise.
const DOLLARS_PER_MILLION_READS: f64 = 0.125;
/// When these prices were valid: they are those since the price cut of November 2024.
const PRICES_AS_OF: &str = "2024-11-01";
/// A month, for the projection.
const PROJECTED_DAYS: u32 = 30;
/// Less time than this says nothing of a month: the start reads and writes more than an hour of sweeps.
const LEAST_UPTIME_SECS: f64 = 60.0;

/// The rows of the table.
pub(crate) fn operations() -> Vec<Operation> {
    vec![Operation {
        method: Method::GET,
        path: "/v1/envs/{env}/cost",
        id: "get_cost",
        tag: "health",
        summary: "What the table has cost, and what that makes in a month",
        description: "Units as the store itself reported them, since this process started, by who spent them. On one box \
                      nothing is paid: the projection says what the same work would cost on AWS.",
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
    let ledger = visit.env.store().ledger();
    let uptime = visit.now().since(visit.home.started).as_secs_f64();
    let verbs: Vec<Value> = Verb::ALL
        .into_iter()
        .map(|verb| {
            let mut row = written(&ledger.of(verb));
            row["verb"] = json!(verb.as_str());
            row
        })
        .collect();
    let total = ledger.total();
    Answer::ok(&json!({
        "since": visit.home.started,
        "uptime_seconds": uptime,
        "verbs": verbs,
        "total": written(&total),
        "projection": projection(&total, uptime),
        "prices": {
            "currency": "USD",
            "region": "us-east-1",
            "as_of": PRICES_AS_OF,
            "per_million_read_units": DOLLARS_PER_MILLION_READS,
            "per_million_write_units": DOLLARS_PER_MILLION_WRITES,
        },
    }))
}

fn written(consumed: &Consumed) -> Value {
    json!({
        "calls": consumed.calls,
        "read_units": consumed.read_units,
        "write_units": consumed.write_units,
        "dollars": dollars(consumed.read_units, consumed.write_units),
    })
}

fn dollars(read_units: f64, write_units: f64) -> f64 {
    (read_units * DOLLARS_PER_MILLION_READS + write_units * DOLLARS_PER_MILLION_WRITES) / 1e6
}

/// What a month like the uptime would consume; null while the uptime is too short to say.
fn projection(total: &Consumed, uptime_secs: f64) -> Value {
    if uptime_secs < LEAST_UPTIME_SECS {
        return Value::Null;
    }
    let times = f64::from(PROJECTED_DAYS) * 86_400.0 / uptime_secs;
    let (read_units, write_units) = (total.read_units * times, total.write_units * times);
    json!({
        "days": PROJECTED_DAYS,
        "read_units": read_units.round(),
        "write_units": write_units.round(),
        "dollars": (dollars(read_units, write_units) * 100.0).round() / 100.0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_projected_to_thirty() {
        let day = Consumed { calls: 10, read_units: 1e6, write_units: 2e6, ..Consumed::default() };
        let month = projection(&day, 86_400.0);
        assert_eq!(month["write_units"], 6e7);
        assert_eq!(month["dollars"], 41.25);
        assert_eq!(projection(&day, 5.0), Value::Null);
    }
}
