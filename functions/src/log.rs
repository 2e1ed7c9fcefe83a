//! Logs: one JSON object a line, as CloudWatch's filters and queries want them.

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// The runtime's own line for a call that failed, which says again what the line before has said.
const SAID_TWICE: &str = "lambda_runtime::layers::panic";

/// Starts logging. `LOG_LEVEL`, a level or levels of modules such as `lamplighter_app=debug,info`, says how much; `info`
/// otherwise.
pub(crate) fn start() {
    let level = std::env::var("LOG_LEVEL").ok().filter(|level| !level.is_empty());
    // Without patterns: what understands them is larger than all that is logged in a day.
    let level = level.and_then(|level| level.parse().ok());
    let level: Targets = level.unwrap_or_else(|| Targets::new().with_default(LevelFilter::INFO));
    let level = level.with_target(SAID_TWICE, LevelFilter::OFF);
    // Each byte is paid for: the runtime's one span carries the request's id, and a list of spans would repeat it. Set
    // already: by another start in the same process, as in tests.
    let lines = fmt::layer().json().with_span_list(false);
    let _ = tracing_subscriber::registry().with(level).with(lines).try_init();
}
