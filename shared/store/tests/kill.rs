//! What a SIGKILL in the middle of commits leaves in the data file: every commit that was acknowledged, and nothing torn.
//!
//! The test runs itself again as a child that commits until it is killed.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use common::*;
use lamplighter_store::*;

const ROUNDS: u64 = 10;
const SERVICE: &str = "vps-001";
/// Where the child finds the data file.
const FILE: &str = "LAMPLIGHTER_TEST_KILLED_FILE";
/// Before a version that the child has an acknowledgement of.
const ACKNOWLEDGED: &str = "acknowledged ";
/// Most acknowledgements that are waited for before a kill.
const MOST_COMMITS: usize = 40;

/// The child's part; without a file there is nothing to do.
#[tokio::test]
async fn commits_until_it_is_killed() {
    let Some(path) = std::env::var_os(FILE) else { return };
    let store = Store::open_file(Path::new(&path), &env(), at(0)).await.unwrap();
    let tick = store.shards().await.unwrap()[0].tick.map_or(1, |tick| tick + 1);
    let until = at(86_400);
    let lease = won(store.claim_shard(ShardNo::FIRST, tick, OWNER, at(0), until).await.unwrap());
    won(store.claim_lease(LeaseName::Recover, OWNER, at(0), until).await.unwrap());
    let mut placed = load(&store, SERVICE).await;
    loop {
        let decision = down(&placed, at(1));
        let done = store.commit(Fence::Shard(&lease), &placed, &decision).await.unwrap();
        assert_eq!(done, Commit::Done { added: 1 });
        placed.watch = decision.next;
        let mut out = std::io::stdout().lock();
        writeln!(out, "{ACKNOWLEDGED}{}", placed.watch.version).unwrap();
        out.flush().unwrap();
    }
}

/// A child that is committing, and what it says.
struct Committing {
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Committing {
    fn start(path: &Path) -> Committing {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "commits_until_it_is_killed", "--nocapture"])
            .env(FILE, path)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Committing { child, lines }
    }

    /// The next version it has an acknowledgement of; none once it is dead and all it said is read.
    fn acknowledged(&mut self) -> Option<u64> {
        self.lines.by_ref().find_map(|line| line.unwrap().strip_prefix(ACKNOWLEDGED)?.parse().ok())
    }

    /// Kills it at some moment of some commit. The last version it had an acknowledgement of.
    fn kill(mut self) -> u64 {
        let mut last = 0;
        for _ in 0..rand::random_range(1..=MOST_COMMITS) {
            last = self.acknowledged().expect("the child ended by itself");
        }
        // Anywhere within a commit, which takes about as long.
        std::thread::sleep(Duration::from_micros(rand::random_range(0..4_000)));
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        std::iter::from_fn(|| self.acknowledged()).last().unwrap_or(last)
    }
}

#[tokio::test]
async fn a_kill_loses_no_acknowledged_commit_and_tears_none() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("prod.db");
    let store = Store::open_file(&path, &env(), at(0)).await.unwrap();
    let first = add(&store, SERVICE).await.watch;
    let (mut epoch, mut before) = (0, first.version);
    drop(store);
    for round in 1..=ROUNDS {
        let acknowledged = Committing::start(&path).kill();
        let store = Store::open_file(&path, &env(), at(2)).await.unwrap();
        let placed = load(&store, SERVICE).await;
        let version = placed.watch.version;
        // The last commit may have been carried out without a word; there is only ever one.
        assert!(
            version == acknowledged || version == acknowledged + 1,
            "round {round}: {acknowledged} was acknowledged, {version} is there"
        );

        // Whatever belongs to a commit is there with it.
        let commits = version - first.version;
        assert_eq!(placed.watch.action_no - first.action_no, commits, "round {round}");
        let rows = rows(&store).await;
        assert_eq!(rows, (first.version + 1..=version).collect::<Vec<_>>(), "round {round}: event rows");
        let steps = store.steps().await.unwrap();
        assert_eq!(Some(&steps[0].0.attempt), placed.watch.attempt.as_ref(), "round {round}: the step");
        let notices = store.outbox(usize::MAX).await.unwrap();
        let told: BTreeSet<String> = notices.iter().map(|stored| stored.notice.id.clone()).collect();
        let expected = (before + 1..=version).map(|version| format!("{SERVICE}.{version}.down"));
        assert_eq!(told, expected.collect(), "round {round}: the notices of this round");
        before = version;
        for stored in notices {
            store.settle_notice(&stored).await.unwrap();
        }
        let shard = store.shards().await.unwrap().remove(0);
        assert_eq!(placed.spec_version + version + shard.departed, shard.fleet_version, "round {round}");

        // The leases of the dead process are over, though their time is not.
        assert_eq!(shard.held_until, None, "round {round}");
        let lease = won(store
            .claim_shard(ShardNo::FIRST, shard.tick.unwrap() + 1, "next", at(2), at(3))
            .await
            .unwrap());
        assert!(lease.epoch > epoch, "round {round}");
        epoch = lease.epoch;
        store.free_lease(&recover(&store, 2).await).await.unwrap();
        drop(store);
        let file = rusqlite::Connection::open(&path).unwrap();
        let said: String = file.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!(said, "ok", "round {round}");
    }
}

/// The versions of the watch that have an event row, in the order of rows.
async fn rows(store: &Store) -> Vec<u64> {
    let (mut versions, mut cursor) = (Vec::new(), Some("0".to_owned()));
    loop {
        let page = store.events_after(cursor.as_deref(), 500, at(3)).await.unwrap();
        if page.items.is_empty() {
            versions.sort_unstable();
            return versions;
        }
        versions.extend(
            page.items.iter().map(|row| row.cursor.rsplit('#').next().unwrap().parse::<u64>().unwrap()),
        );
        cursor = page.next;
    }
}
