//! Writes a fleet file that `apply` and `sweep` read.

use std::collections::BTreeSet;
use std::path::Path;

use lamplighter_core::name::UserName;
use lamplighter_core::spec::Transport;
use lamplighter_core::{AppName, HostAddress, ServiceId};

use super::{Found, Given, Harvest, Supervisor};

/// How one key of an entry is written.
type Field<'f> = &'f dyn Fn(&Entry) -> Option<String>;

/// A service, ready to be written.
struct Entry {
    id: ServiceId,
    address: HostAddress,
    app: Option<AppName>,
    transport: Transport,
    user: Option<UserName>,
    key: Option<String>,
    known_hosts: String,
}

/// The text, or `None` if nothing could be used; and what a person should know.
pub(super) fn write(harvest: Harvest, given: &Given, env: &str, from: &str) -> (Option<String>, Vec<String>) {
    let Harvest { hosts, mut notes } = harvest;
    let mut ids = BTreeSet::new();
    let entries: Vec<Entry> =
        hosts.into_iter().filter_map(|found| entry(found, given, &mut ids, &mut notes)).collect();
    if entries.is_empty() {
        return (None, notes);
    }
    for key in entries.iter().filter_map(|entry| entry.key.as_deref()).collect::<BTreeSet<_>>() {
        if !Path::new(key).is_file() {
            notes.push(format!("the key `{key}` is not there; the fleet file is refused until it is"));
        }
    }
    let known_hosts: BTreeSet<&String> = entries.iter().map(|entry| &entry.known_hosts).collect();
    for file in known_hosts {
        notes.push(format!(
            "host keys are those of `{file}`; `lamplighter doctor --fleet` tells which are missing"
        ));
    }
    let name = match &given.supervisor {
        Supervisor::Systemd(unit) => unit.as_str(),
        Supervisor::Docker(container) => container.as_str(),
    };
    if name == "CHANGE-ME" {
        notes.push(
            "write the units' names in place of `CHANGE-ME`, or give `--check systemd=UNIT`".to_owned(),
        );
    }
    (Some(text(&entries, given, env, from)), notes)
}

fn entry(
    found: Found,
    given: &Given,
    ids: &mut BTreeSet<ServiceId>,
    notes: &mut Vec<String>,
) -> Option<Entry> {
    let Found { name, host, port, user, key, known_hosts, app, transport } = found;
    let id: ServiceId = identifier(&name).parse().ok()?;
    if id.as_str() != name {
        notes.push(format!("`{}` is called `{id}`", name.escape_debug()));
    }
    if !ids.insert(id.clone()) {
        notes.push(format!("`{id}` is there twice; the first is kept"));
        return None;
    }
    let bracketed = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
    let address = match bracketed.parse() {
        Ok(address) => address,
        Err(error) => {
            notes.push(format!("`{id}` is left out: {error}"));
            return None;
        }
    };
    let user = user.or_else(|| given.user.clone()).or_else(|| std::env::var("USER").ok());
    let user = match user.map(|user| user.parse::<UserName>()).transpose() {
        Ok(user) => user.or_else(|| "root".parse().ok()),
        Err(error) => {
            notes.push(format!("`{id}` is left out: {error}"));
            return None;
        }
    };
    let key = key.or_else(|| given.key.clone()).unwrap_or_else(|| usual_key(&given.home));
    let known_hosts =
        known_hosts.unwrap_or_else(|| given.home.join(".ssh/known_hosts")).display().to_string();
    let app = app.and_then(|app| identifier(&app).parse().ok());
    let local = transport == Transport::Local;
    Some(Entry {
        id,
        address,
        app,
        transport,
        user: if local { None } else { user },
        key: if local { None } else { Some(key.display().to_string()) },
        known_hosts,
    })
}

/// The key that OpenSSH would try first.
fn usual_key(home: &Path) -> std::path::PathBuf {
    let usual = ["id_ed25519", "id_ecdsa", "id_rsa"].map(|name| home.join(".ssh").join(name));
    let [first, ..] = &usual;
    usual.iter().find(|path| path.is_file()).unwrap_or(first).clone()
}

/// The nearest name that can be one.
fn identifier(name: &str) -> String {
    let plain: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' }).collect();
    let start = plain.trim_start_matches(['.', '_', '-']);
    start.chars().take(64).collect()
}

fn text(entries: &[Entry], given: &Given, env: &str, from: &str) -> String {
    let shared = |field: Field<'_>| {
        let first = entries.first().and_then(field)?;
        entries.iter().all(|entry| field(entry).as_ref() == Some(&first)).then_some(first)
    };
    let user_of = |entry: &Entry| entry.user.as_ref().map(|user| quoted(user.as_str()));
    let key_of = |entry: &Entry| entry.key.as_ref().map(|key| quoted(&format!("file:{key}")));
    let known_of = |entry: &Entry| entry.key.as_ref().map(|_| quoted(&entry.known_hosts));
    let app_of = |entry: &Entry| entry.app.as_ref().map(|app| quoted(app.as_str()));
    let fields: [(&str, Field<'_>); 4] =
        [("app", &app_of), ("user", &user_of), ("key", &key_of), ("known_hosts", &known_of)];
    let shared: Vec<(&str, Option<String>)> =
        fields.iter().map(|(key, field)| (*key, shared(*field))).collect();

    let mut text = format!("# From {}.\n\n[env.{env}.defaults]\n", quoted(from));
    for (key, value) in &shared {
        text.extend(value.iter().map(|value| format!("{key} = {value}\n")));
    }
    let (kind, name) = match &given.supervisor {
        Supervisor::Systemd(unit) => ("systemd", unit.as_str()),
        Supervisor::Docker(container) => ("docker", container.as_str()),
    };
    let name = quoted(name);
    text.push_str(&format!("check = {{ {kind} = {name} }}\nrestart = {{ {kind} = {name} }}\n"));
    for entry in entries {
        let (id, address) = (quoted(entry.id.as_str()), quoted(&entry.address.to_string()));
        text.push_str(&format!("\n[[env.{env}.service]]\nid = {id}\naddress = {address}\n"));
        if entry.transport == Transport::Local {
            text.push_str("transport = \"local\"\n");
        }
        for ((key, field), (_, shared)) in fields.iter().zip(&shared) {
            if let (None, Some(value)) = (shared, field(entry)) {
                text.push_str(&format!("{key} = {value}\n"));
            }
        }
    }
    text
}

/// A TOML string, in one line whatever it holds.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
