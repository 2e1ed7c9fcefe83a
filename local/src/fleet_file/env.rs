//! Reads one environment of a fleet file: its settings, its defaults, its services.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::Path;

use lamplighter_core::EnvName;
use lamplighter_core::policy::Policy;
use lamplighter_core::settings::Settings;
use lamplighter_core::spec::{BadSpec, ServiceSpec};
use toml::Spanned;
use toml::de::{DeString, DeValue};

use super::hooks::read_hooks;
use super::key_file::KeyFiles;
use super::{Demand, FleetEnv, MAX_SERVICES};
use crate::source::{Complaints, Section, Table, Whose, as_tables, bad_keys, read_section, split};

/// A spec is judged key by key with these in the place of the other required keys.
const SPEC: Section = Section {
    required: "id = 'x'\naddress = '127.0.0.1'\ncheck = { tcp = 1 }\nrestart = 'never'",
    besides: &["policy"],
};
const POLICY: Section = Section { required: "", besides: &[] };

const ENV_BESIDES: &[&str] = &["defaults", "service"];

/// Reads `[env.NAME]`; `None` if anything is wrong with it, which has then been told.
pub(crate) fn read_env(
    key: &Spanned<DeString<'_>>,
    value: &Spanned<DeValue<'_>>,
    key_files: &mut KeyFiles,
    complaints: &mut Complaints<'_>,
) -> Option<(EnvName, FleetEnv)> {
    let before = complaints.count();
    let whose = Whose::env(key.get_ref());
    let name: EnvName = match key.get_ref().parse() {
        Ok(name) => name,
        Err(error) => {
            let (what, hint) = split(&format!("{error}"));
            complaints.add(&key.span(), &Whose::file(), what, hint);
            return None;
        }
    };
    let Some(table) = value.get_ref().as_table() else {
        let hint = format!("write `[env.{name}.defaults]` and `[[env.{name}.service]]`");
        complaints.add(&value.span(), &whose, "is not a table", Some(hint));
        return None;
    };
    let settings = read_settings(table, &value.span(), key_files.file(), &whose, ENV_BESIDES, complaints);
    let defaults = Defaults::read(&name, table.get("defaults"), key_files, complaints);
    let services = match table.get("service") {
        Some(list) => read_services(&name, list, &defaults, key_files, complaints),
        None => Vec::new(),
    };
    if complaints.count() > before { None } else { Some((name, FleetEnv { settings, services })) }
}

/// Reads the settings among the keys of `[env.NAME]` in `file`; `None` if it gives none, or bad ones.
pub(crate) fn read_settings(
    table: &Table<'_>,
    span: &Range<usize>,
    file: &Path,
    whose: &Whose,
    besides: &'static [&'static str],
    complaints: &mut Complaints<'_>,
) -> Option<Settings> {
    let mut own = table.clone();
    // Each hook is read by itself, so that what is wrong with it is told where it stands.
    let hooks = own.remove("hooks");
    if hooks.is_none() && own.keys().all(|key| besides.contains(&key.get_ref().as_ref())) {
        return None;
    }
    let before = complaints.count();
    let own = Spanned::new(span.clone(), own);
    let settings: Option<Settings> =
        read_section(Section { required: "", besides }, &own, &BTreeSet::new(), whose, complaints);
    let hooks = hooks.map(|hooks| read_hooks(&hooks, file, whose, complaints)).unwrap_or_default();
    if complaints.count() > before {
        return None;
    }
    let settings = Settings { hooks, ..settings? };
    match settings.check() {
        Ok(()) => Some(settings),
        Err(problem) => {
            add_check(&problem, table, span, whose, complaints);
            None
        }
    }
}

/// Adds what a `check` said, "key: what; hint", where that key stands.
pub(super) fn add_check(
    problem: &str,
    table: &Table<'_>,
    span: &Range<usize>,
    whose: &Whose,
    complaints: &mut Complaints<'_>,
) {
    let (key, rest) = problem.split_once(": ").unwrap_or(("", problem));
    let at = place(key, table).unwrap_or_else(|| span.clone());
    let (what, hint) = split(rest);
    complaints.add(&at, whose, format!("`{key}`: {what}"), hint);
}

/// What the services of an env share.
#[derive(Debug, Default)]
struct Defaults<'i> {
    spec: Table<'i>,
    policy: Table<'i>,
    /// Keys of `spec` that are bad, told once here and not again for each service.
    bad: BTreeSet<String>,
    bad_policy: bool,
}

impl<'i> Defaults<'i> {
    fn read(
        env: &EnvName,
        value: Option<&Spanned<DeValue<'i>>>,
        key_files: &mut KeyFiles,
        complaints: &mut Complaints<'_>,
    ) -> Defaults<'i> {
        let Some(value) = value else { return Defaults::default() };
        let whose = Whose::defaults(env.as_str());
        let Some(table) = value.get_ref().as_table() else {
            let hint = format!("write it as `[env.{env}.defaults]`, with a key a line");
            complaints.add(&value.span(), &whose, "is not a table", Some(hint));
            return Defaults::default();
        };
        let mut spec = table.clone();
        if let Some(id) = spec.remove("id") {
            let hint = format!("give each `[[env.{env}.service]]` its own");
            complaints.add(&id.span(), &whose, "`id` cannot be shared", Some(hint));
        }
        let mut bad = bad_keys::<ServiceSpec>(
            SPEC,
            &Spanned::new(value.span(), spec.clone()),
            &BTreeSet::new(),
            &whose,
            complaints,
        );
        if !bad.contains("key") && !key_files.check(&mut spec, &whose, complaints) {
            bad.insert("key".to_owned());
        }
        let (policy, bad_policy) = read_policy(&mut spec, &whose, complaints);
        Defaults { spec, policy, bad, bad_policy }
    }
}

/// Takes `policy` out of `spec`, and tells what is wrong with each of its keys.
fn read_policy<'i>(
    spec: &mut Table<'i>,
    whose: &Whose,
    complaints: &mut Complaints<'_>,
) -> (Table<'i>, bool) {
    let Some(value) = spec.remove("policy") else { return (Table::new(), false) };
    let span = value.span();
    let DeValue::Table(policy) = value.into_inner() else {
        let hint = "write `policy = { settle = \"10s\" }`".to_owned();
        complaints.add(&span, whose, "`policy` is not a table", Some(hint));
        return (Table::new(), true);
    };
    let before = complaints.count();
    let table = Spanned::new(span.clone(), policy.clone());
    if let Some(read) = read_section::<Policy>(POLICY, &table, &BTreeSet::new(), whose, complaints)
        && let Err(problem) = read.check()
    {
        add_check(&problem, &policy, &span, whose, complaints);
    }
    (policy, complaints.count() > before)
}

fn read_services(
    env: &EnvName,
    list: &Spanned<DeValue<'_>>,
    defaults: &Defaults<'_>,
    key_files: &mut KeyFiles,
    complaints: &mut Complaints<'_>,
) -> Vec<ServiceSpec> {
    let Some(tables) = as_tables(list) else {
        let hint = format!("write each service under `[[env.{env}.service]]`, with two brackets");
        complaints.add(
            &list.span(),
            &Whose::env(env.as_str()),
            "`service` is not a list of tables",
            Some(hint),
        );
        return Vec::new();
    };
    let mut services = Vec::with_capacity(tables.len().min(MAX_SERVICES));
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for (index, (span, table)) in tables.into_iter().enumerate() {
        if index == MAX_SERVICES {
            let hint = "divide them over several environments".to_owned();
            complaints.add(
                &span,
                &Whose::env(env.as_str()),
                format!("more than {MAX_SERVICES} services"),
                Some(hint),
            );
            break;
        }
        let id = table.get("id").and_then(|id| Some((id.span(), id.get_ref().as_str()?)));
        let whose =
            Whose::service(env.as_str(), id.as_ref().map(|(_, id)| *id).filter(|id| id.len() <= 64), index);
        if let Some((at, id)) = id {
            match seen.get(id) {
                Some(first) => {
                    let what = format!("duplicate id: line {first} has it already");
                    complaints.add(
                        &at,
                        &whose,
                        what,
                        Some("give each service of an environment its own id".to_owned()),
                    );
                }
                None => drop(seen.insert(id.to_owned(), complaints.line_of(at.start))),
            }
        }
        services.extend(read_service(
            &Spanned::new(span, table.clone()),
            defaults,
            &whose,
            key_files,
            complaints,
        ));
    }
    services
}

fn read_service(
    table: &Spanned<Table<'_>>,
    defaults: &Defaults<'_>,
    whose: &Whose,
    key_files: &mut KeyFiles,
    complaints: &mut Complaints<'_>,
) -> Option<ServiceSpec> {
    let mut own = table.get_ref().clone();
    let mut good = key_files.check(&mut own, whose, complaints);
    let (own_policy, bad_policy) = read_policy(&mut own, whose, complaints);
    good &= !bad_policy && !defaults.bad_policy;

    let mut merged = defaults.spec.clone();
    let mut inherited_bad = defaults.bad.clone();
    for (key, value) in own {
        inherited_bad.remove(key.get_ref().as_ref());
        // The key's own place matters for messages, so an inherited key is dropped and not overwritten.
        merged.remove(key.get_ref().as_ref());
        merged.insert(key, value);
    }
    for key in &inherited_bad {
        merged.remove(key.as_str());
    }
    let merged = Spanned::new(table.span(), merged);
    let mut spec: ServiceSpec = read_section(SPEC, &merged, &inherited_bad, whose, complaints)?;
    if !good {
        return None;
    }
    let mut policy = defaults.policy.clone();
    policy.extend(own_policy.clone());
    let policy_at = Spanned::new(table.span(), policy);
    spec.policy = read_section(POLICY, &policy_at, &BTreeSet::new(), whose, complaints)?;
    match check(&spec, key_files.demand) {
        Ok(()) => Some(key_files.with_absolute_paths(spec)),
        Err(bad) => {
            let at = place(bad.key, merged.get_ref()).unwrap_or_else(|| table.span());
            let at =
                if bad.key == "policy" { policy_place(&bad.problem, policy_at.get_ref(), &at) } else { at };
            let (what, hint) = split(&bad.problem);
            complaints.add(&at, whose, format!("`{}`: {what}", bad.key), hint);
            None
        }
    }
}

/// The spec's own check; a host key that may be missing is not missed.
fn check(spec: &ServiceSpec, demand: Demand) -> Result<(), BadSpec> {
    match demand {
        Demand::AllButHostKeys if spec.host_key.is_empty() && spec.known_hosts.is_none() => {
            ServiceSpec { known_hosts: Some(String::new()), ..spec.clone() }.check()
        }
        Demand::AllButHostKeys | Demand::Everything => spec.check(),
    }
}

/// Where a key stands that a check names, `update.branch`: it, or the nearest table around it that was written.
fn place(key: &str, table: &Table<'_>) -> Option<Range<usize>> {
    let (outer, inner) = key.split_once('.').map_or((key, None), |(outer, inner)| (outer, Some(inner)));
    let value = table.get(outer)?;
    let inner = inner.and_then(|inner| place(inner, value.get_ref().as_table()?));
    Some(inner.unwrap_or_else(|| value.span()))
}

/// Where the policy key stands that a check names first, "key: …".
fn policy_place(problem: &str, policy: &Table<'_>, otherwise: &Range<usize>) -> Range<usize> {
    let key = problem.split(':').next().unwrap_or_default();
    policy.get(key).map_or_else(|| otherwise.clone(), Spanned::span)
}
