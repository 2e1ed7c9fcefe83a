//! Rings: through the one queue, which also holds them back until they are due.

use std::time::Duration;

use aws_sdk_sqs::types::SendMessageBatchRequestEntry;
use aws_types::SdkConfig;
use lamplighter_core::Moment;

use crate::Ring;
use crate::account::said;
use crate::config::Config;

/// Most messages of one call, which the queue sets.
const AT_ONCE: usize = 10;
/// Longest the queue holds a message back. What is due later is left to a minute's own tick.
const LONGEST_DELAY: Duration = Duration::from_secs(900);

/// The queue.
pub(crate) struct Doorbell {
    queue: aws_sdk_sqs::Client,
    url: Option<String>,
}

impl Doorbell {
    pub(crate) fn new(account: &SdkConfig, config: &Config) -> Doorbell {
        Doorbell { queue: aws_sdk_sqs::Client::new(account), url: config.queue_url.clone() }
    }

    /// True where there is a queue: where there is none, as on a developer's machine, everything waits for its minute.
    pub(crate) fn is_there(&self) -> bool {
        self.url.is_some()
    }

    /// Rings, each when it is due. Says how many messages were sent. What cannot be sent is late, not lost: the next
    /// minute's schedules look anyway.
    pub(crate) async fn ring(&self, rings: &[Ring], now: Moment) -> usize {
        let Some(url) = &self.url else { return 0 };
        let mut sent = 0;
        for some in rings.chunks(AT_ONCE) {
            let mut call = self.queue.send_message_batch().queue_url(url);
            for (number, ring) in some.iter().enumerate() {
                match entry(number, ring, now) {
                    Ok(entry) => call = call.entries(entry),
                    Err(because) => tracing::error!(%because, "a ring cannot be written"),
                }
            }
            match call.send().await {
                Ok(answer) => {
                    sent += answer.successful().len();
                    for one in answer.failed() {
                        let because = one.message().unwrap_or_else(|| one.code());
                        tracing::warn!(
                            because,
                            "a ring was not taken by the queue; the next minute makes up for it"
                        );
                    }
                }
                Err(error) => {
                    let because = said(&error);
                    tracing::warn!(%because, "the queue cannot be used; the next minute makes up for it");
                }
            }
        }
        sent
    }
}

fn entry(number: usize, ring: &Ring, now: Moment) -> Result<SendMessageBatchRequestEntry, String> {
    let body = serde_json::to_string(ring).map_err(|error| error.to_string())?;
    // A moment that is not over yet: rounded up, or the ring would come before it.
    let delay = now.until(ring.due()).min(LONGEST_DELAY);
    let delay = delay.as_secs() + u64::from(delay.subsec_nanos() > 0);
    SendMessageBatchRequestEntry::builder()
        .id(number.to_string())
        .message_body(body)
        .delay_seconds(i32::try_from(delay.min(LONGEST_DELAY.as_secs())).unwrap_or(0))
        .build()
        .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_is_held_back_until_it_is_due_and_no_longer_than_the_queue_can() {
        let now = Moment::from_millis(1_000_500);
        for (due, delay) in [(1_000, 0), (1_001, 1), (1_031, 31), (5_000, 900)] {
            let entry = entry(0, &Ring::Recover { due }, now).unwrap();
            assert_eq!(entry.delay_seconds(), Some(delay), "due {due}");
            assert_eq!(entry.message_body(), format!(r#"{{"ring":"recover","due":{due}}}"#));
        }
    }
}
