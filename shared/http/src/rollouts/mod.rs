//! Rollouts: planned, started, listed, shown, steered.

mod ask;
mod read;
mod rows;
mod steer;
mod view;
mod waits;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use lamplighter_app::rollouts::Refused;
use lamplighter_core::RolloutId;
use lamplighter_core::rollout::plan::NoPlan;
use lamplighter_core::sight::one_line;

pub(crate) use rows::operations;
pub(crate) use waits::waits_for;

use crate::problem::{Kind, Problem};
use crate::query::path_text;

/// Longest message passed on from a host or a remote, in characters.
const TOLD_CHARS: usize = 400;
/// When to come again if no host answered.
const HOSTS_RETRY_SECS: u64 = 15;

/// The rollout a path names.
pub(crate) struct Name(pub(crate) RolloutId);

impl<S: Send + Sync> FromRequestParts<S> for Name {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let id: Result<RolloutId, _> = path_text(parts, state, "id").await?.parse();
        id.map(Name).map_err(|error| Problem::bad(error.to_string(), "check the id in the path"))
    }
}

/// The one answer for a rollout that is not there, or has nothing of the asker's in it.
pub(crate) fn no_such_rollout(id: &RolloutId) -> Problem {
    let detail = format!("there is no rollout `{id}` in this env");
    Problem::new(Kind::NotFound, detail, "`GET` the list of rollouts to see their ids")
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        let detail = one_line(&refused.to_string(), TOLD_CHARS);
        match refused {
            Refused::NoSuchRollout(id) => no_such_rollout(&id),
            Refused::NotActing => {
                Problem::conflict(detail, "set `mode` to `act` in the env's settings first")
            }
            Refused::NoPlan(why) => no_plan(why, detail),
            Refused::NoTarget(_) => Problem::bad(detail, "send `target`, a full commit hash, or `branch`"),
            Refused::Unknown(_) => Problem::bad(
                detail,
                "push it to the remote that the services fetch from, or correct the name",
            ),
            Refused::NoAnswer(_) => {
                let hint = "look at these hosts and at their way to the remote, then ask again";
                Problem::new(Kind::Unavailable, detail.clone(), hint)
                    .retry_after(HOSTS_RETRY_SECS)
                    .because(detail)
            }
            Refused::NoSuchPlan(_) => Problem::conflict(detail, "plan anew, look at it, and start that plan"),
            Refused::Moved(lines) => {
                let detail = "reality has moved since this plan was made";
                Problem::conflict(detail, "plan anew, look at it, and start that plan").reasons(lines)
            }
            Refused::Active(id) => {
                let hint =
                    format!("wait for it, or `POST …/rollouts/{id}/abort`; `GET …/rollouts/{id}` shows it");
                Problem::conflict(detail, hint)
            }
            Refused::Quarantined { .. } => {
                let hint = "roll out a version that mends it; to bring this one all the same, send `force` with a reason";
                Problem::conflict(detail, hint)
            }
            Refused::NoReason => Problem::bad(detail, "say in `force` why it is right this time"),
            Refused::Steer(_) => Problem::conflict(detail, "`GET` the rollout to see where it stands"),
            Refused::NotOver(id) => {
                Problem::conflict(detail, format!("wait for its end, or `POST …/rollouts/{id}/abort`"))
            }
            Refused::NothingToRetry(_) => {
                Problem::conflict(detail, "start a rollout of another version instead")
            }
            Refused::NothingAsked(_) => Problem::conflict(detail, "push again, or start a rollout by hand"),
            Refused::Stale(_) => Problem::stale("the rollout"),
            Refused::Busy(_) => Problem::conflict(detail, "try again in a moment").retry_after(1),
            Refused::Store(error) => error.into(),
        }
    }
}

fn no_plan(why: NoPlan, detail: String) -> Problem {
    match why {
        NoPlan::NoSuchApp(_) => Problem::new(
            Kind::NotFound,
            detail,
            "check the spelling: `GET` the list of services shows the `app` of each",
        ),
        NoPlan::AllSkipped { .. } => {
            Problem::conflict(detail, "`GET …/services?app=…` shows how they are; mend them, then ask again")
        }
        NoPlan::Canary { .. } => Problem::conflict(detail, "name another canary, or none"),
        NoPlan::Options(_) => Problem::bad(detail, "correct this option and send the request again"),
    }
}
