//! The commands, one file each.

mod apply;
mod ask;
mod completions;
mod context;
mod cost;
mod data;
mod demo;
mod doctor;
mod events;
mod happening;
mod health;
mod import;
mod one_service;
mod outline;
mod restart;
mod rollout;
mod services;
mod sweep_now;
mod sweep_once;
mod token;
mod when;
mod why;

use std::path::Path;

use lamplighter_core::EnvName;

use crate::cli::{BreakerVerb, Cli, SweepArgs, Verb};
use crate::client::Client;
use crate::exit::{Exit, Failure, Outcome};
use crate::fleet_file::{FleetEnv, FleetFile};
use crate::serve;

/// Carries out what was asked.
///
/// # Errors
/// Why it could not be done, ready to be printed.
pub async fn run(cli: Cli) -> Outcome {
    let Cli { global, verb } = cli;
    let form = global.form();
    match verb {
        Verb::Serve(args) => serve::run(form, args).await,
        Verb::Apply(args) => apply::run(&global, args).await,
        Verb::Services(args) => services::run(&Client::new(&global)?, form, &args).await,
        Verb::Sweep(args @ SweepArgs { once: true, .. }) => sweep_once::run(&global, args).await,
        Verb::Sweep(args) => sweep_now::run(&Client::new(&global)?, form, &args).await,
        Verb::Why(one) => why::run(&Client::new(&global)?, form, &one.id).await,
        Verb::Restart(args) => restart::run(&Client::new(&global)?, form, &args).await,
        Verb::Check(one) => one_service::check(&Client::new(&global)?, form, &one.id).await,
        Verb::Hold(args) => one_service::hold(&Client::new(&global)?, form, &args).await,
        Verb::Release(one) => one_service::release(&Client::new(&global)?, form, &one.id).await,
        Verb::Breaker(BreakerVerb::Reset(one)) => {
            one_service::reset_breaker(&Client::new(&global)?, form, &one.id).await
        }
        Verb::Rollout(verb) => rollout::run(&Client::new(&global)?, form, verb).await,
        Verb::Health => health::run(&Client::new(&global)?, form).await,
        Verb::Cost => cost::run(&Client::new(&global)?, form).await,
        Verb::Events(args) => events::run(&Client::new(&global)?, form, &args).await,
        Verb::Token(verb) => token::run(&global, verb).await,
        Verb::Context(verb) => context::run(&global, &verb),
        Verb::Import(verb) => import::run(&global, verb),
        Verb::Data(verb) => data::run(&global, verb).await,
        Verb::Doctor(args) => doctor::run(form, &args).await,
        Verb::Completions(args) => completions::run(&args),
        Verb::Demo(args) => demo::run(form, args).await,
    }
}

/// The env that was named, or the only one there is.
fn choose_env(
    mut fleet: FleetFile,
    named: Option<&EnvName>,
    file: &Path,
) -> Result<(EnvName, FleetEnv), Failure> {
    let names: Vec<String> = fleet.envs.keys().map(|name| format!("`{name}`")).collect();
    let (names, file) = (names.join(", "), file.display());
    match named {
        Some(name) => match fleet.envs.remove_entry(name) {
            Some(env) => Ok(env),
            None => Err(Failure::new(Exit::Usage, format!("`{file}` has no environment `{name}`"))
                .hint(format!("it has {names}"))),
        },
        None if fleet.envs.len() == 1 => match fleet.envs.pop_first() {
            Some(env) => Ok(env),
            None => Err(Failure::new(Exit::Usage, format!("`{file}` has no environment"))),
        },
        None => Err(Failure::new(Exit::Usage, format!("`{file}` has several environments"))
            .hint(format!("say which with `--env`: {names}"))),
    }
}
