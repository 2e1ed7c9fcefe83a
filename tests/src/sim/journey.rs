//! Rollouts as stories: a cast of services, what happens to them, what people say meanwhile, and how it must end.

use std::collections::BTreeMap;
use std::time::Duration;

use lamplighter_app::rollouts::{self, Asked, Refused};
use lamplighter_app::{Env, people};
use lamplighter_core::hook::Ask;
use lamplighter_core::rollout::{End, MAX_CANARIES, OnHalt, Options, Rollout, RowStatus};
use lamplighter_core::settings::Settings;
use lamplighter_core::spec::ServiceSpec;
use lamplighter_core::update::Wanted;
use lamplighter_core::{AppName, RolloutId, Version};
use lamplighter_store::{Delivery, Expected};

use super::crash::Crash;
use super::fleet::{Nature, Temper};
use super::table::BadDay;
use super::{World, id, spec};

/// What every service runs before.
pub const OLD: &str = "1111111111111111111111111111111111111111";
/// What the rollout brings.
pub const NEW: &str = "2222222222222222222222222222222222222222";
/// What is pushed meanwhile.
pub const NEWEST: &str = "3333333333333333333333333333333333333333";
/// How often a person tries again who was told that the store cannot be used.
const TRIES: u32 = 40;

/// A journey in which nothing is under way for so long is over: longer than any command is late.
const QUIET: Duration = Duration::from_secs(60);
/// How often that is looked at.
const BETWEEN_LOOKS: Duration = Duration::from_secs(5);

/// One service of a journey.
#[derive(Debug, Clone, Copy)]
pub struct Member {
    /// Its id; ids are begun in the order of the cast.
    pub id: &'static str,
    /// Its host, which it may share.
    pub host: &'static str,
    /// What the new version does to it.
    pub new: Temper,
    /// What the old version does to it when that is put back.
    pub old: Temper,
    /// How long its steps take, in percent of the usual.
    pub pace: u32,
}

/// A service to which every version is good, on a host of its own.
#[must_use]
pub const fn member(id: &'static str) -> Member {
    Member { id, host: id, new: Temper::Good, old: Temper::Good, pace: 100 }
}

impl Member {
    /// The same service, to which the new version does this.
    #[must_use]
    pub const fn with(self, new: Temper) -> Member {
        Member { new, ..self }
    }

    /// The same service on this host.
    #[must_use]
    pub const fn on(self, host: &'static str) -> Member {
        Member { host, ..self }
    }
}

/// A rollout as a story.
#[derive(Debug, Clone, Copy)]
pub struct Journey {
    /// Its name.
    pub name: &'static str,
    /// The services, in the order in which they are begun, unless they are too many to be named.
    pub cast: &'static [Member],
    /// What happens, and when, in milliseconds after dawn.
    pub deeds: &'static [(u64, Deed)],
    /// What becomes of the updated services if it halts.
    pub on_halt: OnHalt,
    /// Seconds between two sweeps.
    pub every: u64,
    /// When the story is over, in seconds after dawn, if it is not quiet before.
    pub ends: u64,
    /// How the rollouts must end, in the order in which they were started; if none is named, just somehow.
    pub end: &'static [End],
    /// What must have become of services in the last rollout, where that is certain; each of the others may be whatever
    /// is true of it.
    pub rows: &'static [(&'static str, RowStatus)],
}

/// Something that happens.
#[derive(Debug, Clone, Copy)]
pub enum Deed {
    /// A person starts a rollout of this version.
    Start(&'static str),
    /// Two persons start one at the same moment.
    StartTwice(&'static str),
    /// A person starts it although it is quarantined.
    Force(&'static str),
    /// A version is pushed, in a delivery of this name; a name that came before is a repeat.
    Push(&'static str, &'static str),
    /// A person says wait.
    Pause,
    /// A person says go on.
    Resume,
    /// A person says stop.
    Abort {
        /// Whether everything goes back.
        roll_back: bool,
    },
    /// A person wants what failed tried again.
    Retry,
    /// A person puts a hold on a service.
    Hold(&'static str),
    /// A person removes a service.
    Remove(&'static str),
    /// A service dies by itself.
    PutOut(&'static str),
    /// A version does something else to a service from now on.
    Temper(&'static str, &'static str, Temper),
    /// A host is cut off for so many seconds.
    CutOff(&'static str, u64),
    /// A host loses its power.
    Reboot(&'static str),
    /// The next command on a host loses its connection.
    Drop(&'static str),
    /// Somebody changes a tracked file by hand.
    Soil(&'static str),
    /// A remote does not answer for so many seconds.
    LoseRemote(&'static str, u64),
    /// The table has such days.
    Table(BadDay),
}

/// The app that all services of a journey belong to.
///
/// # Panics
/// Never: the name is good.
#[must_use]
pub fn app() -> AppName {
    "web".parse().expect("a name")
}

/// A version by its digits.
///
/// # Panics
/// If it is none.
#[must_use]
pub fn version(digits: &str) -> Version {
    digits.parse().expect("a version")
}

fn updatable(member: &Member) -> ServiceSpec {
    let mut plain = serde_json::to_value(spec(member.id)).expect("a spec is JSON");
    plain["app"] = "web".into();
    plain["address"] = format!("{}.example", member.host).into();
    plain["update"] = serde_json::json!({ "dir": format!("/srv/{}", member.id), "install": "make" });
    serde_json::from_value(plain).expect("a spec")
}

impl Journey {
    /// Plays it with an engine that crashes as planned, and answers the world as it is at the end.
    pub async fn play(&self, seed: u64, crash: Crash) -> World {
        let world = World::new(seed);
        self.play_in(&world, &[], async |world| world.lives(crash).await).await;
        world
    }

    /// Plays it in `world` while `engines` run; `more` happens besides.
    pub async fn play_in<'w>(
        &self,
        world: &'w World,
        more: &[(u64, Deed)],
        engines: impl AsyncFnOnce(&'w World),
    ) {
        Box::pin(self.settle(world)).await;
        let mut deeds: Vec<(u64, Deed)> = self.deeds.iter().chain(more).copied().collect();
        deeds.sort_by_key(|(at, _)| *at);
        let events = async {
            let dawn = tokio::time::Instant::now();
            for (millis, deed) in deeds {
                tokio::time::sleep_until(dawn + Duration::from_millis(millis)).await;
                Box::pin(self.happens(deed, world)).await;
            }
            let end = dawn + Duration::from_secs(self.ends);
            while tokio::time::Instant::now() < end && !is_quiet(world) {
                tokio::time::sleep(BETWEEN_LOOKS).await;
            }
        };
        tokio::select! {
            biased;
            () = events => {}
            () = Box::pin(engines(world)) => {}
        }
    }

    async fn settle(&self, world: &World) {
        let store = world.open(&Crash::never()).await;
        let settings = Settings {
            every: Duration::from_secs(self.every),
            admins: vec!["ops@example.com".parse().expect("a mailbox")],
            // What a rollout breaks is not to look like our own blindness.
            blind_percent: 100,
            ..Settings::default()
        };
        store.put_settings(0, &settings).await.expect("settings are taken");
        for member in self.cast {
            let spec = updatable(member);
            store.put_service(&spec, Expected::Absent, world.clock.now()).await.expect("a service is taken");
            world.fleet.add(&spec.id, Nature::Good);
            world.fleet.check_out(&spec.id, member.host, &version(OLD));
            world.fleet.takes_badly(&spec.id, &version(NEW), member.new);
            world.fleet.takes_badly(&spec.id, &version(OLD), member.old);
            world.fleet.takes_its_time(&spec.id, member.pace);
        }
        world.fleet.push("main", &version(NEW));
    }

    fn asked(&self, target: &str, force: Option<&str>) -> Asked {
        Asked {
            app: app(),
            wanted: Some(Wanted::Version(version(target))),
            options: Some(Options {
                canaries: match self.cast.len() {
                    0..=MAX_CANARIES => self.cast.iter().map(|member| id(member.id)).collect(),
                    _ => Vec::new(),
                },
                on_halt: self.on_halt,
                ..Options::default()
            }),
            plan_hash: None,
            force: force.map(str::to_owned),
        }
    }

    async fn happens(&self, deed: Deed, world: &World) {
        match deed {
            Deed::Start(target) => self.person(world, Word::Start(self.asked(target, None))).await,
            Deed::StartTwice(target) => {
                let word = || Word::Start(self.asked(target, None));
                tokio::join!(self.person(world, word()), self.person(world, word()));
            }
            Deed::Force(target) => {
                let asked = self.asked(target, Some("the database was at fault"));
                self.person(world, Word::Start(asked)).await;
            }
            Deed::Push(target, delivery) => self.person(world, Word::Push(target, delivery)).await,
            Deed::Pause => self.person(world, Word::Pause).await,
            Deed::Resume => self.person(world, Word::Resume).await,
            Deed::Abort { roll_back } => self.person(world, Word::Abort { roll_back }).await,
            Deed::Retry => self.person(world, Word::Retry).await,
            Deed::Hold(service) => self.person(world, Word::Hold(service)).await,
            Deed::Remove(service) => {
                let store = world.open(&Crash::never()).await;
                store
                    .delete_service(&id(service), Expected::Any, world.clock.now())
                    .await
                    .expect("it is removed");
            }
            Deed::PutOut(service) => world.fleet.put_out(&id(service)),
            Deed::Temper(service, target, temper) => {
                world.fleet.takes_badly(&id(service), &version(target), temper);
            }
            Deed::CutOff(service, seconds) => world.fleet.cut_off(&id(service), Duration::from_secs(seconds)),
            Deed::Reboot(service) => world.fleet.reboot(&id(service)),
            Deed::Drop(service) => world.fleet.drop_next(&id(service)),
            Deed::Soil(service) => world.fleet.soil(&id(service)),
            Deed::LoseRemote(service, seconds) => {
                world.fleet.lose_remote(&id(service), Duration::from_secs(seconds));
            }
            Deed::Table(day) => world.table.has(day),
        }
    }

    /// A person says a word, and says it again while nobody can hear it.
    async fn person(&self, world: &World, word: Word) {
        let env = Box::pin(world.engine(&Crash::never())).await;
        for _ in 0..TRIES {
            let said = Box::pin(word.say(&env)).await;
            let now = world.clock.now();
            match said {
                Ok(()) => {
                    world.fleet.memory().log.push(format!("{now} a person: {word:?}"));
                    world.ring();
                    return;
                }
                Err(Said::Unheard) => tokio::time::sleep(Duration::from_secs(1)).await,
                Err(Said::Refused(why)) => {
                    world.fleet.memory().log.push(format!("{now} a person is refused {word:?}: {why}"));
                    return;
                }
            }
        }
    }
}

/// True once every rollout is over and told of, no service is being updated, and that has been so for a while.
fn is_quiet(world: &World) -> bool {
    let history = world.table.history();
    let Some(head) = history.heads.last().filter(|head| !head.what.is_active()) else { return false };
    let mut open = BTreeMap::new();
    for watch in &history.watches {
        open.insert(&watch.service, watch.update.is_some());
    }
    for gone in &history.removed {
        open.remove(&gone.what);
    }
    let updates = history.watches.iter().filter(|watch| watch.update.is_some()).map(|watch| watch.at);
    let last = updates.max().map_or(head.at, |last| last.max(head.at));
    let book = world.post.book();
    let mut told = history.notices.iter().filter(|notice| notice.told);
    let delivered = told.all(|notice| book.iter().any(|letter| notice.is_told_by(&letter.message_id)));
    delivered && !open.values().any(|open| *open) && world.clock.now().since(last) >= QUIET
}

#[derive(Debug, Clone)]
enum Word {
    Start(Asked),
    Push(&'static str, &'static str),
    Pause,
    Resume,
    Abort { roll_back: bool },
    Retry,
    Hold(&'static str),
}

enum Said {
    Unheard,
    Refused(String),
}

impl Word {
    async fn say(&self, env: &Env) -> Result<(), Said> {
        match self {
            Word::Start(asked) => rollouts::start(env, asked, "ada").await.map(drop).map_err(said),
            Word::Hold(service) => match people::hold(env, &id(service), "ada", "disk swap", None).await {
                Ok(_) => Ok(()),
                Err(people::Refused::Store(_)) => Err(Said::Unheard),
                Err(other) => Err(Said::Refused(other.to_string())),
            },
            Word::Push(target, id) => {
                let delivery = Delivery {
                    hook: "deploy".to_owned(),
                    id: (*id).to_owned(),
                    event: "push".to_owned(),
                    body_hash: Some(format!("{:0>64}", target)),
                    at: env.clock().now(),
                    asks: Some(Ask::Rollout {
                        app: app(),
                        target: version(target),
                        branch: "main".to_owned(),
                    }),
                    outcome: String::new(),
                };
                rollouts::push(env, delivery).await.map(drop).map_err(|_| Said::Unheard)
            }
            Word::Pause => self.steer(env, async |last| rollouts::pause(env, last, "ada", None).await).await,
            Word::Resume => {
                self.steer(env, async |last| rollouts::resume(env, last, "ada", None).await).await
            }
            Word::Abort { roll_back } => {
                self.steer(env, async |last| rollouts::abort(env, last, "ada", None, *roll_back).await).await
            }
            Word::Retry => self.steer(env, async |last| rollouts::retry(env, last, "ada", None).await).await,
        }
    }

    /// Says it of the last rollout.
    async fn steer(
        &self,
        env: &Env,
        say: impl AsyncFnOnce(&RolloutId) -> Result<Rollout, Refused>,
    ) -> Result<(), Said> {
        match last_rollout(env).await? {
            Some(last) => say(&last).await.map(drop).map_err(said),
            None => Err(Said::Refused("there is no rollout".to_owned())),
        }
    }
}

async fn last_rollout(env: &Env) -> Result<Option<RolloutId>, Said> {
    let state = env.store().app_state(&app()).await.map_err(|_| Said::Unheard)?;
    Ok(RolloutId::of(&app(), state.rollouts).ok().filter(|_| state.rollouts > 0))
}

fn said(refused: Refused) -> Said {
    let unheard = matches!(refused, Refused::Store(_) | Refused::NoAnswer(_) | Refused::Busy(_));
    if unheard { Said::Unheard } else { Said::Refused(refused.to_string()) }
}
