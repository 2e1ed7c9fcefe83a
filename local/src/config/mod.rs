//! `lamplighter.toml`: what `serve` needs to know besides the fleet.
//!
//! ```toml
//! listen     = "127.0.0.1:8080"
//! data       = "/var/lib/lamplighter"            # relative paths are relative to this file
//! public_url = "https://lamp.example.com"        # what letters link to
//! allowed_networks = ["10.0.0.0/8"]              # private networks that `http` and `tcp` checks may reach
//!
//! [mail]                                         # without it, letters become files in `DATA/letters`
//! host = "smtp.example.com"
//! security = "starttls"                          # or `tls`; or `plain` on this machine
//! user = "lamplighter"
//! password_file = "smtp-password"                # or password_env = "SMTP_PASSWORD"; never the password itself
//! from = "lamplighter@example.com"
//!
//! [env.prod]                                     # at least one; each goes on alone if another is broken
//! every  = "60s"
//! admins = ["ops@example.com"]
//! fleet  = "fleet.toml"                          # applied at every start; or leave it out and use `apply`
//! ```

mod mail;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use lamplighter_core::EnvName;
use lamplighter_core::settings::Settings;
use lamplighter_core::spec::ServiceSpec;
use lamplighter_notify::Post;
use lamplighter_remote::network::Network;
use serde::Deserialize;
use toml::Spanned;
use toml::de::DeValue;

use crate::fleet_file::{self, FleetEnv};
use crate::source::{self, Complaints, Refused, Section, Table, Whose};

/// Where `serve` listens unless told otherwise: this machine only, as TLS is the business of a proxy in front.
pub const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8_080);
/// Where `serve` keeps its data unless told otherwise: under the current folder, so that trying it needs no root.
pub const DEFAULT_DATA: &str = "lamplighter-data";
/// The environment of a server without a configuration file.
pub const DEFAULT_ENV: &str = "prod";

/// What `serve` is told.
#[derive(Debug, Clone)]
pub struct Config {
    /// The address to listen on.
    pub listen: SocketAddr,
    /// The folder of the store.
    pub data: PathBuf,
    /// The address people reach the server at, without a slash at its end.
    pub public_url: Option<String>,
    /// How letters travel; `None` is a folder of files beside the store.
    pub post: Option<Post>,
    /// Private networks that checks may reach.
    pub allowed_networks: Vec<Network>,
    /// The environments, in the order of their names: each ready, or broken and told why.
    pub envs: Vec<Result<EnvConfig, BrokenEnv>>,
}

/// One environment that is ready to be looked after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvConfig {
    /// Its name.
    pub name: EnvName,
    /// Its settings, if a file gives any; otherwise those in the store hold.
    pub settings: Option<Settings>,
    /// The services of its fleet file, if it names one; otherwise those in the store hold.
    pub fleet: Option<Vec<ServiceSpec>>,
}

/// One environment that cannot be looked after until its files are mended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokenEnv {
    /// Its name as written.
    pub name: String,
    /// Everything that is wrong with it.
    pub why: Refused,
}

/// The data file of an environment: its table, and nothing of another's.
#[must_use]
pub fn data_file(data: &Path, env: &EnvName) -> PathBuf {
    data.join(format!("{env}.sqlite"))
}

impl Config {
    /// What holds without a configuration file: one environment, every default.
    ///
    #[must_use]
    pub fn without_file() -> Self {
        let prod = DEFAULT_ENV.parse().map(|name| EnvConfig { name, settings: None, fleet: None });
        Self {
            listen: DEFAULT_LISTEN,
            data: PathBuf::from(DEFAULT_DATA),
            public_url: None,
            post: None,
            allowed_networks: Vec::new(),
            envs: prod.into_iter().map(Ok).collect(),
        }
    }
}

/// The keys at the top of the file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Top {
    listen: Option<ListenText>,
    data: Option<PathBuf>,
    public_url: Option<UrlText>,
    #[serde(default)]
    allowed_networks: Vec<NetworkText>,
}

const TOP: Section = Section { required: "", besides: &["mail", "env"] };
const ENV_BESIDES: &[&str] = &["fleet"];

/// Reads a configuration file and the fleet files it names.
///
/// # Errors
/// Everything that is wrong with the file itself. What is wrong with one environment stands in [`Config::envs`].
pub fn read(file: &Path) -> Result<Config, Refused> {
    parse(&source::read(file)?, file)
}

/// Reads the text of a configuration file; `file` is where it stands.
///
/// # Errors
/// As [`read`].
pub fn parse(text: &str, file: &Path) -> Result<Config, Refused> {
    let mut complaints = Complaints::new(text);
    let Some(document) = fleet_file::parse_toml(text, &mut complaints) else {
        return Err(all_of(complaints, file));
    };
    let whole = Spanned::new(0..text.len(), document);
    let nothing = BTreeSet::new();
    let top: Option<Top> = source::read_section(TOP, &whole, &nothing, &Whose::file(), &mut complaints);
    let post = whole.get_ref().get("mail").and_then(|value| mail::read(value, file, &mut complaints));
    let found = match whole.get_ref().get("env") {
        Some(value) => read_envs(value, file, &mut complaints),
        None => BTreeMap::new(),
    };
    let (of_file, of_envs) = complaints.by_env(file);
    if let Some(refused) = of_file {
        return Err(refused);
    }
    let Some(top) = top else {
        return Err(Refused::whole_file(file, "cannot be understood".to_owned(), None));
    };
    let mut envs: BTreeMap<String, Result<EnvConfig, BrokenEnv>> = found;
    for (name, why) in of_envs {
        envs.insert(name.clone(), Err(BrokenEnv { name, why }));
    }
    if envs.is_empty() {
        let hint = "write at least `[env.prod]`, with `fleet = \"fleet.toml\"`".to_owned();
        return Err(Refused::whole_file(file, "no environment is configured".to_owned(), Some(hint)));
    }
    Ok(Config {
        listen: top.listen.map_or(DEFAULT_LISTEN, |text| text.0),
        data: source::resolve(
            file,
            &top.data.map_or(DEFAULT_DATA.into(), |path| path.to_string_lossy().into_owned()),
        ),
        public_url: top.public_url.map(|text| text.0),
        post,
        allowed_networks: top.allowed_networks.into_iter().map(|text| text.0).collect(),
        envs: envs.into_values().collect(),
    })
}

fn all_of(complaints: Complaints<'_>, file: &Path) -> Refused {
    let otherwise = || Refused::whole_file(file, "cannot be understood".to_owned(), None);
    complaints.into_refused(file).unwrap_or_else(otherwise)
}

fn read_envs(
    value: &Spanned<DeValue<'_>>,
    file: &Path,
    complaints: &mut Complaints<'_>,
) -> BTreeMap<String, Result<EnvConfig, BrokenEnv>> {
    let mut envs = BTreeMap::new();
    let Some(tables) = value.get_ref().as_table() else {
        let hint = Some("write `[env.prod]`".to_owned());
        complaints.add(&value.span(), &Whose::file(), "`env` is not a table", hint);
        return envs;
    };
    for (key, value) in tables.iter().take(fleet_file::MAX_ENVS) {
        let written = key.get_ref().to_string();
        let whose = Whose::env(&written);
        match written.parse::<EnvName>() {
            Ok(name) => {
                if let Some(env) = read_env(name, value, file, &whose, complaints) {
                    envs.insert(written.clone(), env.map_err(|why| BrokenEnv { name: written, why }));
                }
            }
            Err(error) => {
                let (what, hint) = source::split(&error.to_string());
                complaints.add(&key.span(), &whose, what, hint);
            }
        }
    }
    envs
}

/// `None` if complaints were added, which then are what is wrong with it.
fn read_env(
    name: EnvName,
    value: &Spanned<DeValue<'_>>,
    file: &Path,
    whose: &Whose,
    complaints: &mut Complaints<'_>,
) -> Option<Result<EnvConfig, Refused>> {
    let before = complaints.count();
    let Some(table) = value.get_ref().as_table() else {
        complaints.add(&value.span(), whose, "is not a table", Some(format!("write `[env.{name}]`")));
        return None;
    };
    let table = without_services(&name, table, whose, complaints);
    let settings = fleet_file::read_settings(&table, &value.span(), file, whose, ENV_BESIDES, complaints);
    let Some(path) = table.get("fleet") else {
        return (complaints.count() == before).then_some(Ok(EnvConfig { name, settings, fleet: None }));
    };
    let Some(written) = path.get_ref().as_str() else {
        complaints.add(
            &path.span(),
            whose,
            "`fleet` is not a path",
            Some("write `fleet = \"fleet.toml\"`".to_owned()),
        );
        return None;
    };
    let fleet_path = source::resolve(file, written);
    let mut fleet = match fleet_file::read(&fleet_path) {
        Ok(fleet) => fleet,
        Err(refused) => return Some(Err(refused)),
    };
    let Some(FleetEnv { settings: of_fleet, services }) = fleet.envs.remove(&name) else {
        let names: Vec<String> = fleet.envs.keys().map(|name| format!("`{name}`")).collect();
        let what = format!("`{}` has no environment `{name}`", fleet_path.display());
        complaints.add(&path.span(), whose, what, Some(format!("it has {}", names.join(", "))));
        return None;
    };
    if settings.is_some() && of_fleet.is_some() {
        let what = format!("settings are given here and in `{}`", fleet_path.display());
        complaints.add(&path.span(), whose, what, Some("keep them in one of the two".to_owned()));
    }
    (complaints.count() == before)
        .then(|| Ok(EnvConfig { name, settings: settings.or(of_fleet), fleet: Some(services) }))
}

/// The table without what belongs to a fleet file, which is told.
fn without_services<'i>(
    name: &EnvName,
    table: &Table<'i>,
    whose: &Whose,
    complaints: &mut Complaints<'_>,
) -> Table<'i> {
    let mut table = table.clone();
    for key in ["service", "defaults"] {
        if let Some((key, _)) = table.remove_entry(key) {
            let hint =
                format!("put services in a fleet file and name it: `[env.{name}]`, `fleet = \"fleet.toml\"`");
            complaints.add(
                &key.span(),
                whose,
                format!("`{}` belongs to a fleet file", key.get_ref()),
                Some(hint),
            );
        }
    }
    table
}

/// An address to listen on, as text.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
struct ListenText(SocketAddr);

impl TryFrom<String> for ListenText {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let wrong = |_| {
            format!(
                "`{}` is not an address to listen on; write `127.0.0.1:8080` or `[::]:8080`",
                text.escape_debug()
            )
        };
        text.parse().map(Self).map_err(wrong)
    }
}

/// A network, as text.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
struct NetworkText(Network);

impl TryFrom<String> for NetworkText {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse().map(Self)
    }
}

/// The address people reach the server at, as text.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
struct UrlText(String);

impl TryFrom<String> for UrlText {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).unwrap_or_default();
        let plain =
            !rest.is_empty() && !rest.starts_with('/') && !rest.contains(['@', '?', '#', ' ', '"', '<', '>']);
        if plain && !rest.chars().any(char::is_control) {
            return Ok(Self(text.trim_end_matches('/').to_owned()));
        }
        Err("this is not a web address; write `https://lamp.example.com`, without a login or a query"
            .to_owned())
    }
}
