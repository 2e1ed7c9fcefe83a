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
            beyond_free_tiers(month),
            cost.prices.region,
            cost.prices.as_of,
            say::table(&month.lines.iter().map(line).collect::<Vec<_>>())
        ),
        None => "too early to say what a month would cost: ask again in a minute".to_owned(),
    };
    format!("counted since {}\n{}{month}\n", when::since(now, cost.since), say::table(&rows))
}

/// What an account's free tiers leave of it, where they take anything off.
fn beyond_free_tiers(month: &Projection<'_>) -> String {
    let less = month.dollars_beyond_free_tiers.filter(|left| *left < month.dollars);
    less.map_or(String::new(), |left| {
        format!(", ${left:.2} after the free tiers of an account that runs nothing else")
    })
}

/// A line of the bill.
fn line(line: &Line<'_>) -> Vec<String> {
    vec![String::new(), line.what.to_owned(), format!("{:.0}", line.count), format!("${:.2}", line.dollars)]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_free_tiers_take_off_is_told_where_they_do() {
        for (left, told_of) in [
            (json!(0.18), Some("$1.65 on AWS, $0.18 after the free tiers")),
            (json!(1.65), None),
            (json!(null), None),
        ] {
            let consumed = json!({"calls": 1, "read_units": 0.5, "write_units": 1.0, "dollars": 0.0});
            let answer = json!({
                "since": "2026-01-02T00:00:00Z", "verbs": [], "total": consumed,
                "projection": {"days": 30, "read_units": 1.0, "write_units": 2.0, "lines": [], "dollars": 1.65,
                    "dollars_beyond_free_tiers": left},
                "prices": {"region": "us-east-1", "as_of": "2024-11-01"},
            });
            let said = told(&Cost::deserialize(&answer).unwrap(), Moment::from_millis(1_767_315_600_000));
            match told_of {
                Some(words) => assert!(said.contains(words), "{said}"),
                None => assert!(said.contains("$1.65 on AWS (us-east-1"), "{said}"),
            }
        }
    }
}
