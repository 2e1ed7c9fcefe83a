//! Who may ask what.

use std::collections::BTreeSet;

use axum::body::Body;
use axum::http::Method;
use lamplighter_http::{AdoptError, adopt_token, new_secret, token_hash};
use lamplighter_store::Scope;
use serde_json::{Value, json};

use crate::house::{E, House};

const E_TOKENS: &str = "/v1/envs/prod/tokens";

/// Written down here by hand, so that a row of the table that lets in too many is noticed.
const WHO: [(&str, &str, &[&str]); 41] = [
    ("get", "/v1/envs/{env}/services", &["admin", "owner", "read"]),
    ("get", "/v1/envs/{env}/services/{id}", &["admin", "owner", "read"]),
    ("put", "/v1/envs/{env}/services/{id}", &["admin"]),
    ("patch", "/v1/envs/{env}/services/{id}", &["admin"]),
    ("delete", "/v1/envs/{env}/services/{id}", &["admin"]),
    ("post", "/v1/envs/{env}/services/{id}/check", &["admin", "owner"]),
    ("post", "/v1/envs/{env}/services/{id}/restart", &["admin", "owner"]),
    ("post", "/v1/envs/{env}/services/{id}/breaker/reset", &["admin", "owner"]),
    ("post", "/v1/envs/{env}/services/{id}/hold", &["admin", "owner"]),
    ("post", "/v1/envs/{env}/services/{id}/release", &["admin", "owner"]),
    ("get", "/v1/envs/{env}/services/{id}/why", &["admin", "owner", "read"]),
    ("get", "/v1/envs/{env}/services/{id}/events", &["admin", "owner", "read"]),
    ("post", "/v1/envs/{env}/sweeps", &["admin"]),
    ("get", "/v1/envs/{env}/sweeps/latest", &["admin", "read"]),
    ("post", "/v1/envs/{env}/rollouts/plan", &["admin"]),
    ("post", "/v1/envs/{env}/rollouts", &["admin"]),
    ("get", "/v1/envs/{env}/rollouts", &["admin", "owner", "read"]),
    ("get", "/v1/envs/{env}/rollouts/{id}", &["admin", "owner", "read"]),
    ("post", "/v1/envs/{env}/rollouts/{id}/pause", &["admin"]),
    ("post", "/v1/envs/{env}/rollouts/{id}/resume", &["admin"]),
    ("post", "/v1/envs/{env}/rollouts/{id}/abort", &["admin"]),
    ("post", "/v1/envs/{env}/rollouts/{id}/retry", &["admin"]),
    ("post", "/hooks/{env}/{hook}", &[]),
    ("get", "/v1/envs/{env}/hooks/{hook}/deliveries", &["admin", "read"]),
    ("post", "/v1/envs/{env}/hooks/{hook}/deliveries/{id}/redeliver", &["admin"]),
    ("get", "/v1/envs/{env}/events", &["admin", "owner", "read"]),
    ("get", "/v1/envs/{env}/settings", &["admin", "read"]),
    ("put", "/v1/envs/{env}/settings", &["admin"]),
    ("get", "/v1/envs/{env}/health", &["admin", "read"]),
    ("get", "/v1/envs/{env}/cost", &["admin", "read"]),
    ("get", "/v1/envs/{env}/audit", &["admin", "read"]),
    ("get", "/v1/envs/{env}/tokens", &["admin"]),
    ("post", "/v1/envs/{env}/tokens", &["admin"]),
    ("delete", "/v1/envs/{env}/tokens/{name}", &["admin"]),
    ("get", "/livez", &[]),
    ("get", "/readyz", &[]),
    ("get", "/metrics", &[]),
    ("get", "/openapi.json", &[]),
    ("get", "/docs", &[]),
    ("get", "/docs/page.js", &[]),
    ("get", "/docs/page.css", &[]),
];

fn wanted() -> impl Iterator<Item = (&'static str, &'static str, &'static [&'static str])> {
    WHO.into_iter()
}

#[tokio::test]
async fn every_operation_is_described_and_none_besides() {
    let house = House::new().await;
    let mut described = BTreeSet::new();
    let mut names = BTreeSet::new();
    for (path, item) in house.description()["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            described.insert((method.clone(), path.clone()));
            assert!(names.insert(operation["operationId"].as_str().unwrap().to_owned()), "{operation}");
            assert!(!operation["summary"].as_str().unwrap().is_empty());
            assert!(!operation["responses"].as_object().unwrap().is_empty());
        }
    }
    let wanted: BTreeSet<_> =
        wanted().map(|(method, path, _)| (method.to_owned(), path.to_owned())).collect();
    assert_eq!(described, wanted);
}

#[tokio::test]
async fn each_scope_is_let_in_where_it_belongs_and_nowhere_else() {
    let house = House::new().await;
    let mut tokens = vec![("admin", house.admin.clone())];
    for (name, scope, owner) in [
        ("owner", Scope::Owner, Some("ada@example.com")),
        ("worker", Scope::Worker, None),
        ("read", Scope::Read, None),
    ] {
        tokens.push((name, house.token(name, scope, owner).await));
    }
    // A hook asks for a signature instead: `hooks.rs` shows whom it lets in.
    for (method, path, scopes) in wanted().filter(|(_, path, _)| !path.starts_with("/hooks/")) {
        let method: Method = method.to_uppercase().parse().unwrap();
        let path = path.replace("{env}", "prod").replace("{id}", "nobody").replace("{name}", "nobody");
        let body = match method {
            Method::PUT | Method::PATCH => Some(json!({})),
            _ => None,
        };
        for (scope, token) in &tokens {
            let said = house.call_as(token, method.clone(), &path, &[], body.clone()).await;
            let is_let_in = said.status != 401 && said.status != 403;
            assert_eq!(
                is_let_in,
                scopes.is_empty() || scopes.contains(scope),
                "{scope}: {method} {path}: {}",
                said.text
            );
            if said.status == 403 {
                for needed in scopes {
                    assert!(
                        said.body["detail"].as_str().unwrap().contains(&format!("`{needed}`")),
                        "{}",
                        said.text
                    );
                }
            }
        }
        let said = house.send(method.clone(), &path, &[], Body::empty()).await;
        assert_eq!(said.status == 401, !scopes.is_empty(), "{method} {path}: {}", said.text);
    }
}

#[tokio::test]
async fn missing_unknown_revoked_and_foreign_tokens_get_the_same_bytes() {
    let house = House::new().await;
    let revoked = house.token("gone", Scope::Admin, None).await;
    let removed = house.call(Method::DELETE, &format!("{E}/tokens/gone"), &[], None).await;
    assert_eq!(removed.status, 204, "{}", removed.text);
    let unknown = format!("Bearer lamp_{}", "0".repeat(64));
    let revoked = format!("Bearer {revoked}");
    let good = format!("Bearer {}", house.admin);
    let services = format!("{E}/services");
    let cases: [(&str, &[(&str, &str)]); 7] = [
        (&services, &[]),
        (&services, &[("authorization", &unknown)]),
        (&services, &[("authorization", &revoked)]),
        (&services, &[("authorization", "Basic cm9vdDpyb290")]),
        (&services, &[("authorization", &good), ("authorization", &good)]),
        ("/v1/envs/dev/services", &[("authorization", &good)]),
        ("/v1/envs/nowhere/services", &[("authorization", &good)]),
    ];
    let mut answers = BTreeSet::new();
    for (path, headers) in cases {
        let said = house.send(Method::GET, path, headers, Body::empty()).await;
        assert_eq!((said.status, said.header("www-authenticate")), (401, "Bearer"));
        let headers: Vec<String> =
            said.headers.iter().map(|(name, value)| format!("{name}: {value:?}")).collect();
        answers.insert((headers, said.text));
    }
    assert_eq!(answers.len(), 1, "{answers:#?}");
}

#[tokio::test]
async fn after_ten_failed_attempts_there_is_a_wait_that_a_good_token_does_not_feel() {
    let house = House::new().await;
    let path = format!("{E}/health");
    assert_eq!(house.get(&path).await.status, 200);
    for attempt in 0..12 {
        let said = house.call_as(&format!("lamp_guess{attempt}"), Method::GET, &path, &[], None).await;
        let expected = if attempt < 10 { 401 } else { 429 };
        assert_eq!(said.status, expected, "attempt {attempt}");
        assert_eq!(said.status == 429, !said.header("retry-after").is_empty());
    }
    assert_eq!(house.get(&path).await.status, 200);
}

#[tokio::test]
async fn an_owner_sees_and_moves_only_what_is_theirs() {
    let house = House::new().await;
    house.service("hers", "true", Some("ada@example.com")).await;
    house.service("bobs-box", "true", Some("bob@example.com")).await;
    house.service("nobodys", "true", None).await;
    let ada = house.token("ada", Scope::Owner, Some("ada@example.com")).await;
    let list = house.call_as(&ada, Method::GET, &format!("{E}/services"), &[], None).await;
    let ids: Vec<&Value> = list.body["items"].as_array().unwrap().iter().map(|item| &item["id"]).collect();
    assert_eq!(ids, ["hers"]);
    house.sweep(0).await;
    for (method, action, body) in [
        (Method::GET, "", None),
        (Method::GET, "/why", None),
        (Method::GET, "/events", None),
        (Method::POST, "/check", None),
        (Method::POST, "/breaker/reset", None),
        (Method::POST, "/hold", Some(json!({"reason": "mine"}))),
        (Method::POST, "/release", None),
        (Method::POST, "/restart", None),
    ] {
        let ask = async |id: &str| {
            let path = format!("{E}/services/{id}{action}");
            house.call_as(&ada, method.clone(), &path, &[], body.clone()).await
        };
        let hers = ask("hers").await;
        assert!(hers.status < 300, "{action}: {}", hers.text);
        let absent = ask("absent").await;
        for foreign in ["bobs-box", "nobodys"] {
            let said = ask(foreign).await;
            assert_eq!(said.status, 404, "{action} {foreign}: {}", said.text);
            assert_eq!(said.text.replace(foreign, "absent"), absent.text);
        }
    }
    let events = house.call_as(&ada, Method::GET, &format!("{E}/events"), &[], None).await;
    for event in events.body["items"].as_array().unwrap() {
        assert_eq!(event["service"], "hers");
    }
    let all = house.get(&format!("{E}/audit")).await;
    assert!(all.text.contains("\"by\":\"ada\""), "{}", all.text);
}

#[tokio::test]
async fn tokens_are_shown_once_and_the_last_admin_stays() {
    let house = House::new().await;
    let path = format!("{E}/tokens");
    let made = house.post(&path, json!({"name": "ada", "scope": "owner", "owner": "ada@example.com"})).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let secret = made.body["token"].as_str().unwrap().to_owned();
    assert!(secret.starts_with("lamp_") && secret.len() == 5 + 64);
    assert_eq!(house.call_as(&secret, Method::GET, &format!("{E}/services"), &[], None).await.status, 200);
    for (order, status) in [
        (json!({"name": "ada", "scope": "read"}), 409),
        (json!({"name": "bob", "scope": "owner"}), 400),
        (json!({"name": "bob", "scope": "read", "owner": "bob@example.com"}), 400),
        (json!({"name": "a\nb", "scope": "read"}), 400),
        (json!({"name": "bob", "scope": "king"}), 400),
        (json!({"name": "bob", "scope": "read", "revoked_at": null}), 400),
    ] {
        assert_eq!(house.post(&path, order.clone()).await.status, status, "{order}");
    }
    let listed = house.get(&path).await;
    assert!(!listed.text.contains(&secret) && listed.text.contains("\"ada\""), "{}", listed.text);
    let audit = house.get(&format!("{E}/audit")).await;
    assert!(!audit.text.contains(&secret) && audit.text.contains("token made"));
    assert_eq!(house.call(Method::DELETE, &format!("{path}/root"), &[], None).await.status, 409);
    assert_eq!(house.call(Method::DELETE, &format!("{path}/ada"), &[], None).await.status, 204);
    assert_eq!(house.call_as(&secret, Method::GET, &format!("{E}/services"), &[], None).await.status, 401);
    assert_eq!(house.call(Method::DELETE, &format!("{path}/ada"), &[], None).await.status, 404);
}

#[tokio::test]
async fn a_token_made_elsewhere_is_adopted_once_by_its_hash_and_stays_revoked() {
    let house = House::new().await;
    let secret = new_secret();
    let hash = token_hash(&secret);
    let get = async |secret: &str| house.call_as(secret, Method::GET, E_TOKENS, &[], None).await;
    assert_eq!(get(secret.expose()).await.status, 401);
    assert!(adopt_token(&house.env, "first admin", &hash).await.unwrap());
    assert!(!adopt_token(&house.env, "first admin", &hash).await.unwrap(), "the next start");
    let listed = get(secret.expose()).await;
    assert_eq!(listed.status, 200);
    assert_eq!(listed.body["items"][0]["name"], "first admin");
    let made = house.get("/v1/envs/prod/audit").await.body["items"][0].clone();
    assert_eq!((&made["action"], &made["by"]), (&json!("token made"), &json!("deployment")), "{made}");

    // The operator has lost it, and deploys another: each can be revoked alone, and for good.
    let another = new_secret();
    assert!(adopt_token(&house.env, "first admin", &token_hash(&another)).await.unwrap());
    let listed = get(another.expose()).await.body;
    assert_eq!(listed["items"][1]["name"], "first admin-2");
    let path = format!("{E_TOKENS}/first%20admin");
    assert_eq!(house.call(Method::DELETE, &path, &[], None).await.status, 204);
    assert!(!adopt_token(&house.env, "first admin", &hash).await.unwrap());
    assert_eq!(get(secret.expose()).await.status, 401);
    assert_eq!(get(another.expose()).await.status, 200);
}

#[tokio::test]
async fn what_is_no_hash_is_not_adopted_and_not_repeated() {
    let house = House::new().await;
    let secret = new_secret();
    let hash = token_hash(&secret);
    for wrong in [
        "",
        &hash[1..],
        &hash.to_uppercase(),
        &format!("{hash} "),
        &hash.replace(&hash[..1], "g"),
        secret.expose(),
    ] {
        let refused = adopt_token(&house.env, "admin", wrong).await.unwrap_err();
        let said = refused.to_string();
        assert!(
            matches!(refused, AdoptError::BadHash) && !(wrong.len() > 8 && said.contains(wrong)),
            "{said}"
        );
    }
    let refused = adopt_token(&house.env, "admin\n", &hash).await;
    assert!(matches!(refused, Err(AdoptError::BadName(_))), "{refused:?}");
    assert_eq!(house.env.store().list_tokens().await.unwrap().len(), 1, "the house's own");
}
