//! `demo`: a small fleet of demo hosts, weather that breaks them, and the server that looks after them.

use std::collections::BTreeSet;
use std::fs;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use lamplighter_app::{Clock, Env};
use lamplighter_core::settings::Settings;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::cli::DemoArgs;
use crate::config::{Config, EnvConfig};
use crate::demo::release::{BROKEN, FLAWED, MAIN};
use crate::demo::rollouts::{self, Told};
use crate::demo::view::{Ink, event_line, rollout_line, weather_line};
use crate::demo::{DemoFleet, Weather, fleet, weather};
use crate::exit::{Exit, Failure, Outcome};
use crate::logging;
use crate::say::{self, Form};
use crate::serve::{House, told_to_stop};

/// The demo sweeps as often as any home may, so that its first minute shows something.
const EVERY: Duration = Duration::from_secs(5);
/// How often the demo looks for new letters to show.
const LETTERS_EVERY: Duration = Duration::from_millis(500);
/// The key of an earlier demo in the same folder.
const OLD_KEY: &str = "demo_ed25519";

/// Starts the demo and shows it until Ctrl-C.
pub(super) async fn run(form: Form, args: DemoArgs) -> Outcome {
    logging::start_quietly();
    let temporary = match &args.data {
        Some(_) => None,
        None => Some(
            tempfile::Builder::new()
                .prefix("lamplighter-demo-")
                .tempdir()
                .map_err(|error| failed("making a folder", &error))?,
        ),
    };
    let data = match (&args.data, &temporary) {
        (Some(data), _) => data.clone(),
        (None, Some(folder)) => folder.path().to_owned(),
        (None, None) => PathBuf::from("."),
    };
    fs::create_dir_all(&data).map_err(|error| failed("making the data folder", &error))?;
    if let Err(error) = fs::remove_file(data.join(OLD_KEY))
        && error.kind() != std::io::ErrorKind::NotFound
    {
        return Err(failed("removing the key of an earlier demo", &error));
    }
    let hosts = fleet(&data).await.map_err(|error| Failure::new(Exit::Failed, format!("{error:#}")))?;
    let outcome = Box::pin(show(form, &args, &data, &hosts)).await;
    hosts.stop().await;
    outcome
}

async fn show(form: Form, args: &DemoArgs, data: &Path, hosts: &DemoFleet) -> Outcome {
    let mut config = Config::without_file();
    config.data = data.to_owned();
    config.listen = args.listen.unwrap_or_else(|| std::net::SocketAddr::from(([127, 0, 0, 1], 0)));
    let admins = ["ops@example.com".parse()].into_iter().flatten().collect();
    let settings = Settings { every: EVERY, admins, ..Settings::default() };
    let envs: Vec<EnvConfig> = std::mem::take(&mut config.envs)
        .into_iter()
        .flatten()
        .map(|env| EnvConfig { settings: Some(settings.clone()), fleet: Some(hosts.specs()), ..env })
        .collect();
    let house = House::open(&config, envs).await?;
    let told = told_to_stop();
    house.announce(form, data)?;
    let Some(env) = house.first_env().cloned() else { return Ok(Exit::Failed) };
    welcome(hosts);
    let stopping = CancellationToken::new();
    let ended = stopping.clone();
    let server = house.run(async move { ended.cancelled().await });
    let ink = if std::io::stderr().is_terminal()
        && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
    {
        Ink::Coloured
    } else {
        Ink::Plain
    };
    let stories = async {
        let (busy, looks) = watch::channel(false);
        let gusts = weather::pass(Weather::new(rand::random()), hosts, looks.clone(), &stopping, |gust| {
            say::note(&weather_line(Clock::System.now(), &gust.told(hosts.residents()), ink));
        });
        let tell = |told: Told| say::note(&rollout_line(Clock::System.now(), &told, ink));
        let pushes = rollouts::push(&env, hosts, looks, &stopping, tell);
        let progress = rollouts::follow(&env, &busy, &stopping, tell);
        let folder = data.join("letters");
        let (events, letters) = (events(&env, &stopping, ink), letters(&folder, &stopping, ink));
        tokio::join!(gusts, pushes, progress, events, letters);
    };
    let stop = async {
        told.await;
        say::note("stopping …");
        stopping.cancel();
    };
    tokio::join!(server, stories, stop);
    Ok(Exit::Ok)
}

fn welcome(hosts: &DemoFleet) {
    let (services, machines) = (hosts.residents().len(), hosts.hosts().len());
    say::note(&format!(
        "{services} services on {machines} demo hosts, each with an SSH server of its own, swept every {} s.\n\
         Things will break now: a `~` line says what, the lines after it what Lamplighter did. Ctrl-C ends it.",
        EVERY.as_secs()
    ));
    say::note(&match hosts.releases() {
        Some(_) => format!(
            "Now and then a release is rolled out. Start one yourself: `lamplighter rollout start shop --branch {MAIN}`;\n\
             `--branch {FLAWED}` cannot be installed on one host, and `--branch {BROKEN}` starts nowhere.\n"
        ),
        None => "There is no `git` on this machine, so nothing is rolled out.\n".to_owned(),
    });
}

/// Shows what the engine commits.
async fn events(env: &Arc<Env>, stopping: &CancellationToken, ink: Ink) {
    let mut live = env.listen();
    loop {
        let row = tokio::select! {
            () = stopping.cancelled() => return,
            row = live.recv() => row,
        };
        match row {
            Ok(row) => say::note(&event_line(&row.event, ink)),
            Err(RecvError::Lagged(missed)) => say::note(&format!("({missed} lines left out)")),
            Err(RecvError::Closed) => return,
        }
    }
}

/// Shows the subject of each letter as it is written.
async fn letters(folder: &Path, stopping: &CancellationToken, ink: Ink) {
    let mut shown = BTreeSet::new();
    loop {
        tokio::select! {
            () = stopping.cancelled() => return,
            () = tokio::time::sleep(LETTERS_EVERY) => {}
        }
        let Ok(entries) = fs::read_dir(folder) else { continue };
        let mut new: Vec<PathBuf> =
            entries.flatten().map(|entry| entry.path()).filter(|path| !shown.contains(path)).collect();
        new.retain(|path| path.extension().is_some_and(|extension| extension == "eml"));
        new.sort();
        for path in new {
            if let Ok(text) = fs::read_to_string(&path) {
                let told = format!("letter to {}: {}", header(&text, "To"), header(&text, "Subject"));
                say::note(&weather_line(Clock::System.now(), &told, ink));
            }
            shown.insert(path);
        }
    }
}

/// A header of a letter, unfolded.
fn header(letter: &str, name: &str) -> String {
    let mut lines = letter.lines().skip_while(|line| !line.starts_with(&format!("{name}: ")));
    let first = lines.next().unwrap_or_default();
    let folded = lines.take_while(|line| line.starts_with(' ')).map(str::trim_start);
    let mut value = first.split_once(": ").map_or_else(String::new, |(_, value)| value.to_owned());
    for part in folded {
        value.push(' ');
        value.push_str(part);
    }
    value
}

fn failed(doing: &str, error: &std::io::Error) -> Failure {
    Failure::new(Exit::Failed, format!("{doing}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::header;

    #[test]
    fn folded_subjects_are_shown_whole() {
        let letter =
            "From: a\r\nSubject: [prod] x is DOWN: unit\r\n is not active\r\nTo: ada@example.com\r\n\r\nbody";
        assert_eq!(header(letter, "Subject"), "[prod] x is DOWN: unit is not active");
        assert_eq!(header(letter, "To"), "ada@example.com");
        assert_eq!(header(letter, "Bcc"), "");
    }
}
