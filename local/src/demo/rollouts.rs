//! Rollouts of the demo: now and then somebody pushes a release, and Lamplighter brings it to the fleet.

use std::collections::BTreeSet;
use std::time::Duration;

use lamplighter_app::{Env, rollouts};
use lamplighter_core::rollout::{Options, Rollout, Row, RowStatus, STAGES};
use lamplighter_core::sight::one_line;
use lamplighter_core::update::Wanted;
use lamplighter_core::{AppName, RolloutId, ServiceId};
use lamplighter_store::{Store, StoreError, Verb};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::fleet::{APP, DemoFleet};
use super::release::{MAIN, Release};

/// When the first rollout begins: a newcomer has seen a heal and a breaker by then.
const FIRST_AFTER: Duration = Duration::from_secs(40);
/// How long nothing is rolled out between two.
const LULL: Duration = Duration::from_secs(60);
/// How often it is looked whether a rollout has moved.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Watching time after a stage: as impatient as the rest of the demo.
const SOAK: Duration = Duration::from_secs(5);
/// Services at once: few enough to see each.
const AT_ONCE: u32 = 3;
/// Rows read of one rollout: more than the demo has services.
const ROWS: usize = 100;
/// What is pushed, again and again: one that one host cannot take, one that starts nowhere, one that mends it.
const PUSHES: [Push; 3] = [
    // Two stages: one failure in a small third one would halt it.
    Push { title: "Bundle all fonts", release: Release::NeedsRoom, stages: &[10, 100] },
    Push { title: "Rename a module", release: Release::DoesNotStart, stages: &STAGES },
    Push { title: "Give the module its old name", release: Release::Good, stages: &STAGES },
];

/// A release, and how it is rolled out.
struct Push {
    title: &'static str,
    release: Release,
    stages: &'static [u32],
}

/// A line about a rollout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// What a person does.
    Deed(String),
    /// What the engine made of it.
    Progress {
        /// The rollout.
        id: RolloutId,
        /// Its status.
        status: String,
        /// Why it stands there.
        because: String,
    },
    /// A service that does not run what was to be brought.
    Failed {
        /// The service.
        id: ServiceId,
        /// What became of it.
        status: RowStatus,
        /// Why.
        because: String,
    },
}

/// Pushes and starts rollouts until told to stop; does nothing without a repository. `busy` says whether one is under way.
pub async fn push(
    env: &Env,
    fleet: &DemoFleet,
    mut busy: watch::Receiver<bool>,
    stopping: &CancellationToken,
    tell: impl Fn(Told),
) {
    let Some(releases) = fleet.releases() else { return };
    let mut pushes = PUSHES.iter().cycle();
    let mut wait = FIRST_AFTER;
    // What main holds at first has been pushed already.
    let mut next: Option<&Push> = None;
    loop {
        tokio::select! {
            () = stopping.cancelled() => return,
            () = tokio::time::sleep(wait) => {}
        }
        wait = LULL;
        if *busy.borrow() {
            // A rollout of somebody else's goes first. The sender lives as long as the demo.
            tokio::select! {
                () = stopping.cancelled() => return,
                _ = busy.wait_for(|busy| !*busy) => continue,
            }
        }
        if let Some(Push { title, release, .. }) = next {
            match releases.push(title, *release).await {
                Ok(version) => {
                    tell(Told::Deed(format!("somebody pushes {} to {MAIN}: \"{title}\"", version.short())));
                }
                Err(error) => tell(Told::Deed(format!("pushing \"{title}\" failed: {error:#}"))),
            }
        }
        tell(Told::Deed(format!(
            "somebody types: lamplighter rollout start {APP} --branch {MAIN} --soak 5s"
        )));
        let stages = next.map_or(&STAGES[..], |push| push.stages);
        if let Err(why) = start(env, fleet, stages).await {
            tell(Told::Deed(format!("it is refused: {}", one_line(&why, 200))));
        }
        next = pushes.next();
    }
}

async fn start(env: &Env, fleet: &DemoFleet, stages: &[u32]) -> Result<(), String> {
    let canary = fleet.residents().first().map(|resident| resident.spec.id.clone());
    let options = Options {
        stages: stages.to_vec(),
        at_once: AT_ONCE,
        soak: SOAK,
        canaries: canary.into_iter().collect(),
        ..Options::default()
    };
    let asked = rollouts::Asked {
        app: app()?,
        wanted: Some(Wanted::Branch(MAIN.to_owned())),
        options: Some(options),
        plan_hash: None,
        force: None,
    };
    rollouts::start(env, &asked, "the demo").await.map(drop).map_err(|refused| refused.to_string())
}

fn app() -> Result<AppName, String> {
    APP.parse().map_err(|error| format!("{error}"))
}

/// Tells what becomes of every rollout, whoever started it, until told to stop; sets `busy` while one is under way.
pub async fn follow(
    env: &Env,
    busy: &watch::Sender<bool>,
    stopping: &CancellationToken,
    tell: impl Fn(Told),
) {
    let Ok(app) = app() else { return };
    let store = env.store().for_verb(Verb::Api);
    let mut following: Option<Followed> = None;
    loop {
        tokio::select! {
            () = stopping.cancelled() => return,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
        // A store that is away for a moment is the engine's trouble to tell.
        let Ok(state) = store.app_state(&app).await else { continue };
        if let Some(followed) = &mut following
            && let Ok(ended) = followed.look(&store, &tell).await
            && ended
        {
            following = None;
        }
        if let (None, Some(id)) = (&following, state.active) {
            following = Some(Followed { id, said: String::new(), failed: BTreeSet::new() });
        }
        busy.send_replace(following.is_some());
    }
}

/// A rollout under way, and what was told of it.
struct Followed {
    id: RolloutId,
    said: String,
    failed: BTreeSet<ServiceId>,
}

impl Followed {
    /// Tells what is new; answers whether it has ended.
    async fn look(&mut self, store: &Store, tell: &impl Fn(Told)) -> Result<bool, StoreError> {
        let Some(head) = store.rollout(&self.id).await? else { return Ok(true) };
        if usize::try_from(head.failures()).is_ok_and(|failures| failures > self.failed.len()) {
            self.tell_of_failures(&store.rows(&self.id, 0, ROWS).await?, tell);
        }
        let said = format!("{} {}", head.status(), head.because);
        if said != self.said {
            self.said = said;
            tell(progress(&head));
        }
        Ok(!head.is_active())
    }

    fn tell_of_failures(&mut self, rows: &[Row], tell: &impl Fn(Told)) {
        for row in rows {
            match row.status {
                RowStatus::RolledBack | RowStatus::Failed => {}
                RowStatus::Pending | RowStatus::Updating | RowStatus::Success | RowStatus::Skipped => {
                    continue;
                }
            }
            if self.failed.insert(row.service.clone()) {
                tell(Told::Failed {
                    id: row.service.clone(),
                    status: row.status,
                    because: row.because.clone(),
                });
            }
        }
    }
}

fn progress(head: &Rollout) -> Told {
    Told::Progress { id: head.id.clone(), status: head.status().to_owned(), because: head.because.clone() }
}
