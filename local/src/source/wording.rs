//! Turns what the parser says into what a person can act on. Never repeats a value that may be a secret.

use super::nearest::nearest;

/// What is wrong and what to do, for a key that nothing knows.
pub(crate) fn unknown_key(key: &str, known: &[&str]) -> (String, Option<String>) {
    (format!("unknown key `{}`", shown(key)), Some(choose(key, known, "keys")))
}

/// What is wrong and what to do, from the parser's message.
pub(super) fn of_message(message: &str) -> (String, Option<String>) {
    let message = message.trim_end();
    if let Some((written, known)) = unknown(message, "unknown field ") {
        return unknown_key(written, &known);
    }
    if let Some((written, known)) = unknown(message, "unknown variant ") {
        return (format!("`{}` is not known here", shown(written)), Some(choose(written, &known, "choices")));
    }
    if let Some(key) = message.strip_prefix("missing field ") {
        return (format!("{key} is missing"), None);
    }
    for start in ["invalid type: ", "invalid value: "] {
        if let Some((found, expected)) =
            message.strip_prefix(start).and_then(|rest| rest.rsplit_once(", expected "))
        {
            let found = if start == "invalid value: " { "a value that does not fit" } else { kind(found) };
            return (format!("expected {}, found {found}", expectation(expected)), None);
        }
    }
    split(message)
}

/// Splits "what is wrong; what to do" and "`x` is not a y: what would be".
pub(crate) fn split(message: &str) -> (String, Option<String>) {
    let one_line = message.lines().next().unwrap_or_default();
    let parts = match one_line.split_once("; ") {
        Some(parts) => Some(parts),
        None if one_line.contains(" is not ") => one_line.rsplit_once(": "),
        None => None,
    };
    match parts {
        Some((what, hint)) => (what.to_owned(), Some(hint.to_owned())),
        None => (one_line.to_owned(), None),
    }
}

/// Reads "unknown field `x`, expected one of `a`, `b`" apart.
fn unknown<'m>(message: &'m str, start: &str) -> Option<(&'m str, Vec<&'m str>)> {
    let (written, known) = message.strip_prefix(start)?.split_once(", ")?;
    let known = known.split('`').skip(1).step_by(2).collect();
    Some((written.trim_matches('`'), known))
}

fn choose(written: &str, known: &[&str], what: &str) -> String {
    if let Some(near) = nearest(written, known.iter().copied()) {
        return format!("did you mean `{near}`?");
    }
    let names: Vec<String> = known.iter().map(|name| format!("`{name}`")).collect();
    match names.as_slice() {
        [] => "remove it".to_owned(),
        [one] => format!("the only one of the {what} is {one}"),
        [..] => format!("the {what} are {}", names.join(", ")),
    }
}

/// A key as it can be shown in one line.
fn shown(key: &str) -> String {
    key.chars().take(64).flat_map(char::escape_debug).collect()
}

/// What stood there, without its value.
fn kind(found: &str) -> &'static str {
    let kinds = [
        ("string", "a string"),
        ("integer", "a whole number"),
        ("floating", "a number with a fraction"),
        ("boolean", "`true` or `false`"),
        ("map", "a table"),
        ("sequence", "a list"),
    ];
    kinds.iter().find(|(start, _)| found.starts_with(start)).map_or("something else", |(_, words)| words)
}

fn expectation(expected: &str) -> &str {
    match expected {
        "u16" => "a whole number from 0 to 65535",
        "u8" => "a whole number from 0 to 255",
        "u32" | "u64" | "usize" => "a whole number, 0 or more",
        "i64" | "i32" => "a whole number",
        "a boolean" => "`true` or `false`",
        "string or map" | "string or table" => "a name, or a table such as `{ systemd = \"web\" }`",
        _ if expected.starts_with("struct ") => "a table",
        _ if expected.starts_with("enum ") => "a name, or a table such as `{ systemd = \"web\" }`",
        "a sequence" => "a list, such as `[\"a\", \"b\"]`",
        _ => expected,
    }
}
