//! Reads the hooks of an environment: where pushes come in, and where their secrets are found.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use lamplighter_core::hook::{Hook, HookName};
use lamplighter_core::spec::KeyRef;
use toml::Spanned;
use toml::de::DeValue;

use super::env::add_check;
use super::key_file::check_secret;
use crate::source::{Complaints, Section, Whose, read_section, resolve, split};

/// A hook is judged key by key with these in the place of the other required keys.
const HOOK: Section = Section { required: "kind = 'github'\nsecret = 'file:x'\napp = 'x'", besides: &[] };

/// Reads `[env.NAME.hooks]` of `file`: those that are as they should be. What is wrong with the others has been told.
pub(super) fn read_hooks(
    hooks: &Spanned<DeValue<'_>>,
    file: &Path,
    env: &Whose,
    complaints: &mut Complaints<'_>,
) -> BTreeMap<HookName, Hook> {
    let mut read = BTreeMap::new();
    let Some(tables) = hooks.get_ref().as_table() else {
        let hint = "write each under a name of its own, such as `[env.prod.hooks.deploy]`".to_owned();
        complaints.add(&hooks.span(), env, "`hooks` is not a table", Some(hint));
        return read;
    };
    for (key, value) in tables {
        let name: HookName = match key.get_ref().parse() {
            Ok(name) => name,
            Err(error) => {
                let (what, hint) = split(&format!("{error}"));
                complaints.add(&key.span(), env, what, hint);
                continue;
            }
        };
        let whose = Whose::hook(env, name.as_str());
        match read_hook(value, file, &whose, complaints) {
            Some(hook) => drop(read.insert(name, hook)),
            None => continue,
        }
    }
    read
}

fn read_hook(
    value: &Spanned<DeValue<'_>>,
    file: &Path,
    whose: &Whose,
    complaints: &mut Complaints<'_>,
) -> Option<Hook> {
    let Some(table) = value.get_ref().as_table() else {
        let hint = "write its keys under `[env.prod.hooks.deploy]`".to_owned();
        complaints.add(&value.span(), whose, "is not a table", Some(hint));
        return None;
    };
    let table = Spanned::new(value.span(), table.clone());
    let mut hook: Hook = read_section(HOOK, &table, &BTreeSet::new(), whose, complaints)?;
    if let Err(problem) = hook.check() {
        add_check(&problem, table.get_ref(), &value.span(), whose, complaints);
        return None;
    }
    let before = complaints.count();
    for secret in &mut hook.secret {
        let KeyRef::File(written) = secret else { continue };
        let path = resolve(file, written);
        if let Err((what, hint)) = check_secret(&path) {
            let at = table.get_ref().get("secret").map_or_else(|| value.span(), Spanned::span);
            complaints.add(&at, whose, format!("`secret`: {what}"), Some(hint));
        }
        // The server it is applied to may have been started anywhere.
        *written = path.to_string_lossy().into_owned();
    }
    (complaints.count() == before).then_some(hook)
}
