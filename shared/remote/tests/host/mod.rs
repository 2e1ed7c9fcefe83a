//! A real OpenSSH server of this test's own: temporary keys, a free port, a pretend `systemctl` on its path.

use std::fs::{self, Permissions};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use lamplighter_core::spec::ServiceSpec;
use lamplighter_remote::{Remote, RemoteConfig};
use serde_json::{Value, json};

const SSHD: &str = "/usr/sbin/sshd";

/// One host: an sshd, its directory, and the keys to it.
pub(crate) struct Host {
    dir: tempfile::TempDir,
    sshd: Child,
    pub(crate) port: u16,
}

impl Host {
    /// Starts one; `None`, and a line that says so, where there is no sshd. In CI that is a failure.
    pub(crate) fn start() -> Option<Host> {
        Self::start_with("")
    }

    /// Starts one with more lines of configuration.
    pub(crate) fn start_with(config: &str) -> Option<Host> {
        if !Path::new(SSHD).exists() {
            assert!(
                std::env::var_os("LAMPLIGHTER_CI").is_none(),
                "`{SSHD}` is missing; install openssh-server"
            );
            eprintln!("skipped: `{SSHD}` is missing; install openssh-server to run this test");
            return None;
        }
        // Where sshd separates its privileges when it is run by root.
        let _ = fs::create_dir_all("/run/sshd");
        let dir = tempfile::tempdir().unwrap();
        for name in ["bin", "state", "records"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        keygen(&dir.path().join("host_key"));
        keygen(&dir.path().join("user_key"));
        keygen(&dir.path().join("strange_key"));
        fs::copy(dir.path().join("user_key.pub"), dir.path().join("authorized_keys")).unwrap();
        let mut host = None;
        // Another process may take the free port first: then the next one is tried.
        for attempt in 0..6 {
            // Newer servers punish what these tests do; older ones do not know the word.
            let config =
                if attempt % 2 == 0 { format!("{config}\nPerSourcePenalties no") } else { config.to_owned() };
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            if let Some(sshd) = start_sshd(dir.path(), port, &config) {
                host = Some((sshd, port));
                break;
            }
        }
        let (sshd, port) = host.expect("sshd did not start");
        let host = Host { dir, sshd, port };
        host.systemctl("active", 0);
        host.write("run", "aaaa1111\n");
        host.write("pid", &host.sshd.id().to_string());
        Some(host)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.path("state").join(name), text).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path("state").join(name)).unwrap_or_default()
    }

    /// Sets what the pretend systemd says: the word and status of `is-active`.
    pub(crate) fn systemctl(&self, word: &str, status: u8) {
        self.write("word", &format!("{word}\n"));
        self.write("status", &status.to_string());
        let state = self.path("state").display().to_string();
        self.tool(
            "systemctl",
            &format!(
                "s={state}\necho \"$*\" >>$s/calls\ncase \"$*\" in\n\
                 is-active*) cat $s/word; exit $(cat $s/status) ;;\n\
                 *InvocationID*--value*) cat $s/run ;;\n\
                 show*) echo LoadState=loaded; echo ActiveState=$(cat $s/word); echo SubState=x; echo InvocationID=$(cat $s/run)\n\
                   echo StateChangeTimestampMonotonic=1 ;;\n\
                 *\" restart \"*) sleep $(cat $s/takes 2>/dev/null || echo 0); echo active >$s/word; echo 0 >$s/status; echo bbbb2222 >$s/run ;;\n\
                 esac"
            ),
        );
        self.tool("journalctl", "echo 'the last words'");
    }

    pub(crate) fn tool(&self, name: &str, text: &str) {
        // Written aside and moved into place: a busy file cannot be run.
        let (path, next) = (self.path("bin").join(name), self.path("bin").join(format!("{name}.next")));
        fs::write(&next, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&next, Permissions::from_mode(0o755)).unwrap();
        fs::rename(next, path).unwrap();
    }

    pub(crate) fn public_key(&self, name: &str) -> String {
        let line = fs::read_to_string(self.path(&format!("{name}.pub"))).unwrap();
        line.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
    }

    pub(crate) fn remote(&self) -> Remote {
        Remote::new(RemoteConfig::new(self.dir.path())).unwrap()
    }

    /// A service on this host, with `changes` made to a whole spec.
    pub(crate) fn spec(&self, changes: Value) -> ServiceSpec {
        let user = String::from_utf8(Command::new("id").arg("-un").output().unwrap().stdout).unwrap();
        let mut spec = json!({
            "id": "web", "address": format!("127.0.0.1:{}", self.port), "user": user.trim(), "key": "file:user_key",
            "host_key": self.public_key("host_key"), "check": {"systemd": "web"}, "restart": {"systemd": "web"},
        });
        for (key, value) in changes.as_object().unwrap() {
            spec[key] = value.clone();
        }
        serde_json::from_value(spec).unwrap()
    }

    /// What sshd logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path("sshd.log")).unwrap_or_default()
    }

    /// Waits until sshd has logged `text`.
    pub(crate) fn wait_for_log(&self, text: &str) {
        let began = Instant::now();
        while !self.log().contains(text) {
            assert!(began.elapsed() < Duration::from_secs(10), "sshd never logged `{text}`:\n{}", self.log());
            std::thread::yield_now();
        }
    }

    /// Ends every connection, as a reboot would, and goes on answering.
    pub(crate) fn drop_connections(&self) {
        let children =
            Command::new("pgrep").args(["-P", &self.sshd.id().to_string()]).output().unwrap().stdout;
        for pid in String::from_utf8(children).unwrap().split_whitespace() {
            let _ = Command::new("kill").args(["-KILL", pid]).status();
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.drop_connections();
        let _ = self.sshd.kill();
        let _ = self.sshd.wait();
    }
}

fn keygen(path: &Path) {
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-C", "", "-f"])
        .arg(path)
        .status()
        .unwrap();
    assert!(made.success());
}

fn start_sshd(dir: &Path, port: u16, more: &str) -> Option<Child> {
    let shown = dir.display();
    let config = format!(
        "{more}\nPort {port}\nListenAddress 127.0.0.1\nHostKey {shown}/host_key\nAuthorizedKeysFile {shown}/authorized_keys\nStrictModes no\nUsePAM no\n\
         PermitRootLogin yes\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nPidFile none\nLogLevel VERBOSE\n\
         SetEnv PATH={shown}/bin:/usr/bin:/bin XDG_STATE_HOME={shown}/records\nMaxStartups 1000\n"
    );
    fs::write(dir.join("sshd_config"), config).unwrap();
    let log = fs::File::create(dir.join("sshd.log")).unwrap();
    let mut sshd = Command::new(SSHD)
        .args(["-D", "-e", "-f"])
        .arg(dir.join("sshd_config"))
        .stdin(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap();
    let began = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        if sshd.try_wait().unwrap().is_some() || began.elapsed() > Duration::from_secs(10) {
            return None;
        }
        std::thread::yield_now();
    }
    Some(sshd)
}
