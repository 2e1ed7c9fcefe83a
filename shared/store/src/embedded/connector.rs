//! Hands the SDK's requests to the engine instead of a network, and its answers back.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use dynoxide::{Database, DynoxideError};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::intercept::{Call, Injected, Intercept};

/// Where the engine's calls run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Runs {
    /// Where they are made: in memory they are short, and their order is then the caller's.
    Inline,
    /// On a thread that may wait: in a file every write waits for the disk.
    OnBlockingThread,
}

/// The connector, which is its own client: there are no connections to settle.
#[derive(Clone)]
pub(super) struct Connector {
    database: Database,
    runs: Runs,
    faults: Option<Arc<Faults>>,
}

/// What a test wants done to the calls, and what is left over from what was done.
struct Faults {
    intercept: Arc<dyn Intercept>,
    late: Mutex<Vec<Request>>,
    earlier_answers: Mutex<HashMap<Vec<u8>, Answer>>,
}

#[derive(Clone)]
struct Request {
    operation: String,
    body: Vec<u8>,
}

#[derive(Clone)]
struct Answer {
    status: u16,
    body: String,
}

/// What the SDK is to see of a call.
enum Outcome {
    Answered(Answer),
    TimedOut,
    Never,
}

impl Connector {
    pub(super) fn new(database: Database, runs: Runs, intercept: Option<Arc<dyn Intercept>>) -> Self {
        let faults = intercept.map(|intercept| {
            Arc::new(Faults {
                intercept,
                late: Mutex::new(Vec::new()),
                earlier_answers: Mutex::new(HashMap::new()),
            })
        });
        Self { database, runs, faults }
    }

    /// Answers a request of another process, on a thread that may wait. No other table may come to the one there is.
    pub(super) async fn answer(&self, target: &str, body: &[u8]) -> (u16, String) {
        let request = Request { operation: operation(target).to_owned(), body: body.to_vec() };
        let answered = match request.operation.as_str() {
            "CreateTable" => Ok(refusal(400, "AccessDeniedException", "a data file has one table")),
            _ => {
                let database = self.database.clone();
                tokio::task::spawn_blocking(move || run(&database, &request)).await
            }
        };
        let answer = answered.unwrap_or_else(|error| refusal(500, "InternalServerError", &error.to_string()));
        (answer.status, answer.body)
    }

    fn outcome(&self, request: &Request) -> Outcome {
        match &self.faults {
            Some(faults) => self.through_faults(request, faults),
            None => Outcome::Answered(run(&self.database, request)),
        }
    }

    fn through_faults(&self, request: &Request, faults: &Faults) -> Outcome {
        for late in std::mem::take(&mut *locked(&faults.late)) {
            self.watched(&late, faults);
        }
        let call = Call { operation: &request.operation, request: &request.body };
        let answer = match faults.intercept.before(&call) {
            Injected::Proceed => self.watched(request, faults),
            Injected::Twice => self.twice(request, faults),
            Injected::Stale => match locked(&faults.earlier_answers).get(&request.body) {
                Some(earlier) => earlier.clone(),
                None => self.watched(request, faults),
            },
            Injected::Late => {
                locked(&faults.late).push(request.clone());
                return Outcome::TimedOut;
            }
            failed @ (Injected::Throttle
            | Injected::ServerError
            | Injected::TimedOut
            | Injected::Conflict
            | Injected::Hang) => return failure(failed, request),
        };
        if is_eventual_read(request) {
            locked(&faults.earlier_answers).insert(request.body.clone(), answer.clone());
        }
        match faults.intercept.after(&call) {
            Injected::Proceed | Injected::Stale => Outcome::Answered(answer),
            Injected::Twice => Outcome::Answered(self.watched(&without_token(request), faults)),
            failed @ (Injected::Throttle
            | Injected::ServerError
            | Injected::TimedOut
            | Injected::Late
            | Injected::Conflict
            | Injected::Hang) => failure(failed, request),
        }
    }

    fn twice(&self, request: &Request, faults: &Faults) -> Answer {
        self.watched(request, faults);
        self.watched(&without_token(request), faults)
    }

    /// Carries a request out, and lets the test know what the table made of it.
    fn watched(&self, request: &Request, faults: &Faults) -> Answer {
        let answer = run(&self.database, request);
        let call = Call { operation: &request.operation, request: &request.body };
        faults.intercept.carried_out(&call, answer.status == 200);
        answer
    }
}

/// A transaction's token would make the engine answer as the first time; a table forgets it after ten minutes.
fn without_token(request: &Request) -> Request {
    let Ok(Value::Object(mut fields)) = serde_json::from_slice(&request.body) else { return request.clone() };
    fields.remove("ClientRequestToken");
    Request { operation: request.operation.clone(), body: Value::Object(fields).to_string().into_bytes() }
}

fn is_eventual_read(request: &Request) -> bool {
    matches!(request.operation.as_str(), "GetItem" | "Query")
        && serde_json::from_slice::<Value>(&request.body)
            .is_ok_and(|fields| fields["ConsistentRead"] != json!(true))
}

fn failure(injected: Injected, request: &Request) -> Outcome {
    let (status, kind) = match injected {
        Injected::Throttle => (400, "ProvisionedThroughputExceededException"),
        Injected::ServerError => (500, "InternalServerError"),
        Injected::Conflict if request.operation == "TransactWriteItems" => {
            return Outcome::Answered(Answer { status: 400, body: transaction_conflict(request) });
        }
        Injected::Conflict => (400, "TransactionConflictException"),
        Injected::Hang => return Outcome::Never,
        Injected::TimedOut | Injected::Late => return Outcome::TimedOut,
        Injected::Proceed | Injected::Twice | Injected::Stale => return Outcome::TimedOut,
    };
    Outcome::Answered(refusal(status, kind, "injected"))
}

fn transaction_conflict(request: &Request) -> String {
    let fields: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let parts = fields["TransactItems"].as_array().map_or(1, Vec::len);
    let reasons: Vec<Value> = (0..parts)
        .map(|part| match part {
            0 => json!({ "Code": "TransactionConflict", "Message": "injected" }),
            _ => json!({ "Code": "None" }),
        })
        .collect();
    json!({
        "__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
        "Message": "injected",
        "CancellationReasons": reasons,
    })
    .to_string()
}

fn refusal(status: u16, kind: &str, message: &str) -> Answer {
    let kind = format!("com.amazonaws.dynamodb.v20120810#{kind}");
    Answer { status, body: json!({ "__type": kind, "message": message }).to_string() }
}

/// The operation of a header such as `DynamoDB_20120810.GetItem`.
fn operation(target: &str) -> &str {
    target.rsplit('.').next().unwrap_or_default()
}

/// Carries a request out.
fn run(database: &Database, request: &Request) -> Answer {
    let body = request.body.as_slice();
    match request.operation.as_str() {
        "GetItem" => answer(body, |it| database.get_item(it)),
        "PutItem" => answer(body, |it| database.put_item(it)),
        "UpdateItem" => answer(body, |it| database.update_item(it)),
        "DeleteItem" => answer(body, |it| database.delete_item(it)),
        "Query" => answer(body, |it| database.query(it)),
        "Scan" => answer(body, |it| database.scan(it)),
        "BatchGetItem" => answer(body, |it| database.batch_get_item(it)),
        "BatchWriteItem" => answer(body, |it| database.batch_write_item(it)),
        "TransactWriteItems" => answer(body, |it| database.transact_write_items(it)),
        "CreateTable" => answer(body, |it| database.create_table(it)),
        "DescribeTable" => answer(body, |it| database.describe_table(it)),
        "UpdateTimeToLive" => answer(body, |it| database.update_time_to_live(it)),
        other => refusal(400, "UnknownOperationException", other),
    }
}

fn answer<Q: DeserializeOwned, A: Serialize>(
    body: &[u8],
    carry_out: impl FnOnce(Q) -> Result<A, DynoxideError>,
) -> Answer {
    let request: Q = match serde_json::from_slice(body) {
        Ok(request) => request,
        Err(error) => return malformed(&error.to_string()),
    };
    match carry_out(request) {
        Ok(done) => match serde_json::to_string(&done) {
            Ok(body) => Answer { status: 200, body },
            Err(error) => refusal(500, "InternalServerError", &error.to_string()),
        },
        Err(error) => Answer { status: error.status_code(), body: error.to_json() },
    }
}

/// The engine reports bad values as parse errors that begin with a marker.
fn malformed(message: &str) -> Answer {
    match message.strip_prefix("VALIDATION:") {
        Some(message) => refusal(400, "ValidationException", message),
        None => refusal(400, "SerializationException", message),
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector").field("runs", &self.runs).finish_non_exhaustive()
    }
}

impl HttpClient for Connector {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        let operation = operation(target).to_owned();
        let body = request.body().bytes().unwrap_or_default().to_vec();
        let (connector, request) = (self.clone(), Request { operation, body });
        HttpConnectorFuture::new(async move {
            if let Some(faults) = &connector.faults {
                let call = Call { operation: &request.operation, request: &request.body };
                let wait = faults.intercept.on_its_way(&call);
                if !wait.is_zero() {
                    tokio::time::sleep(wait).await;
                }
            }
            let outcome = match connector.runs {
                Runs::Inline => connector.outcome(&request),
                Runs::OnBlockingThread => tokio::task::spawn_blocking(move || connector.outcome(&request))
                    .await
                    .map_err(|error| ConnectorError::other(error.into(), None))?,
            };
            match outcome {
                Outcome::Answered(answer) => {
                    let status = StatusCode::try_from(answer.status)
                        .map_err(|error| ConnectorError::other(error.into(), None))?;
                    Ok(HttpResponse::new(status, SdkBody::from(answer.body)))
                }
                Outcome::TimedOut => Err(ConnectorError::timeout("no answer in time".into())),
                Outcome::Never => std::future::pending().await,
            }
        })
    }
}
