//! `events`: what happened, oldest first; with `--follow` also what happens.

use std::time::Duration;

use lamplighter_core::sight::one_line;
use serde_json::Value;

use super::services;
use crate::cli::EventsArgs;
use crate::client::Client;
use crate::exit::{Exit, Outcome};
use crate::say::{self, Form};

/// How often `--follow` asks: as often as a person can read a line.
const FOLLOW_EVERY: Duration = Duration::from_secs(2);

#[derive(Debug, serde::Deserialize)]
struct Page {
    items: Vec<Value>,
    #[serde(default)]
    next: Option<String>,
}

/// Prints a page, or page after page.
pub(super) async fn run(client: &Client, form: Form, args: &EventsArgs) -> Outcome {
    let path = match &args.service {
        Some(id) => format!("services/{id}/events"),
        None => "events".to_owned(),
    };
    let mut after = args.after.clone();
    loop {
        let query: Vec<(&str, &str)> = after.as_deref().map(|cursor| ("after", cursor)).into_iter().collect();
        let page: Page = client.get(&path, &query).await?.body;
        for event in &page.items {
            print(form, event)?;
        }
        let last =
            page.items.last().and_then(|event| event.get("id")).and_then(Value::as_str).map(str::to_owned);
        let more = page.next.is_some() && !page.items.is_empty();
        after = page.next.or(last).or(after);
        if !args.follow {
            if let (true, Form::Plain, Some(cursor)) = (more, form, &after) {
                say::note(&format!("more with `--after {cursor}`"));
            }
            return Ok(Exit::Ok);
        }
        if !more {
            tokio::time::sleep(FOLLOW_EVERY).await;
        }
    }
}

/// One event a line, in both forms: a program can read them as they come.
fn print(form: Form, event: &Value) -> std::io::Result<()> {
    match form {
        Form::Json => say::data(&format!("{event}\n")),
        Form::Plain => {
            let text = |key: &str| event.get(key).and_then(Value::as_str).unwrap_or_default();
            let words: Vec<String> = ["message", "because"]
                .map(text)
                .iter()
                .filter(|words| !words.is_empty())
                .map(|words| one_line(words, 200))
                .collect();
            let (at, service) = (one_line(text("timestamp"), 40), one_line(text("service"), 64));
            say::data(&say::table(&[vec![at, service, services::status(text("status")), words.join("; ")]]))
        }
    }
}
