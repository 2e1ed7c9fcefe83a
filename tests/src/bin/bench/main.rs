//! Measures what Lamplighter promises: `cargo run --release -p lamplighter-tests --bin bench`.
//!
//! Prints counts, times and ratios. It asserts nothing: a machine's mood is no reason for a failing test.
//! Client CPU is this process's own, system calls included; every server it talks to is another process.
#![expect(clippy::print_stdout, reason = "printing is what a bench is for")]

mod fleet;
mod measure;
mod openssh;
mod own_fleet;
mod sweep;

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Parser;

/// Measures checks, sweeps and connections.
#[derive(Debug, Parser)]
struct Args {
    /// Hosts of the comparison with OpenSSH's client.
    #[arg(long, default_value_t = 200)]
    hosts: usize,
    /// Looks at once.
    #[arg(long, default_value_t = 64)]
    concurrency: usize,
    /// Fleet sizes to sweep in this machine's own fleet.
    #[arg(long, value_delimiter = ',', default_value = "1000,10000")]
    services: Vec<usize>,
    /// Looks, and only looks, at the real hosts of a fleet file instead.
    #[arg(long)]
    fleet: Option<PathBuf>,
    /// Plays so many hosts to another bench, until its standard input ends.
    #[arg(long, hide = true)]
    serve_fleet: Option<usize>,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    measure::raise_file_limit();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().context("starting the runtime")?;
    runtime.block_on(async {
        if let Some(services) = args.serve_fleet {
            return fleet::serve(services).await;
        }
        println!("{}", measure::machine());
        if let Some(file) = &args.fleet {
            return sweep::real_fleet(file, args.concurrency).await;
        }
        openssh::compare(args.hosts, args.concurrency).await?;
        for services in &args.services {
            own_fleet::sweeps(*services, args.concurrency).await?;
        }
        own_fleet::one_bad_host(args.concurrency).await?;
        println!(
            "\nnot measured here: crash of a service to active again; it needs the server and its minute hand"
        );
        Ok(())
    })
}
