//! What is written from what other tools know; all of it must be read again.

use super::*;
use crate::fleet_file;

const SSH_CONFIG: &str = r#"
# people's hosts
Host web-1 web-2
    HostName %h.example.com
    User=deploy
    IdentityFile "~/.ssh/id_deploy"

Host db !db-old db?
    HostName 10.0.0.9
    Port 2222

Host behind
    ProxyJump bastion

Match user nobody
    Port 1

Host *
    User root
    Port 2200
    UserKnownHostsFile ~/.ssh/known_fleet
"#;

const INI: &str = r#"
lone.example.com ansible_user=root   # no group
[web]
web[01:03].example.com ansible_port=2222
[db]
db-[a:b] ansible_host=10.0.0.1 ansible_ssh_private_key_file='~/keys/db key'
odd:2022
tpl ansible_host="{{ ip }}"
win ansible_connection=winrm
[web:vars]
ansible_user = deploy
[site:children]
web
db
[site:vars]
ansible_user=site
[all:vars]
ansible_port=22
"#;

const YAML: &str = r#"
---
all:
  vars: { ansible_user: deploy }
  hosts:
    lone:
      ansible_host: 10.0.0.5
  children:
    web:
      hosts:
        web[1:2]:
          ansible_port: 2222
      vars:
        ansible_user: web
    local:
      hosts:
        here: { ansible_connection: local }
"#;

const JSON: &str = r#"{
  "_meta": { "hostvars": { "a": { "ansible_host": "10.0.0.1", "ansible_port": 2222 }, "b": {} } },
  "all": { "children": ["ungrouped", "web"] },
  "web": { "hosts": ["a", "b"] }
}"#;

fn given(home: &Path) -> Given {
    Given {
        supervisor: Supervisor::Systemd("web".parse().unwrap()),
        user: None,
        key: None,
        home: home.to_owned(),
    }
}

/// A home with the keys that the sources name, so that what is written can be read again.
fn home() -> tempfile::TempDir {
    use std::os::unix::fs::PermissionsExt as _;
    let home = tempfile::tempdir().unwrap();
    for name in [".ssh/id_deploy", ".ssh/id_ed25519", "keys/db key"] {
        let path = home.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, "a key").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    }
    home
}

fn imported(harvest: Harvest, home: &Path) -> (Vec<lamplighter_core::spec::ServiceSpec>, Vec<String>) {
    let (text, notes) = fleet_text::write(harvest, &given(home), "prod", "a source");
    let text = text.unwrap();
    let fleet = fleet_file::parse(&text, Path::new("fleet.toml"))
        .unwrap_or_else(|refused| panic!("{refused}\n{text}"));
    (fleet.envs[&"prod".parse().unwrap()].services.clone(), notes)
}

fn summary(specs: &[lamplighter_core::spec::ServiceSpec]) -> Vec<String> {
    let text = |spec: &lamplighter_core::spec::ServiceSpec| {
        let user = spec.user.as_ref().map_or("-", |user| user.as_str());
        let app = spec.app.as_ref().map_or("-", |app| app.as_str());
        format!("{} {user}@{}:{} {app}", spec.id, spec.address.host(), spec.address.port())
    };
    specs.iter().map(text).collect()
}

#[test]
fn an_ssh_config_is_read_as_openssh_reads_it() {
    let home = home();
    let harvest = ssh_config::read(SSH_CONFIG, Path::new("config"), home.path());
    let (specs, notes) = imported(harvest, home.path());
    assert_eq!(
        summary(&specs),
        [
            "web-1 deploy@web-1.example.com:2200 -",
            "web-2 deploy@web-2.example.com:2200 -",
            "db root@10.0.0.9:2222 -"
        ]
    );
    assert_eq!(specs[0].known_hosts, Some(home.path().join(".ssh/known_fleet").display().to_string()));
    let key = |spec: &lamplighter_core::spec::ServiceSpec| String::from(spec.key.clone().unwrap());
    assert!(key(&specs[0]).ends_with("/.ssh/id_deploy") && key(&specs[2]).ends_with("/.ssh/id_ed25519"));
    assert!(
        notes.iter().any(|note| note.contains("`behind` is left out") && note.contains("ProxyJump")),
        "{notes:?}"
    );
    assert!(notes.iter().any(|note| note.contains("`Match` is skipped")), "{notes:?}");
}

#[test]
fn included_files_are_read_in_their_place() {
    let home = home();
    let folder = home.path().join(".ssh/conf.d");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("a.conf"), "Host a\n  HostName 10.0.0.1\n").unwrap();
    std::fs::write(folder.join("b.conf"), "Host b\n  HostName 10.0.0.2\nInclude conf.d/b.conf\n").unwrap();
    let harvest =
        ssh_config::read("Include conf.d/*.conf\nHost *\n  User deploy\n", Path::new("config"), home.path());
    let (specs, notes) = imported(harvest, home.path());
    assert_eq!(summary(&specs), ["a deploy@10.0.0.1:22 -", "b deploy@10.0.0.2:22 -"]);
    assert!(notes.iter().any(|note| note.contains("too many files")), "{notes:?}");
}

#[test]
fn an_ini_inventory_is_read_with_its_groups_and_ranges() {
    let home = home();
    let harvest = ansible::read(INI, Path::new("hosts"), &given(home.path())).unwrap();
    let (specs, notes) = imported(harvest, home.path());
    assert_eq!(
        summary(&specs),
        [
            "lone.example.com root@lone.example.com:22 -",
            "web01.example.com deploy@web01.example.com:2222 web",
            "web02.example.com deploy@web02.example.com:2222 web",
            "web03.example.com deploy@web03.example.com:2222 web",
            "db-a site@10.0.0.1:22 db",
            "db-b site@10.0.0.1:22 db",
            "odd site@odd:2022 db",
        ]
    );
    assert!(String::from(specs[4].key.clone().unwrap()).ends_with("/keys/db key"));
    assert!(notes.iter().any(|note| note.contains("`tpl` is left out")), "{notes:?}");
    assert!(notes.iter().any(|note| note.contains("`win` is left out")), "{notes:?}");
}

#[test]
fn a_yaml_inventory_is_read() {
    let home = home();
    let harvest = ansible::read(YAML, Path::new("hosts.yml"), &given(home.path())).unwrap();
    let (specs, _) = imported(harvest, home.path());
    let mut seen = summary(&specs);
    seen.sort();
    assert_eq!(
        seen,
        [
            "here -@here:22 local",
            "lone deploy@10.0.0.5:22 -",
            "web1 web@web1:2222 web",
            "web2 web@web2:2222 web"
        ]
    );
}

#[test]
fn what_ansible_inventory_prints_is_read() {
    let home = home();
    let harvest =
        ansible::read(JSON, Path::new("-"), &Given { user: Some("deploy".to_owned()), ..given(home.path()) })
            .unwrap();
    let given = Given { user: Some("deploy".to_owned()), ..given(home.path()) };
    let (text, _) = fleet_text::write(harvest, &given, "prod", "-");
    let fleet = fleet_file::parse(&text.unwrap(), Path::new("fleet.toml")).unwrap();
    let specs = &fleet.envs[&"prod".parse().unwrap()].services;
    assert_eq!(summary(specs), ["a deploy@10.0.0.1:2222 web", "b deploy@b:22 web"]);
}

#[test]
fn hostile_names_cannot_break_out_of_the_file() {
    let home = home();
    let text = "Host a\"]\\nx=1\n  HostName 10.0.0.1\nHost ok\n  HostName \"10.0.0.2\\\"\n  User a;b\nHost \u{1b}[31m\n HostName x\n";
    let harvest = ssh_config::read(text, Path::new("config"), home.path());
    let (text, notes) = fleet_text::write(harvest, &given(home.path()), "prod", "x\"\n[evil]");
    let fleet = fleet_file::parse(&text.unwrap(), Path::new("fleet.toml")).unwrap();
    assert!(fleet.envs[&"prod".parse().unwrap()].services.iter().all(|spec| spec.id.as_str() != "ok"));
    assert!(notes.iter().all(|note| !note.chars().any(char::is_control)), "{notes:?}");
}

#[test]
fn an_inventory_that_cannot_be_read_says_how_to_have_ansible_read_it() {
    let home = home();
    for (text, file) in
        [("[a:b:c]\n", "hosts"), ("a: [", "hosts.yml"), ("{", "-"), ("[g:vars]\nx\n", "hosts")]
    {
        let failure = ansible::read(text, Path::new(file), &given(home.path())).unwrap_err();
        assert_eq!(failure.exit, Exit::Usage);
        assert!(failure.hint.unwrap().contains("ansible-inventory"), "{text}");
    }
}
