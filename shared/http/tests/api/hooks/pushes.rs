//! What a push starts, and when it waits.

use super::*;

#[tokio::test]
async fn a_push_starts_a_rollout_of_what_was_pushed() {
    let (house, code) = (hooked().await, Code::new());
    house.shop(&code, &SHOP).await;
    let commit = code.commit("second");
    let said = github(&house, NEW, "d-1", "push", &pushed(&commit)).await;
    assert_eq!((said.status, &said.body["repeat"]), (202, &json!(false)), "{}", said.text);
    tokio::time::timeout(std::time::Duration::from_secs(5), house.env.advance_bell.rung()).await.unwrap();
    let begun = begin_waiting(&house.env, &shop(&house).await).await.unwrap();
    assert_eq!(begun, Waited::Started("shop-1".parse().unwrap()));
    let head = house.head("shop-1").await;
    assert_eq!(
        (head.target.as_str(), head.by.as_str(), head.branch.as_deref()),
        (commit.as_str(), "hook github", Some("main"))
    );
    assert_eq!(outcomes(&house, "github").await, [("d-1".to_owned(), "started rollout shop-1".to_owned())]);
    assert_eq!(shop(&house).await.waiting, None);
    let audit = house.get(&format!("{E}/audit")).await;
    assert!(
        audit.text.contains("hook github") && audit.text.contains("rollout shop-1 started"),
        "{}",
        audit.text
    );
}

#[tokio::test]
async fn a_repeat_starts_nothing_new_under_whatever_id() {
    let (house, code) = (hooked().await, Code::new());
    house.shop(&code, &SHOP).await;
    let push = pushed(&code.commit("second"));
    let call = |id| github(&house, NEW, id, "push", &push);
    let (one, other) = tokio::join!(call("d-1"), call("d-1"));
    assert_eq!((one.status, other.status), (202, 202), "{} {}", one.text, other.text);
    let repeats = [&one, &other].iter().filter(|said| said.body["repeat"] == true).count();
    assert_eq!(repeats, 1, "{} {}", one.text, other.text);
    let version = shop(&house).await.version;
    begin_waiting(&house.env, &shop(&house).await).await.unwrap();
    for id in ["d-1", "d-2"] {
        let again = call(id).await;
        assert_eq!((again.status, &again.body["repeat"]), (202, &json!(true)), "{id}: {}", again.text);
        assert_eq!(again.body["outcome"], "started rollout shop-1", "{id}: {}", again.text);
    }
    assert_eq!((version, shop(&house).await.version), (1, 2), "one push, one start");

    let body = json!({"commit": code.commit("third")});
    let first = standard(&house, "msg_1", 0, &body).await;
    let retried = standard(&house, "msg_1", -7, &body).await;
    let anew = standard(&house, "msg_2", 0, &body).await;
    assert_eq!(
        (&first.body["repeat"], &retried.body["repeat"], &anew.body["repeat"]),
        (&json!(false), &json!(true), &json!(false))
    );
}

#[tokio::test]
async fn a_push_during_a_rollout_waits_and_the_newest_wins() {
    let (house, code) = (hooked().await, Code::new());
    house.shop(&code, &SHOP).await;
    code.commit("second");
    let id = house.rollout().await;
    let (third, fourth) = (code.commit("third"), code.commit("fourth"));
    let said = github(&house, NEW, "d-3", "push", &pushed(&third)).await;
    assert!(said.body["outcome"].as_str().unwrap().contains(&id), "{}", said.text);
    github(&house, NEW, "d-4", "push", &pushed(&fourth)).await;
    let waits = begin_waiting(&house.env, &shop(&house).await).await.unwrap();
    assert!(matches!(waits, Waited::StillWaits(_)), "{waits:?}");
    let told = outcomes(&house, "github").await;
    assert_eq!(told[1], ("d-3".to_owned(), "was passed over: delivery d-4 is newer".to_owned()));
    house.post(&format!("{E}/rollouts/{id}/abort"), json!({})).await;
    let begun = begin_waiting(&house.env, &shop(&house).await).await.unwrap();
    assert_eq!(begun, Waited::Started("shop-2".parse().unwrap()));
    assert_eq!(house.head("shop-2").await.target.as_str(), fourth);
    assert_eq!(outcomes(&house, "github").await[0].1, "started rollout shop-2");
}

#[tokio::test]
async fn a_push_that_cannot_be_rolled_out_is_let_go_and_told() {
    let (house, code) = (hooked().await, Code::new());
    house.shop(&code, &SHOP).await;
    let harmful = code.commit("second");
    let app = AppState {
        version: 1,
        quarantined: vec![Quarantined {
            version: harmful.parse().unwrap(),
            rollout: "shop-7".parse().unwrap(),
            because: "2 of 2 failed".to_owned(),
            at: house.now(),
        }],
        ..AppState::new("shop".parse().unwrap())
    };
    house.env.store().put_app_state(&app, Vec::new()).await.unwrap();
    for (id, commit, why) in [("d-1", harmful.as_str(), "quarantined"), ("d-2", &"f".repeat(40), "fffffff")] {
        assert_eq!(github(&house, NEW, id, "push", &pushed(commit)).await.status, 202);
        let let_go = begin_waiting(&house.env, &shop(&house).await).await.unwrap();
        assert!(matches!(&let_go, Waited::LetGo(because) if because.contains(why)), "{let_go:?}");
        assert_eq!(shop(&house).await.waiting, None);
        assert!(outcomes(&house, "github").await[0].1.starts_with("was not rolled out: "));
    }
    let notices = house.env.store().outbox(10).await.unwrap();
    let refused: Vec<_> = notices.iter().filter(|one| one.notice.kind == NoticeKind::PushRefused).collect();
    assert_eq!(refused.len(), 2);
    assert!(refused.iter().all(|one| one.notice.to.len() == 1 && one.notice.thread == "shop.push"));
    assert!(house.get(&format!("{E}/audit")).await.text.contains("push not rolled out"));
    assert!(house.env.store().rollouts(None, 10).await.unwrap().items.is_empty());
}

#[tokio::test]
async fn a_push_waits_for_a_remote_that_does_not_answer_and_for_an_env_that_does_not_act() {
    let (house, code) = (hooked().await, Code::new());
    house.shop(&code, &SHOP).await;
    let commit = code.commit("second");
    github(&house, NEW, "d-1", "push", &pushed(&commit)).await;
    code.takes_itself_away();
    for _ in 0..2 {
        let waits = begin_waiting(&house.env, &shop(&house).await).await.unwrap();
        assert!(matches!(waits, Waited::StillWaits(_)), "{waits:?}");
    }
    assert!(outcomes(&house, "github").await[0].1.starts_with("waits: nobody answered"));
    code.is_back();
    let settings = house.get(&format!("{E}/settings")).await.body;
    let with_mode = |mode: &str| {
        let mut settings = settings.clone();
        settings["mode"] = json!(mode);
        house.call(Method::PUT, "/v1/envs/prod/settings", &[], Some(settings))
    };
    assert_eq!(with_mode("observe").await.status, 200);
    let waits = begin_waiting(&house.env, &shop(&house).await).await.unwrap();
    assert!(matches!(waits, Waited::StillWaits(_)), "{waits:?}");
    assert_eq!(with_mode("act").await.status, 200);
    let begun = begin_waiting(&house.env, &shop(&house).await).await.unwrap();
    assert!(matches!(begun, Waited::Started(_)), "{begun:?}");
}

#[tokio::test]
async fn pushes_at_once_are_all_taken_in_and_one_of_them_waits() {
    let (house, code) = (hooked().await, Code::new());
    house.shop(&code, &SHOP).await;
    let calls = (0..8).map(|number| {
        let (house, push) = (&house, pushed(&format!("{:040}", number + 1)));
        async move { github(house, NEW, &format!("d-{number}"), "push", &push).await }
    });
    for said in futures_util::future::join_all(calls).await {
        assert_eq!((said.status, &said.body["repeat"]), (202, &json!(false)), "{}", said.text);
    }
    let app = shop(&house).await;
    let waits = app.waiting.unwrap().delivery;
    let told = outcomes(&house, "github").await;
    let passed_over = told.iter().filter(|(_, outcome)| outcome.starts_with("was passed over")).count();
    assert_eq!((app.version, told.len(), passed_over), (8, 8, 7), "{told:?}");
    assert!(told.iter().any(|(id, outcome)| *id == waits && !outcome.starts_with("was passed over")));
}
