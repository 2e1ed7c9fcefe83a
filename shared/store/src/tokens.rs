//! Bearer tokens, by their hash; and the answers kept under idempotency keys.

use std::time::Duration;

use lamplighter_core::Moment;
use lamplighter_core::name::Mailbox;
use serde::{Deserialize, Serialize};

use crate::condition::{Condition, Wording};
use crate::item::{
    COMMIT, EXPIRES_AT, Item, Key, TOKENS, body, is_expired, item, millis, number, sort_key, string, text,
};
use crate::wire::{Freshness, Written};
use crate::{Store, StoreError};

/// How long an answer is replayed to the same idempotency key.
pub const IDEMPOTENCY_KEPT: Duration = Duration::from_secs(24 * 3_600);
/// How long begun work counts as still running. Longer than any request; a process that died in one leaves it behind.
pub const RUNNING_LIMIT: Duration = Duration::from_secs(300);
/// Pages of tokens that are listed: thousands of them.
const TOKEN_PAGES: usize = 4;
/// Longest answer kept under an idempotency key, in bytes. A longer one is not replayed: the work is refused as running.
const ANSWER_BYTES_MAX: usize = 128 * 1_024;

/// What a token allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Everything.
    Admin,
    /// To see and act on one's own services.
    Owner,
    /// To do jobs.
    Worker,
    /// To see everything.
    Read,
}

/// A token, without the secret: that is only ever known by its hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// Whom it was made for: the name in the audit trail.
    pub name: String,
    /// What it allows.
    pub scope: Scope,
    /// Whose services an owner's token sees.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Mailbox>,
    /// When it was made.
    pub created_at: Moment,
    /// When it was revoked, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<Moment>,
}

/// What is known of an idempotency key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Begun {
    /// It is new: do the work, then [`Store::finish_request`], or [`Store::abandon_request`].
    Fresh,
    /// The work is under way.
    Running,
    /// The work was done; this was the answer.
    Replay(String),
    /// The key was used for another request.
    Mismatch,
}

impl Store {
    /// Keeps a token under `hash`, the SHA-256 of its secret in hexadecimal. False if there is one already.
    ///
    /// # Errors
    /// If the table does not answer.
    pub async fn put_token(&self, hash: &str, token: &Token) -> Result<bool, StoreError> {
        let (key, mark) = (Key::token(hash), self.mark());
        let mut stored = item(&key, token)?;
        stored.insert(COMMIT.to_owned(), text(&mark));
        let absent = Wording::new().when(self, Condition::TokenIsNew, "attribute_not_exists(#pk)", []);
        Ok(match self.put(stored, absent).await? {
            Written::Done(_) => true,
            Written::Refused(old) => string(&old, COMMIT) == Some(&mark),
            Written::Conflict => false,
        })
    }

    /// The token of this hash, revoked or not.
    ///
    /// # Errors
    /// If the table does not answer.
    pub async fn find_token(&self, hash: &str) -> Result<Option<Token>, StoreError> {
        self.get(&Key::token(hash), Freshness::Consistent).await?.as_ref().map(body).transpose()
    }

    /// Every token with its hash, revoked ones too.
    ///
    /// # Errors
    /// If the table does not answer.
    pub async fn list_tokens(&self) -> Result<Vec<(String, Token)>, StoreError> {
        let items = self.query_all(TOKENS, Freshness::Consistent, TOKEN_PAGES).await?;
        items.iter().map(|item| Ok((sort_key(item).to_owned(), body(item)?))).collect()
    }

    /// Revokes the token of this hash. False if there is none.
    ///
    /// # Errors
    /// If the table does not answer.
    pub async fn revoke_token(&self, hash: &str, now: Moment) -> Result<bool, StoreError> {
        let revoked = Wording::update("SET #revoked_at = if_not_exists(#revoked_at, :now)")
            .with(":now", text(now.to_string()))
            .when(self, Condition::TokenIsThere, "attribute_exists(#pk)", []);
        Ok(matches!(self.update(&Key::token(hash), revoked).await?, Written::Done(_)))
    }

    /// Begins the request under the key whose hash is `key`; `body_hash` tells a repeated request from another one.
    ///
    /// # Errors
    /// If the table does not answer.
    pub async fn begin_request(&self, key: &str, body_hash: &str, now: Moment) -> Result<Begun, StoreError> {
        let (key, mark) = (Key::idempotency(key), self.mark());
        let mut stored = key.attributes();
        stored.insert("body_hash".to_owned(), text(body_hash));
        stored.insert("started_at".to_owned(), millis(now));
        stored.insert(EXPIRES_AT.to_owned(), number((now + IDEMPOTENCY_KEPT).as_secs()));
        stored.insert(COMMIT.to_owned(), text(&mark));
        let abandoned = now.as_millis() - i64::try_from(RUNNING_LIMIT.as_millis()).unwrap_or(i64::MAX);
        let is_new = Wording::new().when(
            self,
            Condition::KeyIsNew,
            "attribute_not_exists(#pk) OR #expires_at <= :now \
             OR (attribute_not_exists(#answer) AND #body_hash = :body AND #started_at <= :abandoned)",
            [(":now", number(now.as_secs())), (":body", text(body_hash)), (":abandoned", number(abandoned))],
        );
        Ok(match self.put(stored, is_new).await? {
            Written::Done(_) => Begun::Fresh,
            Written::Refused(old) if string(&old, COMMIT) == Some(&mark) => Begun::Fresh,
            Written::Refused(old) => known_request(&old, body_hash, now),
            Written::Conflict => Begun::Running,
        })
    }

    /// Frees the key of a request that was begun at `began` and came to no answer worth keeping: the same request may
    /// begin again at once. Nothing happens if it was answered, or begun anew since.
    ///
    /// # Errors
    /// If the table does not answer: the key then counts as running until [`RUNNING_LIMIT`] is over.
    pub async fn abandon_request(&self, key: &str, began: Moment) -> Result<(), StoreError> {
        // The item stays, with the hash of the body: another request is refused under this key as before.
        let freed = Wording::update("SET #started_at = :never").with(":never", number(0)).when(
            self,
            Condition::KeyIsOurs,
            "attribute_not_exists(#answer) AND #started_at = :began",
            [(":began", millis(began))],
        );
        self.update(&Key::idempotency(key), freed).await.map(|_| ())
    }

    /// Keeps the answer of a request that was begun, for its repetitions.
    ///
    /// # Errors
    /// If the table does not answer: the key then counts as running until [`RUNNING_LIMIT`] is over.
    pub async fn finish_request(&self, key: &str, answer: &str) -> Result<(), StoreError> {
        if answer.len() > ANSWER_BYTES_MAX {
            let because = format!("an answer of more than {ANSWER_BYTES_MAX} bytes is not kept");
            return Err(StoreError::Refused { operation: "keeping an answer", because });
        }
        let kept = Wording::update("SET #answer = :answer").with(":answer", text(answer)).when(
            self,
            Condition::KeyIsThere,
            "attribute_exists(#pk)",
            [],
        );
        self.update(&Key::idempotency(key), kept).await.map(|_| ())
    }
}

fn known_request(known: &Item, body_hash: &str, now: Moment) -> Begun {
    if is_expired(known, now) {
        return Begun::Running;
    }
    match string(known, "answer") {
        _ if string(known, "body_hash") != Some(body_hash) => Begun::Mismatch,
        Some(answer) => Begun::Replay(answer.to_owned()),
        None => Begun::Running,
    }
}
