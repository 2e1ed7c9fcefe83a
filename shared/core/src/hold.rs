//! A person's "leave it alone".

use serde::{Deserialize, Serialize};

use crate::moment::Moment;

/// Longest reason kept, in characters.
pub const MAX_REASON_CHARS: usize = 200;

/// A hold on one service: automation looks away until it is released or expires, and never undoes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Who holds it, by the name of their token.
    pub by: String,
    /// Why, in their words.
    pub reason: String,
    /// When it was put on.
    pub since: Moment,
    /// When it ends by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Moment>,
}

impl Hold {
    /// True while the hold keeps automation away.
    #[must_use]
    pub fn is_in_force(&self, now: Moment) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}
