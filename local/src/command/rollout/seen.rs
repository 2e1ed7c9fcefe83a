//! A rollout as the server tells it.

use lamplighter_core::moment::Moment;
use lamplighter_core::rollout::{Options, RowStatus};
use lamplighter_core::sight::one_line;
use lamplighter_core::update::Way;
use lamplighter_core::{AppName, RolloutId, ServiceId, Version};
use serde::Deserialize;
use serde_json::Value;

use super::path_of;
use crate::client::Client;
use crate::exit::{Exit, Failure};
use crate::say::{self, Ink};

/// Most pages of services read of one rollout: two hundred times 500 are all that an env may hold.
const MAX_PAGES: usize = 200;
/// Most characters of one sentence.
pub(super) const MAX_SENTENCE_CHARS: usize = 300;

/// A rollout, as far as people are told of it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Rollout {
    pub(super) id: RolloutId,
    pub(super) app: AppName,
    pub(super) target: Version,
    #[serde(default)]
    pub(super) branch: Option<String>,
    pub(super) status: String,
    pub(super) because: String,
    /// The stage under way, counted from 1.
    pub(super) stage: u32,
    pub(super) stages: Vec<Stage>,
    #[serde(default)]
    pub(super) services: Vec<Service>,
    /// Where the next page of services begins.
    #[serde(default)]
    pub(super) next: Option<String>,
    #[serde(default)]
    pub(super) paused: Option<Paused>,
    #[serde(default)]
    pub(super) options: Options,
    #[serde(default)]
    pub(super) by: String,
    #[serde(default)]
    pub(super) forced: Option<String>,
    #[serde(default)]
    pub(super) retries: Option<RolloutId>,
    /// What it waits for, and what comes next.
    #[serde(default)]
    pub(super) waits_for: String,
    #[serde(default)]
    pub(super) due_at: Option<Moment>,
    pub(super) created_at: Moment,
    #[serde(default)]
    pub(super) ended_at: Option<Moment>,
}

/// A person's "wait".
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Paused {
    pub(super) by: String,
    pub(super) at: Moment,
}

/// One stage and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Stage {
    pub(super) percent: u32,
    pub(super) size: u32,
    #[serde(default)]
    pub(super) status: String,
    #[serde(default)]
    pub(super) succeeded: u32,
    #[serde(default)]
    pub(super) failed: u32,
    #[serde(default)]
    pub(super) skipped: u32,
}

/// One service of it and what became of that.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Service {
    pub(super) id: ServiceId,
    /// Its stage, counted from 1.
    pub(super) stage: u32,
    pub(super) status: RowStatus,
    #[serde(default)]
    pub(super) step: Option<String>,
    #[serde(default)]
    pub(super) way: Option<Way>,
    #[serde(default)]
    pub(super) previous: Option<Version>,
    #[serde(default)]
    pub(super) current: Option<Version>,
    #[serde(default)]
    pub(super) because: String,
    #[serde(default)]
    pub(super) until: Option<Moment>,
}

/// Reads a rollout with all its services: as it was told, and as it is understood.
pub(super) async fn read(client: &Client, id: &RolloutId) -> Result<(Value, Rollout), Failure> {
    let path = path_of(id);
    let mut told: Value = client.get(&path, &[]).await?.body;
    let mut rollout = understood(&told)?;
    let mut pages = 1;
    while let Some(cursor) = rollout.next.take() {
        pages += 1;
        if pages > MAX_PAGES {
            return Err(Failure::new(Exit::Failed, format!("the services of `{id}` do not end")));
        }
        let mut page: Value = client.get(&path, &[("after", &cursor)]).await?.body;
        let more = understood(&page)?;
        if let (Some(Value::Array(all)), Some(Value::Array(new))) =
            (told.get_mut("services"), page.get_mut("services"))
        {
            all.append(new);
        }
        rollout.services.extend(more.services);
        rollout.next = more.next;
    }
    if let Some(next) = told.get_mut("next") {
        *next = Value::Null;
    }
    Ok((told, rollout))
}

/// The server's answer.
pub(super) fn understood(told: &Value) -> Result<Rollout, Failure> {
    Rollout::deserialize(told).map_err(|error| {
        Failure::new(Exit::Failed, format!("the server's answer is not understood: {error}"))
            .hint("are the server and this command of the same version? `--json` shows the answer as it came")
    })
}

impl Rollout {
    /// How a command that waited for its end ends; `None` while it has none.
    pub(super) fn exit(&self) -> Option<Exit> {
        match self.status.as_str() {
            "completed" => Some(Exit::Ok),
            "completed_with_failures" => Some(Exit::Partial),
            "halted" => Some(Exit::Halted),
            "aborted" => Some(Exit::Failed),
            _ => None,
        }
    }

    /// True once nothing more will be done.
    pub(super) fn has_ended(&self) -> bool {
        self.exit().is_some()
    }

    /// What is brought, as people name it: `main at 1a2b3c4`.
    pub(super) fn target_named(&self) -> String {
        match &self.branch {
            Some(branch) => format!("{} at {}", one_line(branch, 80), self.target.short()),
            None => self.target.short().to_owned(),
        }
    }

    /// Services of its plan, and those of which it is known what became of them.
    pub(super) fn progress(&self) -> (u32, u32) {
        let settled = self.stages.iter().map(|stage| stage.succeeded + stage.failed + stage.skipped).sum();
        (settled, self.stages.iter().map(|stage| stage.size).sum())
    }

    /// Those that do not run the target although it tried.
    pub(super) fn failed(&self) -> u32 {
        self.stages.iter().map(|stage| stage.failed).sum()
    }

    /// Why it stands where it stands, without the word that its status has said already.
    pub(super) fn reason(&self) -> String {
        let because = one_line(&self.because, MAX_SENTENCE_CHARS);
        match because.split_once(": ") {
            Some((word, reason)) if word.replace(' ', "_") == self.status => reason.to_owned(),
            Some(_) | None => because,
        }
    }
}

impl Stage {
    /// Services of which it is known what became of them.
    pub(super) fn settled(&self) -> u32 {
        self.succeeded + self.failed + self.skipped
    }

    /// `2 succeeded, 1 failed`; nothing where nothing has happened.
    pub(super) fn tally(&self) -> String {
        let parts = [(self.succeeded, "succeeded"), (self.failed, "failed"), (self.skipped, "skipped")];
        let told: Vec<String> = parts
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, word)| format!("{count} {word}"))
            .collect();
        told.join(", ")
    }
}

impl Service {
    /// What is being done to it: `install`, or `back: check out`.
    pub(super) fn doing(&self) -> String {
        let step = one_line(self.step.as_deref().unwrap_or("updating"), 40);
        match self.way {
            Some(Way::Back) => format!("back: {step}"),
            Some(Way::Forward) | None => step,
        }
    }
}

/// A rollout's or a stage's status in an operator's words.
pub(super) fn words(status: &str) -> String {
    one_line(status, 30).replace('_', " ")
}

/// The colour of a rollout's or a stage's status.
pub(super) fn ink_of(status: &str) -> Ink {
    match status {
        "completed" | "passed" => Ink::Green,
        "running" | "paused" | "arriving" | "soaking" | "completed_with_failures" | "aborting" => Ink::Yellow,
        "halted" | "halting" | "rolling_back" | "aborted" | "stopped" => Ink::Red,
        _ => Ink::Dim,
    }
}

/// The colour of what became of a service.
pub(super) fn ink_of_row(status: RowStatus) -> Ink {
    match status {
        RowStatus::Success => Ink::Green,
        RowStatus::Updating => Ink::Yellow,
        RowStatus::RolledBack | RowStatus::Failed => Ink::Red,
        RowStatus::Pending | RowStatus::Skipped => Ink::Dim,
    }
}

/// A status in its colour.
pub(super) fn coloured(status: &str) -> String {
    say::ink(ink_of(status), &words(status))
}

/// `1 service`, `12 services`.
pub(super) fn services(count: usize) -> String {
    if count == 1 { "1 service".to_owned() } else { format!("{count} services") }
}
