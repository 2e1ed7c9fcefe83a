//! The fleet of real hosts: found, booted, broken, healed, and thrown away.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// Hosts booted: the blindness guard lets three of them fail at once.
const HOSTS: usize = 4;
/// A fleet of its own, that no other on this machine meets.
const SETTINGS: [(&str, &str); 3] =
    [("FLEET_DIR", "/run/lmpt"), ("FLEET_ID", "lmpt"), ("FLEET_NET", "10.78.0")];

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

/// Booted hosts, `lamp1` to `lamp4`. They are thrown away with this value, also when a test fails.
pub(crate) struct Fleet {
    script: PathBuf,
    hosts: Vec<Host>,
    /// Hosts with a fault that nobody has healed.
    broken: RefCell<BTreeSet<String>>,
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

impl Fleet {
    pub(crate) fn up(script: PathBuf) -> Fleet {
        let mut fleet = Fleet { script, hosts: Vec::new(), broken: RefCell::default() };
        // One that an interrupted run left behind.
        fleet.call(&["down"]);
        let up = fleet.call(&["up", &HOSTS.to_string(), "--prefix", "lamp"]);
        assert!(up.status.success(), "the hosts do not boot: {}", String::from_utf8_lossy(&up.stderr));
        let listed = fleet.must(&["list"]);
        fleet.hosts = listed.lines().map(|line| Host::read(&serde_json::from_str(line).unwrap())).collect();
        assert_eq!(fleet.hosts.len(), HOSTS, "{listed}");
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
        self.broken.borrow_mut().insert(host.to_owned());
        self.must(&[&["fault", host], kind].concat());
    }

    pub(crate) fn heal(&self, host: &str) {
        self.must(&["heal", host]);
        self.broken.borrow_mut().remove(host);
    }

    /// Heals every host that has a fault.
    pub(crate) fn heal_all(&self) {
        let broken = self.broken.borrow().clone();
        broken.iter().for_each(|host| self.heal(host));
    }

    /// Runs a command as root on the host, past its sshd; it may fail.
    pub(crate) fn exec(&self, host: &str, command: &str) -> String {
        String::from_utf8_lossy(&self.call(&["exec", host, command]).stdout).trim().to_owned()
    }

    fn must(&self, arguments: &[&str]) -> String {
        let output = self.call(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn call(&self, arguments: &[&str]) -> Output {
        // Hosts outlive the call that boots them, and must not hold its pipes: files do not wait for their last writer.
        let (out, err) = (tempfile::NamedTempFile::new().unwrap(), tempfile::NamedTempFile::new().unwrap());
        let status = Command::new(&self.script)
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
