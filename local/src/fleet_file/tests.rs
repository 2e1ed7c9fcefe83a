//! What a fleet file means, and what is said of one that means nothing.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use lamplighter_core::spec::{Check, KeyRef, Restart};

use super::*;

const GOOD: &str = r#"
[env.prod]
every = "30s"

[env.prod.defaults]
app = "rachel8"
transport = "local"
check = { systemd = "rachel8" }
restart = { systemd = "rachel8" }
policy = { settle = "2s", breaker_threshold = 4 }

[[env.prod.service]]
id = "vps-001"
address = "203.0.113.7"

[[env.prod.service]]
id = "vps-002"
address = "203.0.113.8:2222"
check = { http = "http://203.0.113.8/health" }
restart = "never"
policy = { settle = "9s" }

[[env.dev.service]]
id = "vps-001"
address = "db.example.com"
check = { tcp = 6379 }
restart = "never"
"#;

fn parsed(text: &str) -> FleetFile {
    parse(text, Path::new("fleet.toml")).unwrap_or_else(|refused| panic!("{refused}"))
}

fn refused(text: &str) -> String {
    parse(text, Path::new("fleet.toml")).expect_err("this file makes no sense").to_string()
}

#[test]
fn what_a_service_gives_wins_over_the_defaults_and_policies_are_merged() {
    let fleet = parsed(GOOD);
    let prod = &fleet.envs[&"prod".parse().unwrap()];
    assert_eq!(prod.settings.as_ref().unwrap().every, Duration::from_secs(30));
    let [first, second] = prod.services.as_slice() else { panic!("{:?}", prod.services) };
    assert_eq!(first.check, Check::Systemd("rachel8".parse().unwrap()));
    assert_eq!(first.policy.settle, Duration::from_secs(2));
    assert!(matches!(&second.check, Check::Http(http) if http.url == "http://203.0.113.8/health"));
    assert_eq!(second.restart, Restart::Never);
    assert_eq!((second.policy.settle, second.policy.breaker_threshold), (Duration::from_secs(9), 4));
    assert_eq!(second.app, first.app);
    assert_eq!(second.address.port(), 2222);
}

#[test]
fn each_env_is_its_own() {
    let fleet = parsed(GOOD);
    let dev = &fleet.envs[&"dev".parse().unwrap()];
    assert_eq!(dev.settings, None);
    assert_eq!(dev.services.len(), 1);
    assert_eq!(dev.services[0].app, None);
    assert!(dev.services[0].policy.is_default());
}

#[test]
fn paths_are_relative_to_the_file_and_become_absolute() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("keys/id");
    std::fs::create_dir(folder.path().join("keys")).unwrap();
    std::fs::write(&key, "a key").unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    let text = ssh_service("key = \"file:keys/id\"\nknown_hosts = \"./known_hosts\"");
    let fleet = parse(&text, &folder.path().join("fleet.toml")).unwrap();
    let spec = &fleet.envs[&"prod".parse().unwrap()].services[0];
    assert_eq!(spec.key, Some(KeyRef::File(key.to_string_lossy().into_owned())));
    assert_eq!(spec.known_hosts, Some(folder.path().join("known_hosts").to_string_lossy().into_owned()));
}

#[test]
fn a_key_file_that_others_can_read_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("id");
    std::fs::write(&key, "a key").unwrap();
    for mode in [0o644, 0o640, 0o604, 0o660] {
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(mode)).unwrap();
        let refused =
            parse(&ssh_service("key = \"file:id\""), &folder.path().join("fleet.toml")).unwrap_err();
        let shown = key.display();
        assert_eq!(
            refused.problems[0].what,
            format!("`key`: `{shown}` can be read by others (mode {mode:04o})")
        );
        assert_eq!(refused.problems[0].hint, Some(format!("run `chmod 600 {shown}`")));
    }
}

#[test]
fn a_hook_s_secrets_are_files_of_nobody_else() {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("hook-secret");
    std::fs::write(&secret, "a secret").unwrap();
    let read = |secrets: &str| {
        let text = format!(
            "[env.prod.hooks.deploy]\nkind = 'github'\napp = 'web'\nrepository = 'acme/web'\nsecret = {secrets}\n"
        );
        parse(&text, &folder.path().join("fleet.toml")).map_err(|refused| refused.to_string())
    };
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o640)).unwrap();
    let said = read("'file:hook-secret'").unwrap_err();
    assert!(said.contains(":5:10: hook `deploy` of env `prod`: `secret`: "), "{said}");
    assert!(said.contains("(mode 0640)") && said.contains("chmod 600"), "{said}");
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600)).unwrap();
    let fleet = read("['file:hook-secret', 'ssm:/hook']").unwrap();
    let settings = fleet.envs[&"prod".parse().unwrap()].settings.clone().unwrap();
    let absolute = KeyRef::File(secret.to_string_lossy().into_owned());
    assert_eq!(
        settings.hooks[&"deploy".parse().unwrap()].secret,
        [absolute, KeyRef::Ssm("/hook".to_owned())]
    );
    let said = read("'file:other'").unwrap_err();
    assert!(said.contains(":5:10:") && said.contains("no such file"), "{said}");
    let said = read("'hunter2'").unwrap_err();
    assert!(said.contains(":5:10:") && !said.contains("hunter2"), "{said}");
}

fn ssh_service(more: &str) -> String {
    format!(
        "[[env.prod.service]]\nid = 'a'\naddress = '10.0.0.1'\nuser = 'deploy'\nhost_key = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGTg'\n\
         check = {{ systemd = 'web' }}\nrestart = {{ systemd = 'web' }}\n{more}\n"
    )
}

/// A file and all that is said of it. A line `[[env.prod.service]]` is written `[[service]]` to keep the table short.
const REFUSED: &[(&str, &str)] = &[
    ("", "error: fleet.toml:1:1: no environment is configured
hint: write `[env.prod.defaults]` for what the services share and a `[[env.prod.service]]` for each"),
    ("x = ", "error: fleet.toml:1:5: not TOML: string values must be quoted, expected literal string"),
    ("listen = 'x'", "error: fleet.toml:1:1: unknown key `listen`
hint: this belongs to the configuration of `lamplighter serve --config`, not to a fleet file"),
    ("[defaults]\nx = 1", "error: fleet.toml:1:2: `defaults` stands outside of an environment
hint: every service belongs to an environment: write `[[env.prod.service]]`, `[env.prod.defaults]`"),
    ("[envs.prod]", "error: fleet.toml:1:2: unknown key `envs`
hint: did you mean `env`?"),
    ("env = 5", "error: fleet.toml:1:7: `env` is not a table
hint: write `[env.prod.defaults]` and `[[env.prod.service]]`"),
    ("env.prod = 5", "error: fleet.toml:1:12: env `prod`: is not a table
hint: write `[env.prod.defaults]` and `[[env.prod.service]]`"),
    ("[env.'a b']", "error: fleet.toml:1:6: `a b` is not an environment name
hint: use 1 to 64 letters, digits, `.`, `_` or `-`, beginning with a letter or digit"),
    ("[[env.prod.services]]\nid = 'a'", "error: fleet.toml:1:12: env `prod`: unknown key `services`
hint: did you mean `service`?"),
    ("[env.prod.service]\nid = 'a'", "error: fleet.toml:1:1: env `prod`: `service` is not a list of tables
hint: write each service under `[[env.prod.service]]`, with two brackets"),
    ("[env.prod]\nevery = '1s'", "error: fleet.toml:2:9: env `prod`: `every`: `1s` is out of range
hint: choose from `5s` to `1h`"),
    ("[env.prod]\nmode = 'acct'\nadmins = ['nobody']", "error: fleet.toml:2:8: env `prod`: `mode`: `acct` is not known here
hint: did you mean `act`?
error: fleet.toml:3:10: env `prod`: `admins`: `nobody` is not a mail address
hint: write it as `name@example.com`, without a display name"),
    ("[env.prod.defaults]\nid = 'a'", "error: fleet.toml:2:6: defaults of `prod`: `id` cannot be shared
hint: give each `[[env.prod.service]]` its own"),
    ("[env.prod.defaults]\npolicy = 'x'", "error: fleet.toml:2:10: defaults of `prod`: `policy` is not a table
hint: write `policy = { settle = \"10s\" }`"),
    ("[env.prod.defaults]\npolicy = { breaker_treshold = 3, settle = '5 weeks' }", "error: fleet.toml:2:12: defaults of `prod`: unknown key `breaker_treshold`
hint: did you mean `breaker_threshold`?
error: fleet.toml:2:43: defaults of `prod`: `settle`: `5 weeks` is not a duration
hint: write a number and a unit, such as `500ms`, `5s`, `10min`, `1h` or `2d`"),
    // A bad default is told once, not once for each of its services.
    ("[env.prod.defaults]\ncheck = { sistemd = 'x' }\nrestart = 'never'\n[[service]]\nid = 'a'\naddress = 'a'\n[[service]]\nid = 'b'\naddress = 'b'",
     "error: fleet.toml:2:11: defaults of `prod`: `check`: `sistemd` is not known here
hint: did you mean `systemd`?"),
    ("[[service]]\nadress = '10.0.0.1'\nid = 'a'\ncheck = { tcp = 1 }\nrestart = 'never'",
     "error: fleet.toml:1:1: service `a` of `prod`: key `address` is missing
error: fleet.toml:2:1: service `a` of `prod`: unknown key `adress`
hint: did you mean `address`?"),
    ("[[service]]\nid = 'a'\naddress = 'host:99999'\ncheck = { tcp = 99999 }\nrestart = 'sometimes'",
     "error: fleet.toml:3:11: service `a` of `prod`: `address`: `host:99999` is not a host address
hint: write `203.0.113.7`, `vps.example.com:2222` or `[2001:db8::7]:22`
error: fleet.toml:4:17: service `a` of `prod`: `check`: expected a whole number from 0 to 65535, found a value that does not fit
error: fleet.toml:5:11: service `a` of `prod`: `restart`: `sometimes` is not known here
hint: the choices are `systemd`, `docker`, `command`, `never`"),
    ("[[service]]\nid = 'a'\naddress = 5\ncheck = 'web'\nrestart = { systemd = '-H x' }",
     "error: fleet.toml:3:11: service `a` of `prod`: `address`: expected a string, found a whole number
error: fleet.toml:4:9: service `a` of `prod`: `check`: `web` is not known here
hint: the choices are `systemd`, `http`, `tcp`, `command`, `docker`
error: fleet.toml:5:11: service `a` of `prod`: `restart`: `-H x` is not a systemd unit name
hint: use letters, digits and `:-_.@\\`, at most 200, beginning with a letter or digit"),
    ("[[service]]\nid = 'a'\naddress = 'a'\ncheck = { tcp = 1 }\nrestart = 'never'\n[[service]]\nid = 'a'\naddress = 'b'\ncheck = { tcp = 1 }\nrestart = 'never'",
     "error: fleet.toml:7:6: service `a` of `prod`: duplicate id: line 2 has it already
hint: give each service of an environment its own id"),
    ("[[service]]\naddress = 'a'\ncheck = { tcp = 1 }\nrestart = 'never'", "error: fleet.toml:1:1: service no. 1 of `prod`: key `id` is missing"),
    ("[[service]]\nid = 'a'\naddress = 'a'\ncheck = { systemd = 'web' }\nrestart = 'never'",
     "error: fleet.toml:1:1: service `a` of `prod`: `user`: missing
hint: an SSH host needs a login, such as `user = \"deploy\"`"),
    ("[[service]]\nid = 'a'\naddress = 'a'\nkey = 'file:nowhere/id'\ncheck = { tcp = 1 }\nrestart = 'never'",
     "error: fleet.toml:4:7: service `a` of `prod`: `key`: no such file: `HERE/nowhere/id`
hint: paths are relative to the file that names them"),
    ("[[service]]\nid = 'a'\naddress = 'a'\ncheck = { tcp = 1 }\nrestart = 'never'\npolicy = { backoff_cap = '1s' }",
     "error: fleet.toml:6:26: service `a` of `prod`: `backoff_cap`: must not be shorter than `backoff_base`"),
    ("[[service]]\nid = 'a'\naddress = 'a'\ncheck = { http = { url = 'ftp://x' } }\nrestart = 'never'\nupdate = { dri = '/x' }",
     "error: fleet.toml:4:9: service `a` of `prod`: `check`: an `http` check needs a URL that begins with `http://` or `https://` and names a host
error: fleet.toml:6:12: service `a` of `prod`: `update`: unknown key `dri`
hint: did you mean `dir`?"),
    ("[[service]]\nid = 'a'\naddress = 'a'\ntransport = 'local'\ncheck = { tcp = 1 }\nrestart = { systemd = 'web' }\nupdate = 'main'",
     "error: fleet.toml:7:10: service `a` of `prod`: `update`: expected a table, found a string"),
    ("[[service]]\nid = 'a'\naddress = 'a'\ntransport = 'local'\ncheck = { tcp = 1 }\nrestart = { systemd = 'web' }\nupdate = { branch = 'main' }",
     "error: fleet.toml:7:10: service `a` of `prod`: `update`: `dir` is missing
hint: write the absolute path of the git checkout on the host"),
    ("[[service]]\nid = 'a'\naddress = 'a'\ntransport = 'local'\ncheck = { tcp = 1 }\nrestart = { systemd = 'web' }\nupdate = { dir = 'web' }",
     "error: fleet.toml:7:18: service `a` of `prod`: `update.dir`: not a path
hint: write an absolute one, such as `/home/deploy/web`"),
    ("[[service]]\nid = 'a'\naddress = 'a'\ntransport = 'local'\ncheck = { tcp = 1 }\nrestart = { systemd = 'web' }\nupdate = { dir = '/x', branch = '--upload-pack=id' }",
     "error: fleet.toml:7:33: service `a` of `prod`: `update.branch`: not a branch
hint: use letters, digits, `.`, `_`, `-` and `/`, beginning and ending with a letter or digit"),
    ("[[service]]\nid = 'a'\naddress = 'a'\ntransport = 'local'\ncheck = { tcp = 1 }\nrestart = { systemd = 'web' }\nupdate = { dir = '/x', brunch = 'main' }",
     "error: fleet.toml:7:24: service `a` of `prod`: `update`: unknown key `brunch`
hint: did you mean `branch`?"),
    ("[[service]]\nid = 'a'\naddress = 'a'\ntransport = 'local'\ncheck = { tcp = 1 }\nrestart = { systemd = 'web' }\nupdate = { dir = '/x', install = 5 }",
     "error: fleet.toml:7:34: service `a` of `prod`: `update`: expected a string, found a whole number"),
    ("[[service]]\nid = 'a'\naddress = 'a'\ntransport = 'local'\ncheck = { tcp = 1 }\nrestart = { systemd = 'web' }\nupdate = { docker = 'web:latest', dir = '/x', service = 'web' }",
     "error: fleet.toml:7:21: service `a` of `prod`: `update`: `web:latest` is not an image name
hint: write it as `registry/owner/name`, in lower case, without a tag or digest"),
    ("[[service]]\nid = 'a'\naddress = 'a'\ntransport = 'local'\ncheck = { tcp = 1 }\nrestart = { systemd = 'web' }\nupdate = { docker = 'web', service = 'web' }",
     "error: fleet.toml:7:10: service `a` of `prod`: `update`: `docker` lacks `dir` or `service`
hint: write the absolute path of the compose project, and the service in it"),
    ("[[service]]\nid = 'a'\naddress = 'a'\ntransport = 'local'\ncheck = { tcp = 1 }\nrestart = { systemd = 'web' }\nupdate = { docker = 'web', dir = '/x', service = 'web', install = 'make' }",
     "error: fleet.toml:7:10: service `a` of `prod`: `update`: a container is updated by its image's digest
hint: leave out `branch`, `install`, `version` and `steps`"),
    ("[[service]]\nid = 'a'\naddress = 'a'\ntransport = 'local'\ncheck = { tcp = 1 }\nrestart = { systemd = 'web' }\nupdate = { dir = '/x', service = 'web' }",
     "error: fleet.toml:7:10: service `a` of `prod`: `update`: `service` belongs to `docker`
hint: add `docker = \"IMAGE\"`, or leave it out"),
    ("[[service]]\nid = 'a'\naddress = 'a'\ntransport = 'local'\ncheck = { tcp = 1 }\nrestart = { systemd = 'web' }\nupdate = { steps = [{ run = 'a', back = 'b' }] }",
     "error: fleet.toml:7:10: service `a` of `prod`: `update`: `steps` lack `version`
hint: add a command that prints the version that is there, or nothing could be verified"),
    ("[[service]]\nid = 'a'\naddress = 'a'\ntransport = 'local'\ncheck = { tcp = 1 }\nrestart = { systemd = 'web' }\nupdate = { version = 'v', steps = [{ run = 'a' }] }",
     "error: fleet.toml:7:36: service `a` of `prod`: `update`: `back` is missing"),
    ("[[service]]\nid = 'a'\naddress = 'a'\ntransport = 'local'\ncheck = { tcp = 1 }\nrestart = { systemd = 'web' }\nupdate = { version = 'v', steps = [{ run = 'a', back = 'b', undo = 'c' }] }",
     "error: fleet.toml:7:61: service `a` of `prod`: `update`: unknown key `undo`
hint: the keys are `run`, `back`"),
    ("[[service]]\nid = 'a'\naddress = 'a'\ncheck = { tcp = 1 }\nrestart = 'never'\ntransport = 'local'\nupdate = { dir = '/x' }",
     "error: fleet.toml:7:10: service `a` of `prod`: `update`: a service with `restart = \"never\"` cannot be updated, since its process stays the old one
hint: say how it is restarted, or leave `update` out"),
    ("[env.prod.defaults]\ntransport = 'local'\ncheck = { tcp = 1 }\nrestart = { systemd = 'web' }\nupdate = { dir = '/x', branch = 'a..b' }\n[[service]]\nid = 'a'\naddress = 'a'",
     "error: fleet.toml:5:33: service `a` of `prod`: `update.branch`: not a branch
hint: use letters, digits, `.`, `_`, `-` and `/`, beginning and ending with a letter or digit"),
    ("[[service]]\nid = 'a'\naddress = 'a'\ntransport = 'local'\ncheck = { tcp = 1 }\nrestart = { systemd = 'web' }\n[env.prod.service.update]\nbranch = 'main'\ndir = 'web'",
     "error: fleet.toml:9:7: service `a` of `prod`: `update.dir`: not a path
hint: write an absolute one, such as `/home/deploy/web`"),
    ("env.prod.hooks = 'github'", "error: fleet.toml:1:18: env `prod`: `hooks` is not a table
hint: write each under a name of its own, such as `[env.prod.hooks.deploy]`"),
    ("[env.prod.hooks]\ndeploy = 5", "error: fleet.toml:2:10: hook `deploy` of env `prod`: is not a table
hint: write its keys under `[env.prod.hooks.deploy]`"),
    ("[env.prod.hooks.'a b']", "error: fleet.toml:1:17: env `prod`: `a b` is not a hook's name
hint: use 1 to 64 letters, digits, `.`, `_` or `-`, beginning with a letter or digit"),
    ("[env.prod]\nevery = '1s'\n[env.prod.hooks.deploy]\nkind = 'gitea'\nsecrets = 'x'\nrepository = 'acme/web'",
     "error: fleet.toml:3:1: hook `deploy` of env `prod`: key `app` is missing
error: fleet.toml:3:1: hook `deploy` of env `prod`: key `secret` is missing
error: fleet.toml:4:8: hook `deploy` of env `prod`: `kind`: `gitea` is not known here
hint: the choices are `github`, `standard`
error: fleet.toml:5:1: hook `deploy` of env `prod`: unknown key `secrets`
hint: did you mean `secret`?"),
    ("[env.prod.hooks.deploy]\nkind = 'github'\nsecret = 'ssm:/x'\napp = 'web'\nrepository = 'web'",
     "error: fleet.toml:5:14: hook `deploy` of env `prod`: `repository`: write it as `OWNER/NAME`"),
    ("[[service]]\nid = 'a'\nid = 'b'", "error: fleet.toml:3:1: not TOML: duplicate key"),
];

#[test]
fn what_is_said_of_a_bad_file() {
    let here = std::env::current_dir().unwrap().display().to_string();
    let mut wrong = String::new();
    for (text, expected) in REFUSED {
        let text = text.replace("[[service]]", "[[env.prod.service]]");
        let said = refused(&text).replace(&here, "HERE");
        if said != *expected {
            wrong.push_str(&format!(
                "\n--- of this file\n{text}\n--- this was said\n{said}\n--- and not\n{expected}\n"
            ));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn a_key_pasted_by_mistake_is_never_repeated() {
    let secret = "-----BEGIN OPENSSH PRIVATE KEY-----b3BlbnNzaC1rZXk";
    for line in [
        format!("key = '{secret}'"),
        format!("key = '''{secret}\n'''"),
        format!("key = ['{secret}']"),
        format!("host_key = '{secret}'"),
        format!("password = '{secret}'"),
        format!("key = '{secret}"),
    ] {
        let said = refused(&ssh_service(&line));
        assert!(!said.contains("b3BlbnNz"), "{said}");
    }
}

#[test]
fn twenty_problems_are_told_and_the_rest_counted() {
    let text: String = (0..50).map(|n| format!("[[env.prod.service]]\nid = 's{n}'\n")).collect();
    let refused = parse(&text, Path::new("fleet.toml")).unwrap_err();
    assert_eq!((refused.problems.len(), refused.more), (MAX_PROBLEMS, 130));
    assert!(refused.to_string().ends_with("\n… and 130 more problems"));
}

#[test]
fn hostile_files_are_refused_in_lines_that_can_be_shown() {
    for text in [
        "\u{1b}[31m = 1",
        "'a\u{202e}b' = 1",
        "[env.prod]\n\"\\u001b[2J\" = 1",
        "\u{0}",
        "[env.\"\\u0007\"]\nx = 1",
    ] {
        let said = refused(text);
        assert!(!said.chars().any(|c| c.is_control() && c != '\n'), "{said:?}");
    }
    let deep = format!("x = {}", "[".repeat(100_000));
    assert!(refused(&deep).len() < 20_000);
}

#[test]
fn a_file_that_is_missing_or_no_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    assert!(read(folder.path()).unwrap_err().to_string().contains("this is a folder"));
    assert!(read(&folder.path().join("none.toml")).unwrap_err().to_string().contains("no such file"));
}

#[test]
fn ten_thousand_services_are_read() {
    let mut text = "[env.prod.defaults]\ntransport = 'local'\ncheck = { systemd = 'web' }\nrestart = { systemd = 'web' }\n".to_owned();
    for n in 0..10_000 {
        text.push_str(&format!(
            "[[env.prod.service]]\nid = 's{n}'\naddress = '10.{}.{}.1'\nowner = 'a{n}@example.com'\n",
            n / 250,
            n % 250
        ));
    }
    assert_eq!(parsed(&text).envs[&"prod".parse().unwrap()].services.len(), 10_000);
}

const REFERENCE: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/CONFIGURATION.md"));

#[test]
fn the_reference_tells_every_key() {
    use lamplighter_core::hook::Hook;
    use lamplighter_core::policy::Policy;
    use lamplighter_core::update::{OwnStep, Update};

    use crate::source::keys_of;

    let mut missing: Vec<&str> = Vec::new();
    for (of, keys) in [
        ("env", keys_of::<Settings>()),
        ("hook", keys_of::<Hook>()),
        ("service", keys_of::<ServiceSpec>()),
        ("update", keys_of::<Update>()),
        ("steps", keys_of::<OwnStep>()),
        ("policy", keys_of::<Policy>()),
    ] {
        assert!(!keys.is_empty(), "no key of {of} is known");
        missing.extend(keys.iter().copied().filter(|key| !REFERENCE.contains(&format!("`{key}`"))));
    }
    assert!(missing.is_empty(), "docs/CONFIGURATION.md says nothing of {missing:?}");
}

#[test]
fn the_reference_s_example_is_read_as_it_stands() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("keys")).unwrap();
    for name in ["keys/prod_ed25519", "hook-secret"] {
        std::fs::write(folder.path().join(name), "a secret").unwrap();
        std::fs::set_permissions(folder.path().join(name), std::fs::Permissions::from_mode(0o600)).unwrap();
    }
    let example = REFERENCE.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let example = example.replace("AAAA…", "AAAAC3NzaC1lZDI1NTE5AAAAIGTg");
    let fleet =
        parse(&example, &folder.path().join("fleet.toml")).unwrap_or_else(|refused| panic!("{refused}"));
    let prod = &fleet.envs[&"prod".parse().unwrap()];
    assert_eq!((prod.services.len(), prod.settings.as_ref().unwrap().hooks.len()), (2, 1));

    let steps =
        REFERENCE.split("```toml\nupdate = ").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let service = "[[env.prod.service]]\nid = 'a'\naddress = 'a'\ntransport = 'local'\ncheck = { tcp = 1 }\nrestart = { systemd = 'web' }\n";
    let fleet = parsed(&format!("{service}update = {steps}"));
    assert!(fleet.envs[&"prod".parse().unwrap()].services[0].update.is_some());
}
