//! Checks made from here, against real listeners: HTTP, TCP, and processes of this machine.
#![expect(clippy::unwrap_used, clippy::wildcard_enum_match_arm, reason = "a test may panic")]

use std::time::{Duration, Instant};

use lamplighter_core::Moment;
use lamplighter_core::sight::{DownKind, Look, Sight};
use lamplighter_core::spec::ServiceSpec;
use lamplighter_remote::{Remote, RemoteConfig};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

const LIMIT: Duration = Duration::from_secs(20);

fn remote(allowed: &[&str]) -> Remote {
    let allowed_networks = allowed.iter().map(|network| network.parse().unwrap()).collect();
    Remote::new(RemoteConfig { allowed_networks, ..RemoteConfig::new("/") }).unwrap()
}

fn spec(check: &Value) -> ServiceSpec {
    serde_json::from_value(json!({"id": "web", "address": "203.0.113.7", "check": check, "restart": "never"}))
        .unwrap()
}

async fn look(remote: &Remote, check: Value) -> Look {
    remote.look(&spec(&check), Moment::EPOCH, LIMIT).await
}

fn down(look: &Look) -> DownKind {
    match &look.sight {
        Sight::Down(fault) => fault.kind,
        other => panic!("{other}"),
    }
}

/// Answers every connection with the same bytes, then does as `after` says.
async fn server(answer: &str, after: After) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let answer = answer.as_bytes().to_vec();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let answer = answer.clone();
            tokio::spawn(async move {
                let mut request = [0; 4096];
                let _ = stream.read(&mut request).await;
                let _ = stream.write_all(&answer).await;
                match after {
                    After::Close => {}
                    After::Stall => std::future::pending().await,
                    After::Flood => while stream.write_all(&[b'x'; 8192]).await.is_ok() {},
                }
            });
        }
    });
    port
}

#[derive(Clone, Copy)]
enum After {
    Close,
    Stall,
    Flood,
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

#[tokio::test]
async fn an_answer_is_judged_by_status_body_and_time() {
    let remote = remote(&["127.0.0.0/8"]);
    let url = format!("http://127.0.0.1:{}/health", server(OK, After::Close).await);
    assert_eq!(look(&remote, json!({"http": url})).await.sight, Sight::Up);
    assert_eq!(look(&remote, json!({"http": {"url": url, "contains": "ell"}})).await.sight, Sight::Up);
    assert_eq!(
        down(&look(&remote, json!({"http": {"url": url, "contains": "bye"}})).await),
        DownKind::WrongBody
    );
    assert_eq!(
        down(&look(&remote, json!({"http": {"url": url, "status": 204}})).await),
        DownKind::WrongStatus
    );
    let broken = format!("http://127.0.0.1:{}/", server("HTTP/1.1 503 Busy\r\n\r\n", After::Close).await);
    assert_eq!(down(&look(&remote, json!({"http": broken})).await), DownKind::WrongStatus);
    assert_eq!(look(&remote, json!({"http": {"url": broken, "status": 503}})).await.sight, Sight::Up);
    let garbage = format!("http://127.0.0.1:{}/", server("SSH-2.0-OpenSSH_9.6\r\n", After::Close).await);
    assert_eq!(down(&look(&remote, json!({"http": garbage})).await), DownKind::BadAnswer);
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_is_never_followed() {
    let remote = remote(&["127.0.0.0/8"]);
    let inside = server(OK, After::Close).await;
    for target in
        ["http://169.254.169.254/latest/meta-data/".to_owned(), format!("http://127.0.0.1:{inside}/")]
    {
        let answer = format!("HTTP/1.1 302 Found\r\nLocation: {target}\r\nContent-Length: 0\r\n\r\n");
        let url = format!("http://127.0.0.1:{}/", server(&answer, After::Close).await);
        let seen = look(&remote, json!({"http": url})).await;
        assert_eq!(seen.sight.to_string(), "unexpected HTTP status (302)");
        assert_eq!(look(&remote, json!({"http": {"url": url, "status": 302}})).await.sight, Sight::Up);
    }
}

#[tokio::test]
async fn endless_and_stalling_answers_end_at_the_limit_or_the_cap() {
    let remote = remote(&["127.0.0.0/8"]);
    let limited = |check: Value| {
        let mut spec = spec(&check);
        spec.policy.http_limit = Duration::from_millis(500);
        spec
    };
    let began = Instant::now();
    for (answer, after) in [
        ("", After::Stall),
        ("HTTP/1.1 200 OK\r\nX: ", After::Stall),
        ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab", After::Stall),
    ] {
        let url = format!("http://127.0.0.1:{}/", server(answer, after).await);
        let seen =
            remote.look(&limited(json!({"http": {"url": url, "contains": "c"}})), Moment::EPOCH, LIMIT).await;
        assert_eq!(down(&seen), DownKind::TimedOut, "{answer}");
    }
    let endless = format!("http://127.0.0.1:{}/", server("HTTP/1.1 200 OK\r\n\r\nhello", After::Flood).await);
    let seen = remote
        .look(&limited(json!({"http": {"url": endless, "contains": "hello"}})), Moment::EPOCH, LIMIT)
        .await;
    assert_eq!(seen.sight, Sight::Up);
    let seen = remote
        .look(&limited(json!({"http": {"url": endless, "contains": "bye"}})), Moment::EPOCH, LIMIT)
        .await;
    assert_eq!(down(&seen), DownKind::WrongBody);
    let headers = format!("http://127.0.0.1:{}/", server("HTTP/1.1 200 OK\r\nX: ", After::Flood).await);
    let seen = remote.look(&limited(json!({"http": headers})), Moment::EPOCH, LIMIT).await;
    assert!(matches!(down(&seen), DownKind::BadAnswer | DownKind::TimedOut));
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn a_late_answer_is_too_slow() {
    let remote = remote(&["127.0.0.0/8"]);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://127.0.0.1:{}/", listener.local_addr().unwrap().port());
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _ = stream.read(&mut [0; 4096]).await;
        // Longer than `within`, by the only thing that can make it so.
        tokio::time::sleep(Duration::from_millis(50)).await;
        let _ = stream.write_all(OK.as_bytes()).await;
    });
    let seen = look(&remote, json!({"http": {"url": url, "within": "10ms"}})).await;
    assert_eq!(down(&seen), DownKind::TooSlow);
}

#[tokio::test]
async fn forbidden_addresses_are_not_even_connected_to() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let open = remote(&["0.0.0.0/0", "::/0"]);
    for host in [
        "169.254.169.254",
        "2852039166",
        "0xa9fea9fe",
        "0251.0376.0251.0376",
        "[::ffff:169.254.169.254]",
        "[fe80::1]",
        "[fd00:ec2::254]",
        "0.0.0.0",
        "0",
        "[::]",
        "224.0.0.1",
    ] {
        let seen = look(&open, json!({"http": format!("http://{host}:{port}/")})).await;
        assert_eq!(down(&seen), DownKind::ForbiddenAddress, "{host}");
    }
    let closed = remote(&[]);
    for host in [
        "127.0.0.1",
        "2130706433",
        "0x7f.1",
        "017700000001",
        "localhost",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "10.0.0.1",
        "192.168.0.1",
    ] {
        let seen = look(&closed, json!({"http": format!("http://{host}:{port}/")})).await;
        assert_eq!(down(&seen), DownKind::ForbiddenAddress, "{host}");
    }
    assert!(tokio::time::timeout(Duration::ZERO, listener.accept()).await.is_err(), "somebody connected");
}

#[tokio::test]
async fn a_service_may_be_checked_at_its_own_address() {
    let port = server(OK, After::Close).await;
    let mut spec = spec(&json!({"http": format!("http://127.0.0.1:{port}/")}));
    spec.address = "127.0.0.1".parse().unwrap();
    assert_eq!(remote(&[]).look(&spec, Moment::EPOCH, LIMIT).await.sight, Sight::Up);
    spec.address = "127.0.0.2".parse().unwrap();
    assert_eq!(down(&remote(&[]).look(&spec, Moment::EPOCH, LIMIT).await), DownKind::ForbiddenAddress);
}

#[tokio::test]
async fn a_port_is_up_if_it_accepts_and_down_if_it_refuses() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let at = |port: u16| {
        let mut spec = spec(&json!({"tcp": port}));
        spec.address = "127.0.0.1".parse().unwrap();
        spec
    };
    assert_eq!(remote(&[]).look(&at(port), Moment::EPOCH, LIMIT).await.sight, Sight::Up);
    drop(listener);
    assert_eq!(down(&remote(&[]).look(&at(port), Moment::EPOCH, LIMIT).await), DownKind::Refused);
    let url = format!("http://127.0.0.1:{port}/");
    assert_eq!(down(&look(&remote(&["127.0.0.1"]), json!({"http": url})).await), DownKind::Refused);
    let url = "http://no-such-host.invalid/";
    assert_eq!(down(&look(&remote(&[]), json!({"http": url})).await), DownKind::NoSuchName);
}

fn local(command: &str) -> ServiceSpec {
    serde_json::from_value(json!({
        "id": "job", "address": "127.0.0.1", "transport": "local", "check": {"command": command}, "restart": "never",
        "policy": {"command_limit": "2s"},
    }))
    .unwrap()
}

#[tokio::test]
async fn a_local_command_is_judged_as_a_remote_one() {
    let remote = remote(&[]);
    let look = async |command: &str| remote.look(&local(command), Moment::EPOCH, LIMIT).await;
    assert_eq!(look("true").await.sight, Sight::Up);
    let failed = look("echo why >&2; exit 3").await;
    assert_eq!(failed.sight.to_string(), "check command failed (exit status 3: why)");
    assert_eq!(failed.evidence.as_deref(), Some("why"));
    assert!(matches!(look("kill -9 $$").await.sight, Sight::Unreachable(_)));
    assert!(matches!(look("yes").await.sight, Sight::Unreachable(_)));
    let began = Instant::now();
    assert_eq!(look("sleep 30 & exit 0").await.sight, Sight::Up);
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_local_command_is_killed_with_its_children_at_its_limit_and_when_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let beat = dir.path().join("beat");
    let command = format!("(while :; do echo x >>{}; sleep 0.05; done) & wait", beat.display());
    let mut spec = local(&command);
    spec.policy.command_limit = Duration::from_millis(300);
    let seen = remote(&[]).look(&spec, Moment::EPOCH, LIMIT).await;
    assert_eq!(seen.sight.to_string(), "unreachable: timed out (the command did not end in time)");
    assert_still(&beat).await;
    spec.policy.command_limit = Duration::from_secs(30);
    let _ =
        tokio::time::timeout(Duration::from_millis(300), remote(&[]).look(&spec, Moment::EPOCH, LIMIT)).await;
    assert_still(&beat).await;
}

/// The file does not grow over several of the beats that would make it grow.
async fn assert_still(beat: &std::path::Path) {
    let len = || std::fs::metadata(beat).map(|metadata| metadata.len()).unwrap_or(0);
    // A write that was under way when the signal came may still land.
    tokio::time::sleep(Duration::from_millis(100)).await;
    let before = len();
    assert!(before > 0);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(len(), before);
}

#[tokio::test]
async fn a_local_restart_goes_on_under_its_lock_when_nobody_listens() {
    use lamplighter_remote::RestartOrder;
    let dir = tempfile::tempdir().unwrap();
    let (begun, done) = (dir.path().join("begun"), dir.path().join("done"));
    let mut spec = local("true");
    let command = format!("echo x >{}; sleep 0.5; echo x >{}", begun.display(), done.display());
    spec.restart = serde_json::from_value(json!({"command": command})).unwrap();
    // A name of its own: the record of action numbers is this machine's real one.
    spec.id = format!("test-{}", std::process::id()).parse().unwrap();
    let (remote, env) = (remote(&[]), "test".parse().unwrap());
    let order = RestartOrder { env: &env, action_no: 1, process: None };
    let listening = async {
        let began = Instant::now();
        while !begun.exists() {
            assert!(began.elapsed() < Duration::from_secs(15));
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        () = listening => {}
        outcome = remote.restart(&spec, &order, Duration::from_secs(60)) => panic!("{outcome:?}"),
    }
    let began = Instant::now();
    while !done.exists() {
        assert!(began.elapsed() < Duration::from_secs(15), "the restart was cut off half-way");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // The record lies where a real one would: take it away again.
    if let Some(home) = std::env::home_dir() {
        let _ = std::fs::remove_file(
            home.join(".local/state/lamplighter").join(format!("test:{}.action", spec.id)),
        );
    }
}
