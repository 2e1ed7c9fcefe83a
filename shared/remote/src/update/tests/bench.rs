//! A host in a directory: its own home, lock and pretend systemd; a repository, its remote, and somebody who pushes to it.

use std::cell::RefCell;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use lamplighter_core::sight::{GuardParts, ProcessId};
use lamplighter_core::spec::ServiceSpec;
use lamplighter_core::update::{NotResolved, Standing, StepOutcome, UpdateStep, Wanted, Way};
use lamplighter_core::{EnvName, Version};
use serde_json::{Value, json};

use crate::output::{Ending, Output};
use crate::update::answer;
use crate::{UpdateOrder, shell};

/// What a script's answers are known by.
const NONCE: &str = "n0nce";
/// The run that the pretend systemd shows before any restart.
pub(super) const FIRST_RUN: &str = "aaaa1111";

pub(super) struct Bench {
    dir: tempfile::TempDir,
    pub(super) spec: ServiceSpec,
    /// The first commit, which is checked out.
    pub(super) first: Version,
    shell: &'static str,
    limit: Option<Duration>,
    remarks: RefCell<Vec<String>>,
}

impl Bench {
    /// A checkout of a repository with one commit, installed by nothing.
    pub(super) fn new() -> Self {
        Self::with(json!({}))
    }

    /// The same, with more in its `update`.
    pub(super) fn with(more: Value) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for name in ["bin", "home", "lock", "var", "state"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        let mut update = json!({"dir": dir.path().join("app")});
        for (key, value) in more.as_object().unwrap() {
            update[key] = value.clone();
        }
        let spec = json!({
            "id": "web", "address": "127.0.0.1", "transport": "local", "check": {"systemd": "web"},
            "restart": {"systemd": "web"}, "update": update,
        });
        let spec = serde_json::from_value(spec).unwrap();
        let first = "0".repeat(40).parse().unwrap();
        let mut bench = Self { dir, spec, first, shell: "sh", limit: None, remarks: RefCell::default() };
        fs::write(
            bench.path("home/.gitconfig"),
            "[user]\nname = x\nemail = x@example.com\n[protocol \"file\"]\nallow = always\n[init]\ndefaultBranch = main\n",
        )
        .unwrap();
        bench.tool(
            "systemctl",
            "echo \"$*\" >>\"$STATE/calls\"\ncase \"$*\" in\n\
             *InvocationID*) cat \"$STATE/run\" ;;\n\
             *\" restart \"*) [ -e \"$STATE/fail\" ] && { cat \"$STATE/fail\" >&2; exit 5; }; echo \"run$(wc -l <\"$STATE/calls\")\" >\"$STATE/run\" ;;\n\
             esac",
        );
        bench.tool("sudo", "shift; exec \"$@\"");
        bench.write("run", &format!("{FIRST_RUN}\n"));
        bench.git("", &["init", "-q", "--bare", "origin.git"]);
        bench.git("origin.git", &["config", "uploadpack.allowAnySHA1InWant", "true"]);
        bench.git("", &["clone", "-q", "origin.git", "work"]);
        bench.first = bench.push("app.txt", "one");
        bench.git("", &["clone", "-q", "origin.git", "app"]);
        bench
    }

    /// The same host, its scripts run by another shell.
    pub(super) fn run_by(mut self, shell: &'static str) -> Self {
        self.shell = shell;
        self
    }

    /// The same host, each step given so many seconds.
    pub(super) fn limited(mut self, secs: u64) -> Self {
        self.limit = Some(Duration::from_secs(secs));
        self
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(super) fn tool(&self, name: &str, text: &str) {
        let path = self.path("bin").join(name);
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    pub(super) fn write(&self, name: &str, text: &str) {
        fs::write(self.path("state").join(name), text).unwrap();
    }

    pub(super) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path("state").join(name)).unwrap_or_default()
    }

    /// What a file of the checkout holds.
    pub(super) fn app(&self, name: &str) -> String {
        fs::read_to_string(self.path("app").join(name)).unwrap_or_default()
    }

    /// Runs git as a person would on this host.
    pub(super) fn git(&self, place: &str, args: &[&str]) -> String {
        let output = self.alone("git").args(args).current_dir(self.path(place)).output().unwrap();
        assert!(output.status.success(), "git {args:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Commits one file and pushes it to the remote's `main`.
    pub(super) fn push(&self, name: &str, text: &str) -> Version {
        fs::write(self.path("work").join(name), text).unwrap();
        self.git("work", &["add", "-A"]);
        self.push_all()
    }

    /// Commits what is staged and pushes it.
    pub(super) fn push_all(&self) -> Version {
        self.git("work", &["commit", "-q", "-m", "x"]);
        self.git("work", &["push", "-q", "-f", "origin", "HEAD:main"]);
        self.git("work", &["rev-parse", "HEAD"]).parse().unwrap()
    }

    pub(super) fn head(&self) -> Version {
        self.git("app", &["rev-parse", "HEAD"]).parse().unwrap()
    }

    /// Tracked files that differ from what is checked out, and files that nobody tracks.
    pub(super) fn mess(&self) -> String {
        self.git("app", &["status", "--porcelain"])
    }

    fn alone(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        let path = format!("{}:/usr/bin:/bin", self.path("bin").display());
        command
            .env_clear()
            .env("PATH", path)
            .env("HOME", self.path("home"))
            .env("STATE", self.path("state"))
            .current_dir(self.path("home"))
            .stdin(Stdio::null());
        command
    }

    fn sent(&self, text: &str) -> Command {
        let lock = format!("{} /nowhere", self.path("lock").display());
        let text = text
            .replace("/run/lock /dev/shm /tmp", &lock)
            .replace("/var/tmp", self.path("var").to_str().unwrap());
        // What a login's shell does with it.
        let text = match text.strip_prefix("exec sh ") {
            Some(rest) => format!("exec {} {rest}", self.shell),
            None => text,
        };
        let mut command = self.alone(self.shell);
        command.args(["-c", &text]).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn hear(&self, text: &str) -> Output {
        let output = self.sent(text).output().unwrap();
        let status = output.status.code().map(|code| u32::try_from(code).unwrap());
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        let ending = status.map_or(Ending::Unsaid, Ending::Status);
        Output { stdout: output.stdout, stderr: output.stderr, ending }
    }

    fn text(&self, env: &EnvName, asked: &Asked<'_>) -> String {
        let update = self.spec.update.as_ref().unwrap();
        let limit = self.limit.unwrap_or(asked.step.limit());
        let order = asked.order(env);
        shell::guarded_step(&self.spec, update, &order, NONCE, limit)
    }

    /// How long the line is that asks for a step, in bytes.
    pub(super) fn length(&self, asked: &Asked<'_>) -> usize {
        self.text(&"prod".parse().unwrap(), asked).len()
    }

    /// Makes a step, to its end.
    pub(super) fn make(&self, asked: &Asked<'_>) -> StepOutcome {
        let env: EnvName = "prod".parse().unwrap();
        let output = self.hear(&self.text(&env, asked));
        let prefix = format!("lamplighter-remark {NONCE} ");
        let remarks =
            output.stdout().lines().filter_map(|line| Some(line.strip_prefix(&prefix)?.to_owned())).collect();
        self.remarks.replace(remarks);
        let verdict = answer::verdict(&output, NONCE).unwrap_or_else(|| panic!("{output:?}"));
        let limit = self.limit.unwrap_or(asked.step.limit());
        verdict.outcome(&self.spec, self.spec.update.as_ref().unwrap(), &asked.order(&env), limit)
    }

    /// What the last step remarked beside its last word.
    pub(super) fn remarks(&self) -> Vec<String> {
        self.remarks.borrow().clone()
    }

    /// Makes a step where the login's own home cannot be entered.
    pub(super) fn make_in(&self, place: &str, asked: &Asked<'_>) -> StepOutcome {
        let env: EnvName = "prod".parse().unwrap();
        let output = self.sent(&self.text(&env, asked)).current_dir(self.path(place)).output().unwrap();
        let output = Output { stdout: output.stdout, stderr: output.stderr, ending: Ending::Status(0) };
        let verdict = answer::verdict(&output, NONCE).unwrap_or_else(|| panic!("{output:?}"));
        verdict.outcome(
            &self.spec,
            self.spec.update.as_ref().unwrap(),
            &asked.order(&env),
            asked.step.limit(),
        )
    }

    /// Begins a step, in a process group of its own.
    pub(super) fn begin(&self, asked: &Asked<'_>) -> Child {
        use std::os::unix::process::CommandExt as _;
        let env: EnvName = "prod".parse().unwrap();
        self.sent(&self.text(&env, asked)).process_group(0).spawn().unwrap()
    }

    /// Makes a step for a caller who is gone already, so that nobody takes what it says.
    pub(super) fn make_unheard(&self, asked: &Asked<'_>) {
        let env: EnvName = "prod".parse().unwrap();
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let _ = self.sent(&self.text(&env, asked)).stdout(writer).status().unwrap();
    }

    pub(super) fn standing(&self) -> Result<Standing, String> {
        let update = self.spec.update.as_ref().unwrap();
        let output = self.hear(&shell::standing(&self.spec, update, NONCE, Duration::from_secs(20)));
        answer::answers(&output, NONCE).unwrap_or_else(|| panic!("{output:?}")).standing(update)
    }

    pub(super) fn resolve(&self, wanted: &Wanted) -> Result<Version, NotResolved> {
        self.resolve_within(wanted, 20)
    }

    pub(super) fn resolve_within(&self, wanted: &Wanted, secs: u64) -> Result<Version, NotResolved> {
        let update = self.spec.update.as_ref().unwrap();
        let text = shell::resolving(update, wanted, NONCE, Duration::from_secs(secs)).unwrap();
        let output = self.hear(&text);
        answer::answers(&output, NONCE).unwrap_or_else(|| panic!("{output:?}")).resolved(update, wanted)
    }

    /// Waits until a file of the host's state is there.
    pub(super) fn wait_for(&self, path: &Path) {
        let began = Instant::now();
        while !path.exists() {
            assert!(began.elapsed() < Duration::from_secs(20), "{} never came", path.display());
            std::thread::yield_now();
        }
    }
}

/// One step as a test asks for it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) action_no: u64,
    pub(super) way: Way,
    pub(super) step: UpdateStep,
    pub(super) target: &'a Version,
    pub(super) previous: &'a Version,
    pub(super) process: Option<&'a ProcessId>,
}

impl<'a> Asked<'a> {
    /// On the way to `target`, from `previous`.
    pub(super) fn forward(
        action_no: u64,
        step: UpdateStep,
        target: &'a Version,
        previous: &'a Version,
    ) -> Self {
        Self { action_no, way: Way::Forward, step, target, previous, process: None }
    }

    /// On the way back from `target` to `previous`.
    pub(super) fn back(action_no: u64, step: UpdateStep, target: &'a Version, previous: &'a Version) -> Self {
        Self { action_no, way: Way::Back, step, target, previous, process: None }
    }

    fn order(&self, env: &'a EnvName) -> UpdateOrder<'a> {
        let Asked { action_no, way, step, target, previous, process } = *self;
        UpdateOrder { env, action_no, way, step, target, previous, process }
    }
}

pub(super) fn run(id: &str) -> Option<ProcessId> {
    Some(ProcessId::try_from(id.to_owned()).unwrap())
}

/// Done, with every part of the guard, while `process` ran.
pub(super) fn done(process: &str) -> StepOutcome {
    StepOutcome::Done { parts: GuardParts::ALL, process: run(process) }
}

pub(super) fn untouched(outcome: &StepOutcome) -> &str {
    let StepOutcome::Untouched(why) = outcome else { panic!("{outcome:?}") };
    assert!(!why.is_empty(), "a refusal says why");
    why
}

pub(super) fn failed(outcome: &StepOutcome) -> &str {
    let StepOutcome::Failed(why) = outcome else { panic!("{outcome:?}") };
    why
}
