//! What needs no server.

use std::net::TcpListener;

use super::{lamplighter, status, stderr, stdout};

#[test]
fn a_sweep_of_what_is_up_ends_with_0_and_of_what_is_down_with_5() {
    let home = tempfile::tempdir().unwrap();
    let up = TcpListener::bind("127.0.0.1:0").unwrap();
    let down = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let service = |id: &str, port: u16| {
        format!(
            "[[env.prod.service]]\nid = '{id}'\naddress = '127.0.0.1'\ncheck = {{ tcp = {port} }}\nrestart = 'never'\n"
        )
    };
    let sweep = ["sweep", "--once", "--fleet", "fleet.toml", "--allow-network", "127.0.0.0/8"];
    let good = service("good", up.local_addr().unwrap().port());
    std::fs::write(home.path().join("fleet.toml"), &good).unwrap();
    let output = lamplighter(home.path(), &sweep);
    assert_eq!(status(&output), 0, "{}", stderr(&output));
    assert!(stdout(&output).ends_with("s: 1 checked, 1 healthy\n"), "{}", stdout(&output));
    assert_eq!(stderr(&output), "");

    std::fs::write(home.path().join("fleet.toml"), format!("{good}{}", service("bad", down))).unwrap();
    let output = lamplighter(home.path(), &sweep);
    assert_eq!(status(&output), 5);
    let text = stdout(&output);
    assert!(text.starts_with("bad  down  127.0.0.1  connection refused"), "{text}");
    assert!(text.ends_with("s: 2 checked, 1 healthy, 1 unhealthy\n"), "{text}");

    let output = lamplighter(home.path(), &[&sweep[..], &["--json"]].concat());
    assert_eq!(status(&output), 5);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&report["checked"], &report["healthy"], &report["unhealthy"]),
        (&2.into(), &1.into(), &1.into())
    );
    assert_eq!(report["services"][0]["id"], "bad");
    assert_eq!(report["services"][0]["sight"], "down");
}

#[test]
fn services_that_are_not_ready_are_skipped() {
    let home = tempfile::tempdir().unwrap();
    let fleet = "[[env.prod.service]]\nid = 'a'\naddress = '127.0.0.1'\ncheck = { tcp = 1 }\nrestart = 'never'\nlifecycle = 'suspended'\n";
    std::fs::write(home.path().join("fleet.toml"), fleet).unwrap();
    let output = lamplighter(home.path(), &["sweep", "--once", "--fleet", "fleet.toml"]);
    assert_eq!(status(&output), 0);
    assert!(stdout(&output).ends_with("0 checked, 0 healthy, 1 skipped\n"), "{}", stdout(&output));
}

#[test]
fn a_bad_fleet_file_ends_with_2_and_says_everything_on_stderr() {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("fleet.toml"), "[[env.prod.service]]\nid = 'a'\nadress = 'x'\n").unwrap();
    for arguments in [
        &["sweep", "--once", "--fleet", "fleet.toml"][..],
        &["apply", "fleet.toml", "--url", "http://127.0.0.1:9"],
    ] {
        let output = lamplighter(home.path(), arguments);
        assert_eq!((status(&output), stdout(&output).as_str()), (2, ""));
        let said = stderr(&output);
        assert!(said.contains("error: fleet.toml:3:1: service `a` of `prod`: unknown key `adress`\nhint: did you mean `address`?"), "{said}");
        assert!(said.ends_with("error: 4 problems in `fleet.toml`; nothing of it was used\n"), "{said}");
    }
}

#[test]
fn several_envs_need_one_to_be_named() {
    let home = tempfile::tempdir().unwrap();
    let service = |env: &str| {
        format!(
            "[[env.{env}.service]]\nid = 'a'\naddress = '127.0.0.1'\ncheck = {{ tcp = 1 }}\nrestart = 'never'\nlifecycle = 'retired'\n"
        )
    };
    std::fs::write(home.path().join("fleet.toml"), service("dev") + &service("prod")).unwrap();
    let sweep = ["sweep", "--once", "--fleet", "fleet.toml"];
    let output = lamplighter(home.path(), &sweep);
    assert_eq!(status(&output), 2);
    assert!(
        stderr(&output).ends_with("hint: say which with `--env`: `dev`, `prod`\n"),
        "{}",
        stderr(&output)
    );
    assert_eq!(status(&lamplighter(home.path(), &[&sweep[..], &["--env", "dev"]].concat())), 0);
    assert_eq!(status(&lamplighter(home.path(), &[&sweep[..], &["--env", "none"]].concat())), 2);
}

#[test]
fn wrong_words_end_with_2() {
    let home = tempfile::tempdir().unwrap();
    for arguments in [&["sweeep"][..], &["why"], &["sweep", "--once"], &["why", "a;b"], &["hold", "a"], &[]] {
        assert_eq!(status(&lamplighter(home.path(), arguments)), 2, "{arguments:?}");
    }
    let output = lamplighter(home.path(), &["health"]);
    assert_eq!(status(&output), 2);
    assert!(stderr(&output).starts_with("error: no server is named\nhint: "), "{}", stderr(&output));
}

#[test]
fn what_is_imported_can_be_examined() {
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir(home.path().join(".ssh")).unwrap();
    std::fs::write(home.path().join(".ssh/config"), "Host web\n  HostName 127.0.0.1\n  Port 1\n").unwrap();
    let output = lamplighter(home.path(), &["import", "ssh-config", "--check", "systemd=web"]);
    assert_eq!(status(&output), 0);
    assert!(stderr(&output).contains("id_ed25519` is not there"), "{}", stderr(&output));
    std::fs::write(home.path().join("fleet.toml"), stdout(&output)).unwrap();
    let output = lamplighter(home.path(), &["doctor", "--fleet", "fleet.toml"]);
    assert_eq!(status(&output), 1);
    let said = stdout(&output);
    assert!(said.starts_with("FAIL  fleet.toml:") && said.contains("`key`: no such file"), "{said}");
}

#[test]
fn doctor_finds_a_port_that_is_taken_and_says_where_letters_go() {
    let home = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    std::thread::spawn(move || taken.incoming().for_each(drop));
    std::fs::write(
        home.path().join("lamplighter.toml"),
        format!("listen = '127.0.0.1:{port}'\n[env.prod]\n"),
    )
    .unwrap();
    let output = lamplighter(home.path(), &["doctor", "--config", "lamplighter.toml", "--json"]);
    assert_eq!(status(&output), 1);
    let findings: Vec<serde_json::Value> = serde_json::from_slice(&output.stdout).unwrap();
    let level = |what: &str| {
        findings
            .iter()
            .find(|finding| finding["what"].as_str().unwrap().contains(what))
            .map(|finding| finding["level"].clone())
    };
    assert_eq!(level("taken by another program"), Some("fail".into()), "{findings:?}");
    assert_eq!(level("letters become files"), Some("warn".into()));
    assert_eq!(level("there is no data yet"), Some("ok".into()));
}

#[test]
fn data_that_is_not_there_is_not_made_by_an_export() {
    let home = tempfile::tempdir().unwrap();
    let output = lamplighter(home.path(), &["data", "export", "--data", "store"]);
    assert_eq!(status(&output), 2);
    assert!(!home.path().join("store").exists());
}

#[test]
fn completions_are_written_for_every_shell() {
    let home = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = lamplighter(home.path(), &["completions", shell]);
        assert!(status(&output) == 0 && stdout(&output).contains("sweep"), "{shell}");
    }
}

#[test]
fn a_seeded_token_lies_in_a_new_file_of_its_owner_and_only_its_hash_is_printed() {
    use sha2::Digest as _;
    use std::os::unix::fs::PermissionsExt as _;
    let home = tempfile::tempdir().unwrap();
    let seed = ["token", "seed", "--to", "admin-token"];
    let output = lamplighter(home.path(), &seed);
    assert_eq!(status(&output), 0, "{}", stderr(&output));
    let file = home.path().join("admin-token");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let token = std::fs::read_to_string(&file).unwrap();
    let token = token.strip_suffix('\n').unwrap();
    assert!(token.starts_with("lamp_") && token.len() == 5 + 64, "as any other token");
    let hash: String = sha2::Sha256::digest(token).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(stdout(&output), format!("{hash}\n"));
    let said = stderr(&output);
    assert!(said.contains(&format!("AdminTokenSha256={hash}")) && !said.contains(token), "{said}");

    let output = lamplighter(home.path(), &seed);
    assert_eq!((status(&output), stdout(&output).as_str()), (1, ""), "a token is never overwritten");
    assert_eq!(std::fs::read_to_string(&file).unwrap().trim_end(), token);
}
