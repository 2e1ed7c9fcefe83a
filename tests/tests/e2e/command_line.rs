//! The command line, as an operator of the home on AWS uses it.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use crate::program::binary;
use crate::stack::ENV;

/// The command line with a home of its own.
pub(crate) struct CommandLine {
    pub(crate) home: PathBuf,
}

impl CommandLine {
    /// Runs it without a server.
    pub(crate) fn run(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
        let mut command = Command::new(binary());
        command.args(arguments).env_clear().env("HOME", &self.home).current_dir(&self.home);
        command.envs(variables.iter().copied());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.output().unwrap()
    }

    /// Asks the API at `url`.
    pub(crate) fn ask(&self, url: &str, arguments: &[&str]) -> Output {
        let ours = ["--url", url, "--token-file", "token", "--env", ENV];
        self.run(&[arguments, &ours[..]].concat(), &[])
    }

    /// Writes `env`, as JSON, into a fleet file and applies that. Says what was said if it was not.
    pub(crate) fn apply(&self, url: &str, env: &Value) -> Result<(), String> {
        let file = toml::to_string(&json!({"env": {ENV: env}})).unwrap();
        std::fs::write(self.home.join("fleet.toml"), file).unwrap();
        let applied = self.ask(url, &["apply", "fleet.toml", "--yes"]);
        let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        match applied.status.success() {
            true => Ok(()),
            false => Err(format!("{}\n{}", said(&applied.stdout), said(&applied.stderr))),
        }
    }

    /// Asks the API, which must succeed, and answers what it said.
    pub(crate) fn json(&self, url: &str, arguments: &[&str]) -> Value {
        let output = self.ask(url, &[&["--json"][..], arguments].concat());
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {:?}: {said}", output.status);
        serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{arguments:?}: {error}: {output:?}"))
    }
}
