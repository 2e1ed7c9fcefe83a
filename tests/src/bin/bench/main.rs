//! Measures what Lamplighter promises: `cargo run --release -p lamplighter-tests --bin bench`.
//!
//! Prints counts, times and ratios. It asserts nothing: a machine's mood is no reason for a failing test.
//! Client CPU is this process's own, system calls included; every server it talks to is another process.
#![expect(clippy::print_stdout, reason = "printing is what a bench is for")]

mod fleet;
mod functions;
mod heal;
mod measure;
mod openssh;
mod own_fleet;
mod relay;
mod rollout;
mod secure_page;
mod sweep;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Parser;

/// Measures checks, sweeps, connections and rollouts.
#[derive(Debug, Parser)]
struct Args {
    /// Hosts of the comparison with OpenSSH's client; 0 leaves it out.
    #[arg(long, default_value_t = 200)]
    hosts: usize,
    /// Looks at once, 1 at least.
    #[arg(long, default_value_t = 64, value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..))]
    concurrency: usize,
    /// Fleet sizes to sweep in this machine's own fleet; 0 leaves it out.
    #[arg(long, value_delimiter = ',', default_value = "1000,10000")]
    services: Vec<usize>,
    /// Crashes from which a service is healed by the whole engine, some eight seconds each; 0 leaves it out.
    #[arg(long, default_value_t = 5)]
    heals: usize,
    /// Services of a rollout by the whole engine; 0 leaves it out.
    #[arg(long, default_value_t = 100)]
    rollout: usize,
    /// Looks, and only looks, at the real hosts of a fleet file instead.
    #[arg(long)]
    fleet: Option<PathBuf>,
    /// Measures, and only measures, the functions built into this folder, and prints the bill of a month on AWS.
    #[arg(long, value_name = "DIR")]
    functions: Option<PathBuf>,
    /// How far away the hosts are that are played to another bench.
    #[arg(long, hide = true, default_value_t = 0)]
    round_trip_ms: u64,
    /// Plays so many hosts to another bench, until its standard input ends.
    #[arg(long, hide = true)]
    serve_fleet: Option<usize>,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    measure::raise_file_limit();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().context("starting the runtime")?;
    // As a server sweeps: in a task on the runtime's own threads, beside the connections.
    runtime.block_on(async { tokio::spawn(run(args)).await.context("running the bench")? })
}

async fn run(args: Args) -> anyhow::Result<()> {
    if let Some(services) = args.serve_fleet {
        return fleet::serve(services, Duration::from_millis(args.round_trip_ms)).await;
    }
    let began = Instant::now();
    println!("{}", measure::machine());
    if let Some(file) = &args.fleet {
        return sweep::real_fleet(file, args.concurrency).await;
    }
    if let Some(folder) = &args.functions {
        functions::measure(folder).await?;
        println!("{}", measure::load());
        return Ok(());
    }
    if args.hosts > 0 {
        openssh::compare(args.hosts, args.concurrency).await?;
    }
    for services in args.services.iter().filter(|services| **services > 0) {
        own_fleet::sweeps(*services, args.concurrency).await?;
    }
    own_fleet::one_bad_host(args.concurrency).await?;
    if args.heals > 0 {
        heal::heals(args.heals).await?;
    }
    if args.rollout > 0 {
        rollout::rollouts(args.rollout).await?;
    }
    println!("all of it took {:.0} s; {}", began.elapsed().as_secs_f64(), measure::load());
    Ok(())
}
