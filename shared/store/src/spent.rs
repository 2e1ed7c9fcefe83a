//! What was consumed, kept in the table: a row for each day and verb, so that what many short-lived processes consume adds
//! up, and a projection speaks of lately.

use std::time::Duration;

use lamplighter_core::Moment;

use crate::condition::Wording;
use crate::item::{EXPIRES_AT, Item, Key, count, expiry, millis, moment, number, sort_key};
use crate::ledger::{halves, in_halves};
use crate::wire::{Freshness, Written};
use crate::{Consumed, Store, StoreError, Verb};

/// The partition of the rows.
const LEDGER: &str = "LEDGER";
/// How long a row is kept: two whole months can be compared.
pub const LEDGER_KEPT: Duration = Duration::from_secs(63 * 86_400);
/// Pages of rows: six verbs on 64 days are 384 rows of a quarter of a KiB.
const LEDGER_PAGES: usize = 2;

/// One verb's consumption on one day.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spent {
    /// Who.
    pub verb: Verb,
    /// From when on this counts: the day's first entry, or what that entry looked back to.
    pub since: Moment,
    /// How much.
    pub consumed: Consumed,
}

impl Store {
    /// Adds what this process consumed since the last time to the day's rows: one write for each verb that consumed
    /// anything. `since` is when this process began to count. What could not be written is written the next time.
    ///
    /// # Errors
    /// If the table does not answer. A row may then have it, and get it again: the ledger errs upwards.
    pub async fn keep_ledger(&self, since: Moment, now: Moment) -> Result<(), StoreError> {
        for verb in Verb::ALL {
            let fresh = self.ledger().take(verb);
            if fresh == Consumed::default() {
                continue;
            }
            if let Err(error) = self.add_to_row(verb, &fresh, since, now).await {
                self.ledger().put_back(verb, &fresh);
                return Err(error);
            }
        }
        Ok(())
    }

    async fn add_to_row(
        &self,
        verb: Verb,
        fresh: &Consumed,
        since: Moment,
        now: Moment,
    ) -> Result<(), StoreError> {
        let day = now.as_secs().div_euclid(86_400);
        let key = Key::new(LEDGER, format!("{day:06}#{}", verb.as_str()));
        let add = Wording::update(
            "SET #since = if_not_exists(#since, :since), #expires_at = :expires_at ADD #calls :calls, \
             #read_halves :read, #write_halves :write, #runs :runs, #millis :millis, \
             #megabyte_millis :memory, #letters :letters, #messages :messages",
        )
        .with(":since", millis(since.max(Moment::from_millis(day * 86_400_000))))
        .with(":expires_at", expiry(now, LEDGER_KEPT))
        .with(":calls", number(fresh.calls))
        .with(":read", number(in_halves(fresh.read_units)))
        .with(":write", number(in_halves(fresh.write_units)))
        .with(":runs", number(fresh.runs))
        .with(":millis", number(fresh.millis))
        .with(":memory", number(fresh.megabyte_millis))
        .with(":letters", number(fresh.letters))
        .with(":messages", number(fresh.messages));
        match self.for_verb(verb).update(&key, add).await? {
            Written::Done(_) | Written::Refused(_) => Ok(()),
            Written::Conflict => Err(crate::lease::conflict("keeping the ledger")),
        }
    }

    /// The rows of `now`'s day and the `days - 1` before.
    ///
    /// # Errors
    /// If the table does not answer.
    pub async fn kept_ledger(&self, days: u32, now: Moment) -> Result<Vec<Spent>, StoreError> {
        let first = (now.as_secs().div_euclid(86_400) - i64::from(days) + 1).max(0);
        let items = self.query_all(LEDGER, Freshness::Eventual, LEDGER_PAGES).await?;
        Ok(items.iter().filter_map(|item| read(item, first)).collect())
    }
}

fn read(item: &Item, first_day: i64) -> Option<Spent> {
    let (day, verb) = sort_key(item).split_once('#')?;
    if day.parse::<i64>().ok()? < first_day {
        return None;
    }
    let consumed = Consumed {
        calls: count(item, "calls"),
        read_units: halves(count(item, "read_halves")),
        write_units: halves(count(item, "write_halves")),
        runs: count(item, "runs"),
        millis: count(item, "millis"),
        megabyte_millis: count(item, "megabyte_millis"),
        letters: count(item, "letters"),
        messages: count(item, "messages"),
    };
    let verb = Verb::ALL.into_iter().find(|known| known.as_str() == verb)?;
    Some(Spent { verb, since: moment(item, "since")?, consumed })
}

/// The attribute that the update names is the one that DynamoDB sweeps by.
const _: () = assert!(matches!(EXPIRES_AT.as_bytes(), b"expires_at"));
