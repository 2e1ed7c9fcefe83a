//! An inventory in INI form.

use super::{Inventory, Vars, range};

#[derive(Debug)]
enum Part {
    Hosts(String),
    Vars(String),
    Children(String),
}

/// Reads it.
pub(super) fn read(text: &str) -> Result<Inventory, String> {
    let mut inventory = Inventory::default();
    let mut part = Part::Hosts("ungrouped".to_owned());
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        let at = |problem: String| format!("line {}: {problem}", number + 1);
        let heading = line.strip_prefix('[').and_then(|rest| rest.split(']').next());
        if let (Some(heading), true) = (heading, is_heading(line)) {
            part = match heading.split_once(':') {
                None => Part::Hosts(heading.to_owned()),
                Some((group, "vars")) => Part::Vars(group.to_owned()),
                Some((group, "children")) => Part::Children(group.to_owned()),
                Some((_, other)) => return Err(at(format!("`:{}` is unknown", other.escape_debug()))),
            };
            let (Part::Hosts(group) | Part::Vars(group) | Part::Children(group)) = &part;
            inventory.group(group);
            continue;
        }
        match &part {
            Part::Hosts(group) => host(line, group, &mut inventory).map_err(at)?,
            Part::Vars(group) => {
                let (key, value) = line.split_once('=').ok_or_else(|| at("not `key=value`".to_owned()))?;
                let value = unquoted(value.trim());
                inventory.group(group).vars.insert(key.trim().to_owned(), value);
            }
            Part::Children(group) => {
                let child = words(line).into_iter().next().unwrap_or_default();
                inventory.group(&child);
                inventory.group(group).children.push(child);
            }
        }
    }
    Ok(inventory)
}

/// True for `[group]`, false for a host range at the start of a line, `[a:f]-db`.
fn is_heading(line: &str) -> bool {
    line.split_once(']')
        .is_some_and(|(_, rest)| rest.trim().is_empty() || rest.trim_start().starts_with(['#', ';']))
}

fn host(line: &str, group: &str, inventory: &mut Inventory) -> Result<(), String> {
    let mut words = words(line).into_iter();
    let pattern = words.next().unwrap_or_default();
    let mut vars = Vars::new();
    for word in words {
        let (key, value) =
            word.split_once('=').ok_or_else(|| format!("`{}` is not `key=value`", word.escape_debug()))?;
        vars.insert(key.to_owned(), value.to_owned());
    }
    for name in range::expand(&pattern)? {
        let mut vars = vars.clone();
        // `host:2222` is a host and its port; an IPv6 address has more than one colon.
        let name = match name.rsplit_once(':') {
            Some((host, port))
                if port.parse::<u16>().is_ok() && !host.trim_end_matches(']').contains(':') =>
            {
                vars.insert("ansible_port".to_owned(), port.to_owned());
                host.to_owned()
            }
            Some(_) | None => name,
        };
        inventory.add(group, &name, vars);
    }
    Ok(())
}

/// Words as a shell would see them, up to a comment.
fn words(line: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut word = String::new();
    let mut quote = None;
    let mut within = false;
    for c in line.chars() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some(_), c) => word.push(c),
            (None, '\'' | '"') => {
                quote = Some(c);
                within = true;
            }
            (None, '#') if !within && word.is_empty() => break,
            (None, c) if c.is_whitespace() => {
                if within {
                    words.push(std::mem::take(&mut word));
                }
                within = false;
            }
            (None, c) => {
                word.push(c);
                within = true;
            }
        }
    }
    if within {
        words.push(word);
    }
    words
}

fn unquoted(value: &str) -> String {
    let quoted = ['"', '\''].iter().find_map(|quote| value.strip_prefix(*quote)?.strip_suffix(*quote));
    quoted.unwrap_or(value).to_owned()
}
