//! Reads an Ansible inventory: INI, YAML, or the JSON of `ansible-inventory --list`.

mod ini;
mod range;
mod tree;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use lamplighter_core::name::HostAddress;
use lamplighter_core::spec::Transport;

use super::{Found, Given, Harvest, MAX_HOSTS, expand};
use crate::exit::{Exit, Failure};

/// Groups in groups: deeper than anybody's.
const MAX_DEPTH: usize = 16;

/// Variables of a host or group, as text.
type Vars = BTreeMap<String, String>;

/// A group of hosts.
#[derive(Debug, Default)]
struct Group {
    hosts: Vec<String>,
    children: Vec<String>,
    vars: Vars,
}

/// An inventory, whatever it was written in.
#[derive(Debug, Default)]
struct Inventory {
    groups: BTreeMap<String, Group>,
    /// Hosts in the order they appear.
    hosts: Vec<String>,
    vars: BTreeMap<String, Vars>,
}

impl Inventory {
    fn group(&mut self, name: &str) -> &mut Group {
        self.groups.entry(name.to_owned()).or_default()
    }

    /// Adds a host to a group; its variables add to those it has.
    fn add(&mut self, group: &str, host: &str, vars: Vars) {
        if !self.vars.contains_key(host) && self.hosts.len() < MAX_HOSTS {
            self.hosts.push(host.to_owned());
        }
        self.vars.entry(host.to_owned()).or_default().extend(vars);
        let group = self.group(group);
        if !group.hosts.iter().any(|known| known == host) {
            group.hosts.push(host.to_owned());
        }
    }
}

/// Reads it; relative paths in it are relative to its folder.
pub(super) fn read(text: &str, file: &Path, given: &Given) -> Result<Harvest, Failure> {
    let unreadable = |why: String| {
        Failure::new(Exit::Usage, format!("`{}` is no inventory: {why}", file.display())).hint(format!(
            "let Ansible read it: `ansible-inventory -i {} --list | lamplighter import ansible -`",
            file.display()
        ))
    };
    let is_yaml = file.extension().is_some_and(|ext| ext == "yml" || ext == "yaml")
        || text.trim_start().starts_with("---");
    let inventory = if text.trim_start().starts_with('{') {
        tree::from_json(text).map_err(unreadable)?
    } else if is_yaml {
        tree::from_yaml(text).map_err(unreadable)?
    } else {
        ini::read(text).map_err(unreadable)?
    };
    let mut harvest = Harvest::default();
    let folder = file.parent().unwrap_or(Path::new(""));
    if ["group_vars", "host_vars"].iter().any(|name| folder.join(name).is_dir()) {
        harvest.notes.push(
            "`group_vars` and `host_vars` are not read; pipe `ansible-inventory --list` to have them"
                .to_owned(),
        );
    }
    let memberships = memberships(&inventory);
    for host in &inventory.hosts {
        match found(host, &inventory, memberships.get(host.as_str()), folder, given) {
            Ok(found) => harvest.hosts.push(found),
            Err(note) => harvest.notes.push(note),
        }
    }
    Ok(harvest)
}

/// The groups of each host with their depth, outermost first.
fn memberships(inventory: &Inventory) -> BTreeMap<&str, Vec<(usize, &str)>> {
    let children: BTreeSet<&str> =
        inventory.groups.values().flat_map(|group| &group.children).map(String::as_str).collect();
    let mut memberships: BTreeMap<&str, Vec<(usize, &str)>> = BTreeMap::new();
    for root in inventory.groups.keys().filter(|name| !children.contains(name.as_str())) {
        let depth = usize::from(root != "all");
        let mut path = Vec::new();
        walk(inventory, root, depth, &mut path, &mut memberships);
    }
    for groups in memberships.values_mut() {
        groups.sort_unstable();
        groups.dedup();
    }
    memberships
}

fn walk<'i>(
    inventory: &'i Inventory,
    name: &'i str,
    depth: usize,
    path: &mut Vec<&'i str>,
    memberships: &mut BTreeMap<&'i str, Vec<(usize, &'i str)>>,
) {
    if depth > MAX_DEPTH || path.contains(&name) {
        return;
    }
    let Some(group) = inventory.groups.get(name) else { return };
    path.push(name);
    for host in &group.hosts {
        let groups = memberships.entry(host).or_default();
        groups.extend(path.iter().enumerate().map(|(up, group)| (depth + 1 - (path.len() - up), *group)));
    }
    for child in &group.children {
        walk(inventory, child, depth + 1, path, memberships);
    }
    path.pop();
}

fn found(
    host: &str,
    inventory: &Inventory,
    groups: Option<&Vec<(usize, &str)>>,
    folder: &Path,
    given: &Given,
) -> Result<Found, String> {
    let mut vars = inventory.groups.get("all").map(|group| group.vars.clone()).unwrap_or_default();
    let groups: Vec<&str> = groups.into_iter().flatten().map(|(_, group)| *group).collect();
    for group in groups.iter().filter_map(|group| inventory.groups.get(*group)) {
        vars.extend(group.vars.clone());
    }
    vars.extend(inventory.vars.get(host).cloned().unwrap_or_default());
    let var = |names: &[&str]| names.iter().find_map(|name| vars.get(*name)).map(String::as_str);
    let left_out = |why: &str| Err(format!("`{}` is left out: {why}", host.escape_debug()));

    let asked = [
        ("ansible_host", var(&["ansible_host", "ansible_ssh_host"])),
        ("ansible_port", var(&["ansible_port", "ansible_ssh_port"])),
        ("ansible_user", var(&["ansible_user", "ansible_ssh_user"])),
        ("ansible_ssh_private_key_file", var(&["ansible_ssh_private_key_file", "ansible_private_key_file"])),
    ];
    if let Some((name, _)) = asked.iter().find(|(_, value)| value.is_some_and(|value| value.contains("{{"))) {
        return left_out(&format!(
            "`{name}` is a template; pipe `ansible-inventory --list` to have it filled in"
        ));
    }
    let [(_, address), (_, port), (_, user), (_, key)] = asked;
    let transport = match var(&["ansible_connection"]) {
        Some("local") => Transport::Local,
        None | Some("ssh" | "smart" | "paramiko" | "paramiko_ssh" | "ansible.builtin.ssh") => Transport::Ssh,
        Some(_) => return left_out("it is not reached by SSH (`ansible_connection`)"),
    };
    if var(&["ansible_ssh_common_args"]).is_some_and(|args| args.contains("Proxy")) {
        return left_out("it is reached through another host (`ansible_ssh_common_args`)");
    }
    let Ok(port) = port.map_or(Ok(HostAddress::SSH_PORT), str::parse::<u16>) else {
        return left_out("its port is no number");
    };
    Ok(Found {
        name: host.to_owned(),
        host: address.unwrap_or(host).to_owned(),
        port,
        user: user.map(str::to_owned),
        key: key.map(|key| expand(key, &given.home, folder)),
        known_hosts: None,
        app: groups
            .iter()
            .rev()
            .find(|group| !matches!(**group, "all" | "ungrouped"))
            .map(|group| (*group).to_owned()),
        transport,
    })
}
