//! The command line: what can be asked, and how it is spelled.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use lamplighter_core::{EnvName, ServiceId};
use lamplighter_remote::network::Network;

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
    /// Restart a service, up or not
    Restart(OneService),
    /// Look at a service now
    Check(OneService),
    /// Leave a service alone until it is released
    Hold(HoldArgs),
    /// End a hold
    Release(OneService),
    /// Steer a service's circuit breaker
    #[command(subcommand)]
    Breaker(BreakerVerb),
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

/// `serve`.
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// Configuration, `lamplighter.toml`; without it one environment, `prod`, with every default
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Address to listen on; wins over the configuration
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<SocketAddr>,
    /// Folder of the store; wins over the configuration
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
}

/// `demo`.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Address to listen on; port 0 takes any free one
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<SocketAddr>,
    /// Folder of the store; a temporary one if left out
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
}

/// `apply`.
#[derive(Debug, Args)]
pub struct ApplyArgs {
    /// The fleet file
    pub fleet: PathBuf,
    /// Do not ask
    #[arg(long, short)]
    pub yes: bool,
    /// Show what would change, and change nothing
    #[arg(long, conflicts_with = "yes")]
    pub dry_run: bool,
    /// Also remove services that the file does not have
    #[arg(long)]
    pub prune: bool,
}

/// `services`.
#[derive(Debug, Args)]
pub struct ServicesArgs {
    /// Only those in this status
    #[arg(long, value_name = "STATUS")]
    pub status: Option<String>,
    /// Only those of this app
    #[arg(long, value_name = "APP")]
    pub app: Option<String>,
}

/// `sweep`.
#[derive(Debug, Args)]
pub struct SweepArgs {
    /// Without a server: look once at a fleet file's services, store nothing, restart nothing, tell nobody
    #[arg(long, requires = "fleet")]
    pub once: bool,
    /// The fleet file of `--once`
    #[arg(long, value_name = "FILE", requires = "once")]
    pub fleet: Option<PathBuf>,
    /// Looks at once with `--once`
    #[arg(long, value_name = "N", requires = "once", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub concurrency: Option<u32>,
    /// Private network that `http` and `tcp` checks of `--once` may reach, such as `10.0.0.0/8`; may be given again
    #[arg(long, value_name = "NETWORK", requires = "once")]
    pub allow_network: Vec<Network>,
    /// Say that the failures are real although many came at once: restarts begin again
    #[arg(long, conflicts_with = "once")]
    pub go_on: bool,
}

/// The one service a command is about.
#[derive(Debug, Args)]
pub struct OneService {
    /// The service
    pub id: ServiceId,
}

/// `hold`.
#[derive(Debug, Args)]
pub struct HoldArgs {
    /// The service
    pub id: ServiceId,
    /// Why; everybody sees it
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
    /// For how long, such as `2h`; until it is released if left out
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    pub lasting: Option<std::time::Duration>,
}

fn duration(text: &str) -> Result<std::time::Duration, String> {
    lamplighter_core::moment::parse_duration(text)
}

/// `breaker`.
#[derive(Debug, Subcommand)]
pub enum BreakerVerb {
    /// Close it: restarts are allowed again
    Reset(OneService),
}

/// `events`.
#[derive(Debug, Args)]
pub struct EventsArgs {
    /// Only after this cursor
    #[arg(long, value_name = "CURSOR")]
    pub after: Option<String>,
    /// Only of this service
    #[arg(long, value_name = "ID")]
    pub service: Option<ServiceId>,
    /// Go on printing events as they come
    #[arg(long, short)]
    pub follow: bool,
}

/// `doctor`.
#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub struct DoctorArgs {
    /// Examine the hosts of this fleet file
    #[arg(long, value_name = "FILE")]
    pub fleet: Option<PathBuf>,
    /// Examine what `serve --config` would use: mail, port, data folder, and its fleet files
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// `token`.
#[derive(Debug, Subcommand)]
pub enum TokenVerb {
    /// Make one, and print it: it is shown only now
    Create {
        /// What it is for
        #[arg(long)]
        name: String,
        /// What it may do
        #[arg(long, value_enum)]
        scope: Scope,
        /// Whose services it may see, for the scope `owner`
        #[arg(long, required_if_eq("scope", "owner"))]
        owner: Option<String>,
    },
    /// List them, without their secrets
    List,
    /// End one
    Revoke {
        /// The token's id, as `token list` shows it
        id: String,
    },
}

/// What a token may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Scope {
    /// Everything
    Admin,
    /// See an owner's own services
    Owner,
    /// Take jobs
    Worker,
    /// See everything
    Read,
}

/// `import`.
#[derive(Debug, Subcommand)]
pub enum ImportVerb {
    /// From an Ansible inventory: INI, YAML, or the JSON of `ansible-inventory --list`
    Ansible(ImportArgs),
    /// From an OpenSSH client configuration
    SshConfig(ImportArgs),
}

/// What an import reads and adds.
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// What to read; for `ssh-config` the default is `~/.ssh/config`, and `-` is stdin
    pub from: Option<PathBuf>,
    /// How services are checked and restarted: `systemd=UNIT` or `docker=CONTAINER`
    #[arg(long, value_name = "KIND=NAME", default_value = "systemd=CHANGE-ME")]
    pub check: String,
    /// The login, where the source names none
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
    /// The private key file, where the source names none
    #[arg(long, value_name = "FILE")]
    pub key: Option<String>,
}

/// `data`.
#[derive(Debug, Subcommand)]
pub enum DataVerb {
    /// Write an environment's items as JSON lines with a checksum
    Export {
        /// Folder of the store
        #[arg(long, value_name = "DIR")]
        data: PathBuf,
        /// Where to; stdout if left out
        #[arg(long, value_name = "FILE")]
        to: Option<PathBuf>,
    },
    /// Fill an empty environment from an export
    Import {
        /// Folder of the store
        #[arg(long, value_name = "DIR")]
        data: PathBuf,
        /// The export
        from: PathBuf,
    },
}

/// `context`.
#[derive(Debug, Subcommand)]
pub enum ContextVerb {
    /// Remember `--url`, `--token-file` and `--env`
    Save,
    /// Show what is remembered
    Show,
    /// Forget it
    Clear,
}

/// `completions`.
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}
