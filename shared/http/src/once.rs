//! Work that is started at most once for each `Idempotency-Key`.

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use futures_util::future::BoxFuture;
use lamplighter_core::Moment;
use lamplighter_store::{Begun, Store};

use crate::answer::{Answer, Reply};
use crate::body::Body;
use crate::problem::{Kind, Problem};
use crate::secret::sha256_hex;
use crate::visit::Visit;

/// Longest key, in bytes.
const KEY_BYTES_MAX: usize = 255;

/// A request that starts work.
pub(crate) struct Work {
    /// Who asks, and of which env.
    pub(crate) visit: Visit,
    /// What they send.
    pub(crate) body: Body,
    /// The key as it is stored, if there is one: it belongs to the token and the path.
    key: Option<String>,
}

impl<S: Send + Sync> FromRequest<S> for Work {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let (mut parts, body) = request.into_parts();
        let visit = Visit::from_request_parts(&mut parts, state).await?;
        let place = format!("{}\n{} {}", visit.token_hash, parts.method, parts.uri.path());
        let key = key(&parts.headers)?.map(|key| sha256_hex(format!("{place}\n{key}").as_bytes()));
        let body = Body::from_request(Request::from_parts(parts, body), state).await?;
        Ok(Work { visit, body, key })
    }
}

impl Work {
    /// Does the work, or answers as the first time. The work goes on to its end even if the asker hangs up: what was
    /// begun under a key must leave its answer there.
    pub(crate) async fn once(self, work: BoxFuture<'static, Reply>) -> Response {
        let Some(key) = self.key else { return work.await.into_response() };
        let (store, now) = (self.visit.store(), self.visit.now());
        match store.begin_request(&key, &sha256_hex(&self.body.bytes), now).await {
            Err(error) => Problem::from(error).into_response(),
            Ok(Begun::Replay(answer)) => replay(&answer),
            Ok(Begun::Mismatch) => {
                let detail = "this `Idempotency-Key` was used for a request with another body";
                Problem::new(Kind::KeyReused, detail, "use a new key for a new request").into_response()
            }
            Ok(Begun::Running) => {
                let detail = "the first request with this `Idempotency-Key` is running, or its answer could not be kept";
                let hint = "ask again with the same key in a moment; if it never ends, it is done anew after five minutes";
                Problem::conflict(detail, hint).retry_after(1).into_response()
            }
            Ok(Begun::Fresh) => {
                let begun = Undertaking { store, key, now };
                // The work runs in a task of its own, and so does the keeping of its answer.
                let worked = tokio::spawn(async move {
                    let reply = match tokio::spawn(work).await {
                        Ok(reply) => reply,
                        Err(error) => Err(broken(&error.to_string())),
                    };
                    begun.ended(&reply).await;
                    reply
                });
                match worked.await {
                    Ok(reply) => reply.into_response(),
                    Err(error) => broken(&error.to_string()).into_response(),
                }
            }
        }
    }
}

/// Work that was begun under a key.
struct Undertaking {
    store: Store,
    key: String,
    now: Moment,
}

impl Undertaking {
    /// Keeps the answer for repetitions, or frees the key if the answer is a failure of ours: it may be answered
    /// otherwise next time, and the asker may find out at once.
    async fn ended(&self, reply: &Reply) {
        let kept = match reply {
            Ok(answer) => Some(answer.clone()),
            Err(problem) if problem.is_ours() => None,
            Err(problem) => Some(Answer::of_problem(problem)),
        };
        let done = match kept.and_then(|answer| serde_json::to_string(&answer).ok()) {
            Some(text) => self.store.finish_request(&self.key, &text).await,
            None => self.store.abandon_request(&self.key, self.now).await,
        };
        if let Err(error) = done {
            tracing::warn!(%error, "an answer could not be kept for repetitions, nor its key freed");
        }
    }
}

fn replay(kept: &str) -> Response {
    match serde_json::from_str::<Answer>(kept) {
        Ok(answer) => {
            let mut response = answer.into_response();
            response
                .headers_mut()
                .insert("idempotency-replayed", "true".parse().unwrap_or_else(|_| 1.into()));
            response
        }
        Err(error) => broken(&error.to_string()).into_response(),
    }
}

fn broken(cause: &str) -> Problem {
    let hint = "look at what became of it before asking again";
    Problem::new(Kind::Internal, "the request did not come to an answer", hint).because(cause)
}

/// The key, written as a quoted string or plainly.
fn key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    let text = value.to_str().unwrap_or_default().trim();
    let plain = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    let is_good = (1..=KEY_BYTES_MAX).contains(&plain.len())
        && plain.chars().all(|c| c.is_ascii_graphic() && c != '"' && c != '\\');
    if is_good {
        return Ok(Some(plain.to_owned()));
    }
    let hint = format!("send 1 to {KEY_BYTES_MAX} visible characters, such as a UUID, in quotes");
    Err(Problem::bad("the `Idempotency-Key` cannot be used", hint))
}
