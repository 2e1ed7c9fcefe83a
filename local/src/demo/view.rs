//! The demo's lines on a terminal: one for each thing that happens.

use lamplighter_core::Moment;
use lamplighter_core::decision::{LiveEvent, LiveStatus};

use super::rollouts::Told;

/// Whether lines may be coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ink {
    /// With ANSI colours.
    Coloured,
    /// Plain text.
    Plain,
}

/// What happened to a service: `02:30:05  vps-003     restarting      down: unit is not active; restart at once, attempt 1 of 3`.
#[must_use]
pub fn event_line(event: &LiveEvent, ink: Ink) -> String {
    let (word, colour) = match event.status {
        LiveStatus::Healthy => ("healthy", 32),
        LiveStatus::Unhealthy => ("unhealthy", 33),
        LiveStatus::Restarting => ("restarting", 36),
        LiveStatus::RestartFailed => ("restart failed", 31),
        LiveStatus::Failed => ("breaker open", 35),
    };
    // What a failed restart came to stands in its message; its `because` is still that of the attempt.
    let details = match event.status {
        LiveStatus::RestartFailed => &event.message,
        LiveStatus::Healthy | LiveStatus::Unhealthy | LiveStatus::Restarting | LiveStatus::Failed => {
            &event.because
        }
    };
    line(event.timestamp, event.service.as_str(), &inked(word, colour, ink), details)
}

/// What the weather does: `02:30:01  ~ the process of vps-003 is killed`.
#[must_use]
pub fn weather_line(at: Moment, told: &str, ink: Ink) -> String {
    format!("{}  {}", clock(at), inked(&format!("~ {told}"), 90, ink).trim_end())
}

/// What becomes of a rollout: `02:30:09  shop-1      running         stage 1 passed; stage 2 begins`.
#[must_use]
pub fn rollout_line(at: Moment, told: &Told, ink: Ink) -> String {
    match told {
        Told::Deed(deed) => weather_line(at, deed, ink),
        Told::Progress { id, status, because } => {
            let colour = match status.as_str() {
                "completed" => 32,
                "halted" | "halting" | "aborted" | "aborting" | "rolling_back" => 31,
                _ => 36,
            };
            let because = because.strip_prefix(&format!("{status}: ")).unwrap_or(because);
            line(at, id.as_str(), &inked(&status.replace('_', " "), colour, ink), because)
        }
        Told::Failed { id, status, because } => {
            line(at, id.as_str(), &inked(&status.as_str().replace('_', " "), 31, ink), because)
        }
    }
}

fn line(at: Moment, service: &str, status: &str, details: &str) -> String {
    format!("{}  {service:<10}  {status}  {details}", clock(at)).trim_end().to_owned()
}

/// Hours, minutes and seconds in UTC.
fn clock(at: Moment) -> String {
    at.to_string().chars().skip("2026-01-02T".len()).take("02:30:00".len()).collect()
}

/// Padded before it is coloured, so that columns stay columns.
fn inked(word: &str, colour: u8, ink: Ink) -> String {
    match ink {
        Ink::Coloured => format!("\u{1b}[{colour}m{word:<14}\u{1b}[0m"),
        Ink::Plain => format!("{word:<14}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_keep_their_columns() {
        let at = Moment::from_millis(1_767_321_005_000);
        let mut event = LiveEvent {
            service: "vps-003".parse().unwrap(),
            status: LiveStatus::Restarting,
            message: "attempt 1 of 3".to_owned(),
            because: "down: unit is not active; restart at once, attempt 1 of 3".to_owned(),
            timestamp: at,
        };
        assert_eq!(
            event_line(&event, Ink::Plain),
            "02:30:05  vps-003     restarting      down: unit is not active; restart at once, attempt 1 of 3"
        );
        event.status = LiveStatus::RestartFailed;
        assert_eq!(event_line(&event, Ink::Plain), "02:30:05  vps-003     restart failed  attempt 1 of 3");
        assert_eq!(
            weather_line(at, "somebody stops vps-001", Ink::Plain),
            "02:30:05  ~ somebody stops vps-001"
        );
        assert!(weather_line(at, "x", Ink::Coloured).contains("\u{1b}[90m"));
    }

    #[test]
    fn a_rollout_is_told_in_the_same_columns() {
        let at = Moment::from_millis(1_767_321_005_000);
        let line = |told| rollout_line(at, &told, Ink::Plain);
        let because = "halted: 1 of 1 failed in stage 1, more than 30 %".to_owned();
        let (id, status) = ("shop-2".parse().unwrap(), "halted".to_owned());
        assert_eq!(
            line(Told::Progress { id, status, because }),
            "02:30:05  shop-2      halted          1 of 1 failed in stage 1, more than 30 %"
        );
        let (id, status) = ("vps-001".parse().unwrap(), lamplighter_core::rollout::RowStatus::RolledBack);
        assert_eq!(
            line(Told::Failed { id, status, because: "install failed".to_owned() }),
            "02:30:05  vps-001     rolled back     install failed"
        );
        assert_eq!(line(Told::Deed("somebody pushes".to_owned())), "02:30:05  ~ somebody pushes");
    }
}
