//! The data file as an endpoint of DynamoDB's API, for other processes of this machine: whoever listens for their
//! requests hands them in here.

use std::path::Path;

use lamplighter_core::{EnvName, Moment};

use super::connector::{Connector, Runs};
use crate::{OpenError, Purpose, Store, StoreError};

/// Longest request that is worth handing in: a batch of writes, whose limit is the table's own.
pub const REQUEST_BYTES_MAX: usize = 16 * 1_024 * 1_024;

/// The data file of one env, opened, with the lock that keeps every other process off it. Its one table is called
/// [`super::TABLE`], and there is no other to be had: a second one would make the file unreadable for everybody.
#[derive(Debug)]
pub struct Endpoint {
    store: Store,
    connector: Connector,
}

impl Endpoint {
    /// Opens the data file `path` of `env` as [`Store::open_file`] does, and refuses what that refuses.
    ///
    /// # Errors
    /// As for [`Store::open_file`].
    pub async fn open(path: &Path, env: &EnvName, now: Moment) -> Result<Endpoint, OpenError> {
        let (store, database) = Store::open_database(Purpose::Work, path, env, now).await?;
        Ok(Endpoint { store, connector: Connector::new(database, Runs::OnBlockingThread, None) })
    }

    /// Answers one request with a status of HTTP and a body of JSON. `target` is its header `x-amz-target`, such as
    /// `DynamoDB_20120810.GetItem`. A request that cannot be answered is answered by an error of the API.
    pub async fn answer(&self, target: &str, body: &[u8]) -> (u16, String) {
        self.connector.answer(target, body).await
    }

    /// The same data, for this process itself: a file is opened once.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Removes the items whose time is over, and says how many went: see [`Store::sweep_ttl`].
    ///
    /// # Errors
    /// If the engine cannot.
    pub async fn sweep_ttl(&self, now: Moment) -> Result<usize, StoreError> {
        self.store.sweep_ttl(now).await
    }
}
