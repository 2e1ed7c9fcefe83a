//! `rollout`: brings a version to an app's services, a few first, and tells what comes of it.

mod list;
mod plan;
#[cfg(test)]
mod sample;
mod seen;
mod show;
mod start;
mod steer;
mod watch;

use lamplighter_core::RolloutId;

use crate::cli::RolloutVerb;
use crate::client::Client;
use crate::exit::Outcome;
use crate::say::Form;

/// Carries out one of its verbs.
pub(super) async fn run(client: &Client, form: Form, verb: RolloutVerb) -> Outcome {
    match verb {
        RolloutVerb::Plan(args) => plan::run(client, form, &args).await,
        RolloutVerb::Start(args) => start::run(client, form, &args).await,
        RolloutVerb::List(args) => list::run(client, form, &args).await,
        RolloutVerb::Show(one) => show::run(client, form, &one.id).await,
        RolloutVerb::Watch(one) => watch::run(client, form, &one.id).await,
        RolloutVerb::Pause(args) => steer::pause(client, form, &args).await,
        RolloutVerb::Resume(args) => steer::resume(client, form, &args).await,
        RolloutVerb::Abort(args) => steer::abort(client, form, &args).await,
        RolloutVerb::Retry(args) => steer::retry(client, form, &args).await,
    }
}

/// Where a rollout is found.
fn path_of(id: &RolloutId) -> String {
    format!("rollouts/{id}")
}
