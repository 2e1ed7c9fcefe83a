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
