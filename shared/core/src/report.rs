//! What one sweep amounted to.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The report of one sweep over one shard or, added up, over an env.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SweepReport {
    /// The sweep's number: the second it was scheduled for, since 1970.
    pub tick: u64,
    /// Services a look was taken at, whatever it saw.
    pub checked: u32,
    /// Of these, up.
    pub healthy: u32,
    /// Of these, down.
    pub unhealthy: u32,
    /// Of these, unreachable.
    pub unreachable: u32,
    /// Services left to `recover`: a restart is under way or being waited for.
    pub restarting: u32,
    /// Services not looked at: not ready, held, updating, or out of time.
    pub skipped: u32,
    /// Services that were healthy when the sweep began.
    pub were_healthy: u32,
    /// Of these, not up now. What the blindness guard counts.
    pub turned_bad: u32,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
}

impl SweepReport {
    /// Adds another shard's report of the same tick; the slowest shard's duration counts.
    pub fn add(&mut self, other: &SweepReport) {
        self.tick = self.tick.max(other.tick);
        self.checked += other.checked;
        self.healthy += other.healthy;
        self.unhealthy += other.unhealthy;
        self.unreachable += other.unreachable;
        self.restarting += other.restarting;
        self.skipped += other.skipped;
        self.were_healthy += other.were_healthy;
        self.turned_bad += other.turned_bad;
        self.duration_ms = self.duration_ms.max(other.duration_ms);
    }

    /// The one line that a sweep logs: `sweep 4711 done in 0.82s: 12 checked, 11 healthy, 1 restarting`.
    #[must_use]
    pub fn summary(&self) -> String {
        let seconds = Duration::from_millis(self.duration_ms).as_secs_f64();
        let mut line = format!(
            "sweep {} done in {seconds:.2}s: {} checked, {} healthy",
            self.tick, self.checked, self.healthy
        );
        let parts = [
            (self.unhealthy, "unhealthy"),
            (self.unreachable, "unreachable"),
            (self.restarting, "restarting"),
            (self.skipped, "skipped"),
        ];
        for (count, what) in parts.into_iter().filter(|(count, _)| *count > 0) {
            line.push_str(&format!(", {count} {what}"));
        }
        line
    }

    /// True if every service looked at was up and none was left out for lack of time or health.
    #[must_use]
    pub fn all_healthy(&self) -> bool {
        self.checked == self.healthy && self.restarting == 0
    }
}
