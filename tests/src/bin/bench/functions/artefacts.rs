//! What is deployed: how large each function is, and how soon it asks for work.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use lamplighter_tests::aws::ROLES;

use super::lambda::Function;

/// Starts of each, of which the median counts.
const STARTS: usize = 20;
/// Promised size of a function's archive, in megabytes.
const PROMISED_MEGABYTES: f64 = 5.0;
/// Promised time from the start of a process until it asks for its first event.
const PROMISED_START: Duration = Duration::from_millis(15);

/// Where a function's program lies.
pub(super) fn bootstrap(folder: &Path, name: &str) -> PathBuf {
    folder.join(name).join("bootstrap")
}

/// Weighs and starts each function.
pub(super) async fn measure(folder: &Path, told: &BTreeMap<&str, String>) -> anyhow::Result<()> {
    println!(
        "\nfunctions of `{}`: archived, and started to ask for work (median of {STARTS})",
        folder.display()
    );
    for name in ROLES {
        let program = bootstrap(folder, name);
        is_for_this_machine(&program)?;
        let megabytes = archived_megabytes(&program)?;
        let mut starts = Vec::with_capacity(STARTS);
        for _ in 0..STARTS {
            let home = tempfile::tempdir().context("making a folder")?;
            let function = Function::start(&program, home.path(), told).await?;
            starts.push((function.start, function.start_cpu));
        }
        starts.sort();
        let (start, cpu) = starts[STARTS / 2];
        let fastest = starts[0].0;
        println!(
            "  {name:<8} {megabytes:.2} MB, {:.2} of what is promised; {:.1} ms (fastest {:.1} ms, {:.1} ms CPU), {:.2} of what is promised",
            megabytes / PROMISED_MEGABYTES,
            start.as_secs_f64() * 1e3,
            fastest.as_secs_f64() * 1e3,
            cpu.as_secs_f64() * 1e3,
            start.as_secs_f64() / PROMISED_START.as_secs_f64()
        );
    }
    Ok(())
}

/// Refuses a program of another architecture: what is measured then is the emulator that runs it.
fn is_for_this_machine(program: &Path) -> anyhow::Result<()> {
    /// Where an ELF file names its machine, and the numbers of those that Lambda has.
    const MACHINE: std::ops::Range<usize> = 18..20;
    const MACHINES: [(&str, u16); 2] = [("x86_64", 62), ("aarch64", 183)];
    let read = std::fs::read(program).with_context(|| format!("reading `{}`", program.display()))?;
    let machine = read.get(MACHINE).and_then(|bytes| bytes.try_into().ok()).map(u16::from_le_bytes);
    let own = MACHINES.iter().find(|(name, _)| *name == std::env::consts::ARCH);
    anyhow::ensure!(
        machine.is_some() && machine == own.map(|(_, number)| *number),
        "`{}` is not for {}; build the functions for this machine",
        program.display(),
        std::env::consts::ARCH
    );
    Ok(())
}

/// As `gzip` packs it, which is what a zip holds: the same DEFLATE, with a hundred bytes of names around it.
#[expect(clippy::cast_precision_loss, reason = "a program is far smaller than 2^52 bytes")]
fn archived_megabytes(program: &Path) -> anyhow::Result<f64> {
    let packed = Command::new("gzip").arg("-c").arg(program).stderr(Stdio::inherit()).output();
    let packed = packed.context("running `gzip`; install it")?;
    anyhow::ensure!(packed.status.success(), "`{}` cannot be packed", program.display());
    Ok(packed.stdout.len() as f64 / 1e6)
}
