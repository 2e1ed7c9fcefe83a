//! As much of JSON Schema as the description uses, so that answers are held to it.

use serde_json::Value;

/// The operation of this method and path.
pub(crate) fn operation<'a>(description: &'a Value, method: &str, path: &str) -> Option<&'a Value> {
    let method = method.to_ascii_lowercase();
    let paths = description["paths"].as_object().unwrap();
    let found = paths.iter().find(|(template, item)| item.get(&method).is_some() && fits(template, path));
    found.map(|(_, item)| &item[&method])
}

fn fits(template: &str, path: &str) -> bool {
    let (template, path): (Vec<&str>, Vec<&str>) = (template.split('/').collect(), path.split('/').collect());
    template.len() == path.len()
        && template.iter().zip(&path).all(|(part, given)| part.starts_with('{') || part == given)
}

/// Panics if `value` is not what `schema` says.
pub(crate) fn must_fit(description: &Value, schema: &Value, value: &Value, place: &str) {
    if let Err(problem) = check(description, schema, value, place) {
        panic!("{problem}\nin {value:#}");
    }
}

fn check(description: &Value, schema: &Value, value: &Value, place: &str) -> Result<(), String> {
    if let Some(reference) = schema["$ref"].as_str() {
        let target = description.pointer(reference.trim_start_matches('#'));
        return check(description, target.ok_or(format!("{reference} leads nowhere"))?, value, place);
    }
    for (name, wanted) in [("anyOf", 1..=usize::MAX), ("oneOf", 1..=1)] {
        if let Some(choices) = schema[name].as_array() {
            let fitting =
                choices.iter().filter(|choice| check(description, choice, value, place).is_ok()).count();
            if !wanted.contains(&fitting) {
                return Err(format!("{place}: {fitting} of {name} fit {value}"));
            }
        }
    }
    if let Some(only) = schema.get("const")
        && only != value
    {
        return Err(format!("{place}: {value} is not {only}"));
    }
    if let Some(choices) = schema["enum"].as_array()
        && !choices.contains(value)
    {
        return Err(format!("{place}: {value} is none of {choices:?}"));
    }
    let is_kind = match schema["type"].as_str() {
        None => true,
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("integer") => value.is_u64(),
        Some("number") => value.is_number(),
        Some("boolean") => value.is_boolean(),
        Some("null") => value.is_null(),
        Some(other) => return Err(format!("{place}: unknown type {other}")),
    };
    if !is_kind {
        return Err(format!("{place}: {value} is not {}", schema["type"]));
    }
    if schema["format"] == "date-time" {
        serde_json::from_value::<lamplighter_core::Moment>(value.clone())
            .map_err(|error| format!("{place}: {error}"))?;
    }
    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
        if let Some(items) = schema.get("items") {
            check(description, items, item, &format!("{place}[{index}]"))?;
        }
    }
    let Some(members) = value.as_object() else { return Ok(()) };
    for name in schema["required"].as_array().into_iter().flatten() {
        if !members.contains_key(name.as_str().unwrap()) {
            return Err(format!("{place}: {name} is missing"));
        }
    }
    for (name, member) in members {
        let place = format!("{place}.{name}");
        match (schema["properties"].get(name), schema.get("additionalProperties")) {
            (Some(known), _) => check(description, known, member, &place)?,
            (None, Some(Value::Bool(false))) => return Err(format!("{place} is not described")),
            (None, Some(others @ Value::Object(_))) => check(description, others, member, &place)?,
            (None, _) => {}
        }
    }
    Ok(())
}
