//! The emulator of AWS: one process on a free port of this machine.

use std::fs::File;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use lamplighter_tests::http::{self, Answer};
use serde_json::{Value, json};

use crate::running::Running;
use crate::tools::Tools;

/// The region that everything is in.
pub(crate) const REGION: &str = "us-east-1";
/// Longest the emulator takes to start on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(60);
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// A running emulator. It ends, with the functions it runs, when this is dropped.
pub(crate) struct Emulator {
    _running: Running,
    port: u16,
    log: PathBuf,
}

impl Emulator {
    /// Starts one.
    pub(crate) fn start(tools: &Tools, home: &std::path::Path) -> Emulator {
        let port = free_port();
        let log = home.join("emulator.log");
        let mut command = tools.emulator();
        let out = File::create(&log).unwrap();
        command.current_dir(home).stdin(Stdio::null()).stdout(out.try_clone().unwrap()).stderr(out);
        command.env("GATEWAY_PORT", port.to_string()).env("AWS_DEFAULT_REGION", REGION);
        // It unpacks the functions there, and leaves them behind.
        command.env("TMPDIR", home);
        // The functions that it runs inherit this, and find the services by it.
        command.env("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{port}"));
        // Its functions end with it.
        let emulator = Emulator { _running: Running::start(&mut command), port, log };
        let begun = Instant::now();
        while http::send(&emulator.url(), "GET", "/_ministack/health", &[], "").is_err() {
            assert!(begun.elapsed() < START_LIMIT, "the emulator does not start: {}", emulator.said());
            std::thread::sleep(LOOK_AGAIN);
        }
        emulator
    }

    /// Where it is.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// What it and the functions have written.
    pub(crate) fn said(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Calls an operation of a service that speaks JSON, as its SDK would.
    pub(crate) fn call(&self, service: &str, target: &str, body: &Value) -> Value {
        let heads = [("x-amz-target", target)];
        let answer = self.signed(service, "POST", "/", &heads, &body.to_string());
        assert!(answer.status < 300, "{target}: {} {}", answer.status, answer.body);
        answer.body
    }

    /// Calls a function with an event, and waits for its answer.
    pub(crate) fn invoke(&self, function: &str, event: &Value) -> Answer {
        let path = format!("/2015-03-31/functions/{function}/invocations");
        self.signed("lambda", "POST", &path, &[], &event.to_string())
    }

    /// How large the archive of a function is, in bytes.
    pub(crate) fn archive_bytes(&self, function: &str) -> u64 {
        let path = format!("/2015-03-31/functions/{function}/configuration");
        let told = self.signed("lambda", "GET", &path, &[], "");
        told.body["CodeSize"].as_u64().unwrap_or_else(|| panic!("no size of `{function}`: {}", told.text))
    }

    /// What the functions have logged: our own lines, without the platform's.
    pub(crate) fn logged(&self, group: &str) -> Vec<String> {
        let told = self.call("logs", "Logs_20140328.FilterLogEvents", &json!({"logGroupName": group}));
        let lines =
            told["events"].as_array().into_iter().flatten().filter_map(|event| event["message"].as_str());
        lines.filter(|line| line.starts_with('{')).map(str::to_owned).collect()
    }

    /// The letters that were sent.
    pub(crate) fn letters(&self) -> Vec<Value> {
        let answer = http::send(&self.url(), "GET", "/_ministack/ses/messages", &[], "").unwrap();
        let by_account =
            answer.body["messages"].as_object().into_iter().flat_map(|accounts| accounts.values());
        by_account.filter_map(Value::as_array).flatten().cloned().collect()
    }

    /// Calls an operation of a service that speaks forms and XML.
    pub(crate) fn query(&self, service: &str, form: &str) -> String {
        let heads = [("content-type", "application/x-www-form-urlencoded")];
        self.signed(service, "POST", "/", &heads, form).text
    }

    fn signed(&self, service: &str, method: &str, path: &str, heads: &[(&str, &str)], body: &str) -> Answer {
        // Nobody checks the signature here; its scope says which service is meant.
        let scope = format!(
            "AWS4-HMAC-SHA256 Credential=test/20260101/{REGION}/{service}/aws4_request, SignedHeaders=host, Signature=0"
        );
        let mut all = vec![("authorization", scope.as_str())];
        all.extend(heads);
        http::send(&self.url(), method, path, &all, body).unwrap()
    }
}

/// A port that nobody listens on just now.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
