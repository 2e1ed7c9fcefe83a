//! Logs: one JSON object a line, as CloudWatch's filters and queries want them.

use tracing_subscriber::EnvFilter;

/// Starts logging. `LOG_LEVEL`, a level or directives such as `lamplighter_app=debug`, says how much; `info` otherwise.
pub(crate) fn start() {
    let level = std::env::var("LOG_LEVEL").ok().filter(|level| !level.is_empty());
    let filter =
        level.and_then(|level| EnvFilter::try_new(level).ok()).unwrap_or_else(|| EnvFilter::new("info"));
    // Each byte is paid for: the runtime's one span carries the request's id, and a list of spans would repeat it. Set
    // already: by another start in the same process, as in tests.
    let _ = tracing_subscriber::fmt().with_env_filter(filter).json().with_span_list(false).try_init();
}
