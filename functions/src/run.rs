//! The loop of a function: an event in, one verb, a line in the log, and nothing left running.

use std::panic::AssertUnwindSafe;
use std::time::{Duration, SystemTime};

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, LocalBoxFuture};
use lambda_runtime::{Diagnostic, Error, LambdaEvent, service_fn};
use serde_json::Value;
use tokio::time::Instant;

use crate::function::Setup;
use crate::{Call, Failure, Function, Means, Role, log};

/// Kept of a call's time for its end: rings, the ledger, and goodbyes.
pub(crate) const KEPT_FOR_THE_END: Duration = Duration::from_secs(3);
/// The time of a call whose deadline is over when it begins: nobody has set one. `cargo lambda watch` names the tenth minute
/// of 1970; Lambda itself would not have made such a call. As much as the longest function has.
const TIME_UNLESS_TOLD: Duration = Duration::from_secs(600);

/// What a function does with an event. It answers what Lambda is told.
pub type Verb = for<'a> fn(&'a Function, Call, Value) -> BoxFuture<'a, Result<Value, Failure>>;

/// Runs a function until Lambda ends it. What is wrong with its environment is told by every call, not by a crash: a
/// process that cannot start tells nobody why.
///
/// # Errors
/// If Lambda's own interface cannot be used.
pub fn run(role: Role, means: Means, verb: Verb) -> LocalBoxFuture<'static, Result<(), Error>> {
    // Boxed here, so that the runtime is compiled here, once, and not in each of the five programs.
    Box::pin(answer_events(role, means, verb))
}

async fn answer_events(role: Role, means: Means, verb: Verb) -> Result<(), Error> {
    log::start();
    let setup = Setup::new(role, means);
    let setup = &setup;
    let handler = service_fn(move |event: LambdaEvent<Value>| async move {
        let began = Instant::now();
        let left = time_left(event.context.deadline(), SystemTime::now());
        let call = Call::within(left.saturating_sub(KEPT_FOR_THE_END));
        let done = one(setup.as_ref(), call, verb, event.payload, began).await;
        done.map_err(|failure| {
            failure.log();
            Diagnostic::from(failure)
        })
    });
    // Boxed: what a verb holds is large, and the runtime wraps it many times over.
    Box::pin(lambda_runtime::run(handler)).await
}

async fn one(
    setup: Result<&Setup, &Failure>,
    call: Call,
    verb: Verb,
    event: Value,
    began: Instant,
) -> Result<Value, Failure> {
    let setup = setup.map_err(Failure::again)?;
    let Some(function) = setup.open().await? else {
        tracing::info!(
            "the table is empty: there is nothing to look after until the API is asked for something"
        );
        return Ok(Value::Null);
    };
    // A panic ends this call, never the process: others of the same process go on.
    let work = AssertUnwindSafe(verb(function, call, event)).catch_unwind();
    let done = match tokio::time::timeout(call.left(), work).await {
        Ok(Ok(done)) => done,
        Ok(Err(_)) => Err(Failure::Fault("it panicked; the lines before say where".to_owned())),
        Err(_) => Err(Failure::OutOfTime),
    };
    function.end_call(began).await;
    done
}

fn time_left(deadline: SystemTime, now: SystemTime) -> Duration {
    deadline.duration_since(now).unwrap_or(TIME_UNLESS_TOLD)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_that_was_over_before_the_call_is_none() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_312_000);
        assert_eq!(time_left(now + Duration::from_secs(60), now), Duration::from_secs(60));
        assert_eq!(time_left(SystemTime::UNIX_EPOCH + Duration::from_secs(600), now), TIME_UNLESS_TOLD);
    }
}
