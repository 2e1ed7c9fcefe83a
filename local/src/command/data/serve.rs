//! `data serve`: the embedded store as a DynamoDB endpoint of this machine, for functions that are tried out on it.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_TYPE, HOST};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use lamplighter_core::{EnvName, Moment};
use lamplighter_store::AWS_OPERATION_LIMIT;
use lamplighter_store::embedded::{Endpoint, REQUEST_BYTES_MAX, TABLE};
use serde_json::json;
use tokio::net::TcpListener;

use super::{failed, make_folder};
use crate::config::data_file;
use crate::exit::{Exit, Failure};
use crate::logging;
use crate::say::{self, Form};
use crate::serve::{ANSWERS_GRACE, told_to_stop};

/// Longest one request may take, its body included. Whoever asks has given up by then.
const REQUEST_LIMIT: Duration = AWS_OPERATION_LIMIT;
/// How often items whose time is over are swept away: as often as the server does.
const FORGETTING_EVERY: Duration = Duration::from_secs(3_600);
/// How DynamoDB calls its JSON.
const MEDIA: &str = "application/x-amz-json-1.0";

/// Serves the data of `env` until told to stop.
pub(super) async fn run(form: Form, data: &Path, env: &EnvName, listen: SocketAddr) -> Result<(), Failure> {
    if !listen.ip().is_loopback() {
        let what = format!("`data serve` does not listen on {listen}: it asks nobody who they are");
        return Err(Failure::new(Exit::Usage, what)
            .hint("listen on an address of this machine alone, such as `127.0.0.1:8000`"));
    }
    logging::start();
    let cannot = |error: std::io::Error| {
        Failure::new(Exit::Failed, format!("cannot listen on {listen}: {error}"))
            .hint("stop what uses the port (`ss -ltnp` shows it), or choose another with `--listen`")
    };
    let listener = TcpListener::bind(listen).await.map_err(cannot)?;
    let url = format!("http://{}", listener.local_addr().map_err(cannot)?);
    make_folder(data)?;
    let endpoint = Endpoint::open(&data_file(data, env), env, now()).await.map_err(|error| failed(&error))?;
    let stop = told_to_stop();
    if form == Form::Json {
        say::data(&format!("{}\n", json!({ "url": url, "table": TABLE, "env": env })))?;
    }
    say::note(&format!("the data of `{env}` is the table `{TABLE}` of DynamoDB at {url}"));
    say::note("whoever can reach that address, any user of this machine, can read and change all of it");
    say::note(&format!("  for programs that use it: AWS_ENDPOINT_URL_DYNAMODB={url}"));
    offer(listener, Arc::new(endpoint), stop).await;
    tracing::info!("stopped");
    Ok(())
}

/// Answers until `stop`, and finishes what is being answered then.
async fn offer(listener: TcpListener, endpoint: Arc<Endpoint>, stop: impl Future<Output = ()>) {
    let router = Router::new().route("/", post(answer)).with_state(Arc::clone(&endpoint));
    let (stopping, stopped) = tokio::sync::oneshot::channel::<()>();
    let closed = async move { drop(stopped.await) };
    let server =
        tokio::spawn(async move { axum::serve(listener, router).with_graceful_shutdown(closed).await });
    tokio::select! {
        () = stop => {}
        () = forget(&endpoint) => {}
    }
    drop(stopping);
    if tokio::time::timeout(ANSWERS_GRACE, server).await.is_err() {
        tracing::debug!("answers still being written are cut off");
    }
}

/// Sweeps expired items away, for ever: DynamoDB does so by itself.
async fn forget(endpoint: &Endpoint) {
    let mut hours = tokio::time::interval(FORGETTING_EVERY);
    loop {
        hours.tick().await;
        if let Err(error) = endpoint.sweep_ttl(now()).await {
            tracing::error!(%error, "expired items are not swept away: {error}");
        }
    }
}

async fn answer(State(endpoint): State<Arc<Endpoint>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    if !names_this_machine(&head.headers) {
        return refused(StatusCode::FORBIDDEN, "AccessDeniedException", "the `Host` is not this machine");
    }
    let target = head.headers.get("x-amz-target").and_then(|value| value.to_str().ok()).unwrap_or_default();
    match tokio::time::timeout(REQUEST_LIMIT, answer_body(&endpoint, target, body)).await {
        Ok(answer) => answer,
        // Whether the request was carried out is not known: so it must not look like a refusal.
        Err(_) => {
            refused(StatusCode::INTERNAL_SERVER_ERROR, "InternalServerError", "it took longer than it may")
        }
    }
}

async fn answer_body(endpoint: &Endpoint, target: &str, body: Body) -> Response {
    let Ok(body) = to_bytes(body, REQUEST_BYTES_MAX).await else {
        return refused(StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge", "the request is too long");
    };
    let (status, answer) = endpoint.answer(target, &body).await;
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, [(CONTENT_TYPE, MEDIA)], answer).into_response()
}

fn refused(status: StatusCode, kind: &str, message: &str) -> Response {
    let body = json!({ "__type": format!("com.amazonaws.dynamodb.v20120810#{kind}"), "message": message });
    (status, [(CONTENT_TYPE, MEDIA)], body.to_string()).into_response()
}

/// True if the request was meant for this machine. A page of the web, open in a browser here, can make its own name mean
/// this machine and then ask what it likes; but it cannot help naming itself.
fn names_this_machine(headers: &HeaderMap) -> bool {
    let host = headers.get(HOST).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        Some(_) | None => host,
    };
    let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    name == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

fn now() -> Moment {
    Moment::from(SystemTime::now())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_are_taken() {
        let names = |host: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, host.parse().unwrap());
            names_this_machine(&headers)
        };
        for ours in ["127.0.0.1:8000", "127.0.0.1", "localhost:8000", "localhost", "[::1]:8000", "[::1]"] {
            assert!(names(ours), "{ours}");
        }
        for other in
            ["", "evil.example:8000", "127.0.0.1.evil.example", "localhost.evil.example:80", "10.0.0.1:8000"]
        {
            assert!(!names(other), "{other}");
        }
        assert!(!names_this_machine(&HeaderMap::new()));
    }
}
