//! `apply`: makes the server look after what a fleet file says.
//!
//! The file is read whole, compared with what the server has, shown, and only then written, each service all or
//! nothing. A service that somebody changed meanwhile is left as it is and told.

mod diff;
mod known;

use futures_util::stream::{self, StreamExt as _};
use lamplighter_core::ServiceId;
use lamplighter_core::settings::Settings;
use serde::Serialize;

use super::ask;
use crate::cli::{ApplyArgs, Global};
use crate::client::{Client, Expect};
use crate::exit::{Exit, Failure, Outcome};
use crate::say::{self, Form};
use crate::{fleet_file, progress};
use diff::{Change, Deed, Diff, Removal};

/// Writes at once: enough to hide the round trip, few enough to be polite.
const WRITES_AT_ONCE: usize = 8;
/// Reads at once, likewise; they are cheaper.
const READS_AT_ONCE: usize = 16;
/// Failed writes that are told one by one.
const MAX_FAILURES_TOLD: usize = 20;

/// What came of it, as JSON.
#[derive(Debug, Serialize)]
struct Report<'d> {
    env: String,
    #[serde(flatten)]
    diff: &'d Diff,
    applied: bool,
    failed: Vec<Failed>,
}

#[derive(Debug, Serialize)]
struct Failed {
    what: String,
    error: String,
}

/// Reads, compares, asks, writes.
pub(super) async fn run(global: &Global, args: ApplyArgs) -> Outcome {
    let fleet = fleet_file::read(&args.fleet)?;
    let (env, wanted) = super::choose_env(fleet, global.env.as_ref(), &args.fleet)?;
    let client = Client::new(&Global { env: Some(env.clone()), ..global.clone() })?;
    let removal = if args.prune { Removal::Remove } else { Removal::Keep };
    let known = known::read(&client, &wanted.services, removal).await?;
    let settings = match wanted.settings {
        Some(wanted) => settings_change(&client, wanted).await?,
        None => None,
    };
    let diff =
        Diff::between(wanted.services, known, removal, settings.as_ref().map(|(_, keys)| keys.clone()));
    let form = global.form();
    if form == Form::Plain {
        say::data(&diff.to_string())?;
    }
    let nothing_to_do = diff.is_empty();
    let go = !nothing_to_do
        && !args.dry_run
        && (args.yes
            || ask::a_person(
                form,
                &format!("Apply this to `{env}`?"),
                "look at the changes with `--dry-run`, then say `--yes`",
            )?);
    let failed = if go { write(&client, &diff, settings.map(|(put, _)| put)).await } else { Vec::new() };
    for failure in failed.iter().take(MAX_FAILURES_TOLD) {
        say::note(&format!("error: {}: {}", failure.what, failure.error));
    }
    if failed.len() > MAX_FAILURES_TOLD {
        say::note(&format!("… and {} more", failed.len() - MAX_FAILURES_TOLD));
    }
    let outcome = match (failed.is_empty(), go, nothing_to_do || args.dry_run) {
        (true, true, _) => Ok(Exit::Ok),
        (true, false, true) => Ok(Exit::Ok),
        (true, false, false) => Err(Failure::new(Exit::Failed, "nothing was changed")),
        (false, ..) => Ok(Exit::Partial),
    };
    if go && form == Form::Plain {
        say::note(&format!("applied {} of {} changes to `{env}`", diff.len() - failed.len(), diff.len()));
    }
    if form == Form::Json {
        say::json(&Report { env: env.to_string(), diff: &diff, applied: go, failed })?;
    }
    outcome
}

/// A change of the settings: what to put, under which condition, and which keys change.
type SettingsChange = ((Settings, Expect), Vec<String>);

async fn settings_change(client: &Client, wanted: Settings) -> Result<Option<SettingsChange>, Failure> {
    let known = client.get::<serde_json::Value>("settings", &[]).await?;
    let keys = diff::changed_keys(&known.body, &wanted);
    let expect = known.etag.map_or(Expect::Anything, Expect::Tag);
    Ok((!keys.is_empty()).then_some(((wanted, expect), keys)))
}

async fn write(client: &Client, diff: &Diff, settings: Option<(Settings, Expect)>) -> Vec<Failed> {
    let mut failed = Vec::new();
    if let Some((settings, expect)) = settings
        && let Err(failure) = client.put("settings", &settings, &expect).await
    {
        failed.push(Failed { what: "settings".to_owned(), error: failure.what });
    }
    let bar = progress::bar(diff.changes.len(), "written");
    let writes = diff.changes.iter().map(|change| {
        let bar = &bar;
        async move {
            let outcome = write_one(client, change).await;
            bar.inc(1);
            outcome
                .err()
                .map(|failure| Failed { what: format!("service `{}`", change.id), error: failure.what })
        }
    });
    failed.extend(
        stream::iter(writes)
            .buffer_unordered(WRITES_AT_ONCE)
            .filter_map(async |failed| failed)
            .collect::<Vec<_>>()
            .await,
    );
    bar.finish_and_clear();
    failed
}

async fn write_one(client: &Client, change: &Change) -> Result<(), Failure> {
    let path = path_of(&change.id);
    match &change.deed {
        Deed::Add(spec) => client.put(&path, spec, &Expect::Nothing).await.map(drop),
        Deed::Change { spec, expect, .. } => client.put(&path, spec, expect).await.map(drop),
        Deed::Remove { expect } => client.delete(&path, expect).await,
    }
}

fn path_of(id: &ServiceId) -> String {
    format!("services/{id}")
}
