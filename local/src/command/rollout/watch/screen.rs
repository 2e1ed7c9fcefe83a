//! Draws the picture on the terminal at stderr, again and again in the same place.

use std::collections::BTreeMap;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use lamplighter_core::ServiceId;
use lamplighter_core::moment::Moment;
use lamplighter_core::rollout::RowStatus;

use super::change::Change;
use super::picture::{Line, away, picture};
use crate::command::rollout::seen::Rollout;
use crate::say;

/// Columns of a terminal that does not say how many it has.
const USUAL_COLUMNS: usize = 80;

/// The picture on the terminal.
pub(super) struct Screen {
    bar: ProgressBar,
    /// What each service under way is doing, and since when that is known.
    steps: BTreeMap<ServiceId, (String, Moment)>,
    last: Option<Rollout>,
    away_since: Option<Moment>,
}

impl Screen {
    pub(super) fn new() -> Screen {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        // A template of one word is understood.
        if let Ok(style) = ProgressStyle::with_template("{msg}") {
            bar.set_style(style);
        }
        Screen { bar, steps: BTreeMap::new(), last: None, away_since: None }
    }

    /// Draws how it is now. What is of note stays above the picture.
    pub(super) fn draw(&mut self, rollout: &Rollout, changes: &[Change], now: Moment) {
        let first = self.last.is_none();
        // The first look tells nothing new: the picture shows it.
        for change in changes.iter().filter(|change| !first && change.is_of_note()) {
            self.bar.println(change.line(now, say::ink_on_stderr));
        }
        self.remember_steps(rollout, now);
        self.last = Some(rollout.clone());
        self.paint(now);
    }

    /// The server does not answer; the picture stays, and says so.
    pub(super) fn away(&mut self, what: &str, now: Moment) {
        let since = *self.away_since.get_or_insert(now);
        let mut lines = self.lines(now);
        lines.push(away(what, since, now));
        self.set(&lines);
    }

    /// It answers again.
    pub(super) fn back(&mut self) {
        self.away_since = None;
    }

    /// Takes the picture away.
    pub(super) fn clear(&self) {
        self.bar.finish_and_clear();
    }

    fn remember_steps(&mut self, rollout: &Rollout, now: Moment) {
        let known = std::mem::take(&mut self.steps);
        for service in rollout.services.iter().filter(|service| service.status == RowStatus::Updating) {
            let doing = service.doing();
            let since = known.get(&service.id).filter(|(step, _)| *step == doing).map_or(now, |(_, at)| *at);
            self.steps.insert(service.id.clone(), (doing, since));
        }
    }

    fn paint(&self, now: Moment) {
        self.set(&self.lines(now));
    }

    fn lines(&self, now: Moment) -> Vec<Line> {
        let since = |id: &ServiceId| self.steps.get(id).map(|(_, since)| *since);
        self.last.as_ref().map(|rollout| picture(rollout, now, since)).unwrap_or_default()
    }

    fn set(&self, lines: &[Line]) {
        // A line as wide as the terminal would break into two on some.
        let columns = say::columns().unwrap_or(USUAL_COLUMNS).saturating_sub(1);
        let text: Vec<String> = lines.iter().map(|line| line.fitted(columns, say::ink_on_stderr)).collect();
        self.bar.set_message(text.join("\n"));
        self.bar.tick();
    }
}
