//! The commands, one file each.

mod sweep_once;

use crate::cli::{Cli, SweepArgs, Verb};
use crate::exit::{Exit, Failure, Outcome};

/// Carries out what was asked.
///
/// # Errors
/// Why it could not be done, ready to be printed.
pub async fn run(cli: Cli) -> Outcome {
    let Cli { global, verb } = cli;
    match verb {
        Verb::Sweep(args @ SweepArgs { once: true, .. }) => sweep_once::run(&global, args).await,
        other => Err(Failure::new(Exit::Failed, format!("not built yet: {other:?}"))),
    }
}
