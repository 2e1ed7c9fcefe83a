//! `rollout list`: one line each, the newest first.

use lamplighter_core::moment::Moment;
use serde_json::Value;

use super::seen::{self, Rollout};
use crate::cli::ListArgs;
use crate::client::Client;
use crate::command::when;
use crate::exit::{Exit, Failure, Outcome};
use crate::say::{self, Form};

/// Lists them.
pub(super) async fn run(client: &Client, form: Form, args: &ListArgs) -> Outcome {
    let query: Vec<(&str, &str)> = args.app.iter().map(|app| ("app", app.as_str())).collect();
    let told: Vec<Value> = client.list("rollouts", &query).await?;
    if form == Form::Json {
        say::json(&told)?;
        return Ok(Exit::Ok);
    }
    let rollouts = told.iter().map(seen::understood).collect::<Result<Vec<Rollout>, Failure>>()?;
    let now = when::now();
    say::data(&say::table(&rollouts.iter().map(|rollout| row(rollout, now)).collect::<Vec<_>>()))?;
    if rollouts.is_empty() {
        let of = args.app.as_ref().map(|app| format!(" of `{app}`")).unwrap_or_default();
        say::note(&format!(
            "no rollout{of} in `{}` yet; `lamplighter rollout plan APP` shows what one would do",
            client.env()
        ));
    }
    Ok(Exit::Ok)
}

fn row(rollout: &Rollout, now: Moment) -> Vec<String> {
    let (settled, services) = rollout.progress();
    let failed = match rollout.failed() {
        0 => String::new(),
        failed => format!(", {failed} failed"),
    };
    vec![
        rollout.id.to_string(),
        seen::coloured(&rollout.status),
        rollout.target_named(),
        format!("{settled}/{services}{failed}"),
        when::ago(now, rollout.created_at),
        format!("by {}", lamplighter_core::sight::one_line(&rollout.by, 40)),
    ]
}
