//! What the pretend `systemctl`, `journalctl` and `docker` answer to looks, told apart as the real ones tell them apart.

use std::time::Instant;

use super::unit::MAX_JOURNAL_LINES;
use super::{Answer, State, Systemd, full_name};

impl Systemd {
    pub(super) fn systemctl(&self, words: &[&str]) -> Option<Answer> {
        let asked = Asked::read(words);
        let (verb, names) = asked.names.split_first()?;
        match *verb {
            "is-active" => {
                let mut stdout = String::new();
                let mut status = 3;
                for name in names {
                    let state = self.state(name);
                    stdout.push_str(state.map_or("inactive", State::as_str));
                    stdout.push('\n');
                    status = match state {
                        Some(State::Active) => 0,
                        Some(State::Activating | State::Inactive | State::Failed) => status,
                        None if status == 0 => 0,
                        None => 4,
                    };
                }
                Some(Answer::said(stdout, status))
            }
            "show" => {
                let mut stdout = String::new();
                for name in names {
                    for (property, value) in self.properties(name) {
                        if asked.properties.is_empty() || asked.properties.contains(&property) {
                            stdout += &if asked.value_only {
                                format!("{value}\n")
                            } else {
                                format!("{property}={value}\n")
                            };
                        }
                    }
                }
                Some(Answer::said(stdout, 0))
            }
            "reset-failed" => {
                for name in names {
                    let known = self.with(name, |unit| {
                        unit.starts.clear();
                        if unit.state == State::Failed {
                            unit.state = State::Inactive;
                            unit.result = "success";
                        }
                    });
                    if known.is_none() {
                        let full = full_name(name);
                        return Some(Answer::refused(
                            format!("Failed to reset failed state of unit {full}: Unit {full} not loaded.\n"),
                            1,
                        ));
                    }
                }
                Some(Answer::default())
            }
            _ => None,
        }
    }

    /// The properties in systemd's order, which is not the order they are asked in.
    fn properties(&self, name: &str) -> Vec<(&'static str, String)> {
        let mut inner = self.lock();
        let now = Instant::now();
        let uptime = inner.uptime(now);
        let id = full_name(name);
        let Some(unit) = inner.units.get_mut(&id) else {
            return vec![
                ("Id", id),
                ("LoadState", "not-found".to_owned()),
                ("ActiveState", "inactive".to_owned()),
                ("SubState", "dead".to_owned()),
                ("StateChangeTimestampMonotonic", "0".to_owned()),
                ("ActiveEnterTimestampMonotonic", "0".to_owned()),
                ("InvocationID", String::new()),
            ];
        };
        unit.settle(now);
        let changed = uptime.saturating_sub(now.saturating_duration_since(unit.changed)).as_micros();
        vec![
            ("Result", unit.result.to_owned()),
            ("NRestarts", unit.auto_restarts.to_string()),
            ("ExecMainStatus", unit.exit_status.to_string()),
            ("Id", id),
            ("LoadState", "loaded".to_owned()),
            ("ActiveState", unit.state.as_str().to_owned()),
            ("SubState", unit.state.sub_state().to_owned()),
            ("StateChangeTimestampMonotonic", changed.to_string()),
            ("ActiveEnterTimestampMonotonic", changed.to_string()),
            ("InvocationID", unit.invocation.clone()),
        ]
    }

    pub(super) fn journalctl(&self, words: &[&str]) -> Answer {
        let value_of = |flag: &str| {
            words.iter().position(|word| *word == flag).and_then(|at| words.get(at + 1)).copied()
        };
        let lines = value_of("-n").and_then(|n| n.parse::<usize>().ok()).unwrap_or(10).min(MAX_JOURNAL_LINES);
        let journal =
            value_of("-u").and_then(|name| self.with(name, |unit| unit.journal.clone())).unwrap_or_default();
        let skipped = journal.len().saturating_sub(lines);
        Answer::said(journal.iter().skip(skipped).map(|line| format!("{line}\n")).collect(), 0)
    }

    /// A container is a unit that Docker is asked about.
    pub(super) fn docker(&self, words: &[&str]) -> Option<Answer> {
        let (verb, rest) = words.split_first()?;
        let name = rest.last()?;
        let Some((state, id, journal)) =
            self.with(name, |unit| (unit.state, unit.invocation.clone(), unit.journal.clone()))
        else {
            return Some(Answer::refused(format!("Error: No such container: {name}\n"), 1));
        };
        let status = match state {
            State::Active => "running",
            State::Activating => "restarting",
            State::Inactive | State::Failed => "exited",
        };
        // Docker's own start time is a date; any text that changes with every start does as well.
        match *verb {
            "inspect" if rest.iter().any(|word| word.contains(".State.Status")) => {
                Some(Answer::said(format!("{status}  {id}\n"), 0))
            }
            "inspect" => Some(Answer::said(format!("{id}\n"), 0)),
            "logs" => Some(Answer::said(journal.iter().map(|line| format!("{line}\n")).collect(), 0)),
            _ => None,
        }
    }
}

/// What a `systemctl` command line asks, options and the rest told apart.
struct Asked<'a> {
    names: Vec<&'a str>,
    properties: Vec<&'a str>,
    value_only: bool,
}

impl<'a> Asked<'a> {
    fn read(words: &[&'a str]) -> Self {
        let mut asked = Asked { names: Vec::new(), properties: Vec::new(), value_only: false };
        let mut words = words.iter().copied();
        while let Some(word) = words.next() {
            if word == "-p" || word == "-P" || word == "--property" {
                asked.properties.extend(words.next().unwrap_or_default().split(','));
                asked.value_only |= word == "-P";
            } else if let Some(list) = word.strip_prefix("--property=").or_else(|| word.strip_prefix("-p")) {
                asked.properties.extend(list.split(','));
            } else if word == "--value" {
                asked.value_only = true;
            } else if !word.starts_with('-') {
                asked.names.push(word);
            }
        }
        asked
    }
}

pub(super) fn lifecycle_of_systemctl<'a>(words: &[&'a str]) -> Option<(&'static str, &'a str)> {
    let asked = Asked::read(words);
    let (verb, names) = asked.names.split_first()?;
    let verb = match *verb {
        "restart" => "restart",
        "start" => "start",
        "stop" => "stop",
        _ => return None,
    };
    names.first().map(|name| (verb, *name))
}
