//! The server and its hosts, and what a scene may do to them and ask of them.

use std::time::Duration;

use serde_json::Value;

use super::fleet::{Fleet, Host};
use super::program::{Home, Letter, PATIENCE, Program, eventually};

/// A policy that is over in seconds, and does not take many faults in a row for flapping. It settles for longer than
/// systemd takes to reach its start limit: a look before that may meet the unit between two crashes.
const SWIFT: &str = "policy = { settle = '2s', backoff_base = '200ms', backoff_cap = '400ms', breaker_cooldown = '1h', \
    flapping_restarts = 1000, connect_limit = '2s', command_limit = '5s', restart_limit = '30s', startup_grace = '5s' }";

/// The server at work on the hosts.
pub(crate) struct Street<'f> {
    pub(crate) fleet: &'f Fleet,
    hosts: &'f [Host],
    pub(crate) home: Home,
    server: Option<Program>,
    /// Letters that earlier scenes are answerable for.
    read: Vec<Letter>,
}

impl<'f> Street<'f> {
    /// A new server with an empty memory, over hosts that have just booted.
    pub(crate) fn new(fleet: &'f Fleet, hosts: &'f [Host]) -> Street<'f> {
        let home = Home::new("", "every = '5s'\nadmins = ['ops@example.com']", &fleet_file(hosts));
        let server = home.serve();
        let street = Street { fleet, hosts, home, server: Some(server), read: Vec::new() };
        street.all_are_healthy();
        street
    }

    pub(crate) fn server(&self) -> &Program {
        self.server.as_ref().unwrap()
    }

    /// SIGKILL, and a new life over the same data.
    pub(crate) fn kill_server(&mut self) {
        self.server.take().unwrap().kill();
        self.server = Some(self.home.serve());
    }

    /// Looks at every host now.
    pub(crate) fn sweep(&self) {
        self.home.ask(self.server(), &["sweep"]);
    }

    /// Sweeps until the service has this status.
    pub(crate) fn sweep_until(&self, id: &str, status: &str) -> Value {
        let swept = eventually(
            || {
                self.sweep();
                Some(self.service(id)).filter(|service| service["status"] == status)
            },
            PATIENCE,
        );
        swept.unwrap_or_else(|| {
            panic!("`{id}` is not {status}: {}\n{}", self.service(id), self.server().said.all().join("\n"))
        })
    }

    pub(crate) fn wait_for_status(&self, id: &str, status: &str) -> Value {
        self.home.wait_for_status(self.server(), id, status)
    }

    pub(crate) fn service(&self, id: &str) -> Value {
        self.home.service(self.server(), id)
    }

    pub(crate) fn why(&self, id: &str) -> String {
        self.home.json(self.server(), &["why", id]).to_string()
    }

    /// This scene's letters about a host whose subject holds the word.
    pub(crate) fn letters(&self, id: &str, word: &str) -> Vec<Letter> {
        let mut letters = self.home.letters();
        letters
            .retain(|one| !self.read.contains(one) && one.subject.contains(id) && one.subject.contains(word));
        letters
    }

    /// Waits for this scene's letter about a host.
    pub(crate) fn letter(&self, id: &str, word: &str) -> Letter {
        let letter = eventually(|| self.letters(id, word).pop(), PATIENCE);
        letter.unwrap_or_else(|| panic!("no `{word}` of `{id}`:\n{}", self.server().said.all().join("\n")))
    }

    pub(crate) fn starts(&self, id: &str) -> usize {
        self.fleet.starts(id)
    }

    pub(crate) fn asked(&self, id: &str) -> usize {
        self.fleet.asked(id)
    }

    pub(crate) fn run(&self, id: &str) -> String {
        self.fleet.run(id)
    }

    /// Logins that sshd let in since the host booted.
    pub(crate) fn logins(&self, id: &str) -> usize {
        let journal = self.fleet.exec(id, "journalctl -u ssh -o cat");
        journal.lines().filter(|line| line.contains("Accepted publickey")).count()
    }

    /// Brings everything back after a scene that failed at any point.
    pub(crate) fn mend(&mut self) {
        drop(self.server.take());
        self.server = Some(self.home.serve());
        self.all_is_well_again();
    }

    /// Heals every host that a scene broke, and waits until the server sees it; what was written is a scene's past.
    pub(crate) fn all_is_well_again(&mut self) {
        self.fleet.heal_all(self.hosts);
        self.all_are_healthy();
        self.read = self.home.letters();
    }

    fn all_are_healthy(&self) {
        for host in self.hosts {
            self.sweep_until(&host.name, "healthy");
        }
        // A letter of the last recovery may be on its way.
        let none_is_late = || {
            let health = self.home.json(self.server(), &["health"]);
            (health["counts"]["healthy"] == self.hosts.len()).then_some(())
        };
        eventually(none_is_late, Duration::from_secs(10)).expect("every host is healthy");
    }
}

fn fleet_file(hosts: &[Host]) -> String {
    let mut text = format!("[env.prod.defaults]\nowner = 'ada@example.com'\n{SWIFT}\n");
    for host in hosts {
        let (name, address, user, key, host_key) =
            (&host.name, &host.address, &host.user, &host.key, &host.host_key);
        text.push_str(&format!(
            "[[env.prod.service]]\nid = '{name}'\naddress = '{address}'\nuser = '{user}'\nkey = 'file:{key}'\n\
             host_key = '{host_key}'\ncheck = {{ systemd = '{name}' }}\nrestart = {{ systemd = '{name}' }}\n",
        ));
    }
    text
}
