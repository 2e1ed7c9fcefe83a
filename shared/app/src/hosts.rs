//! How a verb reaches hosts.

use std::time::Duration;

use futures_util::future::BoxFuture;
use lamplighter_core::Moment;
use lamplighter_core::sight::{Look, RestartOutcome};
use lamplighter_core::spec::ServiceSpec;
use lamplighter_remote::{Remote, RestartOrder};

/// Reaches the hosts of a fleet: over SSH and the like, or, in a simulation, a fleet in a box.
pub trait Hosts: Send + Sync {
    /// Looks at a service. Never fails: what went wrong is what was seen.
    fn look<'a>(&'a self, spec: &'a ServiceSpec, began: Moment, limit: Duration) -> BoxFuture<'a, Look>;

    /// Looks, and finds out which run of the service it is even if it is up.
    fn look_closely<'a>(
        &'a self,
        spec: &'a ServiceSpec,
        began: Moment,
        limit: Duration,
    ) -> BoxFuture<'a, Look>;

    /// Restarts a service under the host's guard.
    fn restart<'a>(
        &'a self,
        spec: &'a ServiceSpec,
        order: RestartOrder<'a>,
        limit: Duration,
    ) -> BoxFuture<'a, RestartOutcome>;
}

impl Hosts for Remote {
    fn look<'a>(&'a self, spec: &'a ServiceSpec, began: Moment, limit: Duration) -> BoxFuture<'a, Look> {
        Box::pin(Remote::look(self, spec, began, limit))
    }

    fn look_closely<'a>(
        &'a self,
        spec: &'a ServiceSpec,
        began: Moment,
        limit: Duration,
    ) -> BoxFuture<'a, Look> {
        Box::pin(Remote::look_closely(self, spec, began, limit))
    }

    fn restart<'a>(
        &'a self,
        spec: &'a ServiceSpec,
        order: RestartOrder<'a>,
        limit: Duration,
    ) -> BoxFuture<'a, RestartOutcome> {
        Box::pin(async move { Remote::restart(self, spec, &order, limit).await })
    }
}
