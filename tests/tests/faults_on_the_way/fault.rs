//! What goes wrong on the way to a table and back.

use serde_json::{Value, json};

/// Longer than one try may take (2 s), so that the engine gives it up before it is carried out after all.
const TOO_LATE_MS: u64 = 2_300;
/// All tries of one call, and then nobody tries any more.
const ALL_TRIES: u64 = 3;
/// More than the tries of six calls: a table that throttles for a while.
const A_WHILE: u64 = 20;
/// More often than the engine itself tries again after a conflict.
const CONFLICTS: u64 = 6;

/// What is done to calls of one operation on the way to one table. The first rule that has not had its fill is applied.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Rule {
    /// They are counted.
    Count { operation: &'static str },
    /// After so many that are let through, this befalls them.
    Spoil { operation: &'static str, fault: Fault, after: u64 },
}

/// One kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// One call is throttled; its second try is not.
    ThrottledOnce,
    /// All calls are throttled for a while.
    ThrottledLong,
    /// The service fails for as long as one call is tried.
    ServerError,
    /// The connection ends before the request arrives, at each try of one call.
    Reset,
    /// The request is carried out and its answer lost; the second try is answered.
    AnswerLost,
    /// The request is carried out at each try, and every answer is lost.
    AnswersLost,
    /// The request is given up at each try, and carried out later all the same.
    TooLate,
    /// Another transaction is at the item, again and again.
    Conflict,
}

impl Fault {
    /// All of them.
    pub(crate) const ALL: [Fault; 8] = [
        Fault::ThrottledOnce,
        Fault::ThrottledLong,
        Fault::ServerError,
        Fault::Reset,
        Fault::AnswerLost,
        Fault::AnswersLost,
        Fault::TooLate,
        Fault::Conflict,
    ];

    /// True if DynamoDB answers so to this operation: only writes of items conflict with transactions.
    pub(crate) fn befalls(self, operation: &str) -> bool {
        let conflicts = ["PutItem", "UpdateItem", "DeleteItem", "TransactWriteItems"];
        self != Fault::Conflict || conflicts.contains(&operation)
    }

    /// What the proxy is told to do.
    pub(crate) fn as_told(self, operation: &str) -> Value {
        match self {
            Fault::ThrottledOnce => throttled(1),
            Fault::ThrottledLong => throttled(A_WHILE),
            Fault::ServerError => {
                json!({"times": ALL_TRIES, "error": {"code": "InternalServerError", "status": 500}})
            }
            Fault::Reset => json!({"times": ALL_TRIES, "reset": true}),
            Fault::AnswerLost => json!({"times": 1, "response": {"abort_bytes": 0}}),
            Fault::AnswersLost => json!({"times": ALL_TRIES, "response": {"abort_bytes": 0}}),
            Fault::TooLate => json!({"times": ALL_TRIES, "latency": TOO_LATE_MS}),
            Fault::Conflict if operation == "TransactWriteItems" => {
                let reasons = json!([{"Code": "TransactionConflict"}, {"Code": "None"}]);
                let error = json!({"code": "TransactionCanceledException", "fields": {"CancellationReasons": reasons}});
                json!({"times": CONFLICTS, "error": error})
            }
            Fault::Conflict => {
                json!({"times": CONFLICTS, "error": {"code": "TransactionConflictException"}})
            }
        }
    }
}

fn throttled(times: u64) -> Value {
    json!({"times": times, "error": {"code": "ProvisionedThroughputExceededException"}})
}
