//! A rollout as a picture of a few lines: stages with bars, each service under way, what is waited for. Pure.

use std::time::Duration;

use lamplighter_core::ServiceId;
use lamplighter_core::moment::{Moment, spoken};
use lamplighter_core::rollout::RowStatus;
use lamplighter_core::sight::one_line;
use lamplighter_core::update::Way;

use crate::command::rollout::seen::{self, Rollout, Service, Stage};
use crate::say::Ink;

/// Cells of a bar.
const BAR_CELLS: u32 = 30;
/// Most stages drawn: all that a rollout may have.
const MAX_STAGES: usize = 10;
/// Most services drawn: all that may be under way at once.
const MAX_UNDER_WAY: usize = 20;

/// A part of a line in its colour.
type Part = (Option<Ink>, String);

/// A line of the picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line(pub(super) Vec<Part>);

impl Line {
    /// Cut to so many columns, coloured by `paint`.
    pub(super) fn fitted(&self, columns: usize, paint: impl Fn(Ink, &str) -> String) -> String {
        let mut left = columns;
        let mut text = String::new();
        for (ink, part) in &self.0 {
            let wide = part.chars().count();
            let cut: String = if wide <= left {
                part.clone()
            } else {
                part.chars().take(left.saturating_sub(1)).chain((left > 0).then_some('…')).collect()
            };
            left -= wide.min(left);
            match ink {
                Some(ink) if !cut.is_empty() => text.push_str(&paint(*ink, &cut)),
                Some(_) | None => text.push_str(&cut),
            }
        }
        text
    }
}

/// The picture. `since` says when a service's present step was first seen.
pub(super) fn picture(
    rollout: &Rollout,
    now: Moment,
    since: impl Fn(&ServiceId) -> Option<Moment>,
) -> Vec<Line> {
    let (settled, services) = rollout.progress();
    let elapsed = spoken(Duration::from_secs(now.since(rollout.created_at).as_secs()));
    let mut lines = vec![Line(vec![
        (None, format!("{}  ", rollout.id)),
        (Some(seen::ink_of(&rollout.status)), seen::words(&rollout.status)),
        (None, format!("  {}  {settled}/{services} services, {elapsed}", rollout.target_named())),
    ])];
    let number = |index: usize| u32::try_from(index + 1).unwrap_or(u32::MAX);
    lines.extend(
        rollout
            .stages
            .iter()
            .enumerate()
            .take(MAX_STAGES)
            .map(|(index, stage)| stage_line(index, stage, under_way(rollout, number(index)))),
    );
    let busy = rollout.services.iter().filter(|service| service.status == RowStatus::Updating);
    let width = busy.clone().map(|service| service.id.as_str().len()).max().unwrap_or(0);
    lines.extend(busy.take(MAX_UNDER_WAY).map(|service| service_line(service, width, now, &since)));
    let waits = one_line(&rollout.waits_for, seen::MAX_SENTENCE_CHARS);
    if !waits.is_empty() {
        lines.push(Line(vec![(Some(Ink::Dim), "waiting  ".to_owned()), (None, waits)]));
    }
    lines
}

fn under_way(rollout: &Rollout, stage: u32) -> u32 {
    let count = rollout
        .services
        .iter()
        .filter(|service| service.stage == stage && service.status == RowStatus::Updating)
        .count();
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// `stage 2   50 %  ██████████▒▒▒░░░░  2/4  arriving, 1 failed`.
fn stage_line(index: usize, stage: &Stage, under_way: u32) -> Line {
    let cells = |count: u32| {
        let share = u64::from(count) * u64::from(BAR_CELLS) / u64::from(stage.size.max(1));
        usize::try_from(share).unwrap_or(0)
    };
    // Ends are rounded, not lengths, so that the parts always make a whole bar.
    let good = cells(stage.succeeded);
    let bad = cells(stage.succeeded + stage.failed).saturating_sub(good);
    let left_out = cells(stage.settled()).saturating_sub(good + bad);
    let busy = cells((stage.settled() + under_way).min(stage.size)).saturating_sub(good + bad + left_out);
    let empty = cells(stage.size).saturating_sub(good + bad + left_out + busy);
    let failed = match stage.failed {
        0 => String::new(),
        failed => format!(", {failed} failed"),
    };
    let skipped = match stage.skipped {
        0 => String::new(),
        skipped => format!(", {skipped} skipped"),
    };
    Line(vec![
        (None, format!("stage {:<2} {:>3} %  ", index + 1, stage.percent)),
        (Some(Ink::Green), "█".repeat(good)),
        (Some(Ink::Red), "█".repeat(bad)),
        (Some(Ink::Dim), "█".repeat(left_out)),
        (Some(Ink::Yellow), "▒".repeat(busy)),
        (Some(Ink::Dim), "░".repeat(empty)),
        (None, format!("  {}/{}  ", stage.settled(), stage.size)),
        (Some(seen::ink_of(&stage.status)), seen::words(&stage.status)),
        (None, format!("{failed}{skipped}")),
    ])
}

/// `  vps-004  → install, 12 s`.
fn service_line(
    service: &Service,
    width: usize,
    now: Moment,
    since: impl Fn(&ServiceId) -> Option<Moment>,
) -> Line {
    let (arrow, ink) = match service.way {
        Some(Way::Back) => ("←", Ink::Red),
        Some(Way::Forward) | None => ("→", Ink::Yellow),
    };
    let step = one_line(service.step.as_deref().unwrap_or("updating"), 40);
    // A step of less than a second has no age worth a look.
    let lasting = since(&service.id).map(|since| now.since(since).as_secs()).filter(|seconds| *seconds > 0);
    let lasting =
        lasting.map(|seconds| format!("  {}", spoken(Duration::from_secs(seconds)))).unwrap_or_default();
    let because = match service.way {
        Some(Way::Back) => {
            format!("  {}", one_line(&service.because, seen::MAX_SENTENCE_CHARS))
        }
        Some(Way::Forward) | None => String::new(),
    };
    Line(vec![
        (None, format!("  {:width$}  ", service.id.as_str())),
        (Some(ink), format!("{arrow} {step}")),
        (Some(Ink::Dim), lasting),
        (None, because),
    ])
}

/// The line that says that the server is away.
pub(super) fn away(what: &str, since: Moment, now: Moment) -> Line {
    let ago = match now.since(since).as_secs() {
        0 => String::new(),
        seconds => format!(" {} ago", spoken(Duration::from_secs(seconds))),
    };
    Line(vec![(Some(Ink::Red), one_line(what, 200)), (None, format!("; this is how it was{ago}"))])
}

#[cfg(test)]
mod tests;
