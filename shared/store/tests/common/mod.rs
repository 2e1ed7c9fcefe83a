//! A small fleet, and a table to keep it in: the embedded engine's, or one at `LAMPLIGHTER_DYNAMODB_ENDPOINT`.

#![expect(dead_code, reason = "every suite uses a part of it")]

pub(crate) mod meanwhile;
pub(crate) mod rollouts;

use std::ops::Deref;
use std::time::Duration;

use aws_sdk_dynamodb::client::Waiters as _;
use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region, SharedCredentialsProvider};
use aws_types::SdkConfig;
use lamplighter_core::decision::{AuditEntry, Decision, Effect, LiveEvent, LiveStatus, Step};
use lamplighter_core::notice::{Notice, NoticeKind};
use lamplighter_core::spec::ServiceSpec;
use lamplighter_core::watch::{AskedBy, Attempt, Status};
use lamplighter_core::{EnvName, Moment, ServiceId};
use lamplighter_store::embedded::MemoryBytes;
use lamplighter_store::{Claim, Expected, Lease, LeaseName, Placed, ShardLease, ShardNo, Store, aws_client};

pub(crate) const OWNER: &str = "life-of-this-process";
/// Longest wait until a new table can be used: some seconds on AWS, none elsewhere.
const TABLE_WAIT: Duration = Duration::from_secs(60);

pub(crate) fn at(seconds: i64) -> Moment {
    Moment::from_millis(1_767_321_000_000 + seconds * 1_000)
}

pub(crate) fn env() -> EnvName {
    "prod".parse().unwrap()
}

pub(crate) fn id(name: &str) -> ServiceId {
    name.parse().unwrap()
}

/// Names the endpoint of DynamoDB's API, AWS's or another's, that is held to what every table must do.
const ENDPOINT: &str = "LAMPLIGHTER_DYNAMODB_ENDPOINT";

/// A new, empty table, opened: the embedded engine's, or one at the endpoint, which is deleted in the end.
pub(crate) struct Table {
    store: Store,
    elsewhere: Option<(SdkConfig, String)>,
}

impl Deref for Table {
    type Target = Store;

    fn deref(&self) -> &Store {
        &self.store
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        let Some((account, table)) = self.elsewhere.take() else { return };
        // The test's own runtime stands still while this waits, and with it the connections that are kept there.
        let deleted = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                aws_client(&account).delete_table().table_name(table).send().await.unwrap();
            });
        });
        // A test that fails already must not panic again on its way out.
        let _ = deleted.join();
    }
}

/// A new, empty table.
pub(crate) async fn table() -> Table {
    let Ok(endpoint) = std::env::var(ENDPOINT) else {
        return Table { store: Store::open_memory(&env(), at(0), None).await.unwrap(), elsewhere: None };
    };
    let (account, table) = (account(&endpoint), format!("lamplighter-test-{:016x}", rand::random::<u64>()));
    let client = aws_client(&account);
    Store::create_table(&client, &table).await.unwrap();
    client.wait_until_table_exists().table_name(&table).wait(TABLE_WAIT).await.unwrap();
    let store = Store::open(client, &table, &env(), at(0)).await.unwrap();
    Table { store, elsewhere: Some((account, table)) }
}

/// The account of the environment, or any: an emulator asks for a signature, and not whose it is.
fn account(endpoint: &str) -> SdkConfig {
    let or = |name: &str, fallback: &str| std::env::var(name).unwrap_or_else(|_| fallback.to_owned());
    let (id, secret) = (or("AWS_ACCESS_KEY_ID", "test"), or("AWS_SECRET_ACCESS_KEY", "test"));
    let session = std::env::var("AWS_SESSION_TOKEN").ok();
    let credentials = Credentials::new(id, secret, session, None, "the environment");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new(or("AWS_REGION", "us-east-1")))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .endpoint_url(endpoint)
        .build()
}

/// Two stores over one table, as two processes have.
pub(crate) async fn two_processes() -> (Store, Store) {
    let bytes = MemoryBytes::new().unwrap();
    let one = Store::open_memory_on(&bytes, &env(), at(0), None).await.unwrap();
    let two = Store::open_memory_on(&bytes, &env(), at(0), None).await.unwrap();
    (one, two)
}

/// A service as provisioning systems write them: some 400 bytes.
pub(crate) fn spec(name: &str) -> ServiceSpec {
    serde_json::from_value(serde_json::json!({
        "id": name,
        "app": "rachel8",
        "address": "203.0.113.7:2222",
        "user": "rachel",
        "key": "file:keys/prod_ed25519",
        "host_key": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl",
        "check": { "systemd": "rachel8" },
        "restart": { "systemd": "rachel8" },
        "update": { "dir": "/home/rachel/rachel", "branch": "main", "install": "bun install" },
        "owner": format!("{name}@example.com"),
    }))
    .unwrap()
}

pub(crate) async fn add(store: &Store, name: &str) -> Placed {
    store.put_service(&spec(name), Expected::Any, at(0)).await.unwrap();
    load(store, name).await
}

pub(crate) async fn load(store: &Store, name: &str) -> Placed {
    store.load_service(&id(name)).await.unwrap().unwrap()
}

/// The shard, held until a minute after `seconds`.
pub(crate) async fn sweep(store: &Store, tick: u64, seconds: i64) -> ShardLease {
    won(store.claim_shard(ShardNo::FIRST, tick, OWNER, at(seconds), at(seconds + 60)).await.unwrap())
}

pub(crate) async fn recover(store: &Store, seconds: i64) -> Lease {
    won(store.claim_lease(LeaseName::Recover, OWNER, at(seconds), at(seconds + 60)).await.unwrap())
}

pub(crate) fn won<L: std::fmt::Debug>(claim: Claim<L>) -> L {
    let Claim::Won(lease) = claim else { panic!("not won: {claim:?}") };
    lease
}

pub(crate) fn next(placed: &Placed, effects: Vec<Effect>) -> Decision {
    let mut next = placed.watch.clone();
    next.version += 1;
    next.because = "unit is not active; restarting, attempt 1".to_owned();
    Decision { next, effects }
}

/// The fullest transition: down, a restart intended, the owner told with a KiB of evidence, shown and recorded.
pub(crate) fn down(placed: &Placed, now: Moment) -> Decision {
    let attempt = Attempt {
        action_no: placed.watch.action_no + 1,
        not_before: now,
        process: Some("6f2c8a9b0d1e4f5a8b7c6d5e4f3a2b1c".to_owned().try_into().unwrap()),
        asked_by: AskedBy::Recovery,
    };
    let step = Step { service: placed.spec.id.clone(), attempt: attempt.clone() };
    let mut decision = next(placed, Vec::new());
    let because = "unit is not active (failed, exit code 1); restarting now, attempt 1 of 3".to_owned();
    decision.next.status = Status::Restarting;
    decision.next.because = because.clone();
    decision.next.action_no += 1;
    decision.next.attempt = Some(attempt);
    decision.next.last_failure_at = Some(now);
    decision.next.last_notified_down_at = Some(now);
    decision.next.last_error = Some("unit is not active (failed, exit code 1)".to_owned());
    let mut notice = notice(placed, &format!("{}.{}.down", placed.spec.id, decision.next.version), now);
    notice.because = because.clone();
    notice.evidence = Some("Jan 02 02:30:00 vps rachel8[812]: panic: out of cheese\n".repeat(19));
    assert!(notice.evidence.as_ref().unwrap().len() >= 1_024);
    decision.effects = vec![
        Effect::OpenStep(step),
        Effect::Tell(notice),
        Effect::Publish(event(placed, LiveStatus::Restarting, &because, now)),
        Effect::Record(audit(placed, "restart", &because, now)),
    ];
    decision
}

/// The end of it: up again, the step closed, the owner told.
pub(crate) fn recovered(placed: &Placed, now: Moment) -> Decision {
    let because = "up again after 1 restart, 12 s after it went down".to_owned();
    let mut decision = next(placed, Vec::new());
    decision.next.status = Status::Healthy;
    decision.next.because = because.clone();
    decision.next.attempt = None;
    decision.next.totals.recoveries += 1;
    let mut notice = notice(placed, &format!("{}.{}.recovered", placed.spec.id, decision.next.version), now);
    notice.kind = NoticeKind::Recovered;
    notice.tried = vec!["restarted at 02:30:02, up after 5 s".to_owned()];
    decision.effects = vec![
        Effect::CloseStep(placed.spec.id.clone()),
        Effect::Tell(notice),
        Effect::Publish(event(placed, LiveStatus::Healthy, &because, now)),
    ];
    decision
}

pub(crate) fn notice(placed: &Placed, id: &str, at: Moment) -> Notice {
    Notice {
        id: id.to_owned(),
        kind: NoticeKind::Down,
        service: Some(placed.spec.id.clone()),
        thread: format!("{}.{}", placed.spec.id, placed.watch.version),
        tick: 7,
        at,
        to: placed.spec.owner.clone().into_iter().collect(),
        because: "unit is not active".to_owned(),
        tried: Vec::new(),
        next: "it is restarted now; if that does not help, again after 5 s".to_owned(),
        evidence: None,
        incident_since: Some(at),
        digest: None,
    }
}

pub(crate) fn event(placed: &Placed, status: LiveStatus, because: &str, timestamp: Moment) -> LiveEvent {
    LiveEvent {
        service: placed.spec.id.clone(),
        status,
        message: "attempt 1 of 3".to_owned(),
        because: because.to_owned(),
        timestamp,
    }
}

pub(crate) fn audit(placed: &Placed, action: &str, because: &str, at: Moment) -> AuditEntry {
    AuditEntry {
        at,
        by: "recovery".to_owned(),
        action: action.to_owned(),
        service: Some(placed.spec.id.clone()),
        action_no: Some(placed.watch.action_no + 1),
        because: because.to_owned(),
    }
}

/// Σ versions + departed == fleet_version, seen from outside.
pub(crate) async fn the_law_holds(store: &Store) -> bool {
    for shard in store.shards().await.unwrap() {
        let placed = store.load_shard(&shard).await.unwrap();
        let versions: u64 = placed.iter().map(|placed| placed.spec_version + placed.watch.version).sum();
        if versions + shard.departed != shard.fleet_version || placed.len() != shard.services as usize {
            return false;
        }
    }
    true
}
