//! The story of a release that is rolled out while the way to the table is bad.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use lamplighter::demo::{DemoFleet, Release, fleet};
use lamplighter_app::rollouts::{Asked, Refused, plan, start};
use lamplighter_core::rollout::{Course, End, Options, Rollout, RowStatus};
use lamplighter_core::spec::ServiceSpec;
use lamplighter_core::update::Wanted;
use lamplighter_core::watch::Status;
use lamplighter_core::{AppName, Version};
use serde_json::json;

use crate::check::{Fate, violations};
use crate::fault::Rule;
use crate::stories::{BAD_MINUTES, GOOD_MINUTES, Told};
use crate::way::Way;
use crate::world::World;

/// The services that take part: one in the first stage, one in the second.
const SERVICES: usize = 2;
/// How often a person asks before giving up: more calls than a table throttles in these stories.
const ASKED_AT_MOST: u32 = 12;
/// The notice of the end.
const FINISHED: &str = "rollout-finished";

/// Tells the story with these rules on the way.
pub(crate) async fn tell(way: &Way, rules: &[Rule]) -> Told {
    let home = tempfile::tempdir().unwrap();
    let fleet = Box::pin(fleet(home.path())).await.unwrap();
    let target = fleet.releases().unwrap().push("Faster checkout", Release::Good).await.unwrap();
    let specs: Vec<ServiceSpec> = fleet.specs().into_iter().take(SERVICES).map(hasty).collect();
    let app = specs[0].app.clone().unwrap();
    let mut world = World::begin(way, home.path(), &specs).await;
    world.minute().await;
    let rules = world.table.spoil(rules);
    let mut found = Vec::new();
    if let Err(because) = Box::pin(ask_for_it(&mut world, &app, &target)).await {
        found.push(format!("it cannot be started: {because}"));
    }
    for _ in 0..BAD_MINUTES {
        world.minute().await;
        let listed = world.listed().await;
        if let Some(listed) = listed.filter(|listed| found.is_empty() && listed.len() != 1) {
            found.push(format!("{} rollouts are listed", listed.len()));
        }
    }
    let applied = world.table.mend(&rules);
    let mut last = None;
    for _ in 0..GOOD_MINUTES {
        world.minute().await;
        last = world.table.near.rollouts(None, 1).await.unwrap().items.pop();
        if last.as_ref().is_some_and(|rollout| matches!(rollout.course, Course::Ended { .. })) {
            break;
        }
    }
    // The letter about the end, and a look that sees all of them healthy.
    world.minute().await;
    match last {
        Some(rollout) => table(&world, &rollout, &target, &mut found).await,
        None => found.push("there is no rollout".to_owned()),
    }
    let healthy =
        |spec: &ServiceSpec| Fate { id: spec.id.clone(), status: Status::Healthy, told: &[], restarts: 1 };
    let fates: Vec<Fate> = specs.iter().map(healthy).collect();
    let told = [(format!("{app}-1"), FINISHED.to_owned())];
    found.extend(violations(&world, &fates, told).await);
    hosts(&fleet, home.path(), &target, &mut found);
    fleet.stop().await;
    Told { applied, violations: found }
}

/// A service whose waits a test need not wait for.
fn hasty(mut spec: ServiceSpec) -> ServiceSpec {
    spec.policy = serde_json::from_value(json!({"settle": "0s", "startup_grace": "0s"})).unwrap();
    spec
}

/// Asks as a person would: for a plan, then for what it says; and again while there is no answer. What was started by a
/// request whose answer was lost is there.
async fn ask_for_it(world: &mut World<'_>, app: &AppName, target: &Version) -> Result<(), Refused> {
    let options = Options { stages: vec![50, 100], soak: Duration::ZERO, ..Options::default() };
    let mut asked = Asked {
        app: app.clone(),
        wanted: Some(Wanted::Version(target.clone())),
        options: Some(options),
        plan_hash: None,
        force: None,
    };
    let mut tries = 0;
    loop {
        tries += 1;
        let env = world.life();
        let planned = match &asked.plan_hash {
            Some(_) => Ok(()),
            None => plan(&env, &asked).await.map(|plan| asked.plan_hash = Some(plan.hash)),
        };
        let started = match planned {
            Ok(()) => start(&env, &asked, "ada").await.map(drop),
            Err(refused) => Err(refused),
        };
        match started {
            Ok(()) | Err(Refused::Active(_)) => return Ok(()),
            Err(Refused::Store(_) | Refused::Busy(_)) if tries < ASKED_AT_MOST => {}
            Err(refused) => return Err(refused),
        }
    }
}

async fn table(world: &World<'_>, rollout: &Rollout, target: &Version, found: &mut Vec<String>) {
    let ended = Course::Ended { end: End::Completed };
    if rollout.course != ended {
        found.push(format!("the rollout is not completed: {}", rollout.because));
    }
    let rows = world.table.near.rows(&rollout.id, 0, SERVICES + 1).await.unwrap();
    for row in &rows {
        if row.status != RowStatus::Success || row.current.as_ref() != Some(target) {
            found.push(format!("{}: {}", row.service, row.because));
        }
    }
    if rows.len() != SERVICES {
        found.push(format!("{} rows", rows.len()));
    }
}

fn hosts(fleet: &DemoFleet, home: &Path, target: &Version, found: &mut Vec<String>) {
    for resident in &fleet.residents()[..SERVICES] {
        let host = &fleet.hosts()[resident.host];
        let (restarts, nesting) = (host.systemd().restarts(&resident.unit), host.counts().max_nesting);
        if (restarts, nesting) != (1, 1) {
            found.push(format!("{}: {restarts} restarts, {nesting} at once", resident.spec.id));
        }
        let checkout = home.join(format!("hosts/host-{}/{}", resident.host + 1, resident.unit));
        let head = Command::new("git").arg("-C").arg(checkout).args(["rev-parse", "HEAD"]).output().unwrap();
        if String::from_utf8_lossy(&head.stdout).trim() != target.as_str() {
            found.push(format!("{} does not run the target", resident.spec.id));
        }
    }
}
