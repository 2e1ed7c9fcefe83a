//! The command line, as an operator of the home on AWS uses it.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::program::binary;

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
        let ours = ["--url", url, "--token-file", "token", "--env", super::stack::ENV];
        self.run(&[arguments, &ours[..]].concat(), &[])
    }

    /// The same, which must succeed, and its answer.
    pub(crate) fn json(&self, url: &str, arguments: &[&str]) -> Value {
        let output = self.ask(url, &[&["--json"][..], arguments].concat());
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {:?}: {said}", output.status);
        serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{arguments:?}: {error}: {output:?}"))
    }
}
