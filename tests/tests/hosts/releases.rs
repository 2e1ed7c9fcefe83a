//! Releases of the demo app, good and bad, and what comes of rolling them out.

use serde_json::{Value, json};

use super::fleet::Shown;
use super::quarter::{Quarter, row};

/// Every service runs `commit`, by one new process that one restart brought, and the server knows it.
fn all_run(quarter: &Quarter<'_>, app: &str, commit: &str, before: &[Shown]) {
    for ((host, was), is) in quarter.app(app).hosts.iter().zip(before).zip(quarter.shown(app)) {
        assert_eq!((&*is.head, is.asked), (commit, was.asked + 1), "{}\n{}", host.name, quarter.said());
        assert_ne!(is.run, was.run, "{} runs the old process", host.name);
        assert_eq!(is.changes, "");
        let service = quarter.service(&quarter.app(app).service(host));
        let version = &service["version"];
        assert_eq!(
            (&version["current"], &version["status"]),
            (&json!(commit), &json!("success")),
            "{service}"
        );
        assert_eq!(version["previous"], *was.head, "{service}");
        assert_eq!(
            (&service["status"], &service["needs_human"]),
            (&json!("healthy"), &Value::Null),
            "{service}"
        );
        quarter.only_rollouts_acted_on(&quarter.app(app).service(host), app);
    }
}

fn order(app: &str, commit: &str, stages: &[u32], soak: &str) -> Value {
    json!({"app": app, "target": commit, "options": {"stages": stages, "soak": soak}})
}

/// Rolls a good release out to the end.
pub(crate) fn succeed(quarter: &Quarter<'_>, app: &str, commit: &str) -> Value {
    let before = quarter.shown(app);
    let id = quarter.start(&order(app, commit, &[10, 100], "3s"));
    let end = quarter.ended(&id, "completed");
    all_run(quarter, app, commit, &before);
    end
}

pub(crate) fn a_good_release(quarter: &Quarter<'_>) {
    let end = succeed(quarter, "shop", &quarter.fleet.commit("v2"));
    let sizes = end["stages"].as_array().unwrap().iter().map(|stage| [&stage["size"], &stage["succeeded"]]);
    assert_eq!(json!(sizes.collect::<Vec<_>>()), json!([[1, 1], [2, 2]]), "{end:#}");
    for host in quarter.app("shop").hosts {
        assert_eq!(quarter.fleet.answer(&host.name), "v2");
    }
    let letter = quarter.letter(end["id"].as_str().unwrap());
    assert!(letter.subject.contains("completed"), "{letter:?}");
}

/// The first service that gets `tag` goes back, the rollout halts, and nobody else was touched. Answers its view.
fn halts(quarter: &Quarter<'_>, app: &str, order: &Value, why: &str, restarts: usize) -> Value {
    let before = quarter.shown(app);
    let id = quarter.start(order);
    let end = quarter.ended(&id, "halted");
    let rows = end["services"].as_array().unwrap();
    let (sick, rest): (Vec<&Value>, Vec<&Value>) = rows.iter().partition(|row| row["stage"] == 1);
    assert_eq!(sick.len(), 1, "{end:#}");
    assert_eq!(sick[0]["status"], "rolled_back", "{end:#}\n{}", quarter.said());
    let because = sick[0]["because"].as_str().unwrap();
    assert!(because.contains(why), "not `{why}`, but: {because}\n{}", quarter.said());
    assert!(rest.iter().all(|row| row["status"] == "pending"), "{end:#}");
    for (host, was) in quarter.app(app).hosts.iter().zip(&before) {
        let (is, service) = (quarter.fleet.shown(&host.name), quarter.app(app).service(host));
        assert_eq!(is.head, was.head, "{}", host.name);
        assert_eq!(is.changes, "");
        if sick[0]["id"] == *service {
            assert_eq!(is.asked, was.asked + restarts, "{}\n{}", host.name, quarter.said());
            let known = quarter.wait_for_status(&service, "healthy");
            let version = &known["version"];
            assert_eq!((&version["current"], &version["status"]), (&json!(was.head), &json!("rolled_back")));
            assert_eq!(known["needs_human"], Value::Null, "{known}");
            quarter.only_rollouts_acted_on(&service, app);
        } else {
            assert_eq!(is, *was, "{} was touched", host.name);
        }
    }
    let letter = quarter.letter(&id);
    assert!(letter.subject.contains("HALTED"), "{letter:?}");
    end
}

pub(crate) fn fails_at_start(quarter: &Quarter<'_>) {
    let target = quarter.fleet.commit("v3");
    let order = order("shop", &target, &[10, 100], "3s");
    let first = halts(quarter, "shop", &order, "while settling", 2);
    let refused = quarter.post("rollouts", &order);
    assert_eq!(refused.status, 409, "{}", refused.body);
    let detail = refused.body["detail"].as_str().unwrap();
    assert!(detail.contains("quarantined") && detail.contains(first["id"].as_str().unwrap()), "{detail}");
    let mut forced = order.clone();
    forced["force"] = json!("the host was at fault");
    let again = halts(quarter, "shop", &forced, "while settling", 2);
    assert_eq!(again["forced"], "the host was at fault");
}

pub(crate) fn a_branch(quarter: &Quarter<'_>) {
    let target = quarter.fleet.commit("v7");
    quarter.fleet.publish("v7");
    let wanted = json!({"app": "shop", "branch": "main", "options": {"stages": [10, 100], "soak": "3s"}});
    let plan = quarter.post("rollouts/plan", &wanted);
    assert_eq!((plan.status, &plan.body["target"]), (200, &json!(target)), "{}", plan.body);
    // The branch moves between the plan and its start: that is said, and nothing is started.
    let start = json!({"app": "shop", "plan_hash": plan.body["hash"]});
    quarter.fleet.publish("v4");
    let moved = quarter.post("rollouts", &start);
    assert_eq!(moved.status, 409, "{}", moved.body);
    assert!(
        moved.body["reasons"].to_string().contains("the branch `main` moved"),
        "it names what moved: {}",
        moved.body
    );
    quarter.fleet.publish("v7");
    let before = quarter.shown("shop");
    let id = quarter.start(&start);
    let end = quarter.ended(&id, "completed");
    assert_eq!(end["target"], target, "{end:#}");
    all_run(quarter, "shop", &target, &before);
}

pub(crate) fn a_slow_start(quarter: &Quarter<'_>) {
    succeed(quarter, "slow", &quarter.fleet.commit("v4"));
    for host in quarter.app("slow").hosts {
        assert_eq!(quarter.fleet.answer(&host.name), "v4");
    }
}

pub(crate) fn crashes_after_a_while(quarter: &Quarter<'_>) {
    let order = order("late", &quarter.fleet.commit("v5"), &[10, 100], "15s");
    let end = halts(quarter, "late", &order, "soak", 2);
    let settled = end["stages"][0]["failed"].as_u64();
    assert_eq!(settled, Some(1), "it counts against its stage: {end:#}");
}

pub(crate) fn cannot_be_installed(quarter: &Quarter<'_>) {
    let order = order("late", &quarter.fleet.commit("v6"), &[10, 100], "3s");
    let end = halts(quarter, "late", &order, "install failed", 1);
    let because = end["services"][0]["because"].as_str().unwrap();
    assert!(because.contains("no matching package"), "it says what the install said: {because}");
}

pub(crate) fn the_fix(quarter: &Quarter<'_>) {
    succeed(quarter, "late", &quarter.fleet.commit("v7"));
}

pub(crate) fn a_dirty_tree(quarter: &Quarter<'_>) {
    let host = &quarter.app("dirty").hosts[0].name;
    quarter.fleet.fault(host, &["dirty"]);
    let before = quarter.shown("dirty");
    assert!(before[0].changes.contains("release.conf"), "{before:?}");
    let id = quarter.start(&order("dirty", &quarter.fleet.commit("v2"), &[100], "3s"));
    let end = quarter.ended(&id, "halted");
    let because = row(&end, host)["because"].as_str().unwrap();
    assert!(because.contains("nothing was changed") && because.contains("release.conf"), "{because}");
    assert_eq!(quarter.shown("dirty"), before);
    quarter.fleet.heal(host);
}
