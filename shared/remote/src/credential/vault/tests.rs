//! How often a vault is asked, and what is said of it when it cannot answer. Time is paused: hours pass at once.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::FutureExt as _;
use futures_util::future::join_all;

use super::*;

const NAME: &str = "/lamplighter/prod/key";

/// The text of a new private key.
fn key_text(more: &[&str]) -> String {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key");
    let made =
        std::process::Command::new("ssh-keygen").args(["-q", "-f"]).arg(&path).args(more).status().unwrap();
    assert!(made.success());
    std::fs::read_to_string(path).unwrap()
}

fn ed25519() -> String {
    key_text(&["-t", "ed25519", "-N", ""])
}

/// A vault whose answer can be changed, and how often it was asked.
#[derive(Clone)]
struct Pretend {
    answer: Arc<Mutex<Result<String, String>>>,
    reads: Arc<AtomicUsize>,
}

impl Pretend {
    fn with(answer: Result<String, String>) -> (Pretend, VaultKeys) {
        let pretend = Pretend { answer: Arc::new(Mutex::new(answer)), reads: Arc::default() };
        let asked = pretend.clone();
        let vault = Vault::new(move |name| {
            assert_eq!(name, NAME);
            asked.reads.fetch_add(1, Ordering::Relaxed);
            let answer = asked.answer.lock().unwrap().clone();
            async move {
                // As long as a request takes: whoever comes meanwhile has to wait.
                tokio::time::sleep(Duration::from_millis(50)).await;
                answer.map(Zeroizing::new)
            }
        });
        (pretend, VaultKeys::new(vault))
    }

    fn now_answers(&self, answer: Result<String, String>) {
        *self.answer.lock().unwrap() = answer;
    }

    fn reads(&self) -> usize {
        self.reads.load(Ordering::Relaxed)
    }
}

async fn public_key(keys: &VaultKeys) -> String {
    keys.load(NAME).await.unwrap().public_key().to_openssh().unwrap()
}

async fn fault(keys: &VaultKeys) -> String {
    let Err(fault) = keys.load(NAME).await else { panic!("the key was read") };
    assert_eq!(fault.kind, UnreachableKind::Key);
    fault.detail
}

async fn pass(time: Duration) {
    tokio::time::advance(time).await;
}

#[tokio::test(start_paused = true)]
async fn a_key_in_the_vault_is_read_once_an_hour() {
    let (pretend, keys) = Pretend::with(Ok(ed25519()));
    assert!(join_all((0..64).map(|_| keys.load(NAME))).await.iter().all(Result::is_ok));
    assert_eq!(pretend.reads(), 1, "looks at once share one read");
    let first = public_key(&keys).await;
    pretend.now_answers(Ok(ed25519()));
    pass(KEY_KEPT - Duration::from_secs(1)).await;
    assert_eq!((public_key(&keys).await, pretend.reads()), (first.clone(), 1));
    pass(Duration::from_secs(1)).await;
    assert_ne!(public_key(&keys).await, first, "a replaced key is in use within the hour");
    assert_eq!(pretend.reads(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_vault_that_fails_is_not_asked_by_every_look() {
    let (pretend, keys) = Pretend::with(Err("AccessDenied\nfor this role".to_owned()));
    assert!(join_all((0..500).map(|_| keys.load(NAME))).await.iter().all(Result::is_err));
    assert_eq!(pretend.reads(), 1);
    let said = fault(&keys).await;
    assert!(said.starts_with(&format!("`ssm:{NAME}` cannot be read: AccessDenied for this role")), "{said}");
    pretend.now_answers(Ok(ed25519()));
    pass(FAILURE_KEPT).await;
    assert!(keys.load(NAME).await.is_ok());
    assert_eq!(pretend.reads(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_vault_that_is_down_does_not_take_away_the_key_it_gave_until_two_hours_have_passed() {
    let (pretend, keys) = Pretend::with(Ok(ed25519()));
    let first = public_key(&keys).await;
    pretend.now_answers(Err("no answer".to_owned()));
    pass(KEY_KEPT).await;
    for _ in 0..8 {
        assert_eq!(public_key(&keys).await, first);
    }
    assert_eq!(pretend.reads(), 2, "it is asked again after a while, not at every look");
    pass(KEY_KEPT_AT_MOST - KEY_KEPT).await;
    assert!(fault(&keys).await.contains("no answer"));
}

#[tokio::test(start_paused = true)]
async fn a_refused_key_is_read_anew_once_a_minute_at_most() {
    let (pretend, keys) = Pretend::with(Ok(ed25519()));
    let first = public_key(&keys).await;
    keys.doubt(NAME);
    assert_eq!((public_key(&keys).await, pretend.reads()), (first.clone(), 1), "it has just been read");
    pretend.now_answers(Ok(ed25519()));
    pass(DOUBT_AFTER).await;
    assert_eq!((public_key(&keys).await, pretend.reads()), (first.clone(), 1), "nobody has refused it");
    keys.doubt(NAME);
    assert_ne!(public_key(&keys).await, first);
    for _ in 0..64 {
        keys.doubt(NAME);
        assert!(keys.load(NAME).await.is_ok());
    }
    assert_eq!(pretend.reads(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_vault_that_hangs_is_given_up_and_its_next_look_waits_for_nobody() {
    let keys = VaultKeys::new(Vault::new(|_| std::future::pending()));
    let dropped = tokio::time::timeout(READ_LIMIT / 2, keys.load(NAME)).await;
    assert!(dropped.is_err());
    let began = Instant::now();
    assert!(fault(&keys).await.contains("no answer within 5 s"));
    assert_eq!(began.elapsed(), READ_LIMIT);
    assert!(keys.load(NAME).now_or_never().is_some(), "the failure is remembered");
}

#[tokio::test(start_paused = true)]
async fn what_is_no_usable_key_is_named_by_its_parameter_and_never_shown() {
    for (text, words) in [
        ("hunter2-is-not-a-key".to_owned(), "is not a private SSH key; store the file that `ssh-keygen"),
        (key_text(&["-t", "ed25519", "-N", "hunter2"]), "is protected by a passphrase"),
        (key_text(&["-t", "rsa", "-N", ""]), "is an RSA key"),
        ("hunter2".repeat(10_000), "is too large"),
    ] {
        let (_, keys) = Pretend::with(Ok(text));
        let said = fault(&keys).await;
        assert!(said.starts_with(&format!("`ssm:{NAME}` {words}")), "{said}");
        assert!(!said.contains("hunter2"), "{said}");
    }
    assert_eq!(
        format!("{:?}", Vault::new(|_| async { Ok(Zeroizing::new("hunter2".to_owned())) })),
        "Vault(…)"
    );
}
