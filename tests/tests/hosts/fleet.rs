//! The fleet of real hosts: found, booted, broken, healed, and thrown away.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Mutex;

use serde_json::Value;

/// Where everything of the fleet lies, the remote that its hosts fetch from included.
const FOLDER: &str = "/run/lmpt";
/// A fleet of its own, that no other on this machine meets.
const SETTINGS: [(&str, &str); 3] = [("FLEET_DIR", FOLDER), ("FLEET_ID", "lmpt"), ("FLEET_NET", "10.78.0")];
/// The network of these hosts, which checks must be allowed to reach.
pub(crate) const NETWORK: &str = "10.78.0.0/24";

/// Whether there are hosts to be had.
pub(crate) enum Found {
    Script(PathBuf),
    Nothing(String),
}

/// Finds the script. In CI, a script that is there must also be usable.
pub(crate) fn find() -> Found {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let named = std::env::var_os("LAMPLIGHTER_FLEET").map(PathBuf::from);
    let script = named.unwrap_or_else(|| root.join("../shared/hosts/fleet"));
    if !script.is_file() {
        return Found::Nothing(format!("there is no script `{}` to boot hosts with", script.display()));
    }
    if !rustix::process::geteuid().is_root() {
        assert!(
            std::env::var_os("LAMPLIGHTER_CI").is_none(),
            "CI has `{}` but is not root",
            script.display()
        );
        return Found::Nothing("booting hosts needs root".to_owned());
    }
    Found::Script(script)
}

/// Booted hosts, `lamp1` and so on. They are thrown away with this value, also when a test fails.
pub(crate) struct Fleet {
    script: PathBuf,
    hosts: Vec<Host>,
    /// Hosts with a fault that nobody has healed.
    broken: Mutex<BTreeSet<String>>,
}

/// One host, as the script lists it.
#[derive(Debug, Clone)]
pub(crate) struct Host {
    pub(crate) name: String,
    pub(crate) address: String,
    pub(crate) user: String,
    pub(crate) key: String,
    pub(crate) host_key: String,
}

/// What a host with a checkout shows at some moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shown {
    /// The commit that is checked out.
    pub(crate) head: String,
    /// Which run of the unit is there.
    pub(crate) run: String,
    /// Starts of the unit since the host booted.
    pub(crate) starts: usize,
    /// Restarts that were asked for since then.
    pub(crate) asked: usize,
    /// Tracked files that are not as they were committed.
    pub(crate) changes: String,
}

impl Fleet {
    pub(crate) fn up(script: PathBuf, count: usize) -> Fleet {
        let mut fleet = Fleet { script, hosts: Vec::new(), broken: Mutex::default() };
        // One that an interrupted run left behind.
        fleet.call(&["down"]);
        let up = fleet.call(&["up", &count.to_string(), "--prefix", "lamp"]);
        assert!(up.status.success(), "the hosts do not boot: {}", String::from_utf8_lossy(&up.stderr));
        let listed = fleet.must(&["list"]);
        fleet.hosts = listed.lines().map(|line| Host::read(&serde_json::from_str(line).unwrap())).collect();
        assert_eq!(fleet.hosts.len(), count, "{listed}");
        for host in &fleet.hosts {
            // A login reads the whole journal only as a member of this group; letters quote it.
            fleet.exec(&host.name, &format!("usermod --append --groups systemd-journal {}", host.user));
        }
        fleet
    }

    pub(crate) fn hosts(&self) -> &[Host] {
        &self.hosts
    }

    pub(crate) fn fault(&self, host: &str, kind: &[&str]) {
        self.broken.lock().unwrap().insert(host.to_owned());
        self.must(&[&["fault", host], kind].concat());
    }

    pub(crate) fn heal(&self, host: &str) {
        self.must(&["heal", host]);
        self.broken.lock().unwrap().remove(host);
    }

    /// Heals those of these hosts that have a fault.
    pub(crate) fn heal_all(&self, hosts: &[Host]) {
        let broken = self.broken.lock().unwrap().clone();
        hosts.iter().filter(|host| broken.contains(&host.name)).for_each(|host| self.heal(&host.name));
    }

    /// Runs a command as root on the host, past its sshd; it may fail.
    pub(crate) fn exec(&self, host: &str, command: &str) -> String {
        String::from_utf8_lossy(&self.call(&["exec", host, command]).stdout).trim().to_owned()
    }

    /// Starts of the unit since its host booted, whoever asked for them.
    pub(crate) fn starts(&self, id: &str) -> usize {
        self.exec(id, &starts(id)).parse().unwrap()
    }

    /// Restarts that were asked for by `sudo` since the host booted.
    pub(crate) fn asked(&self, id: &str) -> usize {
        self.exec(id, &asked(id)).parse().unwrap()
    }

    /// What a host with a checkout shows of it and of its unit.
    pub(crate) fn shown(&self, id: &str) -> Shown {
        let questions = [head(id), run(id), starts(id), asked(id), changes(id)];
        let said = self.exec(id, &questions.map(|question| format!("{question}; echo /")).join("; "));
        let mut answers = said.split('/').map(|answer| answer.trim().to_owned());
        let mut next = || answers.next().unwrap_or_default();
        let (head, run) = (next(), next());
        let mut count = || next().parse().unwrap_or_else(|_| panic!("`{id}` says: {said}"));
        let (starts, asked) = (count(), count());
        Shown { head, run, starts, asked, changes: next() }
    }

    /// Which run of the unit is there.
    pub(crate) fn run(&self, id: &str) -> String {
        self.exec(id, &run(id))
    }

    /// Throws away what is changed in the checkout, as its user.
    pub(crate) fn tidy(&self, host: &str) {
        let by_hand = format!("cd /srv/{host} && git checkout -q --force --detach HEAD && ./install.sh");
        self.exec(host, &format!("su -s /bin/sh deploy -c '{by_hand}'"));
    }

    /// What the app itself answers.
    pub(crate) fn answer(&self, host: &str) -> String {
        let ask = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:8080', timeout=5).read().decode())";
        self.exec(host, &format!("python3 -I -S -c \"{ask}\""))
    }

    /// The commit of a release of the demo app.
    pub(crate) fn commit(&self, tag: &str) -> String {
        git(&remote(), &["rev-parse", "--verify", &format!("{tag}^{{commit}}")])
    }

    /// Pushes a new good release, as the head of `branch`, which the hosts have not fetched. Answers its commit.
    pub(crate) fn push(&self, branch: &str, version: &str) -> String {
        let work = tempfile::tempdir().unwrap();
        let here = work.path();
        git(here, &["clone", "--quiet", remote().to_str().unwrap(), "."]);
        git(here, &["checkout", "--quiet", "--detach", "v7"]);
        std::fs::write(here.join("release.conf"), format!("version={version}\n")).unwrap();
        let ours = ["-c", "user.name=demo", "-c", "user.email=demo@example.invalid"];
        git(here, &[&ours[..], &["commit", "--quiet", "--all", "--message", version]].concat());
        git(here, &["push", "--quiet", "--force", "origin", &format!("HEAD:refs/heads/{branch}")]);
        git(here, &["rev-parse", "HEAD"])
    }

    /// Moves the remote's `main` to a release.
    pub(crate) fn publish(&self, tag: &str) {
        self.must(&["publish", tag]);
    }

    fn must(&self, arguments: &[&str]) -> String {
        let output = self.call(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn call(&self, arguments: &[&str]) -> Output {
        // Hosts outlive the call that boots them, and must not hold its pipes: files do not wait for their last writer.
        let (out, err) = (tempfile::NamedTempFile::new().unwrap(), tempfile::NamedTempFile::new().unwrap());
        let mut command = Command::new(&self.script);
        // Only an image that is built needs a mirror, and finding one takes longer than most calls.
        if arguments.first() != Some(&"up") {
            command.env("FLEET_MIRROR", "none");
        }
        let status = command
            .args(arguments)
            .envs(SETTINGS)
            .stdout(out.reopen().unwrap())
            .stderr(err.reopen().unwrap())
            .status()
            .unwrap();
        let read = |file: &tempfile::NamedTempFile| std::fs::read(file.path()).unwrap();
        Output { status, stdout: read(&out), stderr: read(&err) }
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.call(&["down"]);
    }
}

fn starts(id: &str) -> String {
    format!("journalctl -u {id} -o cat | grep -c '^Started {id}.service'")
}

fn asked(id: &str) -> String {
    format!("journalctl -t sudo -o cat | grep systemctl | grep -c ' restart {id}'")
}

fn run(id: &str) -> String {
    format!("systemctl show {id} --property InvocationID")
}

fn head(id: &str) -> String {
    format!("git -c safe.directory='*' -C /srv/{id} rev-parse HEAD")
}

fn changes(id: &str) -> String {
    format!("git -c safe.directory='*' -C /srv/{id} status --porcelain -uno")
}

/// The remote that the hosts fetch from.
fn remote() -> PathBuf {
    Path::new(FOLDER).join("git/app.git")
}

/// Runs git here, which must succeed, without this machine's configuration.
fn git(dir: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .args(arguments)
        .current_dir(dir)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_SYSTEM", "/dev/null")
        .output()
        .unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

impl Host {
    fn read(listed: &Value) -> Host {
        let text = |key: &str| listed[key].as_str().unwrap().to_owned();
        Host {
            name: text("name"),
            address: text("ip"),
            user: text("user"),
            key: text("key_path"),
            host_key: text("host_key"),
        }
    }
}
