//! What a request is answered with.

use axum::http::header::{CONTENT_TYPE, ETAG, HeaderName, HeaderValue, LINK, LOCATION};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::problem::{Kind, Problem};

/// What a handler comes to.
pub(crate) type Reply = Result<Answer, Problem>;

/// A JSON answer with the headers that go with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Answer {
    status: u16,
    body: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    location: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    version: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

impl Answer {
    /// 200 with a body.
    pub(crate) fn ok(body: &impl Serialize) -> Reply {
        Self::with_status(StatusCode::OK, body)
    }

    /// A body under another status.
    pub(crate) fn with_status(status: StatusCode, body: &impl Serialize) -> Reply {
        let body = serde_json::to_value(body).map_err(|error| {
            Problem::new(Kind::Internal, "the answer cannot be written as JSON", "please report it")
                .because(error.to_string())
        })?;
        Ok(Answer { status: status.as_u16(), body: Some(body), location: None, version: None, next: None })
    }

    /// 204.
    pub(crate) fn nothing() -> Answer {
        Answer {
            status: StatusCode::NO_CONTENT.as_u16(),
            body: None,
            location: None,
            version: None,
            next: None,
        }
    }

    /// A problem as an answer, for keeping it under an idempotency key.
    pub(crate) fn of_problem(problem: &Problem) -> Answer {
        let (status, body) = problem.told();
        Answer { status: status.as_u16(), body: Some(body), location: None, version: None, next: None }
    }

    /// Where the thing is, or where to see what became of it.
    pub(crate) fn at(mut self, location: String) -> Self {
        self.location = Some(location);
        self
    }

    /// The version of the thing: its `ETag`.
    pub(crate) fn version(mut self, version: u64) -> Self {
        self.version = Some(version);
        self
    }

    /// Where the list goes on, as a `Link`.
    pub(crate) fn next(mut self, url: Option<String>) -> Self {
        self.next = url;
        self
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = match &self.body {
            Some(body) => (status, body.to_string()).into_response(),
            None => status.into_response(),
        };
        let headers = response.headers_mut();
        if self.body.is_some() {
            let kind = if status.is_success() { "application/json" } else { "application/problem+json" };
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        }
        put(headers, LOCATION, self.location);
        put(headers, ETAG, self.version.map(|version| format!("\"{version}\"")));
        put(headers, LINK, self.next.map(|url| format!("<{url}>; rel=\"next\"")));
        response
    }
}

fn put(headers: &mut HeaderMap, name: HeaderName, value: Option<String>) {
    if let Some(value) = value.and_then(|text| HeaderValue::try_from(text).ok()) {
        headers.insert(name, value);
    }
}
