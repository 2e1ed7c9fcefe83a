//! What talks to a server.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::{Value, json};

use super::server::{Answer, Request, Server};
use super::{lamplighter, status, stderr, stdout};

const FLEET: &str = "[env.prod.defaults]\ncheck = { tcp = 80 }\nrestart = 'never'\n\
    [[env.prod.service]]\nid = 'same'\naddress = '10.0.0.1'\n\
    [[env.prod.service]]\nid = 'moved'\naddress = '10.0.0.2'\n\
    [[env.prod.service]]\nid = 'new'\naddress = '10.0.0.3'\n";

/// A service as a list has it: without its spec.
fn listed(id: &str) -> Value {
    json!({ "id": id, "status": "healthy" })
}

/// A service by itself.
fn shown(id: &str, address: &str) -> String {
    let spec = json!({ "id": id, "address": address, "check": { "tcp": 80 }, "restart": "never" });
    json!({ "id": id, "status": "healthy", "spec": spec }).to_string()
}

/// Three services on two pages; writes succeed but for those in `refuses`.
fn fleet_server(refuses: &'static str) -> Server {
    Server::answering(move |request: &Request| -> Answer {
        match request.line.as_str() {
            "GET /v1/envs/prod/services?limit=500" => {
                (200, "", json!({ "items": [listed("same"), listed("moved")], "next": "a b" }).to_string())
            }
            "GET /v1/envs/prod/services?limit=500&after=a+b" => {
                (200, "", json!({ "items": [listed("gone")], "next": null }).to_string())
            }
            "GET /v1/envs/prod/services/same" => (200, "etag: \"same-1\"\r\n", shown("same", "10.0.0.1")),
            "GET /v1/envs/prod/services/moved" => (200, "etag: \"moved-1\"\r\n", shown("moved", "10.9.9.9")),
            "GET /v1/envs/prod/services/gone" => (200, "etag: \"gone-1\"\r\n", shown("gone", "10.0.0.4")),
            line if !refuses.is_empty() && line.ends_with(refuses) => {
                (412, "", json!({ "title": "Precondition Failed", "detail": "it has changed" }).to_string())
            }
            line if line.starts_with("PUT ") || line.starts_with("DELETE ") => (200, "", "{}".to_owned()),
            _ => (404, "", "{}".to_owned()),
        }
    })
}

fn apply(home: &Path, server: &Server, more: &[&str]) -> std::process::Output {
    std::fs::write(home.join("fleet.toml"), FLEET).unwrap();
    lamplighter(home, &[&["apply", "fleet.toml", "--url", server.url.as_str()][..], more].concat())
}

fn writes(server: &Server) -> Vec<String> {
    let mut writes: Vec<String> = server
        .seen()
        .iter()
        .map(|request| request.line.clone())
        .filter(|line| !line.starts_with("GET"))
        .collect();
    writes.sort();
    writes
}

#[test]
fn apply_writes_what_differs_and_only_if_it_has_not_changed_meanwhile() {
    let home = tempfile::tempdir().unwrap();
    let server = fleet_server("");
    let output = apply(home.path(), &server, &["--yes"]);
    assert_eq!(status(&output), 0, "{}", stderr(&output));
    assert_eq!(
        stdout(&output),
        "~ moved  address: 10.9.9.9 → 10.0.0.2\n+ new  10.0.0.3\n\
         1 to add, 1 to change, 0 to remove, 1 unchanged; `gone` is not in the file and stays (`--prune` removes it)\n"
    );
    assert_eq!(writes(&server), ["PUT /v1/envs/prod/services/moved", "PUT /v1/envs/prod/services/new"]);
    let seen = server.seen();
    let moved = seen.iter().find(|request| request.line == "PUT /v1/envs/prod/services/moved").unwrap();
    assert_eq!(moved.header("if-match"), Some("\"moved-1\""));
    assert!(moved.body.contains("10.0.0.2"));
    let new = seen.iter().find(|request| request.line == "PUT /v1/envs/prod/services/new").unwrap();
    assert_eq!(new.header("if-none-match"), Some("*"));
}

#[test]
fn apply_removes_only_when_asked_to() {
    let home = tempfile::tempdir().unwrap();
    let server = fleet_server("");
    assert_eq!(status(&apply(home.path(), &server, &["--yes", "--prune"])), 0);
    assert!(writes(&server).contains(&"DELETE /v1/envs/prod/services/gone".to_owned()));
}

#[test]
fn apply_writes_nothing_unless_somebody_says_yes() {
    let home = tempfile::tempdir().unwrap();
    let server = fleet_server("");
    let output = apply(home.path(), &server, &[]);
    assert_eq!(status(&output), 2);
    assert!(stderr(&output).contains("say `--yes`"), "{}", stderr(&output));
    assert_eq!(status(&apply(home.path(), &server, &["--dry-run"])), 0);
    assert_eq!(writes(&server), Vec::<String>::new());
}

#[test]
fn apply_ends_with_5_if_some_were_refused_and_writes_the_others() {
    let home = tempfile::tempdir().unwrap();
    let server = fleet_server("/services/moved");
    let output = apply(home.path(), &server, &["--yes", "--json"]);
    assert_eq!(status(&output), 5);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["failed"], json!([{ "what": "service `moved`", "error": "it has changed" }]));
    assert!(writes(&server).contains(&"PUT /v1/envs/prod/services/new".to_owned()));
}

#[test]
fn a_problem_is_shown_in_the_servers_words_and_has_its_own_status() {
    let home = tempfile::tempdir().unwrap();
    let problem =
        json!({ "title": "Conflict", "detail": "`a` is \u{1b}[31mheld", "hint": "release it first" })
            .to_string();
    for (answer, expected) in
        [(409, 4), (401, 4), (403, 4), (412, 4), (400, 2), (422, 2), (404, 1), (500, 1), (429, 1), (503, 6)]
    {
        let problem = problem.clone();
        let server = Server::answering(move |_| {
            (answer, "content-type: application/problem+json\r\n", problem.clone())
        });
        let output = lamplighter(home.path(), &["restart", "a", "--url", &server.url, "--env", "prod"]);
        assert_eq!(status(&output), expected, "{answer}");
        assert_eq!(stderr(&output), "error: `a` is [31mheld\nhint: release it first\n");
    }
}

#[test]
fn a_server_that_is_not_there_ends_with_6() {
    let home = tempfile::tempdir().unwrap();
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let output = lamplighter(home.path(), &["health", "--url", &format!("http://{nobody}"), "--env", "prod"]);
    assert_eq!(status(&output), 6);
    assert!(stderr(&output).contains("cannot be reached: "), "{}", stderr(&output));
}

#[test]
fn something_that_is_no_lamplighter_is_told_and_redirects_are_not_followed() {
    let home = tempfile::tempdir().unwrap();
    let page = Server::answering(|_| (200, "", "<html>".to_owned()));
    let output = lamplighter(home.path(), &["cost", "--url", &page.url, "--env", "prod"]);
    assert!(
        status(&output) == 1 && stderr(&output).contains("no Lamplighter's answer"),
        "{}",
        stderr(&output)
    );
    let elsewhere = Server::answering(|_| (302, "location: http://127.0.0.1:1/\r\n", String::new()));
    assert_eq!(status(&lamplighter(home.path(), &["cost", "--url", &elsewhere.url, "--env", "prod"])), 1);
    assert_eq!(elsewhere.seen().len(), 1);
}

#[test]
fn a_token_comes_from_a_file_of_ones_own_and_is_saved_for_its_server_alone() {
    let home = tempfile::tempdir().unwrap();
    let (ours, theirs) = (
        Server::answering(|_| (200, "", "{}".to_owned())),
        Server::answering(|_| (200, "", "{}".to_owned())),
    );
    let file = home.path().join("token");
    std::fs::write(&file, "lamp_secret\n").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let save = ["context", "save", "--url", &ours.url, "--token-file", "token", "--env", "prod"];
    assert_eq!(status(&lamplighter(home.path(), &save)), 0);
    let output = lamplighter(home.path(), &["cost"]);
    assert_eq!(status(&output), 2);
    assert!(stderr(&output).contains("chmod 600"), "{}", stderr(&output));

    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(status(&lamplighter(home.path(), &["cost"])), 0);
    assert_eq!(ours.seen()[0].header("authorization"), Some("Bearer lamp_secret"));
    assert_eq!(ours.seen()[0].line, "GET /v1/envs/prod/cost");
    assert_eq!(status(&lamplighter(home.path(), &["cost", "--url", &theirs.url])), 0);
    assert_eq!(theirs.seen()[0].header("authorization"), None);
}

#[test]
fn work_is_asked_for_under_a_key_of_its_own() {
    let home = tempfile::tempdir().unwrap();
    let server = Server::answering(|_| {
        (200, "", json!({ "id": "a", "status": "held", "because": "held by ada" }).to_string())
    });
    let hold =
        ["hold", "a", "--reason", "moving house", "--for", "2h", "--url", &server.url, "--env", "prod"];
    for _ in 0..2 {
        let output = lamplighter(home.path(), &hold);
        assert_eq!((status(&output), stdout(&output).as_str()), (0, "a  held  held by ada\n"));
    }
    let seen = server.seen();
    assert_eq!(seen[0].line, "POST /v1/envs/prod/services/a/hold");
    assert_eq!(seen[0].body, r#"{"lasts":"2h","reason":"moving house"}"#);
    assert_ne!(seen[0].header("idempotency-key").unwrap(), seen[1].header("idempotency-key").unwrap());
}
