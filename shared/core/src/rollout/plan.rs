//! The plan: who is updated, in which stage, by which commands, and what it costs at worst. Pure and deterministic: the
//! same inputs give the same bytes and the same hash.

mod commands;
mod cost;
mod difference;
mod ground;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

pub use difference::{MAX_LINES, difference};

use self::ground::Ground;
use super::Options;
use crate::moment::Moment;
use crate::name::{AppName, ServiceId};
use crate::spec::ServiceSpec;
use crate::version::Version;
use crate::watch::Watch;

/// Hexadecimal digits of a plan's hash: 128 bits, more than anybody can collide by chance.
const HASH_DIGITS: usize = 32;

/// One service of the env, as it stands when the plan is made.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    /// Its spec.
    pub spec: &'a ServiceSpec,
    /// The spec's version.
    pub spec_version: u64,
    /// What is remembered of it.
    pub watch: &'a Watch,
}

/// A frozen plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Names what will be done: app, target, options, stages, who is left alone, commands. Not why somebody is left alone,
    /// which changes by the minute and does not change what is done. The same plan has the same hash.
    pub hash: String,
    /// The app.
    pub app: AppName,
    /// What is brought.
    pub target: Version,
    /// The branch whose head the target is, if it was named so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// How it goes about it.
    pub options: Options,
    /// The stages, in order; none is empty.
    pub stages: Vec<PlannedStage>,
    /// Services that are left alone, by id.
    pub skipped: Vec<Skip>,
    /// The commands that will run, for each set of services that are updated alike, in the order they are begun.
    pub commands: Vec<Commands>,
    /// The longest it can take, in seconds, if every step takes its whole limit, every service goes back again, and every
    /// stage has its longest soak.
    pub worst_case_seconds: u64,
    /// What it costs, in write units, if every service is updated and none rolled back: what the commits are allowed.
    pub write_units: u64,
    /// What those units cost, in millionths of a dollar.
    pub micro_dollars: u64,
}

/// The services of one stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedStage {
    /// Share of all services, in percent, that is updated when it is over.
    pub percent: u32,
    /// Its services, in the order in which they are begun, with the versions of their specs.
    pub services: Vec<Planned>,
}

/// One service of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Planned {
    /// The service.
    pub id: ServiceId,
    /// The version of its spec.
    pub spec_version: u64,
}

/// A service that is left alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skip {
    /// The service.
    pub id: ServiceId,
    /// Why, in the operator's words.
    pub because: String,
}

/// What runs on a set of services that are updated alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commands {
    /// How many services.
    pub services: u32,
    /// Forward, in order, as a person reads them.
    pub forward: Vec<String>,
    /// The way back, in order.
    pub back: Vec<String>,
}

/// Why there can be no plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoPlan {
    /// No service belongs to the app.
    #[error("no service of this env belongs to the app `{0}`; `lamplighter services` shows the apps")]
    NoSuchApp(AppName),
    /// Every service of the app was skipped.
    #[error("no service of `{app}` can be updated now: {because}")]
    AllSkipped {
        /// The app.
        app: AppName,
        /// How many services it has, or were asked for.
        services: usize,
        /// The commonest reason, with how many share it.
        because: String,
    },
    /// A canary is not among the services that can be updated.
    #[error("the canary `{id}` cannot be updated: {because}")]
    Canary {
        /// The service.
        id: ServiceId,
        /// Why not.
        because: String,
    },
    /// An option makes no sense.
    #[error("{0}")]
    Options(String),
}

/// Why `candidate` cannot be updated now, whatever to; `None` if it can. Asked when the plan is made, and again when its
/// turn comes.
#[must_use]
pub fn reason_to_skip(candidate: Candidate<'_>, now: Moment) -> Option<String> {
    ground::against_any(candidate, now).map(|(_, because)| because)
}

/// Makes the plan that brings `target` to the services of `app`, which are found among the `candidates`, in whatever
/// order those come. `only` restricts it to those services.
///
/// # Errors
/// [`NoPlan`] says why there is none, and what to do.
pub fn make(
    app: &AppName,
    target: &Version,
    branch: Option<&str>,
    options: &Options,
    only: Option<&[ServiceId]>,
    candidates: &[Candidate<'_>],
    now: Moment,
) -> Result<Plan, NoPlan> {
    options.check().map_err(NoPlan::Options)?;
    let of_app: BTreeMap<&ServiceId, Candidate<'_>> = candidates
        .iter()
        .filter(|candidate| candidate.spec.app.as_ref() == Some(app))
        .map(|candidate| (&candidate.spec.id, *candidate))
        .collect();
    if of_app.is_empty() {
        return Err(NoPlan::NoSuchApp(app.clone()));
    }
    let checkouts = ground::checkouts(candidates);
    let asked_for: BTreeSet<&ServiceId> = match only {
        Some(only) => only.iter().collect(),
        None => of_app.keys().copied().collect(),
    };
    let mut able = BTreeMap::new();
    let mut unable = BTreeMap::new();
    for id in asked_for {
        let against = match of_app.get(id) {
            None => Some((Ground::Gone, format!("it is no service of `{app}` any more"))),
            Some(candidate) => ground::against(*candidate, target, now)
                .or_else(|| ground::shared_checkout(candidate.spec, &checkouts)),
        };
        match (against, of_app.get(id)) {
            (None, Some(candidate)) => drop(able.insert(id, *candidate)),
            (Some(against), _) => drop(unable.insert(id, against)),
            (None, None) => {}
        }
    }
    let order = order(app, target, options, &able, &unable)?;
    if order.is_empty() {
        let (services, because) = (unable.len(), ground::commonest(&unable));
        return Err(NoPlan::AllSkipped { app: app.clone(), services, because });
    }
    let stages = stages(&options.stages, &order);
    let sizes: Vec<usize> = stages.iter().map(|stage| stage.services.len()).collect();
    let write_units = cost::write_units(&order, stages.len());
    let mut plan = Plan {
        hash: String::new(),
        app: app.clone(),
        target: target.clone(),
        branch: branch.map(str::to_owned),
        options: options.clone(),
        worst_case_seconds: cost::worst_case(&order, &sizes, options.at_once).as_secs(),
        stages,
        skipped: unable
            .iter()
            .map(|(id, (_, because))| Skip { id: (*id).clone(), because: because.clone() })
            .collect(),
        commands: commands::of(&order, target),
        write_units,
        micro_dollars: cost::micro_dollars(write_units),
    };
    plan.hash = hash(&plan);
    Ok(plan)
}

/// The services in the order in which they are begun: canaries as they were named, the rest in an order that is the same
/// whoever asks, and another one for each target, so that it is not always the same customers who go first.
fn order<'a>(
    app: &AppName,
    target: &Version,
    options: &Options,
    able: &BTreeMap<&'a ServiceId, Candidate<'a>>,
    unable: &BTreeMap<&ServiceId, (Ground, String)>,
) -> Result<Vec<Candidate<'a>>, NoPlan> {
    let mut order = Vec::with_capacity(able.len());
    let mut named = BTreeSet::new();
    for id in &options.canaries {
        let refused = |because: &str| NoPlan::Canary { id: id.clone(), because: because.to_owned() };
        if !named.insert(id) {
            return Err(refused("it is named twice"));
        }
        match (able.get(id), unable.get(id)) {
            (Some(candidate), _) => order.push(*candidate),
            (None, Some((_, because))) => return Err(refused(because)),
            (None, None) => {
                return Err(refused(&format!("it is not among the services of `{app}` that are asked for")));
            }
        }
    }
    // No name holds a line feed, so no two services share a text.
    let lot = |id: &ServiceId| Sha256::digest(format!("{app}\n{target}\n{id}"));
    let mut rest: Vec<Candidate<'a>> =
        able.iter().filter(|(id, _)| !named.contains(*id)).map(|(_, candidate)| *candidate).collect();
    rest.sort_by_cached_key(|candidate| lot(&candidate.spec.id));
    order.append(&mut rest);
    Ok(order)
}

/// Cuts the order into stages: after each, at least its share of all services has been updated, rounded up. A stage that
/// this leaves empty is dropped.
fn stages(shares: &[u32], order: &[Candidate<'_>]) -> Vec<PlannedStage> {
    let mut stages = Vec::with_capacity(shares.len());
    let mut begun = 0;
    for percent in shares {
        let share = usize::try_from(*percent).unwrap_or(100);
        let reached = (order.len() * share).div_ceil(100);
        let planned = |candidate: &Candidate<'_>| Planned {
            id: candidate.spec.id.clone(),
            spec_version: candidate.spec_version,
        };
        let services: Vec<Planned> =
            order.get(begun..reached).unwrap_or_default().iter().map(planned).collect();
        if !services.is_empty() {
            stages.push(PlannedStage { percent: *percent, services });
        }
        begun = reached;
    }
    stages
}

/// What a plan is known by: see [`Plan::hash`].
fn hash(plan: &Plan) -> String {
    #[derive(Serialize)]
    struct Done<'a> {
        app: &'a AppName,
        target: &'a Version,
        branch: Option<&'a str>,
        options: &'a Options,
        stages: &'a [PlannedStage],
        left_alone: Vec<&'a ServiceId>,
        commands: &'a [Commands],
    }
    let Plan { hash: _, app, target, branch, options, stages, skipped, commands, .. } = plan;
    let left_alone = skipped.iter().map(|skip| &skip.id).collect();
    let done = Done { app, target, branch: branch.as_deref(), options, stages, left_alone, commands };
    // Text and whole numbers under fixed keys: there is one way to write them, and it cannot fail.
    let bytes = serde_json::to_vec(&done).unwrap_or_default();
    let mut digits: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    digits.truncate(HASH_DIGITS);
    digits
}
