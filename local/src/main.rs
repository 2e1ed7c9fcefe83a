//! The `lamplighter` binary: reads the command line, runs the command, says how it ended.

use std::process::ExitCode;

use clap::Parser as _;
use lamplighter::cli::Cli;
use lamplighter::exit::{Exit, Failure};
use lamplighter::{command, say};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Exit::Failed, format!("starting the runtime: {error}")))
        .and_then(|runtime| runtime.block_on(command::run(cli)));
    match outcome {
        Ok(exit) => exit.into(),
        Err(failure) => {
            say::note(&failure.to_string());
            failure.exit.into()
        }
    }
}
