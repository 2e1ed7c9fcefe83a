//! The fleet that is swept: thousands of hosts played by one other process, so that its work is not counted as ours.

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::routing::get;
use lamplighter::demo::systemd::Nature;
use lamplighter::demo::{ClientKey, DemoHost, DemoHostSettings};
use lamplighter_core::spec::ServiceSpec;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::net::TcpListener;
use tokio::process::{ChildStdin, ChildStdout};

use crate::measure::cpu_of;
use crate::relay::{Carried, relay};
use crate::secure_page;

/// Plays `services` hosts until standard input ends, each with an SSH server and a health page. The first line on standard
/// output says how to reach them; every line on standard input is answered by what was carried to them so far.
pub(crate) async fn serve(services: usize, round_trip: Duration) -> anyhow::Result<()> {
    let home = tempfile::tempdir().context("making a home for the key")?;
    let key = ClientKey::create(&home.path().join("key")).context("making the key")?;
    let mut settings = DemoHostSettings::new(key.public.clone());
    settings.bind = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    settings.max_sessions = services + 1_000;
    settings.units = (0..services).map(|n| (unit(n), Nature::Sound)).collect();
    let host = DemoHost::start(settings).await.context("starting the fleet")?;
    let page = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).await.context("starting the health page")?;
    let page_port = page.local_addr().context("finding the health page")?.port();
    let router = axum::Router::new().route("/health", get(|| async { "well" }));
    tokio::spawn(async move { axum::serve(page, router).await });
    let secure_port = secure_page::serve(home.path(), &address(0)).await?;
    let carried = Arc::new(Carried::default());
    let mut ports = [host.address().port(), page_port, secure_port];
    if !round_trip.is_zero() {
        for port in &mut ports {
            *port = far_away(*port, round_trip, &carried).await?;
        }
    }
    let introduction = Introduction { ports, host_key: host.host_key_line(), home: home.path().to_owned() };
    let introduction = serde_json::to_string(&introduction).context("writing an introduction")?;
    println!("{introduction}");
    std::io::stdout().flush().context("introducing the fleet")?;
    // Ends with the bench that started it, whatever became of that one.
    let _ = tokio::task::spawn_blocking(move || answer_lines(&carried)).await;
    host.stop().await;
    Ok(())
}

/// What the fleet's process says first: how its hosts are reached over SSH, HTTP and HTTPS.
#[derive(Serialize, Deserialize)]
struct Introduction {
    ports: [u16; 3],
    host_key: String,
    home: PathBuf,
}

fn answer_lines(carried: &Carried) -> std::io::Result<()> {
    for line in std::io::stdin().lines() {
        line?;
        println!("{}", carried.network_bytes());
        std::io::stdout().flush()?;
    }
    Ok(())
}

/// A port of every host that leads to `port`, so far away.
async fn far_away(port: u16, round_trip: Duration, carried: &Arc<Carried>) -> anyhow::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).await.context("starting a relay")?;
    let near = listener.local_addr().context("finding the relay")?.port();
    tokio::spawn(relay(listener, (Ipv4Addr::LOCALHOST, port).into(), round_trip, Arc::clone(carried)));
    Ok(near)
}

/// A fleet in a child process. It ends when this is dropped.
pub(crate) struct Fleet {
    /// The services, each on a host of its own.
    pub(crate) services: Vec<ServiceSpec>,
    /// The same hosts, checked by their health pages.
    pub(crate) pages: Vec<ServiceSpec>,
    /// As many services of one host, checked by its page over TLS: it has one certificate, whose root is [`Fleet::roots`].
    pub(crate) secure_pages: Vec<ServiceSpec>,
    /// Where the key lies.
    pub(crate) home: PathBuf,
    child: tokio::process::Child,
    to_child: ChildStdin,
    from_child: Lines<BufReader<ChildStdout>>,
}

impl Fleet {
    /// Starts a fleet of so many services, next door.
    pub(crate) async fn start(services: usize) -> anyhow::Result<Fleet> {
        Fleet::start_at(services, Duration::ZERO).await
    }

    /// Starts a fleet of so many services, so far away.
    pub(crate) async fn start_at(services: usize, round_trip: Duration) -> anyhow::Result<Fleet> {
        let program = std::env::current_exe().context("finding this program")?;
        let mut child = tokio::process::Command::new(program)
            .args(["--serve-fleet", &services.to_string()])
            .args(["--round-trip-ms", &round_trip.as_millis().to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("starting the fleet's process")?;
        let stdout = child.stdout.take().context("listening to the fleet")?;
        let to_child = child.stdin.take().context("speaking to the fleet")?;
        let mut from_child = BufReader::new(stdout).lines();
        let line = from_child.next_line().await.context("reading the fleet's introduction")?;
        let line = line.context("the fleet did not introduce itself")?;
        let Introduction { ports: [port, http_port, secure_port], host_key, home } =
            serde_json::from_str(&line).context("understanding the fleet's introduction")?;
        let all = |spec: &dyn Fn(usize) -> anyhow::Result<ServiceSpec>| (0..services).map(spec).collect();
        let pages: anyhow::Result<_> = all(&|n| page(n, "http", &address(n), http_port));
        let secure: anyhow::Result<_> = all(&|n| page(n, "https", &address(0), secure_port));
        let services: anyhow::Result<_> = all(&|n| spec(n, port, &host_key));
        let (services, pages, secure_pages) = (services?, pages?, secure?);
        Ok(Fleet { services, pages, secure_pages, home, child, to_child, from_child })
    }

    /// The root of the certificate of [`Fleet::secure_pages`].
    pub(crate) fn roots(&self) -> PathBuf {
        self.home.join(secure_page::ROOTS)
    }

    /// Bytes that were sent to hosts far away, headers of their packets included.
    pub(crate) async fn carried(&mut self) -> anyhow::Result<u64> {
        self.to_child.write_all(b"carried\n").await.context("asking the fleet")?;
        let line = self.from_child.next_line().await.context("hearing the fleet")?;
        line.context("the fleet is gone")?.trim().parse().context("understanding the fleet")
    }

    /// What playing the hosts has cost so far, which is no cost of ours.
    pub(crate) fn cpu(&self) -> Duration {
        self.child.id().and_then(cpu_of).unwrap_or_default()
    }

    /// Lets the fleet's process end in good order.
    pub(crate) async fn stop(mut self) {
        drop(self.to_child);
        // One that does not listen is killed when it is dropped.
        let _ = tokio::time::timeout(Duration::from_secs(20), self.child.wait()).await;
    }
}

fn unit(n: usize) -> String {
    format!("service-{n}")
}

/// Each service has an address of its own, `127.1.0.1` onwards: a host of its own, as far as any client can tell.
fn address(n: usize) -> String {
    format!("127.1.{}.{}", n / 250, n % 250 + 1)
}

fn page(n: usize, scheme: &str, host: &str, port: u16) -> anyhow::Result<ServiceSpec> {
    serde_json::from_value(json!({
        "id": unit(n),
        "address": host,
        "check": { "http": format!("{scheme}://{host}:{port}/health") },
        "restart": "never",
    }))
    .context("describing a health page of the fleet")
}

fn spec(n: usize, port: u16, host_key: &str) -> anyhow::Result<ServiceSpec> {
    serde_json::from_value(json!({
        "id": unit(n),
        "address": format!("{}:{port}", address(n)),
        "user": "demo",
        "key": "file:key",
        "host_key": host_key,
        "check": { "systemd": unit(n) },
        "restart": "never",
    }))
    .context("describing a service of the fleet")
}
