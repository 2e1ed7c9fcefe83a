//! Opening a table: is it there, is it ours, is it this env's, do we know its schema.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType, TimeToLiveSpecification,
};
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::SdkConfig;
use lamplighter_core::{EnvName, Moment};

use crate::condition::{Condition, Wording};
use crate::error::{failure, unbuilt};
use crate::item::{EXPIRES_AT, Item, Key, PK, SK, count, millis, number, string, text};
use crate::wire::{Freshness, Written};
use crate::{Inner, Ledger, OpenError, Store, StoreError, Verb};

/// The shape of the table this program reads and writes.
///
/// 2: a watch may carry an update. A program of schema 1 would write the watch back without it, and restart a service
/// in the middle of its update; so it must not open a table that may hold one.
pub const SCHEMA: u64 = 2;
/// Longest one call to the table may take, its retries included. Longer is as good as no answer: look again later.
pub const AWS_OPERATION_LIMIT: Duration = Duration::from_secs(5);
/// Tries of one call, the first included. Every write here may be doubled without harm.
const AWS_TRIES: u32 = 3;

/// Longest one of these tries may take, so that one that hangs leaves time for the next.
const AWS_TRY_LIMIT: Duration = Duration::from_secs(2);

const _: () = assert!(AWS_TRY_LIMIT.as_millis() * 2 < AWS_OPERATION_LIMIT.as_millis(), "a second try fits");

/// The client for a table on AWS, from the account's configuration, with this crate's deadlines and retries. It is made
/// of the one type that all of AWS's clients share, so that only this crate knows the table's own.
#[must_use]
pub fn aws_client(account: &SdkConfig) -> Client {
    let limits = TimeoutConfig::builder()
        .operation_timeout(AWS_OPERATION_LIMIT)
        .operation_attempt_timeout(AWS_TRY_LIMIT)
        .build();
    let retries = RetryConfig::standard().with_max_attempts(AWS_TRIES);
    let account = aws_sdk_dynamodb::config::Builder::from(account);
    Client::from_conf(account.timeout_config(limits).retry_config(retries).build())
}

/// What a table is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To work with it: all of it must be there.
    Work,
    /// To import into it: an import may have broken off.
    Import,
}

impl Store {
    /// Opens the table `table` of `env`. A table without items is made ours, one of an older schema is raised to this one;
    /// one that does not exist is an error.
    ///
    /// # Errors
    /// If the table is not there, not ours, another env's or of a newer schema: nothing is written then.
    pub async fn open(client: Client, table: &str, env: &EnvName, now: Moment) -> Result<Store, OpenError> {
        Store::open_for(Purpose::Work, client, table, env, now).await
    }

    /// The same for whatever purpose.
    ///
    /// # Errors
    /// As for [`Store::open`].
    pub async fn open_for(
        purpose: Purpose,
        client: Client,
        table: &str,
        env: &EnvName,
        now: Moment,
    ) -> Result<Store, OpenError> {
        let store = Store::unopened(client, table, env);
        store.adopt(table, now, purpose).await?;
        Ok(store)
    }

    /// Opens the table `table` of `env`, which must have been opened by [`Store::open`] before: for programs that have no
    /// right to look whether a table is empty.
    ///
    /// # Errors
    /// As for [`Store::open`]; [`OpenError::Empty`] if nobody has made the table ours yet.
    pub async fn open_adopted(client: Client, table: &str, env: &EnvName) -> Result<Store, OpenError> {
        let store = Store::unopened(client, table, env);
        store.accept_adopted(table).await?;
        Ok(store)
    }

    /// Checks that the table is ours already.
    pub(crate) async fn accept_adopted(&self, place: &str) -> Result<(), OpenError> {
        match self.schema(place).await? {
            None => Err(OpenError::Empty { place: place.to_owned() }),
            Some(schema) => self.accept(place, &schema, Purpose::Work).await,
        }
    }

    fn unopened(client: Client, table: &str, env: &EnvName) -> Store {
        let life = format!("{:016x}", rand::random::<u64>());
        Store::over(
            client,
            table,
            env,
            life,
            #[cfg(feature = "embedded")]
            None,
        )
    }

    pub(crate) fn over(
        client: Client,
        table: &str,
        env: &EnvName,
        life: String,
        #[cfg(feature = "embedded")] engine: Option<crate::embedded::Engine>,
    ) -> Store {
        let inner = Inner {
            client,
            table: table.to_owned(),
            env: env.clone(),
            life,
            next_mark: AtomicU64::new(0),
            filing: Arc::default(),
            ledger: Ledger::default(),
            #[cfg(feature = "embedded")]
            engine,
        };
        Store {
            inner: Arc::new(inner),
            verb: Verb::Open,
            #[cfg(feature = "mutations")]
            left_out: None,
        }
    }

    /// Checks that the table is ours, and makes it so if it has no items. `place` is what messages call it.
    pub(crate) async fn adopt(&self, place: &str, now: Moment, purpose: Purpose) -> Result<(), OpenError> {
        let schema = match self.schema(place).await? {
            Some(schema) => schema,
            None => self.make_ours(place, now).await?,
        };
        self.accept(place, &schema, purpose).await
    }

    /// The table's schema, if it has one.
    async fn schema(&self, place: &str) -> Result<Option<Item>, OpenError> {
        match self.get(&Key::schema(), Freshness::Consistent).await {
            Err(StoreError::Refused { because, .. }) if because.starts_with("ResourceNotFoundException") => {
                Err(OpenError::NoTable { table: place.to_owned() })
            }
            Err(StoreError::Refused { because, .. }) if because.starts_with("ValidationException") => {
                let because = "its keys are not `pk` and `sk`".to_owned();
                Err(OpenError::NotOurs { place: place.to_owned(), because })
            }
            found => Ok(found?),
        }
    }

    /// Accepts a table of this schema, or raises it to it.
    async fn accept(&self, place: &str, schema: &Item, purpose: Purpose) -> Result<(), OpenError> {
        self.check_schema(place, schema)?;
        if purpose == Purpose::Work && self.get(&Key::importing(), Freshness::Consistent).await?.is_some() {
            return Err(OpenError::HalfImported { place: place.to_owned() });
        }
        match count(schema, "schema") < SCHEMA {
            true => self.raise_schema(place).await,
            false => Ok(()),
        }
    }

    /// Makes an older table one of this schema: from here on, older programs refuse it. What they wrote stays readable.
    async fn raise_schema(&self, place: &str) -> Result<(), OpenError> {
        let raised = Wording::update("SET #schema = :ours").with(":ours", number(SCHEMA)).when(
            self,
            Condition::SchemaIsOlder,
            "#schema < :ours",
            [],
        );
        match self.update(&Key::schema(), raised).await? {
            Written::Done(_) => Ok(()),
            // Another process was at it: a program like this one, or a newer one.
            Written::Refused(theirs) => self.check_schema(place, &theirs),
            Written::Conflict => Err(at_it().into()),
        }
    }

    fn check_schema(&self, place: &str, schema: &Item) -> Result<(), OpenError> {
        let place = place.to_owned();
        let (theirs, env) = (count(schema, "schema"), string(schema, "env").unwrap_or_default());
        if theirs == 0 || env.is_empty() {
            return Err(OpenError::NotOurs { place, because: "its META/SCHEMA item is not ours".to_owned() });
        }
        if theirs > SCHEMA {
            return Err(OpenError::NewerSchema { place, theirs, ours: SCHEMA });
        }
        if env != self.env().as_str() {
            let (theirs, ours) = (env.to_owned(), self.env().to_string());
            return Err(OpenError::OtherEnv { place, theirs, ours });
        }
        Ok(())
    }

    /// Leaves the table as a program of another schema would: for tests of what opening it then does.
    ///
    /// # Errors
    /// If the table does not answer.
    #[cfg(feature = "mutations")]
    pub async fn pretend_schema(&self, schema: u64) -> Result<(), StoreError> {
        let pretended = Wording::update("SET #schema = :schema").with(":schema", number(schema));
        self.update(&Key::schema(), pretended).await.map(|_| ())
    }

    /// Writes the schema into a table without items; two who do so at once agree on the first's.
    async fn make_ours(&self, place: &str, now: Moment) -> Result<Item, OpenError> {
        let answer = self
            .client()
            .scan()
            .table_name(self.table())
            .limit(1)
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| failure("Scan", &error))?;
        if answer.count() > 0 {
            // Another process may have written the schema since it was looked for.
            if let Some(schema) = self.get(&Key::schema(), Freshness::Consistent).await? {
                return Ok(schema);
            }
            let because = "it has items, and no META/SCHEMA".to_owned();
            return Err(OpenError::NotOurs { place: place.to_owned(), because });
        }
        let mut schema = Key::schema().attributes();
        schema.insert("schema".to_owned(), number(SCHEMA));
        schema.insert("env".to_owned(), text(self.env().as_str()));
        schema.insert("created_at".to_owned(), millis(now));
        let absent = Wording::new().when(self, Condition::SchemaIsNew, "attribute_not_exists(#pk)", []);
        match self.put(schema.clone(), absent).await? {
            Written::Done(_) => Ok(schema),
            Written::Refused(theirs) => Ok(theirs),
            Written::Conflict => Err(at_it().into()),
        }
    }

    /// Creates the table with its keys and its TTL, as the template does on AWS.
    ///
    /// # Errors
    /// If the table cannot be created, or exists.
    pub async fn create_table(client: &Client, table: &str) -> Result<(), StoreError> {
        let wrong = unbuilt("CreateTable");
        let wrong = |error: aws_sdk_dynamodb::error::BuildError| wrong(error.into());
        let attribute = |name: &str| {
            AttributeDefinition::builder().attribute_name(name).attribute_type(ScalarAttributeType::S).build()
        };
        let key = |name: &str, kind| KeySchemaElement::builder().attribute_name(name).key_type(kind).build();
        client
            .create_table()
            .table_name(table)
            .billing_mode(BillingMode::PayPerRequest)
            .attribute_definitions(attribute(PK).map_err(wrong)?)
            .attribute_definitions(attribute(SK).map_err(wrong)?)
            .key_schema(key(PK, KeyType::Hash).map_err(wrong)?)
            .key_schema(key(SK, KeyType::Range).map_err(wrong)?)
            .send()
            .await
            .map_err(|error| failure("CreateTable", &error))?;
        let ttl = TimeToLiveSpecification::builder().attribute_name(EXPIRES_AT).enabled(true).build();
        client
            .update_time_to_live()
            .table_name(table)
            .time_to_live_specification(ttl.map_err(wrong)?)
            .send()
            .await
            .map_err(|error| failure("UpdateTimeToLive", &error))?;
        Ok(())
    }
}

fn at_it() -> StoreError {
    let because = "another process is at it".to_owned();
    StoreError::Unavailable { operation: "making the table ours", because }
}
