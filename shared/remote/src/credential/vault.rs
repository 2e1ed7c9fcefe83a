//! Private keys in a vault: read once an hour, by one look for all that wait, and forgotten as text at once.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use lamplighter_core::sight::{Fault, UnreachableKind, one_line};
use russh::keys::PrivateKeyWithHashAlg;
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::text::{Place, parse};
use super::unusable;

/// How long a key is used before it is read anew. Each read is a request to decrypt, which is paid for; and a key that
/// was replaced is in use within it, so both keys must be accepted for so long.
const KEY_KEPT: Duration = Duration::from_secs(3_600);
/// How long a key that cannot be read anew is used all the same: a vault that is down for a while must not make a whole
/// fleet unreachable, and one that takes a key away must be heeded.
const KEY_KEPT_AT_MOST: Duration = Duration::from_secs(2 * 3_600);
/// How long a failure is the answer: hundreds of looks at once must not make hundreds of reads.
const FAILURE_KEPT: Duration = Duration::from_secs(10);
/// A key that a host refuses is read anew if it is older than this: a replaced key is found soon, and a host that refuses
/// every key makes one read a minute at most.
const DOUBT_AFTER: Duration = Duration::from_secs(60);
/// What one read may take: less than the time a look has to connect, so that the look can still say why it failed.
const READ_LIMIT: Duration = Duration::from_secs(5);
/// Most characters of what the vault says of a failure: its beginning says what, and the advice must fit behind it.
const MAX_REASON_CHARS: usize = 200;
/// Most keys remembered: a fleet has a handful.
const MAX_REMEMBERED: usize = 4_096;

const _: () = assert!(KEY_KEPT.as_secs() < KEY_KEPT_AT_MOST.as_secs());
const _: () = assert!(FAILURE_KEPT.as_secs() < DOUBT_AFTER.as_secs());

type Read = dyn Fn(String) -> BoxFuture<'static, Result<Zeroizing<String>, String>> + Send + Sync;

/// Where keys lie that are written as `ssm:/PARAMETER`: asked for the text of one by its name, `/PARAMETER`. Cheap to
/// clone; its `Debug` shows nothing.
#[derive(Clone)]
pub struct Vault(Arc<Read>);

impl Vault {
    /// A vault that `read` reads from. It is told a parameter's name, and answers its text, or in one line, without
    /// secrets, why it cannot be had.
    pub fn new<R, F>(read: R) -> Vault
    where
        R: Fn(String) -> F + Send + Sync + 'static,
        F: Future<Output = Result<Zeroizing<String>, String>> + Send + 'static,
    {
        Vault(Arc::new(move |name| Box::pin(read(name))))
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Vault(…)")
    }
}

/// The keys of a vault that were read.
pub(super) struct VaultKeys {
    vault: Vault,
    slots: Mutex<HashMap<String, Arc<Slot>>>,
}

/// One key. Whoever holds the lock is the only one reading; the others find what was read.
type Slot = tokio::sync::Mutex<Memory>;

#[derive(Default)]
struct Memory {
    held: Option<Held>,
    failure: Option<(Instant, Fault<UnreachableKind>)>,
}

struct Held {
    key: PrivateKeyWithHashAlg,
    read_at: Instant,
    /// True once a host refused it: it may have been replaced.
    is_doubted: bool,
}

type Answer = Result<PrivateKeyWithHashAlg, Fault<UnreachableKind>>;

impl Memory {
    /// What can be answered without a read.
    fn answer(&self) -> Option<Answer> {
        if let Some(held) = &self.held
            && !held.is_doubted
            && held.read_at.elapsed() < KEY_KEPT
        {
            return Some(Ok(held.key.clone()));
        }
        let (failed_at, fault) = self.failure.as_ref()?;
        (failed_at.elapsed() < FAILURE_KEPT).then(|| self.without_a_read(fault.clone()))
    }

    /// The key that was read last, as long as it may be used; otherwise the fault.
    fn without_a_read(&self, fault: Fault<UnreachableKind>) -> Answer {
        let held = self.held.as_ref().filter(|held| held.read_at.elapsed() < KEY_KEPT_AT_MOST);
        held.map(|held| held.key.clone()).ok_or(fault)
    }
}

impl VaultKeys {
    pub(super) fn new(vault: Vault) -> Self {
        Self { vault, slots: Mutex::default() }
    }

    /// The private key of this name.
    pub(super) async fn load(&self, name: &str) -> Answer {
        let slot = self.slot(name);
        let mut memory = slot.lock().await;
        if let Some(answer) = memory.answer() {
            return answer;
        }
        match self.read(name).await {
            Ok(key) => {
                let held = Held { key: key.clone(), read_at: Instant::now(), is_doubted: false };
                *memory = Memory { held: Some(held), failure: None };
                Ok(key)
            }
            Err(why) => {
                // The one line about it: every look that needs the key only carries the fault.
                tracing::error!("{why}");
                let fault = unusable(&why);
                memory.failure = Some((Instant::now(), fault.clone()));
                memory.without_a_read(fault)
            }
        }
    }

    /// Hears that a host refused the key of this name.
    pub(super) fn doubt(&self, name: &str) {
        // If somebody is reading it right now, it is new already.
        if let Ok(mut memory) = self.slot(name).try_lock()
            && let Some(held) = &mut memory.held
            && held.read_at.elapsed() >= DOUBT_AFTER
        {
            held.is_doubted = true;
        }
    }

    async fn read(&self, name: &str) -> Result<PrivateKeyWithHashAlg, String> {
        let place = Place::Ssm(name);
        let unread = |why: &str| {
            let why = one_line(why, MAX_REASON_CHARS);
            format!("{place} cannot be read: {why}; check the parameter's name and the right to decrypt it")
        };
        match tokio::time::timeout(READ_LIMIT, (self.vault.0)(name.to_owned())).await {
            Ok(Ok(text)) => parse(place, &text),
            Ok(Err(why)) => Err(unread(&why)),
            Err(_) => Err(unread(&format!("no answer within {} s", READ_LIMIT.as_secs()))),
        }
    }

    fn slot(&self, name: &str) -> Arc<Slot> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = slots.get(name) {
            return Arc::clone(slot);
        }
        if slots.len() >= MAX_REMEMBERED {
            slots.clear();
        }
        Arc::clone(slots.entry(name.to_owned()).or_default())
    }
}

#[cfg(test)]
mod tests;
