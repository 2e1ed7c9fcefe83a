//! What a person asks for, once and no more; and what is told of it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::http::Method;
use lamplighter_store::Scope;
use lamplighter_store::embedded::{Call, Injected, Intercept};
use serde_json::{Value, json};

use crate::house::{E, House};

fn hold(reason: &str) -> Option<Value> {
    Some(json!({"reason": reason, "lasts": "2h"}))
}

/// The number of the last action on `vps-001`.
async fn action_no(house: &House) -> u64 {
    let id = "vps-001".parse().unwrap();
    house.env.store().load_service(&id).await.unwrap().unwrap().watch.action_no
}

#[tokio::test]
async fn one_key_is_one_piece_of_work() {
    let house = House::new().await;
    house.service("vps-001", "true", None).await;
    house.sweep(0).await;
    let before = action_no(&house).await;
    let path = format!("{E}/services/vps-001/restart");
    let ask = || house.call(Method::POST, &path, &[("idempotency-key", "\"k-1\"")], None);
    let (one, other) = tokio::join!(ask(), ask());
    let mut statuses = [one.status, other.status];
    statuses.sort_unstable();
    assert!(statuses == [202, 202] || statuses == [202, 409], "{statuses:?} {} {}", one.text, other.text);
    let again = ask().await;
    let first = if one.status == 202 { one } else { other };
    assert_eq!((again.status, &again.body), (202, &first.body));
    assert_eq!(
        (again.header("location"), again.header("idempotency-replayed")),
        (first.header("location"), "true")
    );
    let without = house.call(Method::POST, &path, &[], None).await;
    assert_eq!(without.status, 409, "the restart is under way: {}", without.text);
    let steps = house.env.store().steps().await.unwrap();
    assert_eq!((steps.len(), steps[0].0.attempt.action_no), (1, before + 1));
}

/// Fails the next transaction, once it is told to.
#[derive(Default)]
struct Fault(AtomicBool);

impl Intercept for Fault {
    fn before(&self, call: &Call<'_>) -> Injected {
        let fails = call.operation == "TransactWriteItems" && self.0.swap(false, Ordering::Relaxed);
        if fails { Injected::ServerError } else { Injected::Proceed }
    }

    fn after(&self, _: &Call<'_>) -> Injected {
        Injected::Proceed
    }
}

#[tokio::test]
async fn a_failure_of_ours_frees_the_key_at_once() {
    let fault = Arc::new(Fault::default());
    let house = House::with_faults(Arc::clone(&fault) as Arc<dyn Intercept>).await;
    house.service("vps-001", "true", None).await;
    let path = format!("{E}/services/vps-001/hold");
    let key = [("idempotency-key", "k-1")];
    fault.0.store(true, Ordering::Relaxed);
    let failed = house.call(Method::POST, &path, &key, hold("one")).await;
    assert_eq!(failed.status, 503, "{}", failed.text);
    assert_eq!(house.call(Method::POST, &path, &key, hold("two")).await.status, 422, "another request");
    let again = house.call(Method::POST, &path, &key, hold("one")).await;
    assert_eq!((again.status, again.header("idempotency-replayed")), (200, ""), "{}", again.text);
    let replayed = house.call(Method::POST, &path, &key, hold("one")).await;
    assert_eq!((replayed.status, replayed.header("idempotency-replayed")), (200, "true"));
}

#[tokio::test]
async fn a_key_belongs_to_one_request_of_one_token() {
    let house = House::new().await;
    house.service("vps-001", "true", Some("ada@example.com")).await;
    house.service("vps-002", "true", None).await;
    let ada = house.token("ada", Scope::Owner, Some("ada@example.com")).await;
    let key = [("idempotency-key", "k-1")];
    let path = format!("{E}/services/vps-001/hold");
    assert_eq!(house.call(Method::POST, &path, &key, hold("one")).await.status, 200);
    let other_body = house.call(Method::POST, &path, &key, hold("two")).await;
    assert_eq!(
        (other_body.status, &other_body.body["type"]),
        (422, &json!("urn:lamplighter:problem:key-reused"))
    );
    let other_path = path.replace("001", "002");
    assert_eq!(house.call(Method::POST, &other_path, &key, hold("two")).await.status, 200);
    let other_token = house.call_as(&ada, Method::POST, &path, &key, hold("two")).await;
    assert_eq!(other_token.body["held"]["by"], "ada", "{}", other_token.text);
    for bad in ["", "\"\"", "a b", &"x".repeat(256)] {
        assert_eq!(
            house.call(Method::POST, &path, &[("idempotency-key", bad)], hold("x")).await.status,
            400,
            "{bad}"
        );
    }
    // A refusal is an answer too: its repetition is told the same, though the service could be released now.
    let release = format!("{E}/services/vps-002/release");
    assert_eq!(house.call(Method::POST, &release, &[("idempotency-key", "k-2")], None).await.status, 200);
    let refused = house.call(Method::POST, &release, &[("idempotency-key", "k-3")], None).await;
    house.call(Method::POST, &other_path, &[], hold("again")).await;
    let again = house.call(Method::POST, &release, &[("idempotency-key", "k-3")], None).await;
    assert_eq!((refused.status, again.status, &again.body), (409, 409, &refused.body));
}

#[tokio::test]
async fn a_person_looks_holds_releases_and_asks_why() {
    let house = House::new().await;
    house.service("vps-001", "false", None).await;
    let at = |action: &str| format!("{E}/services/vps-001/{action}");
    let before = action_no(&house).await;
    let seen = house.post(&at("check"), json!({})).await;
    assert_eq!((seen.status, &seen.body["sight"]), (200, &json!("down")), "{}", seen.text);
    assert_eq!(seen.body["service"]["status"], "restarting");
    let why = house.get(&at("why")).await;
    assert_eq!(why.body["attempt"]["action_no"], before + 1, "{:#}", why.body);
    assert_eq!(why.body["next"], "a restart, at once");
    assert!(why.body["incident"]["since"].is_string());
    let history = why.body["history"].as_array().unwrap();
    assert!(
        history.iter().any(|entry| entry["type"] == "service_status" && entry["status"] == "restarting"),
        "{history:#?}"
    );

    let held = house.post(&at("hold"), json!({"reason": "moving the database", "lasts": "2h"})).await;
    assert_eq!((held.status, &held.body["held"]["by"]), (200, &json!("root")), "{}", held.text);
    let why = house.get(&at("why")).await;
    assert!(
        why.body["next"].as_str().unwrap().starts_with("nothing until the hold ends in "),
        "{}",
        why.body["next"]
    );
    assert_eq!(house.post(&at("restart"), json!({})).await.status, 409);
    assert_eq!(house.post(&at("release"), json!({})).await.status, 200);
    assert_eq!(house.post(&at("release"), json!({})).await.status, 409);
    assert_eq!(house.post(&at("breaker/reset"), json!({})).await.status, 200);
    for (action, body) in [
        ("hold", json!({})),
        ("hold", json!({"reason": " "})),
        ("hold", json!({"reason": "x", "lasts": "5 weeks"})),
        ("hold", json!({"reason": "x", "lasts": "400d"})),
        ("hold", json!({"reason": "x", "by": "somebody else"})),
        ("restart", json!({"action_no": 7})),
    ] {
        let said = house.post(&at(action), body.clone()).await;
        assert_eq!(said.status, 400, "{action} {body}: {}", said.text);
    }
    let events = house.get(&at("events?limit=2")).await;
    assert!(events.body["items"].as_array().unwrap().len() >= 2);
    let next = events.body["next"].as_str().unwrap().replace('#', "%23");
    let older = house.get(&at(&format!("events?limit=50&after={next}"))).await;
    assert!(!older.body["items"].as_array().unwrap().is_empty());
    assert_ne!(older.body["items"][0]["id"], events.body["items"][0]["id"]);
}

#[tokio::test]
async fn a_sweep_that_is_asked_for_rings_the_bell() {
    let house = House::new().await;
    house.service("vps-001", "true", None).await;
    assert_eq!(house.get(&format!("{E}/sweeps/latest")).await.status, 404);
    let asked = house.call(Method::POST, &format!("{E}/sweeps"), &[], None).await;
    assert_eq!(
        (asked.status, asked.header("location")),
        (202, "/v1/envs/prod/sweeps/latest"),
        "{}",
        asked.text
    );
    tokio::time::timeout(Duration::from_secs(5), house.env.sweep_bell.rung()).await.unwrap();
    house.sweep(0).await;
    let latest = house.get(&format!("{E}/sweeps/latest")).await;
    assert_eq!((&latest.body["checked"], &latest.body["troubles"]), (&json!(1), &json!([])));
    let seeing = house.post(&format!("{E}/sweeps"), json!({"go_on": true})).await;
    assert_eq!(seeing.status, 409, "the guard does not hold: {}", seeing.text);
    assert_eq!(house.post(&format!("{E}/sweeps"), json!({"goon": true})).await.status, 400);
}

#[tokio::test]
async fn the_ledger_and_the_health_are_one_request_away() {
    let house = House::new().await;
    house.service("vps-001", "true", None).await;
    house.service("vps-002", "false", None).await;
    house.sweep(0).await;
    let health = house.get(&format!("{E}/health")).await;
    assert_eq!(
        (&health.body["counts"]["healthy"], &health.body["services"]),
        (&json!(1), &json!(2)),
        "{}",
        health.text
    );
    let cost = house.get(&format!("{E}/cost")).await;
    let api = cost.body["verbs"].as_array().unwrap().iter().find(|row| row["verb"] == "api").unwrap();
    assert!(
        api["calls"].as_u64().unwrap() > 0 && api["write_units"].as_f64().unwrap() > 0.0,
        "{}",
        cost.text
    );
}

#[tokio::test]
async fn a_stream_replays_from_its_cursor_and_goes_on_live() {
    let house = House::new().await;
    house.service("vps-001", "true", Some("ada@example.com")).await;
    house.service("vps-002", "true", None).await;
    house.sweep(0).await;
    let page = house.get(&format!("{E}/events")).await;
    assert!(page.body["items"].as_array().unwrap().is_empty(), "unknown to healthy is silent: {}", page.text);
    for action in ["restart"] {
        house.post(&format!("{E}/services/vps-001/{action}"), json!({})).await;
        house.post(&format!("{E}/services/vps-002/{action}"), json!({})).await;
    }
    let page = house.get(&format!("{E}/events")).await;
    let items = page.body["items"].as_array().unwrap();
    assert!(items.len() >= 2, "{}", page.text);
    let first = items[0]["id"].as_str().unwrap().to_owned();

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = house.router.clone().into_make_service_with_connect_info::<SocketAddr>();
    let serving = tokio::spawn(async move { axum::serve(listener, service).await.unwrap() });
    let client = reqwest::Client::new();
    let open = async |token: &str, last: Option<&str>| {
        let mut request = client.get(format!("http://{address}{E}/events")).bearer_auth(token);
        request = request.header("accept", "text/event-stream");
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let stream = request.send().await.unwrap();
        assert_eq!(stream.headers()["content-type"], "text/event-stream");
        stream
    };
    let mut replayed = open(&house.admin, Some(&first)).await;
    let text = until(&mut replayed, "vps-002").await;
    assert!(!text.contains(&format!("id: {first}\n")), "what was seen is not told again: {text}");
    assert!(text.contains("event: service_status\n") && text.contains("id: "), "{text}");

    let ada = house.token("ada", Scope::Owner, Some("ada@example.com")).await;
    let mut hers = open(&ada, None).await;
    let hold = |id: &str| format!("{E}/services/{id}/hold");
    house.post(&hold("vps-002"), json!({"reason": "x"})).await;
    house.post(&format!("{E}/services/vps-002/release"), json!({})).await;
    house.service("vps-003", "false", None).await;
    house.post(&format!("{E}/services/vps-003/check"), json!({})).await;
    house.service("vps-004", "false", Some("ada@example.com")).await;
    house.post(&format!("{E}/services/vps-004/check"), json!({})).await;
    let live = until(&mut replayed, "vps-004").await;
    assert!(live.contains("vps-003"), "{live}");
    assert_eq!(
        live.matches("\"service\":\"vps-003\"").count(),
        live.matches("id: ").count() - live.matches("\"service\":\"vps-004\"").count(),
        "{live}"
    );
    let own = until(&mut hers, "vps-004").await;
    assert!(!own.contains("vps-003") && !own.contains("vps-002"), "{own}");
    serving.abort();
}

async fn until(stream: &mut reqwest::Response, wanted: &str) -> String {
    let mut text = String::new();
    let reading = async {
        while !text.contains(wanted) {
            let chunk = stream.chunk().await.unwrap().expect("the stream ended");
            text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    };
    let done = tokio::time::timeout(Duration::from_secs(10), reading).await;
    assert!(done.is_ok(), "`{wanted}` did not come: {text}");
    text
}

#[tokio::test]
async fn a_stream_needs_the_rights_and_the_cursor_that_a_page_needs() {
    let house = House::new().await;
    let stream = [("accept", "text/event-stream")];
    let path = format!("{E}/events");
    let refused = house.call(Method::GET, &format!("{path}?after=rubbish"), &stream, None).await;
    assert_eq!(refused.status, 400, "{}", refused.text);
    let worker = house.token("worker", Scope::Worker, None).await;
    assert_eq!(house.call_as(&worker, Method::GET, &path, &stream, None).await.status, 403);
}

/// A revoked token hears no more, at the latest with the next comment.
#[tokio::test(start_paused = true)]
async fn a_stream_ends_when_its_token_is_revoked() {
    let house = House::new().await;
    let token = house.token("reader", Scope::Read, None).await;
    let bearer = format!("Bearer {token}");
    let request = axum::http::Request::get(format!("{E}/events"))
        .header("authorization", bearer)
        .header("accept", "text/event-stream")
        .body(axum::body::Body::empty())
        .unwrap();
    let response = tower::ServiceExt::oneshot(house.router.clone(), request).await.unwrap();
    assert_eq!(response.status(), 200);
    let mut body = response.into_body();
    let ping = http_body_util::BodyExt::frame(&mut body).await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(&ping[..], b": ping\n\n");
    house.call(Method::DELETE, &format!("{E}/tokens/reader"), &[], None).await;
    let rest = async { while http_body_util::BodyExt::frame(&mut body).await.is_some() {} };
    tokio::time::timeout(Duration::from_secs(60), rest).await.expect("the stream went on");
}
