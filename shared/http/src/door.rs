//! What stands before every request, and goes with every answer.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, HeaderValue, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::time::Instant;
use tracing::Instrument;

use crate::home::Home;
use crate::problem::{Cause, Kind, Problem};

/// Longest an answer may take to begin. A stream, once begun, is not counted.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);
/// Most header lines of a request: browsers send some 30.
const HEADERS_MAX: usize = 100;
/// Most bytes of header names and values together.
const HEADER_BYTES_MAX: usize = 16 * 1_024;
/// When to come again if too much is asked at once.
const BUSY_RETRY_SECS: u64 = 1;
/// Names under which people put tokens into query strings, where they end up in logs and histories.
const TOKEN_PARAMETERS: [&str; 6] = ["token", "access_token", "api_key", "apikey", "authorization", "bearer"];
/// Nothing may be loaded by, or put into a frame of, an answer that says nothing else.
const NOTHING_ELSE: &str = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

/// Counts, names and bounds every request, and sees every answer off.
pub(crate) async fn door(State(home): State<Arc<Home>>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let path = request.extensions().get::<MatchedPath>().map_or("unknown", MatchedPath::as_str).to_owned();
    let span = tracing::debug_span!(
        "request",
        method = %request.method(),
        path,
        traceparent = traceparent(request.headers()),
    );
    async move {
        let mut response = answer(&home, request, next).await;
        protect(response.headers_mut());
        let status = response.status();
        home.answered.count(status.as_u16());
        let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        match response.extensions().get::<Cause>() {
            Some(Cause(cause)) if status.is_server_error() => {
                tracing::error!(status = status.as_u16(), took_ms, path, "a request failed: {cause}");
            }
            Some(_) | None => tracing::debug!(status = status.as_u16(), took_ms, "answered"),
        }
        response
    }
    .instrument(span)
    .await
}

async fn answer(home: &Home, request: Request, next: Next) -> Response {
    let Ok(_turn) = home.requests.try_acquire() else {
        let detail = "too many requests are being answered";
        return Problem::new(Kind::Unavailable, detail, "try again in a moment")
            .retry_after(BUSY_RETRY_SECS)
            .into_response();
    };
    if let Err(problem) = acceptable(request.headers(), request.uri()) {
        return problem.into_response();
    }
    match tokio::time::timeout(ANSWER_LIMIT, next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            let detail = format!("there was no answer within {} s", ANSWER_LIMIT.as_secs());
            let hint = "look at what became of it before asking again; with an `Idempotency-Key` asking again is safe";
            Problem::new(Kind::TimedOut, detail.clone(), hint).because(detail).into_response()
        }
    }
}

fn acceptable(headers: &HeaderMap, uri: &Uri) -> Result<(), Problem> {
    let bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if headers.len() > HEADERS_MAX || bytes > HEADER_BYTES_MAX {
        let detail =
            format!("a request has at most {HEADERS_MAX} headers of {HEADER_BYTES_MAX} bytes together");
        return Err(Problem::new(Kind::HeadersTooLarge, detail, "send fewer or shorter headers"));
    }
    let query = uri.query().unwrap_or_default();
    let has_token = query.split('&').any(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        TOKEN_PARAMETERS.iter().any(|known| name.eq_ignore_ascii_case(known)) || value.starts_with("lamp_")
    });
    if has_token {
        let detail = "a token in the address ends up in logs and histories; it was not looked at";
        let hint = "revoke that token, and send a new one as `Authorization: Bearer lamp_…`";
        return Err(Problem::bad(detail, hint));
    }
    Ok(())
}

/// The W3C trace context of the asker, if it is one; anything else stays out of the log.
fn traceparent(headers: &HeaderMap) -> &str {
    let text = headers.get("traceparent").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut parts =
        text.split('-').map(|part| (part.len(), part.bytes().all(|byte| byte.is_ascii_hexdigit())));
    let is_one = [2, 32, 16, 2].into_iter().all(|length| parts.next() == Some((length, true)))
        && parts.next().is_none();
    if is_one { text } else { "" }
}

fn protect(headers: &mut HeaderMap) {
    let fixed: [(HeaderName, &'static str); 4] = [
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (X_FRAME_OPTIONS, "DENY"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    // A page says itself what it loads, and how long it may be kept.
    for (name, value) in [(CONTENT_SECURITY_POLICY, NOTHING_ELSE), (CACHE_CONTROL, "no-store")] {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_trace_context_reaches_the_log() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        for (text, kept) in [(good, good), ("00-zz-aa-01", ""), ("hello", ""), (&format!("{good}-x"), "")] {
            let mut headers = HeaderMap::new();
            headers.insert("traceparent", text.parse().unwrap());
            assert_eq!(traceparent(&headers), kept, "{text}");
        }
    }
}
