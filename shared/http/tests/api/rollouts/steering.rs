//! Rollouts under way: who may steer and see what, and whose a service is meanwhile.

use super::*;

#[tokio::test]
async fn two_admins_cannot_steer_past_each_other() {
    let (house, code) = (House::new().await, Code::new());
    house.shop(&code, &SHOP).await;
    code.commit("second");
    let at = format!("{E}/rollouts/{}", house.rollout().await);
    let steer = async |verb: &str, tag: &str, body: Value| {
        let tag = [("if-match", tag)];
        house.call(Method::POST, &format!("{at}/{verb}"), &tag, Some(body)).await
    };
    let paused = steer("pause", "\"1\"", json!({})).await;
    assert_eq!((paused.status, paused.header("etag")), (200, "\"2\""), "{}", paused.text);
    assert_eq!((&paused.body["status"], &paused.body["paused"]["by"]), (&json!("paused"), &json!("root")));
    assert_eq!(steer("abort", "\"1\"", json!({})).await.status, 412, "it was looked at before the pause");
    assert_eq!(steer("pause", "*", json!({})).await.status, 409, "it is paused");
    assert_eq!(steer("pause", "*", json!({"reason": "x"})).await.status, 400);
    let resumed = steer("resume", "\"2\"", json!({})).await;
    assert_eq!((resumed.status, &resumed.body["status"]), (200, &json!("running")), "{}", resumed.text);
    assert_eq!(steer("resume", "*", json!({})).await.status, 409);
    assert_eq!(steer("retry", "*", json!({})).await.status, 409, "it is under way");
    let aborted = steer("abort", "\"3\"", json!({"roll_back": false})).await;
    assert_eq!((aborted.status, &aborted.body["status"]), (200, &json!("aborted")), "{}", aborted.text);
    for verb in ["pause", "resume", "abort"] {
        let over = steer(verb, "*", json!({})).await;
        assert_eq!((over.status, over.text.contains("over")), (409, true), "{verb}: {}", over.text);
    }
    let notices = house.env.store().outbox(10).await.unwrap();
    assert_eq!(notices.iter().filter(|one| one.notice.thread == "shop-1").count(), 1, "its end is told once");
    let again = steer("retry", "*", json!({})).await;
    assert_eq!(
        (again.status, &again.body["id"]),
        (202, &json!("shop-2")),
        "the app is free again: {}",
        again.text
    );
    assert_eq!(ids(&again.body["services"]).len(), 3, "none of them was begun");
}

#[tokio::test]
async fn an_owner_sees_their_own_rows_and_nothing_of_others() {
    let (house, code) = (House::new().await, Code::new());
    house.shop(&code, &SHOP).await;
    house.service("elsewhere", "true", Some("eve@example.com")).await;
    code.commit("second");
    let id = house.rollout().await;
    let at = format!("{E}/rollouts/{id}");
    let ada = house.token("ada", Scope::Owner, Some("ada@example.com")).await;
    let eve = house.token("eve", Scope::Owner, Some("eve@example.com")).await;
    let get = async |token: &str, path: &str| house.call_as(token, Method::GET, path, &[], None).await;
    let hers = get(&ada, &at).await;
    assert_eq!((hers.status, ids(&hers.body["services"])), (200, vec!["vps-001"]), "{}", hers.text);
    let sizes: u64 =
        hers.body["stages"].as_array().unwrap().iter().map(|stage| stage["size"].as_u64().unwrap()).sum();
    assert_eq!(sizes, 1, "{}", hers.text);
    assert!(!hers.text.contains("vps-002") && !hers.text.contains("vps-003"), "{}", hers.text);
    assert_eq!(get(&ada, &format!("{E}/rollouts")).await.body["items"][0]["id"], json!(id));
    let foreign = get(&eve, &at).await;
    let missing = get(&eve, &format!("{E}/rollouts/shop-9")).await;
    assert_eq!((foreign.status, missing.status), (404, 404));
    assert_eq!(
        foreign.text.replace("shop-1", ""),
        missing.text.replace("shop-9", ""),
        "no difference to see"
    );
    assert!(get(&eve, &format!("{E}/rollouts")).await.body["items"].as_array().unwrap().is_empty());
    let paused = house.call_as(&ada, Method::POST, &format!("{at}/pause"), &[], None).await;
    assert_eq!(paused.status, 403);
}

/// Gives a service to a rollout, half-way through its check-out.
async fn give_to_rollout(house: &House, service: &str, rollout: &str) {
    let store = house.env.store();
    let placed = store.load_service(&service.parse().unwrap()).await.unwrap().unwrap();
    let head = house.head(rollout).await;
    let mut next = placed.watch.clone();
    next.version += 1;
    next.action_no += 1;
    next.status = Status::Updating;
    next.because = "being brought to another version".to_owned();
    next.update = Some(Box::new(Updating {
        rollout: head.id.clone(),
        row: 0,
        target: head.target.clone(),
        previous: "a".repeat(40).parse().unwrap(),
        way: Way::Forward,
        step: UpdateStep::CheckOut,
        action_no: next.action_no,
        process: None,
        again: 0,
        until: house.now() + Duration::from_secs(300),
        back_because: None,
        stray: false,
    }));
    let mut becomes = head.clone();
    becomes.version += 1;
    becomes.begun += 1;
    becomes.under_way = vec![placed.spec.id.clone()];
    let step = Move {
        service: Some(Decision { next, effects: Vec::new() }),
        head: HeadPart::Becomes(Box::new(becomes)),
        row: None,
        app: None,
        effects: Vec::new(),
    };
    let done = store.commit_move(Fence::Person, Some(&placed), &step).await.unwrap();
    assert!(matches!(done, Commit::Done { .. }));
}

#[tokio::test]
async fn a_service_that_a_rollout_has_is_left_to_it() {
    let (house, code) = (House::new().await, Code::new());
    house.shop(&code, &SHOP).await;
    let target = code.commit("second");
    let id = house.rollout().await;
    give_to_rollout(&house, "vps-001", &id).await;
    let at = format!("{E}/services/vps-001");

    let shown = house.get(&at).await;
    let version = &shown.body["version"];
    assert_eq!(
        (&version["status"], &version["target"], &version["rollout"]),
        (&json!("updating"), &json!(target), &json!(id))
    );
    let why = house.get(&format!("{at}/why")).await;
    assert_eq!(
        (&why.body["rollout"]["id"], &why.body["rollout"]["step"]),
        (&json!(id), &json!("check out")),
        "{}",
        why.text
    );
    assert!(why.body["next"].as_str().unwrap().contains("check out"), "{}", why.text);
    let rollout = house.get(&format!("{E}/rollouts/{id}")).await;
    let row = rollout.body["services"].as_array().unwrap().iter().find(|row| row["id"] == "vps-001").unwrap();
    assert_eq!(
        (&row["status"], &row["way"], &row["step"]),
        (&json!("updating"), &json!("forward"), &json!("check out"))
    );
    assert!(rollout.body["waits_for"].as_str().unwrap().contains("`vps-001`"), "{}", rollout.text);

    for (verb, order) in [("restart", json!({})), ("hold", json!({"reason": "x"}))] {
        let refused = house.post(&format!("{at}/{verb}"), order).await;
        assert_eq!(refused.status, 409, "{verb}: {}", refused.text);
        assert!(
            refused.text.contains(&id) && refused.text.contains("rollout abort"),
            "{verb}: {}",
            refused.text
        );
    }
    for patch in [
        json!({"address": "127.0.0.2"}),
        json!({"restart": "never", "update": null}),
        json!({"check": {"command": "false"}}),
        json!({"update": {"branch": "next"}}),
    ] {
        let refused = house.call(Method::PATCH, &at, &[], Some(patch.clone())).await;
        assert_eq!((refused.status, refused.text.contains(&id)), (409, true), "{patch}: {}", refused.text);
    }
    let mut whole = shown.body["spec"].clone();
    whole["address"] = json!("127.0.0.3");
    assert_eq!(house.call(Method::PUT, &at, &[], Some(whole)).await.status, 409);
    let owner = house.call(Method::PATCH, &at, &[], Some(json!({"owner": "eve@example.com"}))).await;
    assert_eq!(owner.status, 200, "what a rollout does not stand on may change: {}", owner.text);
    assert_eq!(house.call(Method::DELETE, &at, &[], None).await.status, 204);
}
