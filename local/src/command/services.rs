//! `services`: the fleet, one line each, trouble first.

use std::collections::BTreeMap;

use lamplighter_core::Version;
use lamplighter_core::moment::Moment;
use lamplighter_core::sight::one_line;
use lamplighter_core::watch::Status;
use serde::Deserialize;
use serde_json::Value;

use super::when;
use crate::cli::ServicesArgs;
use crate::client::Client;
use crate::exit::{Exit, Outcome};
use crate::say::{self, Form, Ink};

/// Most characters of a sentence in a table.
const MAX_BECAUSE_CHARS: usize = 120;

/// Lists them.
pub(super) async fn run(client: &Client, form: Form, args: &ServicesArgs) -> Outcome {
    let asked = [("status", &args.status), ("app", &args.app), ("owner", &args.owner), ("q", &args.text)];
    let query: Vec<(&str, &str)> =
        asked.iter().filter_map(|(key, value)| Some((*key, value.as_deref()?))).collect();
    let mut services: Vec<Value> = client.list("services", &query).await?;
    if form == Form::Json {
        say::json(&services)?;
        return Ok(Exit::Ok);
    }
    services.sort_by_cached_key(|service| (urgency(text(service, "status")), text(service, "id").to_owned()));
    let now = when::now();
    let rows: Vec<Vec<String>> = services.iter().map(|service| row(service, now)).collect();
    say::data(&say::table(&rows))?;
    say::note(&summary(&services, client, !query.is_empty()));
    Ok(Exit::Ok)
}

/// What a person looks at first. A status of a newer server comes before all: nobody knows how bad it is.
fn urgency(status: &str) -> u8 {
    match Status::deserialize(&Value::from(status)) {
        Err(_) => 0,
        Ok(Status::CircuitOpen) => 1,
        Ok(Status::Down) => 2,
        Ok(Status::Unhealthy) => 3,
        Ok(Status::Restarting) => 4,
        Ok(Status::Unknown) => 5,
        Ok(Status::Held) => 6,
        Ok(Status::Updating) => 7,
        Ok(Status::Healthy) => 8,
    }
}

fn row(service: &Value, now: Moment) -> Vec<String> {
    let cell = |key: &str, most: usize| one_line(text(service, key), most);
    let since = service.get("since").and_then(|since| Moment::deserialize(since).ok());
    let age = since.map_or_else(|| "-".to_owned(), |since| when::age(now, since));
    let because = match text(service, "lifecycle") {
        "ready" | "-" => cell("because", MAX_BECAUSE_CHARS),
        lifecycle => {
            format!("{}, not looked at; {}", one_line(lifecycle, 20), cell("because", MAX_BECAUSE_CHARS))
        }
    };
    vec![cell("id", 64), status(text(service, "status")), age, runs(service), cell("address", 80), because]
}

/// The app and the version that was last verified to run, as far as either is known: `shop@1a2b3c4`.
fn runs(service: &Value) -> String {
    let app = service.get("app").and_then(Value::as_str).map(|app| one_line(app, 64));
    match (app, version(service)) {
        (None, None) => "-".to_owned(),
        (Some(app), None) => app,
        (app, Some(version)) => format!("{}@{version}", app.unwrap_or_default()),
    }
}

/// The version a service runs, short: `9f8e7d6`, or while it is being changed `9f8e7d6→1a2b3c4`.
fn version(service: &Value) -> Option<String> {
    let named = |key: &str| {
        let version: Version = service.get("version")?.get(key)?.as_str()?.parse().ok()?;
        Some(version.short().to_owned())
    };
    let updating = text(service, "status") == Status::Updating.as_str();
    match (named("current"), named("target").filter(|_| updating)) {
        (current, Some(target)) => Some(format!("{}→{target}", current.unwrap_or_default())),
        (current, None) => current,
    }
}

/// `4 services in `prod`: 3 healthy, 1 down`.
fn summary(services: &[Value], client: &Client, narrowed: bool) -> String {
    let env = client.env();
    let mut counts: BTreeMap<(u8, &str), usize> = BTreeMap::new();
    for service in services {
        let status = text(service, "status");
        *counts.entry((urgency(status), status)).or_default() += 1;
    }
    let counts: Vec<String> =
        counts.iter().map(|((_, status), count)| format!("{count} {}", one_line(status, 20))).collect();
    match (services.len(), narrowed) {
        (0, true) => format!("no such service in `{env}`"),
        (0, false) => format!("no services in `{env}` yet; `lamplighter apply fleet.toml` adds some"),
        (1, _) => format!("1 service in `{env}`: {}", counts.join(", ")),
        (many, _) => format!("{many} services in `{env}`: {}", counts.join(", ")),
    }
}

fn text<'v>(service: &'v Value, key: &str) -> &'v str {
    service.get(key).and_then(Value::as_str).unwrap_or("-")
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_service_runs_is_told_as_far_as_it_is_known() {
        let (old, new) =
            ("9f8e7d6c5b4a39281706f5e4d3c2b1a09f8e7d6c", "1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d");
        let version = json!({ "current": old, "target": new, "previous": null });
        assert_eq!(runs(&json!({ "id": "a" })), "-");
        assert_eq!(runs(&json!({ "app": "shop", "version": { "current": null } })), "shop");
        assert_eq!(runs(&json!({ "app": "shop", "status": "healthy", "version": version })), "shop@9f8e7d6");
        let updating = json!({ "app": "shop", "status": "updating", "version": version });
        assert_eq!(runs(&updating), "shop@9f8e7d6→1a2b3c4");
        let hostile = runs(&json!({ "app": "sh\u{1b}op", "version": { "current": "\u{1b}main" } }));
        assert!(!hostile.contains(['\u{1b}', '@']), "{hostile:?}");
    }
}
