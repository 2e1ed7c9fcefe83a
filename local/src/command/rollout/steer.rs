//! What a person may do to a rollout: pause, resume, abort, try again.

use lamplighter_core::RolloutId;
use serde_json::{Value, json};

use super::{path_of, seen, start};
use crate::cli::{AbortArgs, RetryArgs, SteerArgs};
use crate::client::{Client, Expect};
use crate::exit::{Exit, Failure, Outcome};
use crate::say::{self, Form};

/// `rollout pause`.
pub(super) async fn pause(client: &Client, form: Form, args: &SteerArgs) -> Outcome {
    let told = steer(client, args, "pause", &json!({})).await?;
    say_what_holds(form, &told, |id| format!("`lamplighter rollout resume {id}` goes on"))
}

/// `rollout resume`.
pub(super) async fn resume(client: &Client, form: Form, args: &SteerArgs) -> Outcome {
    let told = steer(client, args, "resume", &json!({})).await?;
    say_what_holds(form, &told, |id| format!("`lamplighter rollout watch {id}` follows it"))
}

/// `rollout abort`. Nobody is asked: whoever aborts is in a hurry.
pub(super) async fn abort(client: &Client, form: Form, args: &AbortArgs) -> Outcome {
    let told = steer(client, &args.steer, "abort", &json!({ "roll_back": args.roll_back })).await?;
    say_what_holds(form, &told, |id| {
        format!("`lamplighter rollout watch {id}` follows it, `show` says what became of each service")
    })
}

/// `rollout retry`: a new rollout.
pub(super) async fn retry(client: &Client, form: Form, args: &RetryArgs) -> Outcome {
    let order = match &args.force {
        Some(reason) => json!({ "force": reason }),
        None => json!({}),
    };
    let told = client.post(&format!("{}/retry", path_of(&args.id)), &order).await?;
    start::begun(client, form, &told, args.watch).await
}

async fn steer(client: &Client, args: &SteerArgs, verb: &str, order: &Value) -> Result<Value, Failure> {
    let expect = args.if_version.map_or(Expect::Anything, |version| Expect::Tag(format!("\"{version}\"")));
    client.post_if(&format!("{}/{verb}", path_of(&args.id)), order, &expect).await
}

/// One line of how it stands now, and what can be typed next.
fn say_what_holds(form: Form, told: &Value, next: impl FnOnce(&RolloutId) -> String) -> Outcome {
    if form == Form::Json {
        say::json(told)?;
        return Ok(Exit::Ok);
    }
    let rollout = seen::understood(told)?;
    say::data(&format!("{}  {}  {}\n", rollout.id, seen::coloured(&rollout.status), rollout.reason()))?;
    say::note(&next(&rollout.id));
    Ok(Exit::Ok)
}
