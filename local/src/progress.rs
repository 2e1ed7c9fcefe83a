//! Progress on stderr, if people are watching.

use std::io::IsTerminal as _;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How fast a spinner turns.
const SPIN_EVERY: Duration = Duration::from_millis(120);

/// A bar of `length` steps; hidden unless stderr is a terminal.
#[must_use]
pub(crate) fn bar(length: usize, doing: &'static str) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(u64::try_from(length).ok(), ProgressDrawTarget::stderr());
    let bar = match ProgressStyle::with_template("{bar:30} {pos}/{len} {msg}, {elapsed}") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    };
    bar.with_message(doing)
}

/// A sign of life while something is waited for; hidden unless stderr is a terminal.
#[must_use]
pub(crate) fn spinner(doing: &'static str) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let spinner = ProgressBar::new_spinner().with_message(doing);
    spinner.enable_steady_tick(SPIN_EVERY);
    spinner
}
