//! A whole rollout by the real engine and store, over hosts whose steps take the time they are told to: what is left
//! beyond that time is the engine's own.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context as _;
use futures_util::future::BoxFuture;
use lamplighter_app::rollouts::{Asked, start};
use lamplighter_app::{Clock, Env, EnvParts, Hosts, Sweeps, hand};
use lamplighter_core::rollout::{Options, Rollout, RowStatus};
use lamplighter_core::settings::Settings;
use lamplighter_core::sight::{GuardParts, Look, ProcessId, RestartOutcome, Sight};
use lamplighter_core::spec::ServiceSpec;
use lamplighter_core::update::{NoStanding, NotResolved, Standing, StepOutcome, UpdateStep, Wanted, Way};
use lamplighter_core::{Moment, RolloutId, ServiceId, Version};
use lamplighter_notify::{Place, Post};
use lamplighter_remote::{RestartOrder, UpdateOrder};
use lamplighter_store::{Expected, Store, Verb};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// One round trip to a host.
const ROUND_TRIP: Duration = Duration::from_millis(20);
/// Settle time of the services: long beside the engine, short beside an operator's patience.
const SETTLE: Duration = Duration::from_millis(300);
/// Soak time of the stages.
const SOAK: Duration = Duration::from_secs(1);
/// Longest that anything here is waited for.
const PATIENCE: Duration = Duration::from_secs(300);
/// Of what is promised: engine time for each service beyond its steps and six round trips.
const PROMISED_OVERHEAD: Duration = Duration::from_millis(300);
/// Of what is promised: from a start of the program until a rollout goes on, and from a failing step until the way back.
const PROMISED_START: Duration = Duration::from_secs(5);
/// Of what is promised: write units for each service updated.
const PROMISED_UNITS: f64 = 40.0;

/// What one service was asked for, and when.
#[derive(Debug, Default, Clone)]
struct Asks {
    first: Option<Instant>,
    calls: u32,
    /// The time spent in calls and in settling, which is the service's own.
    own: Duration,
    failed: Option<Instant>,
    turned: Option<Instant>,
    version: u8,
    run: u32,
}

/// Hosts that take their time.
#[derive(Debug, Default)]
struct Paced {
    asks: Mutex<BTreeMap<ServiceId, Asks>>,
    /// When the first step was asked for since this was last emptied.
    first_step: Mutex<Option<Instant>>,
    /// A service whose install fails.
    fails: Option<ServiceId>,
}

impl Paced {
    fn note<T>(&self, id: &ServiceId, change: impl FnOnce(&mut Asks) -> T) -> T {
        let mut asks = self.asks.lock().unwrap_or_else(PoisonError::into_inner);
        change(asks.entry(id.clone()).or_default())
    }

    async fn take(&self, id: &ServiceId, time: Duration) {
        let began = Instant::now();
        tokio::time::sleep(time).await;
        self.note(id, |asks| {
            asks.first.get_or_insert(began);
            asks.calls += 1;
            asks.own += began.elapsed();
        });
    }

    fn look_of(&self, id: &ServiceId, began: Moment) -> Look {
        let process = Some(run(self.note(id, |asks| asks.run)));
        Look { sight: Sight::Up, at: began + ROUND_TRIP, took: ROUND_TRIP, process, evidence: None }
    }
}

/// How long a step takes on a host: told by the service's number, from a hundred milliseconds to a second and a half.
fn time_of(id: &ServiceId, step: UpdateStep) -> Duration {
    let number: u64 =
        id.as_str().bytes().filter(u8::is_ascii_digit).fold(0, |n, digit| n * 10 + u64::from(digit - b'0'));
    let millis = match step {
        UpdateStep::CheckOut => 100 + (number * 37) % 300,
        UpdateStep::Install => 200 + (number * 7_919) % 1_300,
        UpdateStep::Restart
        | UpdateStep::Before
        | UpdateStep::After
        | UpdateStep::Rollback
        | UpdateStep::Own(_) => 100 + (number * 53) % 200,
    };
    Duration::from_millis(millis) + ROUND_TRIP
}

fn run(number: u32) -> ProcessId {
    format!("run-{number}").try_into().unwrap_or_else(|_| unreachable!("letters and digits"))
}

fn version(number: u8) -> Version {
    char::from(b'0' + number).to_string().repeat(40).parse().unwrap_or_else(|_| unreachable!("forty digits"))
}

impl Hosts for Paced {
    fn look<'a>(&'a self, spec: &'a ServiceSpec, began: Moment, _: Duration) -> BoxFuture<'a, Look> {
        Box::pin(async move {
            self.take(&spec.id, ROUND_TRIP).await;
            self.look_of(&spec.id, began)
        })
    }

    fn look_closely<'a>(&'a self, spec: &'a ServiceSpec, began: Moment, _: Duration) -> BoxFuture<'a, Look> {
        // The watch after a stage is the stage's, not the service's.
        Box::pin(async move {
            tokio::time::sleep(ROUND_TRIP).await;
            self.look_of(&spec.id, began)
        })
    }

    fn restart<'a>(
        &'a self,
        spec: &'a ServiceSpec,
        _: RestartOrder<'a>,
        _: Duration,
    ) -> BoxFuture<'a, RestartOutcome> {
        Box::pin(async move { RestartOutcome::Failed(format!("{} is not restarted here", spec.id)) })
    }

    fn standing<'a>(
        &'a self,
        spec: &'a ServiceSpec,
        _: Duration,
    ) -> BoxFuture<'a, Result<Standing, NoStanding>> {
        Box::pin(async move {
            self.take(&spec.id, ROUND_TRIP).await;
            let (number, process) = self.note(&spec.id, |asks| (asks.version, run(asks.run)));
            Ok(Standing { version: version(number), process: Some(process), obstacle: None })
        })
    }

    fn resolve<'a>(
        &'a self,
        _: &'a ServiceSpec,
        wanted: &'a Wanted,
        _: Duration,
    ) -> BoxFuture<'a, Result<Version, NotResolved>> {
        Box::pin(async move {
            match wanted {
                Wanted::Version(version) => Ok(version.clone()),
                Wanted::Branch(branch) => Err(NotResolved::Unknown(branch.clone())),
            }
        })
    }

    fn update<'a>(
        &'a self,
        spec: &'a ServiceSpec,
        order: UpdateOrder<'a>,
        _: Duration,
    ) -> BoxFuture<'a, StepOutcome> {
        Box::pin(async move {
            let asked = Instant::now();
            self.first_step.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(asked);
            self.take(&spec.id, time_of(&spec.id, order.step)).await;
            if order.way == Way::Forward
                && order.step == UpdateStep::Install
                && self.fails.as_ref() == Some(&spec.id)
            {
                self.note(&spec.id, |asks| asks.failed = Some(Instant::now()));
                return StepOutcome::Failed("no such package".to_owned());
            }
            let process = self.note(&spec.id, |asks| {
                match (order.step, order.way) {
                    (UpdateStep::CheckOut, Way::Forward) => asks.version = 1,
                    (UpdateStep::CheckOut, Way::Back) => asks.version = 0,
                    (UpdateStep::Restart, _) => asks.run += 1,
                    _ => {}
                }
                if order.way == Way::Back {
                    asks.turned.get_or_insert(asked);
                }
                run(asks.run)
            });
            StepOutcome::Done { parts: GuardParts::ALL, process: Some(process) }
        })
    }
}

/// Rolls out to so many services, twice: once undisturbed, once with the engine killed in the middle.
pub(crate) async fn rollouts(services: usize) -> anyhow::Result<()> {
    undisturbed(services).await?;
    killed_in_the_middle().await
}

async fn undisturbed(services: usize) -> anyhow::Result<()> {
    let folder = tempfile::tempdir().context("making a folder")?;
    // One of them fails, where one in a stage does not halt it.
    let fails = Some(name(services - 1)?);
    let hosts = Arc::new(Paced { fails: fails.clone(), ..Paced::default() });
    let env = open(folder.path(), hosts.clone()).await?;
    settle(&env, services).await?;
    // The sweep's looks are no part of it.
    hosts.asks.lock().unwrap_or_else(PoisonError::into_inner).clear();
    let before = env.store().ledger().of(Verb::Advance);
    let started = env.store().ledger().of(Verb::Api);
    let (engine, stop) = engine(&env);
    let began = Instant::now();
    let head = start(&env, &asked()?, "bench").await.context("starting a rollout")?;
    let start_units = env.store().ledger().of(Verb::Api).since(&started).write_units;
    let ended = until_ended(&env, &head.id).await?;
    let took = began.elapsed();
    let units = env.store().ledger().of(Verb::Advance).since(&before).write_units + start_units;
    stop.cancel();
    engine.await.context("stopping the engine")?;

    let asks = hosts.asks.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let rows = env.store().rows(&head.id, 0, 500).await.context("reading the rows")?;
    let mut overheads = Vec::new();
    let (mut own, mut calls) = (Vec::new(), 0);
    for row in &rows {
        let asks = asks.get(&row.service).context("a service was never asked")?;
        let settles = if row.status == RowStatus::Success { SETTLE } else { SETTLE * 2 };
        own.push((row.stage, asks.own + SETTLE));
        if row.status == RowStatus::Success {
            let (first, settled) = (asks.first.context("no first call")?, row.settled_at.context("no end")?);
            let whole = Moment::from(SystemTime::now() - first.elapsed()).until(settled);
            overheads.push(whole.saturating_sub(asks.own + settles));
            calls += asks.calls;
        }
    }
    overheads.sort();
    let (p50, p95) = (overheads[overheads.len() / 2], overheads[overheads.len() * 95 / 100]);
    let count = overheads.len();
    let ideal = ideal(&ended, &own);
    let failing = fails.and_then(|fails| asks.get(&fails).cloned()).context("nothing failed")?;
    let turned = failing.turned.zip(failing.failed).map(|(turned, failed)| turned.duration_since(failed));
    println!(
        "\na rollout of {services} services, {} at once, steps of 0.1 to 1.5 s, {}",
        ended.options.at_once,
        ended.status()
    );
    println!(
        "  engine beyond a service's own time: p50 {} ms, p95 {} ms: {:.2} of what is promised ({} ms)",
        p50.as_millis(),
        p95.as_millis(),
        p95.as_secs_f64() / PROMISED_OVERHEAD.as_secs_f64(),
        PROMISED_OVERHEAD.as_millis()
    );
    println!("  calls to a host for each: {:.2}", f64::from(calls) / f64::from(u32::try_from(count)?));
    println!(
        "  {:.1} s, the ideal schedule {:.1} s: {:.3} of it",
        took.as_secs_f64(),
        ideal.as_secs_f64(),
        took.as_secs_f64() / ideal.as_secs_f64()
    );
    println!(
        "  write units for each service: {:.1} (promised {PROMISED_UNITS})",
        units / f64::from(u32::try_from(services)?)
    );
    if let Some(turned) = turned {
        println!(
            "  from a failing step to the first step back: {} ms, {:.3} of what is promised",
            turned.as_millis(),
            turned.as_secs_f64() / PROMISED_START.as_secs_f64()
        );
    }
    Ok(())
}

/// The least time in which the services, in their order, can pass through the slots of each stage; and the soaks.
fn ideal(rollout: &Rollout, own: &[(u32, Duration)]) -> Duration {
    let mut whole = Duration::ZERO;
    for stage in 0..u32::try_from(rollout.stages.len()).unwrap_or(0) {
        let mut slots = vec![Duration::ZERO; usize::try_from(rollout.options.at_once).unwrap_or(1)];
        for (_, time) in own.iter().filter(|(of, _)| *of == stage) {
            if let Some(free) = slots.iter_mut().min() {
                *free += *time;
            }
        }
        whole += slots.into_iter().max().unwrap_or_default() + rollout.options.soak + ROUND_TRIP;
    }
    whole
}

/// The engine is thrown away in the middle of a rollout; another one opens the same file.
async fn killed_in_the_middle() -> anyhow::Result<()> {
    let folder = tempfile::tempdir().context("making a folder")?;
    let hosts = Arc::new(Paced::default());
    let env = open(folder.path(), hosts.clone()).await?;
    settle(&env, 20).await?;
    let (running, _) = engine(&env);
    let head = start(&env, &asked()?, "bench").await.context("starting a rollout")?;
    let began = Instant::now();
    while env.store().rollout(&head.id).await?.is_some_and(|head| head.begun < 8) {
        anyhow::ensure!(began.elapsed() < PATIENCE, "the rollout does not get on");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    running.abort();
    let _ = running.await;
    drop(env);
    *hosts.first_step.lock().unwrap_or_else(PoisonError::into_inner) = None;
    let back = Instant::now();
    let env = open(folder.path(), hosts.clone()).await?;
    let (engine, stop) = engine(&env);
    let resumed = loop {
        if let Some(first) = *hosts.first_step.lock().unwrap_or_else(PoisonError::into_inner) {
            break first.duration_since(back);
        }
        anyhow::ensure!(back.elapsed() < PATIENCE, "the rollout is not resumed");
        tokio::time::sleep(Duration::from_millis(2)).await;
    };
    let ended = until_ended(&env, &head.id).await?;
    stop.cancel();
    engine.await.context("stopping the engine")?;
    println!(
        "  killed in the middle of 20 services: the next life asks the first host after {} ms, {:.3} of what is promised; {}",
        resumed.as_millis(),
        resumed.as_secs_f64() / PROMISED_START.as_secs_f64(),
        ended.status()
    );
    Ok(())
}

fn engine(env: &Arc<Env>) -> (JoinHandle<()>, CancellationToken) {
    let stop = CancellationToken::new();
    let (running, stopping) = (env.clone(), stop.clone());
    (tokio::spawn(async move { hand::run(&running, stopping, |_| {}).await }), stop)
}

async fn until_ended(env: &Env, id: &RolloutId) -> anyhow::Result<Rollout> {
    let began = Instant::now();
    loop {
        let head = env.store().rollout(id).await.context("reading the rollout")?;
        if let Some(head) = head.filter(|head| !head.is_active()) {
            return Ok(head);
        }
        anyhow::ensure!(began.elapsed() < PATIENCE, "the rollout does not end");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn asked() -> anyhow::Result<Asked> {
    Ok(Asked {
        app: "shop".parse()?,
        wanted: Some(Wanted::Version(version(1))),
        options: Some(Options { soak: SOAK, ..Options::default() }),
        plan_hash: None,
        force: None,
    })
}

fn name(number: usize) -> anyhow::Result<ServiceId> {
    Ok(format!("vps-{number:03}").parse()?)
}

async fn settle(env: &Env, services: usize) -> anyhow::Result<()> {
    for number in 0..services {
        let spec: ServiceSpec = serde_json::from_value(serde_json::json!({
            "id": name(number)?, "app": "shop", "address": format!("10.0.{}.{}", number / 250, number % 250 + 1),
            "user": "deploy", "key": "file:key", "host_key": "ssh-ed25519 AAAAAAAAAAAAAAAAAAAAAAAA",
            "check": { "systemd": "shop" }, "restart": { "systemd": "shop" },
            "update": { "dir": "/srv/shop", "install": "bun install" }, "policy": { "settle": "300ms" },
        }))?;
        env.store()
            .put_service(&spec, Expected::Absent, env.clock().now())
            .await
            .context("storing a service")?;
    }
    // One sweep, so that every service is known to be healthy.
    let now = env.clock().now();
    lamplighter_app::sweep(env, u64::try_from(now.as_secs())?).await.context("sweeping")?;
    Ok(())
}

async fn open(folder: &Path, hosts: Arc<Paced>) -> anyhow::Result<Arc<Env>> {
    let name = "bench".parse().context("naming the env")?;
    let now = SystemTime::now().into();
    let store =
        Store::open_file(&folder.join("bench.sqlite"), &name, now).await.context("opening a store")?;
    let (version, settings) = store.settings().await.context("reading settings")?;
    if version == 0 {
        let every = Duration::from_secs(3_600);
        store.put_settings(0, &Settings { every, ..settings }).await.context("storing settings")?;
    }
    let from = "bench@localhost".parse().context("naming the sender")?;
    let post =
        Post::folder(folder.join("letters"), &from).map_err(|bad| anyhow::anyhow!("{}", bad.problem))?;
    Ok(Arc::new(Env::new(EnvParts {
        name,
        store,
        hosts,
        courier: Arc::new(post),
        place: Place::default(),
        clock: Clock::System,
        owner: format!("bench-{}", std::process::id()),
        sweeps: Sweeps::Together,
    })))
}
