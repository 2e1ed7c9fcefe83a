//! Why a service is left alone by a plan.

use std::collections::BTreeMap;

use super::Candidate;
use crate::breaker::Breaker;
use crate::moment::Moment;
use crate::name::{HostAddress, ServiceId};
use crate::rollout::RowStatus;
use crate::spec::{Lifecycle, ServiceSpec};
use crate::update::Update;
use crate::version::Version;
use crate::watch::{Status, Watch};

/// What a reason has in common with others of its kind, so that they can be counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Ground {
    /// It is no service of the app.
    Gone,
    /// Its spec does not say how it is updated.
    NoUpdate,
    /// It is updated to versions of another kind.
    OtherKind,
    /// Its lifecycle.
    Lifecycle,
    /// Its files are another service's too.
    Shared,
    /// A rollout has it.
    Updating,
    /// A person must look at it first.
    NeedsHuman,
    /// A person holds it.
    Held,
    /// It runs the target.
    RunsIt,
    /// A restart of it is open.
    Restarting,
    /// Its breaker is not closed.
    Breaker,
    /// Nobody has looked at it.
    Unknown,
    /// It is not healthy.
    Sick,
}

/// What stands against bringing `candidate` to `target` now. What only a person can change comes before what passes.
pub(super) fn against(candidate: Candidate<'_>, target: &Version, now: Moment) -> Option<(Ground, String)> {
    let Candidate { spec, watch, .. } = candidate;
    let by_kind = spec.update.as_ref().and_then(|update| by_kind(update, target));
    by_kind
        .map(|because| (Ground::OtherKind, because.to_owned()))
        .or_else(|| by_version(watch, target).filter(|_| spec.lifecycle == Lifecycle::Ready))
        .or_else(|| against_any(candidate, now))
}

/// What stands against updating `candidate` now, whatever to.
pub(super) fn against_any(candidate: Candidate<'_>, now: Moment) -> Option<(Ground, String)> {
    let Candidate { spec, watch, .. } = candidate;
    if spec.update.is_none() {
        let because = "its spec has no `update`; say in the fleet file how it is updated";
        return Some((Ground::NoUpdate, because.to_owned()));
    }
    by_lifecycle(spec.lifecycle)
        .map(|because| (Ground::Lifecycle, because.to_owned()))
        .or_else(|| by_hand(watch, now))
        .or_else(|| by_health(watch))
}

fn by_kind(update: &Update, target: &Version) -> Option<&'static str> {
    let is_digest = target.as_str().starts_with("sha256:");
    match update {
        Update::Git(_) if is_digest => Some("it is a git checkout; give a commit, not an image's digest"),
        Update::Docker(_) if !is_digest => {
            Some("it is a container; give an image's digest `sha256:…`, not a commit")
        }
        // What a version of their own is, the steps know.
        Update::Git(_) | Update::Docker(_) | Update::Own(_) => None,
    }
}

fn by_lifecycle(lifecycle: Lifecycle) -> Option<&'static str> {
    match lifecycle {
        Lifecycle::Ready => None,
        Lifecycle::Provisioning => Some("it is still `provisioning`"),
        Lifecycle::Suspended => Some("it is `suspended`"),
        Lifecycle::Retired => Some("it is `retired`"),
    }
}

/// True of a service that was last seen to run the target. Whether it still does, its host says when its turn comes. What
/// an update left that failed both ways is not what was last seen.
fn by_version(watch: &Watch, target: &Version) -> Option<(Ground, String)> {
    let versions = &watch.versions;
    let is_certain = watch.update.is_none() && versions.status != Some(RowStatus::Failed);
    let runs_it = is_certain && versions.current.as_ref() == Some(target);
    runs_it.then(|| (Ground::RunsIt, format!("it runs `{}` already", target.short())))
}

/// A rollout or a person has it.
fn by_hand(watch: &Watch, now: Moment) -> Option<(Ground, String)> {
    if let Some(update) = &watch.update {
        let because = match update.stray {
            true => {
                format!("`{}` left it half-way; it is brought back once its host answers", update.rollout)
            }
            false => format!("`{}` is updating it", update.rollout),
        };
        return Some((Ground::Updating, because));
    }
    if let Some(why) = &watch.needs_human {
        let way_out = format!("a person must mend it, then `lamplighter breaker reset {}`", watch.service);
        return Some((Ground::NeedsHuman, format!("{way_out}: {why}")));
    }
    let hold = watch.hold.as_ref().filter(|hold| hold.is_in_force(now))?;
    let until = hold.until.map(|until| format!(" until {}", to_the_second(until))).unwrap_or_default();
    Some((Ground::Held, format!("`{}` holds it{until}: {}", hold.by, hold.reason)))
}

fn by_health(watch: &Watch) -> Option<(Ground, String)> {
    if watch.attempt.is_some() {
        return Some((Ground::Restarting, "a restart of it is under way".to_owned()));
    }
    match &watch.breaker {
        Breaker::Closed { .. } => {}
        Breaker::Open { opened_at, .. } | Breaker::HalfOpen { opened_at, .. } => {
            let since = to_the_second(*opened_at);
            return Some((Ground::Breaker, format!("its breaker is open since {since}")));
        }
    }
    let since = to_the_second(watch.since);
    match watch.status {
        Status::Healthy => None,
        Status::Unknown => Some((
            Ground::Unknown,
            "nobody knows how it is; wait for a sweep, or ask for one with `lamplighter sweep`".to_owned(),
        )),
        Status::Held => {
            Some((Ground::Held, "it was held until just now; wait for a sweep to look at it".to_owned()))
        }
        Status::Updating => Some((Ground::Updating, format!("it is being updated since {since}"))),
        status @ (Status::Unhealthy | Status::Restarting | Status::Down | Status::CircuitOpen) => {
            Some((Ground::Sick, format!("it is `{status}` since {since}")))
        }
    }
}

/// Nobody who reads a plan wants milliseconds.
fn to_the_second(moment: Moment) -> Moment {
    Moment::from_millis(moment.as_secs() * 1_000)
}

/// A place on a host that an update changes.
type Checkout<'a> = (&'a HostAddress, &'a str);

fn checkout(spec: &ServiceSpec) -> Option<Checkout<'_>> {
    match spec.update.as_ref()? {
        Update::Git(git) => Some((&spec.address, git.dir.trim_end_matches('/'))),
        Update::Docker(docker) => Some((&spec.address, docker.dir.trim_end_matches('/'))),
        // Where own steps run is not what they change.
        Update::Own(_) => None,
    }
}

/// The service that each checkout belongs to: the first by id of those that use it.
pub(super) fn checkouts<'a>(candidates: &[Candidate<'a>]) -> BTreeMap<Checkout<'a>, &'a ServiceId> {
    let mut owners = BTreeMap::new();
    for spec in candidates.iter().map(|candidate| candidate.spec) {
        let (Some(place), false) = (checkout(spec), spec.lifecycle == Lifecycle::Retired) else { continue };
        let owner = owners.entry(place).or_insert(&spec.id);
        *owner = (*owner).min(&spec.id);
    }
    owners
}

/// What stands against a service whose files another one is updated by: going back with one would pull the files from
/// under the other.
pub(super) fn shared_checkout(
    spec: &ServiceSpec,
    checkouts: &BTreeMap<Checkout<'_>, &ServiceId>,
) -> Option<(Ground, String)> {
    let (address, dir) = checkout(spec)?;
    let owner = checkouts.get(&(address, dir)).filter(|owner| ***owner != spec.id)?;
    let because = format!(
        "`{dir}` on its host is updated with `{owner}`; give it a directory of its own, or let the `restart` of `{owner}` restart both"
    );
    Some((Ground::Shared, because))
}

/// The reason that most share, told by the first of them.
pub(super) fn commonest(unable: &BTreeMap<&ServiceId, (Ground, String)>) -> String {
    let mut by_ground: BTreeMap<Ground, (usize, &ServiceId, &str)> = BTreeMap::new();
    for (id, (ground, because)) in unable {
        by_ground.entry(*ground).or_insert((0, id, because)).0 += 1;
    }
    // Of two that are equally common, the one that comes first.
    let commonest = by_ground.into_values().rev().max_by_key(|(count, ..)| *count);
    match commonest {
        None => "there are none".to_owned(),
        Some((_, id, because)) if unable.len() == 1 => format!("`{id}`: {because}"),
        Some((count, id, because)) => format!("{count} of {}, such as `{id}`: {because}", unable.len()),
    }
}
