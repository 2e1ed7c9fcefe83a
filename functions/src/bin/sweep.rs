//! `sweep`: looks at the fleet each minute, and hears the doorbell queue.

use lambda_runtime::Error;
use lamplighter_functions::{Means, Role, run, sweep};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    run(Role::Sweep, Means::functions(), sweep).await
}
