//! An env with a table, a host that counts who comes, and functions told of both.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use lamplighter_core::spec::ServiceSpec;
use lamplighter_core::{EnvName, Moment};
use lamplighter_tests::aws::{Answer, Process, Table};
use serde_json::{Value, json};
use tempfile::TempDir;

/// What no log and no answer may hold.
const SECRET: &str = "a-secret-access-key";
/// Most characters of a failure's words: as much as a tired person reads.
const LONGEST_LINE: usize = 300;
/// The shortest interval of an env.
const TICK: Duration = Duration::from_secs(60);

/// An env on AWS.
pub(crate) struct World {
    home: TempDir,
    pub(crate) table: Table,
    pub(crate) host: Host,
}

/// A host that lets everybody in, says nothing, and counts who came.
pub(crate) struct Host {
    listener: TcpListener,
    port: u16,
    visits: AtomicU64,
}

impl Host {
    fn start() -> Host {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        Host { listener, port, visits: AtomicU64::new(0) }
    }

    /// How many have come so far: whoever was connected waits to be counted.
    pub(crate) fn visits(&self) -> u64 {
        while self.listener.accept().is_ok() {
            self.visits.fetch_add(1, Ordering::Relaxed);
        }
        self.visits.load(Ordering::Relaxed)
    }
}

impl World {
    /// An env `dev` whose one service is checked and restarted as these say.
    pub(crate) async fn with(check: Value, restart: Value) -> World {
        World::around(Host::start(), check, restart).await
    }

    async fn around(host: Host, check: Value, restart: Value) -> World {
        let home = tempfile::tempdir().unwrap();
        let spec = json!({
            "id": "lamp", "address": format!("127.0.0.1:{}", host.port), "user": "lamp",
            "key": "ssm:/lamplighter/dev/key", "owner": "owner@example.com", "check": check, "restart": restart,
            "host_key": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDAgk0PVM0ZbTgiZ9kzCEvYzPfHlXxxv2+BxbADqLGOm",
        });
        let spec: ServiceSpec = serde_json::from_value(spec).unwrap();
        let table = Table::with(home.path(), &env(), &[spec], Duration::ZERO).await.unwrap();
        World { home, table, host }
    }

    /// The same, looked at by a TCP connection to its host: nothing but the host is needed for that.
    pub(crate) async fn by_tcp() -> World {
        let host = Host::start();
        let check = json!({"tcp": host.port});
        World::around(host, check, json!({"systemd": "web"})).await
    }

    /// What the template tells a function, changed as `changes` say: `None` takes a variable away.
    fn told<'a>(&self, changes: &[(&'a str, Option<&str>)]) -> BTreeMap<&'a str, String> {
        let mut told: BTreeMap<&str, String> = [
            ("LAMPLIGHTER_ENV", "dev"),
            ("LAMPLIGHTER_TABLE", lamplighter_store::embedded::TABLE),
            ("LAMPLIGHTER_QUEUE_URL", "none"),
            ("LAMPLIGHTER_MAIL", "folder:letters"),
            ("LAMPLIGHTER_ALLOWED_NETWORKS", "127.0.0.0/8"),
            ("AWS_ENDPOINT_URL_DYNAMODB", self.table.url()),
            ("AWS_REGION", "eu-central-1"),
            ("AWS_ACCESS_KEY_ID", "somebody"),
            ("AWS_SECRET_ACCESS_KEY", SECRET),
        ]
        .map(|(key, value)| (key, value.to_owned()))
        .into();
        for (key, value) in changes {
            match value {
                Some(value) => told.insert(key, (*value).to_owned()),
                None => told.remove(key),
            };
        }
        told
    }

    pub(crate) async fn start(&self, role: &str, changes: &[(&str, Option<&str>)]) -> Started {
        let (program, told) = (Path::new(program(role)), self.told(changes));
        let process = Process::start(program, self.home.path(), &told).await.unwrap();
        Started { process }
    }

    /// Starts a function, calls it once and ends it.
    pub(crate) async fn call(&self, role: &str, changes: &[(&str, Option<&str>)], event: Value) -> Told {
        self.start(role, changes).await.call(event).await
    }

    /// Everything that the table holds, as text.
    pub(crate) async fn items(&self) -> String {
        let scan = json!({"TableName": lamplighter_store::embedded::TABLE});
        self.table.ask("Scan", &scan).await.unwrap()["Items"].to_string()
    }

    /// Changes one attribute of the item that says what the table is.
    pub(crate) async fn change_schema(&self, change: &str, attribute: &str, value: Option<Value>) {
        let mut request = json!({
            "TableName": lamplighter_store::embedded::TABLE,
            "Key": {"pk": {"S": "META"}, "sk": {"S": "SCHEMA"}},
            "UpdateExpression": change,
            "ExpressionAttributeNames": {"#it": attribute},
        });
        if let Some(value) = value {
            request["ExpressionAttributeValues"] = json!({":it": value});
        }
        self.table.ask("UpdateItem", &request).await.unwrap();
    }
}

/// A function at work.
pub(crate) struct Started {
    process: Process,
}

/// What a call came to.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) answer: Answer,
    pub(crate) log: String,
}

impl Started {
    /// Makes one call. Whatever comes of it, no secret is in it.
    pub(crate) async fn call(&mut self, event: Value) -> Told {
        let before = self.process.log().len();
        let answer = self.process.call(event).await.unwrap();
        let log = self.process.log().split_off(before);
        assert!(!answer.body.contains(SECRET) && !log.contains(SECRET), "{log}\n{answer:?}");
        Told { answer, log }
    }
}

impl Told {
    /// The stable name of its failure, and its words: one line, the same for Lambda and for the log.
    pub(crate) fn failure(&self) -> (String, String) {
        assert!(!self.answer.went_well, "{self:?}");
        let body: Value = serde_json::from_str(&self.answer.body).unwrap();
        let text = |key: &str| body[key].as_str().unwrap().to_owned();
        let (name, words) = (text("errorType"), text("errorMessage"));
        assert!(
            include_str!("../../../docs/AWS.md").contains(&format!("`{name}`")),
            "nobody tells of {name}"
        );
        assert!(!words.contains('\n') && words.chars().count() < LONGEST_LINE, "{words}");
        let told: Vec<&str> = self.log.lines().filter(|line| line.contains("\"ERROR\"")).collect();
        assert_eq!(told.len(), 1, "{}", self.log);
        let line: Value = serde_json::from_str(told[0]).unwrap();
        assert_eq!(line["fields"]["error_type"], *name, "{line}");
        assert_eq!(line["fields"]["message"], *words, "{line}");
        (name, words)
    }

    pub(crate) fn went_well(&self) {
        assert!(self.answer.went_well, "{self:?}");
    }
}

fn program(role: &str) -> &'static str {
    match role {
        "api" => env!("CARGO_BIN_EXE_api"),
        "sweep" => env!("CARGO_BIN_EXE_sweep"),
        "recover" => env!("CARGO_BIN_EXE_recover"),
        "advance" => env!("CARGO_BIN_EXE_advance"),
        "notify" => env!("CARGO_BIN_EXE_notify"),
        other => panic!("there is no function `{other}`"),
    }
}

fn env() -> EnvName {
    "dev".parse().unwrap()
}

pub(crate) fn now() -> i64 {
    Moment::from(SystemTime::now()).as_secs()
}

/// A ring for a function, due in so many seconds. One for `sweep` is for the tick after `ticks` others.
pub(crate) fn ring(role: &str, in_secs: i64, ticks: u64) -> Value {
    let tick = Moment::from(SystemTime::now()).tick(TICK) + ticks * TICK.as_secs();
    let due = now() + in_secs;
    match role {
        "sweep" => json!({"ring": "sweep", "due": due, "tick": tick}),
        other => json!({"ring": other, "due": due}),
    }
}
