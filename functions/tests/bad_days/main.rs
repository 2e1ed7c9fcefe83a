//! Bad input and bad days, told to the functions' own programs as AWS would tell them: each says which it is, in one line,
//! by a stable name, and does nothing to any host.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up must stop")]

mod fixture;

use fixture::{World, ring};
use lamplighter_tests::aws::Service;
use serde_json::{Value, json};

/// The functions that are woken by schedules and rings.
const WOKEN: [&str; 4] = ["sweep", "recover", "advance", "notify"];

#[tokio::test]
async fn with_everything_right_the_host_is_visited() {
    let world = World::by_tcp().await;
    world.call("sweep", &[], ring("sweep", 0, 0)).await.went_well();
    assert_eq!(world.host.visits(), 1, "else none of the other tests shows anything");
    assert!(world.items().await.contains("healthy"));
}

#[tokio::test]
async fn a_variable_that_is_missing_or_wrong_is_named_to_each_call() {
    let world = World::by_tcp().await;
    let (deploy, lambda) = ("deploy that again", "Lambda sets it");
    for (role, key, value, words, advice) in [
        ("sweep", "LAMPLIGHTER_ENV", None, "missing", deploy),
        ("sweep", "LAMPLIGHTER_ENV", Some("Prod!"), "", deploy),
        ("recover", "LAMPLIGHTER_TABLE", Some(""), "missing", deploy),
        ("advance", "LAMPLIGHTER_QUEUE_URL", None, "missing", deploy),
        ("notify", "LAMPLIGHTER_MAIL", None, "missing", deploy),
        ("notify", "LAMPLIGHTER_MAIL", Some("smtp:x"), "ses:ADDRESS", deploy),
        ("sweep", "LAMPLIGHTER_ALLOWED_NETWORKS", Some("10.0.0.0/99"), "10.0.0.0/99", deploy),
        ("sweep", "AWS_REGION", None, "missing", lambda),
        ("recover", "AWS_ACCESS_KEY_ID", None, "missing", lambda),
        ("advance", "AWS_SECRET_ACCESS_KEY", Some(""), "missing", lambda),
    ] {
        let mut function = world.start(role, &[(key, value)]).await;
        for _ in 0..2 {
            let (name, said) = function.call(ring(role, 0, 0)).await.failure();
            assert_eq!(name, "BadConfiguration", "{said}");
            assert!(said.contains(key) && said.contains(words) && said.contains(advice), "{said}");
        }
    }
    assert_eq!((world.host.visits(), world.table.units().written), (0, 0.0));
}

#[tokio::test]
async fn requests_are_told_that_it_is_not_they() {
    let world = World::by_tcp().await;
    let request: Value = serde_json::from_str(include_str!("../../../tests/events/request.json")).unwrap();
    let told = world.call("api", &[("LAMPLIGHTER_TABLE", None)], request).await;
    told.went_well();
    let answer: Value = serde_json::from_str(&told.answer.body).unwrap();
    assert_eq!(answer["statusCode"], 503, "{answer}");
    let problem = answer["body"].as_str().unwrap();
    assert!(problem.contains("BadConfiguration") && !problem.contains("LAMPLIGHTER_TABLE"), "{problem}");
    assert!(told.log.contains("`LAMPLIGHTER_TABLE`: it is missing"), "{}", told.log);
}

#[tokio::test]
async fn a_table_that_is_not_ours_is_not_touched() {
    let world = World::by_tcp().await;
    for role in WOKEN {
        for (key, value, expected, words) in [
            ("LAMPLIGHTER_TABLE", "elsewhere", "NoTable", "no table `elsewhere`"),
            ("LAMPLIGHTER_ENV", "other", "NotOurTable", "belongs to the env `dev`, not `other`"),
        ] {
            let (name, said) = world.call(role, &[(key, Some(value))], ring(role, 0, 0)).await.failure();
            assert!(name == expected && said.contains(words), "{name}: {said}");
        }
    }
    world.change_schema("REMOVE #it", "env", None).await;
    for role in WOKEN {
        let (name, said) = world.call(role, &[], ring(role, 0, 0)).await.failure();
        assert!(name == "NotOurTable" && said.contains("META/SCHEMA"), "{name}: {said}");
    }
    assert_eq!((world.host.visits(), world.table.units().written), (0, 0.0));
}

#[tokio::test]
async fn a_table_of_a_newer_schema_stops_functions_that_start_and_those_at_work() {
    let world = World::by_tcp().await;
    let mut at_work = world.start("sweep", &[]).await;
    at_work.call(ring("sweep", 0, 0)).await.went_well();
    let visits = world.host.visits();
    // As a newer version of this program does that this one does not understand.
    world.change_schema("SET #it = :it", "schema", Some(json!({"N": "99"}))).await;
    let written = world.table.units().written;
    let (name, said) = at_work.call(ring("sweep", 0, 1)).await.failure();
    assert!(name == "NewerSchema" && said.contains("schema 99"), "{name}: {said}");
    for role in WOKEN {
        let (name, said) = world.call(role, &[], ring(role, 0, 1)).await.failure();
        assert!(name == "NewerSchema" && said.contains("use a newer Lamplighter"), "{name}: {said}");
    }
    assert_eq!((world.host.visits(), world.table.units().written), (visits, written));
}

#[tokio::test]
async fn a_table_that_cannot_be_reached_is_named_with_its_cause() {
    let world = World::by_tcp().await;
    let refused = Service::saying_json(
        400,
        json!({"__type": "com.amazon.coral.service#AccessDeniedException", "message": "not authorized to perform it"}),
    );
    let refused = refused.await.unwrap();
    for (url, expected, words) in [
        ("http://127.0.0.1:1", "StoreUnavailable", "Connection refused"),
        (refused.url(), "StoreRefused", "AccessDeniedException: not authorized to perform it"),
    ] {
        let changes = [("AWS_ENDPOINT_URL_DYNAMODB", Some(url))];
        let (name, said) = world.call("sweep", &changes, ring("sweep", 0, 0)).await.failure();
        assert!(name == expected && said.contains(words), "{name}: {said}");
    }
    assert_eq!(world.host.visits(), 0);
}

#[tokio::test]
async fn nothing_is_done_by_a_clock_that_is_wrong_nor_for_an_event_that_is_old() {
    let world = World::by_tcp().await;
    for role in WOKEN {
        let mut function = world.start(role, &[]).await;
        let (name, said) = function.call(ring(role, 300, 0)).await.failure();
        assert!(name == "ClockSkew" && said.contains(" s ahead"), "{name}: {said}");
        let told = function.call(ring(role, -95, 0)).await;
        told.went_well();
        assert!(told.log.contains("too late and is dropped"), "{}", told.log);
    }
    assert_eq!(world.host.visits(), 0);
    assert!(!world.items().await.contains("healthy"));
}

#[tokio::test]
async fn a_message_that_makes_no_sense_is_given_back_alone() {
    let world = World::by_tcp().await;
    let good = ring("sweep", 0, 0).to_string();
    let far = ring("sweep", 300, 0).to_string();
    let bodies = [
        ("not-json", "{"),
        ("good", &good),
        ("no-such-ring", r#"{"ring":"bell","due":1}"#),
        ("of-the-future", &far),
        (
            "no-such-shard",
            &json!({"ring": "shard", "due": fixture::now(), "tick": 60, "shard": 999}).to_string(),
        ),
    ]
    .map(|(id, body)| json!({"messageId": id, "body": body}));
    let told = world.call("sweep", &[], json!({"Records": bodies})).await;
    told.went_well();
    let answer: Value = serde_json::from_str(&told.answer.body).unwrap();
    let given_back: Vec<&str> = answer["batchItemFailures"]
        .as_array()
        .unwrap()
        .iter()
        .map(|failure| failure["itemIdentifier"].as_str().unwrap())
        .collect();
    assert_eq!(given_back, ["not-json", "no-such-ring", "of-the-future", "no-such-shard"], "{}", told.log);
    assert_eq!(world.host.visits(), 1, "the good one was heard");
    for role in WOKEN {
        for event in
            [json!({}), json!(null), json!({"ring": "bell"}), json!({"source": "aws.s3", "time": "noon"})]
        {
            let (name, said) = world.call(role, &[], event.clone()).await.failure();
            assert_eq!(name, "BadEvent", "{event}: {said}");
        }
    }
}

#[tokio::test]
async fn a_key_that_cannot_be_read_is_named_and_its_host_left_alone() {
    let missing = json!({"__type": "ParameterNotFound"});
    let refused = json!({"__type": "AccessDeniedException", "message": "User may not kms:Decrypt"});
    let nonsense =
        json!({"Parameter": {"Name": "/lamplighter/dev/key", "Type": "SecureString", "Value": "no key"}});
    for (status, body, words) in [
        (
            400,
            missing,
            "cannot be read: no such parameter; `aws ssm put-parameter --type SecureString` makes it",
        ),
        (400, refused, "this function may not read it; parameters of an env begin with"),
        (200, nonsense, "`ssm:/lamplighter/dev/key` is not a private SSH key; store the file that"),
    ] {
        let world = World::with(json!({"systemd": "web"}), json!({"systemd": "web"})).await;
        let vault = Service::saying_json(status, body).await.unwrap();
        let mut sweep = world.start("sweep", &[("AWS_ENDPOINT_URL_SSM", Some(vault.url()))]).await;
        for tick in 0..3 {
            sweep.call(ring("sweep", 0, tick)).await.went_well();
        }
        assert!(vault.asked() > 0);
        let items = world.items().await;
        assert!(items.contains(words), "{items}");
        world
            .call("recover", &[("AWS_ENDPOINT_URL_SSM", Some(vault.url()))], ring("recover", 0, 0))
            .await
            .went_well();
        assert_eq!(world.host.visits(), 0, "there is nothing to say to it without a key");
    }
}

#[tokio::test]
async fn a_sender_that_ses_does_not_know_is_named_and_its_letter_waits() {
    // A port where nobody listens: there is something to tell.
    let world = World::with(json!({"tcp": 1}), json!("never")).await;
    world.call("sweep", &[], ring("sweep", 0, 0)).await.went_well();
    let unverified = "<ErrorResponse><Error><Type>Sender</Type><Code>MessageRejected</Code><Message>Email address is not \
        verified. The following identities failed the check in region EU-CENTRAL-1: lamp@example.com</Message></Error>\
        <RequestId>1</RequestId></ErrorResponse>";
    let ses = Service::saying_xml(400, unverified).await.unwrap();
    let changes =
        [("LAMPLIGHTER_MAIL", Some("ses:lamp@example.com")), ("AWS_ENDPOINT_URL_SES", Some(ses.url()))];
    let told = world.call("notify", &changes, ring("notify", 0, 0)).await;
    assert!(ses.asked() > 0, "{told:?}");
    assert!(told.log.contains("lamp@example.com") && told.log.contains("eu-central-1"), "{}", told.log);
    let items = world.items().await;
    assert!(
        items.contains(r#""attempts":{"N":"1"}"#) && items.contains(r#""id":{"S":"lamp.2.down"}"#),
        "{items}"
    );
}
