//! Live connections, one per login on a host, kept between sweeps.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lamplighter_core::HostAddress;
use lamplighter_core::name::UserName;
use lamplighter_core::sight::{Fault, UnreachableKind};
use lamplighter_core::spec::{KeyRef, ServiceSpec};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::Pool;
use crate::alive::Alive;
use crate::credential::Credentials;
use crate::deadline::Deadline;
use crate::ssh::{Configs, Line, Session};
use crate::trust::{Trust, TrustBook};

/// How long a kept connection may take to open a channel before it is taken for dead and a new one is made.
const KEPT_PATIENCE: Duration = Duration::from_secs(2);
/// Slots without a connection are cleared away once there are so many more than connections.
const SLACK_SLOTS: usize = 1_024;
/// A connection unused for longer than any sweep's interval has lost its place to whoever comes next. Until then a full
/// pool keeps what it has: a sweep asks each host in turn, so giving up the longest unused for each newcomer would lose
/// every connection just before it is wanted again.
const PLACE_KEPT: Duration = Duration::from_secs(3_600 + 60);
/// How long all the goodbyes together may take.
const GOODBYE_LIMIT: Duration = Duration::from_secs(2);

/// Every SSH connection there is, and what is needed to make more.
#[derive(Debug)]
pub(crate) struct Connections {
    most: usize,
    is_closed: AtomicBool,
    slots: Mutex<HashMap<Destination, Arc<Slot>>>,
    /// One for each connection that may be kept.
    places: Arc<Semaphore>,
    began: Instant,
    /// Every connection, kept or not.
    pub(crate) alive: Alive,
    pub(crate) trusts: TrustBook,
    pub(crate) credentials: Credentials,
    pub(crate) configs: Configs,
}

/// Whoever differs in any of these must not share a connection.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Destination {
    address: HostAddress,
    user: UserName,
    key: KeyRef,
    trust: u64,
}

/// The place of one connection. Whoever holds the lock is the only one connecting.
#[derive(Default)]
struct Slot {
    state: tokio::sync::Mutex<State>,
    /// In seconds since the pool began.
    last_used_secs: AtomicU64,
}

#[derive(Default)]
struct State {
    kept: Option<Kept>,
    /// The last failure to connect: whoever waited for that very attempt shares it.
    failure: Option<(Instant, Fault<UnreachableKind>)>,
}

/// A connection that is kept, and its place, which is free again once this is dropped.
struct Kept {
    session: Arc<Session>,
    _place: OwnedSemaphorePermit,
}

impl Slot {
    /// True if a connection is kept here, or somebody is at it right now.
    fn is_taken(&self) -> bool {
        self.state.try_lock().map_or(true, |state| state.kept.is_some())
    }
}

impl std::fmt::Debug for Slot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Slot").field("is_taken", &self.is_taken()).finish_non_exhaustive()
    }
}

impl Connections {
    pub(crate) fn new(pool: Pool, trusts: TrustBook, credentials: Credentials) -> Self {
        let most = match pool {
            Pool::Keep { most } => most,
            Pool::None => 0,
        };
        Self {
            most,
            is_closed: AtomicBool::new(false),
            slots: Mutex::default(),
            places: Arc::new(Semaphore::new(most.min(Semaphore::MAX_PERMITS))),
            began: Instant::now(),
            alive: Alive::default(),
            trusts,
            credentials,
            configs: Configs::default(),
        }
    }

    /// An open channel to the host of `spec`. Connects at most for its policy's `connect_limit`; a kept connection that
    /// turns out to be dead is replaced once. Nothing has been asked of the host's shell when this returns.
    pub(crate) async fn line(
        &self,
        spec: &ServiceSpec,
        deadline: Deadline,
    ) -> Result<Line, Fault<UnreachableKind>> {
        self.line_within(spec, deadline, spec.policy.connect_limit).await
    }

    /// An open channel, as [`Connections::line`] opens it, with a limit of its own for connecting.
    pub(crate) async fn line_within(
        &self,
        spec: &ServiceSpec,
        deadline: Deadline,
        connect_limit: Duration,
    ) -> Result<Line, Fault<UnreachableKind>> {
        let (Some(user), Some(key)) = (&spec.user, &spec.key) else {
            return Err(Fault::new(
                UnreachableKind::Key,
                "the service names no `user` or no `key`; add both",
            ));
        };
        let trust = self.trusts.of(spec)?;
        let connected_by = deadline.clipped_to(connect_limit);
        let to = Destination {
            address: spec.address.clone(),
            user: user.clone(),
            key: key.clone(),
            trust: trust.id,
        };
        if self.most == 0 || self.is_closed.load(Ordering::Acquire) {
            let session = Arc::new(self.open(&to, trust, connected_by).await?);
            return Ok(session.channel(connected_by.left(), connected_by).await?.keeping(session));
        }
        let slot = self.slot(&to);
        let (session, is_kept) = self.session(&slot, &to, &trust, connected_by).await?;
        if !is_kept {
            return Ok(session.channel(connected_by.left(), connected_by).await?.keeping(session));
        }
        match session.channel(KEPT_PATIENCE.min(connected_by.left() / 2), connected_by).await {
            Ok(line) => Ok(line.keeping(session)),
            Err(fault) => {
                tracing::debug!(host = %to.address, %fault, "a kept connection was dead; connecting anew");
                forget(&slot, &session).await;
                drop(session);
                let (session, _) = self.session(&slot, &to, &trust, connected_by).await?;
                Ok(session.channel(connected_by.left(), connected_by).await?.keeping(session))
            }
        }
    }

    /// How many connections are kept.
    pub(crate) fn live(&self) -> usize {
        self.most.saturating_sub(self.places.available_permits())
    }

    /// Ends every kept connection in good order, and keeps none from now on.
    pub(crate) async fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
        let slots: Vec<Arc<Slot>> = {
            let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
            slots.drain().map(|(_, slot)| slot).collect()
        };
        let goodbyes = slots.iter().map(|slot| async {
            if let Some(session) = slot.state.lock().await.kept.take().map(|kept| kept.session) {
                session.say_goodbye().await;
                session.ended().await;
            }
        });
        let _ = Deadline::after(GOODBYE_LIMIT).bound(futures_util::future::join_all(goodbyes)).await;
    }

    /// The kept connection, or a new one; true if it was kept.
    async fn session(
        &self,
        slot: &Slot,
        to: &Destination,
        trust: &Arc<Trust>,
        deadline: Deadline,
    ) -> Result<(Arc<Session>, bool), Fault<UnreachableKind>> {
        slot.last_used_secs.store(self.began.elapsed().as_secs(), Ordering::Relaxed);
        let began = Instant::now();
        let late = |_| Fault::new(UnreachableKind::TimedOut, "no connection in time");
        let mut state = deadline.bound(slot.state.lock()).await.map_err(late)?;
        if let Some(kept) = &state.kept {
            if !kept.session.is_closed() {
                return Ok((Arc::clone(&kept.session), true));
            }
            state.kept = None;
        }
        if let Some((failed_at, fault)) = &state.failure
            && *failed_at > began
        {
            return Err(fault.clone());
        }
        match self.open(to, Arc::clone(trust), deadline).await {
            Ok(session) => {
                let session = Arc::new(session);
                state.failure = None;
                if !self.is_closed.load(Ordering::Acquire)
                    && let Some(place) = self.place()
                {
                    state.kept = Some(Kept { session: Arc::clone(&session), _place: place });
                }
                Ok((session, false))
            }
            Err(fault) => {
                state.failure = Some((Instant::now(), fault.clone()));
                Err(fault)
            }
        }
    }

    async fn open(
        &self,
        to: &Destination,
        trust: Arc<Trust>,
        deadline: Deadline,
    ) -> Result<Session, Fault<UnreachableKind>> {
        let late = |_| {
            Fault::new(
                UnreachableKind::Key,
                &format!("`{}` was not read in time", String::from(to.key.clone())),
            )
        };
        let key = deadline.bound(self.credentials.load(&to.key)).await.map_err(late)??;
        let config = self.configs.asking_for(trust.algorithms());
        // Boxed: a handshake's state is large, and most looks have none.
        let opening = Session::open(&to.address, &to.user, key, trust, config, &self.alive, deadline);
        let opened = Box::pin(opening).await;
        if opened.as_ref().is_err_and(|fault| fault.kind == UnreachableKind::Auth) {
            self.credentials.doubt(&to.key);
        }
        opened
    }

    fn slot(&self, to: &Destination) -> Arc<Slot> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = slots.get(to) {
            return Arc::clone(slot);
        }
        if slots.len() >= self.most + SLACK_SLOTS {
            slots.retain(|_, slot| Arc::strong_count(slot) > 1 || slot.is_taken());
        }
        Arc::clone(slots.entry(to.clone()).or_default())
    }

    /// A place for one more connection to be kept, if there is one: a free one, or that of a connection nobody has used
    /// for so long that nobody will.
    fn place(&self) -> Option<OwnedSemaphorePermit> {
        let free = || Arc::clone(&self.places).try_acquire_owned().ok();
        free().or_else(|| {
            let forsaken = self.began.elapsed().checked_sub(PLACE_KEPT)?.as_secs();
            let is_kept = |slot: &Slot| slot.last_used_secs.load(Ordering::Relaxed) >= forsaken;
            let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
            slots.retain(|_, slot| is_kept(slot) || Arc::strong_count(slot) > 1);
            drop(slots);
            free()
        })
    }
}

/// Takes a dead connection out of its slot, unless somebody has replaced it already.
async fn forget(slot: &Slot, dead: &Arc<Session>) {
    let mut state = slot.state.lock().await;
    if state.kept.as_ref().is_some_and(|kept| Arc::ptr_eq(&kept.session, dead)) {
        state.kept = None;
    }
}
