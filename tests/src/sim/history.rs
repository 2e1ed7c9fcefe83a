//! What the table took, in order, for the checkers: read from the requests, not from what the engine says of them.

use std::collections::BTreeMap;

use lamplighter_core::Moment;
use lamplighter_core::rollout::{AppState, Rollout, Row, Updating};
use lamplighter_core::version::{RolloutId, Version};
use serde::de::DeserializeOwned;
use serde_json::{Map, Number, Value};

/// A watch as it was committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Its place among everything that happened.
    pub order: u64,
    /// When.
    pub at: Moment,
    /// The service.
    pub service: String,
    /// Its version.
    pub version: u64,
    /// Its status.
    pub status: String,
    /// The action number of its open attempt.
    pub attempt: Option<u64>,
    /// The state of its breaker, `closed` if it is not written.
    pub breaker: String,
    /// Its open update.
    pub update: Option<Updating>,
    /// Whether a person must look.
    pub flagged: bool,
    /// The version that was last verified.
    pub current: Option<Version>,
}

/// A notice as it was put into the outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Noticed {
    /// When.
    pub at: Moment,
    /// Its id.
    pub id: String,
    /// Its kind.
    pub kind: String,
    /// The service it is about.
    pub service: String,
    /// Whether anybody is to be told.
    pub told: bool,
    /// The digest it belongs to.
    pub digest: Option<String>,
}

impl Noticed {
    /// True if a letter with this id tells of it.
    #[must_use]
    pub fn is_told_by(&self, message_id: &str) -> bool {
        message_id.ends_with(&format!(".{}", self.id))
            || self.digest.as_ref().is_some_and(|digest| {
                message_id.contains("digest") && message_id.contains(&digest.replace('@', "=40"))
            })
    }
}

/// Something with its place and its time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed<T> {
    /// Its place among everything that happened.
    pub order: u64,
    /// When.
    pub at: Moment,
    /// What.
    pub what: T,
}

/// What the table took, in order.
#[derive(Debug, Default)]
pub struct History {
    /// Notices put into the outbox.
    pub notices: Vec<Noticed>,
    /// Watches.
    pub watches: Vec<Written>,
    /// Services whose watches were taken away.
    pub removed: Vec<Placed<String>>,
    /// Heads of rollouts.
    pub heads: Vec<Placed<Rollout>>,
    /// Rows of rollouts, with the rollout.
    pub rows: Vec<Placed<(RolloutId, Row)>>,
    /// States of apps.
    pub apps: Vec<Placed<AppState>>,
    /// Audit entries with an action number: when it was committed, service, number.
    pub audits: Vec<(Moment, String, u64)>,
    /// The places of those entries, in the same order.
    pub audited: Vec<u64>,
    /// Sweeps finished: shard and tick.
    pub sweeps: Vec<(String, u64)>,
    /// Calls carried out, by operation.
    pub calls: BTreeMap<String, u64>,
    /// Faults injected.
    pub faults: u64,
}

impl History {
    /// Notes a write that was accepted.
    pub(super) fn note(&mut self, order: u64, now: Moment, operation: &str, request: &Value) {
        if operation == "UpdateItem" {
            self.note_sweep(request);
        }
        for part in request["TransactItems"].as_array().into_iter().flatten() {
            self.note_item(order, now, &part["Put"]["Item"]);
            self.note_removal(order, now, &part["Delete"]["Key"]);
        }
        for part in request["RequestItems"].as_object().into_iter().flat_map(Map::values) {
            for one in part.as_array().into_iter().flatten() {
                self.note_item(order, now, &one["PutRequest"]["Item"]);
            }
        }
        self.note_item(order, now, &request["Item"]);
    }

    fn note_sweep(&mut self, request: &Value) {
        let finishes = request["UpdateExpression"].as_str().is_some_and(|text| text.contains("#sweeps"));
        if finishes {
            let tick = request["ExpressionAttributeValues"][":report"]["M"]["tick"]["N"]
                .as_str()
                .and_then(|n| n.parse().ok());
            let shard = request["Key"]["sk"]["S"].as_str().unwrap_or("?").to_owned();
            self.sweeps.push((shard, tick.unwrap_or(0)));
        }
    }

    fn note_removal(&mut self, order: u64, at: Moment, key: &Value) {
        if let Some(service) = key["sk"]["S"].as_str().and_then(|sk| sk.strip_prefix("WATCH#")) {
            self.removed.push(Placed { order, at, what: service.to_owned() });
        }
    }

    fn note_item(&mut self, order: u64, at: Moment, item: &Value) {
        let (pk, sk) = (text(&item["pk"]), text(&item["sk"]));
        if pk == "OUTBOX" {
            let told = item["to"]["L"].as_array().is_some_and(|to| !to.is_empty());
            self.notices.push(Noticed {
                at,
                id: text(&item["id"]),
                kind: text(&item["kind"]),
                service: text(&item["service"]),
                told,
                digest: item["digest"]["S"].as_str().map(str::to_owned),
            });
        } else if sk.starts_with("WATCH#") {
            self.note_watch(order, at, item);
        } else if let Some(rollout) = pk.strip_prefix("ROLLOUT#") {
            if let Some(what) = read(item) {
                self.heads.push(Placed { order, at, what });
            } else if let (Ok(id), Some(row)) = (rollout.parse(), read(item)) {
                self.rows.push(Placed { order, at, what: (id, row) });
            }
        } else if pk == "APPS" {
            self.apps.extend(read(item).map(|what| Placed { order, at, what }));
        } else if pk.starts_with("EVENTS") {
            for entry in item["audit"]["L"].as_array().into_iter().flatten() {
                if let Some(action_no) = count(&entry["M"]["action_no"]) {
                    self.audits.push((at, text(&entry["M"]["service"]), action_no));
                    self.audited.push(order);
                }
            }
        }
    }

    fn note_watch(&mut self, order: u64, at: Moment, item: &Value) {
        self.watches.push(Written {
            order,
            at,
            service: text(&item["service"]),
            version: count(&item["version"]).unwrap_or(0),
            status: text(&item["status"]),
            attempt: count(&item["attempt"]["M"]["action_no"]),
            breaker: item["breaker"]["M"]["state"]["S"].as_str().unwrap_or("closed").to_owned(),
            update: read(&item["update"]["M"]),
            flagged: item["needs_human"]["S"].is_string(),
            current: item["versions"]["M"]["current"]["S"].as_str().and_then(|text| text.parse().ok()),
        });
    }
}

fn text(value: &Value) -> String {
    value["S"].as_str().unwrap_or_default().to_owned()
}

fn count(value: &Value) -> Option<u64> {
    value["N"].as_str().and_then(|n| n.parse().ok())
}

/// Reads attributes as `T`.
fn read<T: DeserializeOwned>(attributes: &Value) -> Option<T> {
    let plain: Map<String, Value> =
        attributes.as_object()?.iter().map(|(name, value)| (name.clone(), plain(value))).collect();
    serde_json::from_value(Value::Object(plain)).ok()
}

/// An attribute without the name of its type.
fn plain(attribute: &Value) -> Value {
    let Some((kind, value)) = attribute.as_object().and_then(|one| one.iter().next()) else {
        return Value::Null;
    };
    match (kind.as_str(), value) {
        ("N", Value::String(digits)) => {
            digits.parse::<i64>().map_or(Value::Null, |number| Value::Number(Number::from(number)))
        }
        ("M", Value::Object(fields)) => {
            Value::Object(fields.iter().map(|(name, value)| (name.clone(), plain(value))).collect())
        }
        ("L", Value::Array(values)) => Value::Array(values.iter().map(plain).collect()),
        ("S" | "BOOL", value) => value.clone(),
        _ => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_read_as_what_was_stored() {
        let stored = serde_json::json!({
            "version": {"N": "3"}, "app": {"S": "web"}, "rollouts": {"N": "2"}, "active": {"S": "web-2"},
            "quarantined": {"L": [{"M": {
                "version": {"S": "0123456789abcdef0123456789abcdef01234567"}, "rollout": {"S": "web-1"},
                "because": {"S": "2 of 3 failed"}, "at": {"S": "2026-01-02T00:00:00Z"},
            }}]},
            "pk": {"S": "APPS"}, "sk": {"S": "web"},
        });
        let mut history = History::default();
        history.note(7, Moment::EPOCH, "PutItem", &serde_json::json!({ "Item": stored }));
        let app = &history.apps[0];
        assert_eq!((app.order, app.what.version, app.what.quarantined.len()), (7, 3, 1));
    }
}
