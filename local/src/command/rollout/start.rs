//! `rollout start`: shows the plan, asks, starts it, and follows it if told to.

use serde_json::{Value, json};

use super::{plan, seen, watch};
use crate::cli::StartArgs;
use crate::client::Client;
use crate::command::ask;
use crate::exit::{Exit, Failure, Outcome};
use crate::say::{self, Form};

/// Starts it. What a person was shown is what is started: reality that has moved meanwhile is refused.
pub(super) async fn run(client: &Client, form: Form, args: &StartArgs) -> Outcome {
    let mut asked = plan::asked(&args.what);
    let mut hash = args.plan_hash.clone();
    if !args.yes {
        let (_, plan) = plan::make(client, &args.what).await?;
        if form == Form::Plain {
            say::data(&plan.told())?;
        }
        let question = format!("Start it on `{}`?", client.env());
        let hint = "look at it with `lamplighter rollout plan`, then start it with `--yes`, best with the plan's hash: `--plan HASH`";
        if !ask::a_person(form, &question, hint)? {
            return Err(Failure::new(Exit::Failed, "nothing was started"));
        }
        hash = hash.or(Some(plan.hash));
    }
    asked.extend(hash.map(|hash| ("plan_hash".to_owned(), json!(hash))));
    asked.extend(args.force.as_ref().map(|reason| ("force".to_owned(), json!(reason))));
    let told = client.post("rollouts", &Value::Object(asked)).await?;
    begun(client, form, &told, args.watch).await
}

/// Tells of a rollout that has just begun, or follows it to its end.
pub(super) async fn begun(client: &Client, form: Form, told: &Value, follow: bool) -> Outcome {
    let rollout = seen::understood(told)?;
    if follow {
        return watch::run(client, form, &rollout.id).await;
    }
    match form {
        Form::Json => say::json(told)?,
        Form::Plain => {
            let (_, services) = rollout.progress();
            let services = seen::services(usize::try_from(services).unwrap_or(usize::MAX));
            say::data(&format!(
                "{}  {}  {} to {services}\n",
                rollout.id,
                seen::coloured(&rollout.status),
                rollout.target_named()
            ))?;
            say::note(&format!(
                "`lamplighter rollout watch {0}` follows it, `lamplighter rollout abort {0}` stops it",
                rollout.id
            ));
        }
    }
    Ok(Exit::Ok)
}
