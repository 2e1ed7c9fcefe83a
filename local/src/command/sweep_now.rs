//! `sweep`: has the server look at every service now, and waits for what it sees.

use std::time::{Duration, Instant};

use lamplighter_core::moment::{duration_text, spoken};
use lamplighter_core::report::SweepReport;
use lamplighter_core::settings::Mode;
use lamplighter_core::sight::one_line;
use serde::Deserialize;
use serde_json::{Value, json};

use super::when;
use crate::cli::SweepArgs;
use crate::client::Client;
use crate::exit::{Exit, Failure, Outcome};
use crate::progress;
use crate::say::{self, Form};

/// How often it is asked whether the sweep is done.
const ASK_EVERY: Duration = Duration::from_millis(500);
/// Intervals that a new report may take: a sweep under way, and the one that was asked for.
const INTERVALS: u32 = 2;
/// Sweeps are numbered by the second: two in one second are one.
const NEXT_NUMBER: Duration = Duration::from_millis(1_100);

/// What of the settings says how long to wait.
#[derive(Debug, Deserialize)]
struct Pace {
    #[serde(with = "duration_text")]
    every: Duration,
    mode: Mode,
}

/// What the server answers when it is asked for a sweep.
#[derive(Debug, Deserialize)]
struct Asked {
    last_tick: Option<u64>,
}

/// The last report, with what is in trouble.
#[derive(Debug, Deserialize)]
struct Latest {
    #[serde(flatten)]
    report: SweepReport,
    #[serde(default)]
    troubles: Vec<Trouble>,
    #[serde(default)]
    blind: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Trouble {
    id: String,
    because: String,
}

/// Asks for a sweep, or tells the server that the failures are real; then waits. Ends with 5 if something is not
/// healthy, and with 3 while too much fails at once for anything to be restarted.
pub(super) async fn run(client: &Client, form: Form, args: &SweepArgs) -> Outcome {
    let pace: Pace = client.get("settings", &[]).await?.body;
    if pace.mode == Mode::Off {
        return Err(Failure::new(Exit::Refused, format!("`{}` is off: nothing is looked at", client.env()))
            .hint("set its `mode` to `observe` or `act`, and apply that"));
    }
    let last = ask(client, args).await?;
    let answer = newer(client, last, pace.every * INTERVALS).await?;
    let latest = Latest::deserialize(&answer)
        .map_err(|error| Failure::new(Exit::Failed, format!("the report is not understood: {error}")))?;
    match form {
        Form::Json => say::json(&answer)?,
        Form::Plain => {
            let row = |trouble: &Trouble| vec![one_line(&trouble.id, 64), one_line(&trouble.because, 200)];
            say::data(&say::table(&latest.troubles.iter().map(row).collect::<Vec<_>>()))?;
            say::data(&format!("{}\n", latest.report.summary()))?;
        }
    }
    if let Some(because) = &latest.blind {
        say::note(&format!("restarts are paused: {}", one_line(because, 300)));
        return Ok(Exit::Halted);
    }
    let all_well = latest.report.all_healthy() && latest.troubles.is_empty();
    Ok(if all_well { Exit::Ok } else { Exit::Partial })
}

/// Rings the bell; again a second later if a sweep has just had this second's number. Answers the last sweep's number.
async fn ask(client: &Client, args: &SweepArgs) -> Result<Option<u64>, Failure> {
    let order = if args.go_on { json!({ "go_on": true }) } else { json!({}) };
    let asked = ring(client, &order).await?;
    let second = u64::try_from(when::now().as_secs()).unwrap_or_default();
    if asked.last_tick.is_some_and(|tick| tick.abs_diff(second) <= 1) {
        tokio::time::sleep(NEXT_NUMBER).await;
        ring(client, &json!({})).await?;
    }
    Ok(asked.last_tick)
}

async fn ring(client: &Client, order: &Value) -> Result<Asked, Failure> {
    let answer = client.post("sweeps", order).await?;
    Asked::deserialize(&answer).map_err(|error| {
        Failure::new(Exit::Failed, format!("the server's answer is not understood: {error}"))
    })
}

/// The first report after `last`.
async fn newer(client: &Client, last: Option<u64>, limit: Duration) -> Result<Value, Failure> {
    let spinner = progress::spinner("looking at every service");
    let until = Instant::now() + limit;
    loop {
        // A first sweep may not be done yet: then there is no report, which is no failure here.
        match client.get::<Value>("sweeps/latest", &[]).await {
            Ok(answer) => {
                let tick = answer.body.get("tick").and_then(Value::as_u64);
                if tick > last {
                    spinner.finish_and_clear();
                    return Ok(answer.body);
                }
            }
            Err(failure) if last.is_none() && failure.exit == Exit::Failed => {}
            Err(failure) => return Err(failure),
        }
        if Instant::now() >= until {
            let what = format!("no sweep was finished within {}", spoken(limit));
            return Err(Failure::new(Exit::Failed, what)
                .hint("`lamplighter health` says when the last one was, and the server's log says why"));
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
}
