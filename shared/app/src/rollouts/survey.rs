//! What a plan is made from: the services of an app, and the exact version that is wanted.

use std::time::Duration;

use lamplighter_core::moment::Moment;
use lamplighter_core::rollout::Options;
use lamplighter_core::rollout::plan::{self, Candidate, NoPlan, Plan};
use lamplighter_core::update::{NotResolved, Update, Wanted};
use lamplighter_core::{AppName, ServiceId, Version};
use lamplighter_store::{Placed, Store, StoreError};

use super::Refused;
use crate::Env;

/// Services the store gives at once.
const STORE_PAGE: usize = 200;
/// Hosts that are asked for what is wanted before that is given up: one may be away, three at once are not.
const HOSTS_ASKED: usize = 3;
/// Longest one of them is waited for where a person waits: all of them together stay below what a request may take.
pub(super) const PATIENCE_OF_A_PERSON: Duration = Duration::from_secs(8);
/// The same where nobody waits.
pub(super) const PATIENCE_OF_A_PUSH: Duration = Duration::from_secs(30);

/// What is to be brought, exactly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    /// The version.
    pub(super) version: Version,
    /// The branch whose head it was, if it was named so.
    pub(super) branch: Option<String>,
}

/// The services that a plan for `app` depends on: its own, and others' that are updated in ways of their own, since two
/// may share one checkout.
pub(super) async fn services_of(store: &Store, app: &AppName) -> Result<Vec<Placed>, StoreError> {
    let concerned = |placed: &Placed| is_of(placed, app) || placed.spec.update.is_some();
    let (mut found, mut cursor) = (Vec::new(), None);
    loop {
        let page = store.list_services(cursor.as_deref(), STORE_PAGE).await?;
        found.extend(page.items.into_iter().filter(concerned));
        cursor = page.next;
        if cursor.is_none() {
            return Ok(found);
        }
    }
}

/// True for a service of `app`.
pub(super) fn is_of(placed: &Placed, app: &AppName) -> bool {
    placed.spec.app.as_ref() == Some(app)
}

/// Makes the plan from `services` as they are now.
pub(super) fn planned(
    app: &AppName,
    target: &Target,
    options: &Options,
    only: Option<&[ServiceId]>,
    services: &[Placed],
    now: Moment,
) -> Result<Plan, NoPlan> {
    let candidates: Vec<Candidate<'_>> = services.iter().map(candidate).collect();
    plan::make(app, &target.version, target.branch.as_deref(), options, only, &candidates, now)
}

fn candidate(placed: &Placed) -> Candidate<'_> {
    Candidate { spec: &placed.spec, spec_version: placed.spec_version, watch: &placed.watch }
}

/// The branch that the services of `app` follow, where nobody said what to bring.
pub(super) fn branch_of(app: &AppName, services: &[Placed]) -> Result<String, Refused> {
    if !services.iter().any(|placed| is_of(placed, app)) {
        return Err(NoPlan::NoSuchApp(app.clone()).into());
    }
    let of_app = services.iter().filter(|placed| is_of(placed, app));
    let mut branches: Vec<&str> = of_app.filter_map(|placed| placed.spec.update.as_ref()?.branch()).collect();
    branches.sort_unstable();
    branches.dedup();
    match branches.as_slice() {
        [only] => Ok((*only).to_owned()),
        [] => Err(Refused::NoTarget(format!(
            "no service of `{app}` follows a branch; name the version to bring"
        ))),
        several => Err(Refused::NoTarget(format!(
            "the services of `{app}` follow several branches ({}); name the one to bring",
            several.join(", ")
        ))),
    }
}

/// Turns what is wanted into an exact version that the remote has, by asking hosts of the app itself: what they may
/// fetch is what counts.
pub(super) async fn resolved(
    env: &Env,
    app: &AppName,
    wanted: Wanted,
    services: &[Placed],
    patience: Duration,
) -> Result<Target, Refused> {
    let now = env.clock().now();
    let services: Vec<&Placed> = services.iter().filter(|placed| is_of(placed, app)).collect();
    if services.is_empty() {
        return Err(NoPlan::NoSuchApp(app.clone()).into());
    }
    let branch = match &wanted {
        Wanted::Branch(branch) => Some(branch.clone()),
        Wanted::Version(_) => None,
    };
    let able = services.iter().filter(|placed| may_be_asked(placed, &wanted, now)).take(HOSTS_ASKED);
    let mut silent = Vec::new();
    for placed in able {
        match env.parts.hosts.resolve(&placed.spec, &wanted, patience).await {
            Ok(version) => return Ok(Target { version, branch }),
            Err(NotResolved::Unknown(why)) => return Err(Refused::Unknown(why)),
            Err(NotResolved::Unreachable(fault)) => silent.push(format!("`{}` {fault}", placed.spec.id)),
            Err(NotResolved::NoRemote(why)) => silent.push(format!("`{}` {why}", placed.spec.id)),
        }
    }
    if !silent.is_empty() {
        return Err(Refused::NoAnswer(silent.join("; ")));
    }
    // No service can be updated now, or none in the way this version would need: the plan says it best.
    match wanted {
        Wanted::Version(version) => Ok(Target { version, branch }),
        Wanted::Branch(_) => Err(no_candidate(app, &services, now)),
    }
}

/// True for a service that could be updated now, and whose kind of update knows what is wanted.
fn may_be_asked(placed: &Placed, wanted: &Wanted, now: Moment) -> bool {
    let knows = match (&placed.spec.update, wanted) {
        (Some(Update::Git(_)), Wanted::Branch(_)) => true,
        (Some(Update::Docker(_) | Update::Own(_)), Wanted::Branch(_)) | (None, _) => false,
        (Some(Update::Git(_) | Update::Docker(_) | Update::Own(_)), Wanted::Version(_)) => true,
    };
    knows && plan::reason_to_skip(candidate(placed), now).is_none()
}

fn no_candidate(app: &AppName, services: &[&Placed], now: Moment) -> Refused {
    let mut reasons: Vec<String> = services
        .iter()
        .map(|placed| {
            plan::reason_to_skip(candidate(placed), now)
                .unwrap_or_else(|| "its update knows no branches; name a version".to_owned())
        })
        .collect();
    reasons.sort_unstable();
    let commonest = reasons.chunk_by(|one, other| one == other).max_by_key(|alike| alike.len());
    let because = commonest
        .and_then(|alike| Some(format!("{} ({} of them)", alike.first()?, alike.len())))
        .unwrap_or_default();
    NoPlan::AllSkipped { app: app.clone(), services: services.len(), because }.into()
}
