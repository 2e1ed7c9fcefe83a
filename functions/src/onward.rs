//! The way of a ring from the one function that hears the queue to the one that it is for.

use std::sync::Arc;

use aws_sdk_lambda::Client;
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::InvocationType;
use aws_types::SdkConfig;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use crate::account::said;
use crate::config::Config;
use crate::{Failure, Ring};

/// Passes a ring on. The function that it is for answers nothing.
pub(crate) type Onward = Arc<dyn Fn(Ring) -> BoxFuture<'static, Result<(), Failure>> + Send + Sync>;

/// The functions that rings can be for.
#[derive(Clone)]
struct Functions {
    lambda: Client,
    recover: Option<String>,
    advance: Option<String>,
    notify: Option<String>,
}

/// To the functions that the configuration names.
pub(crate) fn to_functions(config: &Config, account: &SdkConfig) -> Onward {
    let functions = Functions {
        lambda: Client::new(account),
        recover: config.recover.clone(),
        advance: config.advance.clone(),
        notify: config.notify.clone(),
    };
    Arc::new(move |ring| pass_on(functions.clone(), ring).boxed())
}

/// For functions that hear no queue.
pub(crate) fn nowhere(_: &Config, _: &SdkConfig) -> Onward {
    Arc::new(|_| {
        async { Err(Failure::Fault("only the function `sweep` passes rings on".to_owned())) }.boxed()
    })
}

async fn pass_on(functions: Functions, ring: Ring) -> Result<(), Failure> {
    let (key, function) = match ring {
        Ring::Recover { .. } => ("LAMPLIGHTER_RECOVER", functions.recover),
        Ring::Advance { .. } => ("LAMPLIGHTER_ADVANCE", functions.advance),
        Ring::Notify { .. } => ("LAMPLIGHTER_NOTIFY", functions.notify),
        Ring::Sweep { .. } | Ring::Shard { .. } => return Ok(()),
    };
    let function = function.ok_or_else(|| Failure::missing(key))?;
    let payload = serde_json::to_vec(&ring).map_err(|error| Failure::Fault(error.to_string()))?;
    let call = functions.lambda.invoke().function_name(&function).invocation_type(InvocationType::Event);
    match call.payload(Blob::new(payload)).send().await {
        Ok(_) => Ok(()),
        Err(error) => Err(Failure::NotPassedOn { function, because: said(&error) }),
    }
}
