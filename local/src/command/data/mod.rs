//! `data`: saves an environment's store to a file, fills an empty one, or offers it to other programs of this machine. The
//! server must not be running on it.

mod serve;
mod table;

use std::path::Path;
use std::time::SystemTime;

use lamplighter_core::EnvName;
use lamplighter_core::causes::in_one_line;
use lamplighter_core::moment::Moment;
use lamplighter_store::{ExportError, Exported, Purpose, Store};

use crate::cli::{DataVerb, Global, Kept};
use crate::config::{DEFAULT_ENV, data_file};
use crate::exit::{Exit, Failure, Outcome};
use crate::say::{self, Form};

/// Exports, imports, or serves.
pub(super) async fn run(global: &Global, verb: DataVerb) -> Outcome {
    let env = match &global.env {
        Some(env) => env.clone(),
        None => DEFAULT_ENV.parse().map_err(|error| Failure::new(Exit::Usage, format!("{error}")))?,
    };
    match verb {
        DataVerb::Export { kept, to } => {
            let store = open_existing(&kept, &env).await?;
            let exported = match &to {
                Some(to) => export_to_file(&store, to, &kept).await?,
                None => {
                    let mut text = Vec::new();
                    let exported = store.export(&mut text).await.map_err(|error| not_moved(&kept, &error))?;
                    say::data(&String::from_utf8_lossy(&text))?;
                    exported
                }
            };
            tell(global.form(), "saved", &exported, &env);
        }
        DataVerb::Import { kept, from } => {
            let imported = import(&kept, &env, &from).await?;
            tell(global.form(), "read", &imported, &env);
        }
        DataVerb::Serve { data, listen } => serve::run(global.form(), &data, &env, listen).await?,
    }
    Ok(Exit::Ok)
}

fn tell(form: Form, words: &str, exported: &Exported, env: &EnvName) {
    match form {
        Form::Plain => {
            say::note(&format!("{words} {} items of `{env}`, sha256 {}", exported.items, exported.sha256))
        }
        Form::Json => say::note(&serde_json::to_string(exported).unwrap_or_default()),
    }
}

async fn import(kept: &Kept, env: &EnvName, from: &Path) -> Result<Exported, Failure> {
    let mut file = std::fs::File::open(from).map_err(|error| {
        Failure::new(Exit::Usage, format!("`{}` cannot be read: {error}", from.display()))
    })?;
    let store = open_any(kept, env, Purpose::Import).await?;
    let imported = store.import(&mut file, Moment::from(SystemTime::now())).await;
    let imported = imported.map_err(|error| not_moved(kept, &error))?;
    if kept.table.is_some() {
        table::tell_of_what_stays_behind(&store).await?;
    }
    Ok(imported)
}

/// Opens what is to be saved: a folder without it would be made otherwise.
async fn open_existing(kept: &Kept, env: &EnvName) -> Result<Store, Failure> {
    if let Some(data) = &kept.data {
        must_exist(data, env)?;
    }
    open_any(kept, env, Purpose::Work).await
}

fn must_exist(data: &Path, env: &EnvName) -> Result<(), Failure> {
    if data_file(data, env).is_file() {
        return Ok(());
    }
    let what = format!("there is no data of `{env}` in `{}`", data.display());
    Err(Failure::new(Exit::Usage, what)
        .hint("`--data` is the folder that `serve` keeps its data in; `--env` names the environment"))
}

async fn open_any(kept: &Kept, env: &EnvName, purpose: Purpose) -> Result<Store, Failure> {
    match (&kept.data, &kept.table) {
        (Some(data), _) => open_folder(data, env, purpose).await,
        (None, Some(table)) => table::open(table, env, purpose).await,
        (None, None) => {
            Err(Failure::new(Exit::Usage, "neither `--data` nor `--table` says where the data is"))
        }
    }
}

async fn open_folder(data: &Path, env: &EnvName, purpose: Purpose) -> Result<Store, Failure> {
    make_folder(data)?;
    let now = Moment::from(SystemTime::now());
    let opened = Store::open_file_for(purpose, &data_file(data, env), env, now).await;
    opened.map_err(|error| failed(&error))
}

fn make_folder(data: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(data)
        .map_err(|error| Failure::new(Exit::Failed, format!("making `{}`: {error}", data.display())))
}

/// Writes beside the file and renames: a broken export never replaces a good one. Only its owner may read it.
async fn export_to_file(store: &Store, to: &Path, kept: &Kept) -> Result<Exported, Failure> {
    let failed_writing =
        |error: std::io::Error| Failure::new(Exit::Failed, format!("writing `{}`: {error}", to.display()));
    let folder = match to.parent() {
        Some(folder) if folder != Path::new("") => folder,
        Some(_) | None => Path::new("."),
    };
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(failed_writing)?;
    let exported = store.export(file.as_file_mut()).await;
    let exported = exported.map_err(|error| not_moved(kept, &error))?;
    file.as_file().sync_all().map_err(failed_writing)?;
    file.persist(to).map_err(|error| failed_writing(error.error))?;
    Ok(exported)
}

fn not_moved(kept: &Kept, error: &ExportError) -> Failure {
    match &kept.table {
        Some(table) => table::not_moved(table, error),
        None => failed(error),
    }
}

fn failed(error: &dyn std::error::Error) -> Failure {
    let (what, hint) = crate::source::split(&in_one_line(error));
    Failure { exit: Exit::Failed, what, hint }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_saved_fills_an_empty_store_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to, copy) =
            (folder.path().join("a"), folder.path().join("b"), folder.path().join("copy.jsonl"));
        let env: EnvName = "prod".parse().unwrap();
        drop(open_folder(&from, &env, Purpose::Work).await.unwrap());
        let global = Global { url: None, token_file: None, env: None, json: false };
        let kept = |data: &Path| Kept { data: Some(data.to_owned()), table: None };
        let export = DataVerb::Export { kept: kept(&from), to: Some(copy.clone()) };
        assert_eq!(run(&global, export).await, Ok(Exit::Ok));
        let import = |data: &Path| DataVerb::Import { kept: kept(data), from: copy.clone() };
        assert_eq!(run(&global, import(&to)).await, Ok(Exit::Ok));
        assert!(data_file(&to, &env).is_file());

        std::fs::write(&copy, "not an export\n").unwrap();
        let failure = run(&global, import(&folder.path().join("c"))).await.unwrap_err();
        assert!(failure.exit == Exit::Failed && failure.what.contains("line 1"), "{failure}");

        let held = open_folder(&from, &env, Purpose::Work).await.unwrap();
        let failure = run(&global, DataVerb::Export { kept: kept(&from), to: None }).await.unwrap_err();
        assert!(failure.what.contains("in use by another process"), "{failure}");
        drop(held);
    }
}
