//! Names that were checked once, where they came in, and are safe everywhere after.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A name or address that cannot be accepted: what it was, why, and what would be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {what}: {hint}")]
pub struct BadName {
    text: String,
    what: &'static str,
    hint: &'static str,
}

impl BadName {
    pub(crate) fn new(text: &str, what: &'static str, hint: &'static str) -> Self {
        // A hostile text may be long or carry control characters; the message must stay one readable line.
        let text = text.chars().take(80).flat_map(char::escape_debug).collect();
        Self { text, what, hint }
    }
}

/// Longest accepted identifier: it must fit a table key, a file name on the host and a screen's column.
pub const MAX_IDENTIFIER_CHARS: usize = 64;
/// Longest unit name systemd accepts is 255; nobody's is near it.
pub const MAX_UNIT_CHARS: usize = 200;

pub(crate) fn is_identifier(text: &str) -> bool {
    text.len() <= MAX_IDENTIFIER_CHARS
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
}

macro_rules! checked_name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $hint:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::name::BadName;

            fn from_str(text: &str) -> Result<Self, $crate::name::BadName> {
                let accepted: fn(&str) -> bool = $check;
                if accepted(text) { Ok(Self(text.to_owned())) } else { Err($crate::name::BadName::new(text, $what, $hint)) }
            }
        }

        impl TryFrom<String> for $name {
            type Error = $crate::name::BadName;

            fn try_from(text: String) -> Result<Self, $crate::name::BadName> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}
pub(crate) use checked_name;

checked_name!(
    /// What a service is called, `vps-001`: unique within its env.
    ServiceId,
    "a service id",
    "use 1 to 64 letters, digits, `.`, `_` or `-`, beginning with a letter or digit",
    is_identifier
);
checked_name!(
    /// What an environment is called: `dev`, `staging`, `prod`.
    EnvName,
    "an environment name",
    "use 1 to 64 letters, digits, `.`, `_` or `-`, beginning with a letter or digit",
    is_identifier
);
checked_name!(
    /// The code base that several services share, `rachel8`.
    AppName,
    "an app name",
    "use 1 to 64 letters, digits, `.`, `_` or `-`, beginning with a letter or digit",
    is_identifier
);
checked_name!(
    /// A systemd unit, with or without its suffix: `rachel8`, `rachel8.service`, `worker@2.service`.
    UnitName,
    "a systemd unit name",
    "use letters, digits and `:-_.@\\`, at most 200, beginning with a letter or digit",
    |text| {
        text.len() <= MAX_UNIT_CHARS
            && text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && !text.contains("..")
            && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, ':' | '-' | '_' | '.' | '@' | '\\'))
    }
);
checked_name!(
    /// A Docker container's name or id.
    ContainerName,
    "a container name",
    "use letters, digits, `.`, `_` or `-`, at most 64, beginning with a letter or digit",
    is_identifier
);
checked_name!(
    /// A container image's name, `ghcr.io/acme/web`, without a tag or digest.
    ImageName,
    "an image name",
    "write it as `registry/owner/name`, in lower case, without a tag or digest",
    |text| {
        text.len() <= 200
            && text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
            && !text.contains("..")
            && !text.contains("//")
            && !text.ends_with(['/', ':'])
            && !text.rsplit('/').next().unwrap_or_default().contains(':')
            && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-/:".contains(c))
    }
);
checked_name!(
    /// A login on a host.
    UserName,
    "a user name",
    "use letters, digits, `.`, `_` or `-`, at most 64, beginning with a letter, digit or `_`",
    |text| is_identifier(text.strip_prefix('_').unwrap_or(text))
);
checked_name!(
    /// An address that letters are sent to, `ada@example.com`.
    Mailbox,
    "a mail address",
    "write it as `name@example.com`, without a display name",
    |text| {
        text.len() <= 254
            && text.is_ascii()
            && !text.chars().any(|c| c.is_ascii_control() || c.is_ascii_whitespace() || "<>()[],;:\\\"".contains(c))
            && text.split_once('@').is_some_and(|(local, domain)| {
                !local.is_empty()
                    && !domain.contains('@')
                    && domain.split('.').all(|label| !label.is_empty() && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-'))
            })
    }
);

/// Where a host is reached: `203.0.113.7`, `vps.example.com:2222`, `[2001:db8::7]:22`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HostAddress {
    host: String,
    port: u16,
}

impl HostAddress {
    /// The port an address without one means.
    pub const SSH_PORT: u16 = 22;

    /// The name or IP address, an IPv6 one without its brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The TCP port that SSH answers on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl FromStr for HostAddress {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        let bad = || {
            BadName::new(
                text,
                "a host address",
                "write `203.0.113.7`, `vps.example.com:2222` or `[2001:db8::7]:22`",
            )
        };
        let (host, port) = if let Some(rest) = text.strip_prefix('[') {
            let (host, rest) = rest.split_once(']').ok_or_else(bad)?;
            host.parse::<std::net::Ipv6Addr>().map_err(|_| bad())?;
            (host, rest.strip_prefix(':').or(rest.is_empty().then_some("22")).ok_or_else(bad)?)
        } else if text.parse::<std::net::Ipv6Addr>().is_ok() {
            (text, "22")
        } else {
            text.split_once(':').unwrap_or((text, "22"))
        };
        let port: u16 = port.parse().map_err(|_| bad())?;
        let is_v6 = host.contains(':');
        let is_name = host.len() <= 253
            && host.split('.').all(|label| {
                !label.is_empty()
                    && label.len() <= 63
                    && !label.starts_with('-')
                    && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
            });
        if port == 0 || !(is_v6 || is_name) {
            return Err(bad());
        }
        Ok(Self { host: host.to_ascii_lowercase(), port })
    }
}

impl TryFrom<String> for HostAddress {
    type Error = BadName;

    fn try_from(text: String) -> Result<Self, BadName> {
        text.parse()
    }
}

impl From<HostAddress> for String {
    fn from(address: HostAddress) -> String {
        address.to_string()
    }
}

impl fmt::Display for HostAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.port, self.host.contains(':')) {
            (Self::SSH_PORT, _) => f.write_str(&self.host),
            (port, true) => write!(f, "[{}]:{port}", self.host),
            (port, false) => write!(f, "{}:{port}", self.host),
        }
    }
}

impl fmt::Debug for HostAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_keep_their_meaning() {
        for (text, host, port, shown) in [
            ("203.0.113.7", "203.0.113.7", 22, "203.0.113.7"),
            ("VPS.example.com:2222", "vps.example.com", 2222, "vps.example.com:2222"),
            ("[2001:db8::7]:2022", "2001:db8::7", 2022, "[2001:db8::7]:2022"),
            ("2001:db8::7", "2001:db8::7", 22, "2001:db8::7"),
            ("[::1]", "::1", 22, "::1"),
        ] {
            let address: HostAddress = text.parse().unwrap();
            assert_eq!((address.host(), address.port(), address.to_string().as_str()), (host, port, shown));
            assert_eq!(address.to_string().parse::<HostAddress>().unwrap(), address);
        }
    }

    #[test]
    fn hostile_names_are_refused_in_one_line() {
        for bad in ["", "-H x", "web;id", "$(id)", "a\nb", "..", "caf\u{e9}", &"x".repeat(300)] {
            for message in [
                bad.parse::<UnitName>().err().map(|e| e.to_string()),
                bad.parse::<ServiceId>().err().map(|e| e.to_string()),
                bad.parse::<HostAddress>().err().map(|e| e.to_string()),
                bad.parse::<Mailbox>().err().map(|e| e.to_string()),
                bad.parse::<ContainerName>().err().map(|e| e.to_string()),
            ] {
                let message = message.unwrap_or_else(|| panic!("`{bad}` was accepted"));
                assert!(!message.contains('\n') && message.len() < 300, "{message}");
            }
        }
        for bad in ["host:0", "host:99999", "host:", ":22", "[::1", "[zz]:22", "a b", "a..b", "-a"] {
            assert!(bad.parse::<HostAddress>().is_err(), "{bad}");
        }
        assert!("ada@example.com".parse::<Mailbox>().is_ok());
        assert!("a\u{0}@x".parse::<Mailbox>().is_err());
        assert!("worker@2.service".parse::<UnitName>().is_ok());
    }
}
