//! Brings a service to another version, one guarded step at a time.

use std::time::Duration;

use lamplighter_core::Version;
use lamplighter_core::sight::{Fault, UnreachableKind};
use lamplighter_core::spec::ServiceSpec;
use lamplighter_core::update::{NoStanding, NotResolved, Standing, StepOutcome, Wanted};

use crate::{Inner, UpdateOrder};

pub(crate) async fn standing(_: &Inner, _: &ServiceSpec, _: Duration) -> Result<Standing, NoStanding> {
    Err(NoStanding::Nothing("in the making".to_owned()))
}

pub(crate) async fn resolve(
    _: &Inner,
    _: &ServiceSpec,
    _: &Wanted,
    _: Duration,
) -> Result<Version, NotResolved> {
    Err(NotResolved::Unknown("in the making".to_owned()))
}

pub(crate) async fn update(_: &Inner, _: &ServiceSpec, _: &UpdateOrder<'_>, _: Duration) -> StepOutcome {
    StepOutcome::NotSent(Fault::new(UnreachableKind::NoVerdict, "in the making"))
}
