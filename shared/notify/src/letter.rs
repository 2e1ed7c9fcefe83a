//! A letter: news as one person will read it.

use lamplighter_core::notice::{Notice, NoticeKind};
use lamplighter_core::{EnvName, Mailbox, Moment};

use crate::{html, text, wording};

/// One letter to one person.
///
/// Its ids are the left half of a `Message-ID`, `prod.vps-001.17.down`: the [`Post`](crate::Post) that sends it adds
/// the domain of its own address. The same notice always makes the same letter, so a letter delivered twice is
/// recognised as one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// Stable and unique, safe in a header and a file name.
    pub message_id: String,
    /// The letter this one answers, for mail clients that look no further.
    pub in_reply_to: Option<String>,
    /// The thread's root first, then the letter that most likely opened it. The root is a letter nobody ever gets;
    /// mail clients join those who name a common one, also when the letter that opened the thread went to others.
    pub references: Vec<String>,
    /// Who reads it.
    pub to: Mailbox,
    /// When it was decided, and the letter's date.
    pub at: Moment,
    /// One line.
    pub subject: String,
    /// The body as plain text.
    pub text: String,
    /// The same as HTML.
    pub html: String,
}

/// Where the reader finds the program that writes to them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The address of the pages, `https://lamp.example.com`, if people can reach them. Anything that is not `http://`
    /// or `https://` is left out of letters.
    pub base_url: Option<String>,
    /// What to type before a verb: `lamplighter`, or `lamplighter --env prod` where that is needed to say which.
    pub cli: String,
}

impl Default for Place {
    fn default() -> Self {
        Self { base_url: None, cli: "lamplighter".to_owned() }
    }
}

impl Place {
    /// The page of the env, opened at `service` if one is meant.
    pub(crate) fn link(&self, env: &EnvName, service: Option<&str>) -> Option<String> {
        let base = self.base_url.as_deref()?.trim_end_matches('/');
        let is_web = base.starts_with("https://") || base.starts_with("http://");
        if !is_web || base.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return None;
        }
        // Names of envs and services need no percent-encoding: they are letters, digits, `.`, `_` and `-`.
        Some(match service {
            Some(service) => format!("{base}/?env={env}&service={service}"),
            None => format!("{base}/?env={env}"),
        })
    }
}

/// The letter that tells `to` of one notice.
#[must_use]
pub fn letter(env: &EnvName, notice: &Notice, to: &Mailbox, place: &Place) -> Letter {
    let message_id = id(&[env.as_str(), &notice.id]);
    let root = id(&[env.as_str(), &notice.thread]);
    let opening = id(&[env.as_str(), &notice.thread, NoticeKind::Down.as_str()]);
    let in_reply_to = match notice.kind {
        NoticeKind::Down
        | NoticeKind::Blind
        | NoticeKind::RolloutHalted
        | NoticeKind::RolloutFinished
        | NoticeKind::PushRefused => None,
        NoticeKind::Recovered | NoticeKind::BreakerOpen => {
            Some(opening).filter(|opening| *opening != message_id)
        }
    };
    let references = std::iter::once(root).chain(in_reply_to.clone()).collect();
    let page = wording::page(env, notice, to, place, &message_id);
    Letter {
        in_reply_to,
        references,
        to: to.clone(),
        at: notice.at,
        subject: wording::subject(env, notice),
        text: text::render(&page),
        html: html::render(&page),
        message_id,
    }
}

/// Joins `parts` into the left half of a message id: dot-atom text of RFC 5322 whatever the parts hold. Different
/// parts of a letter's id cannot meet in one text, as what is replaced is replaced by its code, `=` included.
pub(crate) fn id(parts: &[&str]) -> String {
    let joined = parts.join(".");
    let mut id = String::with_capacity(joined.len());
    for (at, byte) in joined.bytes().enumerate() {
        // A dot may not stand first, last or beside another dot.
        let dot_is_fine = !id.is_empty() && !id.ends_with('.') && at + 1 < joined.len();
        if byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_' || (byte == b'.' && dot_is_fine) {
            id.push(char::from(byte));
        } else {
            id.push_str(&format!("={byte:02x}"));
        }
    }
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_dot_atoms_whatever_goes_in() {
        assert_eq!(id(&["prod", "vps-001.17.down"]), "prod.vps-001.17.down");
        assert_eq!(id(&["4711", "ada@example.com"]), "4711.ada=40example.com");
        assert_eq!(id(&[".a..b."]), "=2ea.=2eb=2e");
        assert_eq!(id(&["a\r\nBcc: x"]), "a=0d=0aBcc=3a=20x");
        assert_ne!(id(&["a=20b"]), id(&["a b"]));
    }

    #[test]
    fn only_web_addresses_become_links() {
        let env = "prod".parse().unwrap();
        let link = |base: &str| {
            Place { base_url: Some(base.to_owned()), ..Place::default() }.link(&env, Some("vps-001"))
        };
        assert_eq!(
            link("https://lamp.example.com/").unwrap(),
            "https://lamp.example.com/?env=prod&service=vps-001"
        );
        assert_eq!(link("javascript:alert(1)"), None);
        assert_eq!(link("https://x\r\ny"), None);
    }
}
