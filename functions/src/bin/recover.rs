//! `recover`: restarts what is down, and judges whether so much of it can be true.

use std::time::Duration;

use lambda_runtime::Error;
use lamplighter_app::Recovered;
use lamplighter_functions::{Call, Failure, Function, Means, Occasion, Ring, Role, run};
use serde_json::Value;

/// An attempt may take so long: one is begun only if it can be finished within the call.
const LONGEST_ATTEMPT: Duration = Duration::from_secs(240);
/// Where something is intended, it is rung again so long after the minute: a ring that was lost makes half a minute's wait.
const AGAIN_AFTER_SECS: i64 = 30;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    run(Role::Recover, Means::none(), |function, call, event| Box::pin(recover(function, call, event))).await
}

async fn recover(function: &Function, call: Call, event: Value) -> Result<Value, Failure> {
    let Some(occasion) = call.occasion(&event, function.now())? else { return Ok(Value::Null) };
    let came = lamplighter_app::recover(&function.env, || call.left() < LONGEST_ATTEMPT).await?;
    let at_rest = matches!(came, Recovered::Rested { attempts: 0, next: None });
    let next = match came {
        Recovered::Rested { attempts, next } => {
            if attempts > 0 {
                tracing::info!(env = %function.env.name(), attempts, "{attempts} restarts judged");
            }
            next
        }
        Recovered::Held { until } => Some(until),
        Recovered::Blind => None,
    };
    let mut rings: Vec<Ring> = next.map(|next| Ring::Recover { due: next.as_secs() }).into_iter().collect();
    if let Occasion::Minute(minute) = occasion
        && !at_rest
    {
        rings.push(Ring::Recover { due: minute.as_secs() + AGAIN_AFTER_SECS });
    }
    function.ring(&rings).await;
    Ok(Value::Null)
}
