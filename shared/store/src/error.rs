//! What can go wrong, told apart by what the caller does next.

use aws_sdk_dynamodb::error::{BoxError, ProvideErrorMetadata, SdkError};
use lamplighter_core::causes::in_one_line;

/// A call to the table that did not give an answer to act upon.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The table did not answer, or is throttling, or the answer was lost: whether a write took place is not known.
    /// No lifecycle command may follow; look again later.
    #[error("the store is unavailable ({operation}: {because})")]
    Unavailable {
        /// What was asked of it.
        operation: &'static str,
        /// What came back instead of an answer.
        because: String,
    },
    /// The disk under the data file is full. Nothing acknowledged is lost; writes go on when there is room.
    #[error("the disk under the data file is full; nothing acknowledged is lost, make room and it goes on")]
    Full,
    /// The table refused the request for good: rights, a missing table, a malformed or oversized request.
    #[error("the table refused `{operation}`: {because}")]
    Refused {
        /// What was asked of it.
        operation: &'static str,
        /// What it answered.
        because: String,
    },
    /// An item cannot be read or written as what it should be.
    #[error("the item `{key}` is not readable: {because}")]
    BadItem {
        /// Its key.
        key: String,
        /// What is wrong with it.
        because: String,
    },
    /// A newer program has raised the table's schema since this one opened it: what it would not understand, it must not
    /// act upon.
    #[error(
        "the table has schema {theirs} by now, and this program knows schema {ours}; use a newer Lamplighter"
    )]
    NewerSchema {
        /// The table's schema.
        theirs: u64,
        /// The newest schema known here.
        ours: u64,
    },
    /// Every shard is full.
    #[error("the env is full: {limit} services in one env are the most; use another env")]
    EnvFull {
        /// The most services an env can have.
        limit: u32,
    },
}

impl StoreError {
    /// True if the same request may succeed later without anybody's doing.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        match self {
            StoreError::Unavailable { .. } | StoreError::Full => true,
            StoreError::Refused { .. }
            | StoreError::BadItem { .. }
            | StoreError::NewerSchema { .. }
            | StoreError::EnvFull { .. } => false,
        }
    }
}

/// A table that must not be used: nothing was written to it.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There is no such table.
    #[error("there is no table `{table}`; deploy the stack first, or name another table")]
    NoTable {
        /// Its name.
        table: String,
    },
    /// The table, or the file, was made by something else.
    #[error("`{place}` was not made by Lamplighter ({because}); name another file or table")]
    NotOurs {
        /// The file or table.
        place: String,
        /// How that was seen.
        because: String,
    },
    /// Nobody has made it ours yet.
    #[error("`{place}` has no items yet; the first request to the API begins it")]
    Empty {
        /// The table.
        place: String,
    },
    /// It belongs to another env.
    #[error("`{place}` belongs to the env `{theirs}`, not `{ours}`; every env has a table of its own")]
    OtherEnv {
        /// The file or table.
        place: String,
        /// The env it belongs to.
        theirs: String,
        /// The env that was to be opened.
        ours: String,
    },
    /// A newer Lamplighter has written it.
    #[error("`{place}` has schema {theirs}, and this program knows schema {ours}; use a newer Lamplighter")]
    NewerSchema {
        /// The file or table.
        place: String,
        /// Its schema.
        theirs: u64,
        /// The newest schema known here.
        ours: u64,
    },
    /// An import into it was begun and never finished.
    #[error("an import into `{place}` was not finished; import the same file once more")]
    HalfImported {
        /// The file or table.
        place: String,
    },
    /// Another process has the file.
    #[error("`{place}` is in use by another process; stop that one, or use another data directory")]
    InUse {
        /// The file.
        place: String,
    },
    /// The file cannot be opened or created.
    #[error("`{place}` cannot be opened")]
    File {
        /// The file.
        place: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The table could not be asked.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The codes with which a table says "not now".
const PASSING_CODES: &[&str] = &[
    "InternalServerError",
    "LimitExceededException",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "ServiceUnavailable",
    "ThrottlingError",
    "ThrottlingException",
    "TransactionConflictException",
    "TransactionInProgressException",
];

/// SQLite's words for a full disk, as the embedded engine passes them on.
const FULL_WORDS: &str = "disk is full";

/// Sorts a failed call: not now, full, or never.
pub(crate) fn failure<E>(operation: &'static str, error: &SdkError<E>) -> StoreError
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let SdkError::ServiceError(context) = error else {
        // Whatever broke before an answer could be read leaves open whether the write took place.
        return StoreError::Unavailable { operation, because: in_one_line(error) };
    };
    let (code, message) =
        (context.err().code().unwrap_or("no code"), context.err().message().unwrap_or_default());
    if message.contains(FULL_WORDS) {
        return StoreError::Full;
    }
    let because = format!("{code}: {message}");
    match PASSING_CODES.contains(&code) || context.raw().status().as_u16() >= 500 {
        true => StoreError::Unavailable { operation, because },
        false => StoreError::Refused { operation, because },
    }
}

/// A request that could not even be put together: a mistake of this crate's, never of its input's.
pub(crate) fn unbuilt(operation: &'static str) -> impl Fn(BoxError) -> StoreError {
    move |error| StoreError::Refused { operation, because: error.to_string() }
}
