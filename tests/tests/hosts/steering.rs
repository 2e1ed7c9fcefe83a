//! Rollouts begun by two at once, by a push, and stopped half-way.

use std::thread;

use aws_lc_rs::hmac;
use lamplighter_tests::http::{self, Answer};
use serde_json::{Value, json};

use super::program::{PATIENCE, eventually};
use super::quarter::{HOOK_SECRET, Quarter, row};

pub(crate) fn paused_then_aborted(quarter: &Quarter<'_>) {
    let target = quarter.fleet.commit("v2");
    let before = quarter.shown("abort");
    let names: Vec<&str> = quarter.app("abort").hosts.iter().map(|host| &*host.name).collect();
    let options = json!({"stages": [100], "at_once": 1, "soak": "3s", "canaries": names});
    let id = quarter.start(&json!({"app": "abort", "target": target, "options": options}));
    quarter.at_step(&id, names[0], "install");
    let paused = quarter.post(&format!("rollouts/{id}/pause"), &json!({}));
    assert_eq!((paused.status, &paused.body["status"]), (200, &json!("paused")), "{}", paused.body);
    // The one half-way is finished, and no other is begun.
    quarter.wait_for(&id, "idle", |rollout| rollout["under_way"] == json!([]));
    let held = quarter.rollout(&id);
    assert_eq!(row(&held, names[0])["status"], "success", "{held:#}");
    assert_eq!(row(&held, names[1])["status"], "pending", "{held:#}");
    assert_eq!(quarter.post(&format!("rollouts/{id}/resume"), &json!({})).status, 200);
    quarter.at_step(&id, names[1], "install");
    let aborted = quarter.post(&format!("rollouts/{id}/abort"), &json!({"roll_back": false}));
    assert_eq!(aborted.status, 200, "{}", aborted.body);
    let end = quarter.ended(&id, "aborted");
    let statuses: Vec<&Value> = names.iter().map(|name| &row(&end, name)["status"]).collect();
    assert_eq!(json!(statuses), json!(["success", "rolled_back", "pending"]), "{end:#}");
    let after = quarter.shown("abort");
    assert_eq!((&*after[0].head, after[0].asked), (&*target, before[0].asked + 1));
    assert_eq!(after[1].head, before[1].head, "{}", quarter.said());
    assert_eq!(after[2], before[2], "nothing was begun after the abort");
    let late = quarter.post(&format!("rollouts/{id}/pause"), &json!({}));
    assert_eq!(late.status, 409, "{}", late.body);
    names.iter().for_each(|name| quarter.only_rollouts_acted_on(name, "abort"));
}

pub(crate) fn two_at_once(quarter: &Quarter<'_>) {
    let order = |version| json!({"app": "pushed", "target": quarter.fleet.commit(version), "options": {"soak": "3s"}});
    let both = thread::scope(|scope| {
        let starts =
            ["v2", "v7"].map(|version| scope.spawn(move || quarter.post("rollouts", &order(version))));
        starts.map(|start| start.join().unwrap())
    });
    let [won, lost] = if both[0].status == 202 { [&both[0], &both[1]] } else { [&both[1], &both[0]] };
    assert_eq!((won.status, lost.status), (202, 409), "{} {}", both[0].body, both[1].body);
    let id = won.body["id"].as_str().unwrap();
    assert!(lost.body["detail"].as_str().unwrap().contains(id), "{}", lost.body);
    let end = quarter.ended(id, "completed");
    for shown in quarter.shown("pushed") {
        assert_eq!(end["target"], *shown.head);
    }
}

pub(crate) fn a_push(quarter: &Quarter<'_>) {
    let started = || {
        let list = quarter.get("rollouts?app=pushed")["items"].as_array().unwrap().clone();
        let by_hook = list.into_iter().filter(|one| one["by"] == "hook deploy");
        by_hook.map(|one| (one["id"].as_str().unwrap().to_owned(), one["target"].clone())).collect::<Vec<_>>()
    };
    let first = quarter.fleet.push("live", "live-1");
    assert_eq!(deliver(quarter, "1", &first, "another secret").status, 401);
    assert_eq!(deliver(quarter, "2", &first, HOOK_SECRET).status, 202);
    let begun = eventually(|| started().pop(), PATIENCE);
    let (id, target) = begun.unwrap_or_else(|| panic!("no rollout by the push\n{}", quarter.said()));
    assert_eq!(target, *first);
    // Two more while it goes on, the first delivery once more: the newest waits its turn, and nothing else does.
    let second = quarter.fleet.push("live", "live-2");
    assert_eq!(deliver(quarter, "3", &second, HOOK_SECRET).status, 202);
    let newest = quarter.fleet.push("live", "live-3");
    assert_eq!(deliver(quarter, "4", &newest, HOOK_SECRET).status, 202);
    let again = deliver(quarter, "2", &first, HOOK_SECRET);
    assert!((200..300).contains(&again.status), "{}", again.body);
    quarter.ended(&id, "completed");
    let followed = eventually(|| started().into_iter().find(|(other, _)| *other != id), PATIENCE);
    let (next, target) =
        followed.unwrap_or_else(|| panic!("the push that waited is lost\n{}", quarter.said()));
    assert_eq!(target, *newest);
    quarter.ended(&next, "completed");
    assert_eq!(started().len(), 2, "{:?}", started());
    for (host, shown) in quarter.app("pushed").hosts.iter().zip(quarter.shown("pushed")) {
        assert_eq!(shown.head, newest);
        assert_eq!(quarter.fleet.answer(&host.name), "live-3");
    }
}

/// Delivers a push as GitHub does.
fn deliver(quarter: &Quarter<'_>, delivery: &str, commit: &str, secret: &str) -> Answer {
    let body = json!({"ref": "refs/heads/live", "after": commit, "deleted": false, "repository": {"full_name": "acme/app"}});
    let body = body.to_string();
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), body.as_bytes());
    let signature: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    let heads = [
        ("x-github-event", "push"),
        ("x-github-delivery", &*format!("6f3d0c1a-0000-4000-8000-00000000000{delivery}")),
        ("x-hub-signature-256", &*format!("sha256={signature}")),
    ];
    http::send(&quarter.server().url, "POST", "/hooks/prod/deploy", &heads, &body).unwrap()
}
