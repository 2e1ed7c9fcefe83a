//! The data file as an endpoint: what another process asks of it, and what it may not do.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::*;
use lamplighter_store::embedded::{Endpoint, TABLE};
use lamplighter_store::*;
use serde_json::{Value, json};

async fn ask(endpoint: &Endpoint, operation: &str, request: Value) -> (u16, Value) {
    let target = format!("DynamoDB_20120810.{operation}");
    let (status, body) = endpoint.answer(&target, request.to_string().as_bytes()).await;
    (status, serde_json::from_str(&body).unwrap())
}

#[tokio::test]
async fn it_answers_for_the_one_table_of_its_file_and_for_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("prod.sqlite");
    let endpoint = Endpoint::open(&path, &env(), at(0)).await.unwrap();
    let schema = json!({ "pk": { "S": "META" }, "sk": { "S": "SCHEMA" } });
    let (status, found) = ask(&endpoint, "GetItem", json!({ "TableName": TABLE, "Key": schema })).await;
    assert_eq!((status, &found["Item"]["env"]), (200, &json!({ "S": "prod" })));

    for (operation, request, kind) in [
        ("GetItem", json!({ "TableName": "another", "Key": schema }), "ResourceNotFoundException"),
        ("GetItem", json!({ "TableName": TABLE, "Key": { "pk": { "S": "META" } } }), "ValidationException"),
        ("CreateTable", json!({ "TableName": "another" }), "AccessDeniedException"),
        ("DropEverything", json!({}), "UnknownOperationException"),
        ("", json!([]), "UnknownOperationException"),
    ] {
        let (status, refused) = ask(&endpoint, operation, request).await;
        let said = refused["__type"].as_str().unwrap().to_owned();
        assert!(status == 400 && said.ends_with(kind), "{operation}: {status} {refused}");
    }
    let (status, _) = endpoint.answer("DynamoDB_20120810.GetItem", b"\xff{").await;
    assert_eq!(status, 400, "what is no JSON");

    let second = Store::open_file(&path, &env(), at(0)).await.unwrap_err();
    assert!(matches!(second, OpenError::InUse { .. }), "{second}");
    drop(endpoint);
    Store::open_file(&path, &env(), at(0)).await.unwrap();
    let other = Endpoint::open(&path, &"staging".parse().unwrap(), at(0)).await.unwrap_err();
    assert!(matches!(other, OpenError::OtherEnv { .. }), "{other}");
}
