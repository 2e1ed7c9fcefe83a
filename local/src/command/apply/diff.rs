//! What a fleet file would change of what the server has.

use std::collections::BTreeMap;
use std::fmt;

use lamplighter_core::ServiceId;
use lamplighter_core::sight::one_line;
use lamplighter_core::spec::ServiceSpec;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use crate::client::Expect;
use crate::say::{self, Ink};

/// Most characters of one value that are shown.
const MAX_VALUE_CHARS: usize = 60;

/// A service as the server has it: its spec, and which version that is. Of one that stays anyway only the name.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) id: ServiceId,
    pub(super) spec: Option<ServiceSpec>,
    pub(super) etag: Option<String>,
}

/// Whether services that the file lacks are removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Removal {
    Remove,
    Keep,
}

/// One service's change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Change {
    pub(super) id: ServiceId,
    #[serde(flatten, serialize_with = "deed")]
    pub(super) deed: Deed,
}

/// What is done about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Deed {
    /// It is new.
    Add(Box<ServiceSpec>),
    /// It is another than before: which keys, from what to what.
    Change { spec: Box<ServiceSpec>, expect: Expect, keys: Vec<String> },
    /// The file has it no more.
    Remove { expect: Expect },
}

/// What would change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Diff {
    pub(super) changes: Vec<Change>,
    /// Settings that change, if any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) settings: Vec<String>,
    /// Services that stay as they are.
    pub(super) unchanged: usize,
    /// Services that the server has, the file lacks, and nobody asked to remove.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) kept: Vec<ServiceId>,
}

fn deed<S: Serializer>(deed: &Deed, to: S) -> Result<S::Ok, S::Error> {
    let (action, keys) = match deed {
        Deed::Add(_) => ("add", None),
        Deed::Change { keys, .. } => ("change", Some(keys)),
        Deed::Remove { .. } => ("remove", None),
    };
    let mut map = BTreeMap::from([("action", Value::from(action))]);
    map.extend(keys.map(|keys| ("keys", Value::from(keys.clone()))));
    map.serialize(to)
}

impl Diff {
    pub(super) fn between(
        wanted: Vec<ServiceSpec>,
        known: Vec<Known>,
        removal: Removal,
        settings: Option<Vec<String>>,
    ) -> Self {
        let mut known: BTreeMap<ServiceId, Known> =
            known.into_iter().map(|known| (known.id.clone(), known)).collect();
        let mut diff = Diff {
            changes: Vec::new(),
            settings: settings.unwrap_or_default(),
            unchanged: 0,
            kept: Vec::new(),
        };
        for spec in wanted {
            let id = spec.id.clone();
            let deed = match known.remove(&id) {
                None => Deed::Add(Box::new(spec)),
                Some(known) if known.spec.as_ref() == Some(&spec) => {
                    diff.unchanged += 1;
                    continue;
                }
                Some(known) => {
                    let before = serde_json::to_value(&known.spec).unwrap_or_default();
                    let keys = changed_keys(&before, &spec);
                    Deed::Change { spec: Box::new(spec), expect: expect(known.etag), keys }
                }
            };
            diff.changes.push(Change { id, deed });
        }
        for (id, known) in known {
            match removal {
                Removal::Remove => {
                    diff.changes.push(Change { id, deed: Deed::Remove { expect: expect(known.etag) } })
                }
                Removal::Keep => diff.kept.push(id),
            }
        }
        diff
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many writes it takes.
    pub(super) fn len(&self) -> usize {
        self.changes.len() + usize::from(!self.settings.is_empty())
    }
}

fn expect(etag: Option<String>) -> Expect {
    etag.map_or(Expect::Anything, Expect::Tag)
}

/// The keys in which `after` differs, each as `key: before → after`. Of a table that was one before, its keys: a long
/// one is shown cut, and the cut may hide what differs.
pub(super) fn changed_keys<T: Serialize>(before: &Value, after: &T) -> Vec<String> {
    let empty = Map::new();
    let after = serde_json::to_value(after).unwrap_or_default();
    let mut changed = Vec::new();
    gather_changes(
        "",
        before.as_object().unwrap_or(&empty),
        after.as_object().unwrap_or(&empty),
        &mut changed,
    );
    changed
}

fn gather_changes(
    inside: &str,
    before: &Map<String, Value>,
    after: &Map<String, Value>,
    changed: &mut Vec<String>,
) {
    let shown = |value: Option<&Value>| match value {
        None | Some(Value::Null) => "unset".to_owned(),
        Some(Value::String(text)) => one_line(text, MAX_VALUE_CHARS),
        Some(other) => one_line(&other.to_string(), MAX_VALUE_CHARS),
    };
    let keys: std::collections::BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    for key in keys {
        match (before.get(key), after.get(key)) {
            (before, after) if before == after => {}
            (Some(Value::Object(before)), Some(Value::Object(after)))
                if before.keys().any(|key| after.contains_key(key)) =>
            {
                gather_changes(&format!("{inside}{key}."), before, after, changed);
            }
            (before, after) => changed.push(format!("{inside}{key}: {} → {}", shown(before), shown(after))),
        }
    }
}

impl fmt::Display for Diff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for key in &self.settings {
            writeln!(f, "{} settings  {key}", say::ink(Ink::Yellow, "~"))?;
        }
        let (mut added, mut changed, mut removed) = (0, 0, 0);
        for Change { id, deed } in &self.changes {
            match deed {
                Deed::Add(spec) => {
                    added += 1;
                    writeln!(f, "{} {id}  {}", say::ink(Ink::Green, "+"), spec.address)?;
                }
                Deed::Change { keys, .. } => {
                    changed += 1;
                    writeln!(f, "{} {id}  {}", say::ink(Ink::Yellow, "~"), keys.join(", "))?;
                }
                Deed::Remove { .. } => {
                    removed += 1;
                    writeln!(f, "{} {id}", say::ink(Ink::Red, "-"))?;
                }
            }
        }
        write!(f, "{added} to add, {changed} to change, {removed} to remove, {} unchanged", self.unchanged)?;
        match self.kept.as_slice() {
            [] => writeln!(f),
            [one] => writeln!(f, "; `{one}` is not in the file and stays (`--prune` removes it)"),
            [first, rest @ ..] => {
                writeln!(
                    f,
                    "; `{first}` and {} more are not in the file and stay (`--prune` removes them)",
                    rest.len()
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn spec(update: &Value) -> ServiceSpec {
        let spec = json!({ "id": "vps-001", "address": "a", "transport": "local", "check": { "tcp": 80 },
            "restart": { "systemd": "web" }, "update": update });
        serde_json::from_value(spec).unwrap()
    }

    fn told(before: &Value, after: &Value) -> Vec<String> {
        changed_keys(&serde_json::to_value(spec(before)).unwrap(), &spec(after))
    }

    #[test]
    fn a_changed_update_is_told_key_by_key() {
        let dir = "/home/rachel/a/path/that/is/long/enough/to/be/cut/where/a/line/ends";
        let before = json!({ "dir": dir, "install": "bun install" });
        let after = json!({ "dir": dir, "branch": "next", "install": "bun install --frozen-lockfile", "after": "./warm" });
        assert_eq!(
            told(&before, &after),
            [
                "update.after: unset → ./warm",
                "update.branch: main → next",
                "update.install: bun install → bun install --frozen-lockfile"
            ]
        );
        assert_eq!(told(&before, &before), Vec::<String>::new());
    }

    #[test]
    fn an_update_that_is_new_or_gone_is_told_whole() {
        let update = json!({ "dir": "/srv/web" });
        assert_eq!(told(&Value::Null, &update), [r#"update: unset → {"branch":"main","dir":"/srv/web"}"#]);
        assert_eq!(told(&update, &Value::Null), [r#"update: {"branch":"main","dir":"/srv/web"} → unset"#]);
    }

    #[test]
    fn a_value_of_another_kind_is_told_whole() {
        let changed =
            changed_keys(&json!({ "check": { "tcp": 80 } }), &json!({ "check": { "systemd": "web" } }));
        assert_eq!(changed, [r#"check: {"tcp":80} → {"systemd":"web"}"#]);
        let changed = changed_keys(&json!({ "check": { "tcp": 80 } }), &json!({ "check": { "tcp": 81 } }));
        assert_eq!(changed, ["check.tcp: 80 → 81"]);
    }
}
