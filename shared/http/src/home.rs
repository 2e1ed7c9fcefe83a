//! What the router serves: the envs of a home, and what a running process counts.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use lamplighter_app::Env;
use lamplighter_core::{EnvName, Moment};
use lamplighter_store::StoreError;
use tokio::sync::{Mutex, Semaphore};
use tokio::time::Instant;
use zeroize::Zeroizing;

use crate::hooks::{HookKey, Secrets, Vault};
use crate::throttle::Throttle;

/// Requests answered at once; more are told to come again. Each holds at most a body and a page of a list.
const REQUESTS_AT_ONCE: usize = 512;
/// Calls of hooks taken in at once: strangers may send them as slowly as they like, and must not use up the requests.
const HOOK_CALLS_AT_ONCE: usize = 64;
/// Live streams at once: they last for hours, so they have a share of their own.
const STREAMS_AT_ONCE: usize = 256;

const _: () =
    assert!(HOOK_CALLS_AT_ONCE * 2 < REQUESTS_AT_ONCE, "strangers must leave most of the room to others");

/// The envs of a home, behind one door.
pub struct Home {
    envs: BTreeMap<EnvName, Arc<Env>>,
    /// True if a service may be made a process of this machine through the API.
    pub(crate) local_allowed: bool,
    pub(crate) started: Moment,
    pub(crate) version: String,
    /// False where whatever stands before the router cannot pass a stream on.
    pub(crate) streams_pass: bool,
    pub(crate) requests: Arc<Semaphore>,
    pub(crate) streams: Arc<Semaphore>,
    pub(crate) hook_calls: Arc<Semaphore>,
    pub(crate) throttle: Throttle,
    /// Apart from that of tokens: what anybody does to a hook must keep nobody from the API.
    pub(crate) hook_throttle: Throttle,
    /// Where the secrets of hooks lie.
    pub(crate) secrets: Secrets,
    /// A key to check signatures with where there is no hook.
    pub(crate) nobodys_key: HookKey,
    pub(crate) answered: Answered,
    /// What `/metrics` and `/readyz` said last: nobody needs a token to ask them, so asking often must cost nothing.
    pub(crate) said: Mutex<Said>,
}

/// What was said to those who ask without a token, and when.
#[derive(Default)]
pub(crate) struct Said {
    pub(crate) metrics: Option<(Instant, String)>,
    pub(crate) ready: Option<(Instant, Vec<String>)>,
}

impl Home {
    /// A home of these envs. `started` is when the process opened their stores; `version` is shown to people.
    #[must_use]
    pub fn new(envs: impl IntoIterator<Item = Arc<Env>>, started: Moment, version: &str) -> Self {
        Self {
            envs: envs.into_iter().map(|env| (env.name().clone(), env)).collect(),
            local_allowed: false,
            started,
            version: version.to_owned(),
            streams_pass: true,
            requests: Arc::new(Semaphore::new(REQUESTS_AT_ONCE)),
            streams: Arc::new(Semaphore::new(STREAMS_AT_ONCE)),
            hook_calls: Arc::new(Semaphore::new(HOOK_CALLS_AT_ONCE)),
            throttle: Throttle::default(),
            hook_throttle: Throttle::default(),
            secrets: Secrets::default(),
            nobodys_key: HookKey::of_nobody(),
            answered: Answered::default(),
            said: Mutex::default(),
        }
    }

    /// The same home, where services with `transport = "local"` may be put through the API: whoever has an admin's
    /// token can then run commands on this machine. For tests; a home in use takes them from its fleet file.
    #[must_use]
    pub fn allowing_local(self) -> Self {
        Self { local_allowed: true, ..self }
    }

    /// The same home behind something that passes no streams on: live events are then polled by cursor.
    #[must_use]
    pub fn without_streams(self) -> Self {
        Self { streams_pass: false, ..self }
    }

    /// The same home, where the secrets of hooks that are written as `file:PATH` lie in `base_dir`.
    #[must_use]
    pub fn with_secrets_in(self, base_dir: impl Into<PathBuf>) -> Self {
        let secrets = Secrets { base_dir: base_dir.into(), ..self.secrets };
        Self { secrets, ..self }
    }

    /// The same home, where the secrets of hooks that are written as `ssm:/PARAMETER` are read by `read`. It is told a
    /// parameter's name, and answers its text, or in one line, without secrets, why it cannot be had. A secret is read
    /// once in five minutes, and one that cannot be read once in half a minute, however many calls come.
    #[must_use]
    pub fn with_vault<R, F>(self, read: R) -> Self
    where
        R: Fn(String) -> F + Send + Sync + 'static,
        F: Future<Output = Result<Zeroizing<String>, String>> + Send + 'static,
    {
        let secrets = Secrets { vault: Some(Vault::new(read)), ..self.secrets };
        Self { secrets, ..self }
    }

    /// The secrets of an env's hooks that cannot be used, each with the reason: a hook without any refuses every call.
    ///
    /// # Errors
    /// If the store cannot be used.
    pub async fn unusable_secrets(&self, env: &Env) -> Result<Vec<String>, StoreError> {
        let mut told = Vec::new();
        for (name, hook) in env.store().settings().await?.1.hooks {
            let (_, problems) = self.secrets.read(hook.kind, hook.secret).await;
            told.extend(problems.into_iter().map(|problem| format!("hook `{name}`: secret {problem}")));
        }
        Ok(told)
    }

    /// The env of this name.
    #[must_use]
    pub fn env(&self, name: &str) -> Option<&Arc<Env>> {
        self.envs.iter().find(|(known, _)| known.as_str() == name).map(|(_, env)| env)
    }

    /// Every env, by name.
    pub fn envs(&self) -> impl Iterator<Item = &Arc<Env>> {
        self.envs.values()
    }
}

/// Requests answered since the start, by the class of their status.
#[derive(Default)]
pub(crate) struct Answered([AtomicU64; 6]);

impl Answered {
    /// Counts one.
    pub(crate) fn count(&self, status: u16) {
        let class = usize::from(status / 100).min(self.0.len() - 1);
        self.0[class].fetch_add(1, Ordering::Relaxed);
    }

    /// The classes with their counts: `2xx`, `4xx`, …
    pub(crate) fn classes(&self) -> impl Iterator<Item = (String, u64)> {
        self.0
            .iter()
            .enumerate()
            .skip(2)
            .map(|(class, count)| (format!("{class}xx"), count.load(Ordering::Relaxed)))
    }
}
