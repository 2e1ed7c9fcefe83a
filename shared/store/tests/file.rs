//! The data file of the one-box home: whose it is, who has it, what it survives, and the way out of it.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::io::Cursor;
use std::path::Path;
use std::process::Command;

use common::*;
use lamplighter_store::*;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

async fn open(path: &Path) -> Result<Store, OpenError> {
    Store::open_file(path, &env(), at(0)).await
}

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

#[tokio::test]
async fn a_file_has_one_process_and_its_leases_end_with_it() {
    let folder = folder();
    let path = folder.path().join("prod.db");
    let store = open(&path).await.unwrap();
    let placed = add(&store, "vps-001").await;
    let (lost, recovery) = (sweep(&store, 1, 0).await, recover(&store, 0).await);
    let second = open(&path).await.unwrap_err();
    assert!(matches!(second, OpenError::InUse { .. }), "{second}");
    drop(store);

    let store = open(&path).await.unwrap();
    assert_eq!(load(&store, "vps-001").await, placed);
    assert_eq!(store.shards().await.unwrap()[0].held_until, None);
    let stale = store.commit(Fence::Shard(&lost), &placed, &down(&placed, at(1))).await.unwrap();
    assert_eq!(stale, Commit::Stale, "what the dead process began cannot be committed");
    let stale = store.commit(Fence::Lease(&recovery), &placed, &down(&placed, at(1))).await.unwrap();
    assert_eq!(stale, Commit::Stale);
    assert!(sweep(&store, 2, 1).await.epoch > lost.epoch);
}

#[tokio::test]
async fn a_file_that_is_not_ours_is_refused_untouched() {
    let folder = folder();
    let text = folder.path().join("notes.txt");
    std::fs::write(&text, "these are not the bytes you are looking for\n".repeat(200)).unwrap();
    let foreign = folder.path().join("foreign.db");
    let connection = rusqlite::Connection::open(&foreign).unwrap();
    connection.execute_batch("CREATE TABLE notes (body TEXT); INSERT INTO notes VALUES ('x');").unwrap();
    drop(connection);
    for path in [&text, &foreign] {
        let before = std::fs::read(path).unwrap();
        let refused = open(path).await.unwrap_err();
        assert!(matches!(refused, OpenError::NotOurs { .. }), "{refused}");
        assert_eq!(std::fs::read(path).unwrap(), before);
    }
    let elsewhere = open(&folder.path().join("no/such/folder/prod.db")).await.unwrap_err();
    assert!(matches!(elsewhere, OpenError::File { .. }), "{elsewhere}");
}

#[tokio::test]
async fn another_envs_file_and_a_newer_schema_are_refused() {
    let folder = folder();
    let path = folder.path().join("prod.db");
    drop(open(&path).await.unwrap());
    let other = Store::open_file(&path, &"staging".parse().unwrap(), at(0)).await.unwrap_err();
    assert_eq!(
        other.to_string().rsplit_once('/').unwrap().1,
        "prod.db` belongs to the env `prod`, not `staging`; every env has a table of its own"
    );
    // A newer program's import leaves a newer schema; this one must not touch it.
    let newer = folder.path().join("newer.db");
    with_schema(&path, &newer, SCHEMA + 1);
    let refused = open(&newer).await.unwrap_err();
    assert!(matches!(refused, OpenError::NewerSchema { theirs: 3, ours: 2, .. }), "{refused}");
}

#[tokio::test]
async fn an_older_file_is_raised_to_this_schema_and_keeps_everything() {
    let folder = folder();
    let path = folder.path().join("prod.db");
    let store = open(&path).await.unwrap();
    let placed = add(&store, "vps-001").await;
    drop(store);
    let older = folder.path().join("older.db");
    with_schema(&path, &older, SCHEMA - 1);
    let store = open(&older).await.unwrap();
    assert_eq!(load(&store, "vps-001").await, placed);
    drop(store);
    // Only a file of this schema can be copied so: the number was raised.
    with_schema(&older, &folder.path().join("copy.db"), SCHEMA);
    open(&older).await.unwrap();
}

#[tokio::test]
async fn an_export_of_an_older_schema_is_imported() {
    let store = table().await;
    add(&store, "vps-001").await;
    let mut whole = Vec::new();
    store.export(&mut whole).await.unwrap();
    let text = String::from_utf8(whole).unwrap();
    let (kept, _) = text.trim_end().rsplit_once('\n').unwrap();
    let (ours, older) = (format!("\"schema\":{SCHEMA}"), format!("\"schema\":{}", SCHEMA - 1));
    let kept = format!("{}\n", kept.replacen(&ours, &older, 1));
    let items = kept.lines().count() - 1;
    let sha256: String = Sha256::digest(kept.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    let file = format!("{kept}{{\"items\":{items},\"sha256\":\"{sha256}\"}}\n");
    let new = table().await;
    new.import(&mut Cursor::new(file.into_bytes()), at(1)).await.unwrap();
    assert_eq!(load(&new, "vps-001").await, load(&store, "vps-001").await);
}

/// A copy of the data file with another number for its schema, as another program would have left it.
fn with_schema(from: &Path, to: &Path, schema: u64) {
    let mut connection = rusqlite::Connection::open(from).unwrap();
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    connection.execute("VACUUM INTO ?1", [to.to_str().unwrap()]).unwrap();
    connection = rusqlite::Connection::open(to).unwrap();
    let tables: Vec<(String, String)> = {
        let sql = "SELECT m.name, c.name FROM sqlite_master m JOIN pragma_table_info(m.name) c WHERE m.type = 'table'";
        let mut rows = connection.prepare(sql).unwrap();
        let rows = rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        rows.map(Result::unwrap).collect()
    };
    let mut changed = 0;
    for (table, column) in tables {
        let sql = format!(
            r#"UPDATE "{table}" SET "{column}" = replace("{column}", '"schema":{{"N":"{SCHEMA}"}}', '"schema":{{"N":"{schema}"}}')
               WHERE "{column}" LIKE '%"schema":{{"N":"{SCHEMA}"}}%'"#
        );
        changed += connection.execute(&sql, []).unwrap();
    }
    assert_eq!(changed, 1, "the item of the schema was found");
}

#[tokio::test]
async fn an_export_carries_everything_but_the_leases_into_a_new_file() {
    let folder = folder();
    let store = open(&folder.path().join("old.db")).await.unwrap();
    for number in 0..40 {
        let placed = add(&store, &format!("vps-{number:03}")).await;
        store.commit(Fence::Person, &placed, &down(&placed, at(number))).await.unwrap();
    }
    sweep(&store, 7, 0).await;
    let mut file = Cursor::new(Vec::new());
    let exported = store.export(file.get_mut()).await.unwrap();

    let new = open(&folder.path().join("new.db")).await.unwrap();
    assert_eq!(new.import(&mut file, at(9)).await.unwrap(), exported);
    let (old_list, new_list) =
        (store.list_services(None, 100).await.unwrap(), new.list_services(None, 100).await.unwrap());
    assert_eq!(old_list, new_list);
    let intended =
        |watch: &lamplighter_core::watch::Watch| watch.attempt.as_ref().map(|attempt| attempt.action_no);
    assert!(
        new_list.items.iter().all(|placed| intended(&placed.watch) == Some(placed.watch.action_no)),
        "action numbers travel"
    );
    assert_eq!(new.steps().await.unwrap(), store.steps().await.unwrap());
    assert_eq!(new.shards().await.unwrap()[0].held_until, None);
    let again = new.claim_shard(ShardNo::FIRST, 7, OWNER, at(9), at(60)).await.unwrap();
    assert_eq!(again, Claim::Past, "ticks travel");
    assert!(matches!(new.import(&mut file, at(9)).await, Err(ExportError::NotEmpty)));
}

#[tokio::test]
async fn a_damaged_or_foreign_export_writes_nothing() {
    let store = table().await;
    add(&store, "vps-001").await;
    let mut whole = Vec::new();
    store.export(&mut whole).await.unwrap();
    let text = String::from_utf8(whole).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let without_trailer = format!("{}\n", lines[..lines.len() - 1].join("\n"));
    let damaged = [
        text.replacen("203.0.113.7", "203.0.113.8", 1),
        text.replacen("rachel", "rachel\u{0}", 1),
        without_trailer.clone(),
        text[..text.len() - 20].to_owned(),
        format!("{text}{{}}\n"),
        [lines[..1].to_vec(), lines[2..].to_vec()].concat().join("\n") + "\n",
        String::new(),
        "x".repeat(3_000_000),
        text.replacen("\"prod\"", "\"staging\"", 1),
        text.replacen(&format!("\"schema\":{SCHEMA}"), "\"schema\":9", 1),
    ];
    let new = table().await;
    for (number, damaged) in damaged.into_iter().enumerate() {
        let refused = new.import(&mut Cursor::new(damaged.into_bytes()), at(0)).await;
        assert!(
            matches!(refused, Err(ExportError::BadFile { .. } | ExportError::OtherEnv { .. })),
            "{number}: {refused:?}"
        );
    }
    assert!(new.shards().await.unwrap().is_empty());
    new.import(&mut Cursor::new(text.into_bytes()), at(0)).await.unwrap();
}

#[tokio::test]
async fn what_is_past_its_time_is_swept_away() {
    let store = Store::open_memory(&env(), at(0), None).await.unwrap();
    let placed = add(&store, "vps-001").await;
    store.record(vec![audit(&placed, "hold", "maintenance", at(0))]).await.unwrap();
    store.begin_request("key", "body", at(0)).await.unwrap();
    assert_eq!(store.sweep_ttl(at(3_600)).await.unwrap(), 0);
    assert_eq!(store.sweep_ttl(at(2 * 86_400)).await.unwrap(), 1, "the answer of yesterday");
    assert_eq!(store.sweep_ttl(at(31 * 86_400)).await.unwrap(), 1, "the events of last month");
    assert_eq!(load(&store, "vps-001").await, placed);
}

/// A disk of two megabytes, where this machine lets one be made.
struct SmallDisk(TempDir);

impl SmallDisk {
    fn new() -> Option<SmallDisk> {
        let folder = folder();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=2m", "tmpfs"])
            .arg(folder.path())
            .status()
            .is_ok_and(|status| status.success());
        mounted.then_some(SmallDisk(folder))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[tokio::test]
#[expect(clippy::print_stderr, reason = "what is skipped must be said")]
async fn a_full_disk_loses_nothing_acknowledged_and_goes_on_when_there_is_room() {
    let Some(disk) = SmallDisk::new() else {
        eprintln!("skipped: a small disk cannot be mounted here (needs root)");
        return;
    };
    let path = disk.0.path().join("prod.db");
    let store = open(&path).await.unwrap();
    let ballast = disk.0.path().join("ballast");
    std::fs::write(&ballast, vec![0; 1_024 * 1_024]).unwrap();
    let mut acknowledged = Vec::new();
    let full = loop {
        let name = format!("vps-{:05}", acknowledged.len());
        match store.put_service(&spec(&name), Expected::Absent, at(0)).await {
            Ok(_) => acknowledged.push(name),
            Err(error) => break error,
        }
    };
    assert!(matches!(full, StoreError::Full), "{full:?}");
    assert!(!acknowledged.is_empty());
    std::fs::remove_file(&ballast).unwrap();
    add(&store, "room-again").await;
    drop(store);
    let store = open(&path).await.unwrap();
    for name in acknowledged {
        load(&store, &name).await;
    }
}
