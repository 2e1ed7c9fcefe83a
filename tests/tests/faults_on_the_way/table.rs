//! A table at the end of the way.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use lamplighter_core::{EnvName, Moment};
use lamplighter_store::{OpenError, Purpose, Store, aws_client};

use crate::fault::Rule;
use crate::way::Way;

/// A table of the env `prod`.
pub(crate) struct Table<'a> {
    way: &'a Way,
    /// By which the way to it is told from that to others.
    name: String,
    /// As the test itself sees it: past all faults.
    pub(crate) near: Store,
    /// As the engine sees it.
    pub(crate) far: Store,
}

impl<'a> Table<'a> {
    /// Makes one, with nothing in it.
    pub(crate) async fn new(way: &'a Way) -> Table<'a> {
        static NUMBER: AtomicU64 = AtomicU64::new(1);
        let name = format!("street-{:03}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let good = aws_client(&way.good());
        Store::create_table(&good, &name).await.unwrap();
        let near = Store::open(good, &name, &env(), Moment::from(SystemTime::now())).await.unwrap();
        let far = Store::open_adopted(aws_client(&way.bad()), &name, &env()).await.unwrap();
        Table { way, name, near, far }
    }

    /// Opens it once more, past all faults, as whoever comes next does.
    pub(crate) async fn open_again(&self, purpose: Purpose) -> Result<Store, OpenError> {
        let now = Moment::from(SystemTime::now());
        Store::open_for(purpose, aws_client(&self.way.good()), &self.name, &env(), now).await
    }

    /// Puts these rules on the way to it.
    pub(crate) fn spoil(&self, rules: &[Rule]) -> Vec<u64> {
        rules.iter().map(|rule| self.way.put(&self.name, rule)).collect()
    }

    /// Takes all rules off the way, and answers how often each of these was applied.
    pub(crate) fn mend(&self, rules: &[u64]) -> Vec<u64> {
        let applied = rules.iter().map(|rule| self.way.applied(*rule)).collect();
        self.way.mend(&self.name);
        applied
    }
}

/// Whose tables they are.
pub(crate) fn env() -> EnvName {
    "prod".parse().unwrap()
}
