//! What one look at a service saw.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::moment::Moment;

/// Most text kept of what a host said, in bytes. More would crowd the letter, and every further KiB in the outbox
/// costs two more write units a transition.
pub const MAX_EVIDENCE_BYTES: usize = 1_024;

/// One look: what it saw, when, and what was learned on the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// The verdict.
    pub sight: Sight,
    /// When the look ended.
    pub at: Moment,
    /// How long it took.
    pub took: Duration,
    /// Which run of the service was seen, where its supervisor tells: systemd's `InvocationID`, Docker's start time.
    pub process: Option<ProcessId>,
    /// The last lines the service wrote, fetched when it is not up. Hostile text, printable and capped.
    pub evidence: Option<String>,
}

impl Look {
    /// A look that never began: nothing was learned.
    #[must_use]
    pub fn not_taken(at: Moment, why: NotLooked) -> Self {
        Self { sight: Sight::Unknown(why), at, took: Duration::ZERO, process: None, evidence: None }
    }
}

/// Identifies one run of a service: it changes whenever the service is started anew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ProcessId(String);

impl ProcessId {
    /// The identifier as the supervisor wrote it: letters, digits, `-`, `.` and `:` only.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ProcessId {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let clean = (1..=64).contains(&text.len())
            && text.chars().all(|c| c.is_ascii_alphanumeric() || "-.:".contains(c));
        if clean { Ok(Self(text)) } else { Err("a process id is 1 to 64 letters, digits, `-`, `.` or `:`") }
    }
}

impl From<ProcessId> for String {
    fn from(id: ProcessId) -> String {
        id.0
    }
}

/// What one look saw.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "sight", content = "fault")]
pub enum Sight {
    /// The check passed.
    Up,
    /// The host answered, and the service is not up.
    Down(Fault<DownKind>),
    /// The transport that a restart would use does not work.
    Unreachable(Fault<UnreachableKind>),
    /// Nothing was learned: neither good nor bad.
    Unknown(NotLooked),
}

/// What was wrong, as a kind that code branches on and a detail that people read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault<K> {
    /// The kind of fault.
    pub kind: K,
    /// One line of detail. May hold text from a host: printable, capped, never trusted.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

impl<K> Fault<K> {
    /// A fault with one line of detail, cleaned of control characters and capped.
    #[must_use]
    pub fn new(kind: K, detail: &str) -> Self {
        Self { kind, detail: one_line(detail, MAX_DETAIL_CHARS) }
    }
}

/// Most characters of a fault's detail: it stands in one line of a table.
pub const MAX_DETAIL_CHARS: usize = 120;

impl<K: fmt::Display> fmt::Display for Fault<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.detail.as_str() {
            "" => self.kind.fmt(f),
            detail => write!(f, "{} ({detail})", self.kind),
        }
    }
}

macro_rules! kinds {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident => $words:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($(#[$vdoc])* $variant,)* }

        impl $name {
            /// Every kind, for tables in tests and docs.
            pub const ALL: &'static [$name] = &[$($name::$variant,)*];
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $($name::$variant => $words,)* })
            }
        }
    };
}

kinds! {
    /// Why a service that could be asked is not up.
    DownKind {
        /// The unit is `inactive`, `failed`, or otherwise not `active`.
        NotActive => "unit is not active",
        /// The unit has been `activating` for longer than its startup grace.
        StartingTooLong => "unit has been starting for too long",
        /// systemd knows no such unit: a configuration mistake, told apart because no restart can mend it.
        NoSuchUnit => "no such unit",
        /// The container is not running.
        NotRunning => "container is not running",
        /// The container runs and its own health check fails.
        Unhealthy => "container is unhealthy",
        /// It came up and was started anew within its settle time: a crash loop that shows `active` now and then.
        DiedAgain => "died again while settling",
        /// Docker knows no such container.
        NoSuchContainer => "no such container",
        /// A check connection was refused.
        Refused => "connection refused",
        /// A check did not answer in time.
        TimedOut => "no answer in time",
        /// The HTTP status was not the expected one.
        WrongStatus => "unexpected HTTP status",
        /// The body lacked the expected text.
        WrongBody => "body lacks the expected text",
        /// The answer came, but too late for the condition.
        TooSlow => "answered too slowly",
        /// The HTTP answer could not be read, or TLS failed.
        BadAnswer => "answer could not be read",
        /// The check's URL leads to an address that checks may not reach.
        ForbiddenAddress => "address is not allowed for checks",
        /// The check's host name does not resolve.
        NoSuchName => "host name does not resolve",
        /// The check's command ended with another status than 0.
        CommandFailed => "check command failed",
    }
}

kinds! {
    /// Why a host could not be asked.
    UnreachableKind {
        /// No TCP connection: refused, no route, reset.
        Connect => "cannot connect",
        /// The host name does not resolve.
        NoSuchName => "host name does not resolve",
        /// A deadline passed before there was a session or an answer.
        TimedOut => "timed out",
        /// The host does not accept the key or user.
        Auth => "authentication refused",
        /// No key is known for the host: nothing was sent.
        HostKeyUnknown => "host key unknown",
        /// The host showed another key than the one known: nothing was sent.
        HostKeyChanged => "host key changed",
        /// The host's key is marked `@revoked`.
        HostKeyRevoked => "host key revoked",
        /// What answers does not speak SSH as it should.
        Protocol => "protocol error",
        /// The connection broke before there was an answer.
        Dropped => "connection dropped",
        /// The private key named by the spec cannot be used.
        Key => "private key unusable",
        /// The answer was cut off, had no exit status or was killed by a signal: nothing can be concluded from it.
        NoVerdict => "no verdict from host",
    }
}

kinds! {
    /// Why nothing was learned.
    NotLooked {
        /// The sweep's deadline came before this look began.
        OutOfTime => "not looked: the sweep ran out of time",
        /// The look itself failed for a reason on our side.
        OurFault => "not looked: a fault on our side",
        /// The unit is starting and its grace is not over.
        Starting => "not judged: still starting",
        /// The blindness guard discards what this tick saw.
        Blind => "not judged: too much failed at once",
    }
}

impl Sight {
    /// The verdict in one word, as the API spells it.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Sight::Up => "up",
            Sight::Down(_) => "down",
            Sight::Unreachable(_) => "unreachable",
            Sight::Unknown(_) => "unknown",
        }
    }
}

impl Sight {
    /// True if a service that was just started may look so until it has come up: its unit says so itself, or the process
    /// is there and does not answer yet.
    #[must_use]
    pub fn may_still_come_up(&self) -> bool {
        match self {
            Sight::Unknown(NotLooked::Starting) => true,
            Sight::Down(fault) => match fault.kind {
                DownKind::Refused
                | DownKind::TimedOut
                | DownKind::WrongStatus
                | DownKind::WrongBody
                | DownKind::TooSlow
                | DownKind::BadAnswer
                | DownKind::CommandFailed
                | DownKind::Unhealthy => true,
                DownKind::NotActive
                | DownKind::StartingTooLong
                | DownKind::NoSuchUnit
                | DownKind::NotRunning
                | DownKind::DiedAgain
                | DownKind::NoSuchContainer
                | DownKind::ForbiddenAddress
                | DownKind::NoSuchName => false,
            },
            Sight::Up
            | Sight::Unreachable(_)
            | Sight::Unknown(NotLooked::OutOfTime | NotLooked::OurFault | NotLooked::Blind) => false,
        }
    }
}

impl fmt::Display for Sight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Sight::Up => f.write_str("up"),
            Sight::Down(fault) => fault.fmt(f),
            Sight::Unreachable(fault) => write!(f, "unreachable: {fault}"),
            Sight::Unknown(why) => why.fmt(f),
        }
    }
}

/// What came of a restart that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RestartOutcome {
    /// The command ran and ended with status 0.
    Done(GuardParts),
    /// The host has already carried out this very action: look, and judge what it did.
    AlreadyDone,
    /// The host has seen a higher action number than ours: we are late, or our memory was restored from a copy.
    Overtaken {
        /// The highest action number the host has seen for the service.
        seen: u64,
    },
    /// Another run of the service than the one we judged is there now: look again before acting.
    ProcessChanged,
    /// Another lifecycle command holds the host's lock.
    Busy,
    /// The command ran and failed, or was killed at its limit.
    Failed(String),
    /// Nothing was sent: the host could not be reached.
    NotSent(Fault<UnreachableKind>),
    /// The command was sent and its end was not seen: only a look can tell.
    Lost(Fault<UnreachableKind>),
}

/// Which parts of the host guard were in force for a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct GuardParts {
    /// The host's lifecycle lock was held.
    pub lock: bool,
    /// The action number was compared and recorded.
    pub action_no: bool,
    /// The run of the service was compared with the one that was judged.
    pub process: bool,
}

impl GuardParts {
    /// All three parts.
    pub const ALL: GuardParts = GuardParts { lock: true, action_no: true, process: true };

    /// The parts the host lacks, in the operator's words; `None` if all were in force.
    #[must_use]
    pub fn missing(self) -> Option<String> {
        let parts = [
            (self.lock, "no lock"),
            (self.action_no, "no action record"),
            (self.process, "no process check"),
        ];
        let missing: Vec<&str> = parts.iter().filter(|(held, _)| !held).map(|(_, words)| *words).collect();
        if missing.is_empty() { None } else { Some(missing.join(", ")) }
    }
}

/// Makes hostile text safe for one line: control, bidirectional and zero-width characters out, white space folded, capped.
#[must_use]
pub fn one_line(text: &str, max_chars: usize) -> String {
    let mut line = String::new();
    let mut count = 0;
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()) {
        let separator = usize::from(count > 0);
        for c in std::iter::repeat_n(' ', separator).chain(word.chars().filter(|c| is_printable(*c))) {
            if count == max_chars {
                line.push('…');
                return line;
            }
            line.push(c);
            count += 1;
        }
    }
    line
}

/// Makes hostile text safe for several lines: as [`one_line`], line by line, the last `max_bytes` of it.
#[must_use]
pub fn evidence(text: &str) -> Option<String> {
    let lines: Vec<String> = text
        .lines()
        .rev()
        .take(20)
        .map(|line| one_line(&strip_escapes(line), MAX_DETAIL_CHARS))
        .filter(|line| !line.is_empty())
        .collect();
    let mut kept = Vec::new();
    let mut bytes = 0;
    for line in lines {
        bytes += line.len() + 1;
        if bytes > MAX_EVIDENCE_BYTES {
            break;
        }
        kept.push(line);
    }
    kept.reverse();
    if kept.is_empty() { None } else { Some(kept.join("\n")) }
}

/// Drops ANSI escape sequences, so that coloured logs read well.
fn strip_escapes(line: &str) -> String {
    let mut clean = String::with_capacity(line.len());
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '\u{1b}' {
            clean.push(c);
        } else if chars.next_if_eq(&'[').is_some() {
            // A control sequence ends with a letter; a hostile one may never end, and then nothing of it is kept.
            for c in chars.by_ref() {
                if c.is_ascii_alphabetic() || c == '~' {
                    break;
                }
            }
        }
    }
    clean
}

fn is_printable(c: char) -> bool {
    let invisible = matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}');
    !(c.is_control() || invisible)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_becomes_one_plain_line() {
        assert_eq!(one_line("a\r\n\u{1b}[31mb\u{202e}c\t d", 100), "a [31mbc d");
        assert_eq!(one_line("abcdef", 3), "abc…");
        assert_eq!(one_line(" \n ", 3), "");
        assert_eq!(one_line(&"x".repeat(10_000_000), 5), "xxxxx…");
    }

    #[test]
    fn evidence_keeps_the_last_lines() {
        let text: String = (0..1_000).map(|n| format!("\u{1b}[1;31mline {n}\u{1b}[0m\n")).collect();
        let kept = evidence(&text).unwrap();
        assert!(kept.ends_with("line 999") && kept.starts_with("line 980"), "{kept}");
        assert!(evidence(&"y".repeat(5_000_000)).unwrap().len() <= MAX_EVIDENCE_BYTES);
        assert_eq!(evidence("\n\n"), None);
    }

    #[test]
    fn what_the_guard_lacks_is_said() {
        assert_eq!(GuardParts::ALL.missing(), None);
        assert_eq!(
            GuardParts { lock: true, ..GuardParts::default() }.missing().unwrap(),
            "no action record, no process check"
        );
    }
}
