//! The blindness guard: when too much fails at once, the fault is taken to be ours.
//!
//! While it holds, what a tick saw of bad services is discarded: their watches stay as they were, so the next tick
//! counts the same services again, and nothing is restarted, no breaker moves and nobody is told but the admins, once.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::moment::{Moment, spoken};
use crate::name::EnvName;
use crate::notice::{Notice, NoticeKind};
use crate::report::SweepReport;
use crate::settings::Settings;

/// How long an admin's "go on" lasts, unless a tick is back under the limit before.
pub const GO_ON_FOR: Duration = Duration::from_secs(3_600);

/// What is remembered of the guard between ticks.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Blindness {
    /// Rises by one with every change.
    pub version: u64,
    /// Since when the guard holds; `None` while the env is seen clearly.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Moment>,
    /// Until when an admin has told the engine to believe what it sees.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub go_on_until: Option<Moment>,
    /// Why, in the operator's words.
    pub because: String,
}

impl Blindness {
    /// True if nothing may be restarted now.
    #[must_use]
    pub fn holds(&self, now: Moment) -> bool {
        self.since.is_some() && self.go_on_until.is_none_or(|until| now >= until)
    }

    /// An admin says: the failures are real, go on.
    #[must_use]
    pub fn go_on(&self, now: Moment, by: &str) -> Blindness {
        let because =
            format!("{by} says the failures are real; restarts go on for up to {}", spoken(GO_ON_FOR));
        Blindness { version: self.version + 1, go_on_until: Some(now + GO_ON_FOR), because, ..self.clone() }
    }
}

/// Whether a tick's bad news is believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// True if bad sights count; false if they are discarded.
    pub believed: bool,
    /// What is remembered from now on, if it changes.
    pub next: Option<Blindness>,
    /// The one message to the admins, when the guard begins to hold.
    pub notice: Option<Notice>,
}

/// True if more than the limit, max(3, 20 %) by default, of the healthy services turned bad.
#[must_use]
pub fn too_much_at_once(settings: &Settings, tally: &SweepReport) -> bool {
    let share =
        u64::from(tally.turned_bad) * 100 > u64::from(tally.were_healthy) * u64::from(settings.blind_percent);
    tally.turned_bad > settings.blind_least && share
}

/// Judges one tick of the whole env by its tally.
#[must_use]
pub fn judge(
    settings: &Settings,
    env: &EnvName,
    now: Moment,
    guard: &Blindness,
    tally: &SweepReport,
) -> Verdict {
    match (too_much_at_once(settings, tally), guard.since) {
        (false, None) => Verdict { believed: true, next: None, notice: None },
        (false, Some(since)) => {
            let because = format!("seeing clearly again after {}", spoken(now.since(since)));
            let next = Blindness { version: guard.version + 1, because, ..Blindness::default() };
            Verdict { believed: true, next: Some(next), notice: None }
        }
        (true, Some(_)) => Verdict { believed: !guard.holds(now), next: None, notice: None },
        (true, None) => {
            let next = Blindness {
                version: guard.version + 1,
                since: Some(now),
                go_on_until: None,
                because: format!(
                    "{} of {} healthy services turned bad in one tick; taken to be a fault on this side, nothing is restarted",
                    tally.turned_bad, tally.were_healthy
                ),
            };
            let notice = message(settings, env, now, &next, tally);
            Verdict { believed: false, next: Some(next), notice: Some(notice) }
        }
    }
}

/// What a sweep of one shard knows of the rest of its env when it judges.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Others {
    /// This shard's own report of the sweep before.
    pub before: SweepReport,
    /// The last report of each other shard: of this tick, if it is done there, or of one before.
    pub reports: Vec<SweepReport>,
}

/// True if the bad news of one shard's sweep counts: it cannot know what others are about to see, so it believes nothing
/// that would be too much if the part of the env seen so far in this tick, or the shard alone, were all of it.
///
/// What was too much for the shard alone already in the sweep before, and is not too much for the env as last reported,
/// is believed: a part of the fleet is down, and we see well. So a shard whose services all fail is believed one tick
/// later, and an env that we cannot see is never taken for one that is down.
#[must_use]
pub fn believes(
    settings: &Settings,
    now: Moment,
    guard: &Blindness,
    own: &SweepReport,
    others: &Others,
) -> bool {
    if guard.since.is_some() {
        return !guard.holds(now);
    }
    let this_tick = sum(own, others.reports.iter().filter(|report| report.tick == own.tick));
    let is_suspicious = too_much_at_once(settings, own) || too_much_at_once(settings, &this_tick);
    let was_suspicious = too_much_at_once(settings, &others.before);
    !is_suspicious || (was_suspicious && !too_much_at_once(settings, &sum(own, others.reports.iter())))
}

/// Judges the env by the last reports of its shards. Reports more than a tick behind the newest say nothing of now and
/// are left out. `None`: no shard was ever swept, so there is nothing to judge by.
#[must_use]
pub fn judge_shards(
    settings: &Settings,
    env: &EnvName,
    now: Moment,
    guard: &Blindness,
    reports: &[SweepReport],
) -> Option<Verdict> {
    let newest = reports.iter().map(|report| report.tick).max()?;
    // What ran a tick behind still counts: shards of one tick do not end at once.
    let oldest = newest.saturating_sub(settings.every.as_secs().max(1));
    let fresh = reports.iter().filter(|report| report.tick >= oldest);
    Some(judge(settings, env, now, guard, &sum(&SweepReport::default(), fresh)))
}

fn sum<'a>(first: &SweepReport, rest: impl Iterator<Item = &'a SweepReport>) -> SweepReport {
    let mut sum = *first;
    rest.for_each(|report| sum.add(report));
    sum
}

fn message(
    settings: &Settings,
    env: &EnvName,
    now: Moment,
    guard: &Blindness,
    tally: &SweepReport,
) -> Notice {
    Notice {
        id: format!("{env}.{}.blind", guard.version),
        kind: NoticeKind::Blind,
        service: None,
        thread: format!("{env}.{}", guard.version),
        tick: tally.tick,
        at: now,
        to: settings.admins.clone(),
        because: guard.because.clone(),
        tried: Vec::new(),
        next: "everything is looked at each tick; restarts begin again when a tick is back under the limit, or when an admin \
               says the failures are real (`lamplighter sweep --go-on`)"
            .to_owned(),
        evidence: None,
        incident_since: Some(now),
        digest: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(were_healthy: u32, turned_bad: u32) -> SweepReport {
        SweepReport { were_healthy, turned_bad, tick: 7, ..SweepReport::default() }
    }

    fn at(seconds: i64) -> Moment {
        Moment::from_millis(seconds * 1_000)
    }

    #[test]
    fn more_than_three_and_more_than_a_fifth() {
        let settings = Settings::default();
        let table = [
            ((3, 3), false),
            ((4, 4), true),
            ((10, 3), false),
            ((10, 4), true),
            ((20, 4), false),
            ((20, 5), true),
            ((1_000, 200), false),
            ((1_000, 201), true),
            ((0, 0), false),
        ];
        for ((were, bad), blind) in table {
            assert_eq!(too_much_at_once(&settings, &tally(were, bad)), blind, "{bad} of {were}");
        }
    }

    #[test]
    fn one_message_however_long_it_lasts_and_silence_when_it_ends() {
        let settings = Settings { admins: vec!["ops@example.com".parse().unwrap()], ..Settings::default() };
        let env: EnvName = "prod".parse().unwrap();
        let first = judge(&settings, &env, at(60), &Blindness::default(), &tally(10, 10));
        assert!(!first.believed);
        assert_eq!(first.notice.unwrap().to, settings.admins);
        let guard = first.next.unwrap();
        assert!(guard.holds(at(60)));

        let second = judge(&settings, &env, at(120), &guard, &tally(10, 10));
        assert_eq!(second, Verdict { believed: false, next: None, notice: None });

        let clear = judge(&settings, &env, at(180), &guard, &tally(10, 1));
        assert!(clear.believed && clear.notice.is_none());
        assert!(!clear.next.unwrap().holds(at(180)));
    }

    fn shard(tick: u64, were_healthy: u32, turned_bad: u32) -> SweepReport {
        SweepReport { tick, ..tally(were_healthy, turned_bad) }
    }

    #[test]
    fn a_shard_believes_what_is_not_too_much_for_the_part_seen_so_far() {
        let settings = Settings::default();
        let (now, before) = (60, 0);
        let fine = |tick| vec![shard(tick, 500, 0); 9];
        let bad = |tick| vec![shard(tick, 500, 500); 9];
        // What it sees, its report of the sweep before, the others' reports, and whether it is believed.
        let table = [
            ("one service is down", shard(now, 500, 1), shard(before, 500, 0), fine(before), true),
            ("all of it fails at once", shard(now, 500, 500), shard(before, 500, 0), fine(before), false),
            ("even if others saw well", shard(now, 500, 500), shard(before, 500, 0), fine(now), false),
            (
                "it still fails, others are fine",
                shard(now, 500, 500),
                shard(before, 500, 500),
                fine(now),
                true,
            ),
            ("it still fails, as everything", shard(now, 500, 500), shard(before, 500, 500), bad(now), false),
            ("little of it, most of the rest", shard(now, 500, 50), shard(before, 500, 0), bad(now), false),
            (
                "little of it, the rest long ago",
                shard(now, 500, 50),
                shard(before, 500, 0),
                bad(before),
                true,
            ),
        ];
        for (case, own, before, reports, believed) in table {
            let others = Others { before, reports };
            assert_eq!(believes(&settings, at(60), &Blindness::default(), &own, &others), believed, "{case}");
        }
    }

    #[test]
    fn a_shard_believes_nothing_bad_while_the_guard_holds() {
        let settings = Settings::default();
        let env: EnvName = "prod".parse().unwrap();
        let guard =
            judge(&settings, &env, at(60), &Blindness::default(), &tally(10, 10)).next.expect("it is blind");
        let (own, others) = (shard(120, 500, 1), Others::default());
        assert!(!believes(&settings, at(120), &guard, &own, &others));
        assert!(believes(&settings, at(120), &guard.go_on(at(100), "ada"), &own, &others));
    }

    #[test]
    fn the_env_is_judged_by_what_its_shards_reported_lately() {
        let settings = Settings::default();
        let env: EnvName = "prod".parse().unwrap();
        let blind = |reports: &[SweepReport]| {
            let verdict = judge_shards(&settings, &env, at(120), &Blindness::default(), reports);
            verdict.map(|verdict| verdict.next.is_some())
        };
        assert_eq!(blind(&[]), None, "nothing was swept");
        assert_eq!(blind(&[shard(120, 500, 0), shard(120, 500, 500)]), Some(true));
        assert_eq!(
            blind(&[shard(120, 500, 0), shard(60, 500, 500)]),
            Some(true),
            "a tick behind still counts"
        );
        assert_eq!(blind(&[shard(180, 500, 0), shard(60, 500, 500)]), Some(false), "that was long ago");
        assert_eq!(blind(&[shard(120, 9_500, 0), shard(120, 500, 500)]), Some(false), "a part is down");
    }

    #[test]
    fn an_admin_may_say_go_on_for_an_hour() {
        let settings = Settings::default();
        let env: EnvName = "prod".parse().unwrap();
        let guard = judge(&settings, &env, at(60), &Blindness::default(), &tally(10, 10))
            .next
            .unwrap()
            .go_on(at(90), "ada");
        assert!(!guard.holds(at(91)));
        assert!(judge(&settings, &env, at(120), &guard, &tally(10, 10)).believed);
        assert!(!judge(&settings, &env, at(90 + 3_600), &guard, &tally(10, 10)).believed);
    }
}
