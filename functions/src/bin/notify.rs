//! `notify`: brings letters.

use std::time::Duration;

use lambda_runtime::Error;
use lamplighter_app::{Delivered, deliver};
use lamplighter_functions::{Call, Failure, Function, Means, Ring, Role, run};
use serde_json::Value;

/// A letter may take so long: one is begun only if it can be finished within the call.
const LONGEST_LETTER: Duration = Duration::from_secs(40);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    run(Role::Notify, Means::letters(), |function, call, event| Box::pin(notify(function, call, event))).await
}

async fn notify(function: &Function, call: Call, event: Value) -> Result<Value, Failure> {
    if call.occasion(&event, function.now())?.is_none() {
        return Ok(Value::Null);
    }
    let next = match deliver(&function.env, || call.left() < LONGEST_LETTER).await? {
        Delivered::Sent { next, .. } => next,
        Delivered::Held { until } => Some(until),
    };
    if let Some(next) = next {
        function.ring(&[Ring::Notify { due: next.as_secs() }]).await;
    }
    Ok(Value::Null)
}
