//! The table: an endpoint of DynamoDB's API over the embedded engine, which counts the units it answers.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use lamplighter_core::EnvName;
use lamplighter_core::settings::Settings;
use lamplighter_core::spec::ServiceSpec;
use lamplighter_store::Expected;
use lamplighter_store::embedded::Endpoint;
use serde_json::Value;
use tokio::net::TcpListener;

/// What the table has answered.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Units {
    /// Read units.
    pub read: f64,
    /// Write units.
    pub written: f64,
}

impl Units {
    /// What came since then.
    #[must_use]
    pub fn since(self, then: Units) -> Units {
        Units { read: self.read - then.read, written: self.written - then.written }
    }
}

/// A table with a fleet in it. Serves until the runtime ends.
pub struct Table {
    url: String,
    counted: Arc<Counted>,
}

struct Counted {
    endpoint: Endpoint,
    units: Mutex<Units>,
    answers_after: Duration,
}

impl Table {
    /// Makes a table of `env` in `folder`, puts `services` into it and serves it. Each request waits for `answers_after`
    /// first, as one to another machine would.
    ///
    /// # Errors
    /// If the table cannot be made, or not served.
    pub async fn with(
        folder: &Path,
        env: &EnvName,
        services: &[ServiceSpec],
        answers_after: Duration,
    ) -> anyhow::Result<Table> {
        let (file, now) = (folder.join("table.sqlite"), SystemTime::now().into());
        // Opened once: a process that another test starts meanwhile may hold the file's lock for a moment.
        let endpoint = Endpoint::open(&file, env, now).await.context("making the table")?;
        let store = endpoint.store();
        store.put_settings(0, &Settings::default()).await.context("storing settings")?;
        for spec in services {
            store.put_service(spec, Expected::Absent, now).await.context("storing a service")?;
        }
        let counted = Arc::new(Counted { endpoint, units: Mutex::default(), answers_after });
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("offering the table")?;
        let address: SocketAddr = listener.local_addr().context("finding the table")?;
        let router = Router::new().route("/", post(answer)).with_state(Arc::clone(&counted));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(Table { url: format!("http://{address}"), counted })
    }

    /// Where it answers.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Asks it for one operation of DynamoDB's, such as `GetItem`, past the wire and the counting.
    ///
    /// # Errors
    /// Its answer, if that is none of status 200.
    pub async fn ask(&self, operation: &str, request: &Value) -> anyhow::Result<Value> {
        let target = format!("DynamoDB_20120810.{operation}");
        let (status, answer) = self.counted.endpoint.answer(&target, request.to_string().as_bytes()).await;
        anyhow::ensure!(status == 200, "the table answered {status}: {answer}");
        serde_json::from_str(&answer).context("reading the table's answer")
    }

    /// What it has answered so far.
    #[must_use]
    pub fn units(&self) -> Units {
        *self.counted.units.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn answer(State(counted): State<Arc<Counted>>, headers: HeaderMap, body: Bytes) -> Response {
    let target = headers.get("x-amz-target").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (status, answer) = counted.endpoint.answer(target, &body).await;
    let units = units_of(&answer);
    {
        let mut sum = counted.units.lock().unwrap_or_else(PoisonError::into_inner);
        match ["Get", "Query", "Scan"].iter().any(|verb| target.contains(verb)) {
            true => sum.read += units,
            false => sum.written += units,
        }
    }
    tokio::time::sleep(counted.answers_after).await;
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, [("content-type", "application/x-amz-json-1.0")], answer).into_response()
}

/// What an answer says that it has consumed: of one table, or of a list of it.
fn units_of(answer: &str) -> f64 {
    let answer: Value = serde_json::from_str(answer).unwrap_or_default();
    let consumed = &answer["ConsumedCapacity"];
    let each = consumed.as_array().map_or(std::slice::from_ref(consumed), Vec::as_slice);
    each.iter().filter_map(|one| one["CapacityUnits"].as_f64()).sum()
}
