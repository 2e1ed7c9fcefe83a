//! Every condition a write can carry, by name, and the one place where they are attached.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

use crate::Store;

/// A write condition. `docs/STORE.md` says of each which item it guards and what would go wrong without it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Condition {
    /// A shard is claimed only while nobody holds it.
    ShardIsFree,
    /// A shard is claimed only for a tick later than the last one claimed.
    TickIsNew,
    /// A sweep is finished only by the claim that began it.
    SweepIsOurs,
    /// A commit under a shard's lease is refused once another claim has raised the epoch.
    ShardEpoch,
    /// A named lease is claimed only while nobody holds it.
    LeaseIsFree,
    /// A named lease is renewed or freed only by its holder.
    LeaseIsOurs,
    /// A commit under a named lease is refused once another claim has raised the epoch.
    LeaseEpoch,
    /// A watch is replaced only at the version that was decided upon. Every change of the spec raises that version too,
    /// and a removal takes the watch away, so this also refuses actions on older specs and removed services.
    WatchVersion,
    /// A notice is put into the outbox once.
    NoticeIsNew,
    /// A notice is deferred only while it is in the outbox.
    NoticeIsThere,
    /// A service is placed in one shard only.
    PlaceIsFree,
    /// A shard takes no more services than it can sweep.
    ShardHasRoom,
    /// A spec is replaced only at the version that was read.
    SpecVersion,
    /// Settings are replaced only at the version that was read.
    SettingsVersion,
    /// The blindness guard is replaced only at the version that was read.
    BlindnessVersion,
    /// A token is stored once, so that no hash takes over another's scope.
    TokenIsNew,
    /// A token is revoked only if it exists.
    TokenIsThere,
    /// Work under an idempotency key is begun once.
    KeyIsNew,
    /// An answer is kept only for work that was begun.
    KeyIsThere,
    /// A key is freed only by the request that began under it, and only while that has no answer.
    KeyIsOurs,
    /// An app's state is replaced only at the version that was read, so of two starts at once one wins.
    AppVersion,
    /// The number of a rollout is used once: what has begun is not begun over.
    RolloutIsNew,
    /// The rows of a rollout are all of one start: of two that write them, the later takes them over.
    RowsAreOurs,
    /// A rollout's head is replaced only at the version that was decided upon.
    RolloutVersion,
    /// A step forward is intended only while the rollout goes on as it did when the step was decided.
    RolloutGoesOn,
    /// A webhook's delivery is acted on once, by its id and by its body.
    DeliveryIsNew,
    /// The outcome of a delivery is told only of one that was received.
    DeliveryIsThere,
    /// A table gets its schema once.
    SchemaIsNew,
    /// A table's schema is only ever raised.
    SchemaIsOlder,
    /// A table is marked for an import only as it was seen: unmarked, or with the mark that is taken over.
    ImportIsOurs,
}

impl Condition {
    /// Every condition, for the tests that leave each out in turn.
    pub const ALL: &'static [Condition] = &[
        Condition::ShardIsFree,
        Condition::TickIsNew,
        Condition::SweepIsOurs,
        Condition::ShardEpoch,
        Condition::LeaseIsFree,
        Condition::LeaseIsOurs,
        Condition::LeaseEpoch,
        Condition::WatchVersion,
        Condition::NoticeIsNew,
        Condition::NoticeIsThere,
        Condition::PlaceIsFree,
        Condition::ShardHasRoom,
        Condition::SpecVersion,
        Condition::SettingsVersion,
        Condition::BlindnessVersion,
        Condition::TokenIsNew,
        Condition::TokenIsThere,
        Condition::KeyIsNew,
        Condition::KeyIsThere,
        Condition::KeyIsOurs,
        Condition::AppVersion,
        Condition::RolloutIsNew,
        Condition::RowsAreOurs,
        Condition::RolloutVersion,
        Condition::RolloutGoesOn,
        Condition::DeliveryIsNew,
        Condition::DeliveryIsThere,
        Condition::SchemaIsNew,
        Condition::SchemaIsOlder,
        Condition::ImportIsOurs,
    ];
}

/// The expressions of one write. Attribute names are written `#name` in them, and values `:value`.
#[derive(Debug, Default)]
pub(crate) struct Wording {
    pub(crate) update: Option<String>,
    pub(crate) condition: Option<String>,
    values: HashMap<String, AttributeValue>,
}

impl Wording {
    /// A write without an update expression: a put, a delete or a check.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// An update.
    pub(crate) fn update(expression: &str) -> Self {
        Self { update: Some(expression.to_owned()), ..Self::default() }
    }

    /// Gives a value of the update.
    pub(crate) fn with(mut self, name: &str, value: AttributeValue) -> Self {
        self.values.insert(name.to_owned(), value);
        self
    }

    /// Attaches a condition and its values. Nothing is written unless all that are attached hold.
    pub(crate) fn when<const N: usize>(
        mut self,
        store: &Store,
        condition: Condition,
        expression: &str,
        values: [(&str, AttributeValue); N],
    ) -> Self {
        if store.leaves_out(condition) {
            return self;
        }
        self.condition = Some(match self.condition {
            Some(before) => format!("{before} AND ({expression})"),
            None => format!("({expression})"),
        });
        self.values.extend(values.map(|(name, value)| (name.to_owned(), value)));
        self
    }

    /// The values; absent if there are none, since an empty map is refused.
    pub(crate) fn values(&self) -> Option<HashMap<String, AttributeValue>> {
        (!self.values.is_empty()).then(|| self.values.clone())
    }

    /// The names the expressions speak of; absent if there are none.
    pub(crate) fn names(&self) -> Option<HashMap<String, String>> {
        let names: HashMap<String, String> = [&self.update, &self.condition]
            .into_iter()
            .flatten()
            .flat_map(|expression| expression.split('#').skip(1))
            .map(|rest| {
                rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap_or_default()
            })
            .map(|name| (format!("#{name}"), name.to_owned()))
            .collect();
        (!names.is_empty()).then_some(names)
    }
}
