//! `events`: what happened today, oldest first; of one service all that is kept; with `--follow` also what happens.

use std::io::ErrorKind;
use std::time::Duration;

use serde::Deserialize as _;
use serde_json::Value;

use super::happening::{self, Happening};
use super::when;
use crate::cli::EventsArgs;
use crate::client::{Client, Page};
use crate::exit::{Exit, Failure, Outcome};
use crate::say::{self, Form};

/// How often `--follow` asks: as often as a person can read a line.
const FOLLOW_EVERY: Duration = Duration::from_secs(2);
/// Events asked for at once.
const PAGE_EVENTS: &str = "200";
/// Most pages printed without `--follow`: the busiest day of a large fleet.
const MAX_PAGES: usize = 500;

/// Prints what there is, and then what comes.
pub(super) async fn run(client: &Client, form: Form, args: &EventsArgs) -> Outcome {
    let printed = match &args.service {
        Some(id) if args.after.is_none() && !args.follow => {
            history(client, form, &format!("services/{id}/events")).await
        }
        Some(_) | None => live(client, form, args).await,
    };
    match printed {
        Ok(()) => Ok(Exit::Ok),
        // `| head` has read enough.
        Err(Stop::ReaderGone) => Ok(Exit::Ok),
        Err(Stop::Failed(failure)) => Err(failure),
    }
}

/// Why printing ended early.
enum Stop {
    ReaderGone,
    Failed(Failure),
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Stop::Failed(failure)
    }
}

/// All that is kept of one service. The server tells it newest first, in pages.
async fn history(client: &Client, form: Form, path: &str) -> Result<(), Stop> {
    let mut events: Vec<Value> = client.list(path, &[]).await?;
    events.reverse();
    if events.is_empty() && form == Form::Plain {
        say::note("nothing has happened to it in the last 30 days");
    }
    print(form, &events)
}

/// The live events from a cursor, or from today's first.
async fn live(client: &Client, form: Form, args: &EventsArgs) -> Result<(), Stop> {
    let (mut after, mut pages, mut any, mut lost) = (args.after.clone(), 0, false, false);
    loop {
        let mut query = vec![("limit", PAGE_EVENTS)];
        query.extend(after.as_deref().map(|cursor| ("after", cursor)));
        let page = match client.get::<Page>("events", &query).await {
            Ok(answer) => answer.body,
            // A server that is started anew is waited for, once it has been seen.
            Err(failure) if args.follow && pages > 0 && failure.exit == Exit::Unreachable => {
                if !lost {
                    say::note(&format!("{}; trying again …", failure.what));
                }
                lost = true;
                tokio::time::sleep(FOLLOW_EVERY).await;
                continue;
            }
            Err(failure) => return Err(failure.into()),
        };
        (pages, lost) = (pages + 1, false);
        let more = page.next.is_some() && page.next != after;
        let wanted: Vec<Value> = page.items.into_iter().filter(|event| is_wanted(event, args)).collect();
        any |= !wanted.is_empty();
        print(form, &wanted)?;
        after = page.next.or(after);
        match (more, args.follow) {
            (true, true) => {}
            (true, false) if pages < MAX_PAGES => {}
            (true, false) | (false, false) => {
                if let (Form::Plain, Some(cursor)) = (form, &after) {
                    let what = if any { "later ones" } else { "nothing happened; later events" };
                    say::note(&format!("{what} with `--after {cursor}`"));
                } else if form == Form::Plain {
                    say::note("nothing happened today");
                }
                return Ok(());
            }
            (false, true) => tokio::time::sleep(FOLLOW_EVERY).await,
        }
    }
}

fn is_wanted(event: &Value, args: &EventsArgs) -> bool {
    args.service.as_ref().is_none_or(|id| event.get("service").and_then(Value::as_str) == Some(id.as_str()))
}

/// One event a line, in both forms: a program can read them as they come.
fn print(form: Form, events: &[Value]) -> Result<(), Stop> {
    let text = match form {
        Form::Json => events.iter().map(|event| format!("{event}\n")).collect(),
        Form::Plain => {
            let now = when::now();
            let all: Vec<Happening> =
                events.iter().filter_map(|event| Happening::deserialize(event).ok()).collect();
            let row = |one: &Happening| {
                let [at, word, details] = one.cells(now);
                // Pages that come one by one keep their columns.
                let word = say::padded(&word, happening::WORD_WIDTH);
                vec![at, one.service.clone().unwrap_or_default(), word, details]
            };
            say::table(&happening::told(&all).map(row).collect::<Vec<_>>())
        }
    };
    say::data_while_read(&text).map_err(|error| {
        if error.kind() == ErrorKind::BrokenPipe { Stop::ReaderGone } else { Stop::Failed(error.into()) }
    })
}
