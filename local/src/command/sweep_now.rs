//! `sweep`: has the server look at every service now.

use lamplighter_core::report::SweepReport;
use serde_json::{Value, json};

use super::outline;
use crate::cli::SweepArgs;
use crate::client::Client;
use crate::exit::{Exit, Outcome};
use crate::say::{self, Form};

/// Asks for a sweep, or tells the server that the failures are real. Ends with 5 if the report shows some not healthy.
pub(super) async fn run(client: &Client, form: Form, args: &SweepArgs) -> Outcome {
    let body = if args.go_on { json!({ "go_on": true }) } else { json!({}) };
    let answer = client.post("sweeps", &body).await?;
    let report: Option<SweepReport> = reported(&answer);
    match (form, &report) {
        (Form::Plain, Some(report)) => say::data(&format!("{}\n", super::sweep_once::summary(report)))?,
        (Form::Json | Form::Plain, _) => outline::print(form, &answer)?,
    }
    Ok(if report.is_none_or(|report| report.all_healthy()) { Exit::Ok } else { Exit::Partial })
}

/// The report, if the answer is one and not merely a promise.
fn reported(answer: &Value) -> Option<SweepReport> {
    answer.get("checked")?;
    serde_json::from_value(answer.clone()).ok()
}
