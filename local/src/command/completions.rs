//! `completions`: a script for a shell, made from the command line itself.

use clap::CommandFactory as _;

use crate::cli::{Cli, CompletionsArgs};
use crate::exit::{Exit, Outcome};
use crate::say;

/// Prints the script.
pub(super) fn run(args: &CompletionsArgs) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "lamplighter", &mut script);
    say::data(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Ok)
}
