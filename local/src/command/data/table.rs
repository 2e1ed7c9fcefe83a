//! A table on AWS, with the operator's own credentials: opened, or why not and what to do.

use std::time::{Duration, SystemTime};

use aws_config::{BehaviorVersion, SdkConfig};
use aws_credential_types::provider::ProvideCredentials as _;
use lamplighter_core::causes::in_one_line;
use lamplighter_core::spec::{KeyRef, ServiceSpec, Transport};
use lamplighter_core::{EnvName, Moment};
use lamplighter_store::{ExportError, OpenError, Purpose, Store, StoreError, aws_client};

use super::failed;
use crate::exit::{Exit, Failure};
use crate::say;

/// Longest that credentials are looked for: on a machine that has none, a service of EC2's is asked that is not there.
const CREDENTIALS_LIMIT: Duration = Duration::from_secs(10);
/// How credentials of any kind come into a shell; this program itself reads no single sign-on.
const CREDENTIALS_HINT: &str =
    "put them into this shell: eval \"$(aws configure export-credentials --format env)\"";
/// What the commands ask of a table, as policies call it.
const RIGHTS_HINT: &str = "an export needs `dynamodb:GetItem`, `PutItem`, `UpdateItem` and `Scan` on the table, an import \
                           `DeleteItem`, `BatchWriteItem` and `Query` as well";
/// Services that are read at once when those are counted that cannot work on AWS.
const PAGE: usize = 500;

/// Opens the table `name` of `env`.
pub(super) async fn open(name: &str, env: &EnvName, purpose: Purpose) -> Result<Store, Failure> {
    let account = aws_config::defaults(BehaviorVersion::v2026_01_12()).load().await;
    look_over(&account).await?;
    let now = Moment::from(SystemTime::now());
    let opened = Store::open_for(purpose, aws_client(&account), name, env, now).await;
    opened.map_err(|error| not_opened(name, &error))
}

/// What can be known to be missing before anything is asked.
async fn look_over(account: &SdkConfig) -> Result<(), Failure> {
    if account.region().is_none() {
        return Err(Failure::new(Exit::Usage, "no AWS region is set")
            .hint("say which the table is in, such as `AWS_REGION=eu-central-1`"));
    }
    let missing = |why: &str| {
        Failure::new(Exit::Usage, format!("no AWS credentials were found ({why})")).hint(CREDENTIALS_HINT)
    };
    let Some(provider) = account.credentials_provider() else { return Err(missing("none are configured")) };
    match tokio::time::timeout(CREDENTIALS_LIMIT, provider.provide_credentials()).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(missing(&in_one_line(&error))),
        Err(_) => Err(missing("nothing answered in time")),
    }
}

/// Codes with which AWS says that it does not know who asks, or does no longer.
const UNKNOWN_CALLER: [&str; 5] = [
    "ExpiredTokenException",
    "IncompleteSignature",
    "InvalidSignatureException",
    "MissingAuthenticationToken",
    "UnrecognizedClientException",
];

fn not_opened(table: &str, error: &OpenError) -> Failure {
    match error {
        OpenError::Store(error) => not_answered(table, error),
        OpenError::Empty { .. }
        | OpenError::NoTable { .. }
        | OpenError::NotOurs { .. }
        | OpenError::OtherEnv { .. }
        | OpenError::NewerSchema { .. }
        | OpenError::HalfImported { .. }
        | OpenError::InUse { .. }
        | OpenError::File { .. } => failed(error),
    }
}

/// What an export or an import of the table says that came to nothing.
pub(super) fn not_moved(table: &str, error: &ExportError) -> Failure {
    match error {
        ExportError::Store(error) => not_answered(table, error),
        ExportError::File(_)
        | ExportError::BadFile { .. }
        | ExportError::OtherEnv { .. }
        | ExportError::NotEmpty
        | ExportError::OtherBegun
        | ExportError::Overtaken => failed(error),
    }
}

fn not_answered(table: &str, error: &StoreError) -> Failure {
    match error {
        StoreError::Refused { operation, because } => {
            let code = because.split(':').next().unwrap_or_default();
            if code == "AccessDeniedException" {
                let what = format!("AWS does not let you ask `{operation}` of `{table}`: {because}");
                return Failure::new(Exit::Refused, what).hint(RIGHTS_HINT);
            }
            if UNKNOWN_CALLER.contains(&code) {
                return Failure::new(Exit::Refused, format!("AWS does not take the credentials: {because}"))
                    .hint(CREDENTIALS_HINT);
            }
            Failure::new(Exit::Failed, error.to_string())
        }
        StoreError::Unavailable { .. } => Failure::new(Exit::Unreachable, error.to_string())
            .hint("look at the network, the region, and `AWS_ENDPOINT_URL` if it is set"),
        StoreError::Full
        | StoreError::BadItem { .. }
        | StoreError::NewerSchema { .. }
        | StoreError::EnvFull { .. } => failed(error),
    }
}

/// Says what has come into the table and cannot work there: a function has no files of the box, and is no host.
pub(super) async fn tell_of_what_stays_behind(store: &Store) -> Result<(), Failure> {
    let (mut with_files, mut local, mut cursor) = (0_u32, 0_u32, None);
    loop {
        let page = store.list_services(cursor.as_deref(), PAGE).await.map_err(|error| failed(&error))?;
        for placed in &page.items {
            with_files += u32::from(needs_a_file(&placed.spec));
            local += u32::from(placed.spec.transport == Transport::Local);
        }
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    let (_, settings) = store.settings().await.map_err(|error| failed(&error))?;
    let hooks = settings.hooks.values().filter(|hook| hook.secret.iter().any(is_file)).count();
    let lines = [
        (
            with_files as usize,
            "services",
            "a key or a known_hosts in a file: write `key = \"ssm:/…\"` and pin `host_key`",
        ),
        (local as usize, "services", "`transport = \"local\"`: reach them by SSH, or leave them on a box"),
        (hooks, "hooks", "a secret in a file: write `secret = \"ssm:/…\"`"),
    ];
    for (count, what, why) in lines.into_iter().filter(|(count, ..)| *count > 0) {
        say::note(&format!("warning: {count} {what} cannot work on AWS as they are, having {why}"));
    }
    Ok(())
}

fn needs_a_file(spec: &ServiceSpec) -> bool {
    spec.transport == Transport::Ssh && (spec.key.as_ref().is_some_and(is_file) || spec.known_hosts.is_some())
}

fn is_file(key: &KeyRef) -> bool {
    match key {
        KeyRef::File(_) => true,
        KeyRef::Ssm(_) | KeyRef::Sealed(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_aws_refuses_says_what_to_do() {
        let refused = |operation, because: &str| {
            let because = because.to_owned();
            StoreError::Refused { operation, because }
        };
        let denied = "AccessDeniedException: User: ada is not authorized to perform: dynamodb:Scan";
        for denied in [
            not_opened("lamp", &refused("Scan", denied).into()),
            not_moved("lamp", &refused("Scan", denied).into()),
        ] {
            assert!(denied.what.starts_with("AWS does not let you ask `Scan` of `lamp`"), "{denied}");
            assert_eq!((denied.exit, denied.hint.as_deref()), (Exit::Refused, Some(RIGHTS_HINT)));
        }
        let expired = "ExpiredTokenException: The security token included in the request is expired";
        let expired = not_opened("lamp", &refused("GetItem", expired).into());
        assert_eq!((expired.exit, expired.hint.as_deref()), (Exit::Refused, Some(CREDENTIALS_HINT)));
        let silent = StoreError::Unavailable { operation: "GetItem", because: "dispatch failure".to_owned() };
        let silent = not_opened("lamp", &OpenError::Store(silent));
        assert!(silent.exit == Exit::Unreachable && silent.hint.unwrap().contains("AWS_ENDPOINT_URL"));
        assert!(not_moved("lamp", &ExportError::NotEmpty).hint.unwrap().contains("a new one"));
    }
}
