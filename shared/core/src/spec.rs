//! What a person says about one service: where it runs, how it is checked, how it is restarted, whose it is.

use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use crate::moment::duration_text;
use crate::name::{AppName, ContainerName, HostAddress, Mailbox, ServiceId, UnitName, UserName};
use crate::policy::Policy;
pub use crate::update::Update;

/// Longest command a spec may carry, in bytes: it travels in one SSH packet and in one table item.
pub const MAX_COMMAND_BYTES: usize = 2_048;
/// Longest URL of an HTTP check, in bytes.
pub const MAX_URL_BYTES: usize = 1_024;
/// Longest text a body must contain, in bytes.
pub const MAX_BODY_MATCH_BYTES: usize = 256;
/// Most host keys pinned for one host: the current one, its successors, one per algorithm.
pub const MAX_HOST_KEYS: usize = 8;

/// One service of the fleet, as a fleet file or `PUT E/services/{id}` describes it, defaults filled in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceSpec {
    /// Its name, unique in the env.
    pub id: ServiceId,
    /// The code base it belongs to; services of one app roll out together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<AppName>,
    /// The host it runs on.
    pub address: HostAddress,
    /// How commands reach that host.
    #[serde(default, skip_serializing_if = "Transport::is_ssh")]
    pub transport: Transport,
    /// The login on the host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<UserName>,
    /// Where the private SSH key is found. Never the key itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<KeyRef>,
    /// Pinned public host keys, `ssh-ed25519 AAAA…`: any of them is accepted, no other is.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "one_or_many")]
    pub host_key: Vec<String>,
    /// A `known_hosts` file on the machine that sweeps, used where no key is pinned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known_hosts: Option<String>,
    /// How to tell that it is up.
    pub check: Check,
    /// How to bring it back.
    pub restart: Restart,
    /// How to bring it to another version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub update: Option<Update>,
    /// Who is told when it goes down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Mailbox>,
    /// Where it is in its life; only `ready` services are looked at.
    #[serde(default, skip_serializing_if = "Lifecycle::is_ready")]
    pub lifecycle: Lifecycle,
    /// The numbers of its recovery.
    #[serde(default, skip_serializing_if = "Policy::is_default")]
    pub policy: Policy,
}

/// How commands reach a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Transport {
    /// Over SSH.
    #[default]
    Ssh,
    /// As a process of the machine Lamplighter runs on (one-box home only).
    Local,
}

impl Transport {
    fn is_ssh(&self) -> bool {
        *self == Transport::Ssh
    }
}

/// Where a service is in its life, as the provisioning system says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lifecycle {
    /// Being built: not looked at yet.
    Provisioning,
    /// Looked at and looked after.
    #[default]
    Ready,
    /// Switched off on purpose, for a while.
    Suspended,
    /// Gone for good; its history is kept.
    Retired,
}

impl Lifecycle {
    fn is_ready(&self) -> bool {
        *self == Lifecycle::Ready
    }
}

/// Where a private SSH key is found. Printing it is safe: it is a place, not a secret.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum KeyRef {
    /// `file:keys/prod_ed25519`, relative to the configuration that names it.
    File(String),
    /// `ssm:/lamplighter/prod/key`, an SSM SecureString parameter.
    Ssm(String),
    /// `sealed:NAME`, a key sealed in the table.
    Sealed(String),
}

impl TryFrom<String> for KeyRef {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.split_once(':') {
            Some((_, "")) | None => {}
            Some(("file", path)) => return Ok(Self::File(path.to_owned())),
            Some(("ssm", path)) if path.starts_with('/') => return Ok(Self::Ssm(path.to_owned())),
            Some(("sealed", name)) => return Ok(Self::Sealed(name.to_owned())),
            Some(_) => {}
        }
        // The text may be a key pasted by mistake: it must not reach a log.
        Err("a key is written as `file:PATH`, `ssm:/PARAMETER` or `sealed:NAME`; never put the key itself here".to_owned())
    }
}

impl From<KeyRef> for String {
    fn from(key: KeyRef) -> String {
        match key {
            KeyRef::File(path) => format!("file:{path}"),
            KeyRef::Ssm(name) => format!("ssm:{name}"),
            KeyRef::Sealed(name) => format!("sealed:{name}"),
        }
    }
}

/// How to tell that a service is up: `{ systemd = "rachel8" }`, `{ http = "http://…" }`, `{ tcp = 6379 }`,
/// `{ command = "…" }`, `{ docker = "…" }`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Check {
    /// The unit is `active`, and says so with exit status 0.
    Systemd(UnitName),
    /// A request from here is answered as expected.
    Http(HttpCheck),
    /// A TCP connection from here to this port of the host is accepted.
    Tcp(u16),
    /// This command on the host exits 0.
    Command(Command),
    /// The container runs, and is healthy where it has a health check.
    Docker(ContainerName),
}

/// What a healthy HTTP answer looks like. As a plain string it is the URL, and any 2xx is healthy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HttpCheck {
    /// `http://` or `https://`, without a user name or password.
    pub url: String,
    /// The exact status expected; any 2xx if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Text the first 64 KiB of the body must contain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contains: Option<String>,
    /// Longest acceptable time to the last byte.
    #[serde(skip_serializing_if = "Option::is_none", with = "optional_duration")]
    pub within: Option<Duration>,
}

mod optional_duration {
    use std::time::Duration;

    use serde::Serializer;

    #[expect(clippy::ref_option, reason = "the signature serde's `with` asks for")]
    pub(super) fn serialize<S: Serializer>(duration: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
        match duration {
            Some(duration) => super::duration_text::serialize(duration, to),
            None => to.serialize_none(),
        }
    }
}

impl<'de> Deserialize<'de> for HttpCheck {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Full {
            url: String,
            status: Option<u16>,
            contains: Option<String>,
            within: Option<String>,
        }
        struct UrlOrFull;
        impl<'de> serde::de::Visitor<'de> for UrlOrFull {
            type Value = Full;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a URL, or a table with `url` and optionally `status`, `contains`, `within`")
            }

            fn visit_str<E: serde::de::Error>(self, url: &str) -> Result<Full, E> {
                Ok(Full { url: url.to_owned(), status: None, contains: None, within: None })
            }

            fn visit_map<M: serde::de::MapAccess<'de>>(self, map: M) -> Result<Full, M::Error> {
                Full::deserialize(serde::de::value::MapAccessDeserializer::new(map))
            }
        }
        let full = from.deserialize_any(UrlOrFull)?;
        let within = full
            .within
            .as_deref()
            .map(crate::moment::parse_duration)
            .transpose()
            .map_err(D::Error::custom)?;
        let check = HttpCheck { url: full.url, status: full.status, contains: full.contains, within };
        check.validate().map_err(D::Error::custom)?;
        Ok(check)
    }
}

impl HttpCheck {
    fn validate(&self) -> Result<(), String> {
        let rest = self.url.strip_prefix("http://").or_else(|| self.url.strip_prefix("https://"));
        let authority = rest.map(|rest| rest.split(['/', '?', '#']).next().unwrap_or_default());
        match authority {
            None | Some("") => {
                return Err(
                    "an `http` check needs a URL that begins with `http://` or `https://` and names a host"
                        .to_owned(),
                );
            }
            Some(authority) if authority.contains('@') => {
                return Err("an `http` check's URL must not carry a user name or password; they would be shown in letters and pages".to_owned());
            }
            Some(_) => {}
        }
        if self.url.len() > MAX_URL_BYTES
            || self.url.chars().any(|c| c.is_ascii_control() || c == ' ' || c == '\\')
        {
            return Err(format!(
                "an `http` check's URL is at most {MAX_URL_BYTES} bytes, without spaces, backslashes or control characters"
            ));
        }
        if self.status.is_some_and(|status| !(100..=599).contains(&status)) {
            return Err("an HTTP status is a number from 100 to 599".to_owned());
        }
        if self.contains.as_ref().is_some_and(|text| text.is_empty() || text.len() > MAX_BODY_MATCH_BYTES) {
            return Err(format!("`contains` takes 1 to {MAX_BODY_MATCH_BYTES} bytes"));
        }
        Ok(())
    }
}

/// A shell command of the operator's own, run on the host by `sh -c`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Command(String);

impl Command {
    /// The command's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Command {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let acceptable = !text.trim().is_empty()
            && text.len() <= MAX_COMMAND_BYTES
            && !text.chars().any(|c| c.is_control() && c != '\t');
        if acceptable {
            Ok(Self(text))
        } else {
            Err(format!(
                "a command is one line of 1 to {MAX_COMMAND_BYTES} bytes, without control characters"
            ))
        }
    }
}

impl From<Command> for String {
    fn from(command: Command) -> String {
        command.0
    }
}

/// How to bring a service back: `{ systemd = "rachel8" }`, `{ docker = "…" }`, `{ command = "…" }` or `"never"`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Restart {
    /// `systemctl reset-failed`, then `systemctl restart`.
    Systemd(UnitName),
    /// `docker restart`.
    Docker(ContainerName),
    /// A command of the operator's own.
    Command(Command),
    /// Nothing is ever done; people are told.
    Never,
}

/// A spec that contradicts itself: which key, what is wrong, what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{key}`: {problem}")]
pub struct BadSpec {
    /// The key at fault, as the fleet file spells it.
    pub key: &'static str,
    /// What is wrong and what to do.
    pub problem: String,
}

impl ServiceSpec {
    /// Checks what no single field can: that the parts fit together.
    ///
    /// # Errors
    /// The first problem found.
    pub fn check(&self) -> Result<(), BadSpec> {
        let bad = |key, problem: String| Err(BadSpec { key, problem });
        if let Err(problem) = self.policy.check() {
            return bad("policy", problem);
        }
        if self.host_key.len() > MAX_HOST_KEYS {
            return bad("host_key", format!("at most {MAX_HOST_KEYS} keys can be pinned for one host"));
        }
        for key in &self.host_key {
            let mut words = key.split_ascii_whitespace();
            let known = words.next().is_some_and(|kind| {
                kind.starts_with("ssh-") || kind.starts_with("ecdsa-sha2-") || kind.starts_with("sk-")
            });
            let blob = words.next().is_some_and(|blob| {
                blob.len() >= 16 && blob.chars().all(|c| c.is_ascii_alphanumeric() || "+/=".contains(c))
            });
            if !(known && blob) || key.len() > MAX_COMMAND_BYTES {
                return bad(
                    "host_key",
                    "write a public key as `ssh-ed25519 AAAA…`; `lamplighter doctor` prints it".to_owned(),
                );
            }
        }
        if self.needs_commands() && self.transport == Transport::Ssh {
            if self.user.is_none() {
                return bad(
                    "user",
                    "missing; an SSH host needs a login, such as `user = \"deploy\"`".to_owned(),
                );
            }
            if self.key.is_none() {
                return bad(
                    "key",
                    "missing; an SSH host needs a private key, such as `key = \"file:keys/prod_ed25519\"`"
                        .to_owned(),
                );
            }
            if self.host_key.is_empty() && self.known_hosts.is_none() {
                return bad("host_key", "missing; pin the host's key or name a `known_hosts` file; `lamplighter doctor` prints the line to add".to_owned());
            }
        }
        if let Some(update) = &self.update {
            update.check(&self.restart)?;
        }
        Ok(())
    }

    /// True if looking at it, restarting or updating it runs a command on its host.
    #[must_use]
    pub fn needs_commands(&self) -> bool {
        let check = matches!(self.check, Check::Systemd(_) | Check::Command(_) | Check::Docker(_));
        check || self.restart != Restart::Never || self.update.is_some()
    }
}

/// Reads one string or a list of them.
fn one_or_many<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    struct OneOrMany;
    impl<'de> serde::de::Visitor<'de> for OneOrMany {
        type Value = Vec<String>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a string or a list of strings")
        }

        fn visit_str<E: serde::de::Error>(self, one: &str) -> Result<Vec<String>, E> {
            Ok(vec![one.to_owned()])
        }

        fn visit_seq<A: serde::de::SeqAccess<'de>>(self, seq: A) -> Result<Vec<String>, A::Error> {
            Deserialize::deserialize(serde::de::value::SeqAccessDeserializer::new(seq))
        }
    }
    from.deserialize_any(OneOrMany)
}
