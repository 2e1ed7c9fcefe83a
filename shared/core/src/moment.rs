//! Points in time, to the millisecond.

use std::fmt;
use std::ops::Add;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A point in time, in whole milliseconds, written as RFC 3339 in UTC (`2026-01-02T02:30:00Z`).
///
/// Arithmetic saturates: a hostile or broken clock gives an odd answer, never a panic.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Moment(jiff::Timestamp);

/// 9999-12-30T00:00:00Z: the last midnight that every time zone of the calendar can write.
const LAST_MILLIS: i64 = 253_402_128_000_000;

impl Moment {
    /// 1970-01-01T00:00:00Z, before every moment the engine knows.
    pub const EPOCH: Moment = Moment(jiff::Timestamp::UNIX_EPOCH);

    /// `millis` after the Unix epoch, clamped to the years 1970 to 9999.
    #[must_use]
    pub fn from_millis(millis: i64) -> Self {
        let clamped = millis.clamp(0, LAST_MILLIS);
        Self(jiff::Timestamp::from_millisecond(clamped).unwrap_or(jiff::Timestamp::MAX))
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub fn as_millis(self) -> i64 {
        self.0.as_millisecond()
    }

    /// Whole seconds since the Unix epoch.
    #[must_use]
    pub fn as_secs(self) -> i64 {
        self.0.as_second()
    }

    /// How long ago `earlier` was; zero if it lies in the future.
    #[must_use]
    pub fn since(self, earlier: Moment) -> Duration {
        Duration::from_millis(u64::try_from(self.as_millis() - earlier.as_millis()).unwrap_or(0))
    }

    /// How long until `later`; zero if it has passed.
    #[must_use]
    pub fn until(self, later: Moment) -> Duration {
        later.since(self)
    }

    /// The calendar day in UTC, `2026-01-02`.
    #[must_use]
    pub fn day(self) -> String {
        self.0.strftime("%F").to_string()
    }

    /// The tick this moment belongs to: the second that the last sweep on the grid of `every` was scheduled for.
    ///
    /// Ticks are seconds, not a count, so that a sweep asked for between two ticks has a number between theirs.
    #[must_use]
    pub fn tick(self, every: Duration) -> u64 {
        let every = u64::try_from(every.as_millis()).unwrap_or(u64::MAX).max(1);
        let now = u64::try_from(self.as_millis()).unwrap_or(0);
        (now - now % every) / 1_000
    }
}

impl Add<Duration> for Moment {
    type Output = Moment;

    fn add(self, after: Duration) -> Moment {
        let after = i64::try_from(after.as_millis()).unwrap_or(i64::MAX);
        Moment::from_millis(self.as_millis().saturating_add(after))
    }
}

impl From<std::time::SystemTime> for Moment {
    fn from(time: std::time::SystemTime) -> Self {
        let millis = time.duration_since(std::time::UNIX_EPOCH).map(|d| d.as_millis()).unwrap_or(0);
        Moment::from_millis(i64::try_from(millis).unwrap_or(i64::MAX))
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A duration as an operator says it: `8 s`, `5 min`, `1 h 30 min`.
#[must_use]
pub fn spoken(duration: Duration) -> String {
    let millis = duration.as_millis();
    let seconds = duration.as_secs();
    match seconds {
        0 if millis == 0 => "0 s".to_owned(),
        0 => format!("{millis} ms"),
        1..=119 => format!("{seconds} s"),
        120..=7199 if seconds.is_multiple_of(60) => format!("{} min", seconds / 60),
        120..=7199 => format!("{} min {} s", seconds / 60, seconds % 60),
        7200..=172_799 => match (seconds / 3600, seconds % 3600 / 60) {
            (hours, 0) => format!("{hours} h"),
            (hours, minutes) => format!("{hours} h {minutes} min"),
        },
        _ => format!("{} days", seconds / 86_400),
    }
}

/// Reads a duration as people write it in configuration: `5s`, `500ms`, `10min`, `10m`, `1h`, `2d`.
///
/// # Errors
/// A sentence that names the text and the accepted forms.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || {
        format!(
            "`{text}` is not a duration; write a number and a unit, such as `500ms`, `5s`, `10min`, `1h` or `2d`"
        )
    };
    let trimmed = text.trim();
    let digits = trimmed.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
    let number: u64 = trimmed[..digits].parse().map_err(|_| wrong())?;
    let unit_millis = match trimmed[digits..].trim() {
        "ms" => 1,
        "s" => 1_000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(wrong()),
    };
    number.checked_mul(unit_millis).map(Duration::from_millis).ok_or_else(wrong)
}

/// (De)serialises a [`Duration`] in the form [`parse_duration`] reads, so that files, the API and the table agree.
pub mod duration_text {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    /// Writes the largest unit that loses nothing.
    ///
    /// # Errors
    /// Those of the serialiser.
    pub fn serialize<S: Serializer>(duration: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&written(*duration))
    }

    /// Reads what [`super::parse_duration`] reads.
    ///
    /// # Errors
    /// A sentence that names the text and the accepted forms.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        let text = String::deserialize(from)?;
        super::parse_duration(&text).map_err(serde::de::Error::custom)
    }

    /// The configuration form of `duration`: `5s`, `10min`.
    #[must_use]
    pub fn written(duration: Duration) -> String {
        let millis = duration.as_millis();
        for (unit, size) in [("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1_000)] {
            if millis >= size && millis.is_multiple_of(size) {
                return format!("{}{unit}", millis / size);
            }
        }
        format!("{millis}ms")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_they_are_written() {
        for (text, millis) in [
            ("0ms", 0),
            ("500ms", 500),
            ("5s", 5_000),
            ("10min", 600_000),
            ("1h", 3_600_000),
            ("2d", 172_800_000),
        ] {
            let duration = parse_duration(text).unwrap();
            assert_eq!(duration, Duration::from_millis(millis), "{text}");
            assert_eq!(duration_text::written(duration), text);
        }
        assert_eq!(parse_duration("10m"), parse_duration("10 min"));
        for bad in ["", "5", "s", "-5s", "5 weeks", "99999999999999999999s", "18446744073709551615h"] {
            assert!(parse_duration(bad).unwrap_err().contains("is not a duration"), "{bad}");
        }
    }

    #[test]
    fn durations_are_spoken_in_two_units_at_most() {
        for (seconds, words) in [
            (0, "0 s"),
            (8, "8 s"),
            (119, "119 s"),
            (120, "2 min"),
            (130, "2 min 10 s"),
            (7200, "2 h"),
            (9000, "2 h 30 min"),
            (200_000, "2 days"),
        ] {
            assert_eq!(spoken(Duration::from_secs(seconds)), words);
        }
        assert_eq!(spoken(Duration::from_millis(20)), "20 ms");
    }

    #[test]
    fn arithmetic_saturates() {
        let late = Moment::from_millis(i64::MAX);
        assert_eq!(late.day(), "9999-12-30", "far, and not the epoch");
        assert_eq!(late + Duration::MAX, late);
        assert_eq!(Moment::EPOCH.since(late), Duration::ZERO);
        assert_eq!(Moment::from_millis(-5), Moment::EPOCH);
        assert_eq!(Moment::from_millis(120_000).tick(Duration::from_secs(60)), 120);
        assert_eq!(Moment::from_millis(119_999).tick(Duration::from_secs(60)), 60);
        assert_eq!(Moment::from_millis(5).tick(Duration::ZERO), 0);
    }

    #[test]
    fn moments_are_rfc_3339() {
        assert_eq!(Moment::from_millis(1_767_321_000_000).to_string(), "2026-01-02T02:30:00Z");
        assert_eq!(Moment::from_millis(1_767_321_000_000).day(), "2026-01-02");
    }
}
