//! What `api` does: the one router of both homes, behind API Gateway.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::future::LocalBoxFuture;
use http::{Response, StatusCode};
use lambda_http::request::RequestContext;
use lambda_http::{Body, Error, IntoResponse as _, Request, RequestExt as _};
use lamplighter_http::{Home, adopt_token, router, tell_client};
use serde_json::json;
use tokio::sync::OnceCell;
use tokio::time::Instant;
use tower::util::BoxCloneSyncService;
use tower::{ServiceExt as _, service_fn};

use crate::function::Setup;
use crate::run::KEPT_FOR_THE_END;
use crate::{Failure, Function, Means, Role, log};

/// Whom the audit trail names for the token that was made at deployment.
const FIRST_ADMIN: &str = "admin";
/// The time of a call that Lambda says nothing of: the gateway's own limit.
const LEAST_TIME: Duration = Duration::from_secs(29);

/// The router behind the gateway.
type Api = BoxCloneSyncService<Request, Response<Body>, Infallible>;

/// Serves the API until Lambda ends the process.
///
/// # Errors
/// If Lambda's own interface cannot be used.
pub fn serve() -> LocalBoxFuture<'static, Result<(), Error>> {
    Box::pin(answer_requests())
}

async fn answer_requests() -> Result<(), Error> {
    log::start();
    let setup = Setup::new(Role::Api, Means::none());
    let api: OnceCell<Api> = OnceCell::new();
    let (setup, api) = (&setup, &api);
    lambda_http::run(service_fn(move |request: Request| async move {
        let began = Instant::now();
        Ok::<_, Infallible>(match open(setup.as_ref(), api).await {
            Ok((function, api)) => {
                let answer = ask(api, request).await;
                function.end_call(began).await;
                answer
            }
            Err(failure) => {
                failure.log();
                problem(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "unavailable",
                    failure.name(),
                    "look into the function's log",
                )
            }
        })
    }))
    .await
}

async fn open<'a>(
    setup: Result<&'a Setup, &Failure>,
    api: &'a OnceCell<Api>,
) -> Result<(&'a Function, &'a Api), Failure> {
    let function = setup.map_err(Failure::again)?.open().await?;
    let function = function.ok_or_else(|| Failure::Fault("the table was opened, and is empty".to_owned()))?;
    let api = api.get_or_try_init(|| async { home(function).await.map(behind_the_gateway) }).await?;
    Ok((function, api))
}

/// What the router serves. The token that was made at deployment is let in from now on, unless it was revoked since.
async fn home(function: &Function) -> Result<Home, Failure> {
    if let Some(hash) = &function.config.admin_token_sha256 {
        adopt_token(&function.env, FIRST_ADMIN, hash).await.map_err(|error| Failure::BadConfiguration {
            key: "LAMPLIGHTER_ADMIN_TOKEN_SHA256",
            problem: error.to_string(),
        })?;
    }
    let read = Arc::clone(&function.vault);
    Ok(Home::new([Arc::clone(&function.env)], function.now(), env!("CARGO_PKG_VERSION"))
        .with_vault(move |name| read(name))
        .without_streams())
}

fn behind_the_gateway(home: Home) -> Api {
    let router = router(Arc::new(home));
    BoxCloneSyncService::new(service_fn(move |request: Request| {
        let router = router.clone();
        async move {
            let Ok(answer) = router.oneshot(request).await;
            Ok(answer.into_response().await)
        }
    }))
}

/// Puts a request to the router, within what is left of the call's time.
async fn ask(api: &Api, mut request: Request) -> Response<Body> {
    let deadline = request.lambda_context_ref().map(lambda_http::Context::deadline);
    let left =
        deadline.and_then(|deadline| deadline.duration_since(SystemTime::now()).ok()).unwrap_or(LEAST_TIME);
    if let Some(client) = client(&request) {
        tell_client(request.extensions_mut(), client);
    }
    match tokio::time::timeout(left.saturating_sub(KEPT_FOR_THE_END), api.clone().oneshot(request)).await {
        Ok(Ok(answer)) => answer,
        Err(_) => problem(
            StatusCode::GATEWAY_TIMEOUT,
            "timed-out",
            "it took too long",
            "ask what came of it before trying again",
        ),
    }
}

/// Who asks, as the gateway saw it. What headers say is not believed.
fn client(request: &Request) -> Option<std::net::IpAddr> {
    let RequestContext::ApiGatewayV2(context) = request.request_context_ref()? else { return None };
    context.http.source_ip.as_deref()?.parse().ok()
}

/// A problem of the function itself, in the shape of all others.
fn problem(status: StatusCode, kind: &str, detail: &str, hint: &str) -> Response<Body> {
    let body = json!({"type": format!("/problems/{kind}"), "title": "It cannot be answered now", "status": status.as_u16(),
        "detail": detail, "hint": hint});
    let mut answer = Response::new(Body::from(body.to_string()));
    *answer.status_mut() = status;
    let problem = http::HeaderValue::from_static("application/problem+json");
    answer.headers_mut().insert(http::header::CONTENT_TYPE, problem);
    answer
}
