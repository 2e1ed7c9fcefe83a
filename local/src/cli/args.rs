//! What each command takes.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand, ValueEnum};
use lamplighter_core::ServiceId;
use lamplighter_core::watch::Status;
use lamplighter_remote::network::Network;

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
    /// Only those with this text in their id, address or reason
    pub text: Option<String>,
    /// Only those in this status
    #[arg(long, value_name = "STATUS", value_parser = PossibleValuesParser::new(Status::ALL.map(Status::as_str)))]
    pub status: Option<String>,
    /// Only those of this app
    #[arg(long, value_name = "APP")]
    pub app: Option<String>,
    /// Only those of this owner
    #[arg(long, value_name = "MAIL")]
    pub owner: Option<String>,
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

/// `restart`.
#[derive(Debug, Args)]
pub struct RestartArgs {
    /// The service
    pub id: ServiceId,
    /// Only ask; do not wait for what comes of it
    #[arg(long)]
    pub no_wait: bool,
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

pub(super) fn duration(text: &str) -> Result<std::time::Duration, String> {
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
    /// Only after this cursor: the `id` of an event; today's if left out
    #[arg(long, value_name = "CURSOR")]
    pub after: Option<String>,
    /// Only of this service, and then all that is kept: 30 days
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
        /// Write it into this new file, for its owner's eyes alone, instead of printing it
        #[arg(long, value_name = "FILE")]
        to: Option<PathBuf>,
    },
    /// Make a first admin token for a home on AWS: into a new file, and its hash, for the deployment, on stdout
    Seed {
        /// Write it into this new file, for its owner's eyes alone
        #[arg(long, value_name = "FILE")]
        to: PathBuf,
    },
    /// List them, without their secrets
    List,
    /// End one
    Revoke {
        /// The token's name, as `token list` shows it
        name: String,
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
        /// Where they are
        #[command(flatten)]
        kept: Kept,
        /// Where to; stdout if left out
        #[arg(long, value_name = "FILE")]
        to: Option<PathBuf>,
    },
    /// Fill an empty environment from an export
    Import {
        /// Where they go
        #[command(flatten)]
        kept: Kept,
        /// The export
        from: PathBuf,
    },
    /// Offer an environment's store to programs of this machine, as a table of DynamoDB
    Serve {
        /// Folder of the store
        #[arg(long, value_name = "DIR")]
        data: PathBuf,
        /// Address to listen on, of this machine only; port 0 takes any free one
        #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8000")]
        listen: SocketAddr,
    },
}

/// Where an environment's items are kept.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct Kept {
    /// Folder of the store
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Table on AWS, with the credentials and the region of this shell
    #[arg(long, value_name = "NAME")]
    pub table: Option<String>,
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
