//! What a person asks of a running server by the command line.

use lamplighter::demo::systemd::Nature;
use serde_json::Value;

use super::program::Program;
use super::street::Street;

async fn street() -> (Street, Program) {
    let street = Street::new(&[("web", Nature::Sound), ("mail", Nature::Sound)]).await;
    let server = street.home.serve();
    street.home.wait_for_status(&server, "web", "healthy");
    street.home.wait_for_status(&server, "mail", "healthy");
    (street, server)
}

fn plain(street: &Street, server: &Program, arguments: &[&str]) -> String {
    let output = street.home.ask(server, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_service_is_left_alone_until_it_is_released() {
    let (street, server) = street().await;
    plain(&street, &server, &["hold", "web", "--reason", "moving house", "--for", "2h"]);
    street.host.systemd().crash("web");
    plain(&street, &server, &["why", "web"]);
    for _ in 0..2 {
        street.home.ask(&server, &["sweep"]);
    }
    assert_eq!(street.home.service(&server, "web")["status"], "held");
    assert!(plain(&street, &server, &["why", "web"]).contains("moving house"));
    assert_eq!(street.host.systemd().restarts("web"), 0);
    plain(&street, &server, &["release", "web"]);
    street.home.wait_for_status(&server, "web", "healthy");
    assert_eq!(street.host.systemd().restarts("web"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_may_restart_what_is_up_and_nobody_is_written_to() {
    let (street, server) = street().await;
    let before = street.host.systemd().invocation("web");
    plain(&street, &server, &["restart", "web"]);
    street.home.wait_for(&server, "web", "restarted", |service| {
        service["status"] == "healthy" && service["last_restart_at"].is_string()
    });
    assert_eq!(street.host.systemd().restarts("web"), 1);
    assert_ne!(street.host.systemd().invocation("web"), before);
    assert_eq!(street.home.letters(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_breaker_that_a_person_resets_lets_restarts_through_again() {
    let (street, server) = street().await;
    street.host.systemd().set_nature("web", Nature::RefusesToStart);
    street.host.systemd().crash("web");
    street.home.wait_for_status(&server, "web", "circuit_open");
    let health = street.home.json(&server, &["health"]);
    assert_eq!(health["breakers_open"], serde_json::json!(["web"]), "{health}");
    street.host.systemd().set_nature("web", Nature::Sound);
    plain(&street, &server, &["breaker", "reset", "web"]);
    let web = street.home.wait_for_status(&server, "web", "healthy");
    assert_eq!(web["breaker"]["state"], "closed", "{web}");
    assert_eq!(street.host.systemd().restarts("web"), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fleet_file_is_applied_to_a_running_server_and_looked_at() {
    let (street, server) = street().await;
    street.host.systemd().add("shop", Nature::Sound);
    let fleet = std::fs::read_to_string(street.home.path().join("fleet.toml")).unwrap();
    let last = fleet.rfind("[[env.prod.service]]").unwrap();
    let more = format!("{fleet}{}", fleet[last..].replace("mail", "shop"));
    std::fs::write(street.home.path().join("more.toml"), more).unwrap();
    let said = plain(&street, &server, &["apply", "more.toml", "--yes"]);
    assert!(said.contains("1 to add, 0 to change"), "{said}");
    street.home.wait_for_status(&server, "shop", "healthy");
    let again = plain(&street, &server, &["apply", "more.toml", "--yes"]);
    assert!(!again.contains("1 to add"), "{again}");
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happened_and_what_it_cost_can_be_asked_for() {
    let (street, server) = street().await;
    street.host.systemd().crash("web");
    street.home.wait_for_letters(&server, "recovered", 1);
    street.home.wait_for_status(&server, "web", "healthy");
    let events = plain(&street, &server, &["--json", "events", "--service", "web"]);
    let said: Vec<(String, String)> = events
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .map(|event| (text(&event["type"]), text(&event["status"])))
        .collect();
    let said: Vec<(&str, &str)> =
        said.iter().map(|(kind, status)| (kind.as_str(), status.as_str())).collect();
    let expected = [("audit", ""), ("service_status", "restarting"), ("service_status", "healthy")];
    assert_eq!(said, expected, "unknown to healthy is silent, and a restart is written down first: {events}");
    let checked = street.home.json(&server, &["check", "web"]);
    assert_eq!(checked["service"]["status"], "healthy", "{checked}");
    let health = street.home.json(&server, &["health"]);
    assert_eq!((&health["services"], &health["counts"]["healthy"]), (&2.into(), &2.into()), "{health}");
    let cost = street.home.json(&server, &["cost"]);
    assert!(cost.to_string().contains("write"), "{cost}");
    assert!(plain(&street, &server, &["why", "web"]).contains("healthy"));
    assert!(plain(&street, &server, &["services"]).contains("web"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_may_do_what_its_scope_says_until_it_is_revoked() {
    let (street, server) = street().await;
    let made = street.home.json(&server, &["token", "create", "--name", "wall", "--scope", "read"]);
    let secret = made["token"].as_str().unwrap();
    street.home.keep_token("reader", secret);
    let reads = |arguments: &[&str]| {
        let theirs = ["--url", &server.url, "--token-file", "reader", "--env", "prod"];
        street.home.run(&[arguments, &theirs[..]].concat()).status.code()
    };
    assert_eq!(reads(&["services"]), Some(0));
    assert_eq!(reads(&["restart", "web"]), Some(4), "a reader may not act");
    let listed = street.home.json(&server, &["token", "list"]);
    assert!(!listed.to_string().contains(secret), "a list never shows a secret");
    let wall = listed.as_array().unwrap().iter().find(|token| token["name"] == "wall");
    assert!(wall.is_some(), "{listed}");
    plain(&street, &server, &["token", "revoke", "wall"]);
    assert_eq!(reads(&["services"]), Some(4), "it is revoked");
    assert_eq!(street.host.systemd().restarts("web"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn exported_data_fills_a_new_folder_and_is_the_same_server() {
    let (street, server) = street().await;
    street.host.systemd().crash("web");
    street.home.wait_for_letters(&server, "recovered", 1);
    let before = street.home.wait_for_status(&server, "web", "healthy");
    let data = street.home.data();
    let export = ["data", "export", "--env", "prod", "--data", data.to_str().unwrap(), "--to", "saved.jsonl"];
    let refused = street.home.run(&export);
    assert_eq!(refused.status.code(), Some(1), "a running server's data is not exported under it");
    assert!(server.terminate().0.success());
    let output = street.home.run(&export);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let elsewhere = street.home.path().join("elsewhere");
    let import = ["data", "import", "--env", "prod", "--data", elsewhere.to_str().unwrap(), "saved.jsonl"];
    let output = street.home.run(&import);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let moved = street.home.serve_in(&elsewhere);
    assert_eq!(moved.token, None, "its tokens travel, too");
    let after = street.home.service(&moved, "web");
    assert_eq!(after["totals"]["recoveries"], before["totals"]["recoveries"], "{after}");
    street.host.systemd().crash("web");
    street.home.wait_for(&moved, "web", "healed once more", |web| web["totals"]["recoveries"] == 2);
    assert_eq!(street.host.systemd().restarts("web"), 2);
}
