//! An inventory in YAML, or in the JSON that `ansible-inventory --list` prints.

use saphyr::{LoadableYamlNode as _, Scalar, Yaml};
use serde_json::{Map, Value};

use super::{Inventory, MAX_DEPTH, Vars, range};

/// Reads YAML: groups with `hosts`, `vars` and `children`.
pub(super) fn from_yaml(text: &str) -> Result<Inventory, String> {
    let documents = Yaml::load_from_str(text)
        .map_err(|error| lamplighter_core::sight::one_line(&error.to_string(), 200))?;
    let Some(document) = documents.first() else { return Ok(Inventory::default()) };
    let Value::Object(groups) = plain(document, 0) else {
        return Err("its top is not a table of groups".to_owned());
    };
    let mut inventory = Inventory::default();
    for (name, group) in &groups {
        read_group(name, group, 0, &mut inventory)?;
    }
    Ok(inventory)
}

/// Reads JSON: groups with lists of hosts and children, and `_meta.hostvars`.
pub(super) fn from_json(text: &str) -> Result<Inventory, String> {
    let value: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let groups = value.as_object().ok_or("its top is not a table of groups")?;
    let mut inventory = Inventory::default();
    let hostvars = groups.get("_meta").and_then(|meta| meta.get("hostvars")).and_then(Value::as_object);
    for (name, group) in groups.iter().filter(|(name, _)| name.as_str() != "_meta") {
        read_group(name, group, 0, &mut inventory)?;
    }
    for (host, value) in hostvars.into_iter().flatten() {
        if let Some(known) = inventory.vars.get_mut(host) {
            known.extend(vars(Some(value)));
        } else {
            inventory.add("ungrouped", host, vars(Some(value)));
        }
    }
    Ok(inventory)
}

fn read_group(name: &str, group: &Value, depth: usize, inventory: &mut Inventory) -> Result<(), String> {
    if depth > MAX_DEPTH {
        return Err(format!("groups are nested deeper than {MAX_DEPTH}"));
    }
    inventory.group(name);
    match group.get("hosts") {
        Some(Value::Object(hosts)) => {
            for (pattern, value) in hosts {
                for host in range::expand(pattern)? {
                    inventory.add(name, &host, vars(Some(value)));
                }
            }
        }
        Some(Value::Array(hosts)) => {
            for host in hosts.iter().filter_map(Value::as_str) {
                inventory.add(name, host, Vars::new());
            }
        }
        Some(_) | None => {}
    }
    let own = vars(group.get("vars"));
    inventory.group(name).vars.extend(own);
    match group.get("children") {
        Some(Value::Object(children)) => {
            for (child, value) in children {
                inventory.group(name).children.push(child.clone());
                read_group(child, value, depth + 1, inventory)?;
            }
        }
        Some(Value::Array(children)) => {
            let children = children.iter().filter_map(Value::as_str).map(str::to_owned);
            inventory.group(name).children.extend(children);
        }
        Some(_) | None => {}
    }
    Ok(())
}

/// The variables that are plain values.
fn vars(value: Option<&Value>) -> Vars {
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    };
    let map = value.and_then(Value::as_object);
    map.into_iter().flatten().filter_map(|(key, value)| Some((key.clone(), text(value)?))).collect()
}

/// YAML as JSON; whatever has no place there (tags, bad values) is nothing.
fn plain(yaml: &Yaml<'_>, depth: usize) -> Value {
    if depth > 4 * MAX_DEPTH {
        return Value::Null;
    }
    match yaml {
        Yaml::Value(Scalar::Boolean(truth)) => Value::Bool(*truth),
        Yaml::Value(Scalar::Integer(number)) => Value::from(*number),
        Yaml::Value(Scalar::FloatingPoint(number)) => Value::from(number.into_inner()),
        Yaml::Value(Scalar::String(text)) | Yaml::Representation(text, _, _) => {
            Value::String(text.to_string())
        }
        Yaml::Sequence(items) => items.iter().map(|item| plain(item, depth + 1)).collect(),
        Yaml::Mapping(map) => {
            let entries = map.iter().filter_map(|(key, value)| Some((name(key)?, plain(value, depth + 1))));
            Value::Object(entries.collect::<Map<String, Value>>())
        }
        Yaml::Value(Scalar::Null) | Yaml::Tagged(..) | Yaml::Alias(_) | Yaml::BadValue => Value::Null,
    }
}

fn name(key: &Yaml<'_>) -> Option<String> {
    match plain(key, 0) {
        Value::String(text) => Some(text),
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}
