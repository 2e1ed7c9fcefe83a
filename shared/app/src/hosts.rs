//! How a verb reaches hosts.

use std::time::Duration;

use futures_util::future::BoxFuture;
use lamplighter_core::sight::{Look, RestartOutcome};
use lamplighter_core::spec::ServiceSpec;
use lamplighter_core::update::{NoStanding, NotResolved, Standing, StepOutcome, Wanted};
use lamplighter_core::{Moment, Version};
use lamplighter_remote::{Remote, RestartOrder, UpdateOrder};

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

    /// Asks what is there to be updated. Changes nothing.
    fn standing<'a>(
        &'a self,
        spec: &'a ServiceSpec,
        limit: Duration,
    ) -> BoxFuture<'a, Result<Standing, NoStanding>>;

    /// Turns what is wanted into an exact version, by asking the remote of this service's own checkout.
    fn resolve<'a>(
        &'a self,
        spec: &'a ServiceSpec,
        wanted: &'a Wanted,
        limit: Duration,
    ) -> BoxFuture<'a, Result<Version, NotResolved>>;

    /// Makes one step of an update under the host's guard.
    fn update<'a>(
        &'a self,
        spec: &'a ServiceSpec,
        order: UpdateOrder<'a>,
        limit: Duration,
    ) -> BoxFuture<'a, StepOutcome>;
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

    fn standing<'a>(
        &'a self,
        spec: &'a ServiceSpec,
        limit: Duration,
    ) -> BoxFuture<'a, Result<Standing, NoStanding>> {
        Box::pin(Remote::standing(self, spec, limit))
    }

    fn resolve<'a>(
        &'a self,
        spec: &'a ServiceSpec,
        wanted: &'a Wanted,
        limit: Duration,
    ) -> BoxFuture<'a, Result<Version, NotResolved>> {
        Box::pin(Remote::resolve(self, spec, wanted, limit))
    }

    fn update<'a>(
        &'a self,
        spec: &'a ServiceSpec,
        order: UpdateOrder<'a>,
        limit: Duration,
    ) -> BoxFuture<'a, StepOutcome> {
        Box::pin(async move { Remote::update(self, spec, &order, limit).await })
    }
}
