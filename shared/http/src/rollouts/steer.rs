//! A person's word to a rollout under way.

use axum::http::{HeaderMap, StatusCode};
use lamplighter_app::rollouts;
use serde::Deserialize;

use super::Name;
use super::read::shown;
use crate::answer::Reply;
use crate::body::Body;
use crate::precondition::{Named, matches};
use crate::problem::Problem;
use crate::visit::Visit;

/// An order without anything to say; what is said all the same is refused.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

/// How a rollout is stopped.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct AbortOrder {
    roll_back: bool,
}

pub(super) async fn pause(visit: Visit, Name(id): Name, headers: HeaderMap, body: Body) -> Reply {
    body.read_or_default::<Nothing>()?;
    let expected = Expected::of(&headers)?;
    let head = rollouts::pause(&visit.env, &id, visit.by(), expected.versions()).await?;
    shown(&visit, &head, StatusCode::OK).await
}

pub(super) async fn resume(visit: Visit, Name(id): Name, headers: HeaderMap, body: Body) -> Reply {
    body.read_or_default::<Nothing>()?;
    let expected = Expected::of(&headers)?;
    let head = rollouts::resume(&visit.env, &id, visit.by(), expected.versions()).await?;
    shown(&visit, &head, StatusCode::OK).await
}

pub(super) async fn abort(visit: Visit, Name(id): Name, headers: HeaderMap, body: Body) -> Reply {
    let order: AbortOrder = body.read_or_default()?;
    let expected = Expected::of(&headers)?;
    let head = rollouts::abort(&visit.env, &id, visit.by(), expected.versions(), order.roll_back).await?;
    shown(&visit, &head, StatusCode::OK).await
}

/// The versions of a rollout that its steerer has looked at.
struct Expected(Option<Named>);

impl Expected {
    fn of(headers: &HeaderMap) -> Result<Expected, Problem> {
        matches(headers).map(Expected)
    }

    /// Those that will do; `None`: any.
    fn versions(&self) -> Option<&[u64]> {
        match &self.0 {
            None | Some(Named::Anything) => None,
            Some(Named::Versions(versions)) => Some(versions),
        }
    }
}
