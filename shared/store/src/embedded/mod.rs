//! The engine of the one-box home: DynamoDB's API over SQLite, inside the process, without a socket.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::{BehaviorVersion, Region, StalledStreamProtectionConfig};
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use dynoxide::Database;
use dynoxide::storage_backend::ManualClock;
use lamplighter_core::{EnvName, Moment};

use crate::condition::Wording;
use crate::item::{Key, LEASES, SHARDS, number, sort_key};
use crate::lease::{CONFLICT_TRIES, conflict};
use crate::wire::{Freshness, Written};
use crate::{OpenError, Purpose, Store, StoreError};

mod connector;
mod endpoint;
mod file;
mod intercept;

pub use endpoint::{Endpoint, REQUEST_BYTES_MAX};
pub use intercept::{Call, Injected, Intercept};

use connector::{Connector, Runs};

/// The one table of an embedded database.
pub const TABLE: &str = "lamplighter";
/// Pages of items whose leases are ended when a file is opened.
const LEASE_PAGES: usize = 4;

/// What an embedded store holds on to besides its client.
#[derive(Clone)]
pub(crate) struct Engine {
    database: Database,
    /// The clock of the bytes in memory; a file follows the machine's.
    clock: Option<ManualClock>,
    /// Held as long as the store is: no other process may open the file.
    _lock: Option<Arc<file::Lock>>,
}

/// A database in memory. It outlives the stores opened over it, as a disk outlives the processes that use it.
#[derive(Clone)]
pub struct MemoryBytes {
    database: Database,
    clock: ManualClock,
    lives: Arc<AtomicU64>,
}

impl MemoryBytes {
    /// An empty one.
    ///
    /// # Errors
    /// If the engine cannot be started.
    pub fn new() -> Result<MemoryBytes, OpenError> {
        let clock = ManualClock::new(0);
        let database = Database::memory_with_clock(clock.arc()).map_err(|error| engine_error(&error))?;
        Ok(MemoryBytes { database, clock, lives: Arc::new(AtomicU64::new(0)) })
    }

    /// Puts items, as lines of an export, into the table that a store has opened here before; nothing is checked, and
    /// nothing is charged. For simulations of fleets that would take minutes to put in service by service.
    ///
    /// # Errors
    /// If a line is not an item, or the engine takes none.
    #[cfg(feature = "mutations")]
    pub fn fill<'l>(&self, lines: impl Iterator<Item = &'l str>) -> Result<(), StoreError> {
        let failed = |because: String| StoreError::Unavailable { operation: "filling a table", because };
        let items: Result<Vec<dynoxide::Item>, _> = lines.map(serde_json::from_str).collect();
        let items = items.map_err(|error| failed(error.to_string()))?;
        let filled = self.database.import_items(TABLE, items, dynoxide::ImportOptions::default());
        filled.map(drop).map_err(|error| failed(error.to_string()))
    }
}

impl Store {
    /// Opens the data file `path` of `env`, and creates it if there is none. The leases of the process that had it
    /// before are ended: that process is gone, or this one would not have got the file.
    ///
    /// # Errors
    /// If another process has the file, or it is not ours, another env's or of a newer schema: nothing is written then.
    pub async fn open_file(path: &Path, env: &EnvName, now: Moment) -> Result<Store, OpenError> {
        Store::open_file_for(Purpose::Work, path, env, now).await
    }

    /// The same for whatever purpose.
    ///
    /// # Errors
    /// As for [`Store::open_file`].
    pub async fn open_file_for(
        purpose: Purpose,
        path: &Path,
        env: &EnvName,
        now: Moment,
    ) -> Result<Store, OpenError> {
        Store::open_database(purpose, path, env, now).await.map(|(store, _)| store)
    }

    async fn open_database(
        purpose: Purpose,
        path: &Path,
        env: &EnvName,
        now: Moment,
    ) -> Result<(Store, Database), OpenError> {
        let (place, path) = (path.display().to_string(), path.to_owned());
        let opening = tokio::task::spawn_blocking(move || lock_and_open(&path));
        let (lock, database) = opening.await.map_err(|error| engine_error(&error))??;
        let client = client(Connector::new(database.clone(), Runs::OnBlockingThread, None));
        let life = format!("{:016x}", rand::random::<u64>());
        let engine = Engine { database: database.clone(), clock: None, _lock: Some(Arc::new(lock)) };
        let store = Store::on_engine(client, env, life, engine, &place).await?;
        store.adopt(&place, now, purpose).await?;
        store.end_leases().await?;
        Ok((store, database))
    }

    /// Opens a database in memory that ends with the store.
    ///
    /// # Errors
    /// If the engine cannot be started.
    pub async fn open_memory(
        env: &EnvName,
        now: Moment,
        intercept: Option<Arc<dyn Intercept>>,
    ) -> Result<Store, OpenError> {
        Store::open_memory_on(&MemoryBytes::new()?, env, now, intercept).await
    }

    /// Opens the database in memory `bytes`. Calls run where they are made, so the order of calls is the caller's alone.
    /// Nobody's leases are ended: two stores may be open over the same bytes, as two functions are over one table.
    ///
    /// # Errors
    /// As for [`Store::open`].
    pub async fn open_memory_on(
        bytes: &MemoryBytes,
        env: &EnvName,
        now: Moment,
        intercept: Option<Arc<dyn Intercept>>,
    ) -> Result<Store, OpenError> {
        Store::on_bytes(bytes, env, intercept).await?.adopted(now, Purpose::Work).await
    }

    /// Opens the database in memory `bytes` to import into it.
    ///
    /// # Errors
    /// As for [`Store::open`].
    pub async fn open_memory_to_import(
        bytes: &MemoryBytes,
        env: &EnvName,
        now: Moment,
        intercept: Option<Arc<dyn Intercept>>,
    ) -> Result<Store, OpenError> {
        Store::on_bytes(bytes, env, intercept).await?.adopted(now, Purpose::Import).await
    }

    async fn adopted(self, now: Moment, purpose: Purpose) -> Result<Store, OpenError> {
        self.adopt("memory", now, purpose).await?;
        Ok(self)
    }

    /// Opens the database in memory `bytes` as [`Store::open_adopted`] opens a table.
    ///
    /// # Errors
    /// As for that.
    pub async fn open_memory_adopted(bytes: &MemoryBytes, env: &EnvName) -> Result<Store, OpenError> {
        let store = Store::on_bytes(bytes, env, None).await?;
        store.accept_adopted("memory").await?;
        Ok(store)
    }

    async fn on_bytes(
        bytes: &MemoryBytes,
        env: &EnvName,
        intercept: Option<Arc<dyn Intercept>>,
    ) -> Result<Store, OpenError> {
        let client = client(Connector::new(bytes.database.clone(), Runs::Inline, intercept));
        let life = format!("life-{}", bytes.lives.fetch_add(1, Ordering::Relaxed));
        let engine =
            Engine { database: bytes.database.clone(), clock: Some(bytes.clock.clone()), _lock: None };
        Store::on_engine(client, env, life, engine, "memory").await
    }

    async fn on_engine(
        client: Client,
        env: &EnvName,
        life: String,
        engine: Engine,
        place: &str,
    ) -> Result<Store, OpenError> {
        match engine.database.table_count().map_err(|error| engine_error(&error))? {
            0 => Store::create_table(&client, TABLE).await?,
            1 => {}
            _ => {
                let because = "it has more tables than one".to_owned();
                return Err(OpenError::NotOurs { place: place.to_owned(), because });
            }
        }
        Ok(Store::over(client, TABLE, env, life, Some(engine)))
    }

    /// [`Store::open_memory_on`] without one of the write conditions, that of opening included.
    ///
    /// # Errors
    /// As for [`Store::open`].
    #[cfg(feature = "mutations")]
    pub async fn open_memory_without(
        bytes: &MemoryBytes,
        env: &EnvName,
        now: Moment,
        intercept: Option<Arc<dyn Intercept>>,
        condition: crate::Condition,
    ) -> Result<Store, OpenError> {
        Store::on_bytes(bytes, env, intercept).await?.without(condition).adopted(now, Purpose::Work).await
    }

    /// Ends every lease: whoever held one had these bytes to itself, and no longer has. The epochs rise, so that nothing
    /// begun under them can be committed. Opening a file does this; bytes in memory are left to whoever plays the process.
    ///
    /// # Errors
    /// If the engine does not answer.
    pub async fn end_leases(&self) -> Result<(), StoreError> {
        for partition in [SHARDS, LEASES] {
            for item in self.query_all(partition, Freshness::Consistent, LEASE_PAGES).await? {
                if item.contains_key("owner") {
                    self.end_lease(&Key::new(partition, sort_key(&item))).await?;
                }
            }
        }
        Ok(())
    }

    async fn end_lease(&self, key: &Key) -> Result<(), StoreError> {
        for _ in 0..CONFLICT_TRIES {
            let ended =
                Wording::update("REMOVE #owner, #lease_until ADD #epoch :one").with(":one", number(1));
            match self.update(key, ended).await? {
                Written::Done(_) | Written::Refused(_) => return Ok(()),
                Written::Conflict => {}
            }
        }
        Err(conflict("ending a lease"))
    }

    /// Removes the items whose time is over; DynamoDB does so by itself, the embedded engine only here. Reads skip them
    /// in any case. Says how many went. A data file follows the machine's clock, a database in memory follows `now`.
    ///
    /// # Errors
    /// If the engine cannot.
    pub async fn sweep_ttl(&self, now: Moment) -> Result<usize, StoreError> {
        let Some(engine) = self.inner.engine.clone() else { return Ok(0) };
        let failed =
            |because: String| StoreError::Unavailable { operation: "sweeping expired items", because };
        match engine.clock {
            Some(clock) => {
                clock.set(u64::try_from(now.as_secs()).unwrap_or(0));
                engine.database.sweep_ttl().map_err(|error| failed(error.to_string()))
            }
            None => tokio::task::spawn_blocking(move || engine.database.sweep_ttl())
                .await
                .map_err(|error| failed(error.to_string()))?
                .map_err(|error| failed(error.to_string())),
        }
    }
}

fn lock_and_open(path: &Path) -> Result<(file::Lock, Database), OpenError> {
    let lock = file::Lock::take(path)?;
    file::refuse_foreign(path)?;
    let place = path.display().to_string();
    let text = path.to_str().ok_or_else(|| {
        let source = std::io::Error::new(std::io::ErrorKind::InvalidInput, "its path is not valid UTF-8");
        OpenError::File { place: place.clone(), source }
    })?;
    let database = Database::new(text)
        .map_err(|error| OpenError::File { place, source: std::io::Error::other(error.to_string()) })?;
    Ok((lock, database))
}

/// A client that never leaves the process: no address, no credentials, no retries, no clock.
fn client(connector: Connector) -> Client {
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::from_static("local"))
        .endpoint_url("http://embedded.invalid")
        .allow_no_auth()
        .retry_config(RetryConfig::disabled())
        .timeout_config(TimeoutConfig::disabled())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .http_client(connector)
        .build();
    Client::from_conf(config)
}

fn engine_error(error: &dyn std::error::Error) -> OpenError {
    StoreError::Unavailable { operation: "starting the embedded engine", because: error.to_string() }.into()
}
