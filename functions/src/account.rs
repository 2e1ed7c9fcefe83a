//! The account that a function runs in, as Lambda tells of it: by environment variables alone. The SDK's own search would
//! bring whatever else it looks into (profiles, single sign-on, roles of machines and containers) into each archive, and
//! find nothing there.

use std::time::Duration;

use aws_config::environment::EnvironmentVariableCredentialsProvider;
use aws_config::{BehaviorVersion, Region};
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_sqs::config::retry::RetryConfig;
use aws_sdk_sqs::config::timeout::TimeoutConfig;
use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};
use aws_types::SdkConfig;
use aws_types::service_config::{LoadServiceConfig, ServiceConfigKey};
use lamplighter_core::causes::in_one_line;

use crate::Failure;
use crate::connector::http_client;

/// Longest one call to the queue, to another function or for a key may take, its retries included.
const SERVICE_LIMIT: Duration = Duration::from_secs(5);
/// Tries of such a call, the first included.
const SERVICE_TRIES: u32 = 3;

/// The account. Nothing is asked yet; credentials are read with the first call.
///
/// # Errors
/// If there is no region, or there are no credentials.
pub(crate) fn account() -> Result<SdkConfig, Failure> {
    let region = needed("AWS_REGION")?;
    for key in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"] {
        needed(key)?;
    }
    Ok(SdkConfig::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new(region))
        .credentials_provider(SharedCredentialsProvider::new(EnvironmentVariableCredentialsProvider::new()))
        .retry_config(RetryConfig::standard().with_max_attempts(SERVICE_TRIES))
        .timeout_config(TimeoutConfig::builder().operation_timeout(SERVICE_LIMIT).build())
        .http_client(http_client())
        .service_config(Endpoints { read: variable })
        .build())
}

fn needed(key: &'static str) -> Result<String, Failure> {
    variable(key).ok_or_else(|| Failure::missing(key))
}

/// What a service of the account, or the way to it, said instead of an answer, in one line.
pub(crate) fn said<E>(error: &SdkError<E>) -> String
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    match error.as_service_error() {
        Some(refusal) => {
            let code = refusal.code().unwrap_or("no code");
            format!("{code}: {}", refusal.message().unwrap_or("without a word"))
        }
        None => in_one_line(error),
    }
}

fn variable(key: &str) -> Option<String> {
    std::env::var(key).ok().filter(|value| !value.is_empty())
}

/// Where services are, if not where AWS has them: `AWS_ENDPOINT_URL_SERVICE`, or `AWS_ENDPOINT_URL` for all of them.
#[derive(Debug)]
struct Endpoints {
    read: fn(&str) -> Option<String>,
}

impl LoadServiceConfig for Endpoints {
    fn load_config(&self, key: ServiceConfigKey<'_>) -> Option<String> {
        let service = key.service_id().to_uppercase().replace([' ', '-'], "_");
        (self.read)(&format!("{}_{service}", key.env())).or_else(|| (self.read)(key.env()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_s_own_endpoint_comes_before_that_of_all() {
        let endpoints = Endpoints {
            read: |key| match key {
                "AWS_ENDPOINT_URL" => Some("http://all".to_owned()),
                "AWS_ENDPOINT_URL_DYNAMODB" => Some("http://table".to_owned()),
                _ => None,
            },
        };
        let of = |service| {
            let key = ServiceConfigKey::builder().service_id(service).env("AWS_ENDPOINT_URL");
            endpoints.load_config(key.profile("endpoint_url").build().unwrap())
        };
        assert_eq!(of("DynamoDB").as_deref(), Some("http://table"));
        assert_eq!(of("SQS").as_deref(), Some("http://all"));
    }
}
