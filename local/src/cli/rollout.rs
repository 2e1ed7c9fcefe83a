//! What the `rollout` commands take.

use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use lamplighter_core::{AppName, RolloutId, ServiceId, Version};

/// `rollout`.
#[derive(Debug, Subcommand)]
pub enum RolloutVerb {
    /// Show what a rollout would do, and change nothing
    Plan(PlanArgs),
    /// Bring a version to an app's services, stage by stage
    Start(StartArgs),
    /// List rollouts, the newest first
    List(ListArgs),
    /// Say what a rollout did, to whom, why, and what to do next
    Show(OneRollout),
    /// Follow a rollout to its end; the exit status says how it ended
    Watch(OneRollout),
    /// Begin no service until it is resumed; those under way finish
    Pause(SteerArgs),
    /// Go on after a pause
    Resume(SteerArgs),
    /// Stop it: no further change forward on any host
    Abort(AbortArgs),
    /// Begin a new rollout for those that failed, were rolled back or were skipped
    Retry(RetryArgs),
}

/// What is brought, to whom, and how.
#[derive(Debug, Clone, Args)]
pub struct PlanArgs {
    /// The app
    pub app: AppName,
    /// What is brought: a full commit hash, or an image's digest
    #[arg(long, value_name = "HASH", conflicts_with = "branch", alias = "target")]
    pub commit: Option<Version>,
    /// Or the head of this branch, as it is now; the branch that the services name if both are left out
    #[arg(long, value_name = "NAME")]
    pub branch: Option<String>,
    /// How it goes about it
    #[command(flatten)]
    pub options: OptionArgs,
}

/// How a rollout goes about it; what is left out has its default.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "How it goes about it")]
pub struct OptionArgs {
    /// A service that goes first; may be given again
    #[arg(long = "canary", value_name = "ID")]
    pub canaries: Vec<ServiceId>,
    /// Shares in percent at which it stops and watches, such as `10,50,100`
    #[arg(long, value_name = "PERCENT,…", value_delimiter = ',')]
    pub stages: Vec<u32>,
    /// Services updating at once [default: 5]
    #[arg(long, value_name = "N")]
    pub at_once: Option<u32>,
    /// Least time of watching after each stage, such as `5min` [default: 30s]
    #[arg(long, value_name = "TIME", value_parser = super::args::duration)]
    pub soak: Option<Duration>,
    /// Any failure in the first stage halts it
    #[arg(long)]
    pub strict_canary: bool,
    /// More failures than this, over all stages, halt it
    #[arg(long, value_name = "N")]
    pub max_failures: Option<u32>,
    /// What becomes of the updated services when it halts [default: keep]
    #[arg(long, value_enum, value_name = "WHAT")]
    pub on_halt: Option<OnHalt>,
}

/// What becomes of the updated services when a rollout halts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OnHalt {
    /// They keep the new version
    Keep,
    /// They go back to what they ran before
    RollBackAll,
}

/// `rollout start`.
#[derive(Debug, Clone, Args)]
pub struct StartArgs {
    /// What is brought, to whom, and how
    #[command(flatten)]
    pub what: PlanArgs,
    /// Start only if the plan still has this hash, as `rollout plan` printed it
    #[arg(long = "plan", value_name = "HASH")]
    pub plan_hash: Option<String>,
    /// Bring a version that halted a rollout before; the reason is kept
    #[arg(long, value_name = "REASON")]
    pub force: Option<String>,
    /// Do not ask
    #[arg(long, short)]
    pub yes: bool,
    /// Follow it to its end
    #[arg(long, short)]
    pub watch: bool,
}

/// `rollout list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Only those of this app
    #[arg(long, value_name = "APP")]
    pub app: Option<AppName>,
}

/// The one rollout a command is about.
#[derive(Debug, Args)]
pub struct OneRollout {
    /// The rollout, such as `rachel8-17`
    pub id: RolloutId,
}

/// `rollout pause` and `rollout resume`.
#[derive(Debug, Args)]
pub struct SteerArgs {
    /// The rollout, such as `rachel8-17`
    pub id: RolloutId,
    /// Only if it is still at this version, as `show --json` told it: somebody else may be steering, too
    #[arg(long, value_name = "N")]
    pub if_version: Option<u64>,
}

/// `rollout abort`.
#[derive(Debug, Args)]
pub struct AbortArgs {
    /// Which, and at which version
    #[command(flatten)]
    pub steer: SteerArgs,
    /// Also bring every service it has updated back to what it ran before
    #[arg(long)]
    pub roll_back: bool,
}

/// `rollout retry`.
#[derive(Debug, Args)]
pub struct RetryArgs {
    /// The rollout whose services are tried again
    pub id: RolloutId,
    /// Bring a version that halted a rollout before; the reason is kept
    #[arg(long, value_name = "REASON")]
    pub force: Option<String>,
    /// Follow it to its end
    #[arg(long, short)]
    pub watch: bool,
}
