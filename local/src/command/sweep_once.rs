//! `sweep --once`: looks at a fleet file's services without a server. Stores nothing, restarts nothing, tells nobody.

use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use futures_util::stream::{self, StreamExt as _};
use indicatif::ProgressBar;

use lamplighter_core::moment::Moment;
use lamplighter_core::report::SweepReport;
use lamplighter_core::settings::Settings;
use lamplighter_core::sight::{Look, NotLooked, Sight};
use lamplighter_core::spec::{Lifecycle, ServiceSpec};
use lamplighter_core::{EnvName, ServiceId};
use lamplighter_remote::{Pool, Remote, RemoteConfig};
use serde::Serialize;

use crate::cli::{Global, SweepArgs};
use crate::exit::{Exit, Failure, Outcome};
use crate::fleet_file;
use crate::progress;
use crate::say::{self, Form, Ink};

/// The report as JSON: the sweep's own report, and what was seen of each service.
#[derive(Debug, Serialize)]
struct Report<'s> {
    env: &'s EnvName,
    #[serde(flatten)]
    report: SweepReport,
    services: Vec<Seen<'s>>,
}

/// What was seen of one service.
#[derive(Debug, Serialize)]
struct Seen<'s> {
    id: &'s ServiceId,
    address: String,
    /// `up`, `down`, `unreachable` or `unknown`.
    sight: &'static str,
    /// The same in words, with the reason.
    because: String,
    took_ms: u64,
}

/// Sweeps once.
pub(super) async fn run(global: &Global, args: SweepArgs) -> Outcome {
    let file = args.fleet.as_deref().unwrap_or(Path::new("fleet.toml"));
    let fleet = fleet_file::read(file)?;
    let (name, env) = super::choose_env(fleet, global.env.as_ref(), file)?;
    let settings = env.settings.unwrap_or_default();
    let concurrency = args.concurrency.unwrap_or(settings.concurrency);

    let base_dir = file.parent().unwrap_or(Path::new("")).to_owned();
    let config = RemoteConfig {
        pool: Pool::None,
        allowed_networks: args.allow_network,
        ..RemoteConfig::new(base_dir)
    };
    let remote = Remote::new(config).map_err(|error| Failure::new(Exit::Failed, error.to_string()))?;

    let began = Instant::now();
    let now = Moment::from(SystemTime::now());
    let ready = env.services.iter().filter(|spec| spec.lifecycle == Lifecycle::Ready).count();
    let bar = progress::bar(ready, "looked at");
    let looks = look_at_all(&remote, &env.services, &settings, concurrency, &bar).await;
    bar.finish_and_clear();
    remote.close().await;

    let mut report = tally(&looks);
    report.tick = now.tick(settings.every);
    report.skipped += u32::try_from(env.services.len() - ready).unwrap_or(u32::MAX);
    report.duration_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    print(global.form(), &name, report, &looks)?;
    let all_well = report.all_healthy() && looks.iter().all(|(_, look)| look.sight == Sight::Up);
    Ok(if all_well { Exit::Ok } else { Exit::Partial })
}

/// Takes one look at each service that is ready, so many at once, within the sweep's limit. Never fails.
///
/// A look that was not begun in time is `unknown`; one that was begun is clipped to what is left.
async fn look_at_all<'s>(
    remote: &Remote,
    services: &'s [ServiceSpec],
    settings: &Settings,
    concurrency: u32,
    bar: &ProgressBar,
) -> Vec<(&'s ServiceSpec, Look)> {
    let until = Instant::now() + settings.sweep_limit();
    let ready = services.iter().filter(|spec| spec.lifecycle == Lifecycle::Ready);
    let concurrency = usize::try_from(concurrency).unwrap_or(1).max(1);
    let looks = stream::iter(ready).map(|spec| async move {
        let left = until.saturating_duration_since(Instant::now());
        let now = Moment::from(SystemTime::now());
        let look = if left.is_zero() {
            Look::not_taken(now, NotLooked::OutOfTime)
        } else {
            look(remote, spec, now, left).await
        };
        bar.inc(1);
        (spec, look)
    });
    let mut looks: Vec<_> = looks.buffer_unordered(concurrency).collect().await;
    looks.sort_by(|(a, _), (b, _)| a.id.cmp(&b.id));
    looks
}

/// One look in a task of its own: a panic in it is that service's, not the sweep's.
async fn look(remote: &Remote, spec: &ServiceSpec, now: Moment, left: Duration) -> Look {
    let (remote, spec) = (remote.clone(), spec.clone());
    let look = tokio::spawn(async move { remote.look(&spec, now, left).await });
    look.await.unwrap_or_else(|_| Look::not_taken(now, NotLooked::OurFault))
}

fn tally(looks: &[(&ServiceSpec, Look)]) -> SweepReport {
    let mut report = SweepReport::default();
    for (_, look) in looks {
        match &look.sight {
            Sight::Up => report.healthy += 1,
            Sight::Down(_) => report.unhealthy += 1,
            Sight::Unreachable(_) => report.unreachable += 1,
            Sight::Unknown(NotLooked::OutOfTime | NotLooked::OurFault) => {
                report.skipped += 1;
                continue;
            }
            Sight::Unknown(NotLooked::Starting | NotLooked::Blind) => {}
        }
        report.checked += 1;
    }
    report
}

fn print(
    form: Form,
    env: &EnvName,
    report: SweepReport,
    looks: &[(&ServiceSpec, Look)],
) -> std::io::Result<()> {
    match form {
        Form::Json => {
            let services = looks.iter().map(|(spec, look)| seen(spec, look)).collect();
            say::json(&Report { env, report, services })
        }
        Form::Plain => {
            let bad =
                looks.iter().filter(|(_, look)| look.sight != Sight::Up).map(|(spec, look)| row(spec, look));
            let rows: Vec<Vec<String>> = bad.collect();
            say::data(&say::table(&rows))?;
            say::data(&format!("{}\n", report.summary()))
        }
    }
}

fn seen<'s>(spec: &'s ServiceSpec, look: &Look) -> Seen<'s> {
    Seen {
        id: &spec.id,
        address: spec.address.to_string(),
        sight: look.sight.as_str(),
        because: look.sight.to_string(),
        took_ms: u64::try_from(look.took.as_millis()).unwrap_or(u64::MAX),
    }
}

fn row(spec: &ServiceSpec, look: &Look) -> Vec<String> {
    let (ink, because) = match &look.sight {
        Sight::Up => (Ink::Green, String::new()),
        Sight::Down(fault) => (Ink::Red, fault.to_string()),
        Sight::Unreachable(fault) => (Ink::Red, fault.to_string()),
        Sight::Unknown(why) => (Ink::Yellow, why.to_string()),
    };
    vec![spec.id.to_string(), say::ink(ink, look.sight.as_str()), spec.address.to_string(), because]
}
