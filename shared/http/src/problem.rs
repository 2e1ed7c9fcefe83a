//! What went wrong, as RFC 9457 has it: what happened, and what to do.

use axum::http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use lamplighter_app::people::Refused;
use lamplighter_core::ServiceId;
use lamplighter_store::StoreError;
use serde_json::{Value, json};

/// When to come again after the store did not answer: a throttle or a failover is over by then.
const STORE_RETRY_SECS: u64 = 5;

/// The kinds of problem, told apart by what the asker does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    BadRequest,
    Unauthorized,
    Forbidden,
    NotFound,
    MethodNotAllowed,
    NotAcceptable,
    Conflict,
    PreconditionFailed,
    TooLarge,
    UnsupportedMediaType,
    KeyReused,
    TooManyRequests,
    HeadersTooLarge,
    Internal,
    Unavailable,
    TimedOut,
}

impl Kind {
    /// Every kind, for the description.
    pub(crate) const ALL: [Kind; 16] = [
        Kind::BadRequest,
        Kind::Unauthorized,
        Kind::Forbidden,
        Kind::NotFound,
        Kind::MethodNotAllowed,
        Kind::NotAcceptable,
        Kind::Conflict,
        Kind::PreconditionFailed,
        Kind::TooLarge,
        Kind::UnsupportedMediaType,
        Kind::KeyReused,
        Kind::TooManyRequests,
        Kind::HeadersTooLarge,
        Kind::Internal,
        Kind::Unavailable,
        Kind::TimedOut,
    ];

    /// Its status, its name in `type`, and its title.
    pub(crate) fn facts(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Kind::BadRequest => (StatusCode::BAD_REQUEST, "bad-request", "The request makes no sense"),
            Kind::Unauthorized => (StatusCode::UNAUTHORIZED, "unauthorized", "No valid token"),
            Kind::Forbidden => (StatusCode::FORBIDDEN, "forbidden", "The token does not allow this"),
            Kind::NotFound => (StatusCode::NOT_FOUND, "not-found", "There is no such thing"),
            Kind::MethodNotAllowed => {
                (StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "This cannot be done here")
            }
            Kind::NotAcceptable => {
                (StatusCode::NOT_ACCEPTABLE, "not-acceptable", "It cannot be answered in that form")
            }
            Kind::Conflict => (StatusCode::CONFLICT, "conflict", "It cannot be done now"),
            Kind::PreconditionFailed => {
                (StatusCode::PRECONDITION_FAILED, "precondition-failed", "It has changed meanwhile")
            }
            Kind::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "too-large", "The body is too large"),
            Kind::UnsupportedMediaType => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", "The body is not JSON")
            }
            Kind::KeyReused => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "key-reused",
                "The idempotency key belongs to another request",
            ),
            Kind::TooManyRequests => {
                (StatusCode::TOO_MANY_REQUESTS, "too-many-requests", "Too many failed attempts")
            }
            Kind::HeadersTooLarge => (
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                "headers-too-large",
                "The headers are too large",
            ),
            Kind::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "internal", "Something broke on this side"),
            Kind::Unavailable => {
                (StatusCode::SERVICE_UNAVAILABLE, "unavailable", "It cannot be answered now")
            }
            Kind::TimedOut => (StatusCode::GATEWAY_TIMEOUT, "timed-out", "It took too long"),
        }
    }
}

/// Why a request failed on this side: for the log, never for the asker.
#[derive(Debug, Clone)]
pub(crate) struct Cause(pub(crate) String);

/// A problem as it is answered. Boxed, so that a result that carries one stays small.
#[derive(Debug)]
pub(crate) struct Problem(Box<Told>);

#[derive(Debug)]
struct Told {
    kind: Kind,
    detail: String,
    hint: String,
    retry_after_secs: Option<u64>,
    cause: Option<String>,
    reasons: Vec<String>,
}

impl Problem {
    /// What happened, and what to do.
    pub(crate) fn new(kind: Kind, detail: impl Into<String>, hint: impl Into<String>) -> Self {
        Self(Box::new(Told {
            kind,
            detail: detail.into(),
            hint: hint.into(),
            retry_after_secs: None,
            cause: None,
            reasons: Vec::new(),
        }))
    }

    /// A request that makes no sense.
    pub(crate) fn bad(detail: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(Kind::BadRequest, detail, hint)
    }

    /// A request that cannot be carried out as things stand.
    pub(crate) fn conflict(detail: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(Kind::Conflict, detail, hint)
    }

    /// The one answer for a service that is not there, or not the asker's.
    pub(crate) fn no_such_service(id: &ServiceId) -> Self {
        let detail = format!("there is no service `{id}` in this env");
        Self::new(Kind::NotFound, detail, "`GET` the list of services to see their ids")
    }

    /// A write that expected another version.
    pub(crate) fn stale(what: &str) -> Self {
        let detail = format!("{what} is not what `If-Match` or `If-None-Match` expects");
        Self::new(
            Kind::PreconditionFailed,
            detail,
            "`GET` it again, look at what changed, and send the new `ETag`",
        )
    }

    /// Says when to come again.
    pub(crate) fn retry_after(mut self, seconds: u64) -> Self {
        self.0.retry_after_secs = Some(seconds);
        self
    }

    /// Adds what the log is told and the asker is not.
    pub(crate) fn because(mut self, cause: impl Into<String>) -> Self {
        self.0.cause = Some(cause.into());
        self
    }

    /// Lists the reasons one by one.
    pub(crate) fn reasons(mut self, reasons: Vec<String>) -> Self {
        self.0.reasons = reasons;
        self
    }

    /// True if the same request may be answered otherwise without anybody's doing: it is not kept for repetitions.
    pub(crate) fn is_ours(&self) -> bool {
        self.0.kind.facts().0.is_server_error()
    }

    /// The status and the members of the answer.
    pub(crate) fn told(&self) -> (StatusCode, Value) {
        let (status, name, title) = self.0.kind.facts();
        let mut body = json!({
            "type": format!("urn:lamplighter:problem:{name}"),
            "title": title,
            "status": status.as_u16(),
            "detail": self.0.detail,
            "hint": self.0.hint,
        });
        if !self.0.reasons.is_empty() {
            body["reasons"] = json!(self.0.reasons);
        }
        (status, body)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (status, body) = self.told();
        let mut response = (status, body.to_string()).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = self.0.retry_after_secs {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.0.kind == Kind::Unauthorized {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(cause) = self.0.cause {
            response.extensions_mut().insert(Cause(cause));
        }
        response
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        let cause = error.to_string();
        match error {
            StoreError::Unavailable { .. } => {
                Problem::new(Kind::Unavailable, "the store does not answer now", "try again in a moment")
                    .retry_after(STORE_RETRY_SECS)
                    .because(cause)
            }
            StoreError::Full => {
                Problem::new(Kind::Unavailable, cause.clone(), "make room on the disk under the data file")
                    .retry_after(STORE_RETRY_SECS)
                    .because(cause)
            }
            StoreError::EnvFull { .. } => Problem::conflict(cause, "put the service into another env"),
            StoreError::Refused { .. } | StoreError::BadItem { .. } | StoreError::NewerSchema { .. } => {
                let hint = "the log of the server says more; please report it if it stays";
                Problem::new(Kind::Internal, "the store could not be used for this", hint).because(cause)
            }
        }
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        let detail = refused.to_string();
        match refused {
            Refused::NoSuchService(id) => Problem::no_such_service(&id),
            Refused::Restart(_) => {
                Problem::conflict(detail, "`GET …/why` says what the service is waiting for")
            }
            Refused::Updating { rollout, .. } => {
                let hint = format!("`GET …/rollouts/{rollout}` shows how far it is");
                Problem::conflict(detail, hint)
            }
            Refused::Invalid(_) => Problem::bad(detail, "correct the request and send it again"),
            Refused::Busy(_) => Problem::conflict(detail, "try again in a moment").retry_after(1),
            Refused::Store(error) => error.into(),
        }
    }
}

/// A path that leads nowhere.
pub(crate) async fn no_such_route() -> Problem {
    Problem::new(
        Kind::NotFound,
        "there is nothing at this path",
        "`/openapi.json` and `/docs` list what there is",
    )
}

/// A path that is there, asked in a way that it does not know.
pub(crate) async fn no_such_method(method: Method) -> Problem {
    let detail = format!("`{method}` does nothing at this path");
    Problem::new(
        Kind::MethodNotAllowed,
        detail,
        "the `Allow` header lists what does; `/docs` says what it does",
    )
}
