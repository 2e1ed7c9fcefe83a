//! The commands that act on one service: check, hold, release, breaker reset.

use lamplighter_core::ServiceId;
use lamplighter_core::moment::duration_text;
use lamplighter_core::sight::{evidence, one_line};
use serde_json::{Value, json};

use super::services;
use crate::cli::HoldArgs;
use crate::client::Client;
use crate::exit::{Exit, Outcome};
use crate::say::{self, Form, Ink};

/// Most characters of one sentence.
const MAX_SENTENCE_CHARS: usize = 300;

/// `check`: looks now. Ends with 5 if what is seen is not up.
pub(super) async fn check(client: &Client, form: Form, id: &ServiceId) -> Outcome {
    let answer = client.post(&format!("services/{id}/check"), &json!({})).await?;
    let up = answer.get("sight").and_then(Value::as_str) == Some("up");
    match form {
        Form::Json => say::json(&answer)?,
        Form::Plain => say::data(&seen(id, &answer))?,
    }
    Ok(if up { Exit::Ok } else { Exit::Partial })
}

/// What one look saw, the last lines the service wrote, and what was made of it.
fn seen(id: &ServiceId, answer: &Value) -> String {
    let text = |key: &str| answer.get(key).and_then(Value::as_str).unwrap_or_default();
    let ink = match text("sight") {
        "up" => Ink::Green,
        "unknown" => Ink::Yellow,
        _ => Ink::Red,
    };
    let detail = one_line(text("detail"), MAX_SENTENCE_CHARS);
    let took = answer.get("took_ms").and_then(Value::as_u64).unwrap_or_default();
    let sight = say::ink(ink, &one_line(text("sight"), 20));
    let detail = if detail == text("sight") { String::new() } else { format!("  {detail}") };
    let mut said = format!("{id}  {sight}{detail}  (looked in {took} ms)\n");
    for line in evidence(text("evidence")).unwrap_or_default().lines() {
        said.push_str(&format!("  | {line}\n"));
    }
    if let Some(service) = answer.get("service") {
        said.push_str(&headline(id, service));
    }
    said
}

/// `hold`: leave it alone.
pub(super) async fn hold(client: &Client, form: Form, args: &HoldArgs) -> Outcome {
    let body = match args.lasting {
        Some(lasting) => json!({ "reason": args.reason, "lasts": duration_text::written(lasting) }),
        None => json!({ "reason": args.reason }),
    };
    act(client, form, &args.id, "hold", &body).await
}

/// `release`: ends a hold.
pub(super) async fn release(client: &Client, form: Form, id: &ServiceId) -> Outcome {
    act(client, form, id, "release", &json!({})).await
}

/// `breaker reset`: restarts are allowed again.
pub(super) async fn reset_breaker(client: &Client, form: Form, id: &ServiceId) -> Outcome {
    act(client, form, id, "breaker/reset", &json!({})).await?;
    if form == Form::Plain {
        say::note(&format!("the breaker of `{id}` is closed: restarts are allowed again"));
    }
    Ok(Exit::Ok)
}

async fn act(client: &Client, form: Form, id: &ServiceId, verb: &str, body: &Value) -> Outcome {
    let answer = client.post(&format!("services/{id}/{verb}"), body).await?;
    match form {
        Form::Json => say::json(&answer)?,
        Form::Plain => say::data(&headline(id, &answer))?,
    }
    Ok(Exit::Ok)
}

/// `vps-001  restarting  a person asked for a restart`.
pub(super) fn headline(id: &ServiceId, answer: &Value) -> String {
    let text = |key: &str| answer.get(key).and_then(Value::as_str).unwrap_or_default();
    let because = one_line(text("because"), MAX_SENTENCE_CHARS);
    let cells = [id.to_string(), services::status(text("status")), because];
    say::table(&[cells.into_iter().filter(|cell| !cell.is_empty()).collect()])
}
