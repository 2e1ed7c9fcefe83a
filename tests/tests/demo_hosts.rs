//! The demo's hosts, reached as any host is: looks, restarts under the real guard, and being cut off.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::time::{Duration, SystemTime};

use lamplighter::demo::systemd::{Nature, State};
use lamplighter::demo::{ClientKey, DemoHost, DemoHostSettings};
use lamplighter_core::sight::{
    DownKind, GuardParts, Look, ProcessId, RestartOutcome, Sight, UnreachableKind,
};
use lamplighter_core::spec::ServiceSpec;
use lamplighter_core::{EnvName, Moment};
use lamplighter_remote::{Remote, RemoteConfig, RestartOrder};
use serde_json::json;

const LIMIT: Duration = Duration::from_secs(30);

struct Scene {
    _home: tempfile::TempDir,
    host: DemoHost,
    remote: Remote,
    env: EnvName,
}

impl Scene {
    async fn set(units: &[(&str, Nature)]) -> Scene {
        let home = tempfile::tempdir().unwrap();
        let key = ClientKey::create(&home.path().join("key")).unwrap();
        let mut settings = DemoHostSettings::new(key.public);
        settings.units = units.iter().map(|(name, nature)| ((*name).to_owned(), *nature)).collect();
        let host = DemoHost::start(settings).await.unwrap();
        let remote = Remote::new(RemoteConfig::new(home.path())).unwrap();
        Scene { _home: home, host, remote, env: "demo".parse().unwrap() }
    }

    fn spec(&self, unit: &str) -> ServiceSpec {
        serde_json::from_value(json!({
            "id": format!("service-{unit}"),
            "address": self.host.address().to_string(),
            "user": "demo",
            "key": "file:key",
            "host_key": self.host.host_key_line(),
            "check": { "systemd": unit },
            "restart": { "systemd": unit },
        }))
        .unwrap()
    }

    async fn look(&self, unit: &str) -> Look {
        let now: Moment = SystemTime::now().into();
        self.remote.look(&self.spec(unit), now, LIMIT).await
    }

    async fn restart(&self, unit: &str, action_no: u64, process: Option<&ProcessId>) -> RestartOutcome {
        let order = RestartOrder { env: &self.env, action_no, process };
        self.remote.restart(&self.spec(unit), &order, LIMIT).await
    }

    async fn strike(self) {
        self.remote.close().await;
        self.host.stop().await;
    }
}

#[tokio::test]
async fn a_crashed_unit_is_seen_and_healed_under_the_whole_guard() {
    let scene = Scene::set(&[("web", Nature::Sound)]).await;
    assert_eq!(scene.look("web").await.sight, Sight::Up);
    scene.host.systemd().crash("web");
    let look = scene.look("web").await;
    assert!(matches!(&look.sight, Sight::Down(fault) if fault.kind == DownKind::NotActive), "{}", look.sight);
    assert!(look.evidence.unwrap().contains("code=killed"));
    assert_eq!(
        look.process.as_ref().map(|id| id.as_str().to_owned()),
        scene.host.systemd().invocation("web")
    );
    let outcome = scene.restart("web", 1, look.process.as_ref()).await;
    assert_eq!(outcome, RestartOutcome::Done(GuardParts::ALL));
    assert_eq!(scene.look("web").await.sight, Sight::Up);
    let counts = scene.host.counts();
    assert_eq!((counts.connections, counts.authentications, counts.restarts), (1, 1, 1), "{counts:?}");
    scene.strike().await;
}

#[tokio::test]
async fn the_guard_refuses_what_is_late_repeated_or_meant_for_another_run() {
    let scene = Scene::set(&[("web", Nature::Sound)]).await;
    let judged = scene.remote.look_closely(&scene.spec("web"), SystemTime::now().into(), LIMIT).await.process;
    assert!(judged.is_some());
    assert_eq!(scene.restart("web", 5, judged.as_ref()).await, RestartOutcome::Done(GuardParts::ALL));
    assert_eq!(scene.restart("web", 5, None).await, RestartOutcome::AlreadyDone);
    assert_eq!(scene.restart("web", 4, None).await, RestartOutcome::Overtaken { seen: 5 });
    assert_eq!(scene.restart("web", 6, judged.as_ref()).await, RestartOutcome::ProcessChanged);
    assert_eq!(scene.host.systemd().restarts("web"), 1);
    scene.strike().await;
}

#[tokio::test]
async fn restarts_on_one_host_never_overlap() {
    const UNITS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
    let scene = Scene::set(&UNITS.map(|name| (name, Nature::Sound))).await;
    for unit in UNITS {
        scene.host.systemd().set_restart_time(unit, Duration::from_millis(50));
    }
    let outcomes = futures_util::future::join_all(UNITS.map(|unit| scene.restart(unit, 1, None))).await;
    let done = outcomes
        .iter()
        .filter(|outcome| matches!(outcome, RestartOutcome::Done(parts) if parts.lock))
        .count();
    assert_eq!(done, UNITS.len(), "{outcomes:?}");
    assert_eq!(scene.host.counts().max_nesting, 1);
    scene.strike().await;
}

#[tokio::test]
async fn a_unit_that_refuses_to_start_fails_in_its_own_words() {
    let scene = Scene::set(&[("web", Nature::Sound)]).await;
    scene.host.systemd().set_nature("web", Nature::RefusesToStart);
    let outcome = scene.restart("web", 1, None).await;
    assert!(
        matches!(&outcome, RestartOutcome::Failed(why) if why.contains("Job for web.service failed")),
        "{outcome:?}"
    );
    assert_eq!(scene.host.systemd().state("web"), Some(State::Failed));
    let look = scene.look("web").await;
    assert!(look.evidence.unwrap().contains("/etc/demo.conf"));
    scene.strike().await;
}

#[tokio::test]
async fn a_missing_unit_and_a_starting_one_are_told_apart() {
    let scene = Scene::set(&[("slow", Nature::SlowToStart(Duration::from_secs(600)))]).await;
    let missing = scene.look("nothing").await;
    assert!(
        matches!(&missing.sight, Sight::Down(fault) if fault.kind == DownKind::NoSuchUnit),
        "{}",
        missing.sight
    );
    assert!(matches!(scene.look("slow").await.sight, Sight::Unknown(_)));
    scene.strike().await;
}

#[tokio::test]
async fn a_host_that_is_cut_off_is_unreachable_until_it_is_back() {
    let scene = Scene::set(&[("web", Nature::Sound)]).await;
    assert_eq!(scene.look("web").await.sight, Sight::Up);
    scene.host.cut_off();
    let look = scene.look("web").await;
    let kinds = [UnreachableKind::Dropped, UnreachableKind::Connect];
    assert!(
        matches!(&look.sight, Sight::Unreachable(fault) if kinds.contains(&fault.kind)),
        "{}",
        look.sight
    );
    assert!(matches!(scene.restart("web", 1, None).await, RestartOutcome::NotSent(_)));
    scene.host.reconnect();
    assert_eq!(scene.look("web").await.sight, Sight::Up);
    scene.strike().await;
}
