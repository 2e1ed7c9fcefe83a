//! `serve`: the server of the one-box home.

use std::fs;
use std::future::Future;
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use lamplighter_app::people::may_become;
use lamplighter_app::rollouts::keep_seeking;
use lamplighter_app::{Clock, Env, EnvParts, Sweeps, hand};
use lamplighter_core::causes::in_one_line;
use lamplighter_core::{EnvName, Moment};
use lamplighter_http::{Home, SecretText, mint_token, router};
use lamplighter_notify::{Place, Post};
use lamplighter_remote::{Pool, Remote, RemoteConfig};
use lamplighter_store::{Commit, Expected, Put, Scope, Store, Verb};
use serde::Serialize;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::cli::ServeArgs;
use crate::config::{self, Config, EnvConfig};
use crate::exit::{Exit, Failure, Outcome};
use crate::say::{self, Form};
use crate::{logging, watchdog};

/// Connections kept by an env that has not said how many services it has: one for each of a middling fleet.
const KEPT_CONNECTIONS: usize = 2_048;
/// The sender of letters where no mail server is configured.
const FOLDER_SENDER: &str = "lamplighter@localhost";
/// How long a stop waits for answers that are being written.
pub(crate) const ANSWERS_GRACE: Duration = Duration::from_secs(5);

/// Reads the configuration, tells of broken environments, and serves the others until told to stop.
pub(crate) async fn run(form: Form, args: ServeArgs) -> Outcome {
    logging::start();
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
    serve(&config, envs, form).await
}

/// Serves `envs` until told to stop. With [`Form::Json`] the first line on stdout is `{"url":…,"token":…,"env":…}`.
async fn serve(config: &Config, envs: Vec<EnvConfig>, form: Form) -> Outcome {
    let house = House::open(config, envs).await?;
    let stop = told_to_stop();
    house.announce(form, &config.data)?;
    house.run(stop).await;
    Ok(Exit::Ok)
}

/// A running server: its envs, its door, and what it has to say once.
pub(crate) struct House {
    listener: TcpListener,
    url: String,
    envs: Vec<Opened>,
    home: Arc<Home>,
}

/// One env, opened.
struct Opened {
    env: Arc<Env>,
    remote: Remote,
    /// The admin token, if this was the first start.
    token: Option<SecretText>,
}

/// The line that scripts read.
#[derive(Serialize)]
struct Announcement<'a> {
    url: &'a str,
    token: Option<&'a str>,
    env: &'a str,
}

impl House {
    /// Takes the address and the data files. An env that cannot be opened is told of and left out.
    ///
    /// # Errors
    /// If the address is taken, the folder cannot be used, or no env is left.
    pub(crate) async fn open(config: &Config, envs: Vec<EnvConfig>) -> Result<House, Failure> {
        let listener = TcpListener::bind(config.listen).await.map_err(|error| {
            Failure::new(Exit::Failed, format!("cannot listen on {}: {error}", config.listen))
                .hint("stop what uses the port (`ss -ltnp` shows it), or choose another with `--listen`")
        })?;
        let local = listener
            .local_addr()
            .map_err(|error| Failure::new(Exit::Failed, format!("no local address: {error}")))?;
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&config.data).map_err(|error| {
            Failure::new(
                Exit::Failed,
                format!("cannot use the data folder `{}`: {error}", config.data.display()),
            )
            .hint("choose a folder that this user may write, with `--data`")
        })?;
        let started = Clock::System.now();
        let post = match &config.post {
            Some(post) => post.clone(),
            None => letters_as_files(&config.data)?,
        };
        let mut opened = Vec::new();
        for env in envs {
            let name = env.name.clone();
            match open_env(config, &post, env, started).await {
                Ok(env) => opened.push(env),
                Err(failure) => {
                    say::note(&format!("{failure}\nwarning: env `{name}` is left out until this is mended"))
                }
            }
        }
        if opened.is_empty() {
            return Err(
                Failure::new(Exit::Failed, "no environment could be opened").hint("mend one of those above")
            );
        }
        let home = Home::new(opened.iter().map(|one| one.env.clone()), started, env!("CARGO_PKG_VERSION"))
            .with_secrets_in(&config.data);
        tell_of_hooks(&home).await?;
        Ok(House { listener, url: format!("http://{local}"), envs: opened, home: Arc::new(home) })
    }

    /// The first env.
    pub(crate) fn first_env(&self) -> Option<&Arc<Env>> {
        self.envs.first().map(|one| &one.env)
    }

    /// Says where it is. A first admin token goes to stdout for scripts, and otherwise into a file: a terminal is often
    /// a log.
    pub(crate) fn announce(&self, form: Form, data: &Path) -> Result<(), Failure> {
        for (index, opened) in self.envs.iter().enumerate() {
            let name = opened.env.name();
            let token = opened.token.as_ref().map(SecretText::expose);
            if form == Form::Json && index == 0 {
                let line = Announcement { url: &self.url, token, env: name.as_str() };
                let line = serde_json::to_string(&line)
                    .map_err(|error| Failure::new(Exit::Failed, error.to_string()))?;
                say::data(&format!("{line}\n"))
                    .map_err(|error| Failure::new(Exit::Failed, error.to_string()))?;
            } else if let Some(token) = token {
                let file = data.join(format!("{name}.admin-token"));
                write_secret(&file, token).map_err(|error| {
                    Failure::new(
                        Exit::Failed,
                        format!("cannot write the first admin token to `{}`: {error}", file.display()),
                    )
                })?;
                say::note(&format!(
                    "first start of env `{name}`: its admin token is in `{}`",
                    file.display()
                ));
                say::note(&format!(
                    "  try: lamplighter --url {} --token-file {} --env {name} services",
                    self.url,
                    file.display()
                ));
            }
        }
        say::note(&format!("lamplighter is at {}, its API is described at {}/docs", self.url, self.url));
        Ok(())
    }

    /// Looks after its envs until `stop`, each in a task of its own, then ends in good order.
    pub(crate) async fn run(self, stop: impl Future<Output = ()>) {
        let stopping = CancellationToken::new();
        let signs = watchdog::Signs::new(self.envs.len());
        let mut hands = tokio::task::JoinSet::new();
        for (index, opened) in self.envs.iter().enumerate() {
            let (env, stopping, signs) = (opened.env.clone(), stopping.clone(), signs.clone());
            let (same, stopped) = (env.clone(), stopping.clone());
            hands.spawn(async move { keep_seeking(&same, stopped).await });
            hands.spawn(async move { hand::run(&env, stopping, |status| signs.beat(index, status)).await });
        }
        let closing = stopping.clone();
        let service = router(self.home.clone()).into_make_service_with_connect_info::<std::net::SocketAddr>();
        let server = tokio::spawn(async move {
            let closed = async move { closing.cancelled().await };
            axum::serve(self.listener, service).with_graceful_shutdown(closed).await
        });
        watchdog::ready();
        stop.await;
        watchdog::stopping();
        tracing::info!("stopping: what is under way is finished, nothing is begun");
        stopping.cancel();
        while let Some(ended) = hands.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "an env's loops ended badly");
            }
        }
        // A stream of live events would never end by itself.
        if tokio::time::timeout(ANSWERS_GRACE, server).await.is_err() {
            tracing::debug!("answers still being written are cut off");
        }
        for opened in &self.envs {
            opened.remote.close().await;
        }
        tracing::info!("stopped");
    }
}

/// Says which hooks cannot prove anything: their calls are refused until that is mended.
async fn tell_of_hooks(home: &Home) -> Result<(), Failure> {
    for env in home.envs() {
        let problems = home.unusable_secrets(env).await.map_err(|error| {
            Failure::new(Exit::Failed, format!("env `{}`: {}", env.name(), in_one_line(&error)))
        })?;
        for problem in problems {
            say::note(&format!("warning: env `{}`: {problem}", env.name()));
        }
    }
    Ok(())
}

/// Opens an env: its data file, its ways to hosts and people, and what the files say of it.
async fn open_env(config: &Config, post: &Post, env: EnvConfig, now: Moment) -> Result<Opened, Failure> {
    let file = config::data_file(&config.data, &env.name);
    let store = Store::open_file(&file, &env.name, now).await.map_err(|error| {
        Failure::new(Exit::Failed, format!("env `{}`: {}", env.name, in_one_line(&error)))
    })?;
    let failed = |error: &dyn std::error::Error| {
        Failure::new(Exit::Failed, format!("env `{}`: {}", env.name, in_one_line(error)))
    };
    apply_files(&store, &env, now).await.map_err(|error| failed(&error))?;
    let remote = Remote::new(RemoteConfig {
        base_dir: config.data.clone(),
        pool: Pool::Keep { most: env.fleet.as_ref().map_or(0, Vec::len).max(KEPT_CONNECTIONS) },
        allowed_networks: config.allowed_networks.clone(),
        vault: None,
    })
    .map_err(|error| failed(&error))?;
    let running = Env::new(EnvParts {
        name: env.name.clone(),
        store: store.clone(),
        hosts: Arc::new(remote.clone()),
        courier: Arc::new(post.clone()),
        place: Place { base_url: config.public_url.clone(), cli: command_line(&env.name) },
        clock: Clock::System,
        owner: owner(),
        sweeps: Sweeps::Together,
    });
    let token = first_token(&running).await?;
    Ok(Opened { env: Arc::new(running), remote, token })
}

/// Puts what the files say into the store. Services that only the store has are left alone: an API may have added them.
async fn apply_files(
    store: &Store,
    env: &EnvConfig,
    now: Moment,
) -> Result<(), lamplighter_store::StoreError> {
    let store = store.for_verb(Verb::Api);
    if let Some(settings) = &env.settings {
        let (version, stored) = store.settings().await?;
        if stored != *settings && matches!(store.put_settings(version, settings).await?, Commit::Stale) {
            tracing::warn!(env = %env.name, "the settings changed while they were applied; the stored ones hold");
        }
    }
    let (mut added, mut changed) = (0_u32, 0_u32);
    let any_rollout = store.app_states().await?.iter().any(|app| app.active.is_some());
    for spec in env.fleet.iter().flatten() {
        let there = if any_rollout { store.load_service(&spec.id).await? } else { None };
        if let Some(Err(refused)) = there.map(|placed| may_become(&placed, spec, now)) {
            say::note(&format!(
                "warning: env `{}`: {refused}; what the fleet file says of it is applied at the next start",
                env.name
            ));
            continue;
        }
        match store.put_service(spec, Expected::Any, now).await? {
            Put::Created { .. } => added += 1,
            Put::Replaced { .. } => changed += 1,
            Put::Unchanged { .. } | Put::Stale => {}
        }
    }
    if added + changed > 0 {
        tracing::info!(env = %env.name, added, changed, "fleet file applied: {added} services added, {changed} changed");
    }
    Ok(())
}

/// The first admin token of an env that has no token at all.
async fn first_token(env: &Env) -> Result<Option<SecretText>, Failure> {
    let failed = |error: &dyn std::error::Error| {
        Failure::new(Exit::Failed, format!("env `{}`: {}", env.name(), in_one_line(error)))
    };
    let any =
        !env.store().for_verb(Verb::Api).list_tokens().await.map_err(|error| failed(&error))?.is_empty();
    if any {
        return Ok(None);
    }
    mint_token(env, "admin", Scope::Admin, None).await.map(Some).map_err(|error| failed(&error))
}

fn letters_as_files(data: &Path) -> Result<Post, Failure> {
    let from = FOLDER_SENDER.parse().map_err(|error| Failure::new(Exit::Failed, format!("{error}")))?;
    let folder = data.join("letters");
    let post = Post::folder(folder.clone(), &from).map_err(|bad| {
        Failure::new(Exit::Failed, format!("cannot keep letters in `{}`: {}", folder.display(), bad.problem))
    })?;
    say::note(&format!("no mail server is configured: letters are written to `{}`", folder.display()));
    Ok(post)
}

/// The command line that letters name: with the env, as their reader may have several.
fn command_line(env: &EnvName) -> String {
    format!("lamplighter --env {env}")
}

/// Names this life of this process in leases.
fn owner() -> String {
    format!("{}-{:08x}", std::process::id(), rand::random::<u32>())
}

/// Writes a secret into a file that only its owner may read, and that did not exist.
fn write_secret(file: &PathBuf, secret: &str) -> io::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
    writeln!(file, "{secret}")
}

/// Listens for SIGTERM and Ctrl-C from this call on, and waits for one: whoever hears of a server may end it at once.
pub(crate) fn told_to_stop() -> impl Future<Output = ()> {
    let terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate());
    let interrupt = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt());
    async move {
        tokio::select! {
            () = heard(terminate) => {}
            () = heard(interrupt) => {}
        }
    }
}

async fn heard(signal: io::Result<tokio::signal::unix::Signal>) {
    match signal {
        Ok(mut signal) => drop(signal.recv().await),
        Err(_) => std::future::pending().await,
    }
}
