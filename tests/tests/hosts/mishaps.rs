//! What happens to a host in the middle of its update, and what must come of it.

use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use super::fleet::Shown;
use super::program::{PATIENCE, eventually};
use super::quarter::{Quarter, row};
use super::releases::succeed;

/// How long a host stays cut off: long enough for several questions to it to fail.
const OUTAGE: Duration = Duration::from_secs(12);

/// An install writes this file when it begins; then it takes so long that a fault can meet it.
const AT_WORK: &str = "/tmp/at-work";

/// Longest until a host that is away is given up: connecting, the step's own limit, and two minutes of patience.
const GIVEN_UP_LIMIT: Duration = Duration::from_secs(60 + 120 + 120 + 30);

/// Starts a rollout of one host, waits until its install is at work there, and answers the rollout's name.
fn installing(quarter: &Quarter<'_>, app: &str, target: &str) -> (String, Shown) {
    let host = &quarter.app(app).hosts[0];
    quarter.fleet.exec(&host.name, &format!("rm -f {AT_WORK}"));
    let before = quarter.fleet.shown(&host.name);
    let id =
        quarter.start(&json!({"app": app, "target": target, "options": {"stages": [100], "soak": "3s"}}));
    let at_work = || (!quarter.fleet.exec(&host.name, &format!("ls {AT_WORK}")).is_empty()).then_some(());
    eventually(at_work, PATIENCE).unwrap_or_else(|| panic!("no install is at work\n{}", quarter.said()));
    (id, before)
}

/// The update ended as if nothing had happened, with one restart since `asked`.
fn arrived(quarter: &Quarter<'_>, app: &str, id: &str, target: &str, asked: usize) {
    let host = &quarter.app(app).hosts[0];
    let end = quarter.ended(id, "completed");
    let shown = quarter.fleet.shown(&host.name);
    assert_eq!((&*shown.head, shown.asked), (target, asked + 1), "{end:#}\n{}", quarter.said());
    assert_eq!(quarter.fleet.shown(&host.name).changes, "");
    quarter.only_rollouts_acted_on(&quarter.app(app).service(host), app);
}

pub(crate) fn a_cut_network(quarter: &Quarter<'_>) {
    let (host, target) = (&quarter.app("cut").hosts[0].name, quarter.fleet.commit("v2"));
    let (id, before) = installing(quarter, "cut", &target);
    quarter.fleet.fault(host, &["drop"]);
    thread::sleep(OUTAGE);
    let meanwhile = quarter.rollout(&id);
    assert_eq!(row(&meanwhile, host)["status"], "updating", "it is waited for: {meanwhile:#}");
    quarter.fleet.heal(host);
    arrived(quarter, "cut", &id, &target, before.asked);
}

pub(crate) fn a_power_cut(quarter: &Quarter<'_>) {
    let (host, target) = (&quarter.app("power").hosts[0].name, quarter.fleet.commit("v2"));
    let (id, _) = installing(quarter, "power", &target);
    quarter.fleet.fault(host, &["reset"]);
    // Its journal begins anew with it.
    arrived(quarter, "power", &id, &target, 0);
    assert_eq!(quarter.fleet.answer(host), "v2");
}

pub(crate) fn no_sshd(quarter: &Quarter<'_>) {
    let (host, target) = (&quarter.app("door").hosts[0].name, quarter.fleet.commit("v2"));
    let (id, before) = installing(quarter, "door", &target);
    // Sessions end with it, and with them the install.
    quarter.fleet.fault(host, &["sshd-stop"]);
    thread::sleep(OUTAGE);
    quarter.fleet.heal(host);
    arrived(quarter, "door", &id, &target, before.asked);
}

pub(crate) fn an_install_that_hangs(quarter: &Quarter<'_>) {
    let host = &quarter.app("hang").hosts[0].name;
    let (id, before) = installing(quarter, "hang", &quarter.fleet.commit("v2"));
    // The second is a child of the first, and comes a moment after it.
    let both = || (quarter.fleet.exec(host, "pgrep -fxc 'sleep 600'") == "2").then_some(());
    eventually(both, PATIENCE).unwrap_or_else(|| panic!("only one process hangs\n{}", quarter.said()));
    let end = quarter.ended(&id, "halted");
    let said = row(&end, host);
    assert_eq!(said["status"], "rolled_back", "{end:#}\n{}", quarter.said());
    assert!(said["because"].as_str().unwrap().contains("install failed"), "{said}");
    assert_eq!(quarter.fleet.exec(host, "pgrep -fxc 'sleep 600'"), "0", "its children are gone with it");
    assert_eq!(quarter.fleet.shown(host).head, before.head);
    quarter.only_rollouts_acted_on(host, "hang");
}

pub(crate) fn a_full_disk_before(quarter: &Quarter<'_>) {
    let host = &quarter.app("full").hosts[0].name;
    let (before, target) = (quarter.fleet.shown(host), quarter.fleet.commit("v2"));
    quarter.fleet.fault(host, &["disk-full"]);
    let id = quarter.start(&json!({"app": "full", "target": target, "options": {"soak": "3s"}}));
    let end = quarter.ended(&id, "halted");
    let said = row(&end, host);
    assert_eq!(said["status"], "rolled_back", "{end:#}\n{}", quarter.said());
    assert_eq!(quarter.fleet.shown(host), before, "nothing was changed: {said}");
    assert_eq!(quarter.fleet.shown(host).changes, "");
    quarter.fleet.heal(host);
    quarter.wait_for_status(host, "healthy");
    let retried = quarter.post(&format!("rollouts/{id}/retry"), &json!({"force": "the disk was full"}));
    assert_eq!(retried.status, 202, "{}", retried.body);
    assert_eq!(retried.body["retries"], *id, "{}", retried.body);
    quarter.ended(retried.body["id"].as_str().unwrap(), "completed");
    assert_eq!(quarter.fleet.shown(host).head, target);
}

pub(crate) fn a_full_disk_half_way(quarter: &Quarter<'_>) {
    let host = &quarter.app("full").hosts[0].name;
    let (id, before) = installing(quarter, "full", &quarter.fleet.commit("v7"));
    quarter.fleet.fault(host, &["disk-full"]);
    let end = quarter.ended(&id, "halted");
    let (said, service) = (row(&end, host), quarter.service(host));
    // A full disk may stand in the way back, too: then somebody is told, and nobody is deceived.
    match said["status"].as_str().unwrap() {
        "rolled_back" => {
            assert_eq!(quarter.fleet.shown(host).head, before.head, "{said}");
            assert_eq!(quarter.fleet.shown(host).changes, "");
            assert_eq!(service["needs_human"], Value::Null, "{service}");
        }
        "failed" => {
            assert!(!service["needs_human"].is_null(), "{service}");
            assert_eq!(service["breaker"]["state"], "open", "{service}");
        }
        other => panic!("{other}: {end:#}"),
    }
    quarter.fleet.heal(host);
    if said["status"] == "failed" {
        // What a person is told to do.
        let by_hand =
            format!("cd /srv/{host} && git checkout -q --force --detach {} && ./install.sh", before.head);
        quarter.fleet.exec(host, &format!("su -s /bin/sh deploy -c '{by_hand}'"));
        assert_eq!(quarter.fleet.shown(host).changes, "");
        assert_eq!(quarter.post(&format!("services/{host}/breaker/reset"), &json!({})).status, 200);
    }
    quarter.wait_for_status(host, "healthy");
    let (target, before) = (quarter.fleet.push("fresh", "fresh-1"), quarter.fleet.shown(host));
    let id = quarter.start(&json!({"app": "full", "target": target, "options": {"soak": "3s"}}));
    arrived(quarter, "full", &id, &target, before.asked);
}

pub(crate) fn no_remote(quarter: &Quarter<'_>) {
    let [near, away] = quarter.app("remote").hosts else { panic!("two hosts") };
    let target = quarter.fleet.push("far", "far-1");
    quarter.fleet.fault(&away.name, &["git-down"]);
    let before = quarter.fleet.shown(&away.name);
    let options = json!({"stages": [50, 100], "soak": "3s", "canaries": [near.name]});
    let id = quarter.start(&json!({"app": "remote", "target": target, "options": options}));
    let end = quarter.ended(&id, "halted");
    assert_eq!(row(&end, &near.name)["status"], "success", "{end:#}");
    let said = row(&end, &away.name);
    assert_eq!(said["status"], "rolled_back", "{end:#}");
    assert_eq!(quarter.fleet.shown(&away.name), before, "nothing was changed: {said}");
    quarter.fleet.heal(&away.name);
    // Nobody is asked about a version that no host can see.
    let unknown = quarter
        .post("rollouts", &json!({"app": "remote", "target": "0123456789abcdef0123456789abcdef01234567"}));
    assert_eq!(unknown.status, 400, "{}", unknown.body);
    succeed_on_one(quarter, &away.name);
}

fn succeed_on_one(quarter: &Quarter<'_>, host: &str) {
    let target = quarter.fleet.push("far", "far-2");
    let id = quarter.start(&json!({"app": "remote", "target": target, "options": {"soak": "3s"}}));
    quarter.ended(&id, "completed");
    assert_eq!(quarter.fleet.shown(host).head, target);
}

/// A host that stays away past every patience is given up, and taken back as soon as it answers.
pub(crate) fn a_vanished_host(quarter: &Quarter<'_>) {
    let host = &quarter.app("lost").hosts[0].name;
    let (id, before) = installing(quarter, "lost", &quarter.fleet.commit("v2"));
    quarter.fleet.fault(host, &["off"]);
    let is_over = |rollout: &Value| !rollout["ended_at"].is_null();
    let given_up = quarter.wait_within(GIVEN_UP_LIMIT, &id, "given up", is_over);
    assert_eq!((&given_up["status"], &row(&given_up, host)["status"]), (&json!("halted"), &json!("failed")));
    let lost = quarter.service(host);
    assert!(!lost["needs_human"].is_null(), "{lost}");
    quarter.fleet.heal(host);
    let back = quarter.wait_for_status(host, "healthy");
    assert_eq!(quarter.fleet.shown(host).head, before.head, "{back}\n{}", quarter.said());
    assert_eq!(quarter.fleet.shown(host).changes, "");
    assert_eq!(back["version"]["current"], *before.head, "{back}");
    quarter.only_rollouts_acted_on(host, "lost");
    succeed(quarter, "lost", &quarter.fleet.commit("v7"));
}
