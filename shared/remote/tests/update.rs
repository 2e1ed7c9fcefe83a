//! Updates over a real OpenSSH server, with the real git.
#![expect(clippy::unwrap_used, reason = "a test may panic")]
#![expect(clippy::print_stderr, reason = "a skipped test says so")]

mod host;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use host::Host;
use lamplighter_core::sight::{GuardParts, ProcessId, UnreachableKind};
use lamplighter_core::spec::ServiceSpec;
use lamplighter_core::update::{NoStanding, NotResolved, StepOutcome, UpdateStep, Wanted, Way};
use lamplighter_core::{EnvName, Version};
use lamplighter_remote::{Remote, UpdateOrder, time_for};
use serde_json::json;

const LIMIT: Duration = Duration::from_secs(60);

fn git(place: &Path, args: &[&str]) -> String {
    let known = ["-c", "user.name=x", "-c", "user.email=x@example.com", "-c", "init.defaultBranch=main"];
    let output = Command::new("git").args(known).args(args).current_dir(place).output().unwrap();
    assert!(output.status.success(), "git {args:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A service whose checkout is at the first of two commits, and both of them.
fn service(host: &Host, install: &str) -> (ServiceSpec, Version, Version) {
    let base = host.path("");
    git(&base, &["init", "-q", "--bare", "origin.git"]);
    git(&base, &["clone", "-q", "origin.git", "work"]);
    let commit = |text: &str| -> Version {
        std::fs::write(host.path("work/app.txt"), text).unwrap();
        git(&host.path("work"), &["add", "-A"]);
        git(&host.path("work"), &["commit", "-q", "-m", "x"]);
        git(&host.path("work"), &["push", "-q", "origin", "HEAD:main"]);
        git(&host.path("work"), &["rev-parse", "HEAD"]).parse().unwrap()
    };
    let first = commit("one");
    git(&base, &["clone", "-q", "origin.git", "app"]);
    let second = commit("two");
    let spec = host.spec(json!({"update": {"dir": host.path("app"), "install": install}}));
    (spec, first, second)
}

struct Asked<'a> {
    remote: &'a Remote,
    spec: &'a ServiceSpec,
    target: &'a Version,
    previous: &'a Version,
}

impl Asked<'_> {
    async fn make(&self, way: Way, step: UpdateStep, action_no: u64) -> StepOutcome {
        self.within(way, step, action_no, time_for(step)).await
    }

    async fn within(&self, way: Way, step: UpdateStep, action_no: u64, limit: Duration) -> StepOutcome {
        let env: EnvName = "prod".parse().unwrap();
        let Asked { target, previous, .. } = *self;
        let order = UpdateOrder { env: &env, action_no, way, step, target, previous, process: None };
        self.remote.update(self.spec, &order, limit).await
    }
}

fn done(process: &str, parts: GuardParts) -> StepOutcome {
    StepOutcome::Done { parts, process: Some(ProcessId::try_from(process.to_owned()).unwrap()) }
}

/// A restart that nobody judged a run for.
const UNJUDGED: GuardParts = GuardParts { lock: true, action_no: true, process: false };

#[tokio::test]
async fn a_whole_update_and_its_way_back_take_one_command_a_call() {
    let Some(host) = Host::start() else { return };
    let (spec, first, second) = service(&host, "cp app.txt installed.txt");
    let remote = host.remote();
    let commands = || host.log().matches("Starting session: command").count();
    let standing = remote.standing(&spec, LIMIT).await.unwrap();
    assert_eq!((standing.version, standing.obstacle), (first.clone(), None));
    assert_eq!(standing.process.unwrap().as_str(), "aaaa1111");
    assert_eq!(remote.resolve(&spec, &Wanted::Branch("main".to_owned()), LIMIT).await, Ok(second.clone()));
    assert_eq!(remote.resolve(&spec, &Wanted::Version(second.clone()), LIMIT).await, Ok(second.clone()));
    assert_eq!(commands(), 3);
    let asked = Asked { remote: &remote, spec: &spec, target: &second, previous: &first };
    let all = GuardParts::ALL;
    assert_eq!(asked.make(Way::Forward, UpdateStep::CheckOut, 1).await, done("aaaa1111", all));
    assert_eq!(asked.make(Way::Forward, UpdateStep::Install, 2).await, done("aaaa1111", all));
    assert_eq!(asked.make(Way::Forward, UpdateStep::Restart, 3).await, done("bbbb2222", UNJUDGED));
    assert_eq!(std::fs::read_to_string(host.path("app/installed.txt")).unwrap(), "two");
    assert_eq!(remote.standing(&spec, LIMIT).await.unwrap().version, second);
    assert_eq!(asked.make(Way::Back, UpdateStep::CheckOut, 4).await, done("bbbb2222", all));
    assert_eq!(asked.make(Way::Back, UpdateStep::Install, 5).await, done("bbbb2222", all));
    assert_eq!(asked.make(Way::Forward, UpdateStep::CheckOut, 1).await, StepOutcome::Overtaken { seen: 5 });
    assert_eq!(remote.standing(&spec, LIMIT).await.unwrap().version, first);
    assert_eq!(commands(), 3 + 8);
    assert_eq!(host.log().matches("Accepted publickey").count(), 1);
}

#[tokio::test]
async fn a_step_whose_connection_broke_is_lost_and_told_of_when_asked_again() {
    let Some(host) = Host::start() else { return };
    let state = host.path("state").display().to_string();
    let install = format!("echo x >>{state}/made; until [ -e {state}/go ]; do sleep 0.05; done");
    let (spec, first, second) = service(&host, &install);
    let remote = host.remote();
    let asked = Asked { remote: &remote, spec: &spec, target: &second, previous: &first };
    let cut = async {
        while host.read("made").is_empty() {
            tokio::task::yield_now().await;
        }
        host.wait_for_log("Starting session: command");
        host.drop_connections();
    };
    let (outcome, ()) = tokio::join!(asked.make(Way::Forward, UpdateStep::Install, 7), cut);
    assert!(matches!(outcome, StepOutcome::Lost(_)), "{outcome:?}");
    host.write("go", "");
    let outcome = asked.make(Way::Forward, UpdateStep::Install, 7).await;
    assert_eq!(outcome, done("aaaa1111", GuardParts::ALL));
    assert_eq!(host.read("made"), "x\n");
}

#[tokio::test]
async fn a_host_that_cannot_be_reached_was_sent_nothing() {
    let Some(host) = Host::start() else { return };
    let (spec, first, second) = service(&host, "true");
    let spec = ServiceSpec { host_key: vec![host.public_key("strange_key")], ..spec };
    let remote = host.remote();
    let asked = Asked { remote: &remote, spec: &spec, target: &second, previous: &first };
    let changed = |kind| kind == UnreachableKind::HostKeyChanged;
    let outcome = asked.make(Way::Forward, UpdateStep::CheckOut, 1).await;
    assert!(matches!(outcome, StepOutcome::NotSent(fault) if changed(fault.kind)));
    let standing = remote.standing(&spec, LIMIT).await;
    assert!(matches!(standing, Err(NoStanding::Unreachable(fault)) if changed(fault.kind)));
    let resolved = remote.resolve(&spec, &Wanted::Branch("main".to_owned()), LIMIT).await;
    assert!(matches!(resolved, Err(NotResolved::Unreachable(fault)) if changed(fault.kind)));
    assert!(!host.log().contains("Starting session"));
}

#[tokio::test]
async fn nothing_is_begun_that_there_is_no_time_for() {
    let Some(host) = Host::start() else { return };
    let (spec, first, second) = service(&host, "true");
    let remote = host.remote();
    let asked = Asked { remote: &remote, spec: &spec, target: &second, previous: &first };
    let limit = Duration::from_secs(40);
    let outcome = asked.within(Way::Forward, UpdateStep::Install, 1, limit).await;
    assert!(matches!(outcome, StepOutcome::NotSent(fault) if fault.kind == UnreachableKind::TimedOut));
    assert!(!host.log().contains("Starting session"));
}

#[tokio::test]
async fn what_git_could_take_for_an_option_is_never_sent() {
    let Some(host) = Host::start() else { return };
    let (spec, _, _) = service(&host, "true");
    let remote = host.remote();
    for branch in ["--upload-pack=touch /tmp/x", "-c core.sshCommand=x", "main..other", "a b", "", "$(id)"] {
        let resolved = remote.resolve(&spec, &Wanted::Branch(branch.to_owned()), LIMIT).await;
        assert!(matches!(resolved, Err(NotResolved::Unknown(_))), "{branch}: {resolved:?}");
    }
    let digest = format!("sha256:{}", "a".repeat(64)).parse().unwrap();
    let resolved = remote.resolve(&spec, &Wanted::Version(digest), LIMIT).await;
    assert!(matches!(resolved, Err(NotResolved::Unknown(why)) if why.contains("git checkout")));
    assert!(!host.log().contains("Starting session"));
}

#[tokio::test]
async fn a_service_of_this_machine_is_updated_without_a_connection() {
    let Some(host) = Host::start() else { return };
    let (spec, first, second) = service(&host, "echo $LAMPLIGHTER_TARGET >installed.txt");
    let mut local = serde_json::to_value(&spec).unwrap();
    local["transport"] = json!("local");
    local["check"] = json!({"command": "true"});
    local["restart"] = json!({"command": "true"});
    // A name of its own: the records are this machine's real ones.
    local["id"] = json!(format!("local-{}", std::process::id()));
    let local: ServiceSpec = serde_json::from_value(local).unwrap();
    let remote = host.remote();
    assert_eq!(remote.standing(&local, LIMIT).await.unwrap().version, first);
    let asked = Asked { remote: &remote, spec: &local, target: &second, previous: &first };
    let done = |outcome| matches!(outcome, StepOutcome::Done { process: None, .. });
    assert!(done(asked.make(Way::Forward, UpdateStep::CheckOut, 1).await));
    assert!(done(asked.make(Way::Forward, UpdateStep::Install, 2).await));
    let installed = std::fs::read_to_string(host.path("app/installed.txt")).unwrap();
    assert_eq!(installed.trim(), second.as_str());
    assert_eq!(remote.connections(), 0);
    if let Some(home) = std::env::home_dir() {
        for kind in ["action", "result"] {
            let name = format!("prod:{}.{kind}", local.id);
            let _ = std::fs::remove_file(home.join(".local/state/lamplighter").join(name));
        }
    }
}
