//! A function as it runs: its env, opened once and used by every call.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_types::SdkConfig;
use lamplighter_app::{Clock, Env, EnvParts, Sweeps};
use lamplighter_core::{EnvName, Moment};
use lamplighter_notify::Place;
use lamplighter_remote::{Pool, Remote, RemoteConfig, Vault};
use lamplighter_store::{OpenError, Store, aws_client};
use tokio::sync::OnceCell;
use tokio::time::Instant;

use crate::account::account;
use crate::config::Config;
use crate::doorbell::Doorbell;
use crate::onward::Onward;
use crate::vault::{self, Reader};
use crate::{Failure, Means, Occasion, Ring, Role};

/// What was consumed is written down this often, and at the end of a process's first call.
const KEEP_LEDGER_EVERY: Duration = Duration::from_secs(600);
/// How long a call waits at its end for connections that it made to end, too.
const SETTLE_LIMIT: Duration = Duration::from_secs(1);
/// Rings due later than this are left to the minute's schedule, which looks anyway.
const RING_WITHIN: Duration = Duration::from_secs(60);
/// Memory of a function besides its shards, with 64 looks under way.
const WITHOUT_SHARDS_MEGABYTES: u64 = 64;
/// Memory of a shard of 500 services, generously.
const SHARD_MEGABYTES: u64 = 2;

/// A function before its first call: told what it needs, with nothing opened.
pub(crate) struct Setup {
    role: Role,
    means: Means,
    config: Config,
    account: SdkConfig,
    opened: OnceCell<Function>,
}

impl Setup {
    /// Reads the environment. Speaks to nobody yet, so that the first call need not wait for it.
    ///
    /// # Errors
    /// The variable that is missing or makes no sense.
    pub(crate) fn new(role: Role, means: Means) -> Result<Setup, Failure> {
        let config = Config::of(role, |key| std::env::var(key).ok())?;
        Ok(Setup { role, means, config, account: account()?, opened: OnceCell::new() })
    }

    /// The function, opened by the first call that succeeds in it. `None`: its table is there and empty, so there is
    /// nothing to do until somebody asks the API for something.
    ///
    /// # Errors
    /// If the table cannot be used as it is, or does not answer.
    pub(crate) async fn open(&self) -> Result<Option<&Function>, Failure> {
        match self.opened.get_or_try_init(|| Function::open(self)).await {
            Ok(function) => Ok(Some(function)),
            Err(Failure::Table(OpenError::Empty { .. })) => Ok(None),
            Err(failure) => Err(failure),
        }
    }
}

/// A function at work.
pub struct Function {
    /// Its env.
    pub env: Arc<Env>,
    pub(crate) role: Role,
    pub(crate) config: Config,
    pub(crate) doorbell: Doorbell,
    pub(crate) onward: Onward,
    pub(crate) vault: Reader,
    remote: Remote,
    /// When this process began to count what it consumes, and when it last wrote that down.
    counts_since: Moment,
    kept_at: Mutex<Option<Moment>>,
}

impl Function {
    async fn open(setup: &Setup) -> Result<Function, Failure> {
        let Setup { role, means, config, account, .. } = setup;
        let now = Clock::System.now();
        let client = aws_client(account);
        // Only requests begin an env: they alone may look whether a table is empty and make it ours.
        let store = match *role {
            Role::Api => Store::open(client, &config.table, &config.env, now).await?,
            Role::Sweep | Role::Recover | Role::Advance | Role::Notify => {
                Store::open_adopted(client, &config.table, &config.env).await?
            }
        };
        let vault = vault::reader(account);
        let read = Arc::clone(&vault);
        let remote = Remote::new(RemoteConfig {
            base_dir: ".".into(),
            // The next call may land in another process: a connection that is kept is one more for the host to bear.
            pool: Pool::None,
            allowed_networks: config.allowed_networks.clone(),
            vault: Some(Vault::new(move |name| read(name))),
        })
        .map_err(|error| Failure::Fault(error.to_string()))?;
        let env = Env::new(EnvParts {
            name: config.env.clone(),
            store,
            hosts: Arc::new(remote.clone()),
            courier: (means.letters)(config, account)?,
            place: Place { base_url: config.public_url.clone(), cli: command_line(&config.env) },
            clock: Clock::System,
            owner: owner(*role),
            sweeps: Sweeps::Apart,
        });
        let env = env.keeping_shards(shards_kept(config.megabytes));
        Ok(Function {
            env: Arc::new(env),
            role: *role,
            config: config.clone(),
            doorbell: Doorbell::new(account, config),
            onward: (means.pass_on)(config, account),
            vault,
            remote,
            counts_since: now,
            kept_at: Mutex::default(),
        })
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> Moment {
        self.env.clock().now()
    }

    /// Rings. What is due after the next minute's schedule is left to that.
    pub async fn ring(&self, rings: &[Ring]) {
        let now = self.now();
        let soon: Vec<Ring> =
            rings.iter().copied().filter(|ring| now.until(ring.due()) <= RING_WITHIN).collect();
        if soon.is_empty() {
            return;
        }
        let sent = self.doorbell.ring(&soon, now).await;
        self.env.store().ledger().note_messages(self.role.verb(), sent);
    }

    /// Ends a call in good order: rings for whatever it left to others, counts it, and waits until no connection of its
    /// own is alive. The process is frozen next.
    pub(crate) async fn end_call(&self, began: Instant) {
        self.ring(&self.rung_for_others()).await;
        let left = self.remote.settled(SETTLE_LIMIT).await;
        if left > 0 {
            tracing::warn!(left, "connections that did not end in time");
        }
        self.env.store().ledger().note_run(self.role.verb(), began.elapsed(), self.config.megabytes);
        self.keep_ledger().await;
    }

    /// The bells that this call rang and nobody in this process hears.
    fn rung_for_others(&self) -> Vec<Ring> {
        let due = self.now().as_secs();
        let bells = [
            (&self.env.recover_bell, Ring::Recover { due }),
            (&self.env.advance_bell, Ring::Advance { due }),
            (&self.env.courier_bell, Ring::Notify { due }),
            (&self.env.sweep_bell, Ring::Sweep { due, tick: u64::try_from(due).unwrap_or(0) }),
        ];
        bells.into_iter().filter(|(bell, _)| bell.was_rung()).map(|(_, ring)| ring).collect()
    }

    async fn keep_ledger(&self) {
        let now = self.now();
        {
            let mut kept_at = self.kept_at.lock().unwrap_or_else(PoisonError::into_inner);
            if kept_at.is_some_and(|at| now.since(at) < KEEP_LEDGER_EVERY) {
                return;
            }
            *kept_at = Some(now);
        }
        if let Err(error) = self.env.store().keep_ledger(self.counts_since, now).await {
            tracing::warn!(%error, "what was consumed could not be written down; it is, the next time");
        }
    }
}

/// One call.
#[derive(Debug, Clone, Copy)]
pub struct Call {
    /// When it is taken away from us.
    deadline: Instant,
}

impl Call {
    /// A call that has so much time.
    #[must_use]
    pub fn within(limit: Duration) -> Call {
        Call { deadline: Instant::now() + limit }
    }

    /// What is left of its time.
    #[must_use]
    pub fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// Why it was made; `None` if that was too long ago to mean anything.
    ///
    /// # Errors
    /// If the event is none that functions are woken by, or of the future.
    pub fn occasion(&self, event: &serde_json::Value, now: Moment) -> Result<Option<Occasion>, Failure> {
        let occasion = Occasion::read(event)?;
        if occasion.is_fresh(now)? {
            return Ok(Some(occasion));
        }
        tracing::info!(%event, "an event came too late and is dropped; the next minute's does what it asked for");
        Ok(None)
    }
}

/// How many shards this process may keep in memory: any call may be for any shard, and one that is kept is not read anew.
fn shards_kept(megabytes: u64) -> usize {
    let room = megabytes.saturating_sub(WITHOUT_SHARDS_MEGABYTES) / SHARD_MEGABYTES;
    usize::try_from(room.max(1)).unwrap_or(usize::MAX)
}

/// The command line that letters name.
fn command_line(env: &EnvName) -> String {
    format!("lamplighter --env {env}")
}

/// Names this life of this process in leases.
fn owner(role: Role) -> String {
    format!("{}-{:016x}", role.verb().as_str(), rand::random::<u64>())
}
