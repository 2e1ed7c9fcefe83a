//! The fleet file: what is looked after, as a person writes it down.
//!
//! ```toml
//! [env.prod]                            # settings of the env, all optional
//! every = "60s"
//!
//! [env.prod.defaults]                   # whatever its services share
//! user    = "deploy"
//! key     = "file:keys/prod_ed25519"    # relative to this file
//! check   = { systemd = "web" }
//! restart = { systemd = "web" }
//!
//! [[env.prod.service]]                  # a key given here wins over the default; `policy` is merged key by key
//! id       = "vps-001"
//! address  = "203.0.113.7"
//! host_key = "ssh-ed25519 AAAA…"
//! ```
//!
//! It is read whole or not at all, and every problem is told at once. Paths (`key = "file:…"`, `known_hosts`) are
//! relative to the fleet file and become absolute, so that they mean the same file to the server they are applied to.

mod env;
mod hooks;
mod key_file;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::Path;

use lamplighter_core::EnvName;
use lamplighter_core::settings::Settings;
use lamplighter_core::spec::ServiceSpec;
use toml::de::DeTable;

use env::read_env;
pub(crate) use env::read_settings;
pub(crate) use key_file::{KeyFiles, check_secret};

#[cfg(test)]
use crate::source::MAX_PROBLEMS;
use crate::source::{self, Complaints, Refused, Whose};

/// Most environments of one file.
pub const MAX_ENVS: usize = 32;
/// Most services of one environment: twice the largest fleet that is looked after.
pub const MAX_SERVICES: usize = 20_000;

/// All that a fleet file says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FleetFile {
    /// Its environments; at least one.
    pub envs: BTreeMap<EnvName, FleetEnv>,
}

/// One environment of a fleet file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FleetEnv {
    /// Its settings, where the file gives any.
    pub settings: Option<Settings>,
    /// Its services in the order of the file, defaults filled in, ids unique.
    pub services: Vec<ServiceSpec>,
}

/// Reads a fleet file.
///
/// # Errors
/// Everything that is wrong with it. Nothing of a refused file is used.
pub fn read(file: &Path) -> Result<FleetFile, Refused> {
    parse(&source::read(file)?, file)
}

/// What of a file may still be missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Demand {
    /// Nothing: the file is to be used.
    Everything,
    /// Host keys: the hosts are to be asked for theirs.
    AllButHostKeys,
}

/// Reads a fleet file whose hosts' keys may not be known yet. Only for finding them out: such a file is not used.
///
/// # Errors
/// As [`read`].
pub(crate) fn read_without_host_keys(file: &Path) -> Result<FleetFile, Refused> {
    parse_demanding(&source::read(file)?, file, Demand::AllButHostKeys)
}

/// Reads the text of a fleet file; `file` is where it stands, for messages and for the paths in it.
///
/// # Errors
/// As [`read`].
pub fn parse(text: &str, file: &Path) -> Result<FleetFile, Refused> {
    parse_demanding(text, file, Demand::Everything)
}

fn parse_demanding(text: &str, file: &Path, demand: Demand) -> Result<FleetFile, Refused> {
    let mut complaints = Complaints::new(text);
    let mut fleet = FleetFile::default();
    let mut key_files = KeyFiles::new(file, demand);
    if let Some(document) = parse_toml(text, &mut complaints) {
        for (key, value) in &document {
            let name = key.get_ref().as_ref();
            let envs = if name == "env" { value.get_ref().as_table() } else { None };
            match envs {
                Some(envs) => read_envs(envs, &mut key_files, &mut complaints, &mut fleet),
                None if name == "env" => {
                    let hint = Some("write `[env.prod.defaults]` and `[[env.prod.service]]`".to_owned());
                    complaints.add(&value.span(), &Whose::file(), "`env` is not a table", hint);
                }
                None => {
                    let (what, hint) = outside_env(name);
                    complaints.add(&key.span(), &Whose::file(), what, hint);
                }
            }
        }
        if fleet.envs.is_empty() && complaints.count() == 0 {
            let hint = "write `[env.prod.defaults]` for what the services share and a `[[env.prod.service]]` for each";
            complaints.add(&(0..0), &Whose::file(), "no environment is configured", Some(hint.to_owned()));
        }
    }
    match complaints.into_refused(file) {
        Some(refused) => Err(refused),
        None => Ok(fleet),
    }
}

/// Parses TOML, telling every place that is none.
pub(crate) fn parse_toml<'t>(text: &'t str, complaints: &mut Complaints<'_>) -> Option<DeTable<'t>> {
    let (document, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        let what = format!("not TOML: {}", error.message().lines().next().unwrap_or_default());
        complaints.add(&error.span().unwrap_or(0..0), &Whose::file(), what, None);
    }
    if errors.is_empty() { Some(document.into_inner()) } else { None }
}

fn outside_env(name: &str) -> (String, Option<String>) {
    match name {
        "service" | "services" | "defaults" => {
            let hint = "every service belongs to an environment: write `[[env.prod.service]]`, `[env.prod.defaults]`";
            (format!("`{name}` stands outside of an environment"), Some(hint.to_owned()))
        }
        "listen" | "data" | "mail" | "public_url" => {
            let hint =
                "this belongs to the configuration of `lamplighter serve --config`, not to a fleet file";
            (format!("unknown key `{name}`"), Some(hint.to_owned()))
        }
        _ => source::unknown_key(name, &["env"]),
    }
}

fn read_envs(
    envs: &DeTable<'_>,
    key_files: &mut KeyFiles,
    complaints: &mut Complaints<'_>,
    fleet: &mut FleetFile,
) {
    for (index, (key, value)) in envs.iter().enumerate() {
        if index == MAX_ENVS {
            complaints.add(&key.span(), &Whose::file(), format!("more than {MAX_ENVS} environments"), None);
            break;
        }
        if let Some((name, env)) = read_env(key, value, key_files, complaints) {
            fleet.envs.insert(name, env);
        }
    }
}
