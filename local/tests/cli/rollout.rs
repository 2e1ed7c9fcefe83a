//! `rollout` against a server that answers what it is told to.

use std::path::Path;
use std::process::Output;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use super::server::{Answer, Request, Server};
use super::{lamplighter, status, stderr, stdout};

const TARGET: &str = "1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d";

/// A rollout of two services, the second of them in `row`.
fn rollout(status: &str, row: &Value) -> Value {
    let stage = if status == "running" { "arriving" } else { "passed" };
    json!({
        "id": "shop-3", "app": "shop", "target": TARGET, "branch": "main", "status": status,
        "because": "its reason", "stage": 1,
        "stages": [{ "percent": 100, "size": 2, "status": stage, "succeeded": 1, "failed": 0, "skipped": 0 }],
        "services": [{ "id": "a", "stage": 1, "status": "success", "because": "" }, row],
        "next": null, "options": {}, "by": "ada", "waits_for": "`b`", "created_at": "2026-01-02T02:30:00Z",
    })
}

fn updating(step: &str) -> Value {
    json!({ "id": "b", "stage": 1, "status": "updating", "step": step, "way": "forward", "because": "" })
}

fn settled(status: &str) -> Value {
    json!({ "id": "b", "stage": 1, "status": status, "because": "its story" })
}

/// Tells the next of `answers` each time it is asked, and the last one again and again.
fn telling(answers: Vec<Answer>) -> Server {
    let asked = AtomicUsize::new(0);
    Server::answering(move |_: &Request| {
        let at = asked.fetch_add(1, Ordering::SeqCst).min(answers.len() - 1);
        answers[at].clone()
    })
}

fn ok(body: &Value) -> Answer {
    (200, "", body.to_string())
}

fn run(home: &Path, server: &Server, arguments: &[&str]) -> Output {
    lamplighter(home, &[&["rollout"], arguments, &["--url", &server.url, "--env", "prod"]].concat())
}

#[test]
fn a_watch_ends_as_the_rollout_did() {
    let home = tempfile::tempdir().unwrap();
    for (end, exit) in [("completed", 0), ("completed_with_failures", 5), ("halted", 3), ("aborted", 1)] {
        let server = telling(vec![ok(&rollout(end, &settled("success")))]);
        assert_eq!(status(&run(home.path(), &server, &["watch", "shop-3"])), exit, "{end}");
    }
}

#[test]
fn a_watch_tells_each_change_once_and_outlives_a_server_that_is_away() {
    let home = tempfile::tempdir().unwrap();
    let away: Answer =
        (503, "", json!({ "title": "Unavailable", "detail": "the store is away" }).to_string());
    let server = telling(vec![
        ok(&rollout("running", &updating("check out"))),
        ok(&rollout("running", &updating("check out"))),
        away,
        ok(&rollout("running", &updating("restart"))),
        ok(&rollout("completed", &settled("success"))),
    ]);
    let output = run(home.path(), &server, &["watch", "shop-3"]);
    let told: Vec<String> = stdout(&output)
        .lines()
        .map(|line| line.split_whitespace().skip(1).collect::<Vec<_>>().join(" "))
        .collect();
    assert_eq!(
        told,
        [
            "shop-3 running main at 1a2b3c4: its reason",
            "a success",
            "stage 1 of 1 arriving 1 succeeded",
            "b updating check out",
            "b updating restart",
            "b success its story",
            "stage 1 of 1 passed 1 succeeded",
            "shop-3 completed main at 1a2b3c4: its reason",
        ]
    );
    assert_eq!(
        stderr(&output),
        "the store is away; the rollout waits for it, and so does this\nthe server is back\n"
    );
    assert_eq!(status(&output), 0);
}

#[test]
fn a_watch_of_what_is_not_there_or_of_a_server_never_seen_ends_at_once() {
    let home = tempfile::tempdir().unwrap();
    let missing = telling(vec![(404, "", json!({ "detail": "there is no rollout `shop-3`" }).to_string())]);
    assert_eq!(status(&run(home.path(), &missing, &["watch", "shop-3"])), 1);
    let away = telling(vec![(503, "", "{}".to_owned())]);
    assert_eq!(status(&run(home.path(), &away, &["watch", "shop-3"])), 6);
    assert_eq!(status(&run(home.path(), &away, &["watch", "../x"])), 2);
}

#[test]
fn a_program_reads_one_value_a_line() {
    let home = tempfile::tempdir().unwrap();
    let server = telling(vec![
        ok(&rollout("running", &updating("install"))),
        ok(&rollout("halted", &settled("failed"))),
    ]);
    let output = run(home.path(), &server, &["watch", "shop-3", "--json"]);
    let told: Vec<Value> = stdout(&output).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let brief: Vec<String> = told
        .iter()
        .map(|one| format!("{} {}", one["type"].as_str().unwrap(), one["status"].as_str().unwrap()))
        .collect();
    assert_eq!(
        brief,
        [
            "rollout running",
            "service success",
            "stage arriving",
            "service updating",
            "service failed",
            "stage passed",
            "rollout halted"
        ]
    );
    assert!(told.iter().all(|one| one["rollout"] == "shop-3" && one["timestamp"].is_string()));
    assert_eq!((told[3]["service"].as_str(), told[3]["step"].as_str()), (Some("b"), Some("install")));
    assert_eq!((status(&output), stderr(&output).as_str()), (3, ""));
}

#[test]
fn a_rollout_of_many_services_is_read_in_pages() {
    let home = tempfile::tempdir().unwrap();
    let server = Server::answering(|request: &Request| match request.line.as_str() {
        "GET /v1/envs/prod/rollouts/shop-3" => {
            let mut first = rollout("completed", &settled("success"));
            first["next"] = "2".into();
            ok(&first)
        }
        "GET /v1/envs/prod/rollouts/shop-3?after=2" => {
            let mut second = rollout("completed", &settled("success"));
            second["services"] = json!([{ "id": "c", "stage": 1, "status": "skipped", "because": "held" }]);
            ok(&second)
        }
        line => (404, "", json!({ "detail": line }).to_string()),
    });
    let output = run(home.path(), &server, &["show", "shop-3", "--json"]);
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    let ids: Vec<&str> =
        told["services"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap()).collect();
    assert_eq!((ids, &told["next"]), (vec!["a", "b", "c"], &Value::Null));
}

#[test]
fn a_start_asks_for_what_was_typed_and_nothing_else() {
    let home = tempfile::tempdir().unwrap();
    let server = Server::answering(|_| (202, "", rollout("running", &settled("pending")).to_string()));
    let typed = [
        "start",
        "shop",
        "--commit",
        TARGET,
        "--canary",
        "b",
        "--soak",
        "90s",
        "--strict-canary",
        "--on-halt",
        "roll-back-all",
        "--plan",
        "abc",
        "--force",
        "mended by hand",
        "--yes",
    ];
    let output = run(home.path(), &server, &typed);
    assert_eq!(
        (status(&output), stdout(&output).as_str()),
        (0, "shop-3  running  main at 1a2b3c4 to 2 services\n")
    );
    let seen = server.seen();
    assert_eq!((seen.len(), seen[0].line.as_str()), (1, "POST /v1/envs/prod/rollouts"));
    assert!(seen[0].header("idempotency-key").is_some());
    assert_eq!(
        serde_json::from_str::<Value>(&seen[0].body).unwrap(),
        json!({
            "app": "shop", "target": TARGET, "plan_hash": "abc", "force": "mended by hand",
            "options": { "canaries": ["b"], "soak": "90s", "strict_canary": true, "on_halt": "roll_back_all" },
        })
    );
}

#[test]
fn nothing_is_started_unless_somebody_says_yes() {
    let home = tempfile::tempdir().unwrap();
    let plan = json!({
        "hash": "abc", "app": "shop", "target": TARGET, "options": {}, "stages": [{ "percent": 100, "services": ["a"] }],
        "skipped": [], "commands": [], "worst_case_seconds": 60, "write_units": 10, "micro_dollars": 7,
    });
    let server = Server::answering(move |_| ok(&plan));
    let output = run(home.path(), &server, &["start", "shop"]);
    assert_eq!(status(&output), 2);
    assert!(stderr(&output).contains("nobody is there to ask"), "{}", stderr(&output));
    let lines: Vec<String> = server.seen().iter().map(|request| request.line.clone()).collect();
    assert_eq!(lines, ["POST /v1/envs/prod/rollouts/plan"]);
}

#[test]
fn steering_may_be_bound_to_what_was_looked_at() {
    let home = tempfile::tempdir().unwrap();
    let server = telling(vec![ok(&rollout("aborting", &updating("restart")))]);
    run(home.path(), &server, &["abort", "shop-3", "--roll-back", "--if-version", "17"]);
    run(home.path(), &server, &["pause", "shop-3"]);
    run(home.path(), &server, &["retry", "shop-3", "--force", "it was the network"]);
    let seen = server.seen();
    let asked: Vec<(&str, &str, Option<&str>)> = seen
        .iter()
        .map(|request| (request.line.as_str(), request.body.as_str(), request.header("if-match")))
        .collect();
    assert_eq!(
        asked,
        [
            ("POST /v1/envs/prod/rollouts/shop-3/abort", r#"{"roll_back":true}"#, Some("\"17\"")),
            ("POST /v1/envs/prod/rollouts/shop-3/pause", "{}", None),
            ("POST /v1/envs/prod/rollouts/shop-3/retry", r#"{"force":"it was the network"}"#, None),
        ]
    );
}

#[test]
fn a_refusal_lists_its_reasons_and_speaks_of_commands() {
    let home = tempfile::tempdir().unwrap();
    let problem = json!({
        "title": "Conflict", "detail": "reality has moved since this plan was made",
        "hint": "plan anew, look at it, and start that plan",
        "reasons": ["`a` is \u{1b}[31mheld now", "the branch `main` moved on"],
    });
    let server = telling(vec![(409, "", problem.to_string())]);
    let output = run(home.path(), &server, &["start", "shop", "--yes", "--plan", "abc"]);
    assert_eq!(
        (status(&output), stderr(&output).as_str()),
        (
            4,
            "error: reality has moved since this plan was made\n  - `a` is [31mheld now\n  - the branch `main` moved on\n\
             hint: `lamplighter rollout plan` shows how it would be now\n"
        )
    );
}
