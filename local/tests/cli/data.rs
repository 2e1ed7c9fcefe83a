//! The way between the two homes: a data file offered as a table, and exports into it and out of it.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::SystemTime;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use lamplighter_core::decision::Decision;
use lamplighter_core::spec::ServiceSpec;
use lamplighter_core::{EnvName, Moment};
use lamplighter_store::{
    Claim, Commit, Expected, Fence, LeaseName, OpenError, Put, ShardNo, Store, aws_client,
};
use serde_json::{Value, json};

use super::{status, stderr, stdout};

/// The table's name at the endpoint.
const TABLE: &str = "lamplighter";

fn env() -> EnvName {
    "prod".parse().unwrap()
}

fn now() -> Moment {
    Moment::from(SystemTime::now())
}

fn command(home: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lamplighter"));
    command.args(arguments).env_clear().env("HOME", home).envs(variables.iter().copied()).current_dir(home);
    // Or credentials would be looked for at a service that only machines of EC2 have.
    command.env("AWS_EC2_METADATA_DISABLED", "true").stdin(Stdio::null());
    command
}

fn run(home: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    command(home, arguments, variables).output().unwrap()
}

/// `lamplighter data serve` on a free port. Ends with the test.
struct Endpoint {
    process: Child,
    url: String,
}

impl Endpoint {
    fn start(home: &Path, data: &str) -> Endpoint {
        let arguments = ["data", "serve", "--data", data, "--listen", "127.0.0.1:0", "--json"];
        let mut process =
            command(home, &arguments, &[]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let said: Value = serde_json::from_str(&line).unwrap();
        assert_eq!((&said["table"], &said["env"]), (&json!(TABLE), &json!("prod")));
        Endpoint { process, url: said["url"].as_str().unwrap().to_owned() }
    }

    fn account(&self) -> SdkConfig {
        let credentials = Credentials::new("any", "will do", None, None, "nobody asks");
        SdkConfig::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::from_static("us-east-1"))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .endpoint_url(&self.url)
            .build()
    }

    async fn open(&self, table: &str) -> Result<Store, OpenError> {
        Store::open(aws_client(&self.account()), table, &env(), now()).await
    }

    /// What a shell has that works with the endpoint.
    fn variables(&self) -> [(&str, &str); 4] {
        [
            ("AWS_ENDPOINT_URL_DYNAMODB", &self.url),
            ("AWS_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", "any"),
            ("AWS_SECRET_ACCESS_KEY", "will do"),
        ]
    }

    async fn ask(&self, operation: &str, request: &Value) -> (u16, Value) {
        let request = reqwest::Client::new()
            .post(&self.url)
            .header("x-amz-target", format!("DynamoDB_20120810.{operation}"))
            .body(request.to_string());
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        assert_eq!(answer.headers()["content-type"], "application/x-amz-json-1.0");
        (status, answer.json().await.unwrap())
    }

    /// Tells it to end, and waits for that.
    fn stop(mut self) -> i32 {
        let pid = rustix::process::Pid::from_child(&self.process);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.process.wait().unwrap().code().unwrap()
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn spec(id: &str, more: &Value) -> ServiceSpec {
    let mut spec = json!({ "id": id, "address": "203.0.113.7", "user": "rachel", "check": { "systemd": "web" }, "restart": { "systemd": "web" } });
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(spec).unwrap()
}

#[tokio::test]
async fn a_client_of_aws_finds_a_table_in_the_data_file() {
    let home = tempfile::tempdir().unwrap();
    let endpoint = Endpoint::start(home.path(), "data");
    let (store, other) = (endpoint.open(TABLE).await.unwrap(), endpoint.open(TABLE).await.unwrap());
    let put = store.put_service(&spec("vps-001", &json!({})), Expected::Absent, now()).await.unwrap();
    assert_eq!(put, Put::Created { version: 1 });
    let placed = other.load_service(&"vps-001".parse().unwrap()).await.unwrap().unwrap();
    let mut next = placed.watch.clone();
    next.version += 1;
    let decision = Decision { next, effects: Vec::new() };
    assert_eq!(store.commit(Fence::Person, &placed, &decision).await.unwrap(), Commit::Done { added: 1 });
    assert_eq!(other.commit(Fence::Person, &placed, &decision).await.unwrap(), Commit::Stale);

    // What the table says of a transaction's reasons, and of the item that was in the way.
    let key = json!({ "pk": { "S": "META" }, "sk": { "S": "SCHEMA" } });
    let check = json!({
        "TableName": TABLE, "Key": key, "ConditionExpression": "attribute_not_exists(pk)",
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    });
    let free = json!({ "TableName": TABLE, "Item": { "pk": { "S": "X" }, "sk": { "S": "Y" } } });
    let both = json!({ "TransactItems": [{ "Put": free }, { "ConditionCheck": check }] });
    let (answered, cancelled) = endpoint.ask("TransactWriteItems", &both).await;
    let reasons = &cancelled["CancellationReasons"];
    assert_eq!(answered, 400, "{cancelled}");
    assert_eq!(
        (&reasons[0]["Code"], &reasons[1]["Code"]),
        (&json!("None"), &json!("ConditionalCheckFailed"))
    );
    assert_eq!(reasons[1]["Item"]["env"], json!({ "S": "prod" }));

    let elsewhere = endpoint.open("another").await.unwrap_err();
    assert!(matches!(elsewhere, OpenError::NoTable { .. }), "{elsewhere}");
    let second = run(home.path(), &["data", "export", "--data", "data"], &[]);
    assert!(status_and(&second, 1).contains("in use by another process"), "one process has the file");
    assert_eq!(endpoint.stop(), 0);
    assert_eq!(status(&run(home.path(), &["data", "export", "--data", "data"], &[])), 0);
}

#[tokio::test]
async fn a_request_that_was_not_meant_for_this_machine_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let endpoint = Endpoint::start(home.path(), "data");
    let client = reqwest::Client::new();
    let ask = |host: &'static str, body: Vec<u8>| {
        client
            .post(&endpoint.url)
            .header("host", host)
            .header("x-amz-target", "DynamoDB_20120810.Scan")
            .body(body)
    };
    let scan = json!({ "TableName": TABLE }).to_string().into_bytes();
    assert_eq!(ask("evil.example", scan.clone()).send().await.unwrap().status().as_u16(), 403);
    assert_eq!(ask("localhost", scan).send().await.unwrap().status().as_u16(), 200);
    let long = vec![b' '; 17 * 1_024 * 1_024];
    // Its sender may be cut off before it has read the refusal.
    if let Ok(answer) = ask("localhost", long).send().await {
        assert_eq!(answer.status().as_u16(), 413);
    }
    let open = run(home.path(), &["data", "serve", "--data", "other", "--listen", "0.0.0.0:0"], &[]);
    assert!(status_and(&open, 2).contains("hint: listen on an address of this machine alone"));
    assert!(!home.path().join("other").exists());
}

/// The lines between header and trailer, sorted, but for what differs between any two tables: when each was made.
fn items(export: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(export).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let mut items: Vec<String> = lines[1..lines.len() - 1].iter().map(|line| (*line).to_owned()).collect();
    items.retain(|line| !line.contains(r#""sk":{"S":"SCHEMA"}"#));
    items.sort();
    items
}

/// A box with some services, one of which is at work: its shard and its recovery are held.
async fn fill(data: &Path) {
    std::fs::create_dir(data).unwrap();
    let store = Store::open_file(&data.join("prod.sqlite"), &env(), now()).await.unwrap();
    for number in 0..60 {
        let more = match number {
            0..5 => json!({ "key": "file:keys/prod" }),
            5..7 => json!({ "transport": "local", "user": null }),
            _ => json!({ "key": "ssm:/lamplighter/key" }),
        };
        store.put_service(&spec(&format!("vps-{number:03}"), &more), Expected::Absent, now()).await.unwrap();
    }
    let later = now() + std::time::Duration::from_secs(60);
    let shard = store.claim_shard(ShardNo::FIRST, 7, "somebody", now(), later).await.unwrap();
    let lease = store.claim_lease(LeaseName::Recover, "somebody", now(), later).await.unwrap();
    assert!(matches!((shard, lease), (Claim::Won(_), Claim::Won(_))));
}

#[tokio::test]
async fn what_goes_from_a_box_to_a_table_and_back_is_the_same_but_for_the_leases() {
    let home = tempfile::tempdir().unwrap();
    let path = |name: &str| home.path().join(name);
    fill(&path("box")).await;
    // Opening a file ends the leases in it; the owners are there before.
    let endpoint = Endpoint::start(home.path(), "table");
    let there = endpoint.variables();
    let done = |arguments: &[&str]| status_and(&run(home.path(), arguments, &there), 0);
    done(&["data", "export", "--data", "box", "--to", "box.jsonl"]);
    let said = done(&["data", "import", "--table", TABLE, "box.jsonl"]);
    assert!(said.contains("warning: 5 services cannot work on AWS as they are, having a key or"), "{said}");
    assert!(said.contains("warning: 2 services cannot work on AWS as they are, having `transport"), "{said}");

    let store = endpoint.open(TABLE).await.unwrap();
    let later = now() + std::time::Duration::from_secs(60);
    let lease = store.claim_lease(LeaseName::Courier, "a function", now(), later).await.unwrap();
    assert!(matches!(lease, Claim::Won(_)));
    done(&["data", "export", "--table", TABLE, "--to", "table.jsonl"]);
    done(&["data", "import", "--data", "new-box", "table.jsonl"]);
    done(&["data", "export", "--data", "new-box", "--to", "new-box.jsonl"]);

    let (boxed, table, back) =
        (items(&path("box.jsonl")), items(&path("table.jsonl")), items(&path("new-box.jsonl")));
    assert_eq!(boxed.len(), 60 * 3 + 2, "place, spec and watch of each; a shard and a lease");
    let added = |items: &[String]| -> Vec<String> {
        items.iter().filter(|line| !boxed.contains(line)).cloned().collect()
    };
    let [taken] = added(&table).try_into().unwrap();
    assert!(taken.contains("courier") && taken.contains("a function"), "{taken}");
    let [freed] = added(&back).try_into().unwrap();
    assert!(
        freed.contains("courier") && !freed.contains("owner") && !freed.contains("lease_until"),
        "{freed}"
    );
    assert_eq!((table.len(), back.len()), (boxed.len() + 1, boxed.len() + 1), "and nothing is lost");

    let again = run(home.path(), &["data", "import", "--table", TABLE, "box.jsonl"], &there);
    assert!(status_and(&again, 1).contains("the table is not empty"));
}

#[tokio::test]
async fn a_table_that_cannot_be_reached_says_what_is_missing() {
    let home = tempfile::tempdir().unwrap();
    let endpoint = Endpoint::start(home.path(), "data");
    let all = endpoint.variables();
    let export = ["data", "export", "--table", "another"];
    let said = |variables: &[(&str, &str)], expected: i32| {
        status_and(&run(home.path(), &export, variables), expected)
    };
    let no_region = said(&[], 2);
    assert!(
        no_region.contains("no AWS region is set\nhint: ") && no_region.contains("AWS_REGION"),
        "{no_region}"
    );
    let nobody = said(&all[..2], 2);
    assert!(nobody.contains("no AWS credentials were found"), "{nobody}");
    assert!(
        nobody.contains("hint: ") && nobody.contains("aws configure export-credentials --format env"),
        "{nobody}"
    );
    assert_eq!(
        said(&all, 1),
        "error: there is no table `another`\nhint: deploy the stack first, or name another table\n"
    );
    endpoint.stop();
    for arguments in [&["data", "export"][..], &["data", "export", "--data", "a", "--table", "b"]] {
        assert_eq!(status(&run(home.path(), arguments, &[])), 2, "{arguments:?}");
    }
}

/// What it said, having ended so.
fn status_and(output: &Output, expected: i32) -> String {
    assert_eq!(status(output), expected, "{}{}", stdout(output), stderr(output));
    stderr(output)
}
