//! The way to a table that is not this program's own: an emulator of DynamoDB, and before it a proxy that speaks the
//! protocol and breaks it when told to.

use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use lamplighter_tests::http;
use serde_json::{Value, json};

use crate::fault::Rule;

/// Longest either of the two takes to start on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(60);
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// The proxy's rules.
const RULES: &str = "/_microburst/rules";

/// Both programs, running. They end when this is dropped.
pub(crate) struct Way {
    emulator: Program,
    proxy: Program,
    _home: tempfile::TempDir,
}

impl Way {
    /// Starts both; `None` where the tools of AWS are not.
    pub(crate) fn open() -> Option<Way> {
        let tools = PathBuf::from(std::env::var_os("LAMPLIGHTER_AWS_TOOLS")?).join("emulator/bin");
        let home = tempfile::tempdir().unwrap();
        let emulator =
            Program::start(&tools.join("ministack"), home.path(), "/_ministack/health", |it, port| {
                it.env("GATEWAY_PORT", port.to_string());
            });
        let upstream = emulator.url();
        let proxy =
            Program::start(&tools.join("microburst"), home.path(), "/_microburst/health", |it, port| {
                it.args(["--host", "127.0.0.1", "--upstream", &upstream, "--port", &port.to_string()]);
            });
        let way = Way { emulator, proxy, _home: home };
        way.warm_up();
        Some(way)
    }

    /// The proxy's first request takes it as long as reading all of AWS's models does: that is no fault to be told of.
    fn warm_up(&self) {
        let scope = "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=0";
        let heads = [
            ("authorization", scope),
            ("x-amz-target", "DynamoDB_20120810.ListTables"),
            ("content-type", "application/x-amz-json-1.0"),
        ];
        let answer = http::send(&self.proxy.url(), "POST", "/", &heads, "{}").unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text);
    }

    /// The account as the test itself reaches it: past the proxy.
    pub(crate) fn good(&self) -> SdkConfig {
        account(&self.emulator.url())
    }

    /// The account as the engine reaches it: by the client of the functions, which has to make of each fault what the SDK's
    /// retries know what to do with.
    pub(crate) fn bad(&self) -> SdkConfig {
        account(&self.proxy.url()).into_builder().http_client(lamplighter_functions::http_client()).build()
    }

    /// Puts a rule on the way to `table`. Answers its number.
    pub(crate) fn put(&self, table: &str, rule: &Rule) -> u64 {
        match *rule {
            Rule::Count { operation } => self.tell(table, operation, json!({"latency": 0})),
            Rule::Spoil { operation, fault, after } => {
                if after > 0 {
                    self.tell(table, operation, json!({"latency": 0, "times": after}));
                }
                self.tell(table, operation, fault.as_told(operation))
            }
        }
    }

    /// How often this rule was applied.
    pub(crate) fn applied(&self, rule: u64) -> u64 {
        let rules = self.ask("GET", "");
        let found = rules.as_array().unwrap().iter().find(|one| one["id"] == rule);
        found.and_then(|rule| rule["fired_count"].as_u64()).unwrap()
    }

    /// Ends all that is done on the way to `table`.
    pub(crate) fn mend(&self, table: &str) {
        self.ask("DELETE", &json!([{"body": of_table(table)}]).to_string());
    }

    fn tell(&self, table: &str, operation: &str, mut rule: Value) -> u64 {
        rule["service"] = json!("dynamodb");
        rule["operation"] = json!(operation);
        rule["body"] = json!(of_table(table));
        self.ask("PATCH", &json!([rule]).to_string())[0]["id"].as_u64().unwrap()
    }

    fn ask(&self, method: &str, body: &str) -> Value {
        let answer = http::send(&self.proxy.url(), method, RULES, &[], body).unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.body
    }
}

/// The requests that concern `table`: its name stands somewhere else in those of batches and transactions.
fn of_table(table: &str) -> String {
    format!("contains(to_string(@), '\"{table}\"')")
}

fn account(url: &str) -> SdkConfig {
    let credentials = Credentials::new("test", "test", None, None, "a test");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new("us-east-1"))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .endpoint_url(url)
        .build()
}

/// One of the two.
struct Program {
    child: Child,
    port: u16,
}

impl Program {
    fn start(program: &Path, home: &Path, health: &str, tell: impl Fn(&mut Command, u16)) -> Program {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let log = home.join(program.file_name().unwrap()).with_extension("log");
        let out = File::create(&log).unwrap();
        let mut command = Command::new(program);
        command.current_dir(home).stdin(Stdio::null()).stdout(out.try_clone().unwrap()).stderr(out);
        tell(&mut command, port);
        let started = Program { child: command.spawn().unwrap(), port };
        let begun = Instant::now();
        while http::send(&started.url(), "GET", health, &[], "").is_err() {
            let said = || std::fs::read_to_string(&log).unwrap_or_default();
            assert!(begun.elapsed() < START_LIMIT, "{} does not start: {}", program.display(), said());
            std::thread::sleep(LOOK_AGAIN);
        }
        started
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
