//! The fleet that is swept: thousands of hosts played by one other process, so that its work is not counted as ours.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr};
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context as _;
use lamplighter::demo::systemd::Nature;
use lamplighter::demo::{ClientKey, DemoHost, DemoHostSettings};
use lamplighter_core::spec::ServiceSpec;
use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, BufReader};

use crate::measure::cpu_of;

/// Plays `services` hosts until standard input ends. The first line on standard output says how to reach them.
pub(crate) async fn serve(services: usize) -> anyhow::Result<()> {
    let home = tempfile::tempdir().context("making a home for the key")?;
    let key = ClientKey::create(&home.path().join("key")).context("making the key")?;
    let mut settings = DemoHostSettings::new(key.public.clone());
    settings.bind = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    settings.max_sessions = services + 1_000;
    settings.units = (0..services).map(|n| (unit(n), Nature::Sound)).collect();
    let host = DemoHost::start(settings).await.context("starting the fleet")?;
    let introduction =
        json!({ "port": host.address().port(), "host_key": host.host_key_line(), "home": home.path() });
    println!("{introduction}");
    std::io::stdout().flush().context("introducing the fleet")?;
    // Ends with the bench that started it, whatever became of that one.
    let _ = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await;
    host.stop().await;
    Ok(())
}

/// A fleet in a child process. It ends when this is dropped.
pub(crate) struct Fleet {
    /// The services, each on a host of its own.
    pub(crate) services: Vec<ServiceSpec>,
    /// Where the key lies.
    pub(crate) home: std::path::PathBuf,
    child: tokio::process::Child,
}

impl Fleet {
    /// Starts a fleet of so many services.
    pub(crate) async fn start(services: usize) -> anyhow::Result<Fleet> {
        let program = std::env::current_exe().context("finding this program")?;
        let mut child = tokio::process::Command::new(program)
            .args(["--serve-fleet", &services.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("starting the fleet's process")?;
        let stdout = child.stdout.take().context("listening to the fleet")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).await.context("reading the fleet's introduction")?;
        let introduction: serde_json::Value =
            serde_json::from_str(&line).context("understanding the fleet's introduction")?;
        let port = introduction["port"].as_u64().context("the fleet named no port")?;
        let host_key = introduction["host_key"].as_str().context("the fleet named no host key")?;
        let home = introduction["home"].as_str().context("the fleet named no home")?.into();
        let services = (0..services).map(|n| spec(n, port, host_key)).collect::<anyhow::Result<_>>()?;
        Ok(Fleet { services, home, child })
    }

    /// What playing the hosts has cost so far, which is no cost of ours.
    pub(crate) fn cpu(&self) -> Duration {
        self.child.id().and_then(cpu_of).unwrap_or_default()
    }

    /// Lets the fleet's process end in good order.
    pub(crate) async fn stop(mut self) {
        drop(self.child.stdin.take());
        // One that does not listen is killed when it is dropped.
        let _ = tokio::time::timeout(Duration::from_secs(20), self.child.wait()).await;
    }
}

fn unit(n: usize) -> String {
    format!("service-{n}")
}

/// Each service has an address of its own, `127.1.0.1` onwards: a host of its own, as far as any client can tell.
fn spec(n: usize, port: u64, host_key: &str) -> anyhow::Result<ServiceSpec> {
    let address = format!("127.1.{}.{}:{port}", n / 250, n % 250 + 1);
    serde_json::from_value(json!({
        "id": unit(n),
        "address": address,
        "user": "demo",
        "key": "file:key",
        "host_key": host_key,
        "check": { "systemd": unit(n) },
        "restart": "never",
    }))
    .context("describing a service of the fleet")
}
