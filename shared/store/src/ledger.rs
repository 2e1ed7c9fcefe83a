//! What the table has cost: capacity consumed, by verb, from the store's own answers.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

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
    /// Calls made to the table.
    pub calls: u64,
    /// Read capacity units.
    pub read_units: f64,
    /// Write capacity units.
    pub write_units: f64,
    /// Runs of the verb: on AWS, invocations of its function.
    pub runs: u64,
    /// How long these took together, in milliseconds.
    pub millis: u64,
    /// Memory held meanwhile: megabytes times milliseconds. 0 where memory is not paid by the time.
    pub megabyte_millis: u64,
    /// Letters that a mail server took.
    pub letters: u64,
    /// Messages sent to the queue.
    pub messages: u64,
}

impl Consumed {
    /// What was consumed since `before` was taken.
    #[must_use]
    pub fn since(&self, before: &Consumed) -> Consumed {
        Consumed {
            calls: self.calls.saturating_sub(before.calls),
            read_units: self.read_units - before.read_units,
            write_units: self.write_units - before.write_units,
            runs: self.runs.saturating_sub(before.runs),
            millis: self.millis.saturating_sub(before.millis),
            megabyte_millis: self.megabyte_millis.saturating_sub(before.megabyte_millis),
            letters: self.letters.saturating_sub(before.letters),
            messages: self.messages.saturating_sub(before.messages),
        }
    }

    /// Both together.
    #[must_use]
    pub fn and(&self, other: &Consumed) -> Consumed {
        Consumed {
            calls: self.calls + other.calls,
            read_units: self.read_units + other.read_units,
            write_units: self.write_units + other.write_units,
            runs: self.runs + other.runs,
            millis: self.millis + other.millis,
            megabyte_millis: self.megabyte_millis + other.megabyte_millis,
            letters: self.letters + other.letters,
            messages: self.messages + other.messages,
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
    /// What is already written down in the table, by verb.
    kept: Mutex<[Consumed; Verb::ALL.len()]>,
}

/// Capacity comes in halves, so halves are what is counted.
#[derive(Debug, Default)]
struct Account {
    calls: AtomicU64,
    read_halves: AtomicU64,
    write_halves: AtomicU64,
    runs: AtomicU64,
    millis: AtomicU64,
    megabyte_millis: AtomicU64,
    letters: AtomicU64,
    messages: AtomicU64,
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
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Consumed {
            calls: read(&account.calls),
            read_units: halves(read(&account.read_halves)),
            write_units: halves(read(&account.write_halves)),
            runs: read(&account.runs),
            millis: read(&account.millis),
            megabyte_millis: read(&account.megabyte_millis),
            letters: read(&account.letters),
            messages: read(&account.messages),
        }
    }

    /// What all verbs have consumed.
    #[must_use]
    pub fn total(&self) -> Consumed {
        Verb::ALL.into_iter().map(|verb| self.of(verb)).fold(Consumed::default(), |sum, part| sum.and(&part))
    }

    /// Counts one run of `verb`, that took so long and held so much memory, if that is paid for.
    pub fn note_run(&self, verb: Verb, took: Duration, megabytes: u64) {
        let account = &self.verbs[verb.index()];
        let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        account.runs.fetch_add(1, Ordering::Relaxed);
        account.millis.fetch_add(millis, Ordering::Relaxed);
        account.megabyte_millis.fetch_add(millis.saturating_mul(megabytes), Ordering::Relaxed);
    }

    /// Counts letters that went out.
    pub fn note_letters(&self, letters: u32) {
        self.verbs[Verb::Notify.index()].letters.fetch_add(u64::from(letters), Ordering::Relaxed);
    }

    /// Counts messages that `verb` sent to the queue.
    pub fn note_messages(&self, verb: Verb, messages: usize) {
        let messages = u64::try_from(messages).unwrap_or(u64::MAX);
        self.verbs[verb.index()].messages.fetch_add(messages, Ordering::Relaxed);
    }

    /// What `verb` consumed and is not yet written down in the table. It counts as written down from now on.
    pub(crate) fn take(&self, verb: Verb) -> Consumed {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.of(verb);
        let fresh = now.since(&kept[verb.index()]);
        kept[verb.index()] = now;
        fresh
    }

    /// What `verb` consumed and is not yet written down in the table.
    #[must_use]
    pub fn unkept(&self, verb: Verb) -> Consumed {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        self.of(verb).since(&kept[verb.index()])
    }

    /// Takes back that this was written down.
    pub(crate) fn put_back(&self, verb: Verb, consumed: &Consumed) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept[verb.index()] = kept[verb.index()].since(consumed);
    }

    pub(crate) fn charge(&self, verb: Verb, side: Side, units: f64) {
        let account = &self.verbs[verb.index()];
        account.calls.fetch_add(1, Ordering::Relaxed);
        let in_halves = in_halves(units);
        match side {
            Side::Read => account.read_halves.fetch_add(in_halves, Ordering::Relaxed),
            Side::Write => account.write_halves.fetch_add(in_halves, Ordering::Relaxed),
        };
    }
}

#[expect(clippy::cast_precision_loss, reason = "2^53 units are more than any env will ever pay for")]
pub(crate) fn halves(count: u64) -> f64 {
    count as f64 / 2.0
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "what is counted is not negative, and far below 2^53"
)]
pub(crate) fn in_halves(units: f64) -> u64 {
    (units * 2.0).ceil().max(0.0) as u64
}
