//! Time as people read it at night: when by the clock, in UTC as letters have it, and how long ago.

use std::time::{Duration, SystemTime};

use lamplighter_core::moment::{Moment, spoken};

/// This moment. Read once by a command, so that all it prints fits together.
pub(super) fn now() -> Moment {
    Moment::from(SystemTime::now())
}

/// `03:38:50` today, `2026-01-01 03:38:50` on another day.
pub(super) fn clock(now: Moment, at: Moment) -> String {
    let text = at.to_string();
    let time: String = text.chars().skip("2026-01-02T".len()).take("02:30:00".len()).collect();
    if at.day() == now.day() { time } else { format!("{} {time}", at.day()) }
}

/// `03:38:50 UTC, 12 s ago`; the clock of the server may be a little ahead of this one.
pub(super) fn since(now: Moment, at: Moment) -> String {
    format!("{} UTC, {}", clock(now, at), ago(now, at))
}

/// `12 s ago`, `2 min ago`.
pub(super) fn ago(now: Moment, at: Moment) -> String {
    match now.since(at).as_secs() {
        0 => "just now".to_owned(),
        secs => format!("{} ago", spoken(Duration::from_secs(secs))),
    }
}

/// The largest unit alone and without a space, for a column of a table: `12s`, `3min`, `5h`, `8d`.
pub(super) fn age(now: Moment, at: Moment) -> String {
    match now.since(at).as_secs() {
        secs @ 0..=119 => format!("{secs}s"),
        secs @ 120..=7_199 => format!("{}min", secs / 60),
        secs @ 7_200..=172_799 => format!("{}h", secs / 3_600),
        secs => format!("{}d", secs / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_told_by_the_clock_and_from_now() {
        let at = Moment::from_millis(1_767_321_000_900);
        let later = |secs| at + Duration::from_secs(secs);
        assert_eq!(since(later(0), at), "02:30:00 UTC, just now");
        assert_eq!(since(later(130), at), "02:30:00 UTC, 2 min 10 s ago");
        assert_eq!(clock(later(86_400), at), "2026-01-02 02:30:00");
        assert_eq!(ago(Moment::EPOCH, at), "just now", "the server's clock is ahead");
        let ages = [0, 119, 120, 7_199, 7_200, 200_000].map(|secs| age(later(secs), at));
        assert_eq!(ages, ["0s", "119s", "2min", "119min", "2h", "2d"]);
    }
}
