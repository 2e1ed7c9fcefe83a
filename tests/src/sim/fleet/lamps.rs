//! The lamps of a box, and when something is next due at one of them: a large fleet at which nothing happens costs
//! nothing to ask.

use std::collections::BTreeMap;

use lamplighter_core::{Moment, ServiceId};

use super::lamp::Lamp;

/// What is due at a lamp, in the order in which things of one moment happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Due {
    /// A command ends.
    Landing,
    /// A service dies by its nature.
    Death,
    /// A command whose sender is dead arrives.
    Late,
}

/// The lamps by service.
#[derive(Debug, Default)]
pub(super) struct Lamps {
    by_id: BTreeMap<ServiceId, Lamp>,
    /// Looks taken, by service; one that was never looked at is not in it.
    looks: BTreeMap<ServiceId, u64>,
    /// When the next thing is due, as of the last time that all were asked; unknown after any change.
    next: Option<Next>,
}

#[derive(Debug, Clone, Copy)]
enum Next {
    Never,
    At(Moment),
}

impl Lamps {
    pub(super) fn get(&self, id: &ServiceId) -> Option<&Lamp> {
        self.by_id.get(id)
    }

    /// A lamp to be changed: what is due next may be another thing then.
    pub(super) fn get_mut(&mut self, id: &ServiceId) -> Option<&mut Lamp> {
        self.next = None;
        self.by_id.get_mut(id)
    }

    pub(super) fn insert(&mut self, id: ServiceId, lamp: Lamp) {
        self.next = None;
        self.by_id.insert(id, lamp);
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &Lamp> {
        self.by_id.values()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&ServiceId, &Lamp)> {
        self.by_id.iter()
    }

    /// The first thing that is due by `now`, if anything is.
    pub(super) fn due(&mut self, now: Moment) -> Option<(Moment, ServiceId, Due)> {
        match self.next {
            Some(Next::Never) => return None,
            Some(Next::At(next)) if next > now => return None,
            Some(Next::At(_)) | None => {}
        }
        let due = self.by_id.iter().flat_map(|(id, lamp)| {
            let landing = lamp.work.as_ref().map(|work| (work.lands, Due::Landing));
            let late = lamp.late.iter().map(|(at, _)| *at).min().map(|at| (at, Due::Late));
            let death = lamp.up.and_then(|(_, dies)| dies).map(|dies| (dies, Due::Death));
            let all = [landing, late, death].into_iter().flatten();
            all.map(move |(at, due)| (at, due, id))
        });
        let first = due.min().map(|(at, due, id)| (at, id.clone(), due));
        self.next = Some(first.as_ref().map_or(Next::Never, |(at, ..)| Next::At(*at)));
        first.filter(|(at, ..)| *at <= now)
    }

    pub(super) fn note_look(&mut self, id: &ServiceId) {
        match self.looks.get_mut(id) {
            Some(looks) => *looks += 1,
            None => drop(self.looks.insert(id.clone(), 1)),
        }
    }

    pub(super) fn looks(&self) -> &BTreeMap<ServiceId, u64> {
        &self.looks
    }
}
