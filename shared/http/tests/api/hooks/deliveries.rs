//! What becomes of a delivery: nothing to do, once more, or found though it never came.

use super::*;

#[tokio::test]
async fn what_is_signed_and_not_our_business_is_nothing_to_do() {
    let (house, code) = (hooked().await, Code::new());
    house.shop(&code, &SHOP).await;
    let commit = code.commit("second");
    let elsewhere =
        json!({"ref": "refs/heads/main", "after": commit, "repository": {"full_name": "acme/other"}});
    let branch = json!({"ref": "refs/heads/next", "after": commit, "repository": {"full_name": "acme/shop"}});
    for (id, event, body, says) in [
        ("d-1", "ping", json!({"zen": "x"}), "the hook works"),
        ("d-2", "issues", json!({}), "`issues` is not a push"),
        ("d-3", "push", elsewhere, "`acme/other`"),
        ("d-4", "push", branch, "`next`"),
    ] {
        let said = github(&house, NEW, id, event, &body).await;
        assert_eq!(said.status, 202, "{id}: {}", said.text);
        assert!(said.body["outcome"].as_str().unwrap().contains(says), "{id}: {}", said.text);
    }
    assert_eq!(outcomes(&house, "github").await.len(), 4, "all are remembered");
    assert_eq!(shop(&house).await.version, 0);
    for (id, body) in [
        ("d-5", pushed("0123456")),
        ("d-6", pushed("--upload-pack=x")),
        ("d-7", json!({})),
        ("d-8", json!("x")),
    ] {
        let said = github(&house, NEW, id, "push", &body).await;
        assert_eq!(said.status, 400, "{id}: {}", said.text);
    }
    let large = json!({"x": "y".repeat(300 * 1_024)});
    assert_eq!(github(&house, NEW, "d-9", "push", &large).await.status, 413);
    assert_eq!(
        raw(&house, "/hooks/prod/nosuch", &[], &large.to_string()).await.status,
        413,
        "before all else"
    );
    assert_eq!(house.get(GITHUB).await.status, 405);
}

#[tokio::test]
async fn an_admin_may_have_a_delivery_acted_on_once_more() {
    let (house, code) = (hooked().await, Code::new());
    house.shop(&code, &SHOP).await;
    let commit = code.commit("second");
    github(&house, NEW, "d-1", "push", &pushed(&commit)).await;
    begin_waiting(&house.env, &shop(&house).await).await.unwrap();
    house.post(&format!("{E}/rollouts/shop-1/abort"), json!({})).await;
    let at = format!("{E}/hooks/github/deliveries");
    let again = house.post(&format!("{at}/d-1/redeliver"), json!({})).await;
    assert_eq!((again.status, &again.body["target"]), (202, &json!(commit)), "{}", again.text);
    let begun = begin_waiting(&house.env, &shop(&house).await).await.unwrap();
    assert_eq!(begun, Waited::Started("shop-2".parse().unwrap()));
    assert_eq!(outcomes(&house, "github").await[0].1, "started rollout shop-2");
    github(&house, NEW, "d-2", "ping", &json!({})).await;
    assert_eq!(
        house.post(&format!("{at}/d-2/redeliver"), json!({})).await.status,
        409,
        "it asked for nothing"
    );
    assert_eq!(house.post(&format!("{at}/nosuch/redeliver"), json!({})).await.status, 404);
    assert_eq!(house.get(&format!("{E}/hooks/nosuch/deliveries")).await.status, 404);
    assert_eq!(house.get(&format!("{E}/hooks/a%20b/deliveries")).await.status, 400);
}

/// Loses the answer to the next transaction after it took place, once it is told to.
#[derive(Default)]
struct LostAnswer(AtomicBool);

impl Intercept for LostAnswer {
    fn before(&self, _: &Call<'_>) -> Injected {
        Injected::Proceed
    }

    fn after(&self, call: &Call<'_>) -> Injected {
        let lost = call.operation == "TransactWriteItems" && self.0.swap(false, Ordering::Relaxed);
        if lost { Injected::TimedOut } else { Injected::Proceed }
    }
}

#[tokio::test]
async fn a_push_whose_answer_was_lost_is_there_once_when_it_is_sent_again() {
    let fault = Arc::new(LostAnswer::default());
    let house = with_hooks(House::with_faults(Arc::clone(&fault) as Arc<dyn Intercept>).await).await;
    let code = Code::new();
    house.shop(&code, &SHOP).await;
    let push = pushed(&code.commit("second"));
    fault.0.store(true, Ordering::Relaxed);
    let lost = github(&house, NEW, "d-1", "push", &push).await;
    assert_eq!(lost.status, 503, "{}", lost.text);
    let again = github(&house, NEW, "d-1", "push", &push).await;
    assert_eq!((again.status, &again.body["repeat"]), (202, &json!(true)), "{}", again.text);
    assert_eq!((shop(&house).await.version, shop(&house).await.waiting.is_some()), (1, true));
}

#[tokio::test]
async fn a_push_whose_call_never_came_is_found_and_nothing_older_is_begun_again() {
    let (house, code) = (hooked().await, Code::new());
    house.shop(&code, &SHOP).await;
    let seek = async || seek_missed(&house.env).await.unwrap();
    let second = code.commit("second");
    github(&house, NEW, "d-1", "ping", &json!({})).await;
    assert_eq!(seek().await, 0, "nothing is begun by configuring a hook");
    github(&house, NEW, "d-2", "push", &pushed(&second)).await;
    assert_eq!(seek().await, 0, "its call came");
    begin_waiting(&house.env, &shop(&house).await).await.unwrap();
    house.post(&format!("{E}/rollouts/shop-1/abort"), json!({})).await;
    assert_eq!(seek().await, 0, "a person had the last word");

    let third = code.commit("third");
    code.takes_itself_away();
    assert_eq!(seek().await, 0, "nobody answers");
    code.is_back();
    assert_eq!(seek().await, 1);
    assert_eq!(shop(&house).await.waiting.unwrap().target.as_str(), third);
    assert_eq!(
        outcomes(&house, "github").await[0],
        (format!("missed-{third}"), "is rolled out in a moment".to_owned())
    );
    assert_eq!(seek().await, 0, "it is found once");
    let late = github(&house, NEW, "d-3", "push", &pushed(&third)).await;
    assert_eq!(late.status, 202, "{}", late.text);
    let begun = begin_waiting(&house.env, &shop(&house).await).await.unwrap();
    assert_eq!(begun, Waited::Started("shop-2".parse().unwrap()));
    house.post(&format!("{E}/rollouts/shop-2/abort"), json!({})).await;
    let fourth = code.commit("fourth");
    let by_hand = house.post(&format!("{E}/rollouts"), json!({"app": "shop", "target": fourth})).await;
    assert_eq!(by_hand.status, 202, "{}", by_hand.text);
    house.post(&format!("{E}/rollouts/shop-3/abort"), json!({})).await;
    assert_eq!(seek().await, 0, "it was rolled out by hand");
}
