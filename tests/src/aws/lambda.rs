//! Lambda: its Runtime API, and the process that asks it for work.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use axum::Router;
use axum::extract::{Path as InPath, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::process::Child;
use tokio::sync::{Mutex, mpsc};

/// The functions there are, by the names of their programs.
pub const ROLES: [&str; 5] = ["api", "sweep", "recover", "advance", "notify"];
/// Megabytes of a function, as the template gives all but `api`.
pub const MEGABYTES: u32 = 128;
/// Longest that anything is waited for: more than any function's own time limit.
const PATIENCE: Duration = Duration::from_secs(90);
/// The time limit a call is told of, as the template gives `sweep`.
const TIME_LIMIT: Duration = Duration::from_secs(60);

/// What the function is seen to do.
enum Seen {
    /// It asks for its next event: whatever it did before is over.
    Asks(Instant),
    /// It says what came of an event: this status of ours, and this body of its.
    Answers { went_well: bool, body: String },
}

struct Stub {
    seen: mpsc::UnboundedSender<Seen>,
    events: Mutex<mpsc::UnboundedReceiver<Value>>,
}

/// A function in a process of its own. It ends when this is dropped.
pub struct Process {
    child: Child,
    seen: mpsc::UnboundedReceiver<Seen>,
    events: mpsc::UnboundedSender<Value>,
    log: PathBuf,
    _home: tempfile::TempDir,
    start: Duration,
}

/// What came of one call.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Whether it was an answer; else it was an error.
    pub went_well: bool,
    /// Its words, in JSON.
    pub body: String,
    /// From the event until the function asked for the next.
    pub wall: Duration,
}

impl Process {
    /// Starts a function's program in `folder`, where its key lies, with `told` and what Lambda itself sets for its
    /// environment, and waits until it asks for work.
    ///
    /// # Errors
    /// If it does not start, or does not ask in time.
    pub async fn start(
        program: &Path,
        folder: &Path,
        told: &BTreeMap<&str, String>,
    ) -> anyhow::Result<Process> {
        let home = tempfile::tempdir().context("making a folder for the log")?;
        let log = home.path().join("log");
        let file = std::fs::File::create(&log).context("making the log")?;
        let (seen_by, mut seen) = mpsc::unbounded_channel();
        let (events, to_it) = mpsc::unbounded_channel();
        let address = offer(Stub { seen: seen_by, events: Mutex::new(to_it) }).await?;
        let began = Instant::now();
        let child = tokio::process::Command::new(program)
            .current_dir(folder)
            .env_clear()
            .envs(told)
            .env("AWS_LAMBDA_RUNTIME_API", address.to_string())
            .env("AWS_LAMBDA_FUNCTION_NAME", "function")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", MEGABYTES.to_string())
            .env("AWS_LAMBDA_LOG_GROUP_NAME", "function")
            .env("AWS_LAMBDA_LOG_STREAM_NAME", "function")
            .stdin(Stdio::null())
            .stdout(file.try_clone().context("sharing the log")?)
            .stderr(file)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("starting `{}`", program.display()))?;
        let Seen::Asks(asked) = next(&mut seen).await? else {
            anyhow::bail!("the function answered before it asked")
        };
        Ok(Process { child, seen, events, log, _home: home, start: asked.duration_since(began) })
    }

    /// From its start until it first asked for work.
    #[must_use]
    pub fn start_took(&self) -> Duration {
        self.start
    }

    /// Its number, while it runs.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Makes one call, and waits until the function asks for the next.
    ///
    /// # Errors
    /// If the function ends, or does not ask in time.
    pub async fn call(&mut self, event: Value) -> anyhow::Result<Answer> {
        let began = Instant::now();
        self.events.send(event).map_err(|_| anyhow::anyhow!("nobody asks for events any more"))?;
        let Seen::Answers { went_well, body } = next(&mut self.seen).await? else {
            anyhow::bail!("the function asked before it answered")
        };
        let Seen::Asks(asked) = next(&mut self.seen).await? else {
            anyhow::bail!("the function answered twice")
        };
        Ok(Answer { went_well, body, wall: asked.duration_since(began) })
    }

    /// How much it has written so far.
    #[must_use]
    pub fn log_bytes(&self) -> u64 {
        std::fs::metadata(&self.log).map_or(0, |log| log.len())
    }

    /// What it has written so far.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

async fn next(seen: &mut mpsc::UnboundedReceiver<Seen>) -> anyhow::Result<Seen> {
    let seen = tokio::time::timeout(PATIENCE, seen.recv()).await.context("waiting for the function")?;
    seen.context("the Runtime API is gone")
}

async fn offer(stub: Stub) -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("starting the Runtime API")?;
    let address = listener.local_addr().context("finding the Runtime API")?;
    let router = Router::new()
        .route("/2018-06-01/runtime/invocation/next", get(hand_out))
        .route("/2018-06-01/runtime/invocation/{id}/{what}", post(take_in))
        .with_state(Arc::new(stub));
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(address)
}

async fn hand_out(State(stub): State<Arc<Stub>>) -> Response {
    // Whoever listened may be gone: then nobody waits for the event either.
    let _ = stub.seen.send(Seen::Asks(Instant::now()));
    let Some(event) = stub.events.lock().await.recv().await else {
        return StatusCode::GONE.into_response();
    };
    let deadline = SystemTime::now() + TIME_LIMIT;
    let deadline = deadline.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let headers = [
        ("lambda-runtime-aws-request-id", "8476a536-e9f4-11e8-9739-2dfe598c3fcd".to_owned()),
        ("lambda-runtime-deadline-ms", deadline.to_string()),
        ("lambda-runtime-invoked-function-arn", "arn:aws:lambda:us-east-1:1:function:function".to_owned()),
    ];
    (headers, event.to_string()).into_response()
}

async fn take_in(
    State(stub): State<Arc<Stub>>,
    InPath((_, what)): InPath<(String, String)>,
    body: String,
) -> StatusCode {
    let _ = stub.seen.send(Seen::Answers { went_well: what == "response", body });
    StatusCode::ACCEPTED
}
