//! Tells people: the wording of letters, and how they travel.
//!
//! A [`Notice`](lamplighter_core::notice::Notice) becomes a [`Letter`] by [`letter()`], or many become one by
//! [`digest()`]; a [`Post`] takes it to a mail server, to Amazon SES or, where neither is configured, to a folder of `.eml` files.
//! Whether and when to write to whom was decided before: nothing here keeps state or reads a clock.

#![cfg_attr(test, expect(clippy::unwrap_used, reason = "a test may panic"))]

mod careful;
mod digest;
mod folder;
mod html;
mod letter;
mod mail;
mod page;
mod post;
mod rollout;
mod secret;
mod ses;
mod smtp;
mod text;
mod wording;

pub use digest::{MAX_DIGEST_LINES, digest};
pub use folder::Folder;
pub use letter::{Letter, Place, letter};
pub use post::{BadPost, Post, SendError};
pub use secret::Secret;
pub use ses::Ses;
pub use smtp::{SEND_LIMIT, Security, Smtp, SmtpSettings};
