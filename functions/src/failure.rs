//! Why a call failed: a stable name for alarms and dashboards, and one line for people.

use lambda_runtime::Diagnostic;
use lamplighter_core::causes::in_one_line;
use lamplighter_store::{OpenError, StoreError};

/// A call that failed. The name of each is its `errorType` in Lambda's answer and in the log.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// An environment variable is missing or makes no sense.
    #[error("`{key}`: {problem}; {}", who_sets(key))]
    BadConfiguration {
        /// The variable.
        key: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// The event is none that this function knows. A queue's message then goes to the dead-letter queue.
    #[error("the event is not one that this function is woken by: {0}")]
    BadEvent(String),
    /// The event is from the future: one of the two clocks is wrong, and nothing is done by a wrong clock.
    #[error(
        "the event is {ahead_secs} s ahead of this function's clock: one of them is wrong, and nothing is done by a wrong clock"
    )]
    ClockSkew {
        /// How far ahead.
        ahead_secs: u64,
    },
    /// The table cannot be used as it is: missing, another env's, of a newer schema.
    #[error("{}", in_one_line(.0))]
    Table(OpenError),
    /// The store does not answer, or refuses: nothing was done to any host without it.
    #[error("{}", in_one_line(.0))]
    Store(#[from] StoreError),
    /// The sweep before still holds a shard: this tick of it is skipped.
    #[error("sweep {tick} skipped: `{by}` still holds the shard, until {until}")]
    SweepHeld {
        /// The tick.
        tick: u64,
        /// Who holds it.
        by: String,
        /// Until when.
        until: lamplighter_core::Moment,
    },
    /// A ring could not be passed on to its function.
    #[error("a ring could not be passed on to `{function}`: {because}")]
    NotPassedOn {
        /// The function.
        function: String,
        /// Why.
        because: String,
    },
    /// The call's time was over. What was committed stands; the next call goes on from there.
    #[error("the call's time is over; the next one goes on from what was committed")]
    OutOfTime,
    /// A fault of ours.
    #[error("a fault of this program: {0}")]
    Fault(String),
}

/// Who sets a variable, and so what to do if it is wrong.
fn who_sets(key: &str) -> &'static str {
    match key.starts_with("AWS_") {
        true => {
            "Lambda sets it, and infra/functions.env on a developer's machine: add that to its environment"
        }
        false => "it is set by template.yaml: deploy that again",
    }
}

impl Failure {
    /// A variable that is not there.
    pub(crate) fn missing(key: &'static str) -> Failure {
        Failure::BadConfiguration { key, problem: "it is missing".to_owned() }
    }

    /// The stable name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Failure::BadConfiguration { .. } => "BadConfiguration",
            Failure::BadEvent(_) => "BadEvent",
            Failure::ClockSkew { .. } => "ClockSkew",
            Failure::Table(OpenError::NoTable { .. }) => "NoTable",
            Failure::Table(OpenError::NotOurs { .. } | OpenError::OtherEnv { .. }) => "NotOurTable",
            Failure::Table(OpenError::NewerSchema { .. }) => "NewerSchema",
            Failure::Table(OpenError::HalfImported { .. }) => "HalfImported",
            Failure::Table(_) => "TableUnusable",
            Failure::Store(StoreError::NewerSchema { .. }) => "NewerSchema",
            Failure::Store(StoreError::Unavailable { .. }) => "StoreUnavailable",
            Failure::Store(_) => "StoreRefused",
            Failure::SweepHeld { .. } => "SweepHeld",
            Failure::NotPassedOn { .. } => "NotPassedOn",
            Failure::OutOfTime => "OutOfTime",
            Failure::Fault(_) => "Fault",
        }
    }

    /// The same failure once more: what is wrong with the environment is told to each call.
    #[must_use]
    pub(crate) fn again(&self) -> Failure {
        match self {
            Failure::BadConfiguration { key, problem } => {
                Failure::BadConfiguration { key, problem: problem.clone() }
            }
            Failure::BadEvent(_)
            | Failure::ClockSkew { .. }
            | Failure::Table(_)
            | Failure::Store(_)
            | Failure::SweepHeld { .. }
            | Failure::NotPassedOn { .. }
            | Failure::OutOfTime
            | Failure::Fault(_) => Failure::Fault(self.to_string()),
        }
    }

    /// Logs it: once, at the door.
    pub(crate) fn log(&self) {
        let error_type = self.name();
        match self {
            // The sweep before is merely slow; if that lasts, the alarm about ticks tells.
            Failure::SweepHeld { .. } => tracing::warn!(error_type, "{self}"),
            Failure::BadConfiguration { .. }
            | Failure::BadEvent(_)
            | Failure::ClockSkew { .. }
            | Failure::Table(_)
            | Failure::Store(_)
            | Failure::NotPassedOn { .. }
            | Failure::OutOfTime
            | Failure::Fault(_) => tracing::error!(error_type, "{self}"),
        }
    }
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Store(error) => Failure::Store(error),
            error @ (OpenError::NoTable { .. }
            | OpenError::NotOurs { .. }
            | OpenError::Empty { .. }
            | OpenError::OtherEnv { .. }
            | OpenError::NewerSchema { .. }
            | OpenError::HalfImported { .. }
            | OpenError::InUse { .. }
            | OpenError::File { .. }) => Failure::Table(error),
        }
    }
}

impl From<Failure> for Diagnostic {
    fn from(failure: Failure) -> Self {
        Diagnostic { error_type: failure.name().to_owned(), error_message: failure.to_string() }
    }
}
