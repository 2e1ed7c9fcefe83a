//! Remembers: the one table of an env, over DynamoDB or its embedded engine.
//!
//! Every item kind, its keys, and what each write condition protects are listed in `docs/STORE.md`.
//! Time always comes in as an argument. Nothing is cached here: what a caller keeps, it keeps by a shard's
//! `fleet_version`, which changes with every change of a spec or a watch in that shard.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_sdk_dynamodb::Client;
use lamplighter_core::EnvName;

use crate::filing::Filing;

mod apps;
mod batch;
mod commit;
mod condition;
mod deliveries;
#[cfg(feature = "embedded")]
pub mod embedded;
mod error;
mod events;
mod export;
mod filing;
mod fleet;
mod import;
mod item;
mod lease;
mod ledger;
mod load;
mod moves;
mod open;
mod outbox;
mod page;
mod plans;
mod rollouts;
mod settings;
mod shard;
mod spent;
mod tokens;
mod wire;

pub use commit::{Commit, Fence};
pub use condition::Condition;
pub use deliveries::{Causes, DELIVERY_KEPT, Delivery, Received};
pub use error::{OpenError, StoreError};
pub use events::{EVENTS_KEPT, EventRow};
pub use export::{EXPORT_FORMAT, ExportError, Exported};
pub use fleet::{Expected, Placed, Put, Removed};
pub use item::{SERVICES_PER_SHARD, SHARDS_MAX, ShardNo};
pub use lease::{Claim, Lease, LeaseName, ShardLease};
pub use ledger::{Consumed, Ledger, Verb};
pub use open::{AWS_OPERATION_LIMIT, Purpose, SCHEMA, aws_client};
pub use outbox::StoredNotice;
pub use page::Page;
pub use plans::PLAN_KEPT;
pub use rollouts::ROLLOUTS_KEPT;
pub use shard::ShardSummary;
pub use spent::{LEDGER_KEPT, Spent};
pub use tokens::{Begun, IDEMPOTENCY_KEPT, RUNNING_LIMIT, Scope, Token};

/// The table of one env, opened. Clones share everything but the verb they are charged to.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
    verb: Verb,
    #[cfg(feature = "mutations")]
    left_out: Option<Condition>,
}

struct Inner {
    client: Client,
    table: String,
    env: EnvName,
    /// Names this opening of the table, so that the marks of two processes never meet.
    life: String,
    next_mark: AtomicU64,
    filing: Arc<Filing>,
    ledger: Ledger,
    #[cfg(feature = "embedded")]
    engine: Option<embedded::Engine>,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("env", &self.inner.env).field("table", &self.inner.table).finish()
    }
}

impl Store {
    /// The env whose table this is.
    #[must_use]
    pub fn env(&self) -> &EnvName {
        &self.inner.env
    }

    /// The same store, charging what it consumes to `verb`.
    #[must_use]
    pub fn for_verb(&self, verb: Verb) -> Store {
        Store { verb, ..self.clone() }
    }

    /// What has been consumed since this process opened the table.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.inner.ledger
    }

    /// The same store without one of its write conditions: for tests that must then fail.
    #[cfg(feature = "mutations")]
    #[must_use]
    pub fn without(&self, condition: Condition) -> Store {
        Store { left_out: Some(condition), ..self.clone() }
    }

    #[cfg(feature = "mutations")]
    pub(crate) fn leaves_out(&self, condition: Condition) -> bool {
        self.left_out == Some(condition)
    }

    #[cfg(not(feature = "mutations"))]
    #[expect(clippy::unused_self, reason = "the test build's twin looks at it")]
    pub(crate) fn leaves_out(&self, _: Condition) -> bool {
        false
    }

    pub(crate) fn client(&self) -> &Client {
        &self.inner.client
    }

    pub(crate) fn table(&self) -> &str {
        &self.inner.table
    }

    pub(crate) fn verb(&self) -> Verb {
        self.verb
    }

    /// A mark no other write carries: at most 36 characters, as it is also the transaction's token.
    pub(crate) fn mark(&self) -> String {
        let number = self.inner.next_mark.fetch_add(1, Ordering::Relaxed);
        format!("{}-{number}", self.inner.life)
    }
}
