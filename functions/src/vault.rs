//! Keys and secrets in SSM: SecureString parameters, decrypted for this function's role alone.

use aws_sdk_ssm::Client;
use aws_sdk_ssm::error::ProvideErrorMetadata as _;
use aws_types::SdkConfig;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use zeroize::Zeroizing;

use crate::account::said;

/// Reads one parameter. Why it cannot be read says what to do, and shows nothing of it.
pub(crate) type Reader =
    std::sync::Arc<dyn Fn(String) -> BoxFuture<'static, Result<Zeroizing<String>, String>> + Send + Sync>;

/// Reads parameters of the account.
pub(crate) fn reader(account: &SdkConfig) -> Reader {
    let client = Client::new(account);
    std::sync::Arc::new(move |name| read(client.clone(), name).boxed())
}

async fn read(client: Client, name: String) -> Result<Zeroizing<String>, String> {
    let answer = client.get_parameter().name(&name).with_decryption(true).send().await;
    let value = answer.map_err(|error| match error.code() {
        Some("ParameterNotFound") => {
            // Short, since its place in a service's reason is: the name is told before it.
            "no such parameter; `aws ssm put-parameter --type SecureString` makes it".to_owned()
        }
        Some("AccessDeniedException") => {
            "this function may not read it; parameters of an env begin with `/lamplighter/ENV/`".to_owned()
        }
        Some(_) | None => said(&error),
    })?;
    let value = value.parameter.and_then(|parameter| parameter.value);
    value.map(Zeroizing::new).ok_or_else(|| "it is empty".to_owned())
}
