//! Letters through Amazon SES.

use std::fmt;
use std::time::Duration;

use aws_sdk_ses::Client;
use aws_sdk_ses::config::retry::RetryConfig;
use aws_sdk_ses::config::timeout::TimeoutConfig;
use aws_sdk_ses::config::{BehaviorVersion, Builder};
use aws_sdk_ses::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_ses::primitives::Blob;
use aws_sdk_ses::types::{RawMessage, VerificationStatus};
use aws_types::SdkConfig;
use lamplighter_core::Mailbox;
use lamplighter_core::causes::in_one_line;
use lamplighter_core::sight::one_line;
use lettre::address::Address;

use crate::letter::Letter;
use crate::mail;
use crate::post::{BadPost, MAX_REPLY_CHARS, SendError};
use crate::smtp::SEND_LIMIT;

/// Tries of one call, the first included: the outbox tries again by itself, and a try whose answer was lost has sent.
const TRIES: u32 = 2;
/// What one try may take, so that a lost one leaves time for the next.
const TRY_LIMIT: Duration = Duration::from_secs(14);
/// Longest wait between two tries: less than the rest of the time.
const WAIT_BETWEEN: Duration = Duration::from_secs(1);
/// Most domains asked about that an address may be verified by: it and those above it.
const MAX_DOMAINS: usize = 8;

const _: () = assert!(
    TRIES as u64 * TRY_LIMIT.as_secs() + WAIT_BETWEEN.as_secs() < SEND_LIMIT.as_secs(),
    "every try must fit the limit of the whole"
);

/// What a letter needs to be allowed.
const TO_SEND: &str = "ses:SendRawEmail";
/// What [`Ses::check`] needs to be allowed.
const TO_CHECK: &str = "ses:GetIdentityVerificationAttributes";

/// SES in one region, ready to be used.
#[derive(Clone)]
pub struct Ses {
    client: Client,
    from: Address,
    region: String,
}

impl fmt::Debug for Ses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ses").field("from", &self.from).field("region", &self.region).finish_non_exhaustive()
    }
}

impl Ses {
    pub(crate) fn new(account: &SdkConfig, from: Address) -> Result<Self, BadPost> {
        let Some(region) = account.region() else {
            return Err(BadPost::new("region", "no region is set; set `AWS_REGION` to that of SES"));
        };
        let limits = TimeoutConfig::builder()
            .operation_timeout(SEND_LIMIT)
            .operation_attempt_timeout(TRY_LIMIT)
            .build();
        let retries = RetryConfig::standard().with_max_attempts(TRIES).with_max_backoff(WAIT_BETWEEN);
        let config = Builder::from(account)
            // Left open it would be a panic, not an error.
            .behavior_version(account.behavior_version().unwrap_or_else(BehaviorVersion::latest))
            .timeout_config(limits)
            .retry_config(retries)
            .build();
        Ok(Self { client: Client::from_conf(config), from, region: region.to_string() })
    }

    pub(crate) async fn send(&self, letter: &Letter) -> Result<(), SendError> {
        let message = mail::message(letter, &self.from).map_err(|error| {
            SendError::Refused(format!("`{}` cannot be put on an envelope: {error}", letter.to))
        })?;
        let raw = RawMessage::builder().data(Blob::new(message.formatted())).build();
        let raw =
            raw.map_err(|error| SendError::Later(format!("SES: the request cannot be made: {error}")))?;
        // Named besides the message, so that no header decides who sends to whom.
        let sending = self
            .client
            .send_raw_email()
            .source(self.from.to_string())
            .destinations(letter.to.as_str())
            .raw_message(raw);
        match Box::pin(sending.send()).await {
            Ok(_) => Ok(()),
            Err(error) => Err(self.failure(&error, TO_SEND, Some(&letter.to))),
        }
    }

    pub(crate) async fn check(&self) -> Result<(), SendError> {
        let asking = self.client.get_identity_verification_attributes();
        let answer = Box::pin(asking.set_identities(Some(self.identities())).send()).await;
        let answer = answer.map_err(|error| self.failure(&error, TO_CHECK, None))?;
        let mut states = answer.verification_attributes().values();
        match states.any(|state| state.verification_status() == &VerificationStatus::Success) {
            true => Ok(()),
            false => Err(self.not_verified()),
        }
    }

    /// What may be verified for this sender: the address, its domain, or one above.
    fn identities(&self) -> Vec<String> {
        let domains = std::iter::successors(Some(self.from.domain()), |domain| {
            domain.split_once('.').map(|(_, above)| above).filter(|above| above.contains('.'))
        });
        std::iter::once(self.from.to_string()).chain(domains.take(MAX_DOMAINS).map(str::to_owned)).collect()
    }

    /// Sorts a failed call: what is wrong with the way, and what with this letter to this recipient.
    fn failure<E>(&self, error: &SdkError<E>, permission: &str, to: Option<&Mailbox>) -> SendError
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        let SdkError::ServiceError(context) = error else {
            let said = one_line(&in_one_line(error), MAX_REPLY_CHARS);
            return SendError::Later(format!("SES in `{}` could not be used: {said}", self.region));
        };
        let code = context.err().code().unwrap_or_default();
        let said = one_line(context.err().message().unwrap_or("without a word"), MAX_REPLY_CHARS);
        let later = |what: &str, mend: &str| SendError::Later(format!("SES {what}: {said}; {mend}"));
        match code.strip_suffix("Exception").unwrap_or(code) {
            "MessageRejected" => self.rejection(&said, to),
            "AccountSendingPaused" => later(
                "sends nothing for this account",
                "see in its console why sending is paused, and resume it",
            ),
            "MailFromDomainNotVerified" => later(
                &format!("does not send as `{}`", self.from),
                "repair the MX record of its MAIL FROM domain, or leave that domain out",
            ),
            "ConfigurationSetDoesNotExist" | "ConfigurationSetSendingPaused" => {
                later("cannot use the identity's default configuration set", "repair it, or leave it out")
            }
            "Throttling" | "TooManyRequests" | "RequestLimitExceeded" | "LimitExceeded" => {
                later("takes no more letters now", "they wait; ask for a higher quota if this happens often")
            }
            "AccessDenied" | "UnauthorizedOperation" | "NotAuthorized" => {
                later("is not allowed to us", &format!("allow `{permission}`"))
            }
            "InvalidClientTokenId"
            | "UnrecognizedClient"
            | "SignatureDoesNotMatch"
            | "IncompleteSignature"
            | "MissingAuthenticationToken"
            | "ExpiredToken"
            | "RequestExpired"
            | "OptInRequired" => {
                later("does not know who is asking", "check the role or its keys, and the clock")
            }
            // Without our address in it, it speaks of the recipient's, or of the message.
            "InvalidParameterValue" if to.is_some() && !names(&said, self.from.as_ref()) => {
                SendError::Refused(format!("SES refuses the letter{}: {said}", addressed(to)))
            }
            "" => later(&format!("failed with status {}", context.raw().status()), "letters wait"),
            code => later(&format!("failed with `{code}`"), "letters wait"),
        }
    }

    /// A letter that was rejected: because of us, and then all are; or because of its recipient or itself.
    fn rejection(&self, said: &str, to: Option<&Mailbox>) -> SendError {
        let is_of_account = ["paused", "suspended", "shut down"].iter().any(|word| names(said, word));
        let is_recipient = to.is_some_and(|to| names(said, to.as_str())) && !names(said, self.from.as_ref());
        match (names(said, "not verified"), is_recipient) {
            (true, false) => self.not_verified(),
            // An account in the sandbox: other recipients may be verified, and must not wait for this one.
            (true, true) => SendError::Refused(format!(
                "SES does not send{} from an account in the sandbox: the address is not verified; verify it, or ask AWS \
                 for production access in `{}`",
                addressed(to),
                self.region
            )),
            (false, _) if is_of_account => SendError::Later(format!(
                "SES sends nothing for this account: {said}; see in its console why, and resume sending"
            )),
            (false, _) => SendError::Refused(format!("SES refuses the letter{}: {said}", addressed(to))),
        }
    }

    fn not_verified(&self) -> SendError {
        SendError::Later(format!(
            "SES does not send as `{}`: neither the address nor its domain is verified in `{}`; verify one of them",
            self.from, self.region
        ))
    }
}

/// True if `said` has these words in it, in whatever case.
fn names(said: &str, words: &str) -> bool {
    said.to_ascii_lowercase().contains(&words.to_ascii_lowercase())
}

fn addressed(to: Option<&Mailbox>) -> String {
    to.map(|to| format!(" to `{to}`")).unwrap_or_default()
}
