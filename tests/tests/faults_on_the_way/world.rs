//! An env whose table is at the end of a bad way: its functions, called one by one as on AWS, each in a process of its own.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use lamplighter_app::{
    Advanced, Clock, Courier, Delivered, Env, EnvParts, Recovered, Sweeps, When, advance, deliver, recover,
    round, sweep_shard,
};
use lamplighter_core::Moment;
use lamplighter_core::rollout::Rollout;
use lamplighter_core::settings::Settings;
use lamplighter_core::spec::ServiceSpec;
use lamplighter_notify::{Letter, Place, SendError};
use lamplighter_remote::{Pool, Remote, RemoteConfig};
use lamplighter_store::{Expected, StoreError};

use crate::table::Table;
use crate::way::Way;

/// The schedules' own grid.
const MINUTE: Duration = Duration::from_secs(60);
/// Calls of one function within a minute: as many as its rings would bring about.
const RINGS: usize = 8;

/// The env.
pub(crate) struct World<'a> {
    pub(crate) table: Table<'a>,
    remote: Remote,
    post: Post,
    /// Time that nobody needs to wait for is skipped: what it was before that, and how much was skipped.
    clock: Clock,
    lives: u64,
    /// What functions said that they must not say of a fault that passes.
    pub(crate) wrong: Vec<String>,
}

impl<'a> World<'a> {
    /// A new env that looks after `specs`, whose keys lie in `home`.
    pub(crate) async fn begin(way: &'a Way, home: &Path, specs: &[ServiceSpec]) -> World<'a> {
        let now = Moment::from(SystemTime::now());
        let table = Table::new(way).await;
        let settings = Settings { admins: vec!["admin@example.com".parse().unwrap()], ..Settings::default() };
        table.near.put_settings(0, &settings).await.unwrap();
        for spec in specs {
            table.near.put_service(spec, Expected::Any, now).await.unwrap();
        }
        let remote = RemoteConfig { pool: Pool::None, ..RemoteConfig::new(home) };
        World {
            table,
            remote: Remote::new(remote).unwrap(),
            post: Post::default(),
            clock: Clock::following_the_runtime(now),
            lives: 0,
            wrong: Vec::new(),
        }
    }

    pub(crate) fn now(&self) -> Moment {
        self.clock.now()
    }

    /// Every letter that was taken, in order.
    pub(crate) fn letters(&self) -> MutexGuard<'_, Vec<Letter>> {
        self.post.book()
    }

    /// A minute later, each function in its turn.
    pub(crate) async fn minute(&mut self) {
        self.wait_until(self.now() + MINUTE);
        self.sweep().await;
        self.rings(|env| async move {
            Ok(match recover(&env, || false).await? {
                Recovered::Rested { next, .. } => next,
                Recovered::Held { until } => Some(until),
                Recovered::Blind => None,
            })
        })
        .await;
        self.rings(|env| async move {
            Ok(match advance(&env, || false).await? {
                Advanced::Rested { next } => next,
                Advanced::Held { until } => Some(until),
            })
        })
        .await;
        self.rings(|env| async move {
            Ok(match deliver(&env, || false).await? {
                Delivered::Sent { next, .. } => next,
                Delivered::Held { until } => Some(until),
            })
        })
        .await;
    }

    /// The latest rollouts, as the API lists them. `None` if the way was too bad for an answer.
    pub(crate) async fn listed(&mut self) -> Option<Vec<Rollout>> {
        match self.table.far.rollouts(None, 10).await {
            Ok(page) => Some(page.items),
            Err(error) => {
                self.note(Err(error));
                None
            }
        }
    }

    /// A function's process that has just begun: nothing but the table tells it anything.
    pub(crate) fn life(&mut self) -> Env {
        self.lives += 1;
        Env::new(EnvParts {
            name: self.table.far.env().clone(),
            store: self.table.far.clone(),
            hosts: Arc::new(self.remote.clone()),
            courier: Arc::new(self.post.clone()),
            place: Place::default(),
            clock: self.clock.clone(),
            owner: format!("life-{}", self.lives),
            sweeps: Sweeps::Apart,
        })
    }

    async fn sweep(&mut self) {
        let env = self.life();
        let swept = Box::pin(async {
            let round = round(&env, When::Grid(env.clock().now())).await?;
            for shard in round.due {
                sweep_shard(&env, &round.settings, shard, round.tick, MINUTE).await?;
            }
            Ok(())
        });
        let swept = swept.await;
        self.note(swept);
    }

    /// Calls a function, and again whenever it says that it has something to do; as after a call that failed, the minute
    /// makes up for the rest.
    async fn rings<F>(&mut self, call: impl Fn(Env) -> F)
    where
        F: Future<Output = Result<Option<Moment>, StoreError>>,
    {
        for _ in 0..RINGS {
            let env = self.life();
            match Box::pin(call(env)).await {
                Ok(Some(next)) => self.wait_until(next),
                Ok(None) => return,
                Err(error) => return self.note(Err(error)),
            }
        }
    }

    /// All that a fault on the way may be taken for is one that passes.
    fn note(&mut self, came: Result<(), StoreError>) {
        if let Err(error) = came
            && !error.is_passing()
        {
            self.wrong.push(format!("a fault that passes was taken for one that does not: {error}"));
        }
    }

    /// Skips the time until then, if it is still to come.
    fn wait_until(&mut self, moment: Moment) {
        let skipped = self.now().until(moment);
        if let Clock::Runtime { origin, .. } = &mut self.clock {
            *origin = *origin + skipped;
        }
    }
}

/// Takes every letter.
#[derive(Clone, Default)]
struct Post(Arc<Mutex<Vec<Letter>>>);

impl Post {
    fn book(&self) -> MutexGuard<'_, Vec<Letter>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Courier for Post {
    fn send<'a>(&'a self, letter: &'a Letter) -> BoxFuture<'a, Result<(), SendError>> {
        async {
            self.book().push(letter.clone());
            Ok(())
        }
        .boxed()
    }
}
