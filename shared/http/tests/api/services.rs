//! The fleet: lists, specs, versions.

use axum::http::Method;
use serde_json::{Value, json};

use crate::house::{E, House, moment, spec};

#[tokio::test]
async fn a_spec_is_written_only_over_the_version_that_was_read() {
    let house = House::new().await;
    let path = format!("{E}/services/vps-001");
    let put = async |headers: &[(&str, &str)], check: &str| {
        house.call(Method::PUT, &path, headers, Some(spec("vps-001", check))).await
    };
    assert_eq!(put(&[("if-match", "\"1\"")], "true").await.status, 412, "it is not there");
    let made = put(&[("if-none-match", "*")], "true").await;
    assert_eq!((made.status, made.header("etag"), made.header("location")), (201, "\"1\"", path.as_str()));
    assert_eq!(put(&[("if-none-match", "*")], "true").await.status, 412);
    let same = put(&[], "true").await;
    assert_eq!((same.status, same.header("etag")), (200, "\"1\""));
    let changed = put(&[("if-match", "\"1\"")], "true ").await;
    assert_eq!((changed.status, changed.header("etag")), (200, "\"2\""));
    assert_eq!(put(&[("if-match", "\"1\"")], "false").await.status, 412);
    assert_eq!(put(&[("if-match", "W/\"2\"")], "false").await.status, 412, "a weak tag never matches");
    assert_eq!(put(&[("if-match", "\"7\", \"2\"")], "false").await.status, 200);
    assert_eq!(put(&[("if-match", "*")], "true").await.status, 200);
    assert_eq!(put(&[("if-match", "*"), ("if-none-match", "*")], "true").await.status, 400);
    let delete = async |tag: &str| house.call(Method::DELETE, &path, &[("if-match", tag)], None).await.status;
    assert_eq!((delete("\"1\"").await, delete("\"4\"").await, delete("\"4\"").await), (412, 204, 404));
    assert_eq!(put(&[("if-match", "*")], "true").await.status, 412);
}

#[tokio::test]
async fn a_merge_patch_changes_what_it_names() {
    let house = House::new().await;
    house.service("vps-001", "true", Some("ada@example.com")).await;
    let path = format!("{E}/services/vps-001");
    let patch = async |body: Value, headers: &[(&str, &str)]| {
        let mut all = vec![("content-type", "application/merge-patch+json")];
        all.extend(headers);
        house.call(Method::PATCH, &path, &all, Some(body)).await
    };
    let said = patch(json!({"owner": null, "lifecycle": "suspended", "policy": {"settle": "1s"}}), &[]).await;
    assert_eq!((said.status, said.header("etag")), (200, "\"2\""), "{}", said.text);
    assert_eq!(said.body["owner"], Value::Null);
    let (created, updated) = (moment(&said.body["created_at"]), moment(&said.body["updated_at"]));
    assert!(created <= updated, "{}", said.text);
    assert_eq!(said.body["spec"]["policy"]["settle"], "1s");
    assert_eq!(said.body["spec"]["check"]["command"], "true");
    let said = patch(json!({"check": {"command": null, "tcp": 6379}}), &[("if-match", "\"2\"")]).await;
    assert_eq!(said.body["spec"]["check"], json!({"tcp": 6379}), "{}", said.text);
    for (body, headers, status) in [
        (json!({"owner": "bob@example.com"}), [("if-match", "\"2\"")].as_slice(), 412),
        (json!({"id": "other"}), &[], 400),
        (json!({"epoch": 5}), &[], 400),
        (json!({"status": "healthy"}), &[], 400),
        (json!({"check": null}), &[], 400),
        (json!([]), &[], 400),
    ] {
        let said = patch(body.clone(), headers).await;
        assert_eq!(said.status, status, "{body}: {}", said.text);
    }
    let absent = format!("{E}/services/absent");
    assert_eq!(house.call(Method::PATCH, &absent, &[], Some(json!({}))).await.status, 404);
}

#[tokio::test]
async fn what_a_spec_must_not_say_is_refused_by_name() {
    let house = House::new().await;
    let path = format!("{E}/services/vps-001");
    for (change, named) in [
        (json!({"epoch": 3}), "epoch"),
        (json!({"status": "healthy"}), "status"),
        (json!({"address": "a b"}), "address"),
        (json!({"check": {"systemd": "-H x"}}), "check"),
        (json!({"check": {"http": "http://u:p@example.com"}}), "user name or password"),
        (json!({"key": "-----BEGIN OPENSSH PRIVATE KEY-----"}), "never put the key itself"),
        (json!({"transport": "ssh"}), "user"),
        (json!({"policy": {"settle": "5 weeks"}}), "policy.settle"),
        (json!({"policy": {"breaker_threshold": 0}}), "breaker_threshold"),
        (json!({"id": "vps-002"}), "vps-002"),
        (json!({"restart": "always"}), "restart"),
    ] {
        let mut body = spec("vps-001", "true");
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let said = house.call(Method::PUT, &path, &[], Some(body)).await;
        assert_eq!(said.status, 400, "{change}: {}", said.text);
        assert!(said.body["detail"].as_str().unwrap().contains(named), "{change}: {}", said.text);
        assert!(!said.text.contains("BEGIN OPENSSH"));
    }
    assert_eq!(house.get(&path).await.status, 404, "nothing was half applied");
    let said = house.call(Method::PUT, &path.replace("vps-001", "a%20b"), &[], Some(spec("x", "true"))).await;
    assert_eq!(said.status, 400, "{}", said.text);
}

#[tokio::test]
async fn lists_come_in_pages_that_end_and_repeat_nothing() {
    let house = House::new().await;
    for number in 0..23 {
        let owner = if number % 5 == 0 { Some("ada@example.com") } else { None };
        house.service(&format!("vps-{number:03}"), "true", owner).await;
    }
    for (query, expected) in [
        ("limit=7".to_owned(), 23),
        ("limit=23".to_owned(), 23),
        ("limit=2&owner=ada@example.com".to_owned(), 5),
        ("limit=3&q=VPS-01".to_owned(), 10),
        ("limit=5&status=unknown&app=rachel8".to_owned(), 23),
        ("limit=5&status=down".to_owned(), 0),
    ] {
        let (mut ids, mut path, mut pages) = (Vec::new(), format!("{E}/services?{query}"), 0);
        loop {
            let said = house.get(&path).await;
            assert_eq!(said.status, 200, "{}", said.text);
            ids.extend(said.body["items"].as_array().unwrap().iter().map(|item| item["id"].to_string()));
            pages += 1;
            assert!(pages < 30, "the list does not end");
            let Some(next) =
                said.header("link").strip_prefix('<').and_then(|link| link.strip_suffix(">; rel=\"next\""))
            else {
                assert_eq!(said.body["next"], Value::Null);
                break;
            };
            assert!(said.body["next"].is_string());
            path = next.to_owned();
        }
        let count = ids.len();
        ids.sort();
        ids.dedup();
        assert_eq!((count, ids.len()), (expected, expected), "{query}");
    }
    for (query, named) in [
        ("limit=0", "page size"),
        ("limit=501", "page size"),
        ("limit=x", "page size"),
        ("after=rubbish", "cursor"),
        ("status=fine", "status"),
        ("statsu=down", "statsu"),
        ("q=a&q=b", "twice"),
    ] {
        let said = house.get(&format!("{E}/services?{query}")).await;
        assert_eq!(said.status, 400, "{query}: {}", said.text);
        assert!(said.body["detail"].as_str().unwrap().contains(named), "{query}: {}", said.text);
    }
}

#[tokio::test]
async fn what_sweeps_do_not_write_is_derived_from_them() {
    let house = House::new().await;
    house.service("fine", "true", None).await;
    let before = house.get(&format!("{E}/services/fine")).await.body;
    assert_eq!(
        (&before["status"], &before["totals"]["checks"], &before["last_check_at"]),
        (&json!("unknown"), &json!(0), &Value::Null)
    );
    for later in 0..3 {
        house.sweep(later).await;
    }
    let after = house.get(&format!("{E}/services/fine")).await.body;
    assert_eq!((&after["status"], &after["totals"]["checks"]), (&json!("healthy"), &json!(3)), "{after:#}");
    assert_eq!(after["last_check_at"], after["last_healthy_at"]);
    let report = house.get(&format!("{E}/sweeps/latest")).await.body;
    assert_eq!(moment(&after["last_check_at"]), moment(&report["finished_at"]));
    house.post(&format!("{E}/services/fine/hold"), json!({"reason": "mine"})).await;
    let held = house.get(&format!("{E}/services/fine")).await.body;
    house.sweep(3).await;
    let later = house.get(&format!("{E}/services/fine")).await.body;
    assert_eq!(held["last_check_at"], later["last_check_at"], "a held service is not looked at");
}

#[tokio::test]
async fn settings_have_a_version_too() {
    let house = House::new().await;
    let path = format!("{E}/settings");
    let first = house.get(&path).await;
    assert_eq!((first.status, first.header("etag"), &first.body["every"]), (200, "\"0\"", &json!("1min")));
    let put =
        async |body: Value, tag: &str| house.call(Method::PUT, &path, &[("if-match", tag)], Some(body)).await;
    let said = put(json!({"every": "30s"}), "\"0\"").await;
    assert_eq!((said.status, said.header("etag")), (200, "\"1\""), "{}", said.text);
    assert_eq!(put(json!({"every": "40s"}), "\"0\"").await.status, 412);
    for body in
        [json!({"every": "1s"}), json!({"evry": "30s"}), json!({"mode": "wild"}), json!({"admins": ["x"]})]
    {
        assert_eq!(put(body.clone(), "*").await.status, 400, "{body}");
    }
    assert_eq!(house.get(&path).await.body["every"], "30s");
    assert!(house.get(&format!("{E}/audit")).await.text.contains("settings replaced"));
}

#[tokio::test]
async fn a_process_of_this_machine_is_made_a_service_in_the_fleet_file_only() {
    let house = House::refusing_local().await;
    let path = |id: &str| format!("{E}/services/{id}");
    let refused = house.call(Method::PUT, &path("vps-001"), &[], Some(spec("vps-001", "true"))).await;
    assert_eq!(refused.status, 403, "{}", refused.text);
    assert!(refused.body["hint"].as_str().unwrap().contains("fleet file"), "{}", refused.text);

    let remote = json!({"id": "vps-002", "address": "203.0.113.7", "user": "rachel", "key": "file:keys/prod", "known_hosts": "known_hosts", "check": {"tcp": 6379},
                         "restart": {"systemd": "redis"}});
    let made = house.call(Method::PUT, &path("vps-002"), &[], Some(remote)).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let patch = json!({"transport": "local"});
    assert_eq!(house.call(Method::PATCH, &path("vps-002"), &[], Some(patch)).await.status, 403);
    let refused = house.call(Method::PUT, &path("vps-002"), &[], Some(spec("vps-002", "true"))).await;
    assert_eq!(refused.status, 403, "{}", refused.text);

    let from_file = serde_json::from_value(spec("vps-003", "true")).unwrap();
    let now = house.env.clock().now();
    house.env.store().put_service(&from_file, lamplighter_store::Expected::Any, now).await.unwrap();
    let changed = house.call(Method::PUT, &path("vps-003"), &[], Some(spec("vps-003", "false"))).await;
    assert_eq!((changed.status, changed.header("etag")), (200, "\"2\""), "{}", changed.text);
    let owner = json!({"owner": "ada@example.com"});
    assert_eq!(house.call(Method::PATCH, &path("vps-003"), &[], Some(owner)).await.status, 200);
}
