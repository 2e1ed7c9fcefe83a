//! A server and one demo host with the units a test names, reached over real SSH.

use std::time::Duration;

use lamplighter::demo::systemd::Nature;
use lamplighter::demo::{ClientKey, DemoHost, DemoHostSettings};

use super::program::Home;

/// A policy that is over in seconds, and does not take many crashes in a row for flapping.
pub(crate) const SWIFT: &str = "policy = { settle = '300ms', backoff_base = '200ms', backoff_cap = '400ms', \
    breaker_cooldown = '1h', flapping_restarts = 1000, connect_limit = '5s' }";

/// One host, its units, and the home of a server that looks after them; each unit is a service of its name.
pub(crate) struct Street {
    pub(crate) host: DemoHost,
    pub(crate) home: Home,
    _keys: tempfile::TempDir,
}

impl Street {
    pub(crate) async fn new(units: &[(&str, Nature)]) -> Street {
        Street::with("", units).await
    }

    /// `top` are lines at the top of `lamplighter.toml`.
    pub(crate) async fn with(top: &str, units: &[(&str, Nature)]) -> Street {
        let keys = tempfile::tempdir().unwrap();
        let key = ClientKey::create(&keys.path().join("key")).unwrap();
        let mut settings = DemoHostSettings::new(key.public);
        settings.units = units.iter().map(|(name, nature)| ((*name).to_owned(), *nature)).collect();
        let host = DemoHost::start(settings).await.unwrap();
        let fleet = fleet(&host, &key.path, units.iter().map(|(name, _)| *name));
        let home = Home::new(top, "every = '5s'\nadmins = ['ops@example.com']\nbrake_most = 5", &fleet);
        Street { host, home, _keys: keys }
    }

    /// Makes a restart of the unit take a while, so that a kill can meet it.
    pub(crate) fn restarts_take(&self, unit: &str, time: Duration) {
        self.host.systemd().set_restart_time(unit, time);
    }
}

fn fleet<'a>(host: &DemoHost, key: &std::path::Path, units: impl Iterator<Item = &'a str>) -> String {
    let mut text = format!(
        "[env.prod.defaults]\nuser = 'demo'\nkey = 'file:{}'\nowner = 'ada@example.com'\n{SWIFT}\n",
        key.display()
    );
    for unit in units {
        text.push_str(&format!(
            "[[env.prod.service]]\nid = '{unit}'\naddress = '{}'\nhost_key = '{}'\n\
             check = {{ systemd = '{unit}' }}\nrestart = {{ systemd = '{unit}' }}\n",
            host.address(),
            host.host_key_line()
        ));
    }
    text
}
