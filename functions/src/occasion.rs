//! What wakes a function: the minute's schedule, or a ring.

use std::time::Duration;

use lamplighter_core::Moment;
use lamplighter_store::ShardNo;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Failure;

/// An event older than this is dropped: the next minute's does what it asked for.
const STALE_AFTER: Duration = Duration::from_secs(90);
/// An event of so far ahead of our clock means that one of the clocks is wrong.
const SKEW_ALLOWED: Duration = Duration::from_secs(90);
/// The schedules' own grid.
pub const MINUTE: Duration = Duration::from_secs(60);

/// A ring: who is to look, and from when on. It carries no state; a lost one makes things late, a doubled one nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ring", rename_all = "snake_case", deny_unknown_fields)]
pub enum Ring {
    /// To sweep the whole env out of turn: at a person's word, or at a tick within the minute.
    Sweep {
        /// When it was meant to be heard, in seconds since 1970.
        due: i64,
        /// The tick.
        tick: u64,
    },
    /// To sweep one shard.
    Shard {
        /// When it was meant to be heard.
        due: i64,
        /// The tick.
        tick: u64,
        /// The shard's number.
        shard: u16,
    },
    /// To recover what is down.
    Recover {
        /// When it was meant to be heard.
        due: i64,
    },
    /// To carry rollouts on.
    Advance {
        /// When it was meant to be heard.
        due: i64,
    },
    /// To bring letters.
    Notify {
        /// When it was meant to be heard.
        due: i64,
    },
}

impl Ring {
    /// When it was meant to be heard.
    #[must_use]
    pub fn due(&self) -> Moment {
        match *self {
            Ring::Sweep { due, .. }
            | Ring::Shard { due, .. }
            | Ring::Recover { due }
            | Ring::Advance { due }
            | Ring::Notify { due } => Moment::from_millis(due.saturating_mul(1_000)),
        }
    }

    /// The shard it names, if it names one that there can be.
    ///
    /// # Errors
    /// If there can be no such shard.
    pub(crate) fn shard_no(shard: u16) -> Result<ShardNo, Failure> {
        ShardNo::new(shard).ok_or_else(|| Failure::BadEvent(format!("there is no shard {shard}")))
    }
}

/// Why a function was woken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occasion {
    /// By its schedule, for this minute.
    Minute(Moment),
    /// By a ring.
    Rung(Ring),
}

/// What the schedule sends.
#[derive(Deserialize)]
struct Scheduled {
    source: String,
    time: Moment,
}

impl Occasion {
    /// Reads an event: the schedule's envelope, or a ring. The envelope's time is that of the call; the schedule is one
    /// for each minute, so its own minute is the one that it was meant for.
    ///
    /// # Errors
    /// [`Failure::BadEvent`] with what is wrong.
    pub fn read(event: &Value) -> Result<Occasion, Failure> {
        if event.get("ring").is_some() {
            let ring = Ring::deserialize(event).map_err(|error| Failure::BadEvent(error.to_string()))?;
            return Ok(Occasion::Rung(ring));
        }
        let scheduled =
            Scheduled::deserialize(event).map_err(|error| Failure::BadEvent(error.to_string()))?;
        if !matches!(scheduled.source.as_str(), "aws.scheduler" | "aws.events") {
            return Err(Failure::BadEvent(format!("its source is `{}`", scheduled.source)));
        }
        let minute = i64::try_from(scheduled.time.tick(MINUTE)).unwrap_or(i64::MAX);
        Ok(Occasion::Minute(Moment::from_millis(minute.saturating_mul(1_000))))
    }

    /// Whether it still means anything at `now`.
    ///
    /// # Errors
    /// [`Failure::ClockSkew`] if it is of the future.
    pub fn is_fresh(&self, now: Moment) -> Result<bool, Failure> {
        let meant = match self {
            Occasion::Minute(minute) => *minute,
            Occasion::Rung(ring) => ring.due(),
        };
        let ahead = now.until(meant);
        if ahead > SKEW_ALLOWED {
            return Err(Failure::ClockSkew { ahead_secs: ahead.as_secs() });
        }
        Ok(now.since(meant) <= STALE_AFTER)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn at(seconds: i64) -> Moment {
        Moment::from_millis(seconds * 1_000)
    }

    #[test]
    fn the_recorded_events_are_what_functions_are_woken_by() {
        let ring = |text: &str| match Occasion::read(&serde_json::from_str(text).unwrap()).unwrap() {
            Occasion::Rung(ring) => ring,
            Occasion::Minute(minute) => panic!("a ring is read as the minute {minute}"),
        };
        let due = 1_767_312_000;
        assert_eq!(ring(include_str!("../../tests/events/recover.json")), Ring::Recover { due });
        assert_eq!(ring(include_str!("../../tests/events/advance.json")), Ring::Advance { due });
        assert_eq!(ring(include_str!("../../tests/events/notify.json")), Ring::Notify { due });
        let minute = serde_json::from_str(include_str!("../../tests/events/minute.json")).unwrap();
        assert_eq!(Occasion::read(&minute).unwrap(), Occasion::Minute(at(due)));
        let queue: Value = serde_json::from_str(include_str!("../../tests/events/queue.json")).unwrap();
        let body = queue["Records"][0]["body"].as_str().unwrap();
        assert_eq!(ring(body), Ring::Shard { due, tick: 1_767_312_000, shard: 0 });
    }

    #[test]
    fn a_schedule_s_event_is_of_its_own_minute() {
        let event = json!({"version": "0", "id": "1", "detail-type": "Scheduled Event", "source": "aws.scheduler",
            "account": "0", "time": "2026-01-02T00:00:59Z", "region": "r", "resources": [], "detail": "{}"});
        assert_eq!(Occasion::read(&event).unwrap(), Occasion::Minute(at(1_767_312_000)));
    }

    #[test]
    fn a_ring_survives_the_way() {
        for ring in [
            Ring::Sweep { due: 7, tick: 7 },
            Ring::Shard { due: 7, tick: 7, shard: 199 },
            Ring::Recover { due: 8 },
            Ring::Advance { due: 9 },
            Ring::Notify { due: 10 },
        ] {
            let event = serde_json::to_value(ring).unwrap();
            assert_eq!(Occasion::read(&event).unwrap(), Occasion::Rung(ring), "{event}");
        }
        assert_eq!(
            serde_json::to_string(&Ring::Shard { due: 1, tick: 2, shard: 3 }).unwrap(),
            r#"{"ring":"shard","due":1,"tick":2,"shard":3}"#
        );
    }

    #[test]
    fn whatever_else_comes_is_refused_with_a_reason() {
        for event in [
            json!(null),
            json!({}),
            json!("ring"),
            json!({"ring": "bell", "due": 1}),
            json!({"ring": "recover"}),
            json!({"ring": "recover", "due": 1, "status": "healthy"}),
            json!({"source": "aws.s3", "time": "2026-01-02T00:00:00Z"}),
            json!({"source": "aws.scheduler", "time": "noon"}),
        ] {
            let failure = Occasion::read(&event).unwrap_err();
            assert_eq!(failure.name(), "BadEvent", "{event}");
        }
        assert!(Ring::shard_no(200).is_err());
    }

    #[test]
    fn old_events_are_dropped_and_those_of_the_future_refused() {
        let ring = |due| Occasion::Rung(Ring::Recover { due });
        assert!(ring(10).is_fresh(at(100)).unwrap());
        assert!(!ring(10).is_fresh(at(101)).unwrap());
        assert!(ring(190).is_fresh(at(100)).unwrap());
        assert_eq!(ring(191).is_fresh(at(100)).unwrap_err().name(), "ClockSkew");
        assert!(!Occasion::Minute(at(0)).is_fresh(at(91)).unwrap());
    }
}
