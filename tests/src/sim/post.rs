//! The post office of a simulation.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::future::BoxFuture;
use lamplighter_app::{Clock, Courier};
use lamplighter_core::Moment;
use lamplighter_notify::{Letter, SendError};

use super::crash::{Crash, Gate};

/// A letter that was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// When.
    pub at: Moment,
    /// Its stable id.
    pub message_id: String,
    /// The recipient.
    pub to: String,
    /// The subject.
    pub subject: String,
}

/// The post office. Clones share its book.
#[derive(Clone)]
pub struct PostOffice {
    book: Arc<Mutex<Vec<Accepted>>>,
    closed_until: Arc<Mutex<Moment>>,
    refuses: Arc<AtomicBool>,
    clock: Clock,
    crash: Crash,
}

impl PostOffice {
    /// An open post office.
    #[must_use]
    pub fn new(clock: Clock, crash: Crash) -> Self {
        Self {
            book: Arc::default(),
            closed_until: Arc::new(Mutex::new(Moment::EPOCH)),
            refuses: Arc::default(),
            clock,
            crash,
        }
    }

    /// The same post office as another engine reaches it.
    #[must_use]
    pub fn for_life(&self, crash: Crash) -> Self {
        Self { crash, ..self.clone() }
    }

    /// What was accepted, in order.
    pub fn book(&self) -> MutexGuard<'_, Vec<Accepted>> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Accepts nothing until then.
    pub fn close_until(&self, moment: Moment) {
        *self.closed_until.lock().unwrap_or_else(PoisonError::into_inner) = moment;
    }

    /// From now on it has nothing for anybody.
    pub fn refuse_all(&self) {
        self.refuses.store(true, Ordering::Relaxed);
    }

    async fn take(&self, letter: &Letter) -> Result<(), SendError> {
        let now = self.clock.now();
        if now < *self.closed_until.lock().unwrap_or_else(PoisonError::into_inner) {
            return Err(SendError::Later("connection refused".to_owned()));
        }
        if self.refuses.load(Ordering::Relaxed) {
            return Err(SendError::Refused("no such mailbox".to_owned()));
        }
        let gate = self.crash.gate("letter");
        if matches!(gate, Gate::Before | Gate::Late) {
            return self.crash.die().await;
        }
        self.book().push(Accepted {
            at: now,
            message_id: letter.message_id.clone(),
            to: letter.to.to_string(),
            subject: letter.subject.clone(),
        });
        if gate == Gate::After {
            return self.crash.die().await;
        }
        Ok(())
    }
}

impl Courier for PostOffice {
    fn send<'a>(&'a self, letter: &'a Letter) -> BoxFuture<'a, Result<(), SendError>> {
        Box::pin(self.take(letter))
    }
}
