//! Hooks: whom they let in, and what becomes of what comes in.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{Method, Request};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http_body_util::BodyExt as _;
use lamplighter_app::rollouts::{Waited, begin_waiting, seek_missed};
use lamplighter_core::notice::NoticeKind;
use lamplighter_core::rollout::{AppState, Quarantined};
use lamplighter_http::{Home, router};
use lamplighter_store::embedded::{Call, Injected, Intercept};
use serde_json::{Value, json};
use sha2::Sha256;
use tower::ServiceExt as _;
use zeroize::Zeroizing;

mod house;
use house::code::Code;
use house::{E, House, Said};

const GITHUB: &str = "/hooks/prod/github";
const STANDARD_HOOK: &str = "/hooks/prod/standard";
/// Secrets of this test alone.
const OLD: &str = "an old secret, in use until last week";
const NEW: &str = "a new secret, in use since last week";
const FORGOTTEN: &str = "a secret that was rotated out a year ago";
const STANDARD_KEY: &[u8] = b"0123456789abcdef0123456789abcdef";
const SHOP: [(&str, Option<&str>); 2] = [("vps-001", None), ("vps-002", None)];

/// A house with a hook of each kind.
async fn hooked() -> House {
    with_hooks(House::new().await).await
}

async fn with_hooks(house: House) -> House {
    write_secret(house.folder(), "old", OLD);
    write_secret(house.folder(), "new", NEW);
    write_secret(house.folder(), "standard", &format!("whsec_{}", STANDARD.encode(STANDARD_KEY)));
    let settings = json!({"admins": ["ops@example.com"], "hooks": {
        "github": {"kind": "github", "secret": ["file:old", "file:new"], "app": "shop", "repository": "acme/shop"},
        "standard": {"kind": "standard", "secret": "file:standard", "app": "shop"},
    }});
    let said = house.call(Method::PUT, &format!("{E}/settings"), &[], Some(settings)).await;
    assert_eq!(said.status, 200, "{}", said.text);
    house
}

fn write_secret(folder: &Path, name: &str, text: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

fn mac(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().to_vec()
}

fn hub(secret: &str, body: &str) -> String {
    let signature = mac(secret.as_bytes(), &[body.as_bytes()]);
    signature.iter().fold("sha256=".to_owned(), |text, byte| format!("{text}{byte:02x}"))
}

/// A call as GitHub makes it.
async fn github(house: &House, secret: &str, delivery: &str, event: &str, body: &Value) -> Said {
    let body = body.to_string();
    let signature = hub(secret, &body);
    let headers = [
        ("content-type", "application/json"),
        ("x-github-delivery", delivery),
        ("x-github-event", event),
        ("x-hub-signature-256", signature.as_str()),
    ];
    house.send(Method::POST, GITHUB, &headers, Body::from(body)).await
}

fn pushed(commit: &str) -> Value {
    json!({"ref": "refs/heads/main", "after": commit, "repository": {"full_name": "acme/shop"}})
}

/// A call as Standard Webhooks has it, made `ago` seconds ago.
async fn standard(house: &House, id: &str, ago: i64, body: &Value) -> Said {
    let (body, time) = (body.to_string(), (house.now().as_secs() - ago).to_string());
    let text: [&[u8]; 5] = [id.as_bytes(), b".", time.as_bytes(), b".", body.as_bytes()];
    let signature = format!("v1,{}", STANDARD.encode(mac(STANDARD_KEY, &text)));
    let headers = [
        ("content-type", "application/json"),
        ("webhook-id", id),
        ("webhook-timestamp", time.as_str()),
        ("webhook-signature", signature.as_str()),
    ];
    house.send(Method::POST, STANDARD_HOOK, &headers, Body::from(body)).await
}

async fn shop(house: &House) -> AppState {
    house.env.store().app_state(&"shop".parse().unwrap()).await.unwrap()
}

/// What is said to have become of each delivery of a hook, newest first.
async fn outcomes(house: &House, hook: &str) -> Vec<(String, String)> {
    let page = house.get(&format!("{E}/hooks/{hook}/deliveries")).await;
    assert_eq!(page.status, 200, "{}", page.text);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let items = page.body["items"].as_array().unwrap();
    items.iter().map(|item| (text(&item["id"]), text(&item["outcome"]))).collect()
}

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

type Headers = Vec<(&'static str, String)>;

/// A call with exactly these headers.
async fn raw(house: &House, path: &str, headers: &[(&str, &str)], body: &str) -> Said {
    house.send(Method::POST, path, headers, Body::from(body.to_owned())).await
}

#[tokio::test]
async fn whatever_is_wrong_with_a_calls_proof_it_is_the_same_401() {
    let (house, code) = (hooked().await, Code::new());
    house.shop(&code, &SHOP).await;
    let body = pushed(&code.commit("second")).to_string();
    let signature = hub(NEW, &body);
    let good = [
        ("x-github-delivery", "d-1"),
        ("x-github-event", "push"),
        ("x-hub-signature-256", signature.as_str()),
    ];
    let with = |name: &'static str, value: &str| {
        let value = value.to_owned();
        let mut headers: Headers = good.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        headers.retain(|(known, _)| *known != name);
        headers.push((name, value));
        headers
    };
    let mut cases: Vec<(&str, &str, Headers, String)> = Vec::new();
    let owned = || good.iter().map(|(name, value)| (*name, (*value).to_owned())).collect::<Headers>();
    cases.push(("unknown hook", "/hooks/prod/nosuch", owned(), body.clone()));
    cases.push(("unknown env", "/hooks/nowhere/github", owned(), body.clone()));
    cases.push(("another env's", "/hooks/dev/github", owned(), body.clone()));
    cases.push(("no name at all", "/hooks/prod/%FF", owned(), body.clone()));
    cases.push(("another kind", STANDARD_HOOK, owned(), body.clone()));
    cases.push(("a byte more", GITHUB, owned(), format!("{body} ")));
    cases.push(("a byte changed", GITHUB, owned(), body.replace("acme", "acne")));
    cases.push(("nothing signed", GITHUB, owned(), String::new()));
    cases.push(("no header", GITHUB, Vec::new(), body.clone()));
    cases.push(("rotated out", GITHUB, with("x-hub-signature-256", &hub(FORGOTTEN, &body)), body.clone()));
    cases.push(("an empty secret", GITHUB, with("x-hub-signature-256", &hub("", &body)), body.clone()));
    cases.push(("an empty signature", GITHUB, with("x-hub-signature-256", ""), body.clone()));
    let mut doubled = owned();
    doubled.push(("x-hub-signature-256", hub(FORGOTTEN, &body)));
    cases.push(("two signatures", GITHUB, doubled, body.clone()));
    let mut said = Vec::new();
    for (index, (what, path, headers, body)) in cases.iter().enumerate() {
        let headers: Vec<(&str, &str)> =
            headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        // Each from an address of its own, so that none has to wait.
        let answer = from(&house, [198, 51, 100, u8::try_from(index).unwrap()], path, &headers, body).await;
        assert_eq!(answer.0, 401, "{what}: {}", answer.1);
        said.push(answer);
    }
    for ago in [301, -301, 86_400] {
        let answer = standard(&house, "msg_1", ago, &json!({"commit": "a".repeat(40)})).await;
        assert_eq!(answer.status, 401, "{ago}: {}", answer.text);
        said.push((answer.status, answer.text));
    }
    assert!(said.iter().all(|one| *one == said[0]), "{said:#?}");
    assert_eq!(shop(&house).await.version, 0, "nothing came of any of them");
    for ago in [0, 299, -299] {
        let answer = standard(&house, &format!("msg_{ago}"), ago, &json!({"commit": "a".repeat(40)})).await;
        assert_eq!(answer.status, 202, "{ago}: {}", answer.text);
    }
    assert_eq!(raw(&house, GITHUB, &good, &body).await.status, 202, "the good one still is");
    assert_eq!(
        github(&house, OLD, "d-9", "ping", &json!({})).await.status,
        202,
        "signed by the older secret"
    );
}

/// A call from this address.
async fn from(
    house: &House,
    address: [u8; 4],
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> (u16, String) {
    let mut request = Request::post(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut request = request.body(Body::from(body.to_owned())).unwrap();
    request.extensions_mut().insert(ConnectInfo(SocketAddr::from((address, 4_711))));
    let response = house.router.clone().oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(bytes.to_vec()).unwrap())
}

#[tokio::test]
async fn who_fails_too_often_waits_and_who_proves_themselves_never_does() {
    let (house, code) = (hooked().await, Code::new());
    house.shop(&code, &SHOP).await;
    let commit = code.commit("second");
    let bad = async || github(&house, FORGOTTEN, "d-0", "push", &pushed(&commit)).await;
    for _ in 0..10 {
        assert_eq!(bad().await.status, 401);
    }
    let waits = bad().await;
    assert_eq!(waits.status, 429, "{}", waits.text);
    assert!(waits.header("retry-after").parse::<u64>().unwrap() <= 61);
    let good = github(&house, NEW, "d-1", "push", &pushed(&commit)).await;
    assert_eq!(good.status, 202, "all of GitHub calls from the same few addresses: {}", good.text);
    assert_eq!(house.get(&format!("{E}/services")).await.status, 200);
    let newcomer = house.token("new", lamplighter_store::Scope::Read, None).await;
    let seen = house.call_as(&newcomer, Method::GET, &format!("{E}/services"), &[], None).await;
    assert_eq!(seen.status, 200, "hooks keep nobody from the API");
}

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

#[tokio::test]
async fn no_answer_shows_a_secret() {
    let house = hooked().await;
    github(&house, NEW, "d-1", "ping", &json!({})).await;
    let settings = house.get(&format!("{E}/settings")).await;
    assert_eq!(settings.body["hooks"]["github"]["secret"], json!(["file:old", "file:new"]));
    let inline =
        json!({"hooks": {"x": {"kind": "github", "secret": NEW, "app": "shop", "repository": "a/b"}}});
    let refused = house.call(Method::PUT, &format!("{E}/settings"), &[], Some(inline)).await;
    assert_eq!(refused.status, 400, "{}", refused.text);
    for text in [refused.text, settings.text, house.get(&format!("{E}/audit")).await.text] {
        assert!(!text.contains(NEW) && !text.contains(OLD), "{text}");
    }
    write_secret(house.folder(), "new", "short");
    let problems = house.home.unusable_secrets(&house.env).await.unwrap();
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].contains("hook `github`") && problems[0].contains("too short"), "{problems:?}");
    assert_eq!(
        github(&house, "short", "d-2", "ping", &json!({})).await.status,
        401,
        "no secret at all proves more"
    );
    assert_eq!(github(&house, OLD, "d-3", "ping", &json!({})).await.status, 202, "the other goes on working");
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

#[tokio::test(start_paused = true)]
async fn calls_that_never_end_use_up_neither_the_api_nor_for_long_the_hooks() {
    let house = hooked().await;
    let slow = (0..64).map(|_| {
        let body =
            Body::from_stream(futures_util::stream::pending::<Result<axum::body::Bytes, std::io::Error>>());
        let request = Request::post(GITHUB).body(body).unwrap();
        tokio::spawn(house.router.clone().oneshot(request))
    });
    let slow: Vec<_> = slow.collect();
    // The runtime gives so many turns at once, and fewer than there are calls.
    for _ in 0..4 {
        tokio::task::yield_now().await;
    }
    let crowded = github(&house, NEW, "d-1", "ping", &json!({})).await;
    assert_eq!((crowded.status, crowded.header("retry-after")), (503, "1"), "{}", crowded.text);
    assert_eq!(house.get(&format!("{E}/services")).await.status, 200);
    for call in slow {
        assert_eq!(call.await.unwrap().unwrap().status(), 504);
    }
    assert_eq!(github(&house, NEW, "d-1", "ping", &json!({})).await.status, 202);
}

#[tokio::test]
async fn a_secret_in_the_vault_proves_calls_and_strangers_cannot_have_it_read_again() {
    let mut house = House::new().await;
    let reads = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&reads);
    let home = Home::new([Arc::clone(&house.env)], house.now(), "0.1.0").with_vault(move |name| {
        counted.fetch_add(1, Ordering::Relaxed);
        async move {
            match name.as_str() {
                "/hooks/github" => Ok(Zeroizing::new(format!("{NEW}\n"))),
                _ => Err("ParameterNotFound".to_owned()),
            }
        }
    });
    house.home = Arc::new(home.with_secrets_in(house.folder()));
    house.router = router(Arc::clone(&house.home));
    write_secret(house.folder(), "old", OLD);
    let settings = json!({"hooks": {
        "github": {"kind": "github", "secret": ["file:old", "ssm:/hooks/github"], "app": "shop", "repository": "acme/shop"},
        "standard": {"kind": "standard", "secret": "ssm:/hooks/missing", "app": "shop"},
    }});
    let said = house.call(Method::PUT, &format!("{E}/settings"), &[], Some(settings)).await;
    assert_eq!(said.status, 200, "{}", said.text);
    let nowhere = house.send(Method::POST, "/hooks/prod/nosuch", &[], Body::empty()).await;
    assert_eq!(nowhere.status, 401);
    assert_eq!(reads.load(Ordering::Relaxed), 2, "whichever hook is called, the secrets of all are read");
    for (id, secret, status) in
        [("d-1", NEW, 202), ("d-2", OLD, 202), ("d-3", FORGOTTEN, 401), ("d-4", FORGOTTEN, 401)]
    {
        assert_eq!(github(&house, secret, id, "ping", &json!({})).await.status, status, "{secret}");
    }
    assert_eq!(standard(&house, "m-1", 0, &json!({})).await.status, 401);
    let problems = house.home.unusable_secrets(&house.env).await.unwrap();
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(
        problems[0]
            .starts_with("hook `standard`: secret `ssm:/hooks/missing` cannot be read: ParameterNotFound"),
        "{problems:?}"
    );
    assert_eq!(reads.load(Ordering::Relaxed), 2, "neither proved nor unproved calls read again");
}
