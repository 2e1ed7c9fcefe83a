//! From the crash of a service until it is active again, with the whole engine at work.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context as _;
use lamplighter::demo::systemd::{Nature, State};
use lamplighter::demo::{ClientKey, DemoHost, DemoHostSettings};
use lamplighter_app::{Clock, Env, EnvParts, Sweeps, hand};
use lamplighter_core::settings::Settings;
use lamplighter_core::spec::ServiceSpec;
use lamplighter_notify::{Place, Post};
use lamplighter_remote::{Remote, RemoteConfig};
use lamplighter_store::{Expected, Store};
use tokio_util::sync::CancellationToken;

/// The shortest interval that may be configured, so that the bench ends soon; the answer is in units of it.
const EVERY: Duration = Duration::from_secs(5);
/// Longest that one heal is waited for.
const PATIENCE: Duration = Duration::from_secs(60);
/// What is promised on top of half an interval: settling included.
const PROMISED: Duration = Duration::from_secs(7);

/// Crashes a service so often, at moments spread over the interval, and says how long it stayed away.
pub(crate) async fn heals(count: usize) -> anyhow::Result<()> {
    let folder = tempfile::tempdir().context("making a folder")?;
    let key = ClientKey::create(&folder.path().join("key")).context("making a key")?;
    let mut settings = DemoHostSettings::new(key.public.clone());
    settings.units = vec![("web".to_owned(), Nature::Sound)];
    let host = DemoHost::start(settings).await.context("starting a host")?;
    let env = env(folder.path(), &host).await?;
    let stop = CancellationToken::new();
    let (running, stopping) = (env.clone(), stop.clone());
    let engine = tokio::spawn(async move { hand::run(&running, stopping, |_| {}).await });
    let mut away = Vec::with_capacity(count);
    for number in 0..count {
        settled(&env).await?;
        // A different moment of the interval each time.
        tokio::time::sleep(EVERY.mul_f64(number as f64 / count as f64)).await;
        let crashed = Instant::now();
        host.systemd().crash("web");
        while host.systemd().state("web") != Some(State::Active) {
            anyhow::ensure!(crashed.elapsed() < PATIENCE, "the service was not healed");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        away.push(crashed.elapsed());
    }
    stop.cancel();
    engine.await.context("stopping the engine")?;
    host.stop().await;
    away.sort();
    let (p50, worst) = (away[away.len() / 2], away[away.len() - 1]);
    println!("\nfrom crash to active again, swept every {} s, {count} crashes", EVERY.as_secs());
    println!(
        "  p50 {:.2} s, worst {:.2} s: p50 is {:.2} of what is promised (half the interval + {} s)",
        p50.as_secs_f64(),
        worst.as_secs_f64(),
        p50.as_secs_f64() / (EVERY / 2 + PROMISED).as_secs_f64(),
        PROMISED.as_secs()
    );
    Ok(())
}

async fn env(folder: &std::path::Path, host: &DemoHost) -> anyhow::Result<Arc<Env>> {
    let name = "bench".parse().context("naming the env")?;
    let now = SystemTime::now().into();
    let store =
        Store::open_file(&folder.join("bench.sqlite"), &name, now).await.context("opening a store")?;
    store
        .put_settings(0, &Settings { every: EVERY, ..Settings::default() })
        .await
        .context("storing settings")?;
    // Many crashes in a row are the bench's doing, not the service's: it is never taken to be flapping.
    let spec: ServiceSpec = serde_json::from_value(serde_json::json!({
        "id": "web", "address": host.address().to_string(), "user": "demo", "key": "file:key",
        "host_key": host.host_key_line(), "check": { "systemd": "web" }, "restart": { "systemd": "web" },
        "policy": { "forgiven_after": "0ms" },
    }))?;
    store.put_service(&spec, Expected::Absent, now).await.context("storing the service")?;
    let from = "bench@localhost".parse().context("naming the sender")?;
    let post =
        Post::folder(folder.join("letters"), &from).map_err(|bad| anyhow::anyhow!("{}", bad.problem))?;
    Ok(Arc::new(Env::new(EnvParts {
        name,
        store,
        hosts: Arc::new(
            Remote::new(RemoteConfig::new(folder)).context("setting up the means of reaching hosts")?,
        ),
        courier: Arc::new(post),
        place: Place::default(),
        clock: Clock::System,
        owner: "bench".to_owned(),
        sweeps: Sweeps::Together,
    })))
}

/// Waits until the engine has judged the service healthy and forgiven what was.
async fn settled(env: &Env) -> anyhow::Result<()> {
    let id = "web".parse().context("naming the service")?;
    let began = Instant::now();
    loop {
        let placed = env.store().load_service(&id).await.context("reading the service")?;
        if placed.is_some_and(|placed| {
            placed.watch.status.as_str() == "healthy" && placed.watch.recent_restarts == 0
        }) {
            return Ok(());
        }
        anyhow::ensure!(began.elapsed() < PATIENCE, "the service was not judged healthy");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
