//! Releases, rolled out by the functions: a good one that survives the death of its function, and one that starts nowhere.

use lamplighter::demo::Release;
use serde_json::Value;

use crate::scenes::Scene;
use crate::stack::Stack;

/// Rollouts, one after the other: there is one app.
pub(crate) const ROLLING: &[Scene] = &[
    ("a_release_arrives_though_its_function_is_killed", a_release_arrives_though_its_function_is_killed),
    ("a_release_that_starts_nowhere_goes_back_and_halts", a_release_that_starts_nowhere_goes_back_and_halts),
    ("what_was_mended_is_rolled_out_after_all", what_was_mended_is_rolled_out_after_all),
];

/// Exit status of the command line for what a gate halted.
const HALTED: i32 = 3;

fn a_release_arrives_though_its_function_is_killed(stack: &Stack) {
    let id = start(stack, "Faster checkout", Release::Good);
    stack.wait("the first service to be updated", || {
        show(stack, &id)["services"]
            .as_array()
            .is_some_and(|rows| rows.iter().any(|row| row["status"] == "updating"))
    });
    assert!(stack.kill("advance"), "the function was at work");
    stack.wait("the rollout to end", || ended(stack, &id));
    let shown = show(stack, &id);
    assert_eq!(shown["status"], "completed", "{shown}");
    for row in shown["services"].as_array().unwrap() {
        assert_eq!((&row["status"], &row["current"]), (&"success".into(), &shown["target"]), "{row}");
    }
}

fn a_release_that_starts_nowhere_goes_back_and_halts(stack: &Stack) {
    let id = start(stack, "Rename a module", Release::DoesNotStart);
    let watched = stack.cli.ask(&stack.url(), &["rollout", "watch", &id]);
    assert_eq!(watched.status.code(), Some(HALTED), "{}", String::from_utf8_lossy(&watched.stderr));
    let shown = show(stack, &id);
    assert_eq!(shown["status"], "halted", "{shown}");
    let rows = shown["services"].as_array().unwrap();
    let back: Vec<&Value> = rows.iter().filter(|row| row["status"] == "rolled_back").collect();
    assert!(!back.is_empty(), "{shown}");
    for row in back {
        assert_eq!(row["current"], row["previous"], "{row}");
    }
    assert!(rows.iter().all(|row| row["status"] != "success" && row["status"] != "failed"), "{shown}");
}

fn what_was_mended_is_rolled_out_after_all(stack: &Stack) {
    let id = start(stack, "Give the module its old name", Release::Good);
    stack.wait("the rollout to end", || ended(stack, &id));
    assert_eq!(show(stack, &id)["status"], "completed");
}

/// Pushes a release and starts to roll it out, by the command line.
fn start(stack: &Stack, title: &str, release: Release) -> String {
    let version = stack.block_on(stack.fleet.releases().unwrap().push(title, release)).unwrap();
    let asked = ["rollout", "start", "shop", "--target", version.as_str(), "--soak", "2s", "--yes"];
    let started = stack.cli.json(&stack.url(), &asked);
    started["id"].as_str().unwrap().to_owned()
}

fn show(stack: &Stack, id: &str) -> Value {
    stack.ask("GET", &format!("rollouts/{id}"), "").body
}

fn ended(stack: &Stack, id: &str) -> bool {
    let shown = show(stack, id);
    !matches!(shown["status"].as_str(), Some("running" | "paused" | "rolling_back" | "aborting" | "halting"))
}
