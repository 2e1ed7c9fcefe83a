//! `cost`: what was consumed of the store, by whom, and what that would cost.

use lamplighter_core::moment::Moment;
use serde::Deserialize;
use serde_json::Value;

use super::{outline, when};
use crate::client::Client;
use crate::exit::{Exit, Outcome};
use crate::say::{self, Form};

/// The server's answer, as far as it is shown.
#[derive(Debug, Deserialize)]
struct Cost {
    since: Moment,
    verbs: Vec<Row>,
    total: Consumed,
    #[serde(default)]
    projection: Option<Projection>,
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
    dollars: f64,
}

#[derive(Debug, Deserialize)]
struct Projection {
    days: u32,
    read_units: f64,
    write_units: f64,
    dollars: f64,
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

fn told(cost: &Cost, now: Moment) -> String {
    let cells = |name: &str, row: &Consumed| {
        let dollars = format!("${:.4}", row.dollars);
        let units = [row.read_units, row.write_units].map(|units| format!("{units:.1}"));
        let [read, write] = units;
        vec![name.to_owned(), row.calls.to_string(), read, write, dollars]
    };
    let head = ["", "calls", "read units", "write units", "on AWS"].map(str::to_owned).to_vec();
    let spent = cost.verbs.iter().filter(|row| row.consumed.calls > 0);
    let mut rows = vec![head];
    rows.extend(spent.map(|row| cells(&row.verb, &row.consumed)));
    rows.push(cells("in all", &cost.total));
    let month = match &cost.projection {
        Some(month) => format!(
            "{} days like this: {:.0} read and {:.0} write units, ${:.2} on AWS ({}, prices of {})",
            month.days,
            month.read_units,
            month.write_units,
            month.dollars,
            cost.prices.region,
            cost.prices.as_of
        ),
        None => "too early to say what a month would cost: ask again in a minute".to_owned(),
    };
    format!("counted since {}\n{}{month}\n", when::since(now, cost.since), say::table(&rows))
}
