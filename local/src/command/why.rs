//! `why`: how a service is, why, since when, what comes next, and how it came to this.

use lamplighter_core::ServiceId;
use lamplighter_core::moment::{Moment, spoken};
use lamplighter_core::sight::one_line;
use lamplighter_core::watch::Status;
use serde::Deserialize;
use serde_json::Value;

use super::happening::{self, Happening};
use super::{outline, services, when};
use crate::client::Client;
use crate::exit::{Exit, Outcome};
use crate::say::{self, Form, Ink};

/// Most characters of one sentence.
const MAX_SENTENCE_CHARS: usize = 300;

/// The server's answer, as far as it is shown.
#[derive(Debug, Deserialize)]
pub(super) struct Why {
    pub(super) status: Status,
    pub(super) because: String,
    since: Moment,
    breaker: Breaker,
    #[serde(default)]
    recent_restarts: u32,
    #[serde(default)]
    last_error: Option<String>,
    next: String,
    #[serde(default)]
    pub(super) attempt: Option<Attempt>,
    #[serde(default)]
    incident: Option<Incident>,
    #[serde(default)]
    guard: Option<Guard>,
    #[serde(default)]
    history: Vec<Happening>,
}

#[derive(Debug, Deserialize)]
struct Breaker {
    state: String,
    consecutive_failures: u32,
    opened_at: Option<Moment>,
    until: Option<Moment>,
}

/// The restart that is open.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(super) struct Attempt {
    pub(super) action_no: u64,
}

#[derive(Debug, Deserialize)]
struct Incident {
    since: Moment,
    restarts: u32,
    #[serde(default)]
    tried: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Guard {
    because: String,
}

/// Says why.
pub(super) async fn run(client: &Client, form: Form, id: &ServiceId) -> Outcome {
    let answer: Value = client.get(&format!("services/{id}/why"), &[]).await?.body;
    match (form, Why::deserialize(&answer)) {
        (Form::Json, _) => say::json(&answer)?,
        (Form::Plain, Ok(why)) => say::data(&told(id, &why, when::now()))?,
        // A newer server may say it in another shape.
        (Form::Plain, Err(_)) => outline::print(form, &answer)?,
    }
    Ok(Exit::Ok)
}

/// The answer in a few lines.
fn told(id: &ServiceId, why: &Why, now: Moment) -> String {
    let because = one_line(&why.because, MAX_SENTENCE_CHARS);
    let mut text = format!("{id} is {}: {because}\n", services::status(why.status.as_str()));
    let facts = facts(why, now).into_iter();
    let facts: Vec<Vec<String>> =
        facts.map(|(key, fact)| vec![say::ink(Ink::Dim, key), one_line(&fact, MAX_SENTENCE_CHARS)]).collect();
    text.push_str(&say::table(&facts));
    let history: Vec<Vec<String>> =
        happening::told(&why.history).rev().map(|entry| entry.cells(now).to_vec()).collect();
    if !history.is_empty() {
        text.push('\n');
        text.push_str(&say::table(&history));
    }
    text
}

fn facts(why: &Why, now: Moment) -> Vec<(&'static str, String)> {
    let mut facts = vec![("since", when::since(now, why.since)), ("breaker", breaker(&why.breaker, now))];
    if let Some(incident) = &why.incident {
        let restarts = match incident.restarts {
            0 => "no restart made yet".to_owned(),
            1 => "1 restart made".to_owned(),
            many => format!("{many} restarts made"),
        };
        facts.push(("trouble", format!("since {}; {restarts}", when::since(now, incident.since))));
        facts.extend(incident.tried.iter().map(|tried| ("tried", tried.clone())));
    }
    if why.recent_restarts > 0 {
        facts.push(("restarts", format!("{} lately; too many open the breaker", why.recent_restarts)));
    }
    let error = why.last_error.iter().filter(|error| !why.because.contains(error.as_str()));
    facts.extend(error.map(|error| ("last error", error.clone())));
    facts.extend(why.guard.iter().map(|guard| ("paused", guard.because.clone())));
    facts.push(("next", why.next.clone()));
    facts
}

fn breaker(breaker: &Breaker, now: Moment) -> String {
    let failures = match breaker.consecutive_failures {
        0 => String::new(),
        1 => ", after 1 failed recovery".to_owned(),
        many => format!(", after {many} failed recoveries in a row"),
    };
    let opened = breaker.opened_at.map(|at| format!(" since {}", when::since(now, at))).unwrap_or_default();
    let left =
        breaker.until.map(|until| format!("; one trial in {}", spoken(now.until(until)))).unwrap_or_default();
    let state = breaker.state.replace('_', "-");
    format!("{state}{opened}{failures}{left}")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;

    #[test]
    fn the_answer_reads_downwards_from_what_is_to_what_was() {
        let answer = json!({
            "service": "vps-001", "env": "prod", "status": "circuit_open", "since": "2026-01-02T02:30:20Z",
            "because": "3 recoveries failed; no restart for 30 min, then one trial",
            "breaker": {"state": "open", "consecutive_failures": 3, "opened_at": "2026-01-02T02:30:20Z", "until": "2026-01-02T03:00:20Z"},
            "recent_restarts": 3, "last_error": "unit is not active", "next": "no restart for 29 min",
            "incident": {"since": "2026-01-02T02:30:00Z", "restarts": 3, "tried": ["restart 3: not up"], "told": true},
            "history": [
                {"type": "audit", "id": "5#a", "by": "ada", "action": "hold", "because": "moving \u{1b}[31mhouse", "timestamp": "2026-01-02T02:31:00Z"},
                {"type": "service_status", "id": "4#a", "status": "failed", "message": "breaker open", "because": "3 recoveries failed", "timestamp": "2026-01-02T02:30:20Z"},
                {"type": "service_status", "id": "3#a", "status": "restart_failed", "message": "not up after it", "because": "down", "timestamp": "2026-01-02T02:30:10Z"},
                {"type": "service_status", "id": "2#a", "status": "restarting", "message": "attempt 1 of 3", "because": "down; restart at once", "timestamp": "2026-01-02T02:30:00Z"},
                {"type": "audit", "id": "2#a", "by": "recovery", "action": "restart", "because": "down", "timestamp": "2026-01-02T02:30:00Z"},
            ],
        });
        let why = Why::deserialize(&answer).unwrap();
        let now = Moment::from_millis(1_767_321_020_000) + Duration::from_secs(60);
        assert_eq!(
            told(&"vps-001".parse().unwrap(), &why, now),
            "vps-001 is circuit_open: 3 recoveries failed; no restart for 30 min, then one trial\n\
             since       02:30:20 UTC, 60 s ago\n\
             breaker     open since 02:30:20 UTC, 60 s ago, after 3 failed recoveries in a row; one trial in 29 min\n\
             trouble     since 02:30:00 UTC, 80 s ago; 3 restarts made\n\
             tried       restart 3: not up\n\
             restarts    3 lately; too many open the breaker\n\
             last error  unit is not active\n\
             next        no restart for 29 min\n\
             \n\
             02:30:00  restarting      down; restart at once\n\
             02:30:10  restart failed  not up after it\n\
             02:30:20  breaker open    3 recoveries failed\n\
             02:31:00  by ada          hold: moving [31mhouse\n"
        );
    }
}
