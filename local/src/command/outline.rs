//! Shows an answer whose shape belongs to the server: as JSON, or as lines of `key: value`.

use std::io;

use lamplighter_core::sight::one_line;
use serde_json::Value;

use crate::say::{self, Form};

/// Most characters of one value that are shown.
const MAX_VALUE_CHARS: usize = 300;

/// Prints `value`.
pub(super) fn print(form: Form, value: &Value) -> io::Result<()> {
    match form {
        Form::Json => say::json(value),
        Form::Plain => {
            let mut lines = String::new();
            outline(value, 0, &mut lines);
            say::data(&lines)
        }
    }
}

fn outline(value: &Value, depth: usize, lines: &mut String) {
    let indent = "  ".repeat(depth);
    let mut entry = |key: &str, value: &Value| match value {
        Value::Object(_) | Value::Array(_) => {
            lines.push_str(&format!("{indent}{key}:\n"));
            outline(value, depth + 1, lines);
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            lines.push_str(&format!("{indent}{key}: {}\n", scalar(value)));
        }
    };
    match value {
        Value::Object(map) => map.iter().for_each(|(key, value)| entry(&key.replace('_', " "), value)),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, item)| entry(&(index + 1).to_string(), item))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            lines.push_str(&format!("{indent}{}\n", scalar(value)));
        }
    }
}

/// A plain value as one safe line.
pub(super) fn scalar(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::Bool(truth) => (if *truth { "yes" } else { "no" }).to_owned(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => one_line(text, MAX_VALUE_CHARS),
        Value::Array(items) => items.iter().map(scalar).collect::<Vec<_>>().join(", "),
        Value::Object(_) => one_line(&value.to_string(), MAX_VALUE_CHARS),
    }
}
