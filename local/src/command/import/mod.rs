//! `import`: writes a fleet file to stdout from what is already there; whatever needs a person is said on stderr.

mod ansible;
mod fleet_text;
mod ssh_config;
#[cfg(test)]
mod tests;

use std::io::Read as _;
use std::path::{Path, PathBuf};

use lamplighter_core::name::{ContainerName, UnitName};
use lamplighter_core::spec::Transport;

use crate::cli::{Global, ImportArgs, ImportVerb};
use crate::exit::{Exit, Failure, Outcome};
use crate::say;

/// Largest file that is imported, in bytes: an inventory of ten thousand hosts is a quarter of it.
const MAX_IMPORT_BYTES: u64 = 4 * 1024 * 1024;
/// Most hosts imported at once: as many as an environment may have.
const MAX_HOSTS: usize = crate::fleet_file::MAX_SERVICES;
/// Notes printed one by one; the rest are counted.
const MAX_NOTES: usize = 50;

/// A host as another tool describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Found {
    /// What the other tool calls it.
    name: String,
    /// Host name or address.
    host: String,
    port: u16,
    user: Option<String>,
    key: Option<PathBuf>,
    known_hosts: Option<PathBuf>,
    app: Option<String>,
    transport: Transport,
}

/// Hosts, and what a person should know about how they were found.
#[derive(Debug, Default)]
struct Harvest {
    hosts: Vec<Found>,
    notes: Vec<String>,
}

/// How the services are to be checked and restarted.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Supervisor {
    Systemd(UnitName),
    Docker(ContainerName),
}

/// What the source does not say.
#[derive(Debug, Clone)]
struct Given {
    supervisor: Supervisor,
    user: Option<String>,
    key: Option<PathBuf>,
    home: PathBuf,
}

/// Imports.
pub(super) fn run(global: &Global, verb: ImportVerb) -> Outcome {
    let (from, args, kind) = match verb {
        ImportVerb::Ansible(args) => {
            let missing = || {
                Failure::new(Exit::Usage, "no inventory is named")
                    .hint("write `lamplighter import ansible hosts.ini`")
            };
            (args.from.clone().ok_or_else(missing)?, args, Kind::Ansible)
        }
        ImportVerb::SshConfig(args) => {
            (args.from.clone().unwrap_or_else(|| home().join(".ssh/config")), args, Kind::SshConfig)
        }
    };
    let given = given(&args)?;
    let text = read(&from)?;
    let harvest = match kind {
        Kind::Ansible => ansible::read(&text, &from, &given)?,
        Kind::SshConfig => ssh_config::read(&text, &from, &given.home),
    };
    let env = global.env.as_ref().map_or("prod", |env| env.as_str());
    let (fleet, notes) = fleet_text::write(harvest, &given, env, &from.display().to_string());
    for note in notes.iter().take(MAX_NOTES) {
        say::note(&format!("note: {note}"));
    }
    if notes.len() > MAX_NOTES {
        say::note(&format!("… and {} more notes", notes.len() - MAX_NOTES));
    }
    match fleet {
        Some(fleet) => {
            say::data(&fleet)?;
            Ok(Exit::Ok)
        }
        None => Err(Failure::new(Exit::Failed, format!("no host was found in `{}`", from.display()))),
    }
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Ansible,
    SshConfig,
}

fn given(args: &ImportArgs) -> Result<Given, Failure> {
    let wrong = |why: String| {
        Failure::new(Exit::Usage, format!("`--check {}`: {why}", args.check))
            .hint("write `--check systemd=UNIT` or `--check docker=CONTAINER`")
    };
    let supervisor = match args.check.split_once('=') {
        Some(("systemd", unit)) => {
            Supervisor::Systemd(unit.parse().map_err(|error| wrong(format!("{error}")))?)
        }
        Some(("docker", name)) => {
            Supervisor::Docker(name.parse().map_err(|error| wrong(format!("{error}")))?)
        }
        Some(_) | None => return Err(wrong("not a kind and a name".to_owned())),
    };
    let key = args.key.as_deref().map(|key| std::path::absolute(key).unwrap_or_else(|_| PathBuf::from(key)));
    Ok(Given { supervisor, user: args.user.clone(), key, home: home() })
}

fn home() -> PathBuf {
    std::env::home_dir().unwrap_or_default()
}

/// The source's text; `-` is stdin.
fn read(from: &Path) -> Result<String, Failure> {
    let shown = from.display();
    let mut text = String::new();
    let result = if from == Path::new("-") {
        std::io::stdin().lock().take(MAX_IMPORT_BYTES + 1).read_to_string(&mut text)
    } else {
        if from.is_dir() {
            return Err(Failure::new(Exit::Usage, format!("`{shown}` is a folder")).hint(format!(
                "pipe it: `ansible-inventory -i {shown} --list | lamplighter import ansible -`"
            )));
        }
        std::fs::File::open(from).and_then(|file| file.take(MAX_IMPORT_BYTES + 1).read_to_string(&mut text))
    };
    match result {
        Ok(read) if u64::try_from(read).unwrap_or(u64::MAX) > MAX_IMPORT_BYTES => Err(Failure::new(
            Exit::Usage,
            format!("`{shown}` is larger than {} MiB", MAX_IMPORT_BYTES / (1024 * 1024)),
        )),
        Ok(_) => Ok(text),
        Err(error) => Err(Failure::new(Exit::Usage, format!("`{shown}` cannot be read: {error}"))),
    }
}

/// `~` and `~/…` as the home folder, anything else relative to `base`.
fn expand(written: &str, home: &Path, base: &Path) -> PathBuf {
    let path = match written.strip_prefix("~/") {
        Some(rest) => home.join(rest),
        None => base.join(written),
    };
    std::path::absolute(&path).unwrap_or(path)
}
