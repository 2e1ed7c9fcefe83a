//! What a function is told by its environment. The template sets all of it; docs/AWS.md lists it.

use std::path::PathBuf;
use std::str::FromStr;

use lamplighter_core::{EnvName, Mailbox};
use lamplighter_remote::network::Network;
use lamplighter_store::Verb;

use crate::Failure;

/// Which function this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Answers requests and takes webhooks in.
    Api,
    /// Looks at the fleet, and hears the doorbell queue.
    Sweep,
    /// Restarts what is down.
    Recover,
    /// Carries rollouts on.
    Advance,
    /// Brings letters.
    Notify,
}

impl Role {
    /// Whose bill it is.
    #[must_use]
    pub fn verb(self) -> Verb {
        match self {
            Role::Api => Verb::Api,
            Role::Sweep => Verb::Sweep,
            Role::Recover => Verb::Recover,
            Role::Advance => Verb::Advance,
            Role::Notify => Verb::Notify,
        }
    }
}

/// Where letters go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Mail {
    /// Through SES, from this address.
    Ses(Mailbox),
    /// Into a folder, where the functions run on a developer's machine.
    Folder(PathBuf),
}

/// What a function is told.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    /// `LAMPLIGHTER_ENV`: the env's name.
    pub(crate) env: EnvName,
    /// `LAMPLIGHTER_TABLE`: its table.
    pub(crate) table: String,
    /// `LAMPLIGHTER_QUEUE_URL`: the doorbell queue; `none` where there is none, as on a developer's machine.
    pub(crate) queue_url: Option<String>,
    /// `LAMPLIGHTER_ALLOWED_NETWORKS`: private networks that checks may reach, separated by commas; may be empty.
    pub(crate) allowed_networks: Vec<Network>,
    /// `LAMPLIGHTER_PUBLIC_URL`: where people find the API, for letters.
    pub(crate) public_url: Option<String>,
    /// `LAMPLIGHTER_MAIL`: `ses:ADDRESS` or `folder:PATH`. Only `notify` is told.
    pub(crate) mail: Option<Mail>,
    /// `LAMPLIGHTER_ADMIN_TOKEN_SHA256`: the hash of the first admin's token. Only `api` is told.
    pub(crate) admin_token_sha256: Option<String>,
    /// `LAMPLIGHTER_RECOVER`, `LAMPLIGHTER_ADVANCE`, `LAMPLIGHTER_NOTIFY`: the functions that `sweep` passes rings on to.
    pub(crate) recover: Option<String>,
    pub(crate) advance: Option<String>,
    pub(crate) notify: Option<String>,
    /// `AWS_LAMBDA_FUNCTION_MEMORY_SIZE`: megabytes, which Lambda sets.
    pub(crate) megabytes: u64,
}

impl Config {
    /// Reads what `read` knows of each variable.
    ///
    /// # Errors
    /// The first variable that is missing or makes no sense.
    pub(crate) fn of(role: Role, read: impl Fn(&str) -> Option<String>) -> Result<Config, Failure> {
        let given =
            |key: &str| read(key).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
        let needed = |key: &'static str| given(key).ok_or_else(|| Failure::missing(key));
        let queue_url = needed("LAMPLIGHTER_QUEUE_URL")?;
        let networks = given("LAMPLIGHTER_ALLOWED_NETWORKS").unwrap_or_default();
        let mail = match (role, given("LAMPLIGHTER_MAIL")) {
            (Role::Notify, None) => return Err(Failure::missing("LAMPLIGHTER_MAIL")),
            (_, mail) => mail.map(|mail| parse_mail(&mail)).transpose()?,
        };
        Ok(Config {
            env: parsed("LAMPLIGHTER_ENV", &needed("LAMPLIGHTER_ENV")?)?,
            table: needed("LAMPLIGHTER_TABLE")?,
            queue_url: (queue_url != "none").then_some(queue_url),
            allowed_networks: networks
                .split(',')
                .filter(|network| !network.trim().is_empty())
                .map(|network| parsed("LAMPLIGHTER_ALLOWED_NETWORKS", network.trim()))
                .collect::<Result<_, _>>()?,
            public_url: given("LAMPLIGHTER_PUBLIC_URL"),
            mail,
            admin_token_sha256: given("LAMPLIGHTER_ADMIN_TOKEN_SHA256"),
            recover: given("LAMPLIGHTER_RECOVER"),
            advance: given("LAMPLIGHTER_ADVANCE"),
            notify: given("LAMPLIGHTER_NOTIFY"),
            megabytes: given("AWS_LAMBDA_FUNCTION_MEMORY_SIZE")
                .and_then(|size| size.parse().ok())
                .unwrap_or(0),
        })
    }
}

fn parse_mail(mail: &str) -> Result<Mail, Failure> {
    match mail.split_once(':') {
        Some(("ses", from)) => Ok(Mail::Ses(parsed("LAMPLIGHTER_MAIL", from)?)),
        Some(("folder", path)) if !path.is_empty() => Ok(Mail::Folder(path.into())),
        Some(_) | None => Err(bad("LAMPLIGHTER_MAIL", "it is neither `ses:ADDRESS` nor `folder:PATH`")),
    }
}

fn parsed<T: FromStr>(key: &'static str, value: &str) -> Result<T, Failure>
where
    T::Err: std::fmt::Display,
{
    value.parse().map_err(|error: T::Err| bad(key, &error.to_string()))
}

fn bad(key: &'static str, problem: &str) -> Failure {
    Failure::BadConfiguration { key, problem: problem.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(role: Role, changes: &[(&str, Option<&str>)]) -> Result<Config, Failure> {
        let whole = [
            ("LAMPLIGHTER_ENV", "prod"),
            ("LAMPLIGHTER_TABLE", "lamplighter-prod"),
            ("LAMPLIGHTER_QUEUE_URL", "https://sqs.example.com/1/bell"),
            ("LAMPLIGHTER_MAIL", "ses:lamp@example.com"),
            ("LAMPLIGHTER_ALLOWED_NETWORKS", "10.0.0.0/8, 192.168.0.0/16"),
        ];
        Config::of(role, |key| {
            let changed = changes.iter().find(|(name, _)| *name == key).map(|(_, value)| *value);
            let whole = whole.iter().find(|(name, _)| *name == key).map(|(_, value)| *value);
            changed.unwrap_or(whole).map(str::to_owned)
        })
    }

    #[test]
    fn the_whole_of_it_is_read() {
        let config = read(Role::Notify, &[("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", Some("128"))]).unwrap();
        assert_eq!(config.env.as_str(), "prod");
        assert_eq!(config.allowed_networks.len(), 2);
        assert_eq!(config.mail, Some(Mail::Ses("lamp@example.com".parse().unwrap())));
        assert_eq!(config.megabytes, 128);
        let here = [("LAMPLIGHTER_QUEUE_URL", Some("none")), ("LAMPLIGHTER_MAIL", Some("folder:letters"))];
        let config = read(Role::Notify, &here).unwrap();
        assert_eq!((config.queue_url, config.mail), (None, Some(Mail::Folder("letters".into()))));
    }

    #[test]
    fn what_stands_in_infra_for_a_developer_s_machine_is_enough_for_each_function() {
        let file = include_str!("../../infra/functions.env");
        let pairs: Vec<(&str, &str)> = file.lines().map(|line| line.split_once('=').unwrap()).collect();
        for role in [Role::Api, Role::Sweep, Role::Recover, Role::Advance, Role::Notify] {
            let value =
                |key: &str| pairs.iter().find(|(name, _)| *name == key).map(|(_, value)| (*value).to_owned());
            let config = Config::of(role, value).unwrap();
            assert_eq!((config.table.as_str(), config.queue_url), ("lamplighter", None));
        }
    }

    #[test]
    fn what_is_missing_or_wrong_is_named_in_one_line() {
        for (role, key, value, words) in [
            (Role::Sweep, "LAMPLIGHTER_ENV", None, "missing"),
            (Role::Sweep, "LAMPLIGHTER_ENV", Some("Prod!"), ""),
            (Role::Sweep, "LAMPLIGHTER_TABLE", Some(" "), "missing"),
            (Role::Api, "LAMPLIGHTER_QUEUE_URL", None, "missing"),
            (Role::Notify, "LAMPLIGHTER_MAIL", None, "missing"),
            (Role::Notify, "LAMPLIGHTER_MAIL", Some("smtp:x"), "ses:ADDRESS"),
            (Role::Notify, "LAMPLIGHTER_MAIL", Some("ses:nobody"), ""),
            (Role::Api, "LAMPLIGHTER_ALLOWED_NETWORKS", Some("10.0.0.0/99"), ""),
        ] {
            let failure = read(role, &[(key, value)]).unwrap_err();
            let said = failure.to_string();
            assert!(
                failure.name() == "BadConfiguration" && said.contains(key) && said.contains(words),
                "{said}"
            );
            assert!(!said.contains('\n'), "{said}");
        }
        assert!(read(Role::Sweep, &[("LAMPLIGHTER_MAIL", None)]).is_ok(), "only `notify` sends letters");
    }
}
