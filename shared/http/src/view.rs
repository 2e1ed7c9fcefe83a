//! A service as the API shows it.

use lamplighter_core::breaker::Breaker;
use lamplighter_core::hold::Hold;
use lamplighter_core::rollout::RowStatus;
use lamplighter_core::spec::{Lifecycle, ServiceSpec};
use lamplighter_core::watch::{Status, Watch};
use lamplighter_core::{AppName, EnvName, HostAddress, Mailbox, Moment, RolloutId, ServiceId, Version};
use lamplighter_store::{Placed, ShardSummary};
use serde::Serialize;

/// A service: what a person says of it, and what is remembered.
#[derive(Debug, Serialize)]
pub(crate) struct ServiceView {
    pub(crate) id: ServiceId,
    env: EnvName,
    app: Option<AppName>,
    address: HostAddress,
    owner: Option<Mailbox>,
    pub(crate) status: Status,
    because: String,
    since: Moment,
    breaker: BreakerView,
    version: VersionView,
    last_check_at: Option<Moment>,
    last_healthy_at: Option<Moment>,
    last_failure_at: Option<Moment>,
    last_restart_at: Option<Moment>,
    last_notified_down_at: Option<Moment>,
    last_notified_up_at: Option<Moment>,
    last_error: Option<String>,
    needs_human: Option<String>,
    lifecycle: Lifecycle,
    held: Option<Hold>,
    totals: TotalsView,
    created_at: Option<Moment>,
    updated_at: Option<Moment>,
    #[serde(skip_serializing_if = "Option::is_none")]
    spec: Option<ServiceSpec>,
    #[serde(skip_serializing_if = "Option::is_none")]
    spec_version: Option<u64>,
}

/// The breaker.
#[derive(Debug, Serialize)]
pub(crate) struct BreakerView {
    state: &'static str,
    consecutive_failures: u32,
    opened_at: Option<Moment>,
    until: Option<Moment>,
}

/// Which version runs; nothing is known of that before a rollout.
#[derive(Debug, Serialize)]
pub(crate) struct VersionView {
    current: Option<Version>,
    target: Option<Version>,
    previous: Option<Version>,
    status: Option<RowStatus>,
    updated_at: Option<Moment>,
    rollout: Option<RolloutId>,
}

#[derive(Debug, Serialize)]
struct TotalsView {
    checks: u64,
    failures: u64,
    recoveries: u64,
}

impl BreakerView {
    pub(crate) fn of(breaker: &Breaker) -> Self {
        let until = match breaker {
            Breaker::Open { until, .. } => Some(*until),
            Breaker::Closed { .. } | Breaker::HalfOpen { .. } => None,
        };
        Self {
            state: breaker.name(),
            consecutive_failures: breaker.consecutive_failures(),
            opened_at: breaker.opened_at(),
            until,
        }
    }
}

impl VersionView {
    pub(crate) fn of(watch: &Watch) -> Self {
        let versions = &watch.versions;
        let update = watch.update.as_deref();
        Self {
            current: versions.current.clone(),
            target: update.map(|update| update.target.clone()),
            previous: versions.previous.clone(),
            status: update.map(|_| RowStatus::Updating).or(versions.status),
            updated_at: versions.updated_at,
            rollout: update.map(|update| update.rollout.clone()).or_else(|| versions.rollout.clone()),
        }
    }
}

impl ServiceView {
    /// A service in a list.
    pub(crate) fn of(env: &EnvName, placed: &Placed, shard: Option<&ShardSummary>) -> Self {
        let (spec, watch) = (&placed.spec, &placed.watch);
        let checks = shard.map_or(0, |shard| watch.totals.checks(shard.sweeps));
        let swept = swept_at(placed, shard, checks);
        let swept_healthy = swept.filter(|_| watch.status == Status::Healthy);
        let last_healthy_at = watch.last_healthy_at.max(swept_healthy);
        Self {
            id: spec.id.clone(),
            env: env.clone(),
            app: spec.app.clone(),
            address: spec.address.clone(),
            owner: spec.owner.clone(),
            status: watch.status,
            because: watch.because.clone(),
            since: watch.since,
            breaker: BreakerView::of(&watch.breaker),
            version: VersionView::of(watch),
            last_check_at: swept.max(last_healthy_at).max(watch.last_failure_at),
            last_healthy_at,
            last_failure_at: watch.last_failure_at,
            last_restart_at: watch.last_restart_at,
            last_notified_down_at: watch.last_notified_down_at,
            last_notified_up_at: watch.last_notified_up_at,
            last_error: watch.last_error.clone(),
            needs_human: watch.needs_human.clone(),
            lifecycle: spec.lifecycle,
            held: watch.hold.clone(),
            totals: totals(watch, checks),
            created_at: placed.created_at,
            updated_at: placed.updated_at,
            spec: None,
            spec_version: None,
        }
    }

    /// A service by itself, with what a person says of it.
    pub(crate) fn whole(env: &EnvName, placed: &Placed, shard: Option<&ShardSummary>) -> Self {
        Self {
            spec: Some(placed.spec.clone()),
            spec_version: Some(placed.spec_version),
            ..Self::of(env, placed, shard)
        }
    }
}

fn totals(watch: &Watch, checks: u64) -> TotalsView {
    TotalsView { checks, failures: watch.totals.failures, recoveries: watch.totals.recoveries }
}

/// When a sweep last looked at it: its shard's last sweep, as a service that did not change is not written.
fn swept_at(placed: &Placed, shard: Option<&ShardSummary>, checks: u64) -> Option<Moment> {
    let is_swept = placed.spec.lifecycle == Lifecycle::Ready
        && match placed.watch.status {
            Status::Healthy | Status::Unhealthy | Status::Down | Status::CircuitOpen => true,
            // Never looked at, in the hands of `recover`, of a rollout, or of a person.
            Status::Unknown | Status::Restarting | Status::Updating | Status::Held => false,
        };
    shard.filter(|_| is_swept && checks > 0).and_then(|shard| shard.swept_at)
}
