//! What a configuration means, and what is said of one that means nothing.

use std::os::unix::fs::PermissionsExt as _;

use super::*;

fn refused(text: &str) -> String {
    parse(text, Path::new("/etc/lamplighter.toml")).expect_err("this file makes no sense").to_string()
}

#[test]
fn without_a_file_there_is_one_env_with_every_default() {
    let config = Config::without_file();
    assert_eq!(config.listen, DEFAULT_LISTEN);
    let [Ok(env)] = config.envs.as_slice() else { panic!("{:?}", config.envs) };
    assert_eq!(env.name.as_str(), DEFAULT_ENV);
}

#[test]
fn a_whole_configuration_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let password = folder.path().join("smtp-password");
    std::fs::write(&password, "hunter2\n").unwrap();
    std::fs::set_permissions(&password, std::fs::Permissions::from_mode(0o600)).unwrap();
    let fleet = "[env.prod]\nevery = '30s'\n[[env.prod.service]]\nid = 'a'\naddress = 'a'\ncheck = { tcp = 1 }\nrestart = 'never'\n";
    std::fs::write(folder.path().join("fleet.toml"), fleet).unwrap();
    let text = r#"
        listen = "0.0.0.0:80"
        data = "store"
        public_url = "https://lamp.example.com/"
        allowed_networks = ["10.0.0.0/8"]
        [mail]
        host = "smtp.example.com"
        user = "lamplighter"
        password_file = "smtp-password"
        from = "lamplighter@example.com"
        [env.dev]
        mode = "observe"
        [env.prod]
        fleet = "fleet.toml"
    "#;
    let config =
        parse(text, &folder.path().join("lamplighter.toml")).unwrap_or_else(|refused| panic!("{refused}"));
    assert_eq!(config.listen.port(), 80);
    assert_eq!(config.data, folder.path().join("store"));
    assert_eq!(config.public_url.as_deref(), Some("https://lamp.example.com"));
    assert_eq!(config.allowed_networks.len(), 1);
    let post = format!("{:?}", config.post.as_ref().unwrap());
    assert!(post.contains("smtp.example.com") && post.contains("587") && !post.contains("hunter2"), "{post}");
    let [Ok(dev), Ok(prod)] = config.envs.as_slice() else { panic!("{:?}", config.envs) };
    assert!(dev.fleet.is_none() && dev.settings.is_some());
    assert_eq!(prod.fleet.as_ref().unwrap().len(), 1);
    assert_eq!(prod.settings.as_ref().unwrap().every.as_secs(), 30);
}

#[test]
fn a_broken_env_is_told_and_the_others_go_on() {
    let text = "[env.dev]\nevry = '5s'\n[env.prod]\nevery = '5s'\n[env.staging]\nfleet = 'none.toml'\n";
    let config = parse(text, Path::new("/etc/lamplighter.toml")).unwrap();
    let [Err(dev), Ok(prod), Err(staging)] = config.envs.as_slice() else { panic!("{:?}", config.envs) };
    assert_eq!(
        dev.why.to_string(),
        "error: /etc/lamplighter.toml:2:1: env `dev`: unknown key `evry`\nhint: did you mean `every`?"
    );
    assert_eq!(prod.name.as_str(), "prod");
    assert!(staging.why.to_string().starts_with("error: /etc/none.toml: no such file"), "{}", staging.why);
}

const REFUSED: &[(&str, &str)] = &[
    ("", "error: /etc/lamplighter.toml: no environment is configured
hint: write at least `[env.prod]`, with `fleet = \"fleet.toml\"`"),
    ("lisen = 'x'\n[env.prod]", "error: /etc/lamplighter.toml:1:1: unknown key `lisen`
hint: did you mean `listen`?"),
    ("listen = 'localhost'\nallowed_networks = ['10.0.0.0/99']\npublic_url = 'lamp'\n[env.prod]",
     "error: /etc/lamplighter.toml:1:10: `listen`: `localhost` is not an address to listen on
hint: write `127.0.0.1:8080` or `[::]:8080`
error: /etc/lamplighter.toml:2:20: `allowed_networks`: `10.0.0.0/99` is not a network
hint: write `10.0.0.0/8`, `fd12::/16` or one address
error: /etc/lamplighter.toml:3:14: `public_url`: this is not a web address
hint: write `https://lamp.example.com`, without a login or a query"),
    ("[mail]\nhost = 'smtp.example.com'\npassword = 'hunter2'\nfrom = 'a@example.com'\n[env.prod]",
     "error: /etc/lamplighter.toml:3:1: mail: a password is never written here
hint: put it in a file that only you can read, and name that: `password_file = \"smtp-password\"`"),
    ("[mail]\nfrom = 'a@example.com'\n[env.prod]", "error: /etc/lamplighter.toml:1:1: mail: `host`: missing
hint: name the mail server: `host = \"smtp.example.com\"`; or a folder: `folder = \"letters\"`"),
    ("[mail]\nhost = 'smtp.example.com'\nfolder = 'letters'\nfrom = 'a@example.com'\n[env.prod]",
     "error: /etc/lamplighter.toml:3:10: mail: `folder`: letters go to a mail server or to a folder, not both
hint: keep `host` to send letters, `folder` to only write them down"),
    ("[mail]\nhost = 'smtp.example.com'\nsecurity = 'ssl'\nport = 99999\n[env.prod]",
     "error: /etc/lamplighter.toml:1:1: mail: key `from` is missing
error: /etc/lamplighter.toml:3:12: mail: `security`: `ssl` is not known here
hint: the choices are `tls`, `starttls`, `plain`, `plain-anywhere`
error: /etc/lamplighter.toml:4:8: mail: `port`: expected a whole number from 0 to 65535, found a value that does not fit"),
    ("[mail]\nhost = 'smtp.example.com'\nsecurity = 'plain'\nfrom = 'a@example.com'\n[env.prod]",
     "error: /etc/lamplighter.toml:3:12: mail: `security`: `plain` is only for a mail server on this machine
hint: choose `tls` or `starttls`"),
    ("[mail]\nhost = 'smtp.example.com'\nuser = 'a'\npassword_env = 'NO_SUCH_VARIABLE_HERE'\nfrom = 'a@example.com'\n[env.prod]",
     "error: /etc/lamplighter.toml:4:16: mail: `password_env`: no such variable in the environment
hint: set the variable whose name stands here, or use `password_file`"),
];

#[test]
fn what_is_said_of_a_bad_configuration() {
    let mut wrong = String::new();
    for (text, expected) in REFUSED {
        let said = refused(text);
        if said != *expected {
            wrong.push_str(&format!(
                "\n--- of this file\n{text}\n--- this was said\n{said}\n--- and not\n{expected}\n"
            ));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn a_password_file_that_others_can_read_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let password = folder.path().join("smtp-password");
    std::fs::write(&password, "hunter2").unwrap();
    std::fs::set_permissions(&password, std::fs::Permissions::from_mode(0o644)).unwrap();
    let text = "[mail]\nhost = 'x'\nuser = 'a'\npassword_file = 'smtp-password'\nfrom = 'a@example.com'\n[env.prod]\n";
    let said = parse(text, &folder.path().join("lamplighter.toml")).unwrap_err().to_string();
    assert!(
        said.contains("`password_file`: `")
            && said.contains("hint: run `chmod 600 ")
            && !said.contains("hunter2"),
        "{said}"
    );
}

#[test]
fn services_belong_to_a_fleet_file() {
    let config = parse("[[env.prod.service]]\nid = 'a'", Path::new("/etc/lamplighter.toml")).unwrap();
    let [Err(broken)] = config.envs.as_slice() else { panic!("{:?}", config.envs) };
    assert!(broken.why.to_string().contains("`service` belongs to a fleet file"), "{}", broken.why);
}
