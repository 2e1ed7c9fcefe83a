//! One service in the box: what runs, what is checked out, and what becomes of it when it is started.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use lamplighter_core::update::{UpdateStep, Way};
use lamplighter_core::{Moment, Version};

/// What a service does when it is restarted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nature {
    /// Comes up.
    Good,
    /// Comes up at the restart that is the so-manieth since it broke.
    NeedsRestarts(u32),
    /// Never comes up.
    Hopeless,
    /// Comes up, and dies after so long.
    Flapping(Duration),
}

/// What a version does to a service that is brought to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Temper {
    /// Installs, starts and stays.
    #[default]
    Good,
    /// Its install ends with an error.
    InstallFails,
    /// Its install never ends by itself.
    InstallHangs,
    /// The restart command ends with an error, and the service is down.
    RestartFails,
    /// The restart command ends well, and the service is down.
    DownAtStart,
    /// Says `activating` for so long, then is up.
    StartsSlowly(Duration),
    /// Is up for so long, then dies.
    CrashesAfter(Duration),
}

/// What a command on a host does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// Restarts the service, as recovery does.
    Restart,
    /// Makes one step of an update.
    Step {
        /// To the target, or back.
        way: Way,
        /// The step.
        step: UpdateStep,
        /// What the rollout brings.
        target: Version,
        /// What was there before.
        previous: Version,
    },
}

impl Act {
    /// The version that a step is to put in place.
    #[must_use]
    pub fn wants(&self) -> Option<&Version> {
        match self {
            Act::Restart => None,
            Act::Step { way: Way::Forward, target, .. } => Some(target),
            Act::Step { way: Way::Back, previous, .. } => Some(previous),
        }
    }

    /// True if it ends the run that is there.
    #[must_use]
    pub fn restarts(&self) -> bool {
        self.step() == UpdateStep::Restart
    }

    fn step(&self) -> UpdateStep {
        match self {
            Act::Restart => UpdateStep::Restart,
            Act::Step { step, .. } => *step,
        }
    }
}

/// A command as its sender wrote it.
#[derive(Debug, Clone)]
pub(super) struct Order {
    pub(super) action_no: u64,
    /// The run that was judged.
    pub(super) process: Option<String>,
    pub(super) act: Act,
    /// After so long the host kills it.
    pub(super) limit: Duration,
}

/// A command that is executing: its effect is there when it lands.
#[derive(Debug, Clone)]
pub(super) struct Work {
    pub(super) order: Order,
    pub(super) began: Moment,
    pub(super) lands: Moment,
}

/// How a command ended, as the host wrote it down beside its number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ending {
    Done { run: u64 },
    Failed(String),
    Untouched(String),
}

/// What changed in the box when a command landed.
pub(super) enum Landed {
    Nothing,
    CheckedOut(Version),
    Started,
}

/// A service's checkout.
#[derive(Debug, Clone)]
pub(super) struct Code {
    /// What is checked out.
    pub(super) head: Version,
    /// The version whose dependencies are installed; none while an install is half-made.
    pub(super) installed: Option<Version>,
    /// What the running process was started from.
    pub(super) running: Version,
    /// Versions that need not be fetched any more.
    pub(super) local: BTreeSet<Version>,
    /// Somebody changed a tracked file by hand.
    pub(super) dirty: bool,
    /// The remote does not answer until then.
    pub(super) remote_away_until: Moment,
    /// What versions do to this service; those not named are good.
    pub(super) tempers: BTreeMap<Version, Temper>,
    /// How long its steps take, in percent of the usual.
    pub(super) pace: u32,
}

impl Code {
    pub(super) fn at(version: &Version) -> Code {
        Code {
            head: version.clone(),
            installed: Some(version.clone()),
            running: version.clone(),
            local: BTreeSet::from([version.clone()]),
            dirty: false,
            remote_away_until: Moment::EPOCH,
            tempers: BTreeMap::new(),
            pace: 100,
        }
    }

    fn temper(&self, version: &Version) -> Temper {
        self.tempers.get(version).copied().unwrap_or_default()
    }

    /// Why a forward check-out of `version` cannot be made.
    pub(super) fn obstacle(&self, version: &Version, now: Moment) -> Option<String> {
        if self.dirty {
            return Some("`server.js` was changed by hand".to_owned());
        }
        let away = now < self.remote_away_until && !self.local.contains(version);
        away.then(|| "the remote does not answer".to_owned())
    }
}

/// One service.
#[derive(Debug, Clone)]
pub(super) struct Lamp {
    /// Services with the same host share its lock, its network and its power.
    pub(super) host: String,
    pub(super) nature: Nature,
    /// Up since, and until when if it is going to die.
    pub(super) up: Option<(Moment, Option<Moment>)>,
    /// Says `activating` until then.
    pub(super) starting_until: Moment,
    /// Which run of the service this is.
    pub(super) run: u64,
    pub(super) restarts_since_broken: u32,
    /// The guard's record: the highest action number seen, and how that action ended.
    pub(super) seen: u64,
    pub(super) ending: Option<(u64, Ending)>,
    pub(super) work: Option<Work>,
    /// Commands that lost their sender and arrive late.
    pub(super) late: Vec<(Moment, Order)>,
    pub(super) code: Option<Code>,
}

impl Lamp {
    pub(super) fn new(host: &str, nature: Nature, now: Moment) -> Lamp {
        Lamp {
            host: host.to_owned(),
            nature,
            up: Some((now, None)),
            starting_until: Moment::EPOCH,
            run: 1,
            restarts_since_broken: 0,
            seen: 0,
            ending: None,
            work: None,
            late: Vec::new(),
            code: None,
        }
    }

    /// How long a command takes here.
    pub(super) fn takes(&self, order: &Order) -> Duration {
        let step = order.act.step();
        let hangs = self.code.as_ref().zip(order.act.wants()).is_some_and(|(code, version)| {
            step == UpdateStep::Install && code.temper(version) == Temper::InstallHangs
        });
        let pace = self.code.as_ref().map_or(100, |code| code.pace);
        if hangs { order.limit } else { (usual(step) * pace / 100).min(order.limit) }
    }

    /// A command's effect takes place.
    pub(super) fn land(&mut self, work: &Work) -> (Landed, Ending) {
        let (at, act) = (work.lands, &work.order.act);
        let temper = self.code.as_ref().zip(act.wants()).map(|(code, version)| code.temper(version));
        let done = |run| Ending::Done { run };
        match act.step() {
            UpdateStep::Restart => {
                self.start(at);
                let ending = match temper {
                    Some(Temper::RestartFails) => Ending::Failed("exit status 1".to_owned()),
                    Some(_) | None => done(self.run),
                };
                (Landed::Started, ending)
            }
            UpdateStep::CheckOut => {
                let Some((code, version)) = self.code.as_mut().zip(act.wants()) else {
                    return (Landed::Nothing, Ending::Failed("not a git checkout".to_owned()));
                };
                code.head = version.clone();
                code.local.insert(version.clone());
                code.dirty = false;
                (Landed::CheckedOut(version.clone()), done(self.run))
            }
            UpdateStep::Install => {
                let Some(code) = self.code.as_mut() else {
                    return (Landed::Nothing, Ending::Failed("no such directory".to_owned()));
                };
                code.installed = None;
                let ending = match temper {
                    Some(Temper::InstallFails) => Ending::Failed("install: exit status 1".to_owned()),
                    Some(Temper::InstallHangs) => {
                        Ending::Failed("killed with its children at its limit".to_owned())
                    }
                    Some(_) | None => {
                        code.installed = Some(code.head.clone());
                        done(self.run)
                    }
                };
                (Landed::Nothing, ending)
            }
            UpdateStep::Before | UpdateStep::Own(_) | UpdateStep::After | UpdateStep::Rollback => {
                (Landed::Nothing, done(self.run))
            }
        }
    }

    /// The power goes in the middle of a command: what it was about to do is done by half.
    pub(super) fn cut_short(&mut self, now: Moment) {
        let Some(work) = self.work.take() else { return };
        let Some(code) = self.code.as_mut() else { return };
        let past_half = now.since(work.began) * 2 > work.lands.since(work.began);
        match work.order.act.step() {
            UpdateStep::CheckOut if past_half => {
                code.head = work.order.act.wants().unwrap_or(&code.head).clone();
            }
            UpdateStep::Install => code.installed = None,
            UpdateStep::CheckOut
            | UpdateStep::Restart
            | UpdateStep::Before
            | UpdateStep::Own(_)
            | UpdateStep::After
            | UpdateStep::Rollback => {}
        }
    }

    /// A new run of whatever is checked out.
    pub(super) fn start(&mut self, at: Moment) {
        self.run += 1;
        self.restarts_since_broken += 1;
        self.starting_until = Moment::EPOCH;
        let by_nature = match self.nature {
            Nature::Good => Some((at, None)),
            Nature::NeedsRestarts(needed) => (self.restarts_since_broken >= needed).then_some((at, None)),
            Nature::Hopeless => None,
            Nature::Flapping(lives) => Some((at, Some(at + lives))),
        };
        self.up = match &mut self.code {
            None => by_nature,
            Some(code) => {
                code.running = code.head.clone();
                let whole = code.installed.as_ref() == Some(&code.head);
                match code.temper(&code.head) {
                    _ if !whole => None,
                    Temper::Good | Temper::InstallFails | Temper::InstallHangs => by_nature,
                    Temper::RestartFails | Temper::DownAtStart => None,
                    Temper::StartsSlowly(lasts) => {
                        self.starting_until = at + lasts;
                        by_nature
                    }
                    Temper::CrashesAfter(lives) => Some((at, Some(at + lives))),
                }
            }
        };
    }
}

/// How long a step takes in the box.
#[must_use]
pub fn usual(step: UpdateStep) -> Duration {
    match step {
        UpdateStep::Restart => Duration::from_secs(2),
        UpdateStep::Install => Duration::from_secs(3),
        UpdateStep::CheckOut
        | UpdateStep::Before
        | UpdateStep::Own(_)
        | UpdateStep::After
        | UpdateStep::Rollback => Duration::from_secs(1),
    }
}
