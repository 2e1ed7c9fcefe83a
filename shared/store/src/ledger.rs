//! What the table has cost: capacity consumed, by verb, from the store's own answers.

use std::sync::atomic::{AtomicU64, Ordering};

/// Who is spending.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verb {
    /// Opening the table.
    Open,
    /// Looking at the fleet.
    Sweep,
    /// Restarting what is down.
    Recover,
    /// Moving rollouts on.
    Advance,
    /// Telling people.
    Notify,
    /// Answering requests.
    Api,
}

impl Verb {
    /// Every verb.
    pub const ALL: [Verb; 6] =
        [Verb::Open, Verb::Sweep, Verb::Recover, Verb::Advance, Verb::Notify, Verb::Api];

    /// The verb as the API spells it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Verb::Open => "open",
            Verb::Sweep => "sweep",
            Verb::Recover => "recover",
            Verb::Advance => "advance",
            Verb::Notify => "notify",
            Verb::Api => "api",
        }
    }

    fn index(self) -> usize {
        match self {
            Verb::Open => 0,
            Verb::Sweep => 1,
            Verb::Recover => 2,
            Verb::Advance => 3,
            Verb::Notify => 4,
            Verb::Api => 5,
        }
    }
}

/// What has been consumed.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Consumed {
    /// Calls made.
    pub calls: u64,
    /// Read capacity units.
    pub read_units: f64,
    /// Write capacity units.
    pub write_units: f64,
}

impl Consumed {
    /// What was consumed since `before` was taken.
    #[must_use]
    pub fn since(&self, before: &Consumed) -> Consumed {
        Consumed {
            calls: self.calls - before.calls,
            read_units: self.read_units - before.read_units,
            write_units: self.write_units - before.write_units,
        }
    }
}

/// The ledger of one opened store. It counts from when the process opened it.
///
/// Refused writes are charged by the table without being reported; they are counted at the least they can have cost:
/// one unit a write, two a part of a transaction.
#[derive(Debug, Default)]
pub struct Ledger {
    verbs: [Account; Verb::ALL.len()],
}

/// Capacity comes in halves, so halves are what is counted.
#[derive(Debug, Default)]
struct Account {
    calls: AtomicU64,
    read_halves: AtomicU64,
    write_halves: AtomicU64,
}

pub(crate) enum Side {
    Read,
    Write,
}

impl Ledger {
    /// What `verb` has consumed.
    #[must_use]
    pub fn of(&self, verb: Verb) -> Consumed {
        let account = &self.verbs[verb.index()];
        Consumed {
            calls: account.calls.load(Ordering::Relaxed),
            read_units: halves(account.read_halves.load(Ordering::Relaxed)),
            write_units: halves(account.write_halves.load(Ordering::Relaxed)),
        }
    }

    /// What all verbs have consumed.
    #[must_use]
    pub fn total(&self) -> Consumed {
        Verb::ALL.into_iter().map(|verb| self.of(verb)).fold(Consumed::default(), |sum, part| Consumed {
            calls: sum.calls + part.calls,
            read_units: sum.read_units + part.read_units,
            write_units: sum.write_units + part.write_units,
        })
    }

    pub(crate) fn charge(&self, verb: Verb, side: Side, units: f64) {
        let account = &self.verbs[verb.index()];
        account.calls.fetch_add(1, Ordering::Relaxed);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a table's answer is small and not negative"
        )]
        let in_halves = (units * 2.0).ceil().max(0.0) as u64;
        match side {
            Side::Read => account.read_halves.fetch_add(in_halves, Ordering::Relaxed),
            Side::Write => account.write_halves.fetch_add(in_halves, Ordering::Relaxed),
        };
    }
}

#[expect(clippy::cast_precision_loss, reason = "2^53 units are more than any env will ever pay for")]
fn halves(count: u64) -> f64 {
    count as f64 / 2.0
}
