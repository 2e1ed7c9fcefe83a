//! Who asks, and of which env: found out before anything else is looked at.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{ConnectInfo, FromRequestParts, RawPathParams, Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use lamplighter_app::Env;
use lamplighter_core::spec::ServiceSpec;
use lamplighter_core::{Moment, ServiceId};
use lamplighter_store::{Placed, Scope, Store, Token, Verb};

use crate::home::Home;
use crate::operation::{Access, scope_name};
use crate::problem::{Kind, Problem};
use crate::secret::sha256_hex;

/// Longest token that is looked at, in bytes.
const TOKEN_BYTES_MAX: usize = 256;

/// A request that was let in: who asks, and of which env.
#[derive(Clone)]
pub(crate) struct Visit {
    /// The home.
    pub(crate) home: Arc<Home>,
    /// The env.
    pub(crate) env: Arc<Env>,
    /// Who asks.
    pub(crate) token: Token,
    /// The hash of their token.
    pub(crate) token_hash: String,
}

impl Visit {
    /// The env's store, charged to the API.
    pub(crate) fn store(&self) -> Store {
        self.env.store().for_verb(Verb::Api)
    }

    /// The time.
    pub(crate) fn now(&self) -> Moment {
        self.env.clock().now()
    }

    /// Who asks, as the audit trail names them.
    pub(crate) fn by(&self) -> &str {
        &self.token.name
    }

    /// True if this service is one that the asker may know of.
    pub(crate) fn may_see(&self, spec: &ServiceSpec) -> bool {
        match self.token.scope {
            Scope::Admin | Scope::Read => true,
            Scope::Owner => spec.owner.is_some() && spec.owner == self.token.owner,
            Scope::Worker => false,
        }
    }

    /// The service, if it is there and the asker may know of it; the same problem otherwise.
    pub(crate) async fn service(&self, id: &ServiceId) -> Result<Placed, Problem> {
        let found = self.store().load_service(id).await?.filter(|placed| self.may_see(&placed.spec));
        found.ok_or_else(|| Problem::no_such_service(id))
    }

    /// The address of something in this env.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("/v1/envs/{}/{path}", self.env.name())
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Visit {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let visit = parts.extensions.get::<Visit>().cloned();
        visit.ok_or_else(|| Problem::new(Kind::Internal, "nobody asked who asks", "please report it"))
    }
}

/// Lets a request in, or not. Stands before every operation that is not for anybody.
pub(crate) async fn guard(
    State((home, access)): State<(Arc<Home>, Access)>,
    params: RawPathParams,
    mut request: Request,
    next: Next,
) -> Response {
    let env = params.iter().find(|(name, _)| *name == "env").map(|(_, value)| value.to_owned());
    let peer = peer(request.extensions());
    match admit(&home, env.as_deref().unwrap_or_default(), request.headers(), peer, access).await {
        Ok(visit) => {
            request.extensions_mut().insert(visit);
            next.run(request).await
        }
        Err(problem) => problem.into_response(),
    }
}

async fn admit(
    home: &Arc<Home>,
    env: &str,
    headers: &HeaderMap,
    peer: Option<IpAddr>,
    access: Access,
) -> Result<Visit, Problem> {
    let Some(secret) = bearer(headers) else { return Err(unauthorized()) };
    let token_hash = sha256_hex(secret.as_bytes());
    if let Some(wait) = home.throttle.must_wait(peer, &token_hash) {
        let seconds = wait.as_secs() + 1;
        let detail = format!("too many attempts with tokens that are not valid; wait {seconds} s");
        let hint = "look at the token you send: each of these attempts failed";
        return Err(Problem::new(Kind::TooManyRequests, detail, hint).retry_after(seconds));
    }
    // A token is looked up by its hash, so how long that takes tells nothing of any secret.
    let token = match home.env(env) {
        Some(env) => env.store().for_verb(Verb::Api).find_token(&token_hash).await?,
        None => None,
    };
    let (Some(env), Some(token)) = (home.env(env), token.filter(|token| token.revoked_at.is_none())) else {
        home.throttle.failed(peer, &token_hash);
        return Err(unauthorized());
    };
    home.throttle.passed(&token_hash);
    if !access.scopes().contains(&token.scope) {
        return Err(forbidden(token.scope, access));
    }
    Ok(Visit { home: Arc::clone(home), env: Arc::clone(env), token, token_hash })
}

/// The one answer to whoever has no valid token, whatever the reason.
fn unauthorized() -> Problem {
    let detail = "the token is missing, unknown or revoked, or there is no such env";
    let hint = "send `Authorization: Bearer lamp_…` with a token of this env; `lamplighter token` makes one";
    Problem::new(Kind::Unauthorized, detail, hint)
}

fn forbidden(scope: Scope, access: Access) -> Problem {
    let needed: Vec<String> =
        access.scopes().iter().map(|scope| format!("`{}`", scope_name(*scope))).collect();
    let needed = needed.join(" or ");
    let detail = format!("the token's scope is `{}`; this needs {needed}", scope_name(scope));
    Problem::new(Kind::Forbidden, detail, format!("ask an admin for a token with the scope {needed}"))
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut all = headers.get_all(AUTHORIZATION).iter();
    let (Some(only), None) = (all.next(), all.next()) else { return None };
    let (kind, secret) = only.to_str().ok()?.split_once(' ')?;
    let secret = secret.trim();
    let plausible =
        kind.eq_ignore_ascii_case("bearer") && !secret.is_empty() && secret.len() <= TOKEN_BYTES_MAX;
    plausible.then_some(secret)
}

/// Tells the router who asks, where no connection of its own shows it: behind a gateway that says so itself.
pub fn tell_client(extensions: &mut Extensions, client: IpAddr) {
    extensions.insert(ConnectInfo(SocketAddr::new(client, 0)));
}

/// The client's address as the connection has it. What headers say of it is not believed: anybody can write them.
fn peer(extensions: &Extensions) -> Option<IpAddr> {
    extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(address)| address.ip())
}
