//! Many items by one call: in parts, where the table is under load, and without any condition.

use std::time::Duration;

use aws_sdk_dynamodb::types::{KeysAndAttributes, PutRequest, ReturnConsumedCapacity, WriteRequest};

use crate::error::{failure, unbuilt};
use crate::item::{Item, Key};
use crate::ledger::Side;
use crate::wire::Freshness;
use crate::{Store, StoreError};

/// Most items put by one call, the table's own limit.
pub(crate) const PUT_AT_ONCE: usize = 25;
/// Most items got by one call, the table's own limit.
pub(crate) const GET_AT_ONCE: usize = 100;
/// Most bytes of JSON that are gathered for one call. With one line more, of a megabyte at most, it is well below the
/// table's own limit of 16 MB.
pub(crate) const PUT_BYTES_AT_ONCE: usize = 8 * 1_024 * 1_024;
/// Tries to get one batch: with their pauses below two seconds, since it is a part of somebody's request.
const GET_TRIES: u32 = 6;
/// Tries to put one batch: with their pauses about a minute, since an import may take its time, and is of no use by half.
const PUT_TRIES: u32 = 20;
/// The pause before the second try: a table that has just had no room for an item has none at once.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// The longest pause. Each is twice the one before.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

impl Store {
    /// The items of these keys that are there, in no order. At most [`GET_AT_ONCE`] keys, none twice.
    pub(crate) async fn get_many(&self, keys: &[Key], freshness: Freshness) -> Result<Vec<Item>, StoreError> {
        let mut found = Vec::with_capacity(keys.len());
        if keys.is_empty() {
            return Ok(found);
        }
        let mut waiting: Vec<Item> = keys.iter().map(Key::attributes).collect();
        for tried in 1..=GET_TRIES {
            let wanted = KeysAndAttributes::builder()
                .set_keys(Some(std::mem::take(&mut waiting)))
                .consistent_read(freshness == Freshness::Consistent)
                .build()
                .map_err(|error| unbuilt("BatchGetItem")(error.into()))?;
            let answer = self
                .client()
                .batch_get_item()
                .request_items(self.table(), wanted)
                .return_consumed_capacity(ReturnConsumedCapacity::Total)
                .send()
                .await
                .map_err(|error| failure("BatchGetItem", &error))?;
            for capacity in answer.consumed_capacity() {
                self.charge(Side::Read, Some(capacity));
            }
            found.extend(answer.responses.unwrap_or_default().remove(self.table()).unwrap_or_default());
            let left = answer.unprocessed_keys.unwrap_or_default().remove(self.table());
            waiting = left.map(|left| left.keys).unwrap_or_default();
            if waiting.is_empty() {
                return Ok(found);
            }
            tokio::time::sleep(pause(tried)).await;
        }
        let because = "the table gave only a part of it".to_owned();
        Err(StoreError::Unavailable { operation: "BatchGetItem", because })
    }

    /// Puts at most [`PUT_AT_ONCE`] items, and waits for a table that is throttling: without a condition, doing so again
    /// does no harm.
    pub(crate) async fn put_batch(&self, items: Vec<Item>) -> Result<(), StoreError> {
        let mut waiting = Vec::with_capacity(items.len());
        for item in items {
            let put = PutRequest::builder().set_item(Some(item)).build();
            let put = put.map_err(|error| unbuilt("BatchWriteItem")(error.into()))?;
            waiting.push(WriteRequest::builder().put_request(put).build());
        }
        let mut last = None;
        for tried in 1..=PUT_TRIES {
            match self.put_once(&waiting).await {
                Ok(left) if left.is_empty() => return Ok(()),
                Ok(left) => waiting = left,
                Err(error @ StoreError::Unavailable { .. }) => last = Some(error),
                Err(error) => return Err(error),
            }
            tokio::time::sleep(pause(tried)).await;
        }
        let because = "the table took only a part of it".to_owned();
        Err(last.unwrap_or(StoreError::Unavailable { operation: "BatchWriteItem", because }))
    }

    /// Asks once; what the table had no room for comes back.
    async fn put_once(&self, waiting: &[WriteRequest]) -> Result<Vec<WriteRequest>, StoreError> {
        let answer = self
            .client()
            .batch_write_item()
            .request_items(self.table(), waiting.to_vec())
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .send()
            .await
            .map_err(|error| failure("BatchWriteItem", &error))?;
        for capacity in answer.consumed_capacity() {
            self.charge(Side::Write, Some(capacity));
        }
        Ok(answer.unprocessed_items.unwrap_or_default().remove(self.table()).unwrap_or_default())
    }
}

/// How long to wait after so many tries: between the half and the whole of the pause, so that two who were turned away
/// together do not come back together.
fn pause(tried: u32) -> Duration {
    let doubled = 2_u32.saturating_pow(tried.saturating_sub(1));
    let whole = FIRST_PAUSE.saturating_mul(doubled).min(LONGEST_PAUSE);
    whole.mul_f64(0.5 + rand::random::<f64>() / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_an_import_is_given_up_after_a_minute_or_so() {
        assert!((25..=50).contains(&pause(1).as_millis()) && pause(3) >= 2 * FIRST_PAUSE);
        let total = |tries| (1..=tries).map(pause).sum::<Duration>();
        assert!(total(GET_TRIES) < Duration::from_secs(4), "{:?}", total(GET_TRIES));
        let import = total(PUT_TRIES);
        assert!((30..=90).contains(&import.as_secs()), "{import:?}");
    }
}
