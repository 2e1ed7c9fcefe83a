//! How a command ends: one number for scripts, one sentence and one hint for people.

use std::fmt;

use crate::source::Refused;

/// The exit status of every command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done, and all is well.
    Ok = 0,
    /// It failed.
    Failed = 1,
    /// What was asked, or a file that was handed in, makes no sense.
    Usage = 2,
    /// A gate halted it: a rollout stopped at a stage.
    Halted = 3,
    /// The server refused: no right to it, or it clashes with what is there.
    Refused = 4,
    /// Some of it was done, or some of what was looked at is not well.
    Partial = 5,
    /// The server could not be reached.
    Unreachable = 6,
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        std::process::ExitCode::from(exit as u8)
    }
}

/// Why a command ended without doing what was asked. Printed as `error: …` and `hint: …`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The exit status.
    pub exit: Exit,
    /// What happened.
    pub what: String,
    /// What to do.
    pub hint: Option<String>,
}

/// How every command ends.
pub type Outcome = Result<Exit, Failure>;

impl Failure {
    /// A failure with no advice to give.
    #[must_use]
    pub fn new(exit: Exit, what: impl Into<String>) -> Self {
        Self { exit, what: what.into(), hint: None }
    }

    /// The same failure with advice.
    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

impl std::error::Error for Failure {}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A refused file says itself which of its lines are errors.
        if self.what.starts_with("error: ") {
            write!(f, "{}", self.what)?;
        } else {
            write!(f, "error: {}", self.what)?;
        }
        match &self.hint {
            Some(hint) => write!(f, "\nhint: {hint}"),
            None => Ok(()),
        }
    }
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        let all = match refused.count() {
            1 => "1 problem".to_owned(),
            many => format!("{many} problems"),
        };
        let what = format!("{refused}\nerror: {all} in `{}`; nothing of it was used", refused.file.display());
        Failure::new(Exit::Usage, what)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Failure::new(Exit::Failed, format!("writing the answer: {error}"))
    }
}
