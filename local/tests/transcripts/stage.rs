//! The stage of a transcript: a server, and the demo's fleet with nothing breaking in it.

use std::process::{Command, Output, Stdio};
use std::time::Duration;

use lamplighter::demo::{DemoFleet, fleet};
use serde_json::{Value, json};

use super::program::{Home, PATIENCE, Program, eventually};

/// Longest a rollout of a script takes on a busy machine.
const ROLLOUT_LIMIT: Duration = Duration::from_secs(180);

/// A fleet, its server, and the folder an operator sits in.
pub(crate) struct Stage {
    pub(crate) fleet: DemoFleet,
    home: Home,
    server: Program,
}

impl Stage {
    /// Everything is up and looked at.
    pub(crate) async fn set() -> Stage {
        let home = Home::new("", "every = '5s'\nadmins = ['ops@example.com']", "");

        let fleet = fleet(home.path()).await.unwrap();
        let services = json!({ "env": { "prod": { "service": fleet.specs() } } });
        std::fs::write(home.path().join("fleet.toml"), toml::to_string(&services).unwrap()).unwrap();
        let server = home.serve();
        // The command line as an operator has it: by its name.
        std::fs::create_dir(home.path().join("bin")).unwrap();
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_lamplighter"), home.path().join("bin/lamplighter"))
            .unwrap();
        let stage = Stage { fleet, home, server };
        stage.until_all_are_healthy();
        stage
    }

    /// Waits until every service was seen healthy.
    pub(crate) fn until_all_are_healthy(&self) {
        let all = self.fleet.residents().len();
        self.until("every service is healthy", |stage| {
            let services = stage.asked(&["services"]);
            services.as_array().is_some_and(|services| {
                services.iter().filter(|service| service["status"] == "healthy").count() == all
            })
        });
    }

    /// Runs a line of a script in a shell.
    pub(crate) fn run(&self, line: &str) -> Output {
        let path = format!("{}/bin:/usr/bin:/bin", self.home.path().display());
        let command = Command::new("sh")
            .args(["-c", line])
            .env_clear()
            .env("PATH", path)
            .env("HOME", self.home.path())
            .env("LAMPLIGHTER_URL", &self.server.url)
            .env("LAMPLIGHTER_TOKEN_FILE", "token")
            .env("LAMPLIGHTER_ENV", "prod")
            .current_dir(self.home.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let pid = rustix::process::Pid::from_child(&command);
        let (ended, output) = std::sync::mpsc::channel();
        // Nobody may be left to hear it.
        std::thread::spawn(move || drop(ended.send(command.wait_with_output())));
        output.recv_timeout(ROLLOUT_LIMIT).map(Result::unwrap).unwrap_or_else(|_| {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            panic!("`{line}` does not end:\n{}", self.server.said.all().join("\n"));
        })
    }

    /// What the server answers, as JSON.
    pub(crate) fn asked(&self, arguments: &[&str]) -> Value {
        self.home.json(&self.server, arguments)
    }

    /// Waits until something is so.
    pub(crate) fn until(&self, what: &str, is_so: impl Fn(&Stage) -> bool) {
        let so = eventually(|| is_so(self).then_some(()), PATIENCE);
        so.unwrap_or_else(|| panic!("it never came that {what}:\n{}", self.server.said.all().join("\n")));
    }

    /// The subjects of the letters so far about rollouts, oldest first.
    pub(crate) fn letters(&self) -> Vec<String> {
        let letters = self.home.letters().into_iter().map(|letter| letter.subject);
        letters.filter(|subject| subject.contains("rollout ")).collect()
    }

    /// The file that fills a host's disk.
    pub(crate) fn full_disk(&self) -> std::path::PathBuf {
        let host = lamplighter::demo::fleet::FULL_HOST + 1;
        self.home.path().join(format!("hosts/host-{host}/disk-is-full"))
    }

    pub(crate) async fn strike(self) {
        let _ = self.server.terminate();
        self.fleet.stop().await;
    }
}
