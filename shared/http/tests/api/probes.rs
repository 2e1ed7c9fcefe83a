//! What monitoring asks.

use std::time::Duration;

use axum::body::Body;
use axum::http::Method;
use lamplighter_app::Clock;
use lamplighter_core::Moment;
use serde_json::json;

use crate::house::{E, House, Said};

async fn ask(house: &House, path: &str) -> Said {
    house.send(Method::GET, path, &[], Body::empty()).await
}

/// Both clocks, the env's and the one that answers are kept by, follow the runtime's.
async fn wait(seconds: u64) {
    tokio::time::advance(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn ready_means_that_every_env_which_is_not_off_sweeps() {
    let clock = Clock::following_the_runtime(Moment::from_millis(1_767_321_000_000));
    let house = House::with_clock(clock).await;
    let dev = house.home.env("dev").unwrap().clone();
    let off = lamplighter_core::settings::Settings {
        mode: lamplighter_core::settings::Mode::Off,
        ..Default::default()
    };
    assert_eq!(ask(&house, "/livez").await.body["alive"], true);
    let said = ask(&house, "/readyz").await;
    assert_eq!((said.status, said.header("retry-after")), (503, "5"), "{}", said.text);
    assert_eq!(
        said.body["reasons"],
        json!(["`dev`: no sweep has finished yet", "`prod`: no sweep has finished yet"])
    );

    dev.store().put_settings(0, &off).await.unwrap();
    house.sweep(0).await;
    wait(2).await;
    let said = ask(&house, "/readyz").await;
    assert_eq!(said.status, 200, "{}", said.text);
    wait(121).await;
    let said = ask(&house, "/readyz").await;
    assert_eq!(said.status, 503);
    assert!(
        said.body["reasons"][0].as_str().unwrap().contains("the last sweep was 2 min 3 s ago"),
        "{}",
        said.text
    );
    house.sweep(0).await;
    wait(2).await;
    assert_eq!(ask(&house, "/readyz").await.status, 200);
    house.service("vps-001", "true", None).await;
    wait(2).await;
    assert_eq!(ask(&house, "/readyz").await.status, 200, "a new service does not make the sweep older");
}

#[tokio::test]
async fn metrics_count_by_env_and_status_and_name_no_service() {
    let house = House::new().await;
    house.service("secret-customer", "true", Some("ada@example.com")).await;
    house.sweep(0).await;
    let said = ask(&house, "/metrics").await;
    assert_eq!(said.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    assert!(!said.text.contains("secret-customer") && !said.text.contains("ada"));
    for line in [
        "lamplighter_services{env=\"prod\",status=\"healthy\"} 1",
        "lamplighter_services{env=\"dev\",status=\"healthy\"} 0",
        "lamplighter_env_up{env=\"prod\"} 1",
        "lamplighter_last_sweep_services{env=\"prod\",status=\"healthy\"} 1",
        "# TYPE lamplighter_store_write_units_total counter",
        "lamplighter_http_requests_total{status=\"2xx\"}",
    ] {
        assert!(said.text.contains(line), "{line} in\n{}", said.text);
    }
    let mut families = std::collections::BTreeSet::new();
    for line in said.text.lines() {
        let line = line.strip_prefix("# TYPE ").or_else(|| line.strip_prefix("# HELP ")).unwrap_or(line);
        assert!(line.starts_with("lamplighter_"), "{line}");
        if line.ends_with(" counter") || line.ends_with(" gauge") {
            let name = line.split(' ').next().unwrap();
            assert!(families.insert(name), "{name} twice");
            assert_eq!(line.ends_with(" counter"), name.ends_with("_total"), "{name}");
        }
    }
    let store = house.env.store().ledger().total();
    ask(&house, "/metrics").await;
    assert_eq!(house.env.store().ledger().total(), store, "asking again costs nothing");
}

#[tokio::test]
async fn the_description_holds_together() {
    let house = House::new().await;
    let description = house.description();
    assert_eq!(description["openapi"], "3.1.0");
    let text = description.to_string();
    for reference in text.split("\"$ref\":\"#").skip(1) {
        let pointer = reference.split('"').next().unwrap();
        assert!(description.pointer(pointer).is_some(), "{pointer} leads nowhere");
    }
    for (name, _) in description["components"]["schemas"].as_object().unwrap() {
        let used = text.matches(&format!("#/components/schemas/{name}\"")).count();
        assert!(used > 0, "the schema {name} is of no use");
    }
    for (path, item) in description["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let tag = &operation["tags"][0];
            assert!(
                description["tags"].as_array().unwrap().iter().any(|known| known["name"] == *tag),
                "{tag}"
            );
            for (media, taken) in operation["requestBody"]["content"].as_object().into_iter().flatten() {
                assert!(taken["example"].is_object(), "{method} {path} {media} has no example");
            }
        }
    }
    assert!(ask(&house, "/docs").await.text.contains("/docs/page.js"));
    assert!(ask(&house, "/docs/page.js").await.header("content-type").starts_with("text/javascript"));
    assert!(ask(&house, "/docs/page.css").await.header("content-type").starts_with("text/css"));
}

/// The description of a spec is written by hand; what the program reads and writes must be what it says.
#[tokio::test]
async fn the_described_examples_are_taken_as_they_stand() {
    let house = House::new().await;
    let paths = house.description()["paths"].clone();
    let example = |path: &str, method: &str| {
        let content = paths[path][method]["requestBody"]["content"].as_object().unwrap().clone();
        content.into_iter().next().unwrap().1["example"].clone()
    };
    let service = "/v1/envs/{env}/services/{id}";
    let at = format!("{E}/services/vps-001");
    assert_eq!(house.call(Method::PUT, &at, &[], Some(example(service, "put"))).await.status, 201);
    assert_eq!(house.call(Method::PATCH, &at, &[], Some(example(service, "patch"))).await.status, 200);
    let hold = example(&format!("{service}/hold"), "post");
    assert_eq!(house.post(&format!("{at}/hold"), hold).await.status, 200);
    let settings = example("/v1/envs/{env}/settings", "put");
    assert_eq!(house.call(Method::PUT, &format!("{E}/settings"), &[], Some(settings)).await.status, 200);
    let token = example("/v1/envs/{env}/tokens", "post");
    assert_eq!(house.post(&format!("{E}/tokens"), token).await.status, 201);
    let sweep = example("/v1/envs/{env}/sweeps", "post");
    assert_eq!(house.post(&format!("{E}/sweeps"), sweep).await.status, 202);
    let mut whole = example(service, "put");
    whole["known_hosts"] = json!("known_hosts");
    whole["transport"] = json!("ssh");
    whole["lifecycle"] = json!("suspended");
    whole["app"] = json!("rachel8");
    whole["update"] = json!({"dir": "/srv/app", "branch": "main", "install": "make"});
    whole["policy"] = json!({
        "first_attempt": "after_backoff", "backoff_base": "6s", "backoff_cap": "6min", "breaker_threshold": 4,
        "breaker_cooldown": "31min", "unreachable_limit": 4, "flapping_restarts": 6, "forgiven_after": "11min",
        "settle": "6s", "restart_limit": "61s", "connect_limit": "11s", "command_limit": "11s", "http_limit": "6s",
        "startup_grace": "31s", "quiet_first_restart": true,
    });
    for check in [
        json!({"http": {"url": "https://example.com", "status": 204, "contains": "ok", "within": "1s"}}),
        json!({"docker": "web"}),
    ] {
        whole["check"] = check;
        let said = house.call(Method::PUT, &at, &[], Some(whole.clone())).await;
        assert_eq!(said.status, 200, "{}", said.text);
    }
}
