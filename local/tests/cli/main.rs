//! The real binary, as a person or a script runs it.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod client;
mod data;
mod named;
mod offline;
mod real;
mod rollout;
mod server;

use std::path::Path;
use std::process::{Command, Output, Stdio};

/// The binary with a home of its own: nothing of the machine's leaks in.
fn lamplighter(home: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_lamplighter"))
        .args(arguments)
        .env_clear()
        .env("HOME", home)
        .env("USER", "deploy")
        .current_dir(home)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn status(output: &Output) -> i32 {
    output.status.code().unwrap()
}
