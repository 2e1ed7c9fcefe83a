//! What the template says of the code, and the code of the template.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::http::Request;
use lamplighter_core::Moment;
use lamplighter_core::watch::Status;
use lamplighter_http::{Home, router};
use serde_json::Value;
use tower::ServiceExt as _;

use crate::reader::{assert_none, each, resources, root, template, texts};

/// The programs on AWS.
const PROGRAMS: [&str; 5] = ["advance", "api", "notify", "recover", "sweep"];
/// The longest that an HTTP API waits for its function, in seconds.
const GATEWAY_SECS: i64 = 30;
/// AWS asks for a queue that hides a message for so many of its reader's time-outs.
const TIMEOUTS_HIDDEN: i64 = 6;

fn text(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The sources of the functions.
fn sources() -> Vec<(PathBuf, String)> {
    let (mut found, mut folders) = (Vec::new(), vec![root().join("functions/src")]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push((path.clone(), text(&path)));
            }
        }
    }
    found
}

/// The programs that the package of functions has: those in `src/bin`, and those that its manifest names.
fn programs() -> BTreeSet<String> {
    let mut programs = BTreeSet::new();
    for entry in std::fs::read_dir(root().join("functions/src/bin")).into_iter().flatten() {
        let path = entry.expect("an entry").path();
        programs.extend(path.file_stem().and_then(|stem| stem.to_str()).map(str::to_owned));
    }
    let manifest = text("functions/Cargo.toml");
    let named = manifest.split("[[bin]]").skip(1).filter_map(|rest| quoted(rest, "name = "));
    programs.extend(named.map(str::to_owned));
    programs
}

/// The text in quotes after `before`.
fn quoted<'t>(text: &'t str, before: &str) -> Option<&'t str> {
    text.split_once(before)?.1.split('"').nth(1)
}

fn functions(template: &Value) -> BTreeMap<&str, &Value> {
    let all = resources(template, "AWS::Serverless::Function");
    all.map(|(name, properties)| {
        let build = &template["Resources"][name]["Metadata"];
        assert_eq!(build["BuildMethod"], "rust-cargolambda", "{name}");
        (build["BuildProperties"]["Binary"].as_str().expect("each function has its program"), properties)
    })
    .collect()
}

#[test]
fn each_function_is_one_program_and_each_program_one_function() {
    let template = template();
    let functions = functions(&template);
    assert_eq!(functions.keys().copied().collect::<Vec<_>>(), PROGRAMS);
    for (program, properties) in functions {
        assert_eq!(properties["FunctionName"]["Fn::Sub"], format!("lamplighter-${{Env}}-{program}"));
    }
    let programs = programs();
    if !programs.is_empty() {
        assert_eq!(programs, PROGRAMS.map(str::to_owned).into(), "programs of the package, and functions");
    }
}

#[test]
fn the_table_has_the_keys_and_the_expiry_that_the_store_uses() {
    let source = text("shared/store/src/item.rs");
    let named = |name: &str| {
        quoted(&source, &format!("const {name}: &str = ")).unwrap_or_else(|| panic!("`{name}` has moved"))
    };
    let template = template();
    let tables: Vec<&Value> = resources(&template, "AWS::DynamoDB::Table").map(|(_, table)| table).collect();
    let [table] = tables.as_slice() else { panic!("{} tables", tables.len()) };
    let list = |list: &'static str, name: &'static str, kind: &'static str| -> Vec<(&str, &str)> {
        each(&table[list])
            .map(|one| (one[name].as_str().expect("a name"), one[kind].as_str().expect("a kind")))
            .collect()
    };
    assert_eq!(
        list("KeySchema", "AttributeName", "KeyType"),
        [(named("PK"), "HASH"), (named("SK"), "RANGE")]
    );
    let attributes = list("AttributeDefinitions", "AttributeName", "AttributeType");
    assert_eq!(attributes, [(named("PK"), "S"), (named("SK"), "S")]);
    assert_eq!(table["TimeToLiveSpecification"]["AttributeName"], named("EXPIRES_AT"));
    assert_eq!(table["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"], true);
}

#[test]
fn the_table_outlives_its_stack() {
    let template = template();
    let table = &template["Resources"]["Table"];
    assert_eq!(table["DeletionPolicy"], "RetainExceptOnCreate");
    assert_eq!(table["UpdateReplacePolicy"], "Retain");
}

/// The variables that a text speaks of.
fn variables(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_'));
    let ours =
        words.filter(|word| *word == "LOG_LEVEL" || word.starts_with("LAMPLIGHTER_") && word.len() > 12);
    ours.map(str::to_owned).collect()
}

#[test]
fn the_functions_are_given_the_variables_that_they_read() {
    let template = template();
    let globals = &template["Globals"]["Function"]["Environment"]["Variables"];
    let mut given: BTreeSet<String> = globals.as_object().expect("variables").keys().cloned().collect();
    for properties in functions(&template).into_values() {
        given.extend(
            properties["Environment"]["Variables"]
                .as_object()
                .into_iter()
                .flat_map(|own| own.keys().cloned()),
        );
    }
    if programs().is_empty() {
        return;
    }
    let read: BTreeSet<String> = sources().iter().flat_map(|(_, source)| variables(source)).collect();
    assert_eq!(read, given, "variables that functions/src reads, and those that template.yaml gives");
}

/// The paths and methods of the router, as it describes them itself.
async fn operations() -> Vec<(String, String)> {
    let home = Arc::new(Home::new([], Moment::EPOCH, "0.0.0"));
    let request = Request::get("/openapi.json").body(Body::empty()).expect("a request");
    let answer = router(home).oneshot(request).await.expect("it answers");
    assert_eq!(answer.status(), 200);
    let body = to_bytes(answer.into_body(), 16 << 20).await.expect("a body");
    let described: Value = serde_json::from_slice(&body).expect("JSON");
    let mut operations = Vec::new();
    for (path, methods) in described["paths"].as_object().expect("paths") {
        for method in methods.as_object().expect("methods").keys() {
            operations.push((method.to_ascii_uppercase(), path.clone()));
        }
    }
    operations
}

/// Whether a route of the gateway lets an operation of the router in.
fn lets_in(route: &str, method: &str, path: &str) -> bool {
    let Some((by, at)) = route.split_once(' ') else { return false };
    if by != "ANY" && by != method {
        return false;
    }
    let mut path = path.split('/');
    for part in at.split('/') {
        let Some(own) = path.next() else { return false };
        if part.ends_with("+}") {
            return !own.is_empty();
        }
        // What is free in the router must be free here: a name given in the one would shut others out.
        let is_free = part.starts_with('{');
        if own.starts_with('{') != is_free || (!is_free && part != own) {
            return false;
        }
    }
    path.next().is_none()
}

#[tokio::test]
async fn the_gateway_lets_in_what_the_router_knows_and_nothing_else() {
    let template = template();
    let routes: Vec<&str> = resources(&template, "AWS::ApiGatewayV2::Route")
        .map(|(_, route)| route["RouteKey"].as_str().expect("a route key"))
        .collect();
    let operations = operations().await;
    assert!(operations.len() > 30, "only {} operations are described", operations.len());
    let mut wrong = Vec::new();
    for (method, path) in &operations {
        if !routes.iter().any(|route| lets_in(route, method, path)) {
            wrong
                .push(format!("`{method} {path}` is in the router, and no route of the gateway leads to it"));
        }
    }
    for route in &routes {
        if !operations.iter().any(|(method, path)| lets_in(route, method, path)) {
            wrong.push(format!("the gateway lets `{route}` in, and the router knows nothing of it"));
        }
    }
    assert_none(&wrong);
}

#[test]
fn a_route_lets_in_its_own_and_no_other() {
    assert!(lets_in("ANY /v1/{proxy+}", "PUT", "/v1/envs/{env}/services/{id}"));
    assert!(lets_in("POST /hooks/{env}/{hook}", "POST", "/hooks/{env}/{hook}"));
    for (route, method, path) in [
        ("ANY /v1/{proxy+}", "GET", "/v1"),
        ("ANY /v1/{proxy+}", "GET", "/v2/envs"),
        ("POST /hooks/{env}/{hook}", "GET", "/hooks/{env}/{hook}"),
        ("POST /hooks/{env}", "POST", "/hooks/{env}/{hook}"),
        ("GET /{page}", "GET", "/docs"),
        ("GET /docs", "GET", "/docs/page.js"),
        ("$default", "GET", "/docs"),
    ] {
        assert!(!lets_in(route, method, path), "{route} let {method} {path} in");
    }
}

#[test]
fn limits_that_depend_on_each_other_fit() {
    let template = template();
    let functions = functions(&template);
    let seconds = |program: &str| functions[program]["Timeout"].as_i64().expect("a time-out");
    assert!(seconds("api") < GATEWAY_SECS, "the gateway gives up before the API has answered");
    let reader = &template["Resources"]["Rings"]["Properties"];
    assert_eq!(reader["FunctionName"]["Ref"], "SweepFunction");
    assert_eq!(reader["EventSourceArn"]["Fn::GetAtt"], "Queue.Arn");
    let queue = &template["Resources"]["Queue"]["Properties"];
    let hidden = queue["VisibilityTimeout"].as_i64().expect("a number");
    assert!(hidden >= TIMEOUTS_HIDDEN * seconds("sweep"), "a ring is heard twice while it is acted on");
    let tries = queue["RedrivePolicy"]["maxReceiveCount"].as_i64().expect("a number");
    let kept = queue["MessageRetentionPeriod"].as_i64().expect("a number");
    assert!(kept > tries * hidden, "a ring is forgotten before it is dead");
}

#[test]
fn every_minute_rings_each_verb_once_and_nothing_repeats_it() {
    let template = template();
    let mut rung = BTreeSet::new();
    for (name, schedule) in resources(&template, "AWS::Scheduler::Schedule") {
        assert_eq!(schedule["ScheduleExpression"], "cron(* * * * ? *)", "{name}");
        assert_eq!(schedule["State"]["Ref"], "ScheduleState", "{name} cannot be stopped");
        let target = &schedule["Target"];
        assert!(target["Input"].is_null(), "{name}: the event would not say which minute it is for");
        assert_eq!(target["RetryPolicy"]["MaximumRetryAttempts"], 0, "{name}");
        assert_eq!(target["RetryPolicy"]["MaximumEventAgeInSeconds"], 60, "{name}");
        rung.extend(texts(&target["Arn"]["Fn::GetAtt"]).map(str::to_owned));
    }
    let verbs = ["AdvanceFunction.Arn", "NotifyFunction.Arn", "RecoverFunction.Arn", "SweepFunction.Arn"];
    assert_eq!(rung, verbs.map(str::to_owned).into());
    for (program, properties) in functions(&template) {
        let asynchronous = &properties["EventInvokeConfig"];
        if program != "api" {
            assert_eq!(asynchronous["MaximumRetryAttempts"], 0, "{program}");
            assert_eq!(asynchronous["MaximumEventAgeInSeconds"], 60, "{program}");
        }
    }
}

#[test]
fn five_alarms_look_at_five_metrics_and_each_says_what_to_do() {
    let template = template();
    let alarms: Vec<(&str, &Value)> = resources(&template, "AWS::CloudWatch::Alarm").collect();
    assert_eq!(alarms.len(), 5, "each costs $0.10 a month");
    for (name, alarm) in alarms {
        assert!(alarm["Metrics"].is_null(), "{name} would be paid for each metric of its expression");
        assert_eq!(alarm["AlarmActions"][0]["Ref"], "AlarmTopic", "{name} tells nobody");
        let says = alarm["AlarmDescription"].as_str().unwrap_or_default();
        assert!(says.split(". ").count() > 1, "{name} says what happened, and not what to do: {says}");
    }
}

#[test]
fn a_tick_that_fails_is_not_hidden_by_rings_that_succeed() {
    let template = template();
    let alarm = &template["Resources"]["NoSweepAlarm"]["Properties"];
    assert_eq!(alarm["MetricName"], "Errors");
    assert_eq!(alarm["Statistic"], "Maximum", "the smallest number of a minute is that of its rings");
    assert_eq!(alarm["TreatMissingData"], "breaching", "no call at all is no sweep");
}

#[test]
fn the_alarms_read_what_is_written() {
    let template = template();
    let pattern = |name: &str| template["Resources"][name]["Properties"]["FilterPattern"].as_str();
    let opened = format!(r#"{{ $.fields.status = "{}" }}"#, Status::CircuitOpen);
    assert_eq!(pattern("BreakersOpened"), Some(opened.as_str()));
    assert!(pattern("ErrorLines").is_some_and(|lines| lines.contains(r#"$.level = "ERROR""#)));
    for (name, filter) in resources(&template, "AWS::Logs::MetricFilter") {
        for metric in each(&filter["MetricTransformations"]) {
            assert!(metric["DefaultValue"].is_null(), "{name} would be paid for while all is well");
            assert!(metric["Dimensions"].is_null(), "{name} would be a metric for each value");
        }
    }
}

#[test]
fn every_parameter_says_what_to_do() {
    let template = template();
    for (name, parameter) in template["Parameters"].as_object().expect("parameters") {
        for key in ["Description", "ConstraintDescription"] {
            assert!(parameter[key].as_str().is_some_and(|says| says.len() > 10), "`{name}` has no {key}");
        }
    }
}
