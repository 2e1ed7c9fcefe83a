//! The commands about one service: why, restart, check, hold, release, breaker reset.

use lamplighter_core::ServiceId;
use lamplighter_core::moment::duration_text;
use lamplighter_core::sight::one_line;
use serde_json::{Value, json};

use super::{outline, services};
use crate::cli::HoldArgs;
use crate::client::Client;
use crate::exit::{Exit, Outcome};
use crate::say::{self, Form};

/// `why`: the reason that was stored with the state.
pub(super) async fn why(client: &Client, form: Form, id: &ServiceId) -> Outcome {
    let answer: Value = client.get(&format!("services/{id}/why"), &[]).await?.body;
    match form {
        Form::Json => say::json(&answer)?,
        Form::Plain => {
            say::data(&headline(id, &answer))?;
            let mut rest = answer;
            if let Some(map) = rest.as_object_mut() {
                ["id", "env", "service", "status", "because"].iter().for_each(|key| drop(map.remove(*key)));
                map.retain(|_, value| !value.is_null());
                if !map.is_empty() {
                    outline::print(form, &rest)?;
                }
            }
        }
    }
    Ok(Exit::Ok)
}

/// `restart`: asks for a restart, up or not.
pub(super) async fn restart(client: &Client, form: Form, id: &ServiceId) -> Outcome {
    act(client, form, id, "restart", &json!({})).await
}

/// `check`: looks now.
pub(super) async fn check(client: &Client, form: Form, id: &ServiceId) -> Outcome {
    act(client, form, id, "check", &json!({})).await
}

/// `hold`: leave it alone.
pub(super) async fn hold(client: &Client, form: Form, args: &HoldArgs) -> Outcome {
    let body = match args.lasting {
        Some(lasting) => json!({ "reason": args.reason, "for": duration_text::written(lasting) }),
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
    act(client, form, id, "breaker/reset", &json!({})).await
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
fn headline(id: &ServiceId, answer: &Value) -> String {
    let text = |key: &str| answer.get(key).and_then(Value::as_str);
    let status = text("status").map(services::status).unwrap_or_default();
    let because = one_line(text("because").or(text("message")).unwrap_or("done"), 300);
    say::table(&[[id.to_string(), status, because].into_iter().filter(|cell| !cell.is_empty()).collect()])
}
