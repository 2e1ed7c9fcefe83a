//! The calls the store makes, each charged to its verb and sorted by what came back.

use std::collections::HashMap;

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{
    AttributeValue, ConditionCheck, ConsumedCapacity, Delete, Put, ReturnConsumedCapacity, ReturnValue,
    ReturnValuesOnConditionCheckFailure as OnFailure, TransactWriteItem, Update,
};

use crate::condition::Wording;
use crate::error::{failure, unbuilt};
use crate::item::{COMMIT, Item, Key, PK, SK, string, text};
use crate::ledger::Side;
use crate::{Store, StoreError};

/// How fresh a read must be. A fresh one costs twice as much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Freshness {
    /// It sees every write acknowledged before.
    Consistent,
    /// It may be a moment old.
    Eventual,
}

/// What became of a single conditional write.
#[derive(Debug)]
pub(crate) enum Written {
    /// It took place; the item as it is now, where the operation tells.
    Done(Item),
    /// Its condition did not hold; the item as it is, empty if there is none.
    Refused(Item),
    /// Another transaction was at the item.
    Conflict,
}

/// What became of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transacted {
    /// All of it took place.
    Done,
    /// A condition did not hold: nothing took place.
    Refused,
    /// Another transaction was at one of the items: nothing took place.
    Conflict,
}

/// One part of a transaction.
#[derive(Debug)]
pub(crate) enum Part {
    /// The item is to be this.
    Put(Item, Wording),
    /// The item is to be changed.
    Update(Key, Wording),
    /// The item is to go.
    Delete(Key, Wording),
    /// The item must be as the condition says.
    Check(Key, Wording),
}

impl Part {
    /// The item it is about.
    pub(crate) fn key(&self) -> Key {
        match self {
            Part::Put(item, _) => {
                Key::new(string(item, PK).unwrap_or_default(), string(item, SK).unwrap_or_default())
            }
            Part::Update(key, _) | Part::Delete(key, _) | Part::Check(key, _) => key.clone(),
        }
    }
}

/// One page of a partition.
pub(crate) struct QueryPage {
    pub(crate) items: Vec<Item>,
    /// The sort key to go on after; none at the end.
    pub(crate) after: Option<String>,
}

/// Where in a partition a query begins, and which way it goes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Direction<'a> {
    /// Upwards, from the first key that begins with this.
    Prefix(&'a str),
    /// Upwards, after this key.
    After(&'a str),
    /// Downwards, before this key, or from the end.
    Before(Option<&'a str>),
}

impl Store {
    pub(crate) async fn get(&self, key: &Key, freshness: Freshness) -> Result<Option<Item>, StoreError> {
        let answer = self
            .client()
            .get_item()
            .table_name(self.table())
            .set_key(Some(key.attributes()))
            .consistent_read(freshness == Freshness::Consistent)
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .send()
            .await
            .map_err(|error| failure("GetItem", &error))?;
        self.charge(Side::Read, answer.consumed_capacity());
        Ok(answer.item)
    }

    pub(crate) async fn query(
        &self,
        partition: &str,
        direction: Direction<'_>,
        limit: Option<i32>,
        freshness: Freshness,
    ) -> Result<QueryPage, StoreError> {
        let mut call = self
            .client()
            .query()
            .table_name(self.table())
            .expression_attribute_names("#pk", PK)
            .expression_attribute_values(":pk", text(partition))
            .consistent_read(freshness == Freshness::Consistent)
            .set_limit(limit)
            .return_consumed_capacity(ReturnConsumedCapacity::Total);
        let (clause, bound, forward) = match direction {
            Direction::Prefix("") => ("", None, true),
            Direction::Prefix(prefix) => (" AND begins_with(#sk, :sk)", Some(prefix), true),
            Direction::After(after) => (" AND #sk > :sk", Some(after), true),
            Direction::Before(Some(before)) => (" AND #sk < :sk", Some(before), false),
            Direction::Before(None) => ("", None, false),
        };
        if let Some(bound) = bound {
            call = call.expression_attribute_names("#sk", SK).expression_attribute_values(":sk", text(bound));
        }
        let answer = call
            .key_condition_expression(format!("#pk = :pk{clause}"))
            .scan_index_forward(forward)
            .send()
            .await
            .map_err(|error| failure("Query", &error))?;
        self.charge(Side::Read, answer.consumed_capacity());
        let after = answer.last_evaluated_key.as_ref().and_then(|key| string(key, SK)).map(str::to_owned);
        Ok(QueryPage { items: answer.items.unwrap_or_default(), after })
    }

    /// Every item of a partition, at most `most_pages` pages of a megabyte.
    pub(crate) async fn query_all(
        &self,
        partition: &str,
        freshness: Freshness,
        most_pages: usize,
    ) -> Result<Vec<Item>, StoreError> {
        let mut items = Vec::new();
        let mut after: Option<String> = None;
        for _ in 0..most_pages {
            let direction = after.as_deref().map_or(Direction::Prefix(""), Direction::After);
            let page = self.query(partition, direction, None, freshness).await?;
            items.extend(page.items);
            after = page.after;
            if after.is_none() {
                return Ok(items);
            }
        }
        let because = format!("the partition `{partition}` is larger than {most_pages} pages");
        Err(StoreError::Refused { operation: "Query", because })
    }

    pub(crate) async fn update(&self, key: &Key, wording: Wording) -> Result<Written, StoreError> {
        let sent = self
            .client()
            .update_item()
            .table_name(self.table())
            .set_key(Some(key.attributes()))
            .set_update_expression(wording.update.clone())
            .set_condition_expression(wording.condition.clone())
            .set_expression_attribute_names(wording.names())
            .set_expression_attribute_values(wording.values())
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(OnFailure::AllOld)
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .send()
            .await;
        match sent {
            Ok(answer) => {
                self.charge(Side::Write, answer.consumed_capacity());
                Ok(Written::Done(answer.attributes.unwrap_or_default()))
            }
            Err(error) => self.refused_write("UpdateItem", &error, |error| {
                let UpdateItemError::ConditionalCheckFailedException(refusal) = error else { return None };
                Some(refusal.item().cloned())
            }),
        }
    }

    pub(crate) async fn put(&self, item: Item, wording: Wording) -> Result<Written, StoreError> {
        let sent = self
            .client()
            .put_item()
            .table_name(self.table())
            .set_item(Some(item))
            .set_condition_expression(wording.condition.clone())
            .set_expression_attribute_names(wording.names())
            .set_expression_attribute_values(wording.values())
            .return_values_on_condition_check_failure(OnFailure::AllOld)
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .send()
            .await;
        match sent {
            Ok(answer) => {
                self.charge(Side::Write, answer.consumed_capacity());
                Ok(Written::Done(Item::new()))
            }
            Err(error) => self.refused_write("PutItem", &error, |error| {
                let PutItemError::ConditionalCheckFailedException(refusal) = error else { return None };
                Some(refusal.item().cloned())
            }),
        }
    }

    pub(crate) async fn delete(&self, key: &Key) -> Result<(), StoreError> {
        let answer = self
            .client()
            .delete_item()
            .table_name(self.table())
            .set_key(Some(key.attributes()))
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .send()
            .await
            .map_err(|error| failure("DeleteItem", &error))?;
        self.charge(Side::Write, answer.consumed_capacity());
        Ok(())
    }

    /// Does all of it or nothing. `commit` marks the attempt: a refusal that shows our own mark on one of the items is a
    /// success whose answer was lost on the way.
    pub(crate) async fn transact(&self, commit: &str, parts: Vec<Part>) -> Result<Transacted, StoreError> {
        let parts: Vec<TransactWriteItem> = parts
            .into_iter()
            .filter_map(|part| self.write_item(part).transpose())
            .collect::<Result<_, _>>()?;
        let weight = parts.len();
        let sent = self
            .client()
            .transact_write_items()
            .client_request_token(commit)
            .set_transact_items(Some(parts))
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .send()
            .await;
        match sent {
            Ok(answer) => {
                for capacity in answer.consumed_capacity() {
                    self.charge(Side::Write, Some(capacity));
                }
                Ok(Transacted::Done)
            }
            Err(error) => self.cancelled(commit, weight, &error),
        }
    }

    fn cancelled(
        &self,
        commit: &str,
        weight: usize,
        error: &SdkError<TransactWriteItemsError>,
    ) -> Result<Transacted, StoreError> {
        let Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) = error.as_service_error()
        else {
            return Err(failure("TransactWriteItems", error));
        };
        self.charge_refused(weight * 2);
        let reasons = cancelled.cancellation_reasons();
        let codes: Vec<&str> = reasons
            .iter()
            .map(|reason| reason.code().unwrap_or("None"))
            .filter(|code| *code != "None")
            .collect();
        let ours = reasons
            .iter()
            .filter_map(|reason| reason.item())
            .any(|item| string(item, COMMIT) == Some(commit));
        let operation = "TransactWriteItems";
        if ours {
            return Ok(Transacted::Done);
        }
        if codes.contains(&"ConditionalCheckFailed") {
            return Ok(Transacted::Refused);
        }
        if codes.contains(&"TransactionConflict") {
            return Ok(Transacted::Conflict);
        }
        let because = codes.join(", ");
        if codes.iter().any(|code| matches!(*code, "ThrottlingError" | "ProvisionedThroughputExceeded")) {
            return Err(StoreError::Unavailable { operation, because });
        }
        let messages: Vec<&str> = reasons.iter().filter_map(|reason| reason.message()).collect();
        Err(StoreError::Refused { operation, because: format!("{because}: {}", messages.join("; ")) })
    }

    fn write_item(&self, part: Part) -> Result<Option<TransactWriteItem>, StoreError> {
        let wrong = unbuilt("TransactWriteItems");
        let wrong = |error: aws_sdk_dynamodb::error::BuildError| wrong(error.into());
        let one = TransactWriteItem::builder();
        let one = match part {
            Part::Put(item, wording) => one.put(
                Put::builder()
                    .table_name(self.table())
                    .set_item(Some(item))
                    .set_condition_expression(wording.condition.clone())
                    .set_expression_attribute_names(wording.names())
                    .set_expression_attribute_values(wording.values())
                    .return_values_on_condition_check_failure(OnFailure::AllOld)
                    .build()
                    .map_err(wrong)?,
            ),
            Part::Update(key, wording) => one.update(
                Update::builder()
                    .table_name(self.table())
                    .set_key(Some(key.attributes()))
                    .set_update_expression(wording.update.clone())
                    .set_condition_expression(wording.condition.clone())
                    .set_expression_attribute_names(wording.names())
                    .set_expression_attribute_values(wording.values())
                    .return_values_on_condition_check_failure(OnFailure::AllOld)
                    .build()
                    .map_err(wrong)?,
            ),
            Part::Delete(key, wording) => one.delete(
                Delete::builder()
                    .table_name(self.table())
                    .set_key(Some(key.attributes()))
                    .set_condition_expression(wording.condition.clone())
                    .set_expression_attribute_names(wording.names())
                    .set_expression_attribute_values(wording.values())
                    .return_values_on_condition_check_failure(OnFailure::AllOld)
                    .build()
                    .map_err(wrong)?,
            ),
            // A check whose only condition a test has left out checks nothing, and may not be sent.
            Part::Check(_, Wording { condition: None, .. }) => return Ok(None),
            Part::Check(key, wording) => one.condition_check(
                ConditionCheck::builder()
                    .table_name(self.table())
                    .set_key(Some(key.attributes()))
                    .set_condition_expression(wording.condition.clone())
                    .set_expression_attribute_names(wording.names())
                    .set_expression_attribute_values(wording.values())
                    .return_values_on_condition_check_failure(OnFailure::AllOld)
                    .build()
                    .map_err(wrong)?,
            ),
        };
        Ok(Some(one.build()))
    }

    /// Sorts a single write that was not done.
    fn refused_write<E>(
        &self,
        operation: &'static str,
        error: &SdkError<E>,
        refusal: impl Fn(&E) -> Option<Option<HashMap<String, AttributeValue>>>,
    ) -> Result<Written, StoreError>
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        if let Some(service) = error.as_service_error() {
            if let Some(old) = refusal(service) {
                self.charge_refused(1);
                return Ok(Written::Refused(old.unwrap_or_default()));
            }
            if service.code() == Some("TransactionConflictException") {
                self.charge_refused(1);
                return Ok(Written::Conflict);
            }
        }
        Err(failure(operation, error))
    }

    pub(crate) fn charge(&self, side: Side, capacity: Option<&ConsumedCapacity>) {
        let units = capacity.and_then(ConsumedCapacity::capacity_units).unwrap_or(0.0);
        self.ledger().charge(self.verb(), side, units);
    }

    fn charge_refused(&self, least_units: usize) {
        let least_units = u32::try_from(least_units).unwrap_or(u32::MAX);
        self.ledger().charge(self.verb(), Side::Write, f64::from(least_units));
    }
}
