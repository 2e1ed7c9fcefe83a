//! The ways a letter can travel.

use std::path::PathBuf;

use aws_types::SdkConfig;
use lamplighter_core::Mailbox;
use lettre::address::Address;

use crate::folder::Folder;
use crate::letter::Letter;
use crate::mail;
use crate::ses::Ses;
use crate::smtp::{Smtp, SmtpSettings};

/// Most characters kept of what a server said.
pub(crate) const MAX_REPLY_CHARS: usize = 300;

/// How letters travel.
#[derive(Debug, Clone)]
pub enum Post {
    /// To a mail server.
    Smtp(Smtp),
    /// To Amazon SES.
    Ses(Ses),
    /// Into a folder, as `.eml` files, where no mail server is configured.
    Folder(Folder),
}

/// Settings that cannot work: what, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{key}`: {problem}")]
pub struct BadPost {
    /// The setting at fault.
    pub key: &'static str,
    /// What is wrong and what to do.
    pub problem: String,
}

impl BadPost {
    pub(crate) fn new(key: &'static str, problem: impl Into<String>) -> Self {
        Self { key, problem: problem.into() }
    }
}

/// A letter that was not delivered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The way is blocked, by the network, the server's mood or our settings: the letter is good, try again.
    #[error("not delivered yet: {0}")]
    Later(String),
    /// The server will never take this letter for this recipient: log it, do not retry for ever.
    #[error("refused for good: {0}")]
    Refused(String),
}

impl Post {
    /// Letters go to the mail server that `settings` names. Nothing is sent yet; certificates are read now.
    ///
    /// # Errors
    /// The setting that cannot work.
    pub fn smtp(settings: SmtpSettings) -> Result<Post, BadPost> {
        Smtp::new(settings).map(Post::Smtp)
    }

    /// Letters go to Amazon SES in the region of `account`, as `from`. Nothing is asked yet. Sending needs the permission
    /// `ses:SendRawEmail` on the identity that `from` is verified by, which may be its domain. SES gives each letter a
    /// `Message-ID` of its own; what belongs together is kept together by `References`.
    ///
    /// # Errors
    /// If `account` names no region, or `from` is no address a letter can carry.
    pub fn ses(account: &SdkConfig, from: &Mailbox) -> Result<Post, BadPost> {
        Ses::new(account, sender(from)?).map(Post::Ses)
    }

    /// Letters become files in `dir`, which is made when the first is written.
    ///
    /// # Errors
    /// If `from` is no address a letter can carry.
    pub fn folder(dir: PathBuf, from: &Mailbox) -> Result<Post, BadPost> {
        Ok(Post::Folder(Folder::new(dir, sender(from)?)))
    }

    /// Delivers one letter, once. `Ok` means the next hop has taken responsibility for it. A letter whose outcome was
    /// not seen counts as not delivered: sent again it carries the same id.
    ///
    /// # Errors
    /// Whether to try again, and why; in one line, without secrets.
    pub async fn send(&self, letter: &Letter) -> Result<(), SendError> {
        match self {
            Post::Smtp(smtp) => smtp.send(letter).await,
            Post::Ses(ses) => ses.send(letter).await,
            Post::Folder(folder) => folder.send(letter).await,
        }
    }

    /// Goes the whole way without a letter: connection, encryption, login; whether SES knows us and has the sender
    /// verified, which needs the permission `ses:GetIdentityVerificationAttributes`; or whether the folder can be written.
    ///
    /// # Errors
    /// The step that failed and the reason, in one line, without secrets.
    pub async fn check(&self) -> Result<(), SendError> {
        match self {
            Post::Smtp(smtp) => smtp.check().await,
            Post::Ses(ses) => ses.check().await,
            Post::Folder(folder) => folder.check().await,
        }
    }
}

/// A sender's address, as a letter carries it.
pub(crate) fn sender(from: &Mailbox) -> Result<Address, BadPost> {
    mail::address(from).map_err(|error| BadPost::new("from", format!("`{from}` cannot send mail: {error}")))
}
