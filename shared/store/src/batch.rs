//! Many items by one call: in parts, where the table is under load, and without any condition.

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
/// Tries of one batch.
const BATCH_TRIES: u32 = 10;

impl Store {
    /// The items of these keys that are there, in no order. At most [`GET_AT_ONCE`] keys, none twice.
    pub(crate) async fn get_many(&self, keys: &[Key], freshness: Freshness) -> Result<Vec<Item>, StoreError> {
        let mut found = Vec::with_capacity(keys.len());
        let mut waiting: Vec<Item> = keys.iter().map(Key::attributes).collect();
        for _ in 0..BATCH_TRIES {
            if waiting.is_empty() {
                return Ok(found);
            }
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
        }
        let because = "the table gave only a part of it".to_owned();
        Err(StoreError::Unavailable { operation: "BatchGetItem", because })
    }

    /// Puts at most [`PUT_AT_ONCE`] items.
    pub(crate) async fn put_batch(&self, items: Vec<Item>) -> Result<(), StoreError> {
        let mut waiting = Vec::with_capacity(items.len());
        for item in items {
            let put = PutRequest::builder().set_item(Some(item)).build();
            let put = put.map_err(|error| unbuilt("BatchWriteItem")(error.into()))?;
            waiting.push(WriteRequest::builder().put_request(put).build());
        }
        for _ in 0..BATCH_TRIES {
            let answer = self
                .client()
                .batch_write_item()
                .request_items(self.table(), waiting)
                .return_consumed_capacity(ReturnConsumedCapacity::Total)
                .send()
                .await
                .map_err(|error| failure("BatchWriteItem", &error))?;
            for capacity in answer.consumed_capacity() {
                self.charge(Side::Write, Some(capacity));
            }
            waiting = answer.unprocessed_items.unwrap_or_default().remove(self.table()).unwrap_or_default();
            if waiting.is_empty() {
                return Ok(());
            }
        }
        let because = "the table took only a part of it".to_owned();
        Err(StoreError::Unavailable { operation: "BatchWriteItem", because })
    }
}
