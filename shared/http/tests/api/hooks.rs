//! Hooks: whom they let in, and what becomes of what comes in.

mod deliveries;
mod proof;
mod pushes;

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

use crate::house::code::Code;
use crate::house::{E, House, Said};

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

/// A call with exactly these headers.
async fn raw(house: &House, path: &str, headers: &[(&str, &str)], body: &str) -> Said {
    house.send(Method::POST, path, headers, Body::from(body.to_owned())).await
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
