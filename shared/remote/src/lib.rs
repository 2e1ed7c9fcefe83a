//! Reaches a host: over SSH, HTTP and TCP, or as a process of this machine.
//!
//! The only crate that knows SSH as a client, and the only one that writes shell text (in one place, `shell`).
//! Everything a host says is hostile text: capped while it is read, limited in time, cleaned before it is shown.
//! A look never fails: whatever goes wrong is itself something that was seen.
#![cfg_attr(test, expect(clippy::unwrap_used, reason = "a test may panic"))]

mod alive;
mod credential;
mod deadline;
mod known_hosts;
mod leash;
mod local;
mod look;
pub mod network;
mod output;
mod pool;
mod reading;
mod restart;
mod shell;
mod ssh;
pub mod survey;
mod trust;
mod update;
mod web;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use lamplighter_core::EnvName;
use lamplighter_core::Version;
use lamplighter_core::moment::Moment;
use lamplighter_core::sight::{Look, ProcessId, RestartOutcome};
use lamplighter_core::spec::ServiceSpec;
use lamplighter_core::update::{NoStanding, NotResolved, Standing, StepOutcome, UpdateStep, Wanted, Way};

pub use credential::Vault;
pub use update::time_for;
pub use web::WebError;

use credential::Credentials;
use deadline::Deadline;
use look::Care;
use network::Network;
use pool::Connections;
use restart::Unlimited;
use trust::TrustBook;
use web::Web;

/// Live connections kept by default: at 65 KiB each, some 65 MiB when all are in use.
pub const DEFAULT_KEPT_CONNECTIONS: usize = 1_024;

/// How hosts are reached.
#[derive(Debug, Clone)]
pub struct RemoteConfig {
    /// The directory that `file:` keys and `known_hosts` files are relative to: where the configuration lies.
    pub base_dir: PathBuf,
    /// Whether connections outlive the look that made them.
    pub pool: Pool,
    /// Networks that checks may reach although they are private or this machine's own: the operator's explicit list.
    pub allowed_networks: Vec<Network>,
    /// Where keys lie that are written as `ssm:/PARAMETER`; without it they cannot be used.
    pub vault: Option<Vault>,
}

impl RemoteConfig {
    /// Keys relative to `base_dir`, connections kept, no private network allowed, no vault.
    #[must_use]
    pub fn new(base_dir: impl Into<PathBuf>) -> Self {
        Self {
            base_dir: base_dir.into(),
            pool: Pool::Keep { most: DEFAULT_KEPT_CONNECTIONS },
            allowed_networks: Vec::new(),
            vault: None,
        }
    }
}

/// Whether connections outlive the look that made them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pool {
    /// Kept between sweeps, at most so many. Where there are more hosts, the rest are connected to anew at each look.
    Keep {
        /// Most live connections that are kept.
        most: usize,
    },
    /// Each look and restart makes its own: for homes that sleep between sweeps.
    None,
}

/// The means of reaching hosts could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// The HTTP client that checks use could not be built.
    #[error("the client for HTTP checks could not be set up")]
    Http(#[source] WebError),
}

/// Reaches hosts. Cheap to clone: all clones share connections, keys and the HTTP client.
#[derive(Debug, Clone)]
pub struct Remote(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    connections: Connections,
    web: Web,
    unlimited: Unlimited,
}

/// One restart as the host guard needs to know it.
#[derive(Debug, Clone, Copy)]
pub struct RestartOrder<'a> {
    /// The env that the service belongs to: action numbers are counted per env and service.
    pub env: &'a EnvName,
    /// The action's number: the host refuses it if it has seen it, or a higher one, before.
    pub action_no: u64,
    /// The run of the service that was judged; another run is left alone. `None` restarts whatever runs.
    pub process: Option<&'a ProcessId>,
}

/// One step of an update as the host guard needs to know it.
#[derive(Debug, Clone, Copy)]
pub struct UpdateOrder<'a> {
    /// The env that the service belongs to: action numbers are counted per env and service.
    pub env: &'a EnvName,
    /// The step's action number. A host that has seen it does not make the step again; it answers what came of it.
    pub action_no: u64,
    /// To the target, or back.
    pub way: Way,
    /// The step.
    pub step: UpdateStep,
    /// What is brought.
    pub target: &'a Version,
    /// What was there before anything was changed.
    pub previous: &'a Version,
    /// The run of the service that a restart is to replace; `None` restarts whatever runs.
    pub process: Option<&'a ProcessId>,
}

impl Remote {
    /// Sets up the means of reaching hosts. Reaches none yet.
    ///
    /// # Errors
    /// If the HTTP client cannot be built.
    pub fn new(config: RemoteConfig) -> Result<Remote, RemoteError> {
        let RemoteConfig { base_dir, pool, allowed_networks, vault } = config;
        let trusts = TrustBook::new(base_dir.clone());
        let connections = Connections::new(pool, trusts, Credentials::new(base_dir, vault));
        let web = Web::new(allowed_networks).map_err(RemoteError::Http)?;
        Ok(Remote(Arc::new(Inner { connections, web, unlimited: Unlimited::default() })))
    }

    /// Looks at a service once. Never fails: every failure is a sight. `limit` clips the policy's own limits.
    pub async fn look(&self, spec: &ServiceSpec, began: Moment, limit: Duration) -> Look {
        look::look(&self.0, spec, began, limit, Care::Quick).await
    }

    /// Looks as [`Remote::look`] does, and learns which run of the service is there even if it is up.
    pub async fn look_closely(&self, spec: &ServiceSpec, began: Moment, limit: Duration) -> Look {
        look::look(&self.0, spec, began, limit, Care::Close).await
    }

    /// Restarts a service under the host's guard, at most once. `limit` clips the whole of it, connecting included; the
    /// restart itself gets what is left of it, at most the policy's `restart_limit`.
    pub async fn restart(
        &self,
        spec: &ServiceSpec,
        order: &RestartOrder<'_>,
        limit: Duration,
    ) -> RestartOutcome {
        restart::restart(&self.0.connections, &self.0.unlimited, spec, order, limit).await
    }

    /// Asks what is there to be updated. Changes nothing.
    ///
    /// # Errors
    /// [`NoStanding`] says why the host did not tell.
    pub async fn standing(&self, spec: &ServiceSpec, limit: Duration) -> Result<Standing, NoStanding> {
        update::standing(&self.0, spec, limit).await
    }

    /// Turns what is wanted into an exact version, by asking the remote of this service's own checkout.
    ///
    /// # Errors
    /// [`NotResolved`] says who did not know it.
    pub async fn resolve(
        &self,
        spec: &ServiceSpec,
        wanted: &Wanted,
        limit: Duration,
    ) -> Result<Version, NotResolved> {
        update::resolve(&self.0, spec, wanted, limit).await
    }

    /// Makes one step of an update under the host's guard, at most once per action number. `limit` clips the whole of
    /// it, connecting included: [`time_for`] says how much it may need. If less than half of the step's own limit would
    /// be left for the step nothing is sent, since it would only be killed half-way.
    pub async fn update(&self, spec: &ServiceSpec, order: &UpdateOrder<'_>, limit: Duration) -> StepOutcome {
        update::update(&self.0, spec, order, limit).await
    }

    /// Ends every connection in good order, and keeps none from now on.
    pub async fn close(&self) {
        self.0.connections.close().await;
    }

    /// Waits until every SSH connection that this `Remote` ever made has ended, at most for `limit`, and says how many had
    /// not. For homes that sleep between sweeps: what is still going on when such a process is put to sleep goes on in
    /// the middle of a later sweep.
    ///
    /// With [`Pool::None`] a connection is cut when the look or command that made it ends or is dropped, at whatever stage
    /// it is, whether the host answers or not; so this waits for our own tasks to notice, never for a host. Connections that
    /// are kept count as well: with [`Pool::Keep`], call [`Remote::close`] first.
    ///
    /// The connection of an HTTP check is dropped with its look, and is given a turn here to notice it. A name that takes
    /// long to resolve is not waited for: what asks for it is a thread that touches no host.
    pub async fn settled(&self, limit: Duration) -> usize {
        let deadline = Deadline::after(limit);
        tokio::task::yield_now().await;
        self.0.connections.alive.none_left(deadline).await
    }

    /// How many live connections are kept.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.0.connections.live()
    }
}
