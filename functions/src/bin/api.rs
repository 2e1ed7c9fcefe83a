//! `api`: answers requests, and takes webhooks in.

use lambda_http::Error;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    lamplighter_functions::serve().await
}
