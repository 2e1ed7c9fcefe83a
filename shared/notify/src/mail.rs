//! A letter as an RFC 5322 message.

use lamplighter_core::Mailbox;
use lettre::Message;
use lettre::address::{Address, AddressError};
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{MultiPart, SinglePart};
use sha2::{Digest, Sha256};

use crate::letter::Letter;

/// What people see as the sender's name.
const SENDER_NAME: &str = "Lamplighter";

/// A checked mail address in the form the mail library wants.
pub(crate) fn address(mailbox: &Mailbox) -> Result<Address, AddressError> {
    mailbox.as_str().parse()
}

/// The whole message, lines ending with CRLF. The same letter always gives the same bytes.
pub(crate) fn message(letter: &Letter, from: &Address) -> Result<Message, lettre::error::Error> {
    let to: Address = address(&letter.to).map_err(|_| lettre::error::Error::MissingTo)?;
    let full_id = |id: &String| format!("<{id}@{}>", from.domain());
    let mut message = Message::builder()
        .from(lettre::message::Mailbox::new(Some(SENDER_NAME.to_owned()), from.clone()))
        .to(lettre::message::Mailbox::new(None, to))
        .date(
            std::time::UNIX_EPOCH
                + std::time::Duration::from_millis(u64::try_from(letter.at.as_millis()).unwrap_or(0)),
        )
        .message_id(Some(full_id(&letter.message_id)))
        .subject(letter.subject.as_str());
    if let Some(id) = &letter.in_reply_to {
        message = message.in_reply_to(full_id(id));
    }
    if !letter.references.is_empty() {
        let references: Vec<String> = letter.references.iter().map(full_id).collect();
        message = message.references(references.join(" "));
    }
    message
        .raw_header(raw("Auto-Submitted", "auto-generated"))
        // Outlook's own: no out-of-office answers. Bounces stay wanted. No `Precedence`: it sinks alarms into bulk folders.
        .raw_header(raw("X-Auto-Response-Suppress", "OOF, AutoReply"))
        .multipart(
            MultiPart::alternative()
                .boundary(boundary(letter))
                .singlepart(SinglePart::plain(letter.text.clone()))
                .singlepart(SinglePart::html(letter.html.clone())),
        )
}

fn raw(name: &'static str, value: &str) -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str(name), value.to_owned())
}

/// The line between the parts. It is a digest of what stands between: a service cannot write it into its journal
/// to forge a part of the letter, as it would have to hold its own digest.
fn boundary(letter: &Letter) -> String {
    let digest = Sha256::new().chain_update(&letter.text).chain_update(&letter.html).finalize();
    let hex: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("=_lamplighter_{hex}")
}
