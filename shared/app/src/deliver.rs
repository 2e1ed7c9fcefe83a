//! `notify`: brings the notices in the outbox to people, at least once each, in order for each service.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::future::BoxFuture;
use lamplighter_core::decision::AuditEntry;
use lamplighter_core::notice::Notice;
use lamplighter_core::{Mailbox, Moment};
use lamplighter_notify::{Letter, SendError, digest, letter};
use lamplighter_store::{Claim, Lease, LeaseName, Store, StoreError, StoredNotice, Verb};

use crate::Env;

/// How long the courier holds its lease without renewing it.
const LEASE: Duration = Duration::from_secs(120);
/// One letter may take this long; the lease is renewed when less than this is left of it.
const LETTER: Duration = Duration::from_secs(40);
/// Notices taken up in one pass.
const AT_ONCE: usize = 500;
/// A digest waits this long, so that every notice of its tick is in the outbox.
const DIGEST_WAIT: Duration = Duration::from_secs(10);
/// First wait after a failed delivery; doubles up to [`RETRY_CAP`].
const RETRY_BASE: Duration = Duration::from_secs(10);
/// Longest wait between two tries.
const RETRY_CAP: Duration = Duration::from_secs(900);
/// A letter that its recipient's server refuses this often is given up, and that is written into the audit trail.
const REFUSALS: u32 = 12;

/// What came of a ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivered {
    /// So many letters went out; more are waiting until then, if any.
    Sent {
        /// Letters accepted by the mail server.
        letters: u32,
        /// When to try again.
        next: Option<Moment>,
    },
    /// Another process is at it until then.
    Held {
        /// When its lease ends.
        until: Moment,
    },
}

/// One pass of the courier over the outbox. `stopping` ends it before the next letter.
///
/// # Errors
/// If the store cannot be reached. A letter that went out but could not be marked goes out again, under the same id.
pub async fn deliver(env: &Env, stopping: impl Fn() -> bool + Send + Sync) -> Result<Delivered, StoreError> {
    pass(env, &stopping).await
}

/// Boxed here, so that it is compiled here, once, and not in every program that calls it.
fn pass<'a>(
    env: &'a Env,
    stopping: &'a (dyn Fn() -> bool + Send + Sync),
) -> BoxFuture<'a, Result<Delivered, StoreError>> {
    Box::pin(bring_all(env, stopping))
}

async fn bring_all(env: &Env, stopping: &(dyn Fn() -> bool + Send + Sync)) -> Result<Delivered, StoreError> {
    let store = store(env);
    let waiting = store.outbox(AT_ONCE).await?;
    if waiting.is_empty() {
        return Ok(Delivered::Sent { letters: 0, next: None });
    }
    let now = env.clock().now();
    let lease = match store.claim_lease(LeaseName::Courier, &env.parts.owner, now, now + LEASE).await? {
        Claim::Won(lease) => lease,
        Claim::Held { until, .. } => return Ok(Delivered::Held { until }),
        Claim::Past => return Ok(Delivered::Sent { letters: 0, next: None }),
    };
    let (late, awaited) = (BTreeSet::new(), BTreeSet::new());
    let mut round = Round { env, stopping, lease, letters: 0, next: None, late, awaited };
    let result = round.go(waiting).await;
    store.ledger().note_letters(round.letters);
    store.free_lease(&round.lease).await?;
    result.map(|()| Delivered::Sent { letters: round.letters, next: round.next })
}

struct Round<'a> {
    env: &'a Env,
    stopping: &'a (dyn Fn() -> bool + Send + Sync),
    lease: Lease,
    letters: u32,
    next: Option<Moment>,
    /// Threads with an undelivered notice: later news of the same service waits for it.
    late: BTreeSet<String>,
    /// Threads with news in a digest that waits: later news of the same service waits for it.
    awaited: BTreeSet<String>,
}

/// Whether the round goes on after a letter.
enum Sent {
    /// It was accepted.
    Yes,
    /// The recipient's server will not have it.
    Refused,
    /// The way to the mail server is closed: the round ends.
    Closed,
}

impl Round<'_> {
    async fn go(&mut self, mut waiting: Vec<StoredNotice>) -> Result<(), StoreError> {
        // News of one commit in the order it makes sense: down, then what became of it.
        waiting.sort_by_key(|one| (one.notice.at, one.notice.kind));
        let (together, single): (Vec<StoredNotice>, Vec<StoredNotice>) =
            waiting.into_iter().partition(|one| one.notice.digest.is_some());
        // A digest waits for all of its sweep. What became of a service in it meanwhile is told after it.
        let mut first_told = BTreeMap::new();
        for one in &together {
            first_told.entry(thread(&one.notice)).or_insert((one.notice.at, one.notice.kind));
        }
        let (after, before): (Vec<StoredNotice>, Vec<StoredNotice>) = single.into_iter().partition(|one| {
            let first = first_told.get(&thread(&one.notice));
            first.is_some_and(|first| *first < (one.notice.at, one.notice.kind))
        });
        for one in before {
            if self.stops() || !self.keep_lease().await? || !self.bring(one).await? {
                return Ok(());
            }
        }
        let mut digests: BTreeMap<String, Vec<StoredNotice>> = BTreeMap::new();
        for one in together {
            digests.entry(one.notice.digest.clone().unwrap_or_default()).or_default().push(one);
        }
        for notices in digests.into_values() {
            if self.stops() || !self.keep_lease().await? || !self.bring_together(notices).await? {
                return Ok(());
            }
        }
        for one in after {
            if self.stops() || !self.keep_lease().await? || !self.bring(one).await? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// True if the round is to end here; what is left is taken up at once by the next.
    fn stops(&mut self) -> bool {
        let stops = (self.stopping)();
        if stops {
            self.again_at(self.env.clock().now());
        }
        stops
    }

    async fn keep_lease(&mut self) -> Result<bool, StoreError> {
        let now = self.env.clock().now();
        if self.lease.until > now + LETTER {
            return Ok(true);
        }
        match store(self.env).renew_lease(&self.lease, now + LEASE).await? {
            Claim::Won(lease) => {
                self.lease = lease;
                Ok(true)
            }
            Claim::Held { .. } | Claim::Past => Ok(false),
        }
    }

    /// One notice as one letter for each recipient. False: the round ends.
    async fn bring(&mut self, waiting: StoredNotice) -> Result<bool, StoreError> {
        let now = self.env.clock().now();
        let key = thread(&waiting.notice);
        let waits = self.late.contains(&key) || self.awaited.contains(&key);
        if waits || waiting.not_before.is_some_and(|at| at > now) {
            self.again_at(waiting.not_before.unwrap_or(now).max(now + RETRY_BASE));
            self.late.insert(key);
            return Ok(true);
        }
        let letters: Vec<Letter> = waiting
            .notice
            .to
            .iter()
            .map(|to| letter(self.env.name(), &waiting.notice, to, &self.env.parts.place))
            .collect();
        let sent = self.send_all(&letters).await;
        if !matches!(sent, Sent::Yes) {
            self.late.insert(key);
        }
        self.settle(vec![waiting], sent).await
    }

    /// The notices of one digest as one letter for each recipient. False: the round ends.
    async fn bring_together(&mut self, waiting: Vec<StoredNotice>) -> Result<bool, StoreError> {
        let now = self.env.clock().now();
        let ready = waiting
            .iter()
            .map(|one| one.not_before.unwrap_or(now).max(one.notice.at + DIGEST_WAIT))
            .max()
            .unwrap_or(now);
        let threads: Vec<String> = waiting.iter().map(|one| thread(&one.notice)).collect();
        let waits_for_another = threads.iter().any(|thread| self.awaited.contains(thread));
        if ready > now || waits_for_another {
            self.again_at(if ready > now { ready } else { now + RETRY_BASE });
            self.awaited.extend(threads);
            return Ok(true);
        }
        let notices: Vec<Notice> = waiting.iter().map(|one| one.notice.clone()).collect();
        let recipients: BTreeSet<&Mailbox> = notices.iter().flat_map(|notice| &notice.to).collect();
        let letters: Vec<Letter> = recipients.into_iter().map(|to| self.digest_for(&notices, to)).collect();
        let sent = self.send_all(&letters).await;
        if !matches!(sent, Sent::Yes) {
            self.awaited.extend(threads);
        }
        self.settle(waiting, sent).await
    }

    fn digest_for(&self, notices: &[Notice], to: &Mailbox) -> Letter {
        let theirs: Vec<Notice> = notices.iter().filter(|notice| notice.to.contains(to)).cloned().collect();
        digest(self.env.name(), &theirs, to, &self.env.parts.place)
    }

    async fn send_all(&mut self, letters: &[Letter]) -> Sent {
        let mut refused = false;
        for letter in letters {
            match self.env.parts.courier.send(letter).await {
                Ok(()) => {
                    self.letters += 1;
                    tracing::info!(env = %self.env.name(), to = %letter.to, id = %letter.message_id, "letter sent: {}", letter.subject);
                }
                Err(SendError::Later(why)) => {
                    tracing::warn!(env = %self.env.name(), "the mail server cannot be used now, letters wait: {why}");
                    return Sent::Closed;
                }
                Err(SendError::Refused(why)) => {
                    tracing::error!(env = %self.env.name(), to = %letter.to, "the mail server refuses a letter: {why}");
                    refused = true;
                }
            }
        }
        if refused { Sent::Refused } else { Sent::Yes }
    }

    /// Marks what was brought, or when to try again. False: the round ends.
    async fn settle(&mut self, waiting: Vec<StoredNotice>, sent: Sent) -> Result<bool, StoreError> {
        let now = self.env.clock().now();
        for one in waiting {
            let attempts = one.attempts + 1;
            let given_up = matches!(sent, Sent::Refused) && attempts >= REFUSALS;
            if matches!(sent, Sent::Yes) {
                store(self.env).settle_notice(&one).await?;
            } else if given_up {
                self.give_up(&one, now).await?;
            } else {
                let not_before = now + retry_after(attempts);
                store(self.env).defer_notice(&one, attempts, not_before).await?;
                self.again_at(not_before);
            }
        }
        Ok(!matches!(sent, Sent::Closed))
    }

    /// A letter that nobody will ever take: it is written down that it was not delivered, then let go.
    async fn give_up(&mut self, waiting: &StoredNotice, now: Moment) -> Result<(), StoreError> {
        let notice = &waiting.notice;
        let to: Vec<&str> = notice.to.iter().map(Mailbox::as_str).collect();
        tracing::error!(env = %self.env.name(), notice = %notice.id, "given up: refused {REFUSALS} times by the mail server");
        let entry = AuditEntry {
            at: now,
            by: "courier".to_owned(),
            action: "letter given up".to_owned(),
            service: notice.service.clone(),
            action_no: None,
            because: format!("refused {REFUSALS} times for {}: {}", to.join(", "), notice.because),
        };
        store(self.env).record(vec![entry]).await?;
        store(self.env).settle_notice(waiting).await
    }

    fn again_at(&mut self, moment: Moment) {
        self.next = Some(self.next.map_or(moment, |next| next.min(moment)));
    }
}

/// What news is told in order: of one service, or of whatever else a notice is about.
fn thread(notice: &Notice) -> String {
    notice.service.as_ref().map_or_else(|| notice.thread.clone(), ToString::to_string)
}

/// The wait before try `attempts + 1`.
fn retry_after(attempts: u32) -> Duration {
    RETRY_BASE.saturating_mul(1 << attempts.saturating_sub(1).min(16)).min(RETRY_CAP)
}

/// The env's table, charging what it consumes to the courier.
fn store(env: &Env) -> Store {
    env.store().for_verb(Verb::Notify)
}
