//! The five functions on a developer's machine: `cargo lambda watch` over a box's data, as docs/AWS.md says it, woken by each
//! of the recorded events.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use lamplighter::demo::fleet;
use lamplighter_core::Moment;
use lamplighter_tests::http;
use serde_json::{Value, json};

use crate::command_line::CommandLine;
use crate::emulator::free_port;
use crate::program::binary;
use crate::running::Running;
use crate::stack::{ENV, root};
use crate::tools::{self, Tools};

/// The longest the first compilation takes on a busy machine.
const BUILD_LIMIT: Duration = Duration::from_secs(1_200);
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// The moment that the recorded events are of.
const RECORDED: (&str, &str) = ("2026-01-02T00:00:00Z", "1767312000");

#[test]
fn cargo_lambda_watch_serves_all_five_over_the_data_of_a_box() {
    let Some(tools) = tools::find() else { return };
    let home = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let fleet = runtime.block_on(fleet(home.path())).unwrap();
    let cli = CommandLine { home: home.path().to_owned() };
    let (_data, table) = serve_data(home.path());
    let hash = cli.run(&["token", "seed", "--to", "token"], &[]);
    let hash = String::from_utf8(hash.stdout).unwrap().trim().to_owned();
    let watch = Watch::start(&tools, home.path(), &table, &hash);

    let url = format!("http://127.0.0.1:{}/lambda-url/api", watch.port);
    let services: Vec<Value> = fleet
        .specs()
        .iter()
        .map(|spec| {
            let mut spec = serde_json::to_value(spec).unwrap();
            spec["key"] = json!(format!("file:{}", home.path().join("demo_ed25519").display()));
            spec
        })
        .collect();
    cli.apply(&url, &json!({ "service": services }))
        .unwrap_or_else(|said| panic!("{said}\n{}", watch.said()));

    for function in ["sweep", "recover", "advance", "notify"] {
        assert_eq!(watch.invoke(function, "minute.json"), Value::Null, "{function}");
    }
    let seen = cli.json(&url, &["services"]);
    let seen = seen.as_array().unwrap();
    assert_eq!(seen.len(), fleet.residents().len());
    assert!(seen.iter().all(|service| service["status"] == "healthy"), "{seen:?}\n{}", watch.said());
    for function in ["recover", "advance", "notify"] {
        assert_eq!(watch.invoke(function, &format!("{function}.json")), Value::Null, "{function}");
    }
    assert_eq!(watch.invoke("sweep", "queue.json"), json!({"batchItemFailures": []}));
    assert_eq!(watch.invoke("api", "request.json")["statusCode"], 200);
}

/// Serves the data of a box as a table. Says where.
fn serve_data(home: &Path) -> (Running, String) {
    let mut command = Command::new(binary());
    command.args(["--json", "data", "serve", "--env", ENV, "--listen", "127.0.0.1:0", "--data"]);
    command.arg(home.join("data")).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut serving = Running::start(&mut command);
    let mut line = String::new();
    BufReader::new(serving.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let told: Value = serde_json::from_str(&line).unwrap();
    (serving, told["url"].as_str().unwrap().to_owned())
}

struct Watch<'t> {
    tools: &'t Tools,
    port: u16,
    log: std::path::PathBuf,
    _running: Running,
}

impl Watch<'_> {
    /// Starts it and waits until everything is compiled.
    fn start<'t>(tools: &'t Tools, home: &Path, table: &str, hash: &str) -> Watch<'t> {
        let port = free_port();
        let log = home.join("watch.log");
        let out = File::create(&log).unwrap();
        let mut command = tools.cargo_lambda();
        command.args(["watch", "--ignore-changes", "--wait", "--invoke-address", "127.0.0.1"]);
        command.args(["--invoke-port", &port.to_string(), "--env-file", "infra/functions.env"]);
        // In the file are the ports that people use; here they are free ones.
        for (key, value) in [
            ("LAMPLIGHTER_ENV", ENV),
            ("AWS_ENDPOINT_URL_DYNAMODB", table),
            ("LAMPLIGHTER_ADMIN_TOKEN_SHA256", hash),
        ] {
            command.args(["--env-var", &format!("{key}={value}")]);
        }
        command.current_dir(root()).stdin(Stdio::null()).stdout(out.try_clone().unwrap()).stderr(out);
        let watch = Watch { tools, port, log, _running: Running::start(&mut command) };
        let url = format!("http://127.0.0.1:{port}");
        let begun = Instant::now();
        while !http::send(&url, "GET", "/lambda-url/api/livez", &[], "")
            .is_ok_and(|answer| answer.status == 200)
        {
            assert!(begun.elapsed() < BUILD_LIMIT, "nothing is served: {}", watch.said());
            std::thread::sleep(LOOK_AGAIN);
        }
        watch
    }

    /// Wakes a function by a recorded event, brought up to this moment.
    fn invoke(&self, function: &str, event: &str) -> Value {
        let now = Moment::from(SystemTime::now());
        let event = std::fs::read_to_string(root().join("tests/events").join(event)).unwrap();
        let event =
            event.replace(RECORDED.0, &now.to_string()).replace(RECORDED.1, &now.as_secs().to_string());
        let mut command = self.tools.cargo_lambda();
        command.args(["invoke", function, "--invoke-address", "127.0.0.1", "--data-ascii", &event]);
        let output = command.args(["--invoke-port", &self.port.to_string()]).output().unwrap();
        let (answer, error) = (&output.stdout, String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{function}: {error}\n{}", self.said());
        serde_json::from_slice(answer).unwrap_or_else(|_| panic!("{function}: {output:?}\n{}", self.said()))
    }

    fn said(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}
