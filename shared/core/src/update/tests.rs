//! Facts about `update`: what it may say, and which steps follow from it.

use serde_json::{Value, json};

use super::*;

fn read(written: Value) -> Result<Update, String> {
    serde_json::from_value(written).map_err(|error| error.to_string())
}

fn good(written: Value) -> Update {
    read(written).unwrap()
}

fn systemd() -> Restart {
    Restart::Systemd("web".parse().unwrap())
}

/// Every form that `update` has, with the steps of both ways.
#[test]
fn every_form_has_its_steps() {
    use UpdateStep::{After, Before, CheckOut, Install, Own, Restart, Rollback};
    for (written, forward, back) in [
        (json!({ "dir": "/srv/web" }), vec![CheckOut, Restart], vec![CheckOut, Restart]),
        (
            json!({ "dir": "/srv/web", "branch": "release/2.x", "install": "bun install" }),
            vec![CheckOut, Install, Restart],
            vec![CheckOut, Install, Restart],
        ),
        (
            json!({ "dir": "/srv/web", "before": "./drain", "install": "make", "after": "./fill", "rollback": "./undo" }),
            vec![Before, CheckOut, Install, Restart, After],
            vec![Rollback, CheckOut, Install, Restart],
        ),
        (
            json!({ "docker": "ghcr.io/acme/web", "dir": "/srv/web", "service": "web" }),
            vec![CheckOut, Restart],
            vec![CheckOut, Restart],
        ),
        (
            json!({ "docker": "registry:5000/web", "dir": "/srv/web", "service": "web", "before": "a", "after": "b", "rollback": "c" }),
            vec![Before, CheckOut, Restart, After],
            vec![Rollback, CheckOut, Restart],
        ),
        (
            json!({ "dir": "/srv/web", "version": "cat VERSION", "steps": [{ "run": "a", "back": "b" }, { "run": "c", "back": "d" }] }),
            vec![Own(0), Own(1), Restart],
            vec![Own(1), Own(0), Restart],
        ),
        (
            json!({ "version": "cat VERSION", "steps": [{ "run": "a", "back": "b" }] }),
            vec![Own(0), Restart],
            vec![Own(0), Restart],
        ),
    ] {
        let update = good(written.clone());
        update.check(&systemd()).unwrap();
        assert_eq!(update.steps(Way::Forward), forward, "{written}");
        assert_eq!(update.steps(Way::Back), back, "{written}");
        for way in [Way::Forward, Way::Back] {
            let steps = update.steps(way);
            let mut walked = vec![steps[0]];
            while let Some(next) = update.step_after(way, walked[walked.len() - 1]) {
                walked.push(next);
            }
            assert_eq!(walked, steps, "each step leads to the next, and the last to none");
        }
        assert!(good(serde_json::to_value(&update).unwrap()) == update, "{written} is written as it is read");
    }
}

#[test]
fn a_step_is_none_of_another_way() {
    let update = good(json!({ "dir": "/srv/web", "before": "./drain", "rollback": "./undo" }));
    assert_eq!(update.step_after(Way::Back, UpdateStep::Before), None);
    assert_eq!(update.step_after(Way::Forward, UpdateStep::Rollback), None);
    assert_eq!(update.step_after(Way::Forward, UpdateStep::Own(0)), None);
}

#[test]
fn only_a_checkout_follows_a_branch() {
    assert_eq!(good(json!({ "dir": "/srv/web" })).branch(), Some("main"), "unless it is told otherwise");
    assert_eq!(good(json!({ "dir": "/srv/web", "branch": "next" })).branch(), Some("next"));
    assert_eq!(good(json!({ "docker": "web", "dir": "/srv", "service": "web" })).branch(), None);
    assert_eq!(good(json!({ "version": "v", "steps": [{ "run": "a", "back": "b" }] })).branch(), None);
}

#[test]
fn what_contradicts_itself_is_refused_with_what_to_do() {
    let step = json!([{ "run": "a", "back": "b" }]);
    for (written, said) in [
        (json!({}), "`dir` is missing; write the absolute path"),
        (json!({ "branch": "main" }), "`dir` is missing"),
        (json!({ "dri": "/x" }), "unknown field `dri`"),
        (json!({ "dir": "/x", "install": "" }), "a command is one line"),
        (json!({ "dir": "/x", "install": "a\nb" }), "a command is one line"),
        (json!({ "dir": "/x", "service": "web" }), "`service` belongs to `docker`"),
        (json!({ "dir": "/x", "version": "v" }), "`version` belongs to `steps`"),
        (json!({ "docker": "web" }), "`docker` lacks `dir` or `service`"),
        (json!({ "docker": "web", "dir": "/x" }), "`docker` lacks `dir` or `service`"),
        (json!({ "docker": "web:latest", "dir": "/x", "service": "web" }), "is not an image name"),
        (json!({ "docker": "web@sha256:00", "dir": "/x", "service": "web" }), "is not an image name"),
        (json!({ "docker": "-v", "dir": "/x", "service": "web" }), "is not an image name"),
        (json!({ "docker": "web", "dir": "/x", "service": "$(id)" }), "is not a container name"),
        (json!({ "docker": "web", "dir": "/x", "service": "web", "branch": "main" }), "leave out `branch`"),
        (json!({ "docker": "web", "dir": "/x", "service": "web", "steps": step }), "leave out `branch`"),
        (json!({ "steps": step }), "`steps` lack `version`"),
        (json!({ "version": "v", "steps": step, "install": "a" }), "`steps` are all that is run"),
        (json!({ "version": "v", "steps": step, "rollback": "a" }), "`steps` are all that is run"),
        (json!({ "version": "v", "steps": [{ "run": "a" }] }), "missing field `back`"),
        (
            json!({ "version": "v", "steps": [{ "run": "a", "back": "b", "undo": "c" }] }),
            "unknown field `undo`",
        ),
    ] {
        let refused = read(written.clone()).expect_err(&written.to_string());
        assert!(refused.contains(said), "{written}: {refused}");
    }
}

#[test]
fn what_cannot_be_carried_out_is_refused() {
    let refused = |written: Value, restart: &Restart| {
        good(written.clone()).check(restart).map_err(|bad| bad.to_string()).expect_err(&written.to_string())
    };
    for dir in ["", "web", "~/web", "./web", "/srv/\u{0}web", &format!("/{}", "x".repeat(512))] {
        let said = refused(json!({ "dir": dir }), &systemd());
        assert!(said.starts_with("`update.dir`: not a path; write an absolute one"), "{said}");
        refused(json!({ "docker": "web", "dir": dir, "service": "web" }), &systemd());
        refused(json!({ "dir": dir, "version": "v", "steps": [{ "run": "a", "back": "b" }] }), &systemd());
    }
    let said = refused(json!({ "dir": "/x", "branch": "-c core.sshCommand=id" }), &systemd());
    assert!(said.starts_with("`update.branch`: not a branch; "), "{said}");
    let steps: Vec<Value> = (0..=MAX_OWN_STEPS).map(|_| json!({ "run": "a", "back": "b" })).collect();
    let said = refused(json!({ "version": "v", "steps": steps }), &systemd());
    assert_eq!(
        said,
        format!("`update.steps`: more than {MAX_OWN_STEPS}; put what belongs together into one script")
    );
    for never in [json!({ "dir": "/x" }), json!({ "version": "v", "steps": [{ "run": "a", "back": "b" }] })] {
        let said = refused(never, &Restart::Never);
        assert!(said.contains("its process stays the old one"), "{said}");
    }
    let container = good(json!({ "docker": "web", "dir": "/x", "service": "web" }));
    assert_eq!(container.check(&Restart::Never), Ok(()), "its update recreates it");
}

#[test]
fn a_branch_is_no_option_range_or_refspec() {
    for branch in ["main", "release/2.x", "v1", "feature/a_b-c", "0", &"b".repeat(200)] {
        assert!(is_branch(branch), "{branch}");
    }
    for no_branch in [
        "",
        "-",
        "-b",
        "--upload-pack=id",
        "a..b",
        "a b",
        "a:b",
        "+main",
        "^main",
        "a~1",
        "HEAD^",
        "a@{1}",
        "refs/*",
        "a//b",
        "a/",
        "/a",
        ".a",
        "a/.b",
        "a.",
        "a.lock",
        "a\nb",
        "caf\u{e9}",
        "$(id)",
        "a;id",
        "a\\b",
        &"b".repeat(201),
    ] {
        assert!(!is_branch(no_branch), "{no_branch}");
    }
}

#[test]
fn steps_are_named_for_people_and_counted_from_one() {
    let names = |written: Value, way| {
        good(written).steps(way).iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    };
    let all = json!({ "dir": "/x", "before": "a", "install": "b", "after": "c", "rollback": "d" });
    assert_eq!(names(all.clone(), Way::Forward), "before, check out, install, restart, after");
    assert_eq!(names(all, Way::Back), "rollback, check out, install, restart");
    let own = json!({ "version": "v", "steps": [{ "run": "a", "back": "b" }, { "run": "c", "back": "d" }] });
    assert_eq!(names(own, Way::Back), "step 2, step 1, restart");
}
