//! The plan: who is updated, in which stage, by which commands, and what it costs at worst. Pure and deterministic: the
//! same inputs give the same bytes and the same hash.

use serde::{Deserialize, Serialize};

use super::Options;
use crate::moment::Moment;
use crate::name::{AppName, ServiceId};
use crate::spec::ServiceSpec;
use crate::version::Version;
use crate::watch::Watch;

/// One service of the app, as it stands when the plan is made.
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
    /// Names everything below: the same plan has the same hash.
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
    /// The commands that will run, for each set of services that are updated alike.
    pub commands: Vec<Commands>,
    /// The longest it can take, in seconds, if every step takes its whole limit and every stage its longest soak.
    pub worst_case_seconds: u64,
    /// What it costs at least, in write units: every service updated, none rolled back.
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
    #[error("none of the {services} services of `{app}` can be updated now: {because}")]
    AllSkipped {
        /// The app.
        app: AppName,
        /// How many services it has.
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

/// Why `candidate` cannot be updated now; `None` if it can. Asked when the plan is made, and again when its turn comes.
#[must_use]
pub fn reason_to_skip(candidate: Candidate<'_>, now: Moment) -> Option<String> {
    let _ = (candidate, now);
    None
}

/// Makes the plan that brings `target` to the services of `app`. `only` restricts it to those services.
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
    let _ = (target, branch, options, only, candidates, now);
    Err(NoPlan::NoSuchApp(app.clone()))
}

/// What differs between two plans for one app, in the operator's words: at most ten lines. Empty if nothing does.
#[must_use]
pub fn difference(before: &Plan, now: &Plan) -> Vec<String> {
    let _ = (before, now);
    Vec::new()
}
