//! Plans, kept for a day, so that a start can be held against what was shown.

use std::time::Duration;

use lamplighter_core::Moment;
use lamplighter_core::rollout::plan::Plan;

use crate::condition::Wording;
use crate::item::{EXPIRES_AT, Item, Key, count, expiry, is_expired, number, string, text};
use crate::wire::Freshness;
use crate::{Store, StoreError};

/// How long a plan is kept: who has slept over it makes a new one.
pub const PLAN_KEPT: Duration = Duration::from_secs(24 * 3_600);
/// Most bytes of one item's part of a plan: an item is at most 400 KiB.
const PART_BYTES: usize = 300 * 1_024;
/// Most parts of one plan: 100,000 services, with a sentence for each of them, fit.
const PARTS_MAX: usize = 128;
/// Pages of a megabyte that a plan may fill: three parts fit one.
const PLAN_PAGES: usize = PARTS_MAX / 2;

impl Store {
    /// Keeps a plan under its hash. A plan that is kept already is kept from now on.
    ///
    /// # Errors
    /// If the table does not answer, or the plan is larger than any env's.
    pub async fn put_plan(&self, plan: &Plan, now: Moment) -> Result<(), StoreError> {
        let unwritable = |error: serde_json::Error| StoreError::BadItem {
            key: partition(&plan.hash),
            because: error.to_string(),
        };
        let json = serde_json::to_string(plan).map_err(unwritable)?;
        let parts = parts(&json);
        if parts.len() > PARTS_MAX {
            let because = format!("a plan of {} bytes is larger than any env's", json.len());
            return Err(StoreError::Refused { operation: "keeping a plan", because });
        }
        for (index, part) in parts.iter().enumerate() {
            let mut stored = Key::new(partition(&plan.hash), format!("{index:03}")).attributes();
            stored.insert("parts".to_owned(), number(parts.len()));
            stored.insert("json".to_owned(), text(*part));
            stored.insert(EXPIRES_AT.to_owned(), expiry(now, PLAN_KEPT));
            self.put(stored, Wording::new()).await?;
        }
        Ok(())
    }

    /// The plan of this hash, if it was made within the last day.
    ///
    /// # Errors
    /// If the table does not answer.
    pub async fn plan(&self, hash: &str, now: Moment) -> Result<Option<Plan>, StoreError> {
        let items = self.query_all(&partition(hash), Freshness::Consistent, PLAN_PAGES).await?;
        let parts = items.first().map_or(0, |item| count(item, "parts"));
        let whole: Vec<&Item> =
            items.iter().filter(|item| count(item, "parts") == parts && !is_expired(item, now)).collect();
        // A part that is missing was not written, or is swept away: then there is no plan.
        if whole.is_empty() || u64::try_from(whole.len()) != Ok(parts) {
            return Ok(None);
        }
        let json: String = whole.into_iter().filter_map(|item| string(item, "json")).collect();
        match serde_json::from_str::<Plan>(&json) {
            Ok(plan) if plan.hash == hash => Ok(Some(plan)),
            Ok(_) => Ok(None),
            Err(error) => {
                tracing::error!(hash, %error, "a plan is not readable");
                Ok(None)
            }
        }
    }
}

pub(crate) const PLAN_PREFIX: &str = "PLAN#";

fn partition(hash: &str) -> String {
    format!("{PLAN_PREFIX}{hash}")
}

/// The text in parts of at most [`PART_BYTES`], none of which ends within a character.
fn parts(text: &str) -> Vec<&str> {
    let (mut parts, mut rest) = (Vec::new(), text);
    while !rest.is_empty() {
        let (part, after) = rest.split_at(rest.floor_char_boundary(PART_BYTES));
        parts.push(part);
        rest = after;
    }
    parts
}
