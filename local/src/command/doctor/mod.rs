//! `doctor`: finds what a newcomer gets wrong, and says what to do about each.
//!
//! It looks and asks, and changes nothing: not on the hosts, not in the store, not in any file.

mod finding;
mod here;
mod host;

use std::path::{Path, PathBuf};

use lamplighter_core::spec::ServiceSpec;
use lamplighter_remote::network::Network;

use crate::cli::DoctorArgs;
use crate::exit::{Exit, Outcome};
use crate::fleet_file;
use crate::say::Form;
use crate::source::Refused;
use finding::{Finding, Findings};

/// Examines what was named. Ends with 1 if anything fails.
pub(super) async fn run(form: Form, args: &DoctorArgs) -> Outcome {
    let mut findings = Findings::new(form);
    if let Some(file) = &args.config {
        config(file, &mut findings).await?;
    }
    if let Some(file) = &args.fleet {
        match fleet_file::read_without_host_keys(file) {
            Ok(fleet) => {
                findings.add(Finding::ok(&file.display().to_string(), "the fleet file makes sense"))?;
                for env in fleet.envs.into_values() {
                    host::examine(file, env.services, Vec::new(), &mut findings).await?;
                }
            }
            Err(refused) => tell_refused(&refused, &mut findings)?,
        }
    }
    findings.finish()?;
    Ok(if findings.any_failed() { Exit::Failed } else { Exit::Ok })
}

/// Examines what `serve --config` would use: the file, the port, the data folder, the mail, and the fleets.
async fn config(file: &Path, findings: &mut Findings) -> std::io::Result<()> {
    let config = match crate::config::read(file) {
        Ok(config) => config,
        Err(refused) => return tell_refused(&refused, findings),
    };
    findings.add(Finding::ok(&file.display().to_string(), "the configuration makes sense"))?;
    let ours = here::port(config.listen, findings).await?;
    here::mail(&config, findings).await?;
    for env in &config.envs {
        match env {
            Ok(env) => {
                here::data(&config.data, &env.name, ours, findings).await?;
                let services: Vec<ServiceSpec> = env.fleet.clone().unwrap_or_default();
                let networks: Vec<Network> = config.allowed_networks.clone();
                host::examine(file, services, networks, findings).await?;
            }
            Err(broken) => tell_refused(&broken.why, findings)?,
        }
    }
    Ok(())
}

fn tell_refused(refused: &Refused, findings: &mut Findings) -> std::io::Result<()> {
    for problem in &refused.problems {
        let place: PathBuf = refused.file.clone();
        let about = match problem.line {
            0 => place.display().to_string(),
            line => format!("{}:{line}:{}", place.display(), problem.column),
        };
        let what = match problem.whose.as_str() {
            "" => problem.what.clone(),
            whose => format!("{whose}: {}", problem.what),
        };
        findings.add(Finding { hint: problem.hint.clone(), ..Finding::fail(&about, what) })?;
    }
    if refused.more > 0 {
        findings.add(Finding::fail(
            &refused.file.display().to_string(),
            format!("{} more problems", refused.more),
        ))?;
    }
    Ok(())
}
