//! What a month on AWS costs, from counts: each line of the bill, and its sum. Prices are those of us-east-1, functions on
//! arm64; before any free tier, and after those that an account keeps for ever.

use serde::{Deserialize, Serialize};

/// When these prices were valid. DynamoDB's are those since its price cut of November 2024.
pub const PRICES_AS_OF: &str = "2024-11-01";
/// A write unit of the table, in US dollars.
pub const WRITE_UNIT: f64 = 0.625e-6;
/// A read unit of the table, in US dollars.
pub const READ_UNIT: f64 = 0.125e-6;
/// Days of the month that is projected.
pub const MONTH_DAYS: u32 = 30;
/// Alarms of the stack, each of one metric.
pub const ALARM_METRICS: f64 = 5.0;
/// Calls of the four schedules in a month.
pub const SCHEDULES: f64 = 4.0 * 1_440.0 * 30.0;
/// Requests in a month by which an event source asks an idle queue: five long polls at a time, of 20 s each.
pub const IDLE_POLLS: f64 = 5.0 * 3.0 * 1_440.0 * 30.0;
/// Requests that one message of the queue costs besides its part of a batch of ten that sends it: received, and deleted.
pub const REQUESTS_PER_MESSAGE: f64 = 2.1;

/// What is counted in a month.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Counts {
    /// Read units of the table.
    pub read_units: f64,
    /// Write units of the table.
    pub write_units: f64,
    /// Calls of functions.
    pub calls: f64,
    /// Their memory times their time, in gigabyte-seconds.
    pub gigabyte_seconds: f64,
    /// Requests to the API.
    pub requests: f64,
    /// Calls of schedules.
    pub schedules: f64,
    /// Requests to the queue, idle polling among them.
    pub queue_requests: f64,
    /// Metrics that alarms look at.
    pub alarm_metrics: f64,
    /// Logs taken in, in gigabytes.
    pub log_gigabytes: f64,
    /// Letters.
    pub letters: f64,
    /// Keys and secrets decrypted.
    pub decryptions: f64,
    /// What leaves AWS for the hosts, in gigabytes.
    pub egress_gigabytes: f64,
}

/// A line of the bill.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Line<'a> {
    /// What is paid for.
    pub what: &'a str,
    /// How much of it.
    pub count: f64,
    /// What all of that costs, in US dollars.
    pub dollars: f64,
    /// What is left of that after the account's free tier, if nothing else in the account uses it. Of tiers that end with an
    /// account's first year nothing is taken off.
    #[serde(default)]
    pub beyond_free: f64,
}

/// The bill of a month. Egress is the last line: it is paid for the fleet's own traffic, whatever looks at it.
#[must_use]
pub fn bill(counts: &Counts) -> [Line<'static>; 12] {
    // Each price with what it is for one of, and how many of these are free each month.
    [
        ("table: write units", counts.write_units, WRITE_UNIT, 0.0),
        ("table: read units", counts.read_units, READ_UNIT, 0.0),
        ("functions: gigabyte-seconds", counts.gigabyte_seconds, 13.3334e-6, 400e3),
        ("functions: calls", counts.calls, 0.20e-6, 1e6),
        ("queue: requests", counts.queue_requests, 0.40e-6, 1e6),
        ("schedules: calls", counts.schedules, 1.00e-6, 14e6),
        ("alarms: metrics", counts.alarm_metrics, 0.10, 10.0),
        ("logs: gigabytes", counts.log_gigabytes, 0.50, 5.0),
        ("API: requests", counts.requests, 1.00e-6, 0.0),
        ("keys: decryptions", counts.decryptions, 3.0e-6, 20e3),
        ("letters", counts.letters, 0.10e-3, 0.0),
        ("egress: gigabytes", counts.egress_gigabytes, 0.09, 100.0),
    ]
    .map(|(what, count, price, free)| Line {
        what,
        count,
        dollars: count * price,
        beyond_free: (count - free).max(0.0) * price,
    })
}

/// What all lines cost together.
#[must_use]
pub fn total(lines: &[Line<'_>]) -> f64 {
    lines.iter().map(|line| line.dollars).sum()
}

/// What all lines cost together after the account's free tiers.
#[must_use]
pub fn total_beyond_free(lines: &[Line<'_>]) -> f64 {
    lines.iter().map(|line| line.beyond_free).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_env_that_does_nothing_costs_its_alarms_schedules_and_idle_polls() {
        let counts = Counts {
            alarm_metrics: ALARM_METRICS,
            schedules: SCHEDULES,
            queue_requests: IDLE_POLLS,
            ..Counts::default()
        };
        let lines = bill(&counts);
        assert!((total(&lines) - (0.5 + 0.1728 + 0.2592)).abs() < 1e-9, "{}", total(&lines));
        assert_eq!(total_beyond_free(&lines), 0.0, "all of that is within the free tiers");
    }

    #[test]
    fn free_tiers_are_taken_off_each_line_and_never_more_than_there_is() {
        let counts = Counts {
            write_units: 1e6,
            calls: 3e6,
            queue_requests: 1_000.0,
            egress_gigabytes: 101.0,
            ..Counts::default()
        };
        let lines = bill(&counts);
        let beyond = 0.625 + 2.0 * 0.20 + 0.09;
        assert!((total_beyond_free(&lines) - beyond).abs() < 1e-9, "{}", total_beyond_free(&lines));
        assert!(lines.iter().all(|line| line.beyond_free <= line.dollars));
    }

    #[test]
    fn a_million_of_each_costs_what_the_price_list_says() {
        let million = 1e6;
        let counts = Counts {
            read_units: million,
            write_units: million,
            calls: million,
            requests: million,
            letters: million,
            ..Counts::default()
        };
        let of = |what: &str| bill(&counts).iter().find(|line| line.what == what).map(|line| line.dollars);
        for (what, dollars) in [
            ("table: write units", 0.625),
            ("table: read units", 0.125),
            ("functions: calls", 0.2),
            ("API: requests", 1.0),
            ("letters", 100.0),
        ] {
            assert!((of(what).unwrap() - dollars).abs() < 1e-9, "{what}");
        }
    }
}
