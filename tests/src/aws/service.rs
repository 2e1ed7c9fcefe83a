//! Any other service of AWS's.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context as _;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use tokio::net::TcpListener;

/// A service that gives every request the one answer it was told to give. Serves until the runtime ends.
pub struct Service {
    url: String,
    says: Arc<Says>,
}

struct Says {
    status: StatusCode,
    kind: &'static str,
    body: String,
    asked: AtomicU64,
}

impl Service {
    /// One that answers in JSON, as most do.
    ///
    /// # Errors
    /// If it cannot be served, or there is no such status.
    pub async fn saying_json(status: u16, body: impl ToString) -> anyhow::Result<Service> {
        Service::saying(status, "application/x-amz-json-1.1", body.to_string()).await
    }

    /// One that answers in XML, as SES does.
    ///
    /// # Errors
    /// If it cannot be served, or there is no such status.
    pub async fn saying_xml(status: u16, body: impl ToString) -> anyhow::Result<Service> {
        Service::saying(status, "text/xml", body.to_string()).await
    }

    async fn saying(status: u16, kind: &'static str, body: String) -> anyhow::Result<Service> {
        let status = StatusCode::from_u16(status).context("reading the status")?;
        let says = Arc::new(Says { status, kind, body, asked: AtomicU64::new(0) });
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("starting a service")?;
        let address = listener.local_addr().context("finding a service")?;
        let router = Router::new().fallback(answer).with_state(Arc::clone(&says));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(Service { url: format!("http://{address}"), says })
    }

    /// Where it answers.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// How often it was asked.
    #[must_use]
    pub fn asked(&self) -> u64 {
        self.says.asked.load(Ordering::Relaxed)
    }
}

async fn answer(State(says): State<Arc<Says>>) -> Response {
    says.asked.fetch_add(1, Ordering::Relaxed);
    (says.status, [("content-type", says.kind)], says.body.clone()).into_response()
}
