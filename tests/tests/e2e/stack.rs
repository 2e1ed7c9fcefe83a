//! One deployed stack, and the fleet that it looks after.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use lamplighter::demo::fleet::Resident;
use lamplighter::demo::{DemoFleet, fleet};
use lamplighter_tests::http::{self, Answer};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::command_line::CommandLine;
use crate::emulator::{Emulator, REGION};
use crate::running::Running;
use crate::scenes;
use crate::tools::Tools;

/// The env.
pub(crate) const ENV: &str = "prod";
/// Whom letters come from.
const FROM: &str = "lamp@example.com";
/// The parameter that holds the fleet's key.
const KEY: &str = "/lamplighter/prod/key";
/// The longest anything takes that waits for the next two minutes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);
/// The longest a build takes, linking each of five programs as a whole on a busy machine.
const BUILD_LIMIT: Duration = Duration::from_secs(1_800);
/// The longest `sam deploy` takes.
const DEPLOY_LIMIT: Duration = Duration::from_secs(300);
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// A deployed stack.
pub(crate) struct Stack {
    pub(crate) emulator: Emulator,
    pub(crate) cli: CommandLine,
    pub(crate) fleet: DemoFleet,
    pub(crate) outputs: BTreeMap<String, String>,
    /// What must be found nowhere.
    pub(crate) secrets: Vec<String>,
    _home: tempfile::TempDir,
    runtime: Runtime,
}

impl Stack {
    /// Starts the emulator and the fleet, builds and deploys the template, and puts the fleet in.
    pub(crate) fn deploy(tools: &Tools) -> Stack {
        let home = tempfile::tempdir().unwrap();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let fleet = runtime.block_on(fleet(home.path())).unwrap();
        let cli = CommandLine { home: home.path().to_owned() };
        let built = build(tools, home.path());
        let emulator = Emulator::start(tools, home.path());
        let hash = cli.run(&["token", "seed", "--to", "token"], &[]);
        assert!(hash.status.success(), "{}", String::from_utf8_lossy(&hash.stderr));
        let hash = String::from_utf8(hash.stdout).unwrap().trim().to_owned();
        let key = std::fs::read_to_string(home.path().join("demo_ed25519")).unwrap();
        let secrets = vec![
            std::fs::read_to_string(home.path().join("token")).unwrap().trim().to_owned(),
            key.lines().nth(1).unwrap().to_owned(),
        ];
        emulator.call(
            "ssm",
            "AmazonSSM.PutParameter",
            &json!({"Name": KEY, "Value": key, "Type": "SecureString"}),
        );
        deploy(tools, home.path(), &built, &emulator, &hash);
        let outputs = outputs(&emulator);
        let stack = Stack { emulator, cli, fleet, outputs, secrets, _home: home, runtime };
        stack.put_the_fleet_in();
        stack
    }

    /// Where its API is, as the emulator serves it.
    pub(crate) fn url(&self) -> String {
        let host =
            self.outputs["ApiUrl"].trim_start_matches("https://").split('.').next().unwrap().to_owned();
        format!("{}/_aws/execute-api/{host}/$default", self.emulator.url())
    }

    /// A request to the API of its env, as any script would send it.
    pub(crate) fn ask(&self, method: &str, path: &str, body: &str) -> Answer {
        let token = std::fs::read_to_string(self.cli.home.join("token")).unwrap();
        let bearer = format!("Bearer {}", token.trim());
        let (start, base) =
            self.url().split_once("/_aws").map(|(a, b)| (a.to_owned(), format!("/_aws{b}"))).unwrap();
        let path = format!("{base}/v1/envs/{ENV}/{path}");
        http::send(&start, method, &path, &[("authorization", &bearer)], body).unwrap()
    }

    /// One service, as the API shows it.
    pub(crate) fn service(&self, id: &str) -> Value {
        self.ask("GET", &format!("services/{id}"), "").body
    }

    /// Waits until `id` is in this status.
    pub(crate) fn wait_for(&self, id: &str, status: &str) {
        self.wait(&format!("`{id}` to be {status}"), || self.service(id)["status"] == status);
    }

    /// Waits until it is so.
    pub(crate) fn wait(&self, what: &str, is_so: impl Fn() -> bool) {
        let begun = Instant::now();
        while !is_so() {
            assert!(begun.elapsed() < PATIENCE, "waited in vain for {what}:\n{}", self.last_words());
            std::thread::sleep(LOOK_AGAIN);
        }
    }

    /// The service of this index, and where it runs.
    pub(crate) fn resident(&self, index: usize) -> &Resident {
        &self.fleet.residents()[index]
    }

    /// Its id.
    pub(crate) fn id(&self, index: usize) -> String {
        self.resident(index).spec.id.to_string()
    }

    /// The name of one of its functions.
    pub(crate) fn function(&self, verb: &str) -> String {
        format!("lamplighter-{ENV}-{verb}")
    }

    /// Kills a function's process, as a machine that dies does. False if it has none just now.
    pub(crate) fn kill(&self, verb: &str) -> bool {
        let wanted = format!("AWS_LAMBDA_FUNCTION_NAME={}", self.function(verb));
        let mut killed = false;
        for process in std::fs::read_dir("/proc").unwrap().flatten() {
            let Ok(pid) = process.file_name().to_string_lossy().parse::<i32>() else { continue };
            let read = |file: &str| std::fs::read(process.path().join(file)).unwrap_or_default();
            let is_it = read("environ").split(|byte| *byte == 0).any(|one| one == wanted.as_bytes())
                && read("cmdline").ends_with(b"bootstrap\0");
            if is_it && let Some(pid) = rustix::process::Pid::from_raw(pid) {
                killed |= rustix::process::kill_process(pid, rustix::process::Signal::KILL).is_ok();
            }
        }
        killed
    }

    /// What the functions have logged.
    pub(crate) fn logged(&self) -> Vec<String> {
        self.emulator.logged(&self.outputs["LogGroupName"])
    }

    /// The last lines that anybody wrote.
    pub(crate) fn last_words(&self) -> String {
        let lines = self.logged();
        let (said, last) = (self.emulator.said(), lines[lines.len().saturating_sub(60)..].join("\n"));
        let emulator: Vec<&str> =
            said.lines().filter(|line| line.contains("WARN") || line.contains("ERROR")).collect();
        format!("{last}\nthe emulator: {}", emulator[emulator.len().saturating_sub(20)..].join("\n"))
    }

    /// Runs what is not blocking.
    pub(crate) fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    fn put_the_fleet_in(&self) {
        let mut services = Vec::new();
        for (index, resident) in self.fleet.residents().iter().enumerate() {
            let mut spec = serde_json::to_value(&resident.spec).unwrap();
            if index < scenes::BROKEN {
                // What is broken on purpose is of another app, or a rollout would come by in the middle.
                spec["app"] = json!("till");
            }
            spec["key"] = json!(format!("ssm:{KEY}"));
            spec["owner"] = json!("owner@example.com");
            // As patient as a test can be: an attempt's waits are shorter than by default, the cooldown above all.
            spec["policy"] = json!({"settle": "1s", "backoff_base": "1s", "breaker_cooldown": "20s"});
            services.push(spec);
        }
        let env = json!({"every": "60s", "admins": ["admin@example.com"], "service": services});
        self.cli.apply(&self.url(), &env).unwrap_or_else(|said| panic!("{said}\n{}", self.last_words()));
    }
}

pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// Builds the functions as an operator does, and answers where the built template is.
fn build(tools: &Tools, home: &Path) -> PathBuf {
    // All at once first: SAM would link one after the other.
    let mut together = tools.cargo_lambda();
    together.args(["build", "--release", tools.architecture.flag()]);
    together.args(["--package", "lamplighter-functions", "--lambda-dir"]);
    succeeds(together.arg(home.join("lambda")).current_dir(root()), home, BUILD_LIMIT);
    let folder = home.join("built");
    let mut sam = tools.sam(home);
    sam.args(["build", "--template", "template.yaml"]);
    sam.args(["--parameter-overrides", tools.architecture.parameter(), "--build-dir"]);
    succeeds(sam.arg(&folder).current_dir(root()), home, BUILD_LIMIT);
    folder.join("template.yaml")
}

fn deploy(tools: &Tools, home: &Path, template: &Path, emulator: &Emulator, hash: &str) {
    let mut sam = tools.sam(home);
    sam.args(["deploy", "--no-confirm-changeset", "--resolve-s3", "--stack-name", "lamplighter-prod"]);
    sam.args([
        "--capabilities",
        "CAPABILITY_IAM",
        "CAPABILITY_AUTO_EXPAND",
        "--region",
        REGION,
        "--template-file",
    ]);
    sam.arg(template).arg("--parameter-overrides").args([
        tools.architecture.parameter().to_owned(),
        format!("Env={ENV}"),
        format!("MailFrom={FROM}"),
        "CreateMailIdentity=true".to_owned(),
        format!("AdminTokenSha256={hash}"),
    ]);
    sam.env("AWS_ENDPOINT_URL", emulator.url())
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", "test");
    succeeds(sam.current_dir(home), home, DEPLOY_LIMIT);
}

/// Runs a command to its end, and kills it with whatever it has started if that does not come.
fn succeeds(command: &mut Command, home: &Path, limit: Duration) {
    let log = home.join("tool.log");
    let out = File::create(&log).unwrap();
    command.stdin(Stdio::null()).stdout(out.try_clone().unwrap()).stderr(out);
    let mut running = Running::start(command);
    let begun = Instant::now();
    let status = loop {
        match running.0.try_wait().unwrap() {
            Some(status) => break Some(status),
            None if begun.elapsed() > limit => break None,
            None => std::thread::sleep(LOOK_AGAIN),
        }
    };
    drop(running);
    let said = std::fs::read_to_string(&log).unwrap_or_default();
    assert!(
        status.is_some_and(|status| status.success()),
        "{command:?} within {limit:?}, {status:?}: {said}"
    );
}

/// What the stack says of itself.
fn outputs(emulator: &Emulator) -> BTreeMap<String, String> {
    let form = "Action=DescribeStacks&StackName=lamplighter-prod&Version=2010-05-15";
    let answer = emulator.query("cloudformation", form);
    let between = |text: &str, tag: &str| {
        let (_, rest) = text.split_once(&format!("<{tag}>"))?;
        Some(rest.split_once(&format!("</{tag}>"))?.0.to_owned())
    };
    let parts = answer.split("<OutputKey>").skip(1).map(|part| format!("<OutputKey>{part}"));
    parts.filter_map(|part| Some((between(&part, "OutputKey")?, between(&part, "OutputValue")?))).collect()
}
