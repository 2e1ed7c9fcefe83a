//! A home of real parts: a store in memory, processes of this machine as services, letters in a folder.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt;
use lamplighter_app::{Clock, Env, EnvParts, Sweeps};
use lamplighter_core::{EnvName, Mailbox, Moment};
use lamplighter_http::{Home, mint_token, router};
use lamplighter_notify::{Place, Post};
use lamplighter_remote::{Remote, RemoteConfig};
use lamplighter_store::embedded::Intercept;
use lamplighter_store::{Scope, Store};
use serde_json::{Value, json};
use tower::ServiceExt;

pub(crate) mod code;
mod schema;

pub(crate) const E: &str = "/v1/envs/prod";

pub(crate) struct House {
    pub(crate) env: Arc<Env>,
    pub(crate) home: Arc<Home>,
    pub(crate) router: Router,
    pub(crate) admin: String,
    description: Value,
    dir: tempfile::TempDir,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
    pub(crate) body: Value,
}

impl Said {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

impl House {
    pub(crate) async fn new() -> House {
        Self::with_clock(Clock::System).await
    }

    pub(crate) async fn with_clock(clock: Clock) -> House {
        Self::build(clock, None, true).await
    }

    /// A house whose table has faults.
    pub(crate) async fn with_faults(faults: Arc<dyn Intercept>) -> House {
        Self::build(Clock::System, Some(faults), true).await
    }

    /// A house as people run it: local services come from the fleet file only.
    pub(crate) async fn refusing_local() -> House {
        Self::build(Clock::System, None, false).await
    }

    async fn build(clock: Clock, faults: Option<Arc<dyn Intercept>>, allows_local: bool) -> House {
        let dir = tempfile::tempdir().unwrap();
        let env = env("prod", dir.path(), clock.clone(), faults).await;
        let other = env_of_another_name(dir.path(), clock.clone()).await;
        let started = clock.now();
        let home = Home::new([Arc::clone(&env), other], started, "0.1.0").with_secrets_in(dir.path());
        let home = Arc::new(if allows_local { home.allowing_local() } else { home });
        let router = router(Arc::clone(&home));
        let admin = mint_token(&env, "root", Scope::Admin, None).await.unwrap().expose().to_owned();
        let mut house = House { env, home, router, admin, description: Value::Null, dir };
        house.description = house.send(Method::GET, "/openapi.json", &[], Body::empty()).await.body;
        house
    }

    /// Where the secrets of hooks lie.
    pub(crate) fn folder(&self) -> &std::path::Path {
        self.dir.path()
    }

    pub(crate) async fn token(&self, name: &str, scope: Scope, owner: Option<&str>) -> String {
        let owner = owner.map(|owner| owner.parse::<Mailbox>().unwrap());
        mint_token(&self.env, name, scope, owner).await.unwrap().expose().to_owned()
    }

    /// Asks as the admin.
    pub(crate) async fn get(&self, path: &str) -> Said {
        self.call(Method::GET, path, &[], None).await
    }

    /// Asks as the admin.
    pub(crate) async fn post(&self, path: &str, body: Value) -> Said {
        self.call(Method::POST, path, &[], Some(body)).await
    }

    /// Asks as the admin.
    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<Value>,
    ) -> Said {
        self.call_as(&self.admin, method, path, headers, body).await
    }

    pub(crate) async fn call_as(
        &self,
        token: &str,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<Value>,
    ) -> Said {
        let bearer = format!("Bearer {token}");
        let mut all = vec![("authorization", bearer.as_str())];
        all.extend(headers);
        if body.is_some() && !headers.iter().any(|(name, _)| *name == "content-type") {
            all.push(("content-type", "application/json"));
        }
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        self.send(method, path, &all, body).await
    }

    /// Asks, and holds the answer to what the description says of it.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Body,
    ) -> Said {
        let mut request = Request::builder().method(method.clone()).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = self.router.clone().oneshot(request.body(body).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        let said = Said { status: parts.status.as_u16(), headers: parts.headers, text, body };
        self.must_be_as_described(&method, path, &said);
        said
    }

    fn must_be_as_described(&self, method: &Method, path: &str, said: &Said) {
        for (name, value) in [("x-content-type-options", "nosniff"), ("referrer-policy", "no-referrer")] {
            assert_eq!(said.header(name), value, "{method} {path}");
        }
        assert!(said.header("content-security-policy").contains("frame-ancestors 'none'"), "{method} {path}");
        assert!(said.headers.get("access-control-allow-origin").is_none());
        if self.description.is_null() {
            return;
        }
        let status = StatusCode::from_u16(said.status).unwrap();
        if status.is_client_error() || status.is_server_error() {
            assert_eq!(
                said.header("content-type"),
                "application/problem+json",
                "{method} {path}: {}",
                said.text
            );
            let problem = json!({"$ref": "#/components/schemas/Problem"});
            schema::must_fit(&self.description, &problem, &said.body, "problem");
            assert_eq!(said.body["status"], said.status);
            assert!(!said.body["hint"].as_str().unwrap().is_empty());
        }
        let path = path.split('?').next().unwrap();
        let Some(operation) = schema::operation(&self.description, method.as_str(), path) else { return };
        let described = &operation["responses"][said.status.to_string()];
        assert!(
            described.is_object(),
            "{method} {path} answers {} and does not say so: {}",
            said.status,
            said.text
        );
        let media = said.header("content-type").split(';').next().unwrap();
        let described = &described["content"][media]["schema"];
        if media == "application/json" && described["type"] != "string" {
            schema::must_fit(&self.description, described, &said.body, &format!("{method} {path}"));
        }
    }

    pub(crate) fn description(&self) -> &Value {
        &self.description
    }

    /// Creates a service whose check is the command `check`.
    pub(crate) async fn service(&self, id: &str, check: &str, owner: Option<&str>) -> Said {
        let mut spec = spec(id, check);
        if let Some(owner) = owner {
            spec["owner"] = json!(owner);
        }
        let said = self.call(Method::PUT, &format!("{E}/services/{id}"), &[], Some(spec)).await;
        assert_eq!(said.status, 201, "{}", said.text);
        said
    }

    /// Sweeps once, at the clock's second plus `later`.
    pub(crate) async fn sweep(&self, later: u64) {
        let tick = u64::try_from(self.env.clock().now().as_secs()).unwrap() + later;
        lamplighter_app::sweep(&self.env, tick).await.unwrap();
    }
}

/// A service of this machine.
pub(crate) fn spec(id: &str, check: &str) -> Value {
    json!({
        "id": id, "address": "127.0.0.1", "transport": "local",
        "check": {"command": check}, "restart": {"command": "true"}, "app": "rachel8",
    })
}

async fn env(
    name: &str,
    dir: &std::path::Path,
    clock: Clock,
    faults: Option<Arc<dyn Intercept>>,
) -> Arc<Env> {
    let name: EnvName = name.parse().unwrap();
    let from: Mailbox = "lamp@example.com".parse().unwrap();
    let store = Store::open_memory(&name, clock.now(), faults).await.unwrap();
    Arc::new(Env::new(EnvParts {
        name: name.clone(),
        store,
        hosts: Arc::new(Remote::new(RemoteConfig::new(dir)).unwrap()),
        courier: Arc::new(Post::folder(dir.join(name.as_str()), &from).unwrap()),
        place: Place::default(),
        clock,
        owner: "test".to_owned(),
        sweeps: Sweeps::Together,
    }))
}

async fn env_of_another_name(dir: &std::path::Path, clock: Clock) -> Arc<Env> {
    env("dev", dir, clock, None).await
}

pub(crate) fn moment(value: &Value) -> Moment {
    serde_json::from_value(value.clone()).unwrap()
}
