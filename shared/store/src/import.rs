//! The way back in: an export, checked as a whole, and then put into a table item by item.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};

use aws_sdk_dynamodb::types::AttributeValue;
use lamplighter_core::Moment;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::batch::{PUT_AT_ONCE, PUT_BYTES_AT_ONCE};
use crate::condition::{Condition, Wording};
use crate::error::failure;
use crate::export::{EXPORT_FORMAT, Exported, Header, hexadecimal};
use crate::item::{Item, Key, PK, SK, millis, string, text};
use crate::lease::conflict;
use crate::open::SCHEMA;
use crate::wire::{Freshness, Written};
use crate::{ExportError, Store, StoreError};

/// Longest line: an item of the table is at most 400 KiB, and JSON may double it.
const LINE_BYTES_MAX: u64 = 1_024 * 1_024;

impl Store {
    /// Puts every item of an export into this table, which must have none but those of the same import that broke off
    /// half-way. Leases are not carried over; action numbers are. The file is checked as a whole first.
    ///
    /// # Errors
    /// If the file is damaged, another env's or of a newer schema, or the table is not empty: nothing is written then.
    /// If the table stops answering half-way, it refuses to be opened for work until the same file has been imported
    /// once more, into what is opened for [`Purpose::Import`](crate::Purpose).
    pub async fn import<R: Read + Seek + Send>(
        &self,
        from: &mut R,
        now: Moment,
    ) -> Result<Exported, ExportError> {
        from.seek(SeekFrom::Start(0))?;
        let promised = self.check_export(from)?;
        let mark = self.begin_import(&promised, now).await?;

        from.seek(SeekFrom::Start(0))?;
        let mut lines = Lines::new(from);
        let (mut batch, mut bytes) = (Vec::with_capacity(PUT_AT_ONCE), 0);
        lines.next()?;
        for _ in 0..promised.items {
            let Some(line) = lines.next()? else { break };
            let item = read_item(&line, lines.number)?;
            if Key::new(string(&item, PK).unwrap_or_default(), string(&item, SK).unwrap_or_default())
                != Key::schema()
            {
                batch.push(without_lease(item));
                bytes += line.len();
            }
            if batch.len() == PUT_AT_ONCE || bytes >= PUT_BYTES_AT_ONCE {
                self.put_imported(&mark, std::mem::take(&mut batch)).await?;
                bytes = 0;
            }
        }
        self.put_imported(&mark, batch).await?;
        self.end_import().await?;
        Ok(promised)
    }

    /// Marks the table, so that nobody opens it until all of the import is there. Says what the mark is signed with.
    async fn begin_import(&self, promised: &Exported, now: Moment) -> Result<String, ExportError> {
        let begun = self.get(&Key::importing(), Freshness::Consistent).await?;
        let as_seen = Wording::new();
        let as_seen = match begun.as_ref().map(|begun| (string(begun, "sha256"), string(begun, "by"))) {
            // It broke off: every item is put once more, which changes nothing about those that had arrived.
            Some((Some(file), Some(by))) if file == promised.sha256 => {
                as_seen.when(self, Condition::ImportIsOurs, "#by = :seen", [(":seen", text(by))])
            }
            Some(_) => return Err(ExportError::OtherBegun),
            None if self.is_empty().await? => {
                as_seen.when(self, Condition::ImportIsOurs, "attribute_not_exists(#pk)", [])
            }
            None => return Err(ExportError::NotEmpty),
        };
        let mark = self.mark();
        let mut marker = Key::importing().attributes();
        marker.insert("started_at".to_owned(), millis(now));
        marker.insert("sha256".to_owned(), text(&promised.sha256));
        marker.insert("by".to_owned(), text(&mark));
        match self.put(marker, as_seen).await? {
            Written::Done(_) => Ok(mark),
            // Ours already, by a try whose answer was lost.
            Written::Refused(theirs) if string(&theirs, "by") == Some(&mark) => Ok(mark),
            Written::Refused(_) => Err(ExportError::Overtaken),
            Written::Conflict => Err(conflict("beginning the import").into()),
        }
    }

    /// Puts some items, if the mark is still ours: a batch knows no conditions.
    async fn put_imported(&self, mark: &str, batch: Vec<Item>) -> Result<(), ExportError> {
        if batch.is_empty() {
            return Ok(());
        }
        let marked = self.get(&Key::importing(), Freshness::Consistent).await?;
        if marked.as_ref().and_then(|marked| string(marked, "by")) != Some(mark) {
            return Err(ExportError::Overtaken);
        }
        Ok(self.put_batch(batch).await?)
    }

    /// Takes the mark away: all of it is there. An answer that was lost is made up for by a look.
    async fn end_import(&self) -> Result<(), ExportError> {
        let Err(error) = self.delete(&Key::importing()).await else { return Ok(()) };
        match self.get(&Key::importing(), Freshness::Consistent).await {
            Ok(None) => Ok(()),
            Ok(Some(_)) | Err(_) => Err(error.into()),
        }
    }

    /// Reads the whole file once: header, every line an item, the checksum of the trailer.
    fn check_export<R: Read>(&self, from: &mut R) -> Result<Exported, ExportError> {
        let mut lines = Lines::new(from);
        let bad = |line: u64, because: &str| ExportError::BadFile { line, because: because.to_owned() };
        let first = lines.next()?.ok_or_else(|| bad(1, "the file is empty"))?;
        let header: Header = serde_json::from_str(&first).map_err(|_| bad(1, "it is not a header"))?;
        if header.format != EXPORT_FORMAT || header.schema > SCHEMA {
            return Err(bad(1, "it is of a format or schema this program does not know"));
        }
        if header.env != self.env().as_str() {
            return Err(ExportError::OtherEnv { theirs: header.env, ours: self.env().to_string() });
        }
        let mut sum = Sha256::new();
        sum.update(first.as_bytes());
        let mut items = 0;
        loop {
            let line = lines.next()?.ok_or_else(|| bad(lines.number, "the file ends before its trailer"))?;
            if let Ok(trailer) = serde_json::from_str::<Exported>(&line) {
                if trailer.items != items || trailer.sha256 != hexadecimal(&sum.finalize()) {
                    return Err(bad(lines.number, "the checksum does not match, the file is damaged"));
                }
                return match lines.next()? {
                    Some(_) => Err(bad(lines.number, "there is something after the trailer")),
                    None => Ok(trailer),
                };
            }
            read_item(&line, lines.number)?;
            sum.update(line.as_bytes());
            items += 1;
        }
    }

    /// True if the table has nothing but its schema.
    async fn is_empty(&self) -> Result<bool, StoreError> {
        let answer = self
            .client()
            .scan()
            .table_name(self.table())
            .limit(2)
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| failure("Scan", &error))?;
        let schema = Key::schema();
        Ok(answer
            .items()
            .iter()
            .all(|item| string(item, PK) == Some(&schema.pk) && string(item, SK) == Some(&schema.sk)))
    }
}

/// A lease belongs to a process, and that one is elsewhere. Its epoch and tick go with the item.
fn without_lease(mut item: Item) -> Item {
    if matches!(string(&item, PK), Some("SHARDS" | "LEASES")) {
        item.remove("owner");
        item.remove("lease_until");
    }
    item
}

/// Lines with their ends, each within the limit.
struct Lines<'a, R> {
    from: BufReader<&'a mut R>,
    number: u64,
}

impl<'a, R: Read> Lines<'a, R> {
    fn new(from: &'a mut R) -> Self {
        Self { from: BufReader::new(from), number: 0 }
    }

    fn next(&mut self) -> Result<Option<String>, ExportError> {
        let mut line = String::new();
        self.number += 1;
        (&mut self.from).take(LINE_BYTES_MAX).read_line(&mut line)?;
        match line.ends_with('\n') {
            true => Ok(Some(line)),
            false if line.is_empty() => Ok(None),
            false => {
                let because = "it is too long, or the file is cut off".to_owned();
                Err(ExportError::BadFile { line: self.number, because })
            }
        }
    }
}

fn read_item(line: &str, number: u64) -> Result<Item, ExportError> {
    let bad = |because: &str| ExportError::BadFile { line: number, because: because.to_owned() };
    let Ok(Value::Object(fields)) = serde_json::from_str(line) else { return Err(bad("it is not an item")) };
    let item: Option<Item> =
        fields.into_iter().map(|(name, value)| Some((name, attribute(value)?))).collect();
    item.filter(|item| string(item, PK).is_some() && string(item, SK).is_some())
        .ok_or_else(|| bad("it is not an item"))
}

fn attribute(value: Value) -> Option<AttributeValue> {
    let Value::Object(fields) = value else { return None };
    let (kind, value) = fields.into_iter().next()?;
    Some(match (kind.as_str(), value) {
        ("S", Value::String(text)) => AttributeValue::S(text),
        ("N", Value::String(digits)) => AttributeValue::N(digits),
        ("BOOL", Value::Bool(is)) => AttributeValue::Bool(is),
        ("NULL", Value::Bool(is)) => AttributeValue::Null(is),
        ("L", Value::Array(list)) => {
            AttributeValue::L(list.into_iter().map(attribute).collect::<Option<_>>()?)
        }
        ("M", Value::Object(map)) => {
            let map: Option<HashMap<_, _>> =
                map.into_iter().map(|(name, value)| Some((name, attribute(value)?))).collect();
            AttributeValue::M(map?)
        }
        _ => return None,
    })
}
