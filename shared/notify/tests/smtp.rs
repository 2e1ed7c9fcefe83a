//! Real conversations with a mail server: TLS, logins, and the many ways they fail.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod mail_server;

use std::path::PathBuf;
use std::time::Duration;

use lamplighter_core::Moment;
use lamplighter_notify::{Letter, Post, SEND_LIMIT, Secret, Security, SendError, SmtpSettings};
use mail_server::{Identity, Instead, MailServer, Manner};

const PASSWORD: &str = "s3cret&corridor";
/// What `AUTH PLAIN` sends for the user `lamp` and the password above.
const AUTH_PLAIN: &str = "AGxhbXAAczNjcmV0JmNvcnJpZG9y";

fn letter() -> Letter {
    Letter {
        message_id: "prod.vps-001.17.down".to_owned(),
        in_reply_to: None,
        references: vec!["prod.vps-001.17".to_owned()],
        to: "ada@example.com".parse().unwrap(),
        at: Moment::from_millis(1_767_321_000_000),
        subject: "[prod] vps-001 is DOWN: unit is not active".to_owned(),
        text: "It is down.\n.\nA dot alone on a line ends nothing.\n".to_owned(),
        html: "<p>It is down.</p>".to_owned(),
    }
}

fn settings(port: u16, security: Security, extra_ca: Option<PathBuf>) -> SmtpSettings {
    let login = security != Security::Plain;
    SmtpSettings {
        host: "localhost".to_owned(),
        port,
        security,
        user: login.then(|| "lamp".to_owned()),
        password: login.then(|| Secret::from(PASSWORD.to_owned())),
        from: "lamp@mail.example.com".parse().unwrap(),
        timeout: SEND_LIMIT,
        extra_ca,
    }
}

/// Starts a server of this manner and a post that trusts it, with `STARTTLS`.
async fn post_to(manner: Manner) -> (MailServer, Post, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let identity = Identity::new(dir.path(), "localhost");
    let security = if manner.implicit_tls { Security::Tls } else { Security::StartTls };
    let server = MailServer::start(&identity, manner).await;
    let post = Post::smtp(settings(server.port, security, Some(identity.ca_file.clone()))).unwrap();
    (server, post, dir)
}

fn answer(text: &str) -> Instead {
    Instead::Answer(text.to_owned())
}

async fn failure(manner: Manner) -> SendError {
    let (server, post, _dir) = post_to(manner).await;
    let error = post.send(&letter()).await.unwrap_err();
    assert!(server.letters().is_empty());
    let told = format!("{error} {error:?} {post:?}");
    assert!(!told.contains(PASSWORD) && !told.contains(AUTH_PLAIN), "{told}");
    assert!(!error.to_string().contains('\n') && error.to_string().len() < 700, "{error}");
    error
}

fn later(error: SendError) -> String {
    match error {
        SendError::Later(why) => why,
        SendError::Refused(why) => panic!("refused for good: {why}"),
    }
}

fn refused(error: SendError) -> String {
    match error {
        SendError::Refused(why) => why,
        SendError::Later(why) => panic!("to be tried again: {why}"),
    }
}

#[tokio::test]
async fn a_letter_travels_by_starttls_and_login_and_arrives_whole() {
    let (server, post, _dir) = post_to(Manner::default()).await;
    post.send(&letter()).await.unwrap();
    let auth = format!("TLS AUTH PLAIN {AUTH_PLAIN}");
    let expected = [
        "EHLO mail.example.com",
        "STARTTLS",
        "TLS EHLO mail.example.com",
        &auth,
        "TLS MAIL FROM:<lamp@mail.example.com>",
        "TLS RCPT TO:<ada@example.com>",
        "TLS DATA",
        "TLS QUIT",
    ];
    assert_eq!(server.commands(), expected);
    let letters = server.letters();
    let mail = mail_parser::MessageParser::default().parse(&letters[0]).unwrap();
    assert_eq!(mail.message_id().unwrap(), "prod.vps-001.17.down@mail.example.com");
    assert_eq!(mail.body_text(0).unwrap().replace("\r\n", "\n").trim_end(), letter().text.trim_end());
}

#[tokio::test]
async fn a_letter_travels_by_tls_from_the_first_byte() {
    let (server, post, _dir) = post_to(Manner { implicit_tls: true, ..Manner::default() }).await;
    post.send(&letter()).await.unwrap();
    assert!(server.commands().iter().all(|command| command.starts_with("TLS ")), "{:?}", server.commands());
    assert_eq!(server.letters().len(), 1);
}

#[tokio::test]
async fn a_check_logs_in_and_sends_no_letter() {
    let (server, post, _dir) = post_to(Manner::default()).await;
    post.check().await.unwrap();
    let commands = server.commands();
    assert!(
        commands.iter().any(|command| command.starts_with("TLS AUTH"))
            && commands.iter().any(|command| command == "TLS NOOP")
    );
    assert!(!commands.iter().any(|command| command.contains("MAIL")), "{commands:?}");
}

#[tokio::test]
async fn a_greylisted_letter_is_tried_again() {
    let why = later(
        failure(Manner::default().but("RCPT", answer("451 4.7.1 Greylisted, come back in 5 minutes"))).await,
    );
    assert!(why.contains("naming the recipient") && why.contains("Greylisted"), "{why}");
}

#[tokio::test]
async fn a_recipient_refused_for_good_is_not_tried_for_ever() {
    let why = refused(failure(Manner::default().but("RCPT", answer("550 5.1.1 no such mailbox"))).await);
    assert!(why.contains("no such mailbox"), "{why}");
    refused(failure(Manner::default().but("BODY", answer("554 5.7.1 looks like spam"))).await);
}

#[tokio::test]
async fn a_refusal_that_is_about_us_costs_no_letter() {
    for (step, said) in [
        ("CONNECT", "554 no service for you"),
        ("EHLO", "550 go away"),
        ("STARTTLS", "454 TLS not available"),
        ("STARTTLS", "554 TLS not available"),
        ("AUTH", "535 5.7.8 authentication failed"),
        ("MAIL", "550 5.7.1 sender not allowed"),
        ("RCPT", "530 5.7.0 authentication required"),
        ("RCPT", "421 4.3.2 shutting down"),
    ] {
        later(failure(Manner::default().but(step, answer(said))).await);
    }
}

#[tokio::test]
async fn a_password_that_the_server_echoes_reaches_no_error() {
    let echo = format!("535 lamp/{PASSWORD} is wrong,\u{1b}[31m you sent {AUTH_PLAIN}");
    let why = later(failure(Manner::default().but("AUTH", Instead::Answer(echo))).await);
    assert!(why.contains("logging in") && why.contains("[secret]") && !why.contains('\u{1b}'), "{why}");
}

#[tokio::test]
async fn a_server_that_hangs_up_or_talks_nonsense_delays_the_letter() {
    for step in ["CONNECT", "EHLO", "STARTTLS", "AUTH", "RCPT", "BODY"] {
        later(failure(Manner::default().but(step, Instead::HangUp)).await);
        later(failure(Manner::default().but(step, answer("HTTP/1.1 400 Bad Request"))).await);
    }
}

#[tokio::test]
async fn a_server_that_is_down_delays_the_letter() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let post = Post::smtp(settings(closed, Security::Tls, None)).unwrap();
    let why = later(post.send(&letter()).await.unwrap_err());
    assert!(why.contains("connecting") && why.contains("refused"), "{why}");
    later(post.check().await.unwrap_err());
}

#[tokio::test]
async fn a_server_that_hangs_is_left_at_the_deadline() {
    for step in ["CONNECT", "EHLO", "STARTTLS", "AUTH", "RCPT", "BODY"] {
        let dir = tempfile::tempdir().unwrap();
        let identity = Identity::new(dir.path(), "localhost");
        let server = MailServer::start(&identity, Manner::default().but(step, Instead::Hang)).await;
        let mut settings = settings(server.port, Security::StartTls, Some(identity.ca_file.clone()));
        settings.timeout = Duration::from_millis(300);
        let why = later(Post::smtp(settings).unwrap().send(&letter()).await.unwrap_err());
        assert!(why.contains("300 ms") || why.contains("timed out"), "{step}: {why}");
    }
}

#[tokio::test]
async fn an_accepted_letter_stays_accepted_however_the_server_leaves() {
    for goodbye in [Instead::Hang, Instead::HangUp, answer("421 overloaded")] {
        let (server, post, _dir) = post_to(Manner::default().but("QUIT", goodbye)).await;
        post.send(&letter()).await.unwrap();
        assert_eq!(server.letters().len(), 1);
    }
}

#[tokio::test]
async fn a_certificate_of_somebody_else_gets_no_password_and_no_letter() {
    let dir = tempfile::tempdir().unwrap();
    let (trusted, other_name) =
        (Identity::new(dir.path(), "localhost"), Identity::new(dir.path(), "mail.elsewhere.test"));
    let cases = [
        (&trusted, None),
        (&trusted, Some(other_name.ca_file.clone())),
        (&other_name, Some(other_name.ca_file.clone())),
    ];
    for (shown, extra_ca) in cases {
        for (security, implicit_tls) in [(Security::StartTls, false), (Security::Tls, true)] {
            let server = MailServer::start(shown, Manner { implicit_tls, ..Manner::default() }).await;
            let post = Post::smtp(settings(server.port, security, extra_ca.clone())).unwrap();
            let why = later(post.send(&letter()).await.unwrap_err());
            assert!(why.contains("certificate"), "{why}");
            assert!(
                !server.commands().iter().any(|command| command.contains("AUTH") || command.contains("MAIL")),
                "{:?}",
                server.commands()
            );
        }
    }
}

#[tokio::test]
async fn a_server_that_hides_starttls_gets_no_password_and_no_letter() {
    let (server, post, _dir) = post_to(Manner { starttls: false, ..Manner::default() }).await;
    let why = later(post.send(&letter()).await.unwrap_err());
    assert!(why.contains("STARTTLS"), "{why}");
    assert_eq!(server.commands().first().map(String::as_str), Some("EHLO mail.example.com"));
    assert!(!server.commands().iter().any(|command| command.contains("AUTH") || command.contains("MAIL")));
}

#[tokio::test]
async fn a_server_on_this_machine_may_be_spoken_to_plainly() {
    let dir = tempfile::tempdir().unwrap();
    let server = MailServer::start(&Identity::new(dir.path(), "localhost"), Manner::default()).await;
    Post::smtp(settings(server.port, Security::Plain, None)).unwrap().send(&letter()).await.unwrap();
    assert_eq!(server.letters().len(), 1);
}

#[test]
fn settings_that_cannot_work_are_refused_with_their_key() {
    let dir = tempfile::tempdir().unwrap();
    let empty = dir.path().join("empty.pem");
    std::fs::write(&empty, "nothing").unwrap();
    let good = || settings(587, Security::StartTls, None);
    let with = |change: fn(&mut SmtpSettings)| {
        let mut settings = good();
        change(&mut settings);
        settings
    };
    let cases = [
        (with(|s| s.host = "mail example".to_owned()), "host"),
        (with(|s| s.port = 0), "port"),
        (with(|s| s.timeout = Duration::ZERO), "timeout"),
        (with(|s| s.password = None), "password"),
        (with(|s| s.user = None), "password"),
        (with(|s| (s.host, s.security) = ("mail.example.com".to_owned(), Security::Plain)), "security"),
        (
            with(|s| (s.host, s.security) = ("mail.example.com".to_owned(), Security::PlainAnywhere)),
            "security",
        ),
        (SmtpSettings { extra_ca: Some(dir.path().join("missing.pem")), ..good() }, "extra_ca"),
        (SmtpSettings { extra_ca: Some(empty), ..good() }, "extra_ca"),
    ];
    assert!(Post::smtp(good()).is_ok());
    for (settings, key) in cases {
        let error = Post::smtp(settings).unwrap_err();
        assert_eq!(error.key, key, "{error}");
        assert!(!error.to_string().contains(PASSWORD), "{error}");
    }
}

#[tokio::test]
async fn answers_slipped_in_before_the_encryption_are_never_believed() {
    // All that a client would need to hear to believe that its letter was taken.
    let forged = "220 go on\r\n250 AUTH PLAIN\r\n235 ok\r\n250 ok\r\n250 ok\r\n354 go on\r\n250 queued";
    let why = later(failure(Manner::default().but("STARTTLS", answer(forged))).await);
    assert!(why.contains("starting TLS"), "{why}");
}
