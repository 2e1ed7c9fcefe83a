//! Letters through SES: what is asked of it, and what its refusals mean.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod query_server;

use aws_sdk_ses::config::{Credentials, Region, SharedCredentialsProvider};
use aws_types::SdkConfig;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lamplighter_core::Moment;
use lamplighter_notify::{Letter, Post, SEND_LIMIT, SendError};
use mail_parser::MessageParser;
use query_server::QueryServer;

const FROM: &str = "lamp@mail.example.com";
const TO: &str = "ada@example.org";
const SECRET_KEY: &str = "wJalrXUtnFEMI";

fn letter() -> Letter {
    Letter {
        message_id: "prod.vps-001.17.down".to_owned(),
        in_reply_to: None,
        references: vec!["prod.vps-001.17".to_owned()],
        to: TO.parse().unwrap(),
        at: Moment::from_millis(1_767_321_000_000),
        subject: "[prod] vps-001 is DOWN: unit is not active".to_owned(),
        text: "It is down.\n.\nGrüße & 100 % + 1\n".to_owned(),
        html: "<p>It is down.</p>".to_owned(),
    }
}

fn account(url: &str) -> SdkConfig {
    let credentials = Credentials::new("AKIDEXAMPLE", SECRET_KEY, None, None, "this test");
    SdkConfig::builder()
        .region(Region::new("eu-west-1"))
        .endpoint_url(url)
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .build()
}

fn post(url: &str) -> Post {
    Post::ses(&account(url), &FROM.parse().unwrap()).unwrap()
}

/// In one line, short, and without a secret.
fn told(error: &SendError) -> String {
    let told = error.to_string();
    assert!(!told.contains('\n') && told.len() < 700, "{told}");
    assert!(!format!("{told} {error:?}").contains(SECRET_KEY), "{told}");
    told
}

#[tokio::test]
async fn the_whole_letter_arrives_under_its_own_id_with_its_envelope_beside_it() {
    let sent = "<SendRawEmailResponse><SendRawEmailResult><MessageId>m-1</MessageId></SendRawEmailResult></SendRawEmailResponse>";
    let server = QueryServer::start(200, sent.to_owned()).await;
    let post = post(&server.url);
    post.send(&letter()).await.unwrap();
    let asked = server.asked();
    assert_eq!(asked.len(), 1);
    let field = |name: &str| asked[0][name].as_str();
    assert_eq!(
        (field("Action"), field("Source"), field("Destinations.member.1")),
        ("SendRawEmail", FROM, TO)
    );
    let bytes = STANDARD.decode(field("RawMessage.Data")).unwrap();
    let message = MessageParser::default().parse(&bytes).unwrap();
    assert_eq!(message.message_id(), Some("prod.vps-001.17.down@mail.example.com"));
    assert_eq!(message.body_text(0).unwrap().replace('\r', ""), letter().text);
    // The very bytes that go into a folder.
    let dir = tempfile::tempdir().unwrap();
    Post::folder(dir.path().to_owned(), &FROM.parse().unwrap()).unwrap().send(&letter()).await.unwrap();
    let file = std::fs::read_dir(dir.path()).unwrap().next().unwrap().unwrap();
    assert!(std::fs::read(file.path()).unwrap() == bytes);
    assert!(!format!("{post:?}").contains(SECRET_KEY));
}

#[tokio::test]
async fn only_what_is_the_letters_or_its_recipients_fault_is_refused() {
    let unverified = |who: &str| {
        format!(
            "Email address is not verified. The following identities failed the check in region EU-WEST-1: {who}"
        )
    };
    let cases = [
        (400, "MessageRejected", unverified(FROM), "verify one of them", true),
        (400, "MessageRejected", unverified(&format!("{FROM}, {TO}")), "does not send as", true),
        (400, "MessageRejected", unverified(TO), "production access", false),
        (400, "MessageRejected", "Sending paused for this account.".to_owned(), "resume sending", true),
        (400, "MessageRejected", "Message contains a virus".to_owned(), "contains a virus", false),
        (400, "InvalidParameterValue", "Missing final '@domain'".to_owned(), "Missing final", false),
        (400, "InvalidParameterValue", format!("Illegal address: {FROM}"), "InvalidParameterValue", true),
        (400, "AccountSendingPausedException", "paused".to_owned(), "resume it", true),
        (400, "MailFromDomainNotVerifiedException", "no MX".to_owned(), "MX record", true),
        (400, "ConfigurationSetDoesNotExist", "no such set".to_owned(), "configuration set", true),
        (400, "Throttling", "Daily message quota exceeded.".to_owned(), "quota exceeded", true),
        (403, "AccessDenied", "User is not authorized".to_owned(), "allow `ses:SendRawEmail`", true),
        (403, "InvalidClientTokenId", "invalid token".to_owned(), "check the role", true),
        (400, "SomethingNew", "who knows".to_owned(), "`SomethingNew`", true),
        (503, "ServiceUnavailable", "busy".to_owned(), "ServiceUnavailable", true),
        (500, "InternalFailure", "oops\nX-Header: forged".to_owned(), "InternalFailure", true),
    ];
    // At once, since some are tried again after a moment.
    let mut tries = tokio::task::JoinSet::new();
    for (status, code, message, words, is_later) in cases {
        tries.spawn(async move {
            let server = QueryServer::failing(status, code, &message).await;
            let error = post(&server.url).send(&letter()).await.unwrap_err();
            let said = told(&error);
            assert!(said.contains(words), "{code} {message}: {said}");
            assert_eq!(matches!(error, SendError::Later(_)), is_later, "{code} {message}: {said}");
            assert!(server.asked().len() <= 2, "{code}: tried {} times", server.asked().len());
        });
    }
    while let Some(tried) = tries.join_next().await {
        tried.unwrap();
    }
}

#[tokio::test]
async fn answers_that_are_none_and_a_network_that_is_away_say_try_again() {
    let garbled = QueryServer::start(200, "<SendRawEmail".to_owned()).await;
    let silent = QueryServer::start(500, String::new()).await;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let away = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    for url in [garbled.url.as_str(), &silent.url, &away] {
        let error = post(url).send(&letter()).await.unwrap_err();
        assert!(matches!(error, SendError::Later(_)), "{}", told(&error));
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_that_hangs_is_given_up_within_the_limit() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let began = tokio::time::Instant::now();
    let error = post(&url).send(&letter()).await.unwrap_err();
    assert!(matches!(error, SendError::Later(_)), "{}", told(&error));
    assert!(began.elapsed() <= SEND_LIMIT, "{:?}", began.elapsed());
}

fn attributes(entries: &[(&str, &str)]) -> String {
    let entries: String = entries
        .iter()
        .map(|(identity, status)| {
            format!("<entry><key>{identity}</key><value><VerificationStatus>{status}</VerificationStatus></value></entry>")
        })
        .collect();
    format!(
        "<GetIdentityVerificationAttributesResponse><GetIdentityVerificationAttributesResult><VerificationAttributes>\
         {entries}</VerificationAttributes></GetIdentityVerificationAttributesResult></GetIdentityVerificationAttributesResponse>"
    )
}

#[tokio::test]
async fn a_check_sends_nothing_and_finds_the_address_or_a_domain_of_it_verified() {
    let server = QueryServer::start(200, attributes(&[("example.com", "Success")])).await;
    post(&server.url).check().await.unwrap();
    let asked = &server.asked()[0];
    assert_eq!(asked["Action"], "GetIdentityVerificationAttributes");
    let identities: Vec<&str> = asked
        .iter()
        .filter(|(name, _)| name.starts_with("Identities.member."))
        .map(|(_, identity)| identity.as_str())
        .collect();
    assert_eq!(identities, [FROM, "mail.example.com", "example.com"]);
    for entries in [vec![], vec![(FROM, "Pending"), ("example.com", "Failed")]] {
        let server = QueryServer::start(200, attributes(&entries)).await;
        let error = post(&server.url).check().await.unwrap_err();
        assert!(told(&error).contains("does not send as `lamp@mail.example.com`"), "{error}");
    }
    let server = QueryServer::failing(403, "AccessDenied", "not authorized").await;
    let error = post(&server.url).check().await.unwrap_err();
    assert!(told(&error).contains("allow `ses:GetIdentityVerificationAttributes`"), "{error}");
}

#[test]
fn an_account_without_a_region_is_refused_with_the_mend() {
    let error = Post::ses(&SdkConfig::builder().build(), &FROM.parse().unwrap()).unwrap_err();
    assert!(error.key == "region" && error.problem.contains("AWS_REGION"), "{error}");
}
