//! The bill of a month, from what was measured.

use lamplighter_core::bill::{
    ALARM_METRICS, Counts, IDLE_POLLS, MONTH_DAYS, PRICES_AS_OF, REQUESTS_PER_MESSAGE, SCHEDULES, WRITE_UNIT,
    bill, total, total_beyond_free,
};
use lamplighter_tests::aws::MEGABYTES;

use super::shard::{Call, Shard};
use super::{ROUND_TRIP, SERVICES};

/// Calls of a process until Lambda replaces it, one in a minute: somewhat more than an hour and a half.
const COLD_SHARE: f64 = 0.01;
/// Ticks of a month.
const TICKS: f64 = 1_440.0 * MONTH_DAYS as f64;
/// What a message costs as its part of a batch of ten that sends it.
const SENT_AS_ONE_OF_TEN: f64 = 0.1;
/// A key is read this often in a month by each process.
const KEY_READS: f64 = 24.0 * MONTH_DAYS as f64;
/// What a process has consumed is written down this often in a month, at a unit each.
const LEDGER_WRITES: f64 = 6.0 * 24.0 * MONTH_DAYS as f64;
/// Calls each minute besides the sweeps': `recover`, `advance`, `notify`. With nothing intended none of them rings.
const SMALL_CALLS: f64 = 3.0;

/// Who is looked after, and what was promised for it, in dollars before any free tier and without egress.
struct Case<'a> {
    name: &'a str,
    services: f64,
    share: Share,
    swept: &'a [Shard; 3],
    keys: f64,
    promised: Option<f64>,
}

/// How many hosts are silent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Share {
    /// One in a thousand, in half of all shards.
    OneInAThousand,
    /// One in a hundred.
    OneInAHundred,
}

/// Prints the bills.
pub(super) fn project(
    ssh: &[Shard; 3],
    http: &[Shard; 3],
    https: &[Shard; 3],
    quiet: &[(&'static str, Call)],
) {
    let case =
        |name, services, share, swept, keys, promised| Case { name, services, share, swept, keys, promised };
    let cases = [
        case("1k SSH", 1e3, Share::OneInAThousand, ssh, 1.0, Some(1.0)),
        case("1k, 1 %", 1e3, Share::OneInAHundred, ssh, 1.0, None),
        case("10k SSH", 1e4, Share::OneInAThousand, ssh, 1.0, Some(10.0)),
        case("10k, 1 %", 1e4, Share::OneInAHundred, ssh, 1.0, None),
        case("100k HTTP", 1e5, Share::OneInAThousand, http, 0.0, Some(60.0)),
        case("100k, 1 %", 1e5, Share::OneInAHundred, http, 0.0, None),
        case("100k HTTPS", 1e5, Share::OneInAThousand, https, 0.0, None),
    ];
    println!(
        "\na month of {MONTH_DAYS} days in dollars, before free tiers, prices of us-east-1 as of {PRICES_AS_OF}; swept each minute, hosts {} ms away,\n\
         0.1 % of them silent (or 1 %), {:.0} % of calls cold",
        ROUND_TRIP.as_millis(),
        COLD_SHARE * 100.0
    );
    let bills = cases.each_ref().map(|case| bill(&counts(case, quiet)));
    row("", cases.iter().map(|case| case.name.to_owned()));
    for number in 0..bills[0].len() {
        let what = bills[0][number].what;
        if !what.starts_with("egress") {
            row(what, bills.iter().map(|lines| dollars(lines[number].dollars)));
        }
    }
    let egress = |lines: &[lamplighter_core::bill::Line<'_>]| lines.last().map_or(0.0, |line| line.dollars);
    row("without egress", bills.iter().map(|lines| dollars(total(lines) - egress(lines))));
    row(
        "after the free tiers",
        bills.iter().map(|lines| {
            let egress = lines.last().map_or(0.0, |line| line.beyond_free);
            dollars(total_beyond_free(lines) - egress)
        }),
    );
    row("egress", bills.iter().map(|lines| dollars(egress(lines))));
    row(
        "of what is promised",
        cases.iter().zip(&bills).map(|(case, lines)| {
            let spent = total(lines) - egress(lines);
            case.promised.map_or(String::new(), |promised| format!("{:.2}", spent / promised))
        }),
    );
    row("a write for each look", cases.iter().map(|case| dollars(case.services * TICKS * WRITE_UNIT)));
}

fn row(what: &str, cells: impl Iterator<Item = String>) {
    let cells: String = cells.map(|cell| format!("{cell:>11}")).collect();
    println!("  {what:<30}{cells}");
}

fn dollars(dollars: f64) -> String {
    format!("{dollars:.3}")
}

/// Requests of one message of so many that are sent at once, by ten.
fn rung(together: f64) -> f64 {
    let alone = REQUESTS_PER_MESSAGE - SENT_AS_ONE_OF_TEN;
    alone + (together / 10.0).ceil() / together.max(1.0)
}

#[expect(clippy::cast_precision_loss, reason = "counts here are far below 2^52")]
fn counts(case: &Case<'_>, quiet: &[(&'static str, Call)]) -> Counts {
    let shards = (case.services / SERVICES as f64).ceil();
    let sweeps = shards * TICKS;
    let [none, one, many] = case.swept;
    let of = |value: &dyn Fn(&Shard) -> f64| match case.share {
        Share::OneInAThousand => (value(none) + value(one)) / 2.0,
        Share::OneInAHundred => value(many),
    };
    let swept = |value: fn(&Call) -> f64| {
        of(&|shard| value(&shard.warm) * (1.0 - COLD_SHARE) + value(&shard.cold) * COLD_SHARE) * sweeps
    };
    let small = |value: fn(&Call) -> f64| quiet.iter().map(|(_, call)| value(call) * TICKS).sum::<f64>();
    let both = |value: fn(&Call) -> f64| swept(value) + small(value);
    let processes = shards + 4.0;
    Counts {
        read_units: both(|call| call.units.read),
        write_units: both(|call| call.units.written) + processes * LEDGER_WRITES,
        calls: sweeps + SMALL_CALLS * TICKS,
        gigabyte_seconds: both(|call| call.billed.as_secs_f64()) * f64::from(MEGABYTES) / 1_024.0,
        schedules: SCHEDULES,
        queue_requests: IDLE_POLLS + (shards - 1.0) * TICKS * rung(shards - 1.0),
        alarm_metrics: ALARM_METRICS,
        log_gigabytes: both(|call| call.called.log_bytes as f64) / 1e9,
        decryptions: case.keys * shards * KEY_READS,
        egress_gigabytes: of(&|shard| shard.egress_bytes as f64) * sweeps / 1e9,
        ..Counts::default()
    }
}
