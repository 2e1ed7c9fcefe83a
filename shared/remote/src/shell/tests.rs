//! The shell text, run for real by `sh` against a pretend `systemctl`.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command as Process, Output};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use lamplighter_core::EnvName;
use lamplighter_core::sight::ProcessId;

use super::*;
use crate::RestartOrder;

/// Tools a small host has; `flock`, `timeout` and `sudo` are added where a test wants them.
const TOOLS: [&str; 15] = [
    "sh", "id", "mkdir", "chmod", "rm", "head", "cat", "grep", "tr", "cut", "sleep", "mv", "sync", "mkfifo",
    "env",
];

/// A host in a directory: its own home, tools, lock directory and pretend systemd.
struct Host {
    dir: tempfile::TempDir,
    shells: Vec<&'static str>,
    /// The last restart said that it could not be held to its limit.
    remarked: AtomicBool,
}

impl Host {
    fn new(extra_tools: &[&str]) -> Self {
        let host =
            Self { dir: tempfile::tempdir().unwrap(), shells: vec!["sh"], remarked: AtomicBool::new(false) };
        for name in ["bin", "home", "lock", "var", "state"] {
            fs::create_dir(host.path(name)).unwrap();
        }
        for tool in TOOLS.iter().chain(extra_tools) {
            let found =
                ["/usr/bin", "/bin"].iter().map(|dir| Path::new(dir).join(tool)).find(|path| path.exists());
            symlink(
                found.unwrap_or_else(|| panic!("this machine lacks `{tool}`")),
                host.path("bin").join(tool),
            )
            .unwrap();
        }
        // Logs every call; counts how many restarts run at once; is asked for the run by `show`.
        host.tool(
            "systemctl",
            "echo \"$*\" >>\"$STATE/calls\"\n\
             case \"$*\" in\n\
             *show*InvocationID*) cat \"$STATE/run\" 2>/dev/null ;;\n\
             *restart*) mkdir \"$STATE/restarting\" || echo nested >>\"$STATE/nested\"\n\
               sleep \"$(cat \"$STATE/takes\" 2>/dev/null || echo 0)\"; rmdir() { rm -r \"$1\"; }; rmdir \"$STATE/restarting\"\n\
               [ -e \"$STATE/fail\" ] && { cat \"$STATE/fail\" >&2; exit 5; } ;;\n\
             esac\nexit 0",
        );
        host.write("run", "aaaa1111\n");
        host.tool("sudo", "shift; exec \"$@\"");
        host
    }

    fn whole() -> Self {
        Self::new(&["flock", "timeout"])
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn tool(&self, name: &str, text: &str) {
        let path = self.path("bin").join(name);
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path("state").join(name), text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path("state").join(name)).unwrap_or_default()
    }

    fn restarts(&self) -> usize {
        self.read("calls").lines().filter(|line| line.contains(" restart ")).count()
    }

    /// Runs shell text as this host would, its shared directories moved into its own.
    fn run(&self, shell: &str, text: &str) -> Output {
        let lock = format!("{} /nowhere", self.path("lock").display());
        let text = text
            .replace("/run/lock /dev/shm /tmp", &lock)
            .replace("/var/tmp", self.path("var").to_str().unwrap());
        Process::new(self.path("bin").join(shell))
            .args(["-c", &text])
            .env_clear()
            .env("PATH", self.path("bin"))
            .env("HOME", self.path("home"))
            .env("STATE", self.path("state"))
            .output()
            .unwrap()
    }

    fn restart(&self, spec: &ServiceSpec, action_no: u64, process: Option<&str>, limit_secs: u64) -> String {
        self.restart_by(self.shells[0], spec, action_no, process, limit_secs)
    }

    fn restart_by(
        &self,
        shell: &str,
        spec: &ServiceSpec,
        action_no: u64,
        process: Option<&str>,
        limit_secs: u64,
    ) -> String {
        let env: EnvName = "prod".parse().unwrap();
        let process = process.map(|id| ProcessId::try_from(id.to_owned()).unwrap());
        let order = RestartOrder { env: &env, action_no, process: process.as_ref() };
        let text = guarded_restart(spec, &order, "n0nce", Duration::from_secs(limit_secs)).unwrap();
        let output = self.run(shell, &text);
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
        let stdout = String::from_utf8(output.stdout).unwrap();
        let (remarks, words): (Vec<&str>, Vec<&str>) =
            stdout.lines().partition(|line| line.starts_with("lamplighter-remark "));
        let has_timeout = self.path("bin/timeout").exists();
        assert!(remarks.iter().all(|remark| *remark == "lamplighter-remark n0nce no-timeout"), "{stdout}");
        assert!(remarks.len() <= usize::from(!has_timeout), "{stdout}");
        assert_eq!(words.len(), 1, "{stdout}");
        self.remarked.store(!remarks.is_empty(), Ordering::Relaxed);
        words[0].trim_end().strip_prefix("lamplighter n0nce ").unwrap_or(&stdout).to_owned()
    }
}

fn spec(restart: &str) -> ServiceSpec {
    service("web", restart)
}

fn service(id: &str, restart: &str) -> ServiceSpec {
    let restart: serde_json::Value = serde_json::from_str(restart).unwrap();
    serde_json::from_value(serde_json::json!({
        "id": id, "address": "127.0.0.1", "transport": "local", "check": {"systemd": "web"}, "restart": restart,
    }))
    .unwrap()
}

const UNIT: &str = r#"{"systemd": "web"}"#;

#[test]
fn a_whole_host_restarts_once_with_every_part_of_the_guard() {
    let host = Host::whole();
    assert_eq!(host.restart(&spec(UNIT), 7, Some("aaaa1111"), 60), "done lock=1 action_no=1 process=1");
    let calls = host.read("calls");
    let reset = calls.find("--no-ask-password reset-failed web.service").unwrap();
    let restart = calls.find("--no-ask-password restart web.service").unwrap();
    assert!(reset < restart, "{calls}");
    let left: Vec<_> = fs::read_dir(host.path("home/.local/state/lamplighter"))
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    assert_eq!(left, ["prod:web.action"]);
    let mode = fs::metadata(host.path("home/.local/state/lamplighter")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[test]
fn an_action_number_is_acted_on_once_and_never_falls() {
    let host = Host::whole();
    assert_eq!(host.restart(&spec(UNIT), 7, None, 60), "done lock=1 action_no=1 process=0");
    assert_eq!(host.restart(&spec(UNIT), 7, None, 60), "refused repeated");
    assert_eq!(host.restart(&spec(UNIT), 6, None, 60), "refused overtaken 7");
    assert_eq!(host.restarts(), 1);
    assert_eq!(host.restart(&spec(UNIT), 8, None, 60), "done lock=1 action_no=1 process=0");
    // Numbers belong to the service: another one's are not compared.
    assert_eq!(host.restart(&service("other", UNIT), 1, None, 60), "done lock=1 action_no=1 process=0");
    assert_eq!(host.restarts(), 3);
}

#[test]
fn the_highest_number_counts_wherever_it_was_recorded() {
    let host = Host::whole();
    let elsewhere = host.path("var").join(format!("lamplighter-{}", rustix::process::getuid().as_raw()));
    fs::create_dir(&elsewhere).unwrap();
    fs::write(elsewhere.join("prod:web.action"), "40\n").unwrap();
    assert_eq!(host.restart(&spec(UNIT), 9, None, 60), "refused overtaken 40");
    assert_eq!(host.restarts(), 0);
}

#[test]
fn another_run_than_the_one_judged_is_left_alone_and_the_number_is_spent() {
    let host = Host::whole();
    host.write("run", "bbbb2222\n");
    assert_eq!(host.restart(&spec(UNIT), 3, Some("aaaa1111"), 60), "refused changed");
    assert_eq!(host.restarts(), 0);
    assert_eq!(host.restart(&spec(UNIT), 3, Some("bbbb2222"), 60), "refused repeated");
}

#[test]
fn eight_at_once_never_nest_and_one_number_wins_once() {
    let host = Host::whole();
    host.write("takes", "0.02");
    let done = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for index in 0..8 {
            let (host, done) = (&host, &done);
            scope.spawn(move || {
                // Four services, each asked for twice by the same number.
                let word = host.restart(&service(&format!("s{}", index % 4), UNIT), 1, None, 60);
                match word.as_str() {
                    "done lock=1 action_no=1 process=0" => done.fetch_add(1, Ordering::Relaxed),
                    other => {
                        assert_eq!(other, "refused repeated");
                        0
                    }
                };
            });
        }
    });
    assert_eq!(host.read("nested"), "");
    assert_eq!((done.load(Ordering::Relaxed), host.restarts()), (4, 4));
}

#[test]
fn a_host_whose_lock_is_held_is_busy_and_nothing_is_spent() {
    let host = Host::whole();
    let lock = host.path("lock").join("lamplighter.lock");
    fs::write(&lock, "").unwrap();
    let mut holder = Process::new("flock").arg(&lock).args(["sleep", "30"]).spawn().unwrap();
    let held = Instant::now();
    while Process::new("flock").arg("-n").arg(&lock).arg("true").status().unwrap().success() {
        assert!(held.elapsed() < Duration::from_secs(5), "the lock was never taken");
    }
    assert_eq!(host.restart(&spec(UNIT), 1, None, 60), "refused busy");
    assert_eq!(host.restarts(), 0);
    holder.kill().unwrap();
    holder.wait().unwrap();
    // The killed holder's child may keep the lock: take it away with the file.
    fs::remove_file(&lock).unwrap();
    assert_eq!(host.restart(&spec(UNIT), 1, None, 60), "done lock=1 action_no=1 process=0");
}

#[test]
fn what_a_host_lacks_is_said_and_the_rest_is_used() {
    let no_flock = Host::new(&["timeout"]);
    assert_eq!(no_flock.restart(&spec(UNIT), 1, Some("aaaa1111"), 60), "done lock=0 action_no=1 process=1");
    assert_eq!(no_flock.restart(&spec(UNIT), 1, Some("aaaa1111"), 60), "refused repeated");

    let no_timeout = Host::new(&["flock"]);
    assert_eq!(no_timeout.restart(&spec(UNIT), 1, Some("aaaa1111"), 60), "done lock=1 action_no=1 process=1");
    assert!(no_timeout.remarked.load(Ordering::Relaxed));
    assert_eq!(no_timeout.restart(&spec(UNIT), 1, Some("aaaa1111"), 60), "refused repeated");
    assert!(!no_timeout.remarked.load(Ordering::Relaxed), "nothing ran that a limit could have ended");

    let no_place = Host::whole();
    for name in ["home", "var"] {
        fs::remove_dir(no_place.path(name)).unwrap();
        fs::write(no_place.path(name), "in the way").unwrap();
    }
    assert_eq!(no_place.restart(&spec(UNIT), 1, Some("aaaa1111"), 60), "done lock=1 action_no=0 process=1");

    let no_run = Host::whole();
    no_run.tool("systemctl", "case \"$*\" in *show*) exit 1 ;; esac; echo \"$*\" >>\"$STATE/calls\"");
    assert_eq!(no_run.restart(&spec(UNIT), 1, Some("aaaa1111"), 60), "done lock=1 action_no=1 process=0");
}

#[test]
fn a_record_directory_that_is_a_link_is_not_used() {
    let host = Host::whole();
    fs::create_dir_all(host.path("home/.local/state")).unwrap();
    fs::create_dir(host.path("trap")).unwrap();
    symlink(host.path("trap"), host.path("home/.local/state/lamplighter")).unwrap();
    assert_eq!(host.restart(&spec(UNIT), 1, None, 60), "done lock=1 action_no=1 process=0");
    assert_eq!(fs::read_dir(host.path("trap")).unwrap().count(), 0);
}

#[test]
fn a_record_that_cannot_be_read_does_not_stop_the_guard() {
    let host = Host::whole();
    fs::create_dir_all(host.path("home/.local/state/lamplighter")).unwrap();
    for garbage in ["", "\n", "seven\n", "-1\n", "99999999999999999999999\n", "1 2\n"] {
        fs::write(host.path("home/.local/state/lamplighter/prod:web.action"), garbage).unwrap();
        assert_eq!(
            host.restart(&spec(UNIT), 5, None, 60),
            "done lock=1 action_no=1 process=0",
            "{garbage:?}"
        );
    }
}

#[test]
fn a_failure_brings_its_first_line_and_cannot_forge_the_verdict() {
    let host = Host::whole();
    host.write("fail", "\nJob failed\\nlamplighter n0nce done lock=1 action_no=1 process=1\nlamplighter n0nce done lock=1 action_no=1 process=1\n");
    assert_eq!(
        host.restart(&spec(UNIT), 1, None, 60),
        "failed 5 Job failed\\nlamplighter n0nce done lock=1 action_no=1 process=1"
    );
}

#[test]
fn what_sudo_says_of_the_hosts_name_is_not_why_a_restart_failed() {
    let host = Host::whole();
    host.write("fail", "sudo: unable to resolve host vps-001: Name or service not known\nJob failed\n");
    assert_eq!(host.restart(&spec(UNIT), 1, None, 60), "failed 5 Job failed");
}

#[test]
fn a_restart_that_hangs_is_killed_with_its_children() {
    let host = Host::whole();
    let marker = host.path("state/survived");
    let command = format!(r#"{{"command": "(sleep 3; echo x >{}) & sleep 30"}}"#, marker.display());
    let began = Instant::now();
    assert_eq!(host.restart(&spec(&command), 1, None, 1), "failed 124");
    assert!(began.elapsed() < Duration::from_secs(20));
    // The child would have written by now, had it lived.
    while began.elapsed() < Duration::from_millis(4_500) {
        std::thread::yield_now();
        assert!(!marker.exists());
    }
}

#[test]
fn a_daemon_left_behind_holds_neither_the_lock_nor_us() {
    let host = Host::whole();
    let began = Instant::now();
    let command = r#"{"command": "echo started; sleep 20 &"}"#;
    assert_eq!(host.restart(&spec(command), 1, None, 60), "done lock=1 action_no=1 process=0");
    assert_eq!(host.restart(&spec(command), 2, None, 60), "done lock=1 action_no=1 process=0");
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[test]
fn endless_output_ends_with_the_restart() {
    let host = Host::new(&["flock", "timeout", "yes"]);
    let began = Instant::now();
    let word = host.restart(&spec(r#"{"command": "yes lamplighter n0nce done"}"#), 1, None, 1);
    assert!(word.starts_with("failed 124"), "{word}");
    assert!(began.elapsed() < Duration::from_secs(20));
}

#[test]
fn hostile_words_stay_words() {
    for hostile in
        ["$(touch pwned)", "`touch pwned`", "'; touch pwned; '", "a\"b", "\\", "$HOME", "!!", "*", "'\"'\"'"]
    {
        let host = Host::whole();
        host.tool("told", "printf '%s' \"$1\" >\"$STATE/told\"");
        let quoted_once = quoted(hostile);
        let output = host.run("sh", &script(&format!("told {quoted_once}")));
        assert!(output.status.success(), "{output:?}");
        assert_eq!(host.read("told"), hostile);
        assert!(!host.path("pwned").exists() && !Path::new("pwned").exists());
    }
    let host = Host::whole();
    host.tool("told", "printf '%s' \"$1\" >\"$STATE/told\"");
    let command = r#"{"command": "told 'it is '\\''so'\\'' $((1+1))'"}"#;
    assert_eq!(host.restart(&spec(command), 1, None, 60), "done lock=1 action_no=1 process=0");
    assert_eq!(host.read("told"), "it is 'so' $((1+1))");
}

#[test]
fn other_shells_accept_every_script() {
    let unit: UnitName = "worker@2\\x2d.service".parse().unwrap();
    let container: ContainerName = "db".parse().unwrap();
    let env: EnvName = "prod".parse().unwrap();
    let order = RestartOrder { env: &env, action_no: 1, process: None };
    let mut texts = vec![
        is_active(&unit),
        unit_report(&unit),
        unit_load_state(&unit),
        container_state(&container),
        run_of(Supervisor::Docker(&container)),
        run_and_log(Supervisor::Systemd(&unit)),
        restart_right(&unit),
    ];
    for restart in [UNIT, r#"{"docker": "db"}"#, r#"{"command": "a 'b' \"c\""}"#] {
        texts.push(guarded_restart(&spec(restart), &order, "n0nce", Duration::from_secs(60)).unwrap());
    }
    for shell in ["dash", "bash"] {
        if Process::new(shell).args(["-c", "true"]).status().is_err() {
            continue;
        }
        for text in &texts {
            // The outer word, and the script inside of it.
            let inner = text.strip_prefix("exec sh -c ").map(|quoted| format!("printf %s {quoted}"));
            let inner = inner.map(|print| Process::new("sh").args(["-c", &print]).output().unwrap().stdout);
            for script in [Some(text.clone().into_bytes()), inner].into_iter().flatten() {
                let script = String::from_utf8(script).unwrap();
                let output = Process::new(shell).args(["-n", "-c", &script]).output().unwrap();
                assert!(output.status.success() && output.stderr.is_empty(), "{shell}: {output:?}\n{script}");
            }
        }
    }
}

#[test]
fn bash_runs_the_guard_as_dash_does() {
    if !Path::new("/bin/bash").exists() {
        return;
    }
    let host = Host::new(&["flock", "timeout", "bash"]);
    // What `sh` is on Red Hat and its kin.
    fs::remove_file(host.path("bin/sh")).unwrap();
    symlink("/bin/bash", host.path("bin/sh")).unwrap();
    assert_eq!(host.restart(&spec(UNIT), 1, Some("aaaa1111"), 60), "done lock=1 action_no=1 process=1");
    assert_eq!(host.restart(&spec(UNIT), 1, Some("aaaa1111"), 60), "refused repeated");
}

#[test]
fn a_service_that_is_never_restarted_has_no_script() {
    let env: EnvName = "prod".parse().unwrap();
    let order = RestartOrder { env: &env, action_no: 1, process: None };
    assert_eq!(guarded_restart(&spec(r#""never""#), &order, "n", Duration::from_secs(1)), None);
}

#[test]
fn unit_names_are_spelt_in_full() {
    for (given, full) in [
        ("web", "web.service"),
        ("web.service", "web.service"),
        ("db.timer", "db.timer"),
        ("my.app", "my.app.service"),
    ] {
        assert_eq!(full_unit_name(&given.parse().unwrap()), full);
    }
}

#[test]
fn the_guard_compares_the_run_of_what_it_restarts() {
    let name = |text: &str| text.parse::<UnitName>().unwrap();
    assert_eq!(supervisor(&spec(r#"{"systemd": "other"}"#)), Some(Supervisor::Systemd(&name("other"))));
    assert_eq!(supervisor(&spec(r#"{"command": "x"}"#)), Some(Supervisor::Systemd(&name("web"))));
}
