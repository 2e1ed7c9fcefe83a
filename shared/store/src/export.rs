//! The way out: every item as a line of JSON, between a header and a checksum. The way back in is `import.rs`.

use std::io::Write;

use aws_sdk_dynamodb::types::{AttributeValue, ReturnConsumedCapacity};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::error::failure;
use crate::item::{Item, PK, string};
use crate::ledger::Side;
use crate::open::SCHEMA;
use crate::plans::PLAN_PREFIX;
use crate::{Store, StoreError};

/// What the header calls the format.
pub const EXPORT_FORMAT: &str = "lamplighter-export-1";

/// What was written, or read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exported {
    /// Items.
    pub items: u64,
    /// SHA-256 of every line before the trailer, line ends included, in hexadecimal.
    pub sha256: String,
}

/// The first line.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Header {
    pub(crate) format: String,
    pub(crate) schema: u64,
    pub(crate) env: String,
}

/// An export or import that did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The table could not be asked, or would not take it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The file could not be read or written.
    #[error("the export file cannot be read or written")]
    File(#[from] std::io::Error),
    /// The file is not a whole export: nothing was imported.
    #[error("line {line} of the export: {because}; nothing was imported")]
    BadFile {
        /// The line at fault.
        line: u64,
        /// What is wrong with it.
        because: String,
    },
    /// The export is another env's: nothing was imported.
    #[error("the export is of the env `{theirs}`, not `{ours}`; nothing was imported")]
    OtherEnv {
        /// The env it is of.
        theirs: String,
        /// The env of the table.
        ours: String,
    },
    /// The table has items: nothing was imported.
    #[error("the table is not empty; import into a new one, before anything has worked with it")]
    NotEmpty,
    /// An import of another file broke off half-way: nothing was imported.
    #[error(
        "an import of another file was begun here and not finished; import that file once more, or delete the table"
    )]
    OtherBegun,
    /// Another import into the table was begun after this one, which stopped.
    #[error("another import into this table has been begun meanwhile; this one has stopped")]
    Overtaken,
}

impl Store {
    /// Writes every item but plans to `to`. Writes made meanwhile may be in it or not: stop the sweeps for an exact copy.
    ///
    /// # Errors
    /// If the table does not answer, or `to` takes no more.
    pub async fn export(&self, to: &mut (dyn Write + Send)) -> Result<Exported, ExportError> {
        let mut sum = Sha256::new();
        let header = Header { format: EXPORT_FORMAT.to_owned(), schema: SCHEMA, env: self.env().to_string() };
        write_line(to, &mut sum, &json!(header))?;
        let (mut items, mut after) = (0, None);
        loop {
            let answer = self
                .client()
                .scan()
                .table_name(self.table())
                .set_exclusive_start_key(after)
                .consistent_read(true)
                .return_consumed_capacity(ReturnConsumedCapacity::Total)
                .send()
                .await
                .map_err(|error| failure("Scan", &error))?;
            self.charge(Side::Read, answer.consumed_capacity());
            for item in answer.items().iter().filter(|item| is_carried(item)) {
                write_line(to, &mut sum, &Value::Object(item_json(item)?))?;
                items += 1;
            }
            after = answer.last_evaluated_key;
            if after.is_none() {
                break;
            }
        }
        let exported = Exported { items, sha256: hexadecimal(&sum.finalize()) };
        writeln!(to, "{}", json!(exported))?;
        to.flush()?;
        Ok(exported)
    }
}

/// A plan is a day's: it is made again sooner than it is carried.
fn is_carried(item: &Item) -> bool {
    !string(item, PK).is_some_and(|pk| pk.starts_with(PLAN_PREFIX))
}

fn write_line(to: &mut (dyn Write + Send), sum: &mut Sha256, line: &Value) -> Result<(), ExportError> {
    let line = format!("{line}\n");
    sum.update(line.as_bytes());
    Ok(to.write_all(line.as_bytes())?)
}

pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The JSON DynamoDB itself speaks: `{"S": "text"}`. Numbers stay text, so that none loses a digit.
fn item_json(item: &Item) -> Result<Map<String, Value>, StoreError> {
    let mut names: Vec<&String> = item.keys().collect();
    names.sort();
    names.into_iter().map(|name| Ok((name.clone(), attribute_json(&item[name])?))).collect()
}

fn attribute_json(attribute: &AttributeValue) -> Result<Value, StoreError> {
    let foreign = || StoreError::BadItem {
        key: "export".to_owned(),
        because: "an attribute of a kind this program never writes".to_owned(),
    };
    if let AttributeValue::S(text) = attribute {
        return Ok(json!({ "S": text }));
    }
    if let AttributeValue::N(digits) = attribute {
        return Ok(json!({ "N": digits }));
    }
    if let AttributeValue::Bool(is) = attribute {
        return Ok(json!({ "BOOL": is }));
    }
    if let AttributeValue::Null(is) = attribute {
        return Ok(json!({ "NULL": is }));
    }
    if let AttributeValue::L(list) = attribute {
        let list: Vec<Value> = list.iter().map(attribute_json).collect::<Result<_, _>>()?;
        return Ok(json!({ "L": list }));
    }
    if let AttributeValue::M(map) = attribute {
        return Ok(json!({ "M": item_json(map)? }));
    }
    Err(foreign())
}
