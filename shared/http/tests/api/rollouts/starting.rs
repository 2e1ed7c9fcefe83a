//! Plans, and what is started of them.

use super::*;

#[tokio::test]
async fn what_was_planned_is_what_is_started() {
    let (house, code) = (House::new().await, Code::new());
    house.shop(&code, &SHOP).await;
    let target = code.commit("second");
    let plan = house.post(&format!("{E}/rollouts/plan"), json!({"app": "shop"})).await;
    assert_eq!((plan.status, &plan.body["target"]), (200, &json!(target)), "{}", plan.text);
    assert_eq!(plan.body["branch"], "main", "the branch that the services follow");
    let stages = plan.body["stages"].as_array().unwrap();
    assert_eq!(stages.iter().map(|stage| ids_of(&stage["services"])).collect::<Vec<_>>(), [1, 1, 1]);

    let order = json!({"app": "shop", "plan_hash": plan.body["hash"]});
    let started = house.post(&format!("{E}/rollouts"), order).await;
    assert_eq!(
        (started.status, started.header("location")),
        (202, "/v1/envs/prod/rollouts/shop-1"),
        "{}",
        started.text
    );
    assert_eq!(started.body["target"], json!(target));
    assert_eq!((&started.body["by"], &started.body["status"]), (&json!("root"), &json!("running")));
    let shown = house.get(started.header("location")).await;
    assert_eq!((shown.status, shown.header("etag")), (200, "\"1\""), "{}", shown.text);
    let mut all = ids(&shown.body["services"]);
    all.sort_unstable();
    assert_eq!(all, ["vps-001", "vps-002", "vps-003"]);
    assert_eq!((&shown.body["stage"], &shown.body["services"][0]["stage"]), (&json!(1), &json!(1)));

    let second = house.post(&format!("{E}/rollouts"), json!({"app": "shop"})).await;
    assert_eq!(second.status, 409, "{}", second.text);
    assert!(second.body["detail"].as_str().unwrap().contains("shop-1"), "{}", second.text);
    let list = house.get(&format!("{E}/rollouts?app=shop")).await;
    assert_eq!(
        (&list.body["items"][0]["id"], &list.body["items"][0]["services"]),
        (&json!("shop-1"), &Value::Null)
    );
    assert!(house.get(&format!("{E}/rollouts?app=other")).await.body["items"].as_array().unwrap().is_empty());
    let audit = house.get(&format!("{E}/audit")).await;
    assert!(audit.text.contains("rollout shop-1 started"), "{}", audit.text);
}

fn ids_of(services: &Value) -> usize {
    services.as_array().unwrap().len()
}

#[tokio::test]
async fn a_plan_that_reality_has_left_behind_is_refused_and_says_what_moved() {
    let (house, code) = (House::new().await, Code::new());
    house.shop(&code, &SHOP).await;
    code.commit("second");
    let plan = house.post(&format!("{E}/rollouts/plan"), json!({"app": "shop", "branch": "main"})).await;
    let order = json!({"app": "shop", "plan_hash": plan.body["hash"]});
    let third = code.commit("third");
    let hold = house.post(&format!("{E}/services/vps-002/hold"), json!({"reason": "moving house"})).await;
    assert_eq!(hold.status, 200, "{}", hold.text);
    let refused = house.post(&format!("{E}/rollouts"), order).await;
    assert_eq!(refused.status, 409, "{}", refused.text);
    let reasons = refused.body["reasons"].to_string();
    assert!(reasons.contains("vps-002") && reasons.contains(&third[..7]), "{reasons}");
    let unknown = house.post(&format!("{E}/rollouts"), json!({"app": "shop", "plan_hash": "0123"})).await;
    assert_eq!(unknown.status, 409, "{}", unknown.text);
    assert!(house.env.store().rollouts(None, 10).await.unwrap().items.is_empty(), "nothing was started");
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_with_what_to_do() {
    let (house, code) = (House::new().await, Code::new());
    house.shop(&code, &SHOP).await;
    house.service("plain", "true", None).await;
    let unknown = "f".repeat(40);
    let target = code.commit("second");
    for (order, status, says) in [
        (json!({}), 400, "app"),
        (json!({"app": "shpo"}), 404, "shpo"),
        (json!({"app": "rachel8", "target": target}), 409, "no service of `rachel8`"),
        (json!({"app": "rachel8"}), 400, "follows a branch"),
        (json!({"app": "shop", "target": "0123456"}), 400, "full commit hash"),
        (json!({"app": "shop", "target": "main"}), 400, "full commit hash"),
        (json!({"app": "shop", "target": unknown}), 400, &unknown[..7]),
        (json!({"app": "shop", "target": format!("sha256:{}", "a".repeat(64))}), 400, "digest"),
        (json!({"app": "shop", "branch": "nosuch"}), 400, "nosuch"),
        (json!({"app": "shop", "branch": "--upload-pack=x"}), 400, "branch"),
        (json!({"app": "shop", "branch": "main", "target": target}), 400, "both"),
        (json!({"app": "shop", "options": {"stages": [50]}}), 400, "options.stages"),
        (json!({"app": "shop", "options": {"at_once": 0}}), 400, "at_once"),
        (json!({"app": "shop", "options": {"canaries": ["nobody"]}}), 409, "nobody"),
        (json!({"app": "shop", "options": {"soaks": "1s"}}), 400, "soaks"),
        (json!({"app": "shop", "epoch": 7}), 400, "epoch"),
    ] {
        for path in ["rollouts/plan", "rollouts"] {
            let said = house.post(&format!("{E}/{path}"), order.clone()).await;
            assert_eq!(said.status, status, "{path} {order}: {}", said.text);
            assert!(said.text.contains(says), "{path} {order}: {}", said.text);
        }
    }
    for (path, status) in [("shop", 400), ("shop-0", 400), ("shop-9", 404), ("../tokens", 404)] {
        assert_eq!(house.get(&format!("{E}/rollouts/{path}")).await.status, status, "{path}");
    }
    house.call(Method::PUT, &format!("{E}/settings"), &[], Some(json!({"mode": "observe"}))).await;
    let said = house.post(&format!("{E}/rollouts"), json!({"app": "shop"})).await;
    assert_eq!((said.status, said.text.contains("does not act")), (409, true), "{}", said.text);
    assert!(house.env.store().rollouts(None, 10).await.unwrap().items.is_empty(), "nothing was started");
}

#[tokio::test]
async fn a_remote_that_does_not_answer_is_told_from_one_that_knows_nothing() {
    let (house, code) = (House::new().await, Code::new());
    house.shop(&code, &SHOP).await;
    code.takes_itself_away();
    let said = house.post(&format!("{E}/rollouts/plan"), json!({"app": "shop"})).await;
    assert_eq!(said.status, 503, "{}", said.text);
    assert!(said.text.contains("vps-00") && !said.header("retry-after").is_empty(), "{}", said.text);
}

#[tokio::test]
async fn of_two_starts_at_once_one_wins_and_the_other_is_told_its_name() {
    let (house, code) = (House::new().await, Code::new());
    house.shop(&code, &SHOP).await;
    code.commit("second");
    let path = format!("{E}/rollouts");
    let start = || house.post(&path, json!({"app": "shop"}));
    let (one, other, third) = tokio::join!(start(), start(), start());
    let mut statuses = [one.status, other.status, third.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [202, 409, 409], "{} {} {}", one.text, other.text, third.text);
    let lost = [&one, &other, &third].into_iter().find(|said| said.status == 409).unwrap();
    assert!(lost.text.contains("shop-1"), "{}", lost.text);
    assert_eq!(house.env.store().rollouts(None, 10).await.unwrap().items.len(), 1);
}

#[tokio::test]
async fn one_key_starts_one_rollout() {
    let (house, code) = (House::new().await, Code::new());
    house.shop(&code, &SHOP).await;
    code.commit("second");
    let key = [("idempotency-key", "\"k-1\"")];
    let path = format!("{E}/rollouts");
    let start = |order| house.call(Method::POST, &path, &key, Some(order));
    let first = start(json!({"app": "shop"})).await;
    let again = start(json!({"app": "shop"})).await;
    assert_eq!((first.status, again.status, again.header("idempotency-replayed")), (202, 202, "true"));
    assert_eq!((again.header("location"), &again.body["id"]), (first.header("location"), &first.body["id"]));
    assert_eq!(start(json!({"app": "shop", "branch": "main"})).await.status, 422);
}

#[tokio::test]
async fn a_version_that_did_harm_needs_a_reason() {
    let (house, code) = (House::new().await, Code::new());
    house.shop(&code, &SHOP).await;
    let target = code.commit("second");
    let harmful = Quarantined {
        version: target.parse().unwrap(),
        rollout: "shop-7".parse().unwrap(),
        because: "2 of 5 failed in stage 1".to_owned(),
        at: house.now(),
    };
    let app = AppState {
        version: 1,
        rollouts: 7,
        quarantined: vec![harmful],
        ..AppState::new("shop".parse().unwrap())
    };
    let done = house.env.store().put_app_state(&app, Vec::new()).await.unwrap();
    assert!(matches!(done, Commit::Done { .. }));
    let path = format!("{E}/rollouts");
    let start = |force: Option<&str>| {
        let mut order = json!({"app": "shop", "target": target});
        order["force"] = force.map_or(Value::Null, |force| json!(force));
        house.post(&path, order)
    };
    let refused = start(None).await;
    assert_eq!((refused.status, refused.text.contains("shop-7")), (409, true), "{}", refused.text);
    assert_eq!(start(Some(" \n ")).await.status, 400);
    let forced = start(Some("the disk was full")).await;
    assert_eq!((forced.status, &forced.body["id"]), (202, &json!("shop-8")), "{}", forced.text);
    assert_eq!(forced.body["forced"], "the disk was full");
    assert!(house.get(&format!("{E}/audit")).await.text.contains("forced: the disk was full"));
    let app = house.env.store().app_state(&app.app).await.unwrap();
    assert_eq!(app.quarantined.len(), 1, "it stays quarantined");
}

#[tokio::test]
async fn what_failed_is_retried_and_nothing_else() {
    let (house, code) = (House::new().await, Code::new());
    let shop = ["vps-001", "vps-002", "vps-003", "vps-004"].map(|id| (id, None));
    house.shop(&code, &shop).await;
    let picky = format!("{E}/services/vps-003");
    let install = json!({"update": {"install": "! grep --quiet second app"}});
    assert_eq!(house.call(Method::PATCH, &picky, &[], Some(install)).await.status, 200);
    let target = code.commit("second");
    let order = json!({"app": "shop", "options": {"stages": [100], "soak": "0s"}});
    assert_eq!(house.post(&format!("{E}/rollouts"), order).await.status, 202);
    let first = ended(&house, "shop-1").await;
    assert_eq!(first["status"], "completed_with_failures", "{first:#}");
    let row = first["services"].as_array().unwrap().iter().find(|row| row["id"] == "vps-003").unwrap();
    assert_eq!(row["status"], "rolled_back", "{row:#}");
    assert_eq!(
        ["vps-001", "vps-002", "vps-003", "vps-004"].map(|id| code.text_of(id)),
        ["second", "second", "first", "second"]
    );
    let version = house.get(&format!("{E}/services/vps-001")).await.body["version"].clone();
    assert_eq!(
        (&version["current"], &version["status"], &version["rollout"]),
        (&json!(target), &json!("success"), &json!("shop-1"))
    );

    assert_eq!(
        house.call(Method::PATCH, &picky, &[], Some(json!({"update": {"install": null}}))).await.status,
        200
    );
    let retry =
        || house.call(Method::POST, "/v1/envs/prod/rollouts/shop-1/retry", &[("idempotency-key", "k")], None);
    let again = retry().await;
    assert_eq!(
        (again.status, again.header("location")),
        (202, "/v1/envs/prod/rollouts/shop-2"),
        "{}",
        again.text
    );
    assert_eq!((&again.body["retries"], ids(&again.body["services"])), (&json!("shop-1"), vec!["vps-003"]));
    assert_eq!(retry().await.header("idempotency-replayed"), "true");
    let second = ended(&house, "shop-2").await;
    assert_eq!(
        (&second["status"], code.text_of("vps-003")),
        (&json!("completed"), "second".to_owned()),
        "{second:#}"
    );
    let nothing = house.post("/v1/envs/prod/rollouts/shop-2/retry", json!({})).await;
    assert_eq!((nothing.status, nothing.text.contains("nothing failed")), (409, true), "{}", nothing.text);
}
