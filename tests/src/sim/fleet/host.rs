//! The hosts' side of the box: time passes, power goes, and the guard lets a command through or not.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use lamplighter_core::sight::GuardParts;
use lamplighter_core::update::{UpdateStep, Way};
use lamplighter_core::{Moment, ServiceId, Version};

use super::lamp::{Act, Ending, Lamp, Landed, Order, Work};
use super::lamps::{Due, Lamps};
use crate::sim::order::Count;

/// How long a host is away when it is switched off and on.
const BOOT: Duration = Duration::from_secs(20);

/// A command that was carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// Its place among everything that happened.
    pub order: u64,
    /// When it began.
    pub at: Moment,
    /// When it ends, if nothing cuts it short.
    pub lands: Moment,
    /// The service.
    pub service: ServiceId,
    /// Its action number.
    pub action_no: u64,
    /// What it does.
    pub act: Act,
    /// Lifecycle commands on the host at that moment, this one included.
    pub nesting: u32,
    /// The highest action number the host had seen before.
    pub seen_before: u64,
    /// What was checked out before.
    pub head: Option<Version>,
}

/// Something that an observer on the host would have seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Happening {
    /// Its place among everything that happened.
    pub order: u64,
    /// When.
    pub at: Moment,
    /// The service.
    pub service: ServiceId,
    /// What.
    pub what: What,
}

/// What an observer on a host sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// Another version was put in place.
    CheckedOut(Version),
    /// A new run began, from this version.
    Started(Option<Version>),
    /// A look found it up.
    SeenUp,
}

/// How a service stands, as an observer on its host sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stands {
    /// Whether it is up.
    pub up: bool,
    /// What is checked out.
    pub head: Version,
    /// What the process was started from.
    pub running: Version,
    /// Whether a command is executing.
    pub working: bool,
}

/// What the box remembers for the checkers.
#[derive(Debug, Default)]
pub struct Memory {
    pub(super) lamps: Lamps,
    /// Hosts that cannot be reached, and until when.
    pub(super) dark_until: BTreeMap<String, Moment>,
    /// Connections that are going to break once a command has begun, by host.
    pub(super) drops: BTreeMap<String, u32>,
    /// Heads of branches, as every remote has them.
    pub(super) branches: BTreeMap<String, Version>,
    /// Commands that were carried out, in order.
    pub commands: Vec<Command>,
    /// Commands that the guard refused: service and action number.
    pub refused: Vec<(Moment, ServiceId, u64)>,
    /// What happened to services.
    pub happenings: Vec<Happening>,
    /// What an observer of the box saw, one line an event.
    pub log: Vec<String>,
    /// How much longer than usual a look takes.
    pub drag: Duration,
    /// Hosts that take a connection and then say nothing: a look at them takes as long as it may.
    pub(super) mute: BTreeSet<String>,
    pub(super) count: Count,
}

/// What the guard made of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// It is executing, and ends then.
    Begun(Moment),
    /// It was here before, and this came of it.
    Before(Ending),
    /// It was here before, and was cut short.
    CutShort,
    /// It was here before; a restart writes no ending down.
    Repeated,
    Overtaken(u64),
    Busy,
    ProcessChanged(u64),
    Untouched(String),
    NoSuchHost,
}

impl Memory {
    pub(super) fn happened(&mut self, at: Moment, service: &ServiceId, what: What) {
        let order = self.count.next();
        self.happenings.push(Happening { order, at, service: service.clone(), what });
    }

    pub(super) fn is_dark(&self, id: &ServiceId, now: Moment) -> bool {
        let host = self.lamps.get(id).map(|lamp| &lamp.host);
        host.and_then(|host| self.dark_until.get(host)).is_some_and(|until| now < *until)
    }

    /// Commands executing on a host.
    pub(super) fn working_on(&self, host: &str) -> u32 {
        let working = self.lamps.values().filter(|lamp| lamp.host == host && lamp.work.is_some());
        u32::try_from(working.count()).unwrap_or(u32::MAX)
    }

    /// Looks taken at each service; one that was never looked at is not in it.
    #[must_use]
    pub fn looks(&self) -> &BTreeMap<ServiceId, u64> {
        self.lamps.looks()
    }

    pub(super) fn is_mute(&self, id: &ServiceId) -> bool {
        self.lamps.get(id).is_some_and(|lamp| self.mute.contains(&lamp.host))
    }

    /// How a service stands.
    pub(super) fn stands(&self, id: &ServiceId) -> Option<Stands> {
        let lamp = self.lamps.get(id)?;
        let code = lamp.code.as_ref()?;
        Some(Stands {
            up: lamp.up.is_some(),
            head: code.head.clone(),
            running: code.running.clone(),
            working: lamp.work.is_some(),
        })
    }

    /// Lets time pass on every host up to `now`, in the order in which things are due.
    pub(super) fn advance(&mut self, now: Moment, guard: GuardParts) {
        while let Some((at, id, due)) = self.lamps.due(now) {
            match due {
                Due::Landing => self.land(&id),
                Due::Late => self.arrive_late(at, &id, guard),
                Due::Death => {
                    if let Some(lamp) = self.lamps.get_mut(&id) {
                        lamp.up = None;
                        self.log.push(format!("{at} {id} dies"));
                    }
                }
            }
        }
    }

    fn land(&mut self, id: &ServiceId) {
        let Some(lamp) = self.lamps.get_mut(id) else { return };
        let Some(work) = lamp.work.take() else { return };
        let (landed, ending) = lamp.land(&work);
        let (run, up) = (lamp.run, lamp.up.is_some());
        let running = lamp.code.as_ref().map(|code| code.running.clone());
        let (no, at) = (work.order.action_no, work.lands);
        self.log.push(format!("{at} {id} action {no} ends: {ending:?}"));
        if matches!(work.order.act, Act::Step { .. }) {
            lamp.ending = Some((no, ending));
        }
        match landed {
            Landed::Nothing => {}
            Landed::CheckedOut(version) => self.happened(at, id, What::CheckedOut(version)),
            Landed::Started => {
                let from =
                    running.as_ref().map_or(String::new(), |version| format!(" of {}", version.short()));
                self.log
                    .push(format!("{at} {id} run-{run}{from} begins, {}", if up { "up" } else { "down" }));
                self.happened(at, id, What::Started(running));
            }
        }
    }

    fn arrive_late(&mut self, at: Moment, id: &ServiceId, guard: GuardParts) {
        let Some(lamp) = self.lamps.get_mut(id) else { return };
        let Some(index) = lamp.late.iter().position(|(due, _)| *due == at) else { return };
        let (_, order) = lamp.late.remove(index);
        self.log.push(format!("{at} {id} a late command arrives: action {}", order.action_no));
        self.execute(id, at, order, guard);
    }

    /// The power goes: commands are cut short, and what is checked out is started anew.
    pub(super) fn reboot(&mut self, host: &str, now: Moment) {
        let back = now + BOOT;
        self.dark_until.insert(host.to_owned(), back);
        let ids: Vec<ServiceId> =
            self.lamps.iter().filter(|(_, lamp)| lamp.host == host).map(|(id, _)| id.clone()).collect();
        for id in ids {
            let Some(lamp) = self.lamps.get_mut(&id) else { continue };
            lamp.cut_short(now);
            lamp.start(back);
            let running = lamp.code.as_ref().map(|code| code.running.clone());
            self.happened(now, &id, What::Started(running));
        }
    }

    /// The host's guard, and the command behind it.
    pub(super) fn execute(&mut self, id: &ServiceId, now: Moment, order: Order, guard: GuardParts) -> Answer {
        let Some(host) = self.lamps.get(id).map(|lamp| lamp.host.clone()) else { return Answer::NoSuchHost };
        let working = self.working_on(&host);
        let place = self.count.next();
        let Some(lamp) = self.lamps.get_mut(id) else { return Answer::NoSuchHost };
        let action_no = order.action_no;
        let seen = lamp.seen;
        if let Some(refusal) = refused(lamp, &order, working, now, guard) {
            self.log.push(format!("{now} {id} refuses action {action_no}: {refusal:?}"));
            self.refused.push((now, id.clone(), action_no));
            return refusal;
        }
        let lands = now + lamp.takes(&order);
        if order.act.restarts() {
            lamp.up = None;
        }
        self.log.push(format!("{now} {id} {}: action {action_no}", said(&order.act)));
        self.commands.push(Command {
            order: place,
            at: now,
            lands,
            service: id.clone(),
            action_no,
            act: order.act.clone(),
            nesting: 1 + working,
            seen_before: seen,
            head: lamp.code.as_ref().map(|code| code.head.clone()),
        });
        lamp.work = Some(Work { order, began: now, lands });
        Answer::Begun(lands)
    }
}

/// What the host says to a number that is not above the highest it has seen.
fn seen_before(lamp: &Lamp, order: &Order) -> Answer {
    if lamp.seen > order.action_no {
        return Answer::Overtaken(lamp.seen);
    }
    match (&order.act, &lamp.ending) {
        (Act::Restart, _) => Answer::Repeated,
        (Act::Step { .. }, Some((no, ending))) if *no == order.action_no => Answer::Before(ending.clone()),
        (Act::Step { .. }, _) => Answer::CutShort,
    }
}

/// The guard, in the order in which a host asks: is the lock free, is the number new, is the process the one that was
/// judged; then whether the step can be made at all.
fn refused(lamp: &mut Lamp, order: &Order, working: u32, now: Moment, guard: GuardParts) -> Option<Answer> {
    if guard.lock && working > 0 {
        return Some(Answer::Busy);
    }
    if guard.action_no && lamp.seen >= order.action_no {
        return Some(seen_before(lamp, order));
    }
    lamp.seen = lamp.seen.max(order.action_no);
    let run = format!("run-{}", lamp.run);
    if guard.process && order.act.restarts() && order.process.as_ref().is_some_and(|judged| *judged != run) {
        return Some(Answer::ProcessChanged(lamp.run));
    }
    let Act::Step { way: Way::Forward, step: UpdateStep::CheckOut, target, .. } = &order.act else {
        return None;
    };
    let obstacle = match &lamp.code {
        Some(code) => code.obstacle(target, now),
        None => Some("not a git checkout".to_owned()),
    }?;
    lamp.ending = Some((order.action_no, Ending::Untouched(obstacle.clone())));
    Some(Answer::Untouched(obstacle))
}

fn said(act: &Act) -> String {
    match act {
        Act::Restart => "restarts".to_owned(),
        Act::Step { way, step, .. } => {
            let version = act.wants().map_or("", |version| version.short());
            format!("{way:?} {step} ({version})")
        }
    }
}
