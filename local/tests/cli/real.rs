//! The command line and the real server: every exit status, and every command that a letter names.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{lamplighter, status, stderr, stdout};

/// Services of a fleet on this machine: each is up while its file is there, and a restart makes it.
const SERVICES: usize = 5;
/// Longest wait for what the server does by itself.
const PATIENCE: Duration = Duration::from_secs(30);

/// `lamplighter serve` on a free port, with a fleet of this machine. Ends with the test.
struct House {
    home: tempfile::TempDir,
    server: Child,
    url: String,
}

impl House {
    fn open() -> House {
        let home = tempfile::tempdir().unwrap();
        for number in 1..=SERVICES {
            std::fs::write(home.path().join(format!("up{number}")), "").unwrap();
        }
        std::fs::write(home.path().join("fleet.toml"), fleet(home.path(), SERVICES)).unwrap();
        let config =
            "listen = '127.0.0.1:0'\ndata = 'data'\n[env.prod]\nevery = '1h'\nfleet = 'fleet.toml'\n";
        std::fs::write(home.path().join("lamplighter.toml"), config).unwrap();
        let mut server = Command::new(env!("CARGO_BIN_EXE_lamplighter"))
            .args(["serve", "--config", "lamplighter.toml", "--json"])
            .env_clear()
            .env("HOME", home.path())
            .env("PATH", "/usr/bin:/bin")
            .current_dir(home.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(server.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let said: Value = serde_json::from_str(&line).unwrap();
        let mut token = std::fs::OpenOptions::new();
        let mut token =
            token.write(true).create_new(true).mode(0o600).open(home.path().join("token")).unwrap();
        writeln!(token, "{}", said["token"].as_str().unwrap()).unwrap();
        let house = House { home, server, url: said["url"].as_str().unwrap().to_owned() };
        house.wait_for(&["services", "--status", "healthy"], |out| out.lines().count() == SERVICES);
        house
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let server = ["--url", &self.url, "--token-file", "token", "--env", "prod"];
        lamplighter(self.home.path(), &[&server[..], arguments].concat())
    }

    /// Asks until the answer on stdout is as wanted.
    fn wait_for(&self, arguments: &[&str], wanted: impl Fn(&str) -> bool) -> String {
        let until = Instant::now() + PATIENCE;
        loop {
            let output = self.run(arguments);
            let out = stdout(&output);
            if wanted(&out) {
                return out;
            }
            assert!(Instant::now() < until, "{arguments:?}: {out}{}", stderr(&output));
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for House {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

fn fleet(home: &Path, services: usize) -> String {
    let home = home.display();
    let service = |number: usize| {
        format!(
            "[[env.prod.service]]\nid = 'web-{number}'\naddress = '127.0.0.1'\ntransport = 'local'\n\
             check = {{ command = 'test -e {home}/up{number}' }}\nrestart = {{ command = 'touch {home}/up{number}' }}\n\
             policy = {{ settle = '100ms' }}\n"
        )
    };
    (1..=services).map(service).collect()
}

#[test]
fn each_exit_status_is_what_it_says() {
    let mut house = House::open();
    let ends = |house: &House, arguments: &[&str], expected: i32, says: &str| {
        let output = house.run(arguments);
        assert_eq!(status(&output), expected, "{arguments:?}: {}{}", stdout(&output), stderr(&output));
        assert!(stderr(&output).contains(says), "{arguments:?}: {}", stderr(&output));
    };
    ends(&house, &["services"], 0, "5 services in `prod`: 5 healthy");
    ends(&house, &["sweep"], 0, "");
    ends(
        &house,
        &["why", "nobody"],
        1,
        "there is no service `nobody` in this env\nhint: `lamplighter services` lists them",
    );
    ends(&house, &["services", "--status", "ill"], 2, "possible values");
    ends(&house, &["hold", "web-1", "--reason", " "], 2, "a hold needs a reason");
    ends(&house, &["release", "web-1"], 4, "`web-1` is not held");
    ends(&house, &["sweep", "--go-on"], 4, "hint: `lamplighter sweep` without `--go-on` looks now");
    let elsewhere = ["--url", &house.url, "--token-file", "token", "--env", "dev", "health"];
    let output = lamplighter(house.home.path(), &elsewhere);
    assert!(status(&output) == 4 && stderr(&output).contains("hint: check `--env`"), "{}", stderr(&output));

    // A service that is not up is what a sweep and a look end with 5 for.
    std::fs::remove_file(house.path("up1")).unwrap();
    ends(&house, &["check", "web-1"], 5, "");
    house.wait_for(&["services", "--status", "healthy"], |out| out.lines().count() == SERVICES);

    // More at once than the guard believes: restarts are paused, which is a gate.
    for number in 1..=SERVICES {
        std::fs::remove_file(house.path(&format!("up{number}"))).unwrap();
    }
    ends(&house, &["sweep"], 3, "restarts are paused: ");
    ends(&house, &["sweep", "--go-on"], 5, "");
    house.wait_for(&["services", "--status", "healthy"], |out| out.lines().count() == SERVICES);

    house.server.kill().unwrap();
    house.server.wait().unwrap();
    ends(&house, &["services"], 6, "cannot be reached");
}

#[test]
fn a_night_with_one_service_is_told_from_its_first_fault_to_its_release() {
    let house = House::open();
    std::fs::remove_file(house.path("up2")).unwrap();
    let output = house.run(&["check", "web-2"]);
    assert!(stdout(&output).starts_with("web-2  down  check command failed"), "{}", stdout(&output));
    house.wait_for(&["why", "web-2"], |out| out.starts_with("web-2 is healthy: up after a restart"));

    let output = house.run(&["restart", "web-2"]);
    assert_eq!(status(&output), 0, "{}", stderr(&output));
    assert!(stdout(&output).starts_with("web-2  healthy  up after a restart"), "{}", stdout(&output));
    assert!(stderr(&output).contains("web-2: admin asked for a restart"), "{}", stderr(&output));

    let output = house.run(&["hold", "web-2", "--reason", "moving house", "--for", "2h"]);
    assert!(stdout(&output).starts_with("web-2  held  held by admin until "), "{}", stdout(&output));
    let listed = stdout(&house.run(&["services"]));
    assert!(listed.starts_with("web-2  held "), "what is not as usual comes first: {listed}");
    let output = house.run(&["restart", "web-2"]);
    assert!(stderr(&output).contains("held by admin: moving house; release it first"), "{}", stderr(&output));
    let output = house.run(&["release", "web-2"]);
    assert_eq!(stdout(&output), "web-2  unknown  released by admin; not looked at since\n");
    assert_eq!(status(&house.run(&["breaker", "reset", "web-2"])), 0);

    let story = stdout(&house.run(&["why", "web-2"]));
    let order = [
        "restarting  down: check command failed",
        "up after a restart",
        "hold: moving house",
        "by admin    release",
    ];
    let places: Vec<usize> = order.iter().map(|words| story.find(words).expect(&story)).collect();
    assert!(places.is_sorted(), "{story}");
    assert!(!story.contains("by recovery"), "what the engine did is said once: {story}");
    let output = house.run(&["events", "--service", "web-2", "--json"]);
    assert!(
        stdout(&output)
            .lines()
            .all(|line| serde_json::from_str::<Value>(line).unwrap()["service"] == "web-2")
    );
}

#[test]
fn what_is_applied_is_what_the_server_has() {
    let house = House::open();
    let apply = |more: &[&str]| house.run(&[&["apply", "fleet.toml", "--yes"][..], more].concat());
    let output = apply(&[]);
    assert_eq!(stdout(&output), "0 to add, 0 to change, 0 to remove, 5 unchanged\n", "{}", stderr(&output));

    let fewer = fleet(house.home.path(), 3) + "owner = 'ada@example.com'\n";
    let (_, kept) = fewer.split_at(fewer[1..].find("[[env.prod.service]]").unwrap() + 1);
    // New services of the server's own machine come from its own files only.
    let new =
        "[[env.prod.service]]\nid = 'web-9'\naddress = '127.0.0.1'\ncheck = { tcp = 9 }\nrestart = 'never'\n";
    std::fs::write(house.path("fleet.toml"), format!("{new}{kept}")).unwrap();
    let output = apply(&["--prune"]);
    assert_eq!(status(&output), 0, "{}", stderr(&output));
    let said = stdout(&output);
    assert!(said.contains("~ web-3  owner: unset → ada@example.com\n"), "{said}");
    assert!(said.contains("+ web-9  127.0.0.1\n") && said.contains("- web-5\n"), "{said}");
    assert!(said.ends_with("1 to add, 1 to change, 3 to remove, 1 unchanged\n"), "{said}");
    assert_eq!(
        stdout(&house.run(&["services", "ada"])),
        "",
        "`ada` is an owner, not an id, address or reason"
    );
    assert!(stdout(&house.run(&["services", "--owner", "ada@example.com"])).starts_with("web-3 "));
    assert_eq!(
        stdout(&apply(&["--prune", "--dry-run"]).clone()),
        "",
        "`--yes` and `--dry-run` exclude each other"
    );
}

#[test]
fn a_token_goes_into_a_file_and_ends_when_it_is_revoked() {
    let house = House::open();
    let name = "ada @ night";
    let make = ["token", "create", "--name", name, "--scope", "read", "--to", "ada"];
    let output = house.run(&make);
    assert_eq!((status(&output), stdout(&output).as_str()), (0, ""), "{}", stderr(&output));
    let by_ada = |arguments: &[&str]| {
        let server = ["--url", &house.url, "--token-file", "ada", "--env", "prod"];
        status(&lamplighter(house.home.path(), &[&server[..], arguments].concat()))
    };
    assert_eq!(by_ada(&["services"]), 0);
    assert_eq!(by_ada(&["restart", "web-1"]), 4, "it may only read");
    assert_eq!(status(&house.run(&make)), 1, "a file that is there is not written over");
    assert!(stdout(&house.run(&["token", "list"])).starts_with("ada @ night  read   -  made "));
    assert_eq!(status(&house.run(&["token", "revoke", name])), 0);
    assert_eq!(by_ada(&["services"]), 4);
}

#[test]
fn health_and_cost_are_told_in_words_and_as_json() {
    let house = House::open();
    let health = stdout(&house.run(&["health"]));
    assert!(health.starts_with("prod: 5 services, 5 healthy\nlast sweep: "), "{health}");
    let cost = stdout(&house.run(&["cost"]));
    assert!(cost.starts_with("counted since ") && cost.contains("\nin all "), "{cost}");
    for command in ["health", "cost", "services"] {
        let output = house.run(&[command, "--json"]);
        assert!(serde_json::from_slice::<Value>(&output.stdout).is_ok(), "{command}");
    }
}
