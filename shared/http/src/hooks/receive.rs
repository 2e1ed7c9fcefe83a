//! The door that hooks knock at. The order is the protection: size, raw bytes, headers, time, signature; then, of a call
//! that proved whom it came from, what it asks for, and whether it came before.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{ConnectInfo, FromRequest, FromRequestParts, RawPathParams, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use lamplighter_app::Env;
use lamplighter_app::rollouts::{self, Pushed};
use lamplighter_core::hook::{Hook, HookKind, HookName};
use lamplighter_core::spec::KeyRef;
use lamplighter_store::{Delivery, Verb};
use serde_json::json;
use tokio::sync::OwnedSemaphorePermit;

use super::{payload, proof};
use crate::answer::{Answer, Reply};
use crate::body::Body;
use crate::home::Home;
use crate::problem::{Kind, Problem};
use crate::query::quoted;
use crate::secret::sha256_hex;

/// The file that is looked for where there is no hook.
const NO_SUCH_SECRET: &str = "no-such-hook";

/// Longest a body may take: GitHub gives a call ten seconds as a whole.
const BODY_LIMIT: Duration = Duration::from_secs(10);
/// When to come again if too many call at once.
const BUSY_RETRY_SECS: u64 = 1;

/// Where a call is addressed, and where it comes from. Never refused: whatever is wrong with it, is wrong in one way.
pub(super) struct Addressed {
    env: String,
    hook: String,
    peer: Option<IpAddr>,
}

impl<S: Send + Sync> FromRequestParts<S> for Addressed {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(address)| address.ip());
        let params = RawPathParams::from_request_parts(parts, state).await;
        let mut named: BTreeMap<String, String> = params
            .map(|params| params.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
            .unwrap_or_default();
        let mut take = |name| named.remove(name).unwrap_or_default();
        Ok(Addressed { env: take("env"), hook: take("hook"), peer })
    }
}

/// A body, taken from a stranger within bounds of its own.
pub(super) struct Called {
    body: Body,
    _turn: OwnedSemaphorePermit,
}

impl FromRequest<Arc<Home>> for Called {
    type Rejection = Problem;

    async fn from_request(request: Request, home: &Arc<Home>) -> Result<Self, Problem> {
        let Ok(turn) = Arc::clone(&home.hook_calls).try_acquire_owned() else {
            let detail = "too many calls of hooks are being taken in";
            return Err(Problem::new(Kind::Unavailable, detail, "call again in a moment")
                .retry_after(BUSY_RETRY_SECS));
        };
        match tokio::time::timeout(BODY_LIMIT, Body::from_request(request, home)).await {
            Ok(body) => Ok(Called { body: body?, _turn: turn }),
            Err(_) => {
                let detail = format!("the body did not come within {} s", BODY_LIMIT.as_secs());
                Err(Problem::new(Kind::TimedOut, detail, "send it at once"))
            }
        }
    }
}

/// A call that proved whom it came from.
struct Proved {
    env: Arc<Env>,
    name: HookName,
    hook: Hook,
    id: String,
    event: Option<String>,
    body_hash: Option<String>,
}

/// A call that proved nothing: why, and which secrets it could not be held against.
struct Unproved {
    why: &'static str,
    problems: Vec<String>,
}

pub(super) async fn receive(
    State(home): State<Arc<Home>>,
    addressed: Addressed,
    headers: HeaderMap,
    Called { body, _turn }: Called,
) -> Response {
    match prove(&home, &addressed, &headers, &body).await {
        Ok(Ok(proved)) => act(proved, &headers, &body).await.into_response(),
        Ok(Err(unproved)) => refuse(&home, &addressed, &unproved).into_response(),
        Err(problem) => problem.into_response(),
    }
}

/// Finds out whether a call is one of a hook of ours. The same work is done whether there is such a hook or not, so that
/// neither the answer nor the time it takes tells which there are.
async fn prove(
    home: &Home,
    addressed: &Addressed,
    headers: &HeaderMap,
    body: &Body,
) -> Result<Result<Proved, Unproved>, Problem> {
    let Some(env) = home.env(&addressed.env).or_else(|| home.envs().next()) else {
        return Ok(Err(Unproved { why: "there is no env", problems: Vec::new() }));
    };
    let settings = env.store().for_verb(Verb::Api).settings().await?.1;
    home.secrets.warm(settings.hooks.values()).await;
    let named: Option<HookName> = addressed.hook.parse().ok();
    let known = named.filter(|_| env.name().as_str() == addressed.env).and_then(|name| {
        settings.hooks.get_key_value(&name).map(|(name, hook)| (name.clone(), hook.clone()))
    });
    let (kind, places) = match &known {
        Some((_, hook)) => (hook.kind, hook.secret.clone()),
        None => (seeming_kind(headers), vec![KeyRef::File(NO_SUCH_SECRET.to_owned())]),
    };
    let (mut keys, problems) = home.secrets.read(kind, places).await;
    keys.push(home.nobodys_key.clone());
    let claim = proof::claim(kind, headers);
    let (is_fresh, is_signed) = match &claim {
        Some(claim) => (claim.is_fresh(env.clock().now()), claim.is_signed_by(&keys, &body.bytes)),
        None => (false, proof::pretend(&home.nobodys_key, &body.bytes)),
    };
    let Some((name, hook)) = known else {
        return Ok(Err(Unproved { why: "there is no such hook", problems: Vec::new() }));
    };
    let unproved = |why| Ok(Err(Unproved { why, problems }));
    let Some(claim) = claim else {
        return unproved("a header of its kind is missing, doubled or malformed");
    };
    match (is_fresh, is_signed) {
        (_, false) => unproved("no secret of the hook made its signature"),
        (false, true) => unproved("its time is off by more than five minutes"),
        (true, true) => Ok(Ok(Proved {
            env: Arc::clone(env),
            name,
            hook,
            id: claim.id().to_owned(),
            event: claim.event().map(str::to_owned),
            body_hash: (!claim.signs_its_id()).then(|| sha256_hex(&body.bytes)),
        })),
    }
}

/// The kind of hook that a call for none of ours seems to be for.
fn seeming_kind(headers: &HeaderMap) -> HookKind {
    if headers.contains_key("webhook-id") { HookKind::Standard } else { HookKind::Github }
}

async fn act(proved: Proved, headers: &HeaderMap, body: &Body) -> Reply {
    let Proved { env, name, hook, id, event, body_hash } = proved;
    let read = payload::read(&hook, event.as_deref(), headers, &body.bytes).map_err(|why| {
        tracing::warn!(env = %env.name(), hook = %name, delivery = %id, "a call of the hook `{name}` is signed and cannot be read: {why}");
        Problem::bad(why, "the operating manual shows what a hook of this kind understands")
    })?;
    let (asks, outcome) = match read.asks {
        Ok(ask) => (Some(ask), String::new()),
        Err(why) => (None, why),
    };
    let at = env.clock().now();
    let delivery = Delivery { hook: name.to_string(), id, event: read.event, body_hash, at, asks, outcome };
    let (delivery, repeat) = match rollouts::push(&env, delivery).await? {
        Pushed::New(delivery) => (delivery, false),
        Pushed::Repeat(delivery) => (delivery, true),
    };
    let said = json!({"delivery": delivery.id, "repeat": repeat, "outcome": delivery.outcome});
    Answer::with_status(StatusCode::ACCEPTED, &said)
}

/// The one answer to a call that proved nothing, whatever the reason; which only the log is told.
///
/// A call that proves itself is never made to wait: all calls of GitHub come from the same few addresses, and anybody can
/// have it call here with a signature of their own.
fn refuse(home: &Home, addressed: &Addressed, unproved: &Unproved) -> Problem {
    if let Some(wait) = home.hook_throttle.must_wait(addressed.peer, "") {
        let seconds = wait.as_secs() + 1;
        let detail = format!("too many calls that proved nothing; wait {seconds} s");
        return Problem::new(Kind::TooManyRequests, detail, "look at the secret you sign with")
            .retry_after(seconds);
    }
    home.hook_throttle.failed(addressed.peer, "");
    let (env, hook) = (quoted(&addressed.env), quoted(&addressed.hook));
    tracing::warn!(env, hook, "a call of `/hooks/{env}/{hook}` was refused: {}", unproved.why);
    for problem in &unproved.problems {
        tracing::error!(env, hook, "a secret of the hook `{hook}` could not be tried: {problem}");
    }
    let detail = "there is no such hook, or the call does not prove that it comes from its sender";
    let hint = "look at the hook's address, its secret and the sender's clock; the log of the server says which it is";
    Problem::new(Kind::Unauthorized, detail, hint)
}
