//! HTTP and TCP checks that lead astray. They are made from here, so here is what must be protected.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use lamplighter_core::sight::DownKind::{
    self, BadAnswer, ForbiddenAddress, Refused, TimedOut, TooSlow, WrongBody, WrongStatus,
};
use lamplighter_core::sight::{Look, Sight};
use lamplighter_core::spec::{HttpCheck, ServiceSpec};
use lamplighter_remote::{Pool, Remote, RemoteConfig};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::fixture::{LOOK_LIMIT, assert_down, home, look_with};

/// An address of documentation: nobody's, and public as far as any guard can tell.
const ELSEWHERE: &str = "203.0.113.7";

fn spec(address: &str, check: serde_json::Value) -> ServiceSpec {
    let policy = json!({ "connect_limit": "600ms", "command_limit": "600ms", "http_limit": "600ms" });
    serde_json::from_value(
        json!({ "id": "web-1", "address": address, "check": check, "restart": "never", "policy": policy }),
    )
    .unwrap()
}

fn remote_that_may_reach(networks: &[&str]) -> Remote {
    let mut config = RemoteConfig::new(home());
    config.pool = Pool::None;
    config.allowed_networks = networks.iter().map(|network| network.parse().unwrap()).collect();
    Remote::new(config).unwrap()
}

/// A listener that plays `script` to each connection once the request's head has come, and counts.
struct Site {
    port: u16,
    visits: Arc<AtomicU64>,
    accepting: tokio::task::JoinHandle<()>,
}

impl Drop for Site {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Site {
    async fn start<S, F>(script: S) -> Site
    where
        S: Fn(TcpStream) -> F + Send + Sync + 'static,
        F: Future<Output = std::io::Result<()>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let visits = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&visits);
        let accepting = tokio::spawn(async move {
            let mut open = tokio::task::JoinSet::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                let mut head = [0_u8; 1_024];
                if stream.read(&mut head).await.is_ok() {
                    open.spawn(script(stream));
                }
            }
        });
        Site { port, visits, accepting }
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}/health", self.port)
    }

    fn visits(&self) -> u64 {
        self.visits.load(Ordering::SeqCst)
    }
}

async fn look_at(url: &str, networks: &[&str]) -> Look {
    look_with(&remote_that_may_reach(networks), &spec(ELSEWHERE, json!({ "http": url }))).await
}

#[track_caller]
fn assert_down_as(look: &Look, kinds: &[DownKind]) {
    match &look.sight {
        Sight::Down(fault) => {
            assert!(kinds.contains(&fault.kind), "expected one of {kinds:?}, saw {}", look.sight)
        }
        Sight::Up | Sight::Unreachable(_) | Sight::Unknown(_) => {
            panic!("expected {kinds:?}, saw {}", look.sight)
        }
    }
}

#[tokio::test]
async fn the_metadata_address_is_refused_in_every_spelling() {
    for host in [
        "169.254.169.254",
        "[::ffff:169.254.169.254]",
        "[::ffff:a9fe:a9fe]",
        "2852039166",
        "0xa9fea9fe",
        "0xa9.0xfe.0xa9.0xfe",
        "0251.0376.0251.0376",
        "169.254.43518",
        "169.16689662",
        "169.254.169.254.",
        "[fd00:ec2::254]",
        "[fe80::1]",
        "0.0.0.0",
        "0",
        "[::]",
        "224.0.0.1",
        "[ff02::1]",
        "255.255.255.255",
        "[64:ff9b::a9fe:a9fe]",
        "[2002:a9fe:a9fe::1]",
    ] {
        let url = format!("http://{host}/latest/meta-data/");
        let began = Instant::now();
        let look = look_at(&url, &[]).await;
        assert_down(&look, ForbiddenAddress);
        assert!(began.elapsed() < Duration::from_millis(500), "{host} was tried first");
    }
}

#[tokio::test]
async fn private_and_loopback_addresses_are_refused_unless_listed() {
    let site = Site::start(|mut stream| async move {
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await
    })
    .await;
    let port = site.port;
    for host in ["127.0.0.1", "localhost", "127.1", "2130706433", "[::ffff:127.0.0.1]", "0x7f.1"] {
        assert_down(&look_at(&format!("http://{host}:{port}/"), &[]).await, ForbiddenAddress);
    }
    for host in ["10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1", "[fc00::1]"] {
        assert_down(&look_at(&format!("http://{host}:{port}/"), &[]).await, ForbiddenAddress);
    }
    assert_eq!(site.visits(), 0);
    assert_eq!(look_at(&site.url(), &["127.0.0.0/8"]).await.sight, Sight::Up);
    assert_eq!(site.visits(), 1);
}

#[test]
fn a_url_with_a_user_name_is_no_check() {
    for url in [
        "http://user@example.com/",
        "http://a:b@169.254.169.254/",
        "http://example.com\\@169.254.169.254/",
        "file:///etc/passwd",
        "gopher://x/",
    ] {
        assert!(serde_json::from_value::<HttpCheck>(json!(url)).is_err(), "{url}");
    }
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_not_a_way() {
    let target = Site::start(|mut stream| async move {
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await
    })
    .await;
    for location in [
        "http://169.254.169.254/latest/meta-data/".to_owned(),
        target.url(),
        "//elsewhere".to_owned(),
        "file:///etc/passwd".to_owned(),
    ] {
        let site = Site::start(move |mut stream| {
            let answer = format!("HTTP/1.1 302 Found\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n");
            async move { stream.write_all(answer.as_bytes()).await }
        })
        .await;
        assert_down(&look_at(&site.url(), &["127.0.0.1"]).await, WrongStatus);
    }
    assert_eq!(target.visits(), 0);
}

#[tokio::test]
async fn an_endless_body_is_read_only_so_far() {
    for headers in ["", "content-length: 99999999999\r\n", "content-encoding: gzip\r\n"] {
        let poured = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&poured);
        let site = Site::start(move |mut stream| {
            let counted = Arc::clone(&counted);
            async move {
                stream.write_all(format!("HTTP/1.1 200 OK\r\n{headers}\r\n").as_bytes()).await?;
                let chunk = [b'x'; 16 * 1024];
                loop {
                    stream.write_all(&chunk).await?;
                    counted.fetch_add(chunk.len() as u64, Ordering::SeqCst);
                }
            }
        })
        .await;
        let check = json!({ "http": { "url": site.url(), "contains": "needle" } });
        let look = look_with(&remote_that_may_reach(&["127.0.0.1"]), &spec(ELSEWHERE, check)).await;
        assert_down_as(&look, &[WrongBody, BadAnswer]);
        // The cap is 64 KiB; the rest is what the sockets between hold.
        assert!(
            poured.load(Ordering::SeqCst) < 16 * 1024 * 1024,
            "{} bytes were taken",
            poured.load(Ordering::SeqCst)
        );
    }
}

#[tokio::test]
async fn slow_answers_end_at_the_limit() {
    let drip = |first: &'static str| {
        move |mut stream: TcpStream| async move {
            stream.write_all(first.as_bytes()).await?;
            loop {
                stream.write_all(b"x").await?;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    };
    for first in ["", "HTTP/1.1 200 OK\r\nx-slow: ", "HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n"] {
        let site = Site::start(drip(first)).await;
        let check = json!({ "http": { "url": site.url(), "contains": "needle" } });
        let look = look_with(&remote_that_may_reach(&["127.0.0.1"]), &spec(ELSEWHERE, check)).await;
        assert_down_as(&look, &[TimedOut, TooSlow, BadAnswer]);
    }
    let silent = Site::start(|stream| async move {
        tokio::time::sleep(Duration::from_secs(60)).await;
        drop(stream);
        Ok(())
    })
    .await;
    assert_down_as(&look_at(&silent.url(), &["127.0.0.1"]).await, &[TimedOut]);
}

#[tokio::test]
async fn what_is_not_http_is_a_bad_answer() {
    let many_headers: &'static str =
        Box::leak(format!("HTTP/1.1 200 OK\r\n{}\r\n", "x-h: y\r\n".repeat(10_000)).into_boxed_str());
    let long_header: &'static str =
        Box::leak(format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "y".repeat(10_000_000)).into_boxed_str());
    for answer in [
        "SSH-2.0-OpenSSH_9.6\r\n",
        "\0\0\0\0",
        "HTTP/1.1 999999 What\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: minus one\r\n\r\n",
        many_headers,
        long_header,
    ] {
        let site = Site::start(move |mut stream| async move {
            stream.write_all(answer.as_bytes()).await?;
            stream.shutdown().await
        })
        .await;
        let look = look_at(&site.url(), &["127.0.0.1"]).await;
        assert_down_as(&look, &[BadAnswer]);
    }
}

#[tokio::test]
async fn hostile_words_in_an_answer_stay_plain() {
    let site = Site::start(|mut stream| async move {
        stream.write_all(b"HTTP/1.1 503 \x1b[31m</script>\r\ncontent-length: 24\r\n\r\n\x1b[2J<script>alert(1)\r\n{}\r\n").await
    })
    .await;
    // That no control character comes through is looked for by every look of these tests.
    let look = look_at(&site.url(), &["127.0.0.1"]).await;
    assert_down_as(&look, &[WrongStatus, BadAnswer]);
}

#[tokio::test]
async fn a_tcp_check_tells_refused_from_silent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let remote = remote_that_may_reach(&["127.0.0.1"]);
    let service = spec("127.0.0.1:22", json!({ "tcp": port }));
    assert_eq!(look_with(&remote, &service).await.sight, Sight::Up);
    drop(listener);
    assert_down_as(&look_with(&remote, &service).await, &[Refused]);
    assert!(LOOK_LIMIT > service.policy.http_limit);
}
