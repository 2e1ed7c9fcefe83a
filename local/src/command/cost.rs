//! `cost`: what was consumed of the store, by whom, and what that would cost.

use lamplighter_core::bill::Line;
use lamplighter_core::moment::Moment;
use serde::Deserialize;
use serde_json::Value;

use super::{outline, when};
use crate::client::Client;
use crate::exit::{Exit, Outcome};
use crate::say::{self, Form};

/// The server's answer, as far as it is shown.
#[derive(Debug, Deserialize)]
struct Cost<'a> {
    since: Moment,
    verbs: Vec<Row>,
    total: Consumed,
    #[serde(default, borrow)]
    projection: Option<Projection<'a>>,
    prices: Prices,
}

#[derive(Debug, Deserialize)]
struct Row {
    verb: String,
    #[serde(flatten)]
    consumed: Consumed,
}

#[derive(Debug, Deserialize)]
struct Consumed {
    calls: u64,
    read_units: f64,
    write_units: f64,
    #[serde(default)]
    runs: u64,
    #[serde(default)]
    milliseconds: u64,
    #[serde(default)]
    letters: u64,
    dollars: f64,
}

#[derive(Debug, Deserialize)]
struct Projection<'a> {
    days: u32,
    read_units: f64,
    write_units: f64,
    #[serde(default, borrow)]
    lines: Vec<Line<'a>>,
    dollars: f64,
    /// Unknown to older servers.
    #[serde(default)]
    dollars_beyond_free_tiers: Option<f64>,
}

#[derive(Debug, Deserialize)]
struct Prices {
    region: String,
    as_of: String,
}

/// Shows it.
pub(super) async fn run(client: &Client, form: Form) -> Outcome {
    let answer: Value = client.get("cost", &[]).await?.body;
    match (form, Cost::deserialize(&answer)) {
        (Form::Json, _) => say::json(&answer)?,
        (Form::Plain, Ok(cost)) => say::data(&told(&cost, when::now()))?,
        // A newer server may say it in another shape.
        (Form::Plain, Err(_)) => outline::print(form, &answer)?,
    }
    Ok(Exit::Ok)
}

fn told(cost: &Cost<'_>, now: Moment) -> String {
    let cells = |name: &str, row: &Consumed| {
        let dollars = format!("${:.4}", row.dollars);
        let units = [row.read_units, row.write_units].map(|units| format!("{units:.1}"));
        let [read, write] = units;
        let runs = [row.runs, row.milliseconds, row.letters].map(|count| count.to_string());
        let [runs, millis, letters] = runs;
        vec![name.to_owned(), row.calls.to_string(), read, write, dollars, runs, millis, letters]
    };
    let head = ["", "calls", "read units", "write units", "table on AWS", "runs", "ms", "letters"];
    let head = head.map(str::to_owned).to_vec();
    let spent = cost.verbs.iter().filter(|row| row.consumed.calls > 0 || row.consumed.runs > 0);
    let mut rows = vec![head];
    rows.extend(spent.map(|row| cells(&row.verb, &row.consumed)));
    rows.push(cells("in all", &cost.total));
    let month = match &cost.projection {
        Some(month) => format!(
            "{} days like this: {:.0} read and {:.0} write units, ${:.2} on AWS{} ({}, prices of {})\n{}",
            month.days,
            month.read_units,
            month.write_units,
            month.dollars,
            month.dollars_beyond_free_tiers.map_or(String::new(), |dollars| format!(
                ", ${dollars:.2} after the free tiers of an account that runs nothing else"
            )),
            cost.prices.region,
            cost.prices.as_of,
            say::table(&month.lines.iter().map(line).collect::<Vec<_>>())
        ),
        None => "too early to say what a month would cost: ask again in a minute".to_owned(),
    };
    format!("counted since {}\n{}{month}\n", when::since(now, cost.since), say::table(&rows))
}

/// A line of the bill.
fn line(line: &Line<'_>) -> Vec<String> {
    vec![String::new(), line.what.to_owned(), format!("{:.0}", line.count), format!("${:.2}", line.dollars)]
}
