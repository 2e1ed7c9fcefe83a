//! Rollouts as they are asked for, shown and steered over HTTP.

mod starting;
mod steering;

use std::time::Duration;

use axum::http::Method;
use lamplighter_app::Advanced;
use lamplighter_core::decision::Decision;
use lamplighter_core::rollout::{AppState, HeadPart, Move, Quarantined, Updating};
use lamplighter_core::update::{UpdateStep, Way};
use lamplighter_core::watch::Status;
use lamplighter_store::{Commit, Fence, Scope};
use serde_json::{Value, json};

use crate::house::code::Code;
use crate::house::{E, House};

const SHOP: [(&str, Option<&str>); 3] =
    [("vps-001", Some("ada@example.com")), ("vps-002", None), ("vps-003", Some("bob@example.com"))];

fn ids(services: &Value) -> Vec<&str> {
    services.as_array().unwrap().iter().map(|service| service["id"].as_str().unwrap()).collect()
}

/// Carries a rollout on until it has ended, and says how.
async fn ended(house: &House, id: &str) -> Value {
    let carried = async {
        loop {
            let advanced = lamplighter_app::advance(&house.env, || false).await.unwrap();
            let shown = house.get(&format!("{E}/rollouts/{id}")).await.body;
            if !shown["ended_at"].is_null() {
                return shown;
            }
            let Advanced::Rested { next: Some(next) } = advanced else { panic!("{advanced:?}: {shown:#}") };
            house.env.clock().sleep_until(next).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), carried).await.expect("it does not end")
}

#[tokio::test]
async fn the_described_examples_are_understood() {
    let house = House::new().await;
    let paths = house.description()["paths"].clone();
    for (path, status) in [
        ("/v1/envs/{env}/rollouts/plan", 404),
        ("/v1/envs/{env}/rollouts", 404),
        ("/v1/envs/{env}/rollouts/{id}/abort", 404),
        ("/v1/envs/{env}/rollouts/{id}/retry", 404),
    ] {
        let example = paths[path]["post"]["requestBody"]["content"]["application/json"]["example"].clone();
        let at = path.replace("{env}", "prod").replace("{id}", "rachel8-17");
        let said = house.post(&at, example).await;
        assert_eq!(said.status, status, "there is no such app yet, and that is all: {path}: {}", said.text);
    }
}

/// What is shown of each form is held to the description of it.
#[tokio::test]
async fn every_form_of_an_update_is_taken_and_shown_as_it_is_described() {
    let house = House::new().await;
    let around = json!({"before": "true", "after": "true", "rollback": "true"});
    let with = |form: Value| {
        let mut form = form;
        for (name, command) in around.as_object().unwrap() {
            form[name] = command.clone();
        }
        form
    };
    for (index, form) in [
        json!({"dir": "/srv/app"}),
        with(json!({"dir": "/srv/app", "branch": "live", "install": "make"})),
        with(json!({"docker": "ghcr.io/acme/web", "dir": "/srv/web", "service": "web"})),
        json!({"version": "cat VERSION", "steps": [{"run": "./up", "back": "./down"}]}),
    ]
    .into_iter()
    .enumerate()
    {
        let mut spec = crate::house::spec(&format!("vps-{index}"), "true");
        spec["update"] = form;
        let at = format!("{E}/services/vps-{index}");
        let said = house.call(Method::PUT, &at, &[], Some(spec.clone())).await;
        assert_eq!(said.status, 201, "{}", said.text);
        assert!(said.body["spec"]["update"].is_object(), "{}", said.text);
        let removed = house.call(Method::PATCH, &at, &[], Some(json!({"update": null}))).await;
        assert_eq!(
            (removed.status, &removed.body["spec"]["update"]),
            (200, &Value::Null),
            "{}",
            removed.text
        );
    }
}
