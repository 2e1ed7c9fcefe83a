//! The command line: what can be asked, and how it is spelled.

mod args;
mod rollout;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use lamplighter_core::EnvName;

pub use args::{
    ApplyArgs, BreakerVerb, CompletionsArgs, ContextVerb, DataVerb, DemoArgs, DoctorArgs, EventsArgs,
    HoldArgs, ImportArgs, ImportVerb, Kept, OneService, RestartArgs, Scope, ServeArgs, ServicesArgs,
    SweepArgs, TokenVerb,
};
pub use rollout::{
    AbortArgs, ListArgs, OnHalt, OneRollout, OptionArgs, PlanArgs, RetryArgs, RolloutVerb, StartArgs,
    SteerArgs,
};

use crate::say::Form;

/// Looks after a fleet of small servers: sees what is down, brings it back, tells people when something changed.
#[derive(Debug, Parser)]
#[command(name = "lamplighter", version, propagate_version = true, max_term_width = 100)]
#[command(
    after_help = "Exit status: 0 ok, 1 failed, 2 usage or a bad file, 3 halted by a gate, 4 refused, 5 partly, 6 unreachable"
)]
pub struct Cli {
    /// Where the server is and what is asked of it
    #[command(flatten)]
    pub global: Global,
    /// What is asked
    #[command(subcommand)]
    pub verb: Verb,
}

/// Options of every command.
#[derive(Debug, Clone, Args)]
pub struct Global {
    /// Address of the server, such as `https://lamp.example.com`
    #[arg(long, global = true, env = "LAMPLIGHTER_URL", value_name = "URL", help_heading = "Server")]
    pub url: Option<String>,
    /// File that holds the access token (a token itself is never given here)
    #[arg(long, global = true, env = "LAMPLIGHTER_TOKEN_FILE", value_name = "FILE", help_heading = "Server")]
    pub token_file: Option<PathBuf>,
    /// Environment, such as `prod`
    #[arg(long, global = true, env = "LAMPLIGHTER_ENV", value_name = "NAME", help_heading = "Server")]
    pub env: Option<EnvName>,
    /// Print JSON on stdout
    #[arg(long, global = true)]
    pub json: bool,
}

impl Global {
    /// How data is printed.
    #[must_use]
    pub fn form(&self) -> Form {
        if self.json { Form::Json } else { Form::Plain }
    }
}

/// What can be asked.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Run the server: sweep, recover, tell
    Serve(ServeArgs),
    /// Show all of it on a pretend fleet inside this process; needs nothing
    Demo(DemoArgs),
    /// Make the server look after what a fleet file says
    Apply(ApplyArgs),
    /// List services and how they are
    Services(ServicesArgs),
    /// Look at every service now
    Sweep(SweepArgs),
    /// Say why a service is in the state it is in
    Why(OneService),
    /// Restart a service, up or not, and say what came of it
    Restart(RestartArgs),
    /// Look at a service now
    Check(OneService),
    /// Leave a service alone until it is released
    Hold(HoldArgs),
    /// End a hold
    Release(OneService),
    /// Steer a service's circuit breaker
    #[command(subcommand)]
    Breaker(BreakerVerb),
    /// Bring a new version to an app's services, a few first
    #[command(subcommand)]
    Rollout(RolloutVerb),
    /// Summarise the environment: counts, anomalies, open breakers, the last sweep
    Health,
    /// Show what was consumed of the store, and what that would cost
    Cost,
    /// List what happened
    Events(EventsArgs),
    /// Find what a newcomer gets wrong: keys, host keys, sudo, units, clocks, mail, ports
    Doctor(DoctorArgs),
    /// Make, list and revoke access tokens
    #[command(subcommand)]
    Token(TokenVerb),
    /// Write a fleet file from what is already there
    #[command(subcommand)]
    Import(ImportVerb),
    /// Save the store to a file, or fill an empty one
    #[command(subcommand)]
    Data(DataVerb),
    /// Remember a server, so that `--url`, `--token-file` and `--env` can be left out
    #[command(subcommand)]
    Context(ContextVerb),
    /// Print a completion script for a shell
    Completions(CompletionsArgs),
}
