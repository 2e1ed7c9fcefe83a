//! Looks and restarts against a real OpenSSH server.
#![expect(clippy::unwrap_used, clippy::wildcard_enum_match_arm, reason = "a test may panic")]
#![expect(clippy::print_stderr, reason = "a skipped test says so")]

mod host;

use std::os::unix::fs::PermissionsExt as _;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use host::Host;
use lamplighter_core::sight::{
    DownKind, GuardParts, Look, ProcessId, RestartOutcome, Sight, UnreachableKind,
};
use lamplighter_core::spec::ServiceSpec;
use lamplighter_core::{EnvName, Moment};
use lamplighter_remote::{Pool, Remote, RemoteConfig, RestartOrder, Vault, survey};
use serde_json::json;
use zeroize::Zeroizing;

const LIMIT: Duration = Duration::from_secs(20);
/// What may be left of looks is waited for so long at most.
const SETTLE_LIMIT: Duration = Duration::from_secs(5);

async fn look(remote: &Remote, spec: &ServiceSpec) -> Look {
    remote.look(spec, Moment::EPOCH, LIMIT).await
}

async fn restart(
    remote: &Remote,
    spec: &ServiceSpec,
    action_no: u64,
    process: Option<&str>,
) -> RestartOutcome {
    let env: EnvName = "prod".parse().unwrap();
    let process = process.map(|id| ProcessId::try_from(id.to_owned()).unwrap());
    let order = RestartOrder { env: &env, action_no, process: process.as_ref() };
    remote.restart(spec, &order, Duration::from_secs(80)).await
}

fn unreachable(look: &Look) -> (UnreachableKind, &str) {
    match &look.sight {
        Sight::Unreachable(fault) => (fault.kind, fault.detail.as_str()),
        other => panic!("{other}"),
    }
}

fn down(look: &Look) -> DownKind {
    match &look.sight {
        Sight::Down(fault) => fault.kind,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn an_active_unit_is_up_and_the_connection_is_used_again() {
    let Some(host) = Host::start() else { return };
    let (remote, spec) = (host.remote(), host.spec(json!({})));
    for _ in 0..3 {
        assert_eq!(look(&remote, &spec).await.sight, Sight::Up);
    }
    assert_eq!(remote.connections(), 1);
    assert_eq!(host.log().matches("Accepted publickey").count(), 1);
    let closely = remote.look_closely(&spec, Moment::EPOCH, LIMIT).await;
    assert_eq!(closely.process.unwrap().as_str(), "aaaa1111");
    remote.close().await;
    assert_eq!(remote.connections(), 0);
    host.wait_for_log("Received disconnect from 127.0.0.1");
}

#[tokio::test]
async fn a_unit_that_is_not_active_is_down_with_its_run_and_last_words() {
    let Some(host) = Host::start() else { return };
    host.systemctl("failed", 3);
    let seen = look(&host.remote(), &host.spec(json!({}))).await;
    assert_eq!(down(&seen), DownKind::NotActive);
    assert_eq!(seen.process.unwrap().as_str(), "aaaa1111");
    assert_eq!(seen.evidence.as_deref(), Some("the last words"));
}

#[tokio::test]
async fn a_changed_host_key_is_never_authenticated_to() {
    let Some(host) = Host::start() else { return };
    let remote = host.remote();
    let seen = look(&remote, &host.spec(json!({"host_key": host.public_key("strange_key")}))).await;
    assert_eq!(unreachable(&seen).0, UnreachableKind::HostKeyChanged);
    assert!(unreachable(&seen).1.contains("it showed SHA256:"));
    let name = format!("[127.0.0.1]:{}", host.port);
    let (right, wrong) = (host.public_key("host_key"), host.public_key("strange_key"));
    for (text, expected) in [
        (format!("{name} {wrong}\n"), UnreachableKind::HostKeyChanged),
        (format!("@revoked * {right}\n{name} {right}\n"), UnreachableKind::HostKeyRevoked),
        (format!("127.0.0.1 {right}\n"), UnreachableKind::HostKeyUnknown),
        (String::new(), UnreachableKind::HostKeyUnknown),
    ] {
        std::fs::write(host.path("known"), &text).unwrap();
        // A remote of its own: two versions of the file may be too close in time to be told apart.
        let seen = look(&host.remote(), &host.spec(json!({"host_key": [], "known_hosts": "known"}))).await;
        assert_eq!(unreachable(&seen).0, expected, "{text}");
    }
    let missing = look(&remote, &host.spec(json!({"host_key": [], "known_hosts": "nowhere"}))).await;
    assert_eq!(unreachable(&missing).0, UnreachableKind::HostKeyUnknown);
    // The server has seen connections, and no attempt to log in.
    host.wait_for_log("Connection");
    let log = host.log();
    assert!(
        !log.contains("Accepted")
            && !log.contains("Failed")
            && !log.contains("Postponed")
            && !log.contains("for user"),
        "{log}"
    );
}

#[tokio::test]
async fn a_known_key_among_several_is_accepted() {
    let Some(host) = Host::start() else { return };
    let pinned = json!({"host_key": [host.public_key("strange_key"), host.public_key("host_key")]});
    assert_eq!(look(&host.remote(), &host.spec(pinned)).await.sight, Sight::Up);
    std::fs::write(
        host.path("known"),
        format!("[127.0.0.1]:{} {}\n", host.port, host.public_key("host_key")),
    )
    .unwrap();
    let known = json!({"host_key": [], "known_hosts": "known"});
    assert_eq!(look(&host.remote(), &host.spec(known)).await.sight, Sight::Up);
}

#[tokio::test]
async fn a_host_with_several_keys_shows_the_one_that_is_pinned() {
    let dir = tempfile::tempdir().unwrap();
    let ecdsa = dir.path().join("ecdsa");
    let made = std::process::Command::new("ssh-keygen")
        .args(["-q", "-t", "ecdsa", "-N", "", "-f"])
        .arg(&ecdsa)
        .status();
    if !made.is_ok_and(|status| status.success()) {
        return;
    }
    let Some(host) = Host::start_with(&format!("HostKey {}", ecdsa.display())) else { return };
    let line = std::fs::read_to_string(ecdsa.with_extension("pub")).unwrap();
    assert_eq!(look(&host.remote(), &host.spec(json!({"host_key": line}))).await.sight, Sight::Up);
}

#[tokio::test]
async fn a_login_that_is_refused_is_told_from_a_host_that_is_away() {
    let Some(host) = Host::start() else { return };
    let remote = host.remote();
    let refused = look(&remote, &host.spec(json!({"key": "file:strange_key"}))).await;
    assert_eq!(unreachable(&refused).0, UnreachableKind::Auth);
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let away = look(&remote, &host.spec(json!({"address": format!("127.0.0.1:{free}")}))).await;
    assert_eq!(unreachable(&away), (UnreachableKind::Connect, "connection refused"));
    let nameless = look(&remote, &host.spec(json!({"address": "no-such-host.invalid"}))).await;
    assert_eq!(unreachable(&nameless).0, UnreachableKind::NoSuchName);
}

#[tokio::test]
async fn a_key_that_cannot_be_used_is_refused_with_the_mend() {
    let Some(host) = Host::start() else { return };
    let remote = host.remote();
    std::fs::write(host.path("garbage"), "not a key").unwrap();
    std::fs::copy(host.path("user_key"), host.path("open")).unwrap();
    for (name, mode) in [("garbage", 0o600), ("open", 0o640)] {
        std::fs::set_permissions(host.path(name), std::fs::Permissions::from_mode(mode)).unwrap();
    }
    for (kind, passphrase, name) in [("ed25519", "secret", "locked"), ("rsa", "", "rsa")] {
        let made = std::process::Command::new("ssh-keygen")
            .args(["-q", "-t", kind, "-N", passphrase, "-f"])
            .arg(host.path(name))
            .status()
            .unwrap();
        assert!(made.success());
    }
    for (key, words) in [
        ("file:missing", "cannot be read"),
        ("file:open", "chmod 600"),
        ("file:garbage", "is not a private SSH key"),
        ("file:locked", "passphrase"),
        ("file:rsa", "RSA"),
        ("ssm:/lamplighter/key", "cannot be read in this home"),
        ("sealed:prod", "cannot be read in this home"),
    ] {
        let seen = look(&remote, &host.spec(json!({"key": key}))).await;
        let (kind, detail) = unreachable(&seen);
        assert_eq!(kind, UnreachableKind::Key, "{key}");
        assert!(detail.contains(words), "{key}: {detail}");
    }
    assert!(!format!("{remote:?}").contains("PrivateKey"));
}

#[tokio::test]
async fn a_key_that_was_replaced_in_the_vault_is_found_after_the_host_refused_the_old_one() {
    let Some(host) = Host::start() else { return };
    let text = |name: &str| std::fs::read_to_string(host.path(name)).unwrap();
    let stored = Arc::new(Mutex::new(text("user_key")));
    let vault = Vault::new({
        let stored = Arc::clone(&stored);
        move |name| {
            assert_eq!(name, "/lamplighter/key");
            let text = stored.lock().unwrap().clone();
            async move { Ok(Zeroizing::new(text)) }
        }
    });
    let config = RemoteConfig { vault: Some(vault), pool: Pool::None, ..RemoteConfig::new("/") };
    let (remote, spec) = (Remote::new(config).unwrap(), host.spec(json!({"key": "ssm:/lamplighter/key"})));
    assert_eq!(look(&remote, &spec).await.sight, Sight::Up);
    stored.lock().unwrap().clone_from(&text("strange_key"));
    std::fs::copy(host.path("strange_key.pub"), host.path("authorized_keys")).unwrap();
    for _ in 0..2 {
        // The key has just been read: a host that refuses it causes no read.
        assert_eq!(unreachable(&look(&remote, &spec).await).0, UnreachableKind::Auth);
    }
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(60)).await;
    tokio::time::resume();
    assert_eq!(unreachable(&look(&remote, &spec).await).0, UnreachableKind::Auth);
    assert_eq!(look(&remote, &spec).await.sight, Sight::Up);
    assert!(!format!("{remote:?}").contains("PrivateKey"));
}

#[tokio::test]
async fn a_restart_is_made_once_under_the_whole_guard() {
    let Some(host) = Host::start() else { return };
    host.systemctl("failed", 3);
    let (remote, spec) = (host.remote(), host.spec(json!({})));
    assert_eq!(restart(&remote, &spec, 1, Some("aaaa1111")).await, RestartOutcome::Done(GuardParts::ALL));
    assert_eq!(look(&remote, &spec).await.sight, Sight::Up);
    assert_eq!(restart(&remote, &spec, 1, Some("aaaa1111")).await, RestartOutcome::AlreadyDone);
    assert_eq!(restart(&remote, &spec, 2, Some("aaaa1111")).await, RestartOutcome::ProcessChanged);
    assert_eq!(restart(&remote, &spec, 1, None).await, RestartOutcome::Overtaken { seen: 2 });
    assert_eq!(host.read("calls").matches(" restart web.service").count(), 1);
}

#[tokio::test]
async fn a_restart_to_a_host_that_is_away_was_not_sent() {
    let Some(host) = Host::start() else { return };
    let spec = host.spec(json!({"host_key": host.public_key("strange_key")}));
    match restart(&host.remote(), &spec, 1, None).await {
        RestartOutcome::NotSent(fault) => assert_eq!(fault.kind, UnreachableKind::HostKeyChanged),
        other => panic!("{other:?}"),
    }
    assert_eq!(host.read("calls"), "");
}

#[tokio::test]
async fn a_restart_whose_end_is_not_seen_is_lost_and_never_sent_again() {
    let Some(host) = Host::start() else { return };
    host.write("takes", "2");
    let (remote, spec) = (host.remote(), host.spec(json!({})));
    let sent = tokio::spawn({
        let (remote, spec) = (remote.clone(), spec.clone());
        async move { restart(&remote, &spec, 1, None).await }
    });
    let began = Instant::now();
    while !host.read("calls").contains(" restart ") {
        assert!(began.elapsed() < Duration::from_secs(10));
        tokio::task::yield_now().await;
    }
    host.drop_connections();
    match sent.await.unwrap() {
        RestartOutcome::Lost(fault) => assert_eq!(fault.kind, UnreachableKind::Dropped),
        other => panic!("{other:?}"),
    }
    assert_eq!(host.read("calls").matches(" restart ").count(), 1);
}

#[tokio::test]
async fn a_kept_connection_that_died_is_replaced_within_one_look() {
    let Some(host) = Host::start() else { return };
    let (remote, spec) = (host.remote(), host.spec(json!({})));
    for _ in 0..3 {
        assert_eq!(look(&remote, &spec).await.sight, Sight::Up);
        host.drop_connections();
    }
    assert_eq!(look(&remote, &spec).await.sight, Sight::Up);
    assert_eq!(remote.connections(), 1);
}

#[tokio::test]
async fn many_looks_at_one_host_share_one_connection_and_its_few_channels() {
    let Some(host) = Host::start_with("MaxSessions 3") else { return };
    let (remote, spec) = (host.remote(), host.spec(json!({"check": {"command": "sleep 0.05"}})));
    let looks = (0..30).map(|_| look(&remote, &spec));
    for seen in futures_util::future::join_all(looks).await {
        assert_eq!(seen.sight, Sight::Up);
    }
    assert_eq!(host.log().matches("Accepted publickey").count(), 1);
}

#[tokio::test]
async fn a_command_is_judged_by_its_status_and_nothing_else() {
    let Some(host) = Host::start() else { return };
    let remote = host.remote();
    let check = |command: &str| host.spec(json!({"check": {"command": command}}));
    assert_eq!(look(&remote, &check("true")).await.sight, Sight::Up);
    assert_eq!(down(&look(&remote, &check("echo no >&2; exit 7")).await), DownKind::CommandFailed);
    assert_eq!(unreachable(&look(&remote, &check("kill -9 $$")).await).0, UnreachableKind::NoVerdict);
    assert_eq!(unreachable(&look(&remote, &check("yes")).await).0, UnreachableKind::NoVerdict);
    assert_eq!(unreachable(&look(&remote, &check("yes >&2")).await).0, UnreachableKind::NoVerdict);
    // A process left behind holds the output open; the verdict does not wait for it.
    let began = Instant::now();
    assert_eq!(look(&remote, &check("sleep 20 & exit 0")).await.sight, Sight::Up);
    assert!(began.elapsed() < Duration::from_secs(10));
    let hanging = host.spec(json!({"check": {"command": "sleep 20"}, "policy": {"command_limit": "300ms"}}));
    assert_eq!(unreachable(&look(&remote, &hanging).await).0, UnreachableKind::TimedOut);
    // None of that has hurt the connection.
    assert_eq!(look(&remote, &check("true")).await.sight, Sight::Up);
    assert_eq!(host.log().matches("Accepted publickey").count(), 1);
}

#[tokio::test]
async fn connections_are_bounded_and_none_is_kept_where_none_may_be() {
    let (Some(one), Some(two)) = (Host::start(), Host::start()) else { return };
    std::fs::copy(two.path("user_key"), one.path("second_key")).unwrap();
    let config = |pool| RemoteConfig { pool, ..RemoteConfig::new(one.path("")) };
    let bounded = Remote::new(config(Pool::Keep { most: 1 })).unwrap();
    let unkept = Remote::new(config(Pool::None)).unwrap();
    let specs = [one.spec(json!({})), two.spec(json!({"key": "file:second_key"}))];
    for spec in specs.iter().cycle().take(4) {
        assert_eq!(look(&bounded, spec).await.sight, Sight::Up);
        assert_eq!(bounded.connections(), 1);
        assert_eq!(look(&unkept, spec).await.sight, Sight::Up);
        assert_eq!(unkept.connections(), 0);
    }
}

#[tokio::test]
async fn a_full_pool_keeps_what_it_has_until_nobody_has_used_it_for_long() {
    let (Some(one), Some(two)) = (Host::start(), Host::start()) else { return };
    std::fs::copy(two.path("user_key"), one.path("second_key")).unwrap();
    let config = RemoteConfig { pool: Pool::Keep { most: 1 }, ..RemoteConfig::new(one.path("")) };
    let remote = Remote::new(config).unwrap();
    let specs = [one.spec(json!({})), two.spec(json!({"key": "file:second_key"}))];
    let logins = |host: &Host| host.log().matches("Accepted publickey").count();
    for spec in specs.iter().cycle().take(6) {
        assert_eq!(look(&remote, spec).await.sight, Sight::Up);
        assert_eq!(remote.connections(), 1);
    }
    assert_eq!((logins(&one), logins(&two)), (1, 3));
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(2 * 3_600)).await;
    tokio::time::resume();
    for _ in 0..2 {
        assert_eq!(look(&remote, &specs[1]).await.sight, Sight::Up);
        assert_eq!(remote.connections(), 1);
    }
    assert_eq!((logins(&one), logins(&two)), (1, 4));
}

#[tokio::test]
async fn nothing_is_left_of_looks_that_keep_no_connection() {
    let Some(host) = Host::start() else { return };
    let config = RemoteConfig { pool: Pool::None, ..RemoteConfig::new(host.path("")) };
    let remote = Remote::new(config).unwrap();
    let alive = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let hanging = json!({"check": {"command": "sleep 20"}, "policy": {"command_limit": "300ms"}});
    let flooding = json!({"check": {"command": "yes"}});
    // The server's process of this very connection stops: it stays open, and nobody answers any more.
    let silence = format!("pkill -STOP -P {}; sleep 20", host.read("pid"));
    let silent = json!({"check": {"command": silence}, "policy": {"command_limit": "300ms"}});
    for changes in [json!({}), hanging, flooding, silent] {
        let spec = host.spec(changes);
        look(&remote, &spec).await;
        let began = Instant::now();
        assert_eq!(remote.settled(SETTLE_LIMIT).await, 0);
        assert!(began.elapsed() < SETTLE_LIMIT / 4, "{spec:?} was waited for: {:?}", began.elapsed());
        assert_eq!(alive(), 0, "{spec:?}");
    }
    // What is kept counts, until it is closed.
    let keeping = host.remote();
    assert_eq!(look(&keeping, &host.spec(json!({}))).await.sight, Sight::Up);
    assert_eq!(keeping.settled(Duration::from_millis(10)).await, 1);
    keeping.close().await;
    assert_eq!((keeping.settled(SETTLE_LIMIT).await, alive()), (0, 0));
}

#[tokio::test]
async fn a_look_that_is_dropped_lets_go_of_everything() {
    let Some(host) = Host::start() else { return };
    let (remote, spec) = (host.remote(), host.spec(json!({"check": {"command": "sleep 20"}})));
    // Some are dropped while they connect, some while they run.
    for millis in [0, 1, 2, 5, 10, 20, 50, 200] {
        let _ = tokio::time::timeout(Duration::from_millis(millis), look(&remote, &spec)).await;
    }
    for _ in 0..20 {
        let _ = tokio::time::timeout(Duration::from_millis(30), look(&remote, &spec)).await;
    }
    assert_eq!(look(&remote, &host.spec(json!({}))).await.sight, Sight::Up);
}

#[tokio::test]
async fn a_survey_answers_each_question_alone() {
    let Some(host) = Host::start() else { return };
    let (remote, spec) = (host.remote(), host.spec(json!({})));
    let shown = survey::host_key(&remote, &spec.address, LIMIT).await.unwrap();
    assert_eq!(shown.line, host.public_key("host_key"));
    assert!(shown.fingerprint.starts_with("SHA256:"));
    assert!(!host.log().contains("Accepted"));
    survey::login(&remote, &spec, LIMIT).await.unwrap();
    let now = Moment::from(std::time::SystemTime::now());
    let clock = survey::clock(&remote, &spec, LIMIT).await.unwrap();
    assert!(clock.says.since(now) + now.since(clock.says) < Duration::from_secs(30));
    assert_eq!(survey::existence(&remote, &spec, LIMIT).await, Ok(survey::Existence::Found));
    host.tool("systemctl", "echo LoadState=not-found");
    assert_eq!(survey::existence(&remote, &spec, LIMIT).await, Ok(survey::Existence::Missing));
    host.tool("id", "echo 1000");
    host.tool("sudo", "exit 1");
    match survey::restart_right(&remote, &spec, LIMIT).await.unwrap() {
        survey::RestartRight::Refused { sudoers } => {
            assert!(sudoers.contains("--no-ask-password restart web.service"), "{sudoers}")
        }
        other => panic!("{other:?}"),
    }
    host.tool("sudo", "exit 0");
    assert_eq!(survey::restart_right(&remote, &spec, LIMIT).await, Ok(survey::RestartRight::Granted));
}

#[tokio::test]
async fn the_key_exchange_is_strict_where_the_host_knows_how() {
    let Some(host) = Host::start_with("LogLevel DEBUG3") else { return };
    assert_eq!(look(&host.remote(), &host.spec(json!({}))).await.sight, Sight::Up);
    let log = host.log();
    let offered = |side: &str| {
        log.lines().any(|line| {
            line.contains("KEX algorithms:") && line.contains(&format!("kex-strict-{side}-v00@openssh.com"))
        })
    };
    // An old server cannot offer it; ours must always be there to be taken.
    assert!(offered("c"), "{log}");
    if offered("s") {
        assert!(log.contains("strict KEX"), "{log}");
    }
}
