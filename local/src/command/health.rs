//! `health`: an environment in a few lines.

use lamplighter_core::health::Health;
use lamplighter_core::sight::one_line;
use serde_json::Value;

use super::services;
use crate::client::Client;
use crate::exit::{Exit, Outcome};
use crate::say::{self, Form};

/// Shows it. Ends with 0 however the fleet is: the question was answered.
pub(super) async fn run(client: &Client, form: Form) -> Outcome {
    let answer: Value = client.get("health", &[]).await?.body;
    match (form, serde_json::from_value::<Health>(answer.clone())) {
        (Form::Json, _) => say::json(&answer)?,
        (Form::Plain, Ok(health)) => say::data(&lines(&health))?,
        // A newer server may say more than this command knows.
        (Form::Plain, Err(_)) => super::outline::print(form, &answer)?,
    }
    Ok(Exit::Ok)
}

fn lines(health: &Health) -> String {
    let mut text = format!("{}\n", health.summary());
    if let (Some(sweep), Some(at)) = (&health.last_sweep, health.last_sweep_at) {
        text.push_str(&format!("last sweep: {at}, {} checked in {} ms\n", sweep.checked, sweep.duration_ms));
    }
    let troubles = health.troubles.iter().map(|(id, because)| vec![id.to_string(), one_line(because, 200)]);
    text.push_str(&say::table(&troubles.collect::<Vec<_>>()));
    for id in &health.breakers_open {
        text.push_str(&format!("breaker {}: {id}\n", services::status("circuit_open")));
    }
    for anomaly in &health.anomalies {
        text.push_str(&format!("anomaly: {}\n", one_line(anomaly, 200)));
    }
    text
}
