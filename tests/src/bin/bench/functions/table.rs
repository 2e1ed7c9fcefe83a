//! The table, as an endpoint of DynamoDB's API that counts the units it answers.

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
use lamplighter_store::embedded::Endpoint;
use lamplighter_store::{Expected, Store};
use serde_json::Value;
use tokio::net::TcpListener;

/// Between a function and the table of its region: what AWS calls single-digit milliseconds.
const ANSWERS_AFTER: Duration = Duration::from_millis(5);

/// What the table has answered.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Units {
    pub(super) read: f64,
    pub(super) written: f64,
}

impl Units {
    /// What came since then.
    pub(super) fn since(self, then: Units) -> Units {
        Units { read: self.read - then.read, written: self.written - then.written }
    }
}

/// A table with a fleet in it. Serves until the bench ends.
pub(super) struct Table {
    pub(super) url: String,
    counted: Arc<Counted>,
}

struct Counted {
    endpoint: Endpoint,
    units: Mutex<Units>,
}

impl Table {
    /// Fills a new table and serves it.
    pub(super) async fn with(
        folder: &Path,
        env: &EnvName,
        services: &[ServiceSpec],
    ) -> anyhow::Result<Table> {
        let (file, now) = (folder.join("table.sqlite"), SystemTime::now().into());
        let store = Store::open_file(&file, env, now).await.context("making the table")?;
        store.put_settings(0, &Settings::default()).await.context("storing settings")?;
        for spec in services {
            store.put_service(spec, Expected::Absent, now).await.context("storing a service")?;
        }
        drop(store);
        let endpoint = Endpoint::open(&file, env, now).await.context("opening the table")?;
        let counted = Arc::new(Counted { endpoint, units: Mutex::default() });
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("offering the table")?;
        let address: SocketAddr = listener.local_addr().context("finding the table")?;
        let router = Router::new().route("/", post(answer)).with_state(Arc::clone(&counted));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(Table { url: format!("http://{address}"), counted })
    }

    /// What it has answered so far.
    pub(super) fn units(&self) -> Units {
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
    tokio::time::sleep(ANSWERS_AFTER).await;
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
