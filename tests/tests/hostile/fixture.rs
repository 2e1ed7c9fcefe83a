//! One look at one bad host, and what may be expected of it.

use std::path::Path;
use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime};

use lamplighter::demo::ClientKey;
use lamplighter_core::Moment;
use lamplighter_core::sight::{DownKind, Look, MAX_DETAIL_CHARS, MAX_EVIDENCE_BYTES, Sight, UnreachableKind};
use lamplighter_core::spec::ServiceSpec;
use lamplighter_remote::{Pool, Remote, RemoteConfig};
use serde_json::json;

use super::host::HostileHost;

/// A look may take its connect limit and its command limit, and a busy machine's time. Above it, a deadline was missed.
pub const LOOK_LIMIT: Duration = Duration::from_secs(6);

static HOME: LazyLock<(tempfile::TempDir, ClientKey)> = LazyLock::new(|| {
    let home = tempfile::tempdir().unwrap();
    let key = ClientKey::create(&home.path().join("key")).unwrap();
    (home, key)
});

pub fn home() -> &'static Path {
    HOME.0.path()
}

pub fn client_key() -> &'static ClientKey {
    &HOME.1
}

pub fn remote() -> Remote {
    let mut config = RemoteConfig::new(home());
    config.pool = Pool::None;
    Remote::new(config).unwrap()
}

pub fn spec(address: &str, host_key: &str) -> ServiceSpec {
    let spec: ServiceSpec = serde_json::from_value(json!({
        "id": "bad-1",
        "address": address,
        "user": "demo",
        "key": "file:key",
        "host_key": host_key,
        "check": { "systemd": "web" },
        "restart": { "systemd": "web" },
        "policy": { "connect_limit": "600ms", "command_limit": "600ms", "http_limit": "600ms", "restart_limit": "1s" },
    }))
    .unwrap();
    // The key is written before the first spec names it.
    client_key();
    spec.check().unwrap();
    spec
}

pub fn now() -> Moment {
    SystemTime::now().into()
}

/// Looks once, and fails if the look outlasts every limit it was given.
pub async fn look_with(remote: &Remote, spec: &ServiceSpec) -> Look {
    let began = Instant::now();
    let look = tokio::time::timeout(LOOK_LIMIT * 2, remote.look(spec, now(), LOOK_LIMIT))
        .await
        .expect("the look never ended");
    assert!(began.elapsed() < LOOK_LIMIT, "the look took {:?}", began.elapsed());
    let detail = match &look.sight {
        Sight::Down(fault) => &fault.detail,
        Sight::Unreachable(fault) => &fault.detail,
        Sight::Up | Sight::Unknown(_) => "",
    };
    for text in [Some(detail), look.evidence.as_deref()].into_iter().flatten() {
        let is_plain = text.chars().all(|c| c == '\n' || !c.is_control());
        assert!(
            is_plain && text.len() <= MAX_EVIDENCE_BYTES.max(MAX_DETAIL_CHARS * 4),
            "hostile text came through: {text:?}"
        );
    }
    look
}

pub async fn look(host: &HostileHost) -> Look {
    look_with(&remote(), &spec(&host.address, &host.host_key)).await
}

#[track_caller]
pub fn assert_unreachable(look: &Look, kinds: &[UnreachableKind]) {
    match &look.sight {
        Sight::Unreachable(fault) => {
            assert!(kinds.contains(&fault.kind), "expected one of {kinds:?}, saw {}", look.sight)
        }
        Sight::Up | Sight::Down(_) | Sight::Unknown(_) => panic!("expected {kinds:?}, saw {}", look.sight),
    }
}

#[track_caller]
pub fn assert_down(look: &Look, kind: DownKind) {
    match &look.sight {
        Sight::Down(fault) => assert_eq!(fault.kind, kind, "{}", look.sight),
        Sight::Up | Sight::Unreachable(_) | Sight::Unknown(_) => {
            panic!("expected {kind:?}, saw {}", look.sight)
        }
    }
}
