//! `serve`: the server of the one-box home.

use crate::cli::ServeArgs;
use crate::config::{self, Config, EnvConfig};
use crate::exit::{Exit, Failure, Outcome};
use crate::say::{self, Form};

/// Reads the configuration, tells of broken environments, and serves the others until told to stop.
pub(crate) async fn run(form: Form, args: ServeArgs) -> Outcome {
    let mut config = match &args.config {
        Some(file) => config::read(file)?,
        None => Config::without_file(),
    };
    config.listen = args.listen.unwrap_or(config.listen);
    config.data = args.data.unwrap_or(config.data);
    let mut envs = Vec::new();
    for env in std::mem::take(&mut config.envs) {
        match env {
            Ok(env) => envs.push(env),
            Err(broken) => say::note(&format!(
                "{}\nwarning: env `{}` is left out until this is mended",
                broken.why, broken.name
            )),
        }
    }
    if envs.is_empty() {
        return Err(
            Failure::new(Exit::Usage, "no environment is left to look after").hint("mend one of those above")
        );
    }
    serve(config, envs, form).await
}

/// Serves `envs` until told to stop. With [`Form::Json`] the first line on stdout is `{"url":…,"token":…,"env":…}`.
async fn serve(config: Config, envs: Vec<EnvConfig>, form: Form) -> Outcome {
    let _ = (config, envs, form);
    Err(Failure::new(Exit::Failed, "`serve` is not built yet"))
}
