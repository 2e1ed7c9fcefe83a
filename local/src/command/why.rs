//! `why`: how a service is, why, since when, what comes next, and how it came to this.

use lamplighter_core::moment::{Moment, spoken};
use lamplighter_core::sight::one_line;
use lamplighter_core::watch::Status;
use lamplighter_core::{RolloutId, ServiceId, Version};
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
    version: Option<Versions>,
    /// The rollout that has it now.
    #[serde(default)]
    rollout: Option<InRollout>,
    /// Why only a person can mend it.
    #[serde(default)]
    needs_human: Option<String>,
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

/// Which version it runs, as it was last verified.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Versions {
    current: Option<Version>,
    previous: Option<Version>,
    status: Option<String>,
    updated_at: Option<Moment>,
    rollout: Option<RolloutId>,
}

/// The rollout that has it now. What it does with this service stands in `next`.
#[derive(Debug, Deserialize)]
struct InRollout {
    id: RolloutId,
    #[serde(default)]
    status: String,
    #[serde(default)]
    stage: u32,
    #[serde(default)]
    stages: u32,
    #[serde(default)]
    target: Option<Version>,
    /// Why it goes back.
    #[serde(default)]
    because: Option<String>,
    #[serde(default)]
    waits_for: Option<String>,
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
    let mut facts = vec![("since", when::since(now, why.since))];
    facts.extend(why.needs_human.iter().map(|reason| ("look at it", reason.clone())));
    facts.extend(why.rollout.iter().map(|rollout| ("rollout", in_rollout(rollout))));
    let because = why.rollout.iter().filter_map(|rollout| rollout.because.as_ref());
    facts.extend(because.map(|because| ("goes back", because.clone())));
    let waiting = why.rollout.iter().filter_map(|rollout| rollout.waits_for.as_ref());
    facts.extend(waiting.map(|waiting| ("it waits", waiting.clone())));
    facts.extend(
        why.version.as_ref().and_then(|versions| version(versions, now)).map(|told| ("version", told)),
    );
    facts.push(("breaker", breaker(&why.breaker, now)));
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

/// `shop-3 to 1a2b3c4, running, stage 2 of 3`.
fn in_rollout(rollout: &InRollout) -> String {
    let target = rollout.target.as_ref().map(|target| format!(" to {}", target.short())).unwrap_or_default();
    let stage = match rollout.stage {
        0 => String::new(),
        stage => format!(", stage {stage} of {}", rollout.stages),
    };
    format!("{}{target}, {}{stage}", rollout.id, rollout.status.replace('_', " "))
}

/// `1a2b3c4, before it 9f8e7d6; success by shop-3, 02:30:20 UTC, 60 s ago`; none if no rollout ever came by.
fn version(versions: &Versions, now: Moment) -> Option<String> {
    let mut parts = Vec::new();
    if let Some(current) = &versions.current {
        let before = versions.previous.as_ref().filter(|previous| *previous != current);
        let before = before.map(|previous| format!(", before it {}", previous.short())).unwrap_or_default();
        parts.push(format!("{}{before}", current.short()));
    }
    if let Some(status) = &versions.status {
        let by = versions.rollout.as_ref().map(|rollout| format!(" by {rollout}")).unwrap_or_default();
        let at = versions.updated_at.map(|at| format!(", {}", when::since(now, at))).unwrap_or_default();
        parts.push(format!("{}{by}{at}", status.replace('_', " ")));
    }
    (!parts.is_empty()).then(|| parts.join("; "))
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

    #[test]
    fn a_service_in_a_rollout_says_which_step_and_what_it_ran() {
        let (old, new) =
            ("9f8e7d6c5b4a39281706f5e4d3c2b1a09f8e7d6c", "1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d");
        let answer = json!({
            "status": "updating", "since": "2026-01-02T02:30:00Z", "because": "shop-4: install",
            "breaker": { "state": "closed", "consecutive_failures": 0 }, "next": "rollout shop-4 brings it to 9f8e7d6: `install` now, within 80 s, then `restart`",
            "needs_human": "shop-3 could not take it back: check out failed",
            "version": { "current": old, "previous": old, "status": "rolled_back", "rollout": "shop-3",
                         "updated_at": "2026-01-02T02:20:00Z" },
            "rollout": { "id": "shop-4", "status": "running", "stage": 2, "stages": 3, "way": "back", "step": "install",
                         "target": new, "until": "2026-01-02T02:31:20Z", "because": "install failed: exit 1",
                         "waits_for": "`vps-001`; 2 more of stage 2 of 3 follow" },
        });
        let why = Why::deserialize(&answer).unwrap();
        let now = Moment::from_millis(1_767_321_000_000);
        insta::assert_snapshot!(told(&"vps-001".parse().unwrap(), &why, now), @r#"
        vps-001 is updating: shop-4: install
        since       02:30:00 UTC, just now
        look at it  shop-3 could not take it back: check out failed
        rollout     shop-4 to 1a2b3c4, running, stage 2 of 3
        goes back   install failed: exit 1
        it waits    `vps-001`; 2 more of stage 2 of 3 follow
        version     9f8e7d6; rolled back by shop-3, 02:20:00 UTC, 10 min ago
        breaker     closed
        next        rollout shop-4 brings it to 9f8e7d6: `install` now, within 80 s, then `restart`
        "#);
    }
}
