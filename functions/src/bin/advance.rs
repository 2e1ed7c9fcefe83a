//! `advance`: carries rollouts on, and seeks pushes whose call never came.

use std::time::Duration;

use lambda_runtime::Error;
use lamplighter_app::Advanced;
use lamplighter_app::rollouts::seek_missed;
use lamplighter_functions::{Call, Failure, Function, MINUTE, Means, Occasion, Ring, Role, run};
use serde_json::Value;

/// A step may take so long, connecting included: one is begun only if it can be finished within the call.
const LONGEST_STEP: Duration = Duration::from_secs(240);
/// How often missed pushes are sought: each time costs a question to a host.
const SEEK_EVERY: Duration = Duration::from_secs(300);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    run(Role::Advance, Means::none(), |function, call, event| Box::pin(advance(function, call, event))).await
}

async fn advance(function: &Function, call: Call, event: Value) -> Result<Value, Failure> {
    let Some(occasion) = call.occasion(&event, function.now())? else { return Ok(Value::Null) };
    if let Occasion::Minute(minute) = occasion
        && minute.tick(SEEK_EVERY) == minute.tick(MINUTE)
    {
        seek_missed(&function.env).await?;
    }
    let next = match lamplighter_app::advance(&function.env, || call.left() < LONGEST_STEP).await? {
        Advanced::Rested { next } => next,
        Advanced::Held { until } => Some(until),
    };
    if let Some(next) = next {
        function.ring(&[Ring::Advance { due: next.as_secs() }]).await;
    }
    Ok(Value::Null)
}
