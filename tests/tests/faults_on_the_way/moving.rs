//! The story of a box's data that is imported into a table while the way to it is bad.

use std::collections::BTreeSet;
use std::io::Cursor;
use std::time::SystemTime;

use lamplighter_core::Moment;
use lamplighter_core::spec::ServiceSpec;
use lamplighter_store::{Expected, ExportError, OpenError, Store};
use serde_json::json;

use crate::fault::Rule;
use crate::stories::Told;
use crate::table::{Table, env};
use crate::way::Way;

/// Services of the box: with what else there is, some batches of writes.
const SERVICES: usize = 40;

/// Tells the story with these rules on the way: all of it arrives, or nobody can take what did for the whole.
pub(crate) async fn tell(way: &Way, rules: &[Rule]) -> Told {
    let now = Moment::from(SystemTime::now());
    let kept = kept_on_the_box(now).await;
    let table = Table::new(way).await;
    let rules = table.spoil(rules);
    let came = table.far.import(&mut Cursor::new(&kept), now).await;
    let applied = table.mend(&rules);
    let mut violations = Vec::new();
    let there = table.open_again().await;
    match (&came, there) {
        (Err(ExportError::Store(error)), _) if !error.is_passing() => {
            violations.push(format!("a fault that passes was taken for one that does not: {error}"));
        }
        // Refused until the table is deleted.
        (Err(ExportError::Store(_)), Err(OpenError::HalfImported { .. })) => {}
        // Whoever was told that it failed may find all of it, if only the last answer was lost; or a table to begin with.
        (Ok(_) | Err(ExportError::Store(_)), Ok(near)) => {
            let mut moved = Vec::new();
            let there = near.export(&mut moved).await.unwrap().items;
            let is_whole = items(&moved) == items(&kept);
            if !is_whole && (came.is_ok() || there > 1) {
                violations.push(format!("{there} items can be used, and are not what was kept"));
            }
        }
        (came, there) => violations.push(format!("{came:?}, and then {:?}", there.err())),
    }
    Told { applied, violations }
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

/// The lines of an export, whose order is the engine's own; without the trailer, whose sum depends on it.
fn items(export: &[u8]) -> BTreeSet<String> {
    let text = String::from_utf8_lossy(export);
    text.lines().filter(|line| !line.contains("\"sha256\"")).map(str::to_owned).collect()
}
