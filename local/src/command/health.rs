//! `health`: an environment in a few lines.

use lamplighter_core::health::Health;
use lamplighter_core::moment::Moment;
use lamplighter_core::settings::Mode;
use lamplighter_core::sight::one_line;
use serde_json::Value;

use super::when;
use crate::client::Client;
use crate::exit::{Exit, Outcome};
use crate::say::{self, Form, Ink};

/// Most characters of the line that counts: every status, and why restarts are paused.
const MAX_SUMMARY_CHARS: usize = 600;

/// Shows it. Ends with 0 however the fleet is: the question was answered.
pub(super) async fn run(client: &Client, form: Form) -> Outcome {
    let answer: Value = client.get("health", &[]).await?.body;
    match (form, serde_json::from_value::<Health>(answer.clone())) {
        (Form::Json, _) => say::json(&answer)?,
        (Form::Plain, Ok(health)) => say::data(&lines(&health, when::now()))?,
        // A newer server may say more than this command knows.
        (Form::Plain, Err(_)) => super::outline::print(form, &answer)?,
    }
    Ok(Exit::Ok)
}

fn lines(health: &Health, now: Moment) -> String {
    let mut text = format!("{}\n", one_line(&health.summary(), MAX_SUMMARY_CHARS));
    match health.mode {
        Mode::Act => {}
        Mode::Observe => text.push_str("mode: observe; nothing is restarted\n"),
        Mode::Off => text.push_str("mode: off; nothing is looked at\n"),
    }
    match (&health.last_sweep, health.last_sweep_at) {
        (Some(sweep), Some(at)) => text.push_str(&format!(
            "last sweep: {}, {} checked in {} ms\n",
            when::since(now, at),
            sweep.checked,
            sweep.duration_ms
        )),
        (Some(_), None) | (None, Some(_)) | (None, None) => text.push_str("last sweep: none yet\n"),
    }
    let troubles = health.troubles.iter().map(|(id, because)| vec![id.to_string(), one_line(because, 200)]);
    text.push_str(&say::table(&troubles.collect::<Vec<_>>()));
    for id in &health.breakers_open {
        text.push_str(&format!("breaker {}: {id}\n", say::ink(Ink::Red, "open")));
    }
    for anomaly in &health.anomalies {
        text.push_str(&format!("anomaly: {}\n", one_line(anomaly, 200)));
    }
    text
}
