//! `services`: the fleet, one line each.

use lamplighter_core::sight::one_line;
use serde_json::Value;

use crate::cli::ServicesArgs;
use crate::client::Client;
use crate::exit::{Exit, Outcome};
use crate::say::{self, Form, Ink};

/// Most characters of a sentence in a table.
const MAX_BECAUSE_CHARS: usize = 120;

/// Lists them.
pub(super) async fn run(client: &Client, form: Form, args: &ServicesArgs) -> Outcome {
    let mut query = Vec::new();
    query.extend(args.status.as_deref().map(|status| ("status", status)));
    query.extend(args.app.as_deref().map(|app| ("app", app)));
    let services: Vec<Value> = client.list("services", &query).await?;
    // The server may know fewer filters than this command.
    let wanted = |key: &str, wanted: Option<&String>, service: &Value| {
        wanted.is_none_or(|wanted| service.get(key).and_then(Value::as_str) == Some(wanted))
    };
    let services: Vec<Value> = services
        .into_iter()
        .filter(|service| {
            wanted("status", args.status.as_ref(), service) && wanted("app", args.app.as_ref(), service)
        })
        .collect();
    match form {
        Form::Json => say::json(&services)?,
        Form::Plain => {
            let rows: Vec<Vec<String>> = services.iter().map(row).collect();
            say::data(&say::table(&rows))?;
            say::note(&format!("{} services in `{}`", services.len(), client.env()));
        }
    }
    Ok(Exit::Ok)
}

fn row(service: &Value) -> Vec<String> {
    let text = |key: &str| service.get(key).and_then(Value::as_str).unwrap_or("-");
    let because = one_line(text("because"), MAX_BECAUSE_CHARS);
    vec![one_line(text("id"), 64), status(text("status")), one_line(text("address"), 80), because]
}

/// A status in its colour.
pub(super) fn status(status: &str) -> String {
    let colour = match status {
        "healthy" => Ink::Green,
        "restarting" | "updating" | "unhealthy" => Ink::Yellow,
        "down" | "circuit_open" => Ink::Red,
        _ => Ink::Dim,
    };
    say::ink(colour, &one_line(status, 20))
}
