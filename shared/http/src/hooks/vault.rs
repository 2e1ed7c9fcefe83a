//! The secrets of hooks that lie in a vault: read anew every few minutes, however often strangers call.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use lamplighter_core::hook::{HOOKS_MAX, SECRETS_MAX};
use lamplighter_core::sight::one_line;
use tokio::time::Instant;
use zeroize::Zeroizing;

/// How long a secret is used before it is read anew: each read is a request to decrypt, which is paid for, and calls
/// come from strangers. A new secret is in use within it; the old one should be listed as well for so long.
const SECRET_KEPT: Duration = Duration::from_secs(5 * 60);
/// How long a failure is the answer: shorter, since the hook is shut meanwhile.
const FAILURE_KEPT: Duration = Duration::from_secs(30);
/// What one read may take: whoever calls gives a call ten seconds as a whole.
const READ_LIMIT: Duration = Duration::from_secs(5);
/// Most secrets remembered: all that one env can name, several times over. Above it all are forgotten, and read anew.
const REMEMBERED_MAX: usize = 1_024;
/// Most characters of what the vault says of a failure.
const MAX_REASON_CHARS: usize = 200;
/// Longest secret, in bytes.
const SECRET_BYTES_MAX: usize = 4_096;

const _: () = assert!(REMEMBERED_MAX >= 2 * HOOKS_MAX * SECRETS_MAX);

type Read = dyn Fn(String) -> BoxFuture<'static, Result<Zeroizing<String>, String>> + Send + Sync;
type Text = Arc<Zeroizing<String>>;

/// A vault, and what was read from it.
#[derive(Clone)]
pub(crate) struct Vault {
    read: Arc<Read>,
    slots: Arc<Mutex<BTreeMap<String, Arc<Slot>>>>,
}

/// One secret. Whoever holds the lock is the only one reading; the others find what was read.
type Slot = tokio::sync::Mutex<Option<(Instant, Result<Text, String>)>>;

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Vault(…)")
    }
}

impl Vault {
    pub(crate) fn new<R, F>(read: R) -> Vault
    where
        R: Fn(String) -> F + Send + Sync + 'static,
        F: Future<Output = Result<Zeroizing<String>, String>> + Send + 'static,
    {
        Vault { read: Arc::new(move |name| Box::pin(read(name))), slots: Arc::default() }
    }

    /// The text of the secret of this name; or why there is none, without the name.
    pub(super) async fn text(&self, name: &str) -> Result<Text, String> {
        let slot = self.slot(name);
        let mut known = slot.lock().await;
        if let Some((read_at, outcome)) = known.as_ref() {
            let kept = if outcome.is_ok() { SECRET_KEPT } else { FAILURE_KEPT };
            if read_at.elapsed() < kept {
                return outcome.clone();
            }
        }
        let outcome = match tokio::time::timeout(READ_LIMIT, (self.read)(name.to_owned())).await {
            Ok(Ok(text)) if text.len() > SECRET_BYTES_MAX => Err("is too long to be a secret".to_owned()),
            Ok(Ok(text)) => Ok(Arc::new(text)),
            Ok(Err(why)) => Err(unread(&why)),
            Err(_) => Err(unread(&format!("no answer within {} s", READ_LIMIT.as_secs()))),
        };
        *known = Some((Instant::now(), outcome.clone()));
        outcome
    }

    fn slot(&self, name: &str) -> Arc<Slot> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if !slots.contains_key(name) && slots.len() >= REMEMBERED_MAX {
            slots.clear();
        }
        Arc::clone(slots.entry(name.to_owned()).or_default())
    }
}

fn unread(why: &str) -> String {
    let why = one_line(why, MAX_REASON_CHARS);
    format!("cannot be read: {why}; check the parameter's name and the right to decrypt it")
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::future::join_all;

    use super::*;

    /// A vault that answers this, and how often it was asked.
    fn vault(answer: Result<&'static str, &'static str>) -> (Vault, Arc<AtomicUsize>) {
        let reads = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&reads);
        let vault = Vault::new(move |_| {
            counted.fetch_add(1, Ordering::Relaxed);
            async move {
                tokio::time::sleep(Duration::from_millis(50)).await;
                answer.map(|text| Zeroizing::new(text.to_owned())).map_err(str::to_owned)
            }
        });
        (vault, reads)
    }

    #[tokio::test(start_paused = true)]
    async fn a_secret_in_the_vault_is_read_once_in_five_minutes_however_many_call() {
        let (vault, reads) = vault(Ok("0123456789abcdef"));
        for round in 1..=3 {
            let texts = join_all((0..64).map(|_| vault.text("/hook"))).await;
            assert!(texts.iter().all(Result::is_ok));
            assert_eq!(reads.load(Ordering::Relaxed), round);
            tokio::time::advance(SECRET_KEPT).await;
        }
        assert_eq!(format!("{vault:?}"), "Vault(…)");
    }

    #[tokio::test(start_paused = true)]
    async fn a_secret_that_cannot_be_read_is_asked_for_again_after_a_while() {
        let (vault, reads) = vault(Err("AccessDenied"));
        for round in 1..=2 {
            for told in join_all((0..64).map(|_| vault.text("/hook"))).await {
                assert!(told.unwrap_err().starts_with("cannot be read: AccessDenied; check"));
            }
            assert_eq!(reads.load(Ordering::Relaxed), round);
            tokio::time::advance(FAILURE_KEPT).await;
        }
        let hangs = Vault::new(|_| std::future::pending());
        assert!(hangs.text("/hook").await.unwrap_err().contains("no answer within 5 s"));
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_than_a_bound_is_remembered() {
        let (vault, reads) = vault(Ok("0123456789abcdef"));
        join_all((0..=REMEMBERED_MAX).map(|number| {
            let vault = vault.clone();
            async move { vault.text(&format!("/hook-{number}")).await }
        }))
        .await;
        assert_eq!(reads.load(Ordering::Relaxed), REMEMBERED_MAX + 1);
        assert!(vault.slots.lock().unwrap().len() <= REMEMBERED_MAX);
    }
}
