//! A shard, swept again and again by the function itself.

use std::fmt;
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use lamplighter_core::spec::{Check, ServiceSpec};
use lamplighter_core::{EnvName, Moment};
use lamplighter_tests::aws::{MEGABYTES, Table, Units};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::lambda::{Called, Function};
use super::{artefacts, told};
use crate::fleet::Fleet;

/// Megabytes of memory that come with a whole processor; fewer come with their share of it.
const WHOLE_PROCESSOR_MEGABYTES: u32 = 1_769;
/// Sweeps until what is silent is known to be.
const SETTLING: usize = 5;
/// Sweeps that are averaged.
const SWEEPS: usize = 10;
/// Calls of a function with nothing to do that are averaged, after the first.
const QUIET_CALLS: usize = 20;
/// Between a function and the table of its region: what AWS calls single-digit milliseconds.
const TABLE_ANSWERS_AFTER: Duration = Duration::from_millis(5);
/// Seconds between two ticks that are asked for: the shortest interval of an env.
const TICK_SECS: u64 = 60;

/// What the services are checked by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Over {
    Ssh,
    Http,
    Https,
}

/// One kind of call.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Call {
    pub(super) called: Called,
    pub(super) units: Units,
    /// What is paid for: its time on the wall, or that which its CPU takes on the share of a processor it has.
    pub(super) billed: Duration,
}

/// What sweeping a shard takes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shard {
    over: Over,
    silent: usize,
    /// The first call of a process, its start included.
    pub(super) cold: Call,
    /// Those after it, on average.
    pub(super) warm: Call,
    /// Sent to the hosts by one sweep.
    pub(super) egress_bytes: u64,
    peak_kib: u64,
}

/// Sweeps the fleet, of which `silent` hosts accept and say nothing.
pub(super) async fn sweeps(
    folder: &Path,
    env: &EnvName,
    fleet: &mut Fleet,
    over: Over,
    silent: usize,
) -> anyhow::Result<Shard> {
    // The backlog accepts for it.
    let nobody = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).await.context("starting the silent host")?;
    let port = nobody.local_addr().context("finding the silent host")?.port();
    let mut services = match over {
        Over::Ssh => fleet.services.clone(),
        Over::Http => fleet.pages.clone(),
        Over::Https => fleet.secure_pages.clone(),
    };
    for spec in services.iter_mut().take(silent) {
        silence(spec, port)?;
    }
    let home = tempfile::tempdir().context("making a folder for the table")?;
    let table = Table::with(home.path(), env, &services, TABLE_ANSWERS_AFTER).await?;
    let program = artefacts::bootstrap(folder, "sweep");
    let mut tick = Moment::from(SystemTime::now()).tick(Duration::from_secs(TICK_SECS));
    // Whatever is new is written once, by a process that nothing is counted of.
    let mut before = Function::start(&program, &fleet.home, &told(env, table.url(), &fleet.roots())).await?;
    for _ in 0..SETTLING {
        // On a slow disk the first may run out of time: the next goes on from what was committed.
        let _ = one(&mut before, &table, ring(tick)).await;
        tick += TICK_SECS;
    }
    drop(before);
    let mut function =
        Function::start(&program, &fleet.home, &told(env, table.url(), &fleet.roots())).await?;
    let started = Called { wall: function.start, cpu: function.start_cpu, log_bytes: 0 };
    let mut cold = one(&mut function, &table, ring(tick)).await?;
    cold.billed += billed(&started);
    let carried = fleet.carried().await?;
    let mut calls = Vec::with_capacity(SWEEPS);
    for _ in 0..SWEEPS {
        tick += TICK_SECS;
        calls.push(one(&mut function, &table, ring(tick)).await?);
    }
    let egress_bytes = (fleet.carried().await? - carried) / u64::try_from(SWEEPS)?;
    let line = function.last_line();
    let saw = serde_json::from_str::<Value>(&line).unwrap_or_default()["fields"]["healthy"].as_u64();
    anyhow::ensure!(saw == u64::try_from(services.len() - silent).ok(), "the sweep saw: {line}");
    Ok(Shard { over, silent, cold, warm: average(&calls), egress_bytes, peak_kib: function.peak_kib() })
}

/// Calls the functions that are called each minute, with nothing to do.
pub(super) async fn quiet_calls(
    folder: &Path,
    env: &EnvName,
    fleet: &Fleet,
) -> anyhow::Result<Vec<(&'static str, Call)>> {
    let home = tempfile::tempdir().context("making a folder for the table")?;
    let table = Table::with(home.path(), env, &fleet.services, TABLE_ANSWERS_AFTER).await?;
    let mut quiet = Vec::new();
    for name in ["recover", "advance", "notify"] {
        let program = artefacts::bootstrap(folder, name);
        let mut function =
            Function::start(&program, &fleet.home, &told(env, table.url(), &fleet.roots())).await?;
        let now = Moment::from(SystemTime::now());
        let event = json!({ "ring": name, "due": now.as_secs() });
        one(&mut function, &table, event.clone()).await?;
        let mut calls = Vec::with_capacity(QUIET_CALLS);
        for _ in 0..QUIET_CALLS {
            calls.push(one(&mut function, &table, event.clone()).await?);
        }
        quiet.push((name, average(&calls)));
    }
    Ok(quiet)
}

async fn one(function: &mut Function, table: &Table, event: Value) -> anyhow::Result<Call> {
    let before = table.units();
    let called = function.call(event).await?;
    Ok(Call { called, units: table.units().since(before), billed: billed(&called) })
}

fn billed(called: &Called) -> Duration {
    called.wall.max(called.cpu * WHOLE_PROCESSOR_MEGABYTES / MEGABYTES)
}

fn average(calls: &[Call]) -> Call {
    let count = u32::try_from(calls.len()).unwrap_or(1).max(1);
    let sum = |of: fn(&Call) -> Duration| calls.iter().map(of).sum::<Duration>() / count;
    let mean = |of: fn(&Call) -> f64| calls.iter().map(of).sum::<f64>() / f64::from(count);
    let log_bytes = calls.iter().map(|call| call.called.log_bytes).sum::<u64>() / u64::from(count);
    Call {
        called: Called { wall: sum(|call| call.called.wall), cpu: sum(|call| call.called.cpu), log_bytes },
        units: Units { read: mean(|call| call.units.read), written: mean(|call| call.units.written) },
        billed: sum(|call| call.billed),
    }
}

/// A tick out of turn, heard now: the bench has no time to wait for minutes.
fn ring(tick: u64) -> Value {
    json!({ "ring": "sweep", "due": Moment::from(SystemTime::now()).as_secs(), "tick": tick })
}

fn silence(spec: &mut ServiceSpec, port: u16) -> anyhow::Result<()> {
    let host = spec.address.host().to_owned();
    match &mut spec.check {
        Check::Http(check) => {
            let scheme = check.url.split(':').next().unwrap_or_default().to_owned();
            check.url = format!("{scheme}://{host}:{port}/health");
        }
        Check::Systemd(_) | Check::Tcp(_) | Check::Command(_) | Check::Docker(_) => {
            spec.address = format!("{host}:{port}").parse().context("finding the silent host")?;
        }
    }
    Ok(())
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:.0} ms wall, {:.1} ms CPU, billed {:.2} s, {:.1} read and {:.1} write units, {} B of log",
            self.called.wall.as_secs_f64() * 1e3,
            self.called.cpu.as_secs_f64() * 1e3,
            self.billed.as_secs_f64(),
            self.units.read,
            self.units.written,
            self.called.log_bytes
        )
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "  over {:?}, {} hosts silent", self.over, self.silent)?;
        writeln!(f, "    first: {}", self.cold)?;
        writeln!(f, "    then:  {}", self.warm)?;
        write!(
            f,
            "    {:.0} µs CPU a look, {} B sent for each; {:.1} MB at most",
            self.warm.called.cpu.as_secs_f64() * 1e6 / 500.0,
            self.egress_bytes / 500,
            f64::from(u32::try_from(self.peak_kib).unwrap_or(u32::MAX)) * 1_024.0 / 1e6
        )
    }
}
