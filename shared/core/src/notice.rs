//! News for a person, before it becomes a letter.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::moment::Moment;
use crate::name::{Mailbox, ServiceId};

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoticeKind {
    /// A service is not up. For its owner.
    Down,
    /// It is up again. For its owner.
    Recovered,
    /// Recovery has given up for a while. For the admins.
    BreakerOpen,
    /// Too much failed at once: the fault is taken to be ours. For the admins.
    Blind,
    /// A rollout did too much harm and stopped itself. For the admins.
    RolloutHalted,
    /// A rollout ended otherwise. For the admins.
    RolloutFinished,
    /// A push started no rollout. For the admins.
    PushRefused,
}

impl NoticeKind {
    /// The kind as it stands in ids and subjects.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            NoticeKind::Down => "down",
            NoticeKind::Recovered => "recovered",
            NoticeKind::BreakerOpen => "breaker-open",
            NoticeKind::Blind => "blind",
            NoticeKind::RolloutHalted => "rollout-halted",
            NoticeKind::RolloutFinished => "rollout-finished",
            NoticeKind::PushRefused => "push-refused",
        }
    }
}

impl fmt::Display for NoticeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One piece of news, committed with the transition it tells of and delivered at least once under one id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// Stable and unique in the env: `vps-001.17.down`. Every delivery of it carries this id.
    pub id: String,
    /// What happened.
    pub kind: NoticeKind,
    /// The service it is about; none for news of the whole env.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceId>,
    /// The incident it belongs to: letters of one incident form one thread, `vps-001.17`.
    pub thread: String,
    /// The tick or second it was decided in; with the recipients it names a digest.
    pub tick: u64,
    /// When it was decided.
    pub at: Moment,
    /// Whom it is for. Empty if nobody is to be told: then it is only recorded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub to: Vec<Mailbox>,
    /// What happened, as one sentence without a full stop.
    pub because: String,
    /// What was tried, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tried: Vec<String>,
    /// What happens next.
    pub next: String,
    /// The last lines the service wrote. Hostile text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<String>,
    /// When the incident began, for letters that end one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incident_since: Option<Moment>,
    /// Set if so much happened in one tick that this recipient gets one letter for all of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
}
