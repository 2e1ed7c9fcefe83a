//! The story of a box's data that is imported into a table while the way to it is bad.

use std::collections::BTreeSet;
use std::io::Cursor;
use std::time::SystemTime;

use lamplighter_core::Moment;
use lamplighter_core::spec::ServiceSpec;
use lamplighter_store::{Expected, ExportError, OpenError, Purpose, Store};
use serde_json::json;

use crate::fault::Rule;
use crate::stories::Told;
use crate::table::{Table, env};
use crate::way::Way;

/// Services of the box: with what else there is, some batches of writes.
const SERVICES: usize = 40;

/// Tells the story with these rules on the way: all of it arrives, or nobody can take what did for the whole until the same
/// file was imported once more.
pub(crate) async fn tell(way: &Way, rules: &[Rule]) -> Told {
    let now = Moment::from(SystemTime::now());
    let kept = kept_on_the_box(now).await;
    let table = Table::new(way).await;
    let rules = table.spoil(rules);
    let came = table.far.import(&mut Cursor::new(&kept), now).await;
    let applied = table.mend(&rules);
    let mut violations = Vec::new();
    match (&came, table.open_again(Purpose::Work).await) {
        (Err(ExportError::Store(error)), _) if !error.is_passing() => {
            violations.push(format!("a fault that passes was taken for one that does not: {error}"));
        }
        (Err(ExportError::Store(_)), Err(OpenError::HalfImported { .. })) => {}
        // Whoever was told that it failed may find a table to begin with; or all of it, if the end's answer was lost.
        (Ok(_) | Err(ExportError::Store(_)), Ok(near)) => {
            let there = all_of(&near).await;
            if there != items(&kept) && (came.is_ok() || !there.is_empty()) {
                violations.push(format!("{} items can be used, and are not what was kept", there.len()));
            }
        }
        (came, there) => violations.push(format!("{came:?}, and then {:?}", there.err())),
    }
    if came.is_err() {
        let again =
            table.open_again(Purpose::Import).await.unwrap().import(&mut Cursor::new(&kept), now).await;
        if !matches!(again, Ok(_) | Err(ExportError::NotEmpty)) {
            violations.push(format!("the same file cannot be imported once more: {again:?}"));
        }
        if all_of(&table.open_again(Purpose::Work).await.unwrap()).await != items(&kept) {
            violations.push("what is there in the end is not what was kept".to_owned());
        }
    }
    Told { applied, violations }
}

/// What can be used of a table.
async fn all_of(store: &Store) -> BTreeSet<String> {
    let mut moved = Vec::new();
    store.export(&mut moved).await.unwrap();
    items(&moved)
}

/// An export of a box.
async fn kept_on_the_box(now: Moment) -> Vec<u8> {
    let store = Store::open_memory(&env(), now, None).await.unwrap();
    for n in 0..SERVICES {
        let spec = json!({"id": format!("web-{n}"), "address": "192.0.2.1", "check": {"tcp": 80}, "restart": "never"});
        let spec: ServiceSpec = serde_json::from_value(spec).unwrap();
        store.put_service(&spec, Expected::Any, now).await.unwrap();
    }
    let mut kept = Vec::new();
    store.export(&mut kept).await.unwrap();
    kept
}

/// The items of an export, whose order is the engine's own: without the header, the trailer, whose sum depends on the order,
/// and the schema, which is the table's own.
fn items(export: &[u8]) -> BTreeSet<String> {
    let text = String::from_utf8_lossy(export);
    let items = text.lines().filter(|line| line.contains("\"pk\"") && !line.contains("\"SCHEMA\""));
    items.map(str::to_owned).collect()
}
