//! The same check against a real OpenSSH server: by Lamplighter, and by OpenSSH's own client.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use futures_util::StreamExt as _;
use lamplighter_core::spec::ServiceSpec;
use lamplighter_remote::{Pool, Remote, RemoteConfig};
use serde_json::json;

use crate::measure::{Cost, Stretch};
use crate::sweep::{spoken, sweep};

const SSHD: &str = "/usr/sbin/sshd";
/// Longest a server may take to begin.
const START_LIMIT: Duration = Duration::from_secs(5);
/// Looks over one live connection to the real server.
const LIVE_LOOKS: usize = 200;
/// Of these, at once: below the server's limit for one connection.
const LIVE_AT_ONCE: usize = 4;
/// Promised CPU of a fresh check, in microseconds.
const FRESH_PROMISE_MICROS: f64 = 800.0;
/// Turns that both clients take.
const ROUNDS: usize = 2;

/// Compares, where there is a server; says so where there is none.
pub(crate) async fn compare(hosts: usize, concurrency: usize) -> anyhow::Result<()> {
    if !Path::new(SSHD).exists() {
        println!("\nskipped: fresh checks against OpenSSH; `{SSHD}` is not installed");
        return Ok(());
    }
    let server = Server::start()?;
    println!(
        "\nfresh checks against {} on loopback: {hosts} connections, {concurrency} at once, command `true`",
        version("ssh")
    );
    let services = vec![server.spec()?; hosts];
    let remote = |pool| -> anyhow::Result<Remote> {
        let mut config = RemoteConfig::new(server.home.path());
        config.pool = pool;
        Remote::new(config).context("setting up the means of reaching hosts")
    };
    let fresh = remote(Pool::None)?;
    // Once for the key file and the caches, which a running server has warm.
    sweep(&fresh, services.get(..1).unwrap_or_default(), 1).await;
    let mut ours = Side::default();
    let mut theirs = Side::default();
    // By turns, so that whatever else the machine does meets both alike.
    for round in services.chunks(hosts.div_ceil(ROUNDS).max(1)) {
        let (cost, verdicts) = sweep(&fresh, round, concurrency).await;
        ours.add(cost, verdicts.get("up").copied().unwrap_or(0));
        for (verdict, count) in verdicts.iter().filter(|(verdict, _)| *verdict != "up") {
            println!("  lamplighter saw: {count} {verdict}");
        }
        match server.by_client(round.len(), concurrency).await {
            Ok((cost, succeeded)) => theirs.add(cost, succeeded),
            Err(error) => println!("  skipped: OpenSSH's client: {error:#}"),
        }
    }
    ours.print("lamplighter", hosts);
    theirs.print("ssh (OpenSSH)", hosts);
    if ours.succeeded == hosts && theirs.succeeded == hosts {
        println!(
            "  ratio         {:>8.1} × the CPU, {:.1} × the wall time",
            theirs.cost.whole_cpu_micros_each(hosts) / ours.cost.whole_cpu_micros_each(hosts),
            theirs.cost.wall.as_secs_f64() / ours.cost.wall.as_secs_f64()
        );
        println!(
            "  promised      {FRESH_PROMISE_MICROS:>8.0} µs CPU each: {:.2} of it was used",
            ours.cost.cpu_micros_each(hosts) / FRESH_PROMISE_MICROS
        );
    } else {
        println!("  no ratio: not every check succeeded");
    }
    let live = remote(Pool::Keep { most: 1 })?;
    sweep(&live, services.get(..1).unwrap_or_default(), 1).await;
    let again = vec![server.spec()?; LIVE_LOOKS];
    let (cost, verdicts) = sweep(&live, &again, LIVE_AT_ONCE).await;
    println!(
        "  lamplighter over one live connection, {LIVE_LOOKS} looks, {LIVE_AT_ONCE} at once: {:.0} µs CPU each: {}",
        cost.cpu_micros_each(LIVE_LOOKS),
        spoken(&verdicts)
    );
    live.close().await;
    Ok(())
}

/// What one client needed for its checks.
struct Side {
    cost: Cost,
    succeeded: usize,
}

impl Default for Side {
    fn default() -> Self {
        Self { cost: Cost::NONE, succeeded: 0 }
    }
}

impl Side {
    fn add(&mut self, cost: Cost, succeeded: usize) {
        self.cost = self.cost.and(cost);
        self.succeeded += succeeded;
    }

    fn print(&self, name: &str, hosts: usize) {
        println!(
            "  {name:<13} {:>8.0} µs CPU each, {:.2} s wall: {} of {hosts} succeeded",
            self.cost.whole_cpu_micros_each(hosts),
            self.cost.wall.as_secs_f64(),
            self.succeeded
        );
    }
}

/// A real OpenSSH server of the bench's own: its keys, its port, its folder.
struct Server {
    home: tempfile::TempDir,
    port: u16,
    user: String,
    process: Child,
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself; either way it is gone after this.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Server {
    fn start() -> anyhow::Result<Server> {
        // Where sshd separates its privileges when it is run by root; it exists already for anybody else.
        let _ = std::fs::create_dir_all("/run/sshd");
        let home = tempfile::tempdir().context("making a home for the server")?;
        for name in ["host_key", "key"] {
            let made = Command::new("ssh-keygen")
                .args(["-q", "-t", "ed25519", "-N", "", "-f"])
                .arg(home.path().join(name))
                .status();
            if !made.context("running `ssh-keygen`")?.success() {
                bail!("`ssh-keygen` failed");
            }
        }
        std::fs::copy(home.path().join("key.pub"), home.path().join("authorized_keys"))
            .context("authorising the key")?;
        let user = Command::new("id").arg("-un").output().context("asking for the user's name")?;
        let user = String::from_utf8_lossy(&user.stdout).trim().to_owned();
        // Newer servers punish many connections from one place; older ones do not know the word.
        for extra in ["PerSourcePenalties no\n", ""] {
            let port = std::net::TcpListener::bind("127.0.0.1:0")
                .and_then(|listener| listener.local_addr())
                .context("finding a port")?
                .port();
            if let Some(process) = start_sshd(home.path(), port, extra)? {
                return Ok(Server { home, port, user, process });
            }
        }
        bail!("`{SSHD}` did not start")
    }

    fn spec(&self) -> anyhow::Result<ServiceSpec> {
        let public =
            std::fs::read_to_string(self.home.path().join("host_key.pub")).context("reading the host key")?;
        let host_key = public.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
        serde_json::from_value(json!({
            "id": "bench",
            "address": format!("127.0.0.1:{}", self.port),
            "user": self.user,
            "key": "file:key",
            "host_key": host_key,
            "check": { "command": "true" },
            "restart": "never",
            "policy": { "connect_limit": "60s", "command_limit": "60s" },
        }))
        .context("describing the server")
    }

    /// The same check by OpenSSH's own client, as many at once.
    async fn by_client(&self, hosts: usize, concurrency: usize) -> anyhow::Result<(Cost, usize)> {
        let public =
            std::fs::read_to_string(self.home.path().join("host_key.pub")).context("reading the host key")?;
        let known = self.home.path().join("known_hosts");
        std::fs::write(&known, format!("[127.0.0.1]:{} {public}", self.port))
            .context("writing known_hosts")?;
        let stretch = Stretch::begin();
        let runs = futures_util::stream::iter(0..hosts).map(|_| {
            tokio::process::Command::new("ssh")
                .args([
                    "-F",
                    "/dev/null",
                    "-o",
                    "BatchMode=yes",
                    "-o",
                    "StrictHostKeyChecking=yes",
                    "-o",
                    "IdentitiesOnly=yes",
                ])
                .arg("-o")
                .arg(format!("UserKnownHostsFile={}", known.display()))
                .arg("-i")
                .arg(self.home.path().join("key"))
                .args(["-p", &self.port.to_string(), &format!("{}@127.0.0.1", self.user), "true"])
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()
        });
        let ends: Vec<_> = runs.buffer_unordered(concurrency).collect().await;
        let cost = stretch.end();
        let succeeded =
            ends.iter().filter(|end| end.as_ref().is_ok_and(std::process::ExitStatus::success)).count();
        if succeeded == 0 {
            bail!("no run of `ssh` succeeded");
        }
        Ok((cost, succeeded))
    }
}

/// `None` if it did not begin to listen.
fn start_sshd(home: &Path, port: u16, extra: &str) -> anyhow::Result<Option<Child>> {
    let config = home.join("sshd_config");
    // The account's own start-up files are nobody's business here: some of them take longer than all the rest.
    let shown = home.display();
    let text = format!(
        "Port {port}\nListenAddress 127.0.0.1\nHostKey {shown}/host_key\nAuthorizedKeysFile {shown}/authorized_keys\nPidFile none\n\
         StrictModes no\nUsePAM no\nPasswordAuthentication no\nPermitRootLogin prohibit-password\nMaxStartups 2000:100:2000\nLogLevel ERROR\n\
         SetEnv HOME={shown}\n{extra}"
    );
    std::fs::write(&config, text).context("writing the server's configuration")?;
    let mut command = Command::new(SSHD);
    command
        .args(["-D", "-e", "-f"])
        .arg(&config)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut process = command.spawn().context("starting the server")?;
    let began = Instant::now();
    while began.elapsed() < START_LIMIT {
        if process.try_wait().context("watching the server start")?.is_some() {
            return Ok(None);
        }
        if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return Ok(Some(process));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let _ = process.kill();
    let _ = process.wait();
    Ok(None)
}

fn version(program: &str) -> String {
    let said = Command::new(program).arg("-V").output().ok();
    let text =
        said.map(|output| String::from_utf8_lossy(&output.stderr).trim().to_owned()).unwrap_or_default();
    text.split(',').next().filter(|text| !text.is_empty()).unwrap_or("OpenSSH").to_owned()
}
