//! Hosts that do not speak SSH as they should: each is judged in time, and nothing of it stays behind.
#![expect(clippy::unwrap_used, clippy::wildcard_enum_match_arm, reason = "a test may panic")]

use std::time::{Duration, Instant};

use lamplighter_core::Moment;
use lamplighter_core::sight::{Look, Sight, UnreachableKind};
use lamplighter_core::spec::ServiceSpec;
use lamplighter_remote::{Pool, Remote, RemoteConfig};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

const CONNECT_LIMIT: Duration = Duration::from_millis(500);

fn spec(dir: &std::path::Path, port: u16) -> ServiceSpec {
    let key = dir.join("key");
    if !key.exists() {
        let made = std::process::Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-f"])
            .arg(&key)
            .status();
        assert!(made.unwrap().success());
    }
    serde_json::from_value(json!({
        "id": "web", "address": format!("127.0.0.1:{port}"), "user": "root", "key": "file:key",
        "host_key": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ",
        "check": {"systemd": "web"}, "restart": {"systemd": "web"}, "policy": {"connect_limit": "500ms"},
    }))
    .unwrap()
}

/// A host that sends `greeting`, then `more` again and again, and reports when its caller has hung up.
async fn host(greeting: Vec<u8>, more: Vec<u8>) -> (u16, mpsc::UnboundedReceiver<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (hung_up, told) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(serve(stream, greeting.clone(), more.clone(), hung_up.clone()));
        }
    });
    (port, told)
}

async fn serve(stream: TcpStream, greeting: Vec<u8>, more: Vec<u8>, hung_up: mpsc::UnboundedSender<()>) {
    let (mut read, mut write) = stream.into_split();
    let writing = tokio::spawn(async move {
        if write.write_all(&greeting).await.is_err() {
            return;
        }
        if more.is_empty() {
            return std::future::pending().await;
        }
        while write.write_all(&more).await.is_ok() {}
    });
    let mut bytes = [0; 4096];
    while read.read(&mut bytes).await.is_ok_and(|count| count > 0) {}
    writing.abort();
    let _ = hung_up.send(());
}

async fn judged(greeting: &[u8], more: &[u8]) -> (Look, Duration) {
    let dir = tempfile::tempdir().unwrap();
    let (port, mut hung_up) = host(greeting.to_vec(), more.to_vec()).await;
    let remote = Remote::new(RemoteConfig::new(dir.path())).unwrap();
    let spec = spec(dir.path(), port);
    let began = Instant::now();
    let look = remote.look(&spec, Moment::EPOCH, Duration::from_secs(20)).await;
    let took = began.elapsed();
    let gone = tokio::time::timeout(Duration::from_secs(5), hung_up.recv()).await;
    assert!(gone.is_ok(), "the connection was kept after the look had ended");
    assert_eq!(remote.connections(), 0);
    (look, took)
}

fn kind(look: &Look) -> UnreachableKind {
    match &look.sight {
        Sight::Unreachable(fault) => fault.kind,
        other => panic!("{other}"),
    }
}

/// A host that accepts, says `greeting` and nothing more, as a thread of its own: the runtime has only our tasks.
fn silent_host(greeting: &'static [u8]) -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let mut open = Vec::new();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            std::io::Write::write_all(&mut stream, greeting).unwrap();
            open.push(stream);
        }
    });
    port
}

/// An SSH packet without encryption.
fn packet(payload: &[u8]) -> Vec<u8> {
    let padding = 8 + (8 - (5 + payload.len() + 8) % 8) % 8;
    let mut packet = u32::try_from(1 + payload.len() + padding).unwrap().to_be_bytes().to_vec();
    packet.push(u8::try_from(padding).unwrap());
    packet.extend_from_slice(payload);
    packet.extend(std::iter::repeat_n(0, padding));
    packet
}

#[tokio::test]
async fn a_host_that_stalls_is_let_go_at_the_limit() {
    // Silent from the start; after its banner; and in the middle of the key exchange.
    let stalled = [b"SSH-2.0-x\r\n".as_slice(), &packet(&[2, 0, 0, 0, 0])].concat();
    for greeting in [b"".as_slice(), b"SSH-2.0-x\r\n", &stalled] {
        let (look, took) = judged(greeting, b"").await;
        assert!(
            matches!(kind(&look), UnreachableKind::TimedOut | UnreachableKind::Protocol),
            "{}",
            look.sight
        );
        assert!(took < CONNECT_LIMIT * 6, "{took:?}");
    }
}

#[tokio::test]
async fn a_host_that_talks_without_end_is_let_go_at_the_limit() {
    let ignore = packet(&[[2, 0, 0, 0x40, 0].as_slice(), &[b'x'; 0x4000]].concat());
    for (greeting, more) in [
        (b"".as_slice(), b"a line before the banner\r\n".as_slice()),
        (b"", &[b'x'; 8192]),
        (b"", &[0; 8192]),
        (b"SSH-2.0-x\r\n", &[0xff; 8192]),
        (b"SSH-2.0-x\r\n", &ignore),
    ] {
        let (look, took) = judged(greeting, more).await;
        let kind = kind(&look);
        assert!(
            matches!(kind, UnreachableKind::Protocol | UnreachableKind::TimedOut | UnreachableKind::Dropped),
            "{}",
            look.sight
        );
        assert!(took < CONNECT_LIMIT * 6, "{took:?}");
    }
}

#[tokio::test]
async fn a_look_that_is_dropped_in_the_key_exchange_hangs_up() {
    let dir = tempfile::tempdir().unwrap();
    let (port, mut hung_up) = host(b"SSH-2.0-x\r\n".to_vec(), Vec::new()).await;
    let remote = Remote::new(RemoteConfig::new(dir.path())).unwrap();
    let mut spec = spec(dir.path(), port);
    spec.policy.connect_limit = Duration::from_secs(60);
    let look = remote.look(&spec, Moment::EPOCH, Duration::from_secs(60));
    assert!(tokio::time::timeout(Duration::from_millis(300), look).await.is_err());
    assert!(tokio::time::timeout(Duration::from_secs(5), hung_up.recv()).await.is_ok());
}

#[tokio::test]
async fn a_silent_host_is_cut_and_nothing_of_its_look_lives_on() {
    let dir = tempfile::tempdir().unwrap();
    let remote = Remote::new(RemoteConfig { pool: Pool::None, ..RemoteConfig::new(dir.path()) }).unwrap();
    let alive = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let limit = Duration::from_secs(5);
    // Silent from the start; in the key exchange, where the library's task has begun; and towards an HTTP check.
    for greeting in [b"".as_slice(), b"SSH-2.0-x\r\n"] {
        let spec = spec(dir.path(), silent_host(greeting));
        let looks = futures_util::future::join_all((0..8).map(|_| remote.look(&spec, Moment::EPOCH, limit)));
        for look in looks.await {
            assert_eq!(kind(&look), UnreachableKind::TimedOut);
        }
        let began = Instant::now();
        assert_eq!(remote.settled(limit).await, 0);
        assert!(began.elapsed() < limit / 4, "the host was waited for: {:?}", began.elapsed());
        assert_eq!(alive(), 0);
    }
    let mut spec = spec(dir.path(), 22);
    let url = format!("http://127.0.0.1:{}/", silent_host(b""));
    spec.check = serde_json::from_value(json!({"http": url})).unwrap();
    spec.policy.http_limit = CONNECT_LIMIT;
    assert!(matches!(remote.look(&spec, Moment::EPOCH, limit).await.sight, Sight::Down(_)));
    assert_eq!((remote.settled(limit).await, alive()), (0, 0));
}
