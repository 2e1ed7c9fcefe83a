//! One line a finding.

use std::io;

use serde::Serialize;

use crate::say::{self, Form, Ink};

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Level {
    Ok,
    Warn,
    Fail,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    pub(super) level: Level,
    /// A service, a file, an address.
    pub(super) about: String,
    pub(super) what: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) hint: Option<String>,
}

impl Finding {
    pub(super) fn ok(about: &str, what: impl Into<String>) -> Self {
        Self { level: Level::Ok, about: about.to_owned(), what: what.into(), hint: None }
    }

    pub(super) fn warn(about: &str, what: impl Into<String>) -> Self {
        Self { level: Level::Warn, ..Self::ok(about, what) }
    }

    pub(super) fn fail(about: &str, what: impl Into<String>) -> Self {
        Self { level: Level::Fail, ..Self::ok(about, what) }
    }

    pub(super) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

/// Findings as they are made; people see each at once.
#[derive(Debug)]
pub(super) struct Findings {
    form: Form,
    made: Vec<Finding>,
}

impl Findings {
    pub(super) fn new(form: Form) -> Self {
        Self { form, made: Vec::new() }
    }

    pub(super) fn add(&mut self, finding: Finding) -> io::Result<()> {
        if self.form == Form::Plain {
            let level = match finding.level {
                Level::Ok => say::ink(Ink::Green, "ok  "),
                Level::Warn => say::ink(Ink::Yellow, "warn"),
                Level::Fail => say::ink(Ink::Red, "FAIL"),
            };
            say::data(&format!("{level}  {}: {}\n", finding.about, finding.what))?;
            if let Some(hint) = &finding.hint {
                say::data(&format!("      hint: {}\n", hint.replace('\n', "\n            ")))?;
            }
        }
        self.made.push(finding);
        Ok(())
    }

    /// Programs see all of them at the end.
    pub(super) fn finish(&self) -> io::Result<()> {
        match self.form {
            Form::Json => say::json(&self.made),
            Form::Plain => Ok(()),
        }
    }

    pub(super) fn any_failed(&self) -> bool {
        self.made.iter().any(|finding| finding.level == Level::Fail)
    }
}
