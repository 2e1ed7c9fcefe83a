//! Logs: on stderr, readable on a terminal, JSON where a program reads them.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

/// Starts logging only what is wrong, unless `LOG_LEVEL` says otherwise: for commands that show what happens themselves.
pub(crate) fn start_quietly() {
    start_at("error");
}

/// Starts logging. `LOG_LEVEL` (a level, or directives such as `lamplighter_app=debug`) says how much, `LOG_FORMAT=json`
/// how. A second start changes nothing.
pub(crate) fn start() {
    start_at("info");
}

fn start_at(default: &str) {
    let level = std::env::var("LOG_LEVEL")
        .ok()
        .filter(|level| !level.is_empty())
        .unwrap_or_else(|| default.to_owned());
    let filter = EnvFilter::try_new(&level).unwrap_or_else(|_| EnvFilter::new(default));
    let json = std::env::var("LOG_FORMAT").is_ok_and(|format| format == "json");
    let colours =
        std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let logs =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    // Set already: by another command of the same process, as in tests.
    let _ =
        if json { logs.json().flatten_event(true).try_init() } else { logs.with_ansi(colours).try_init() };
}
