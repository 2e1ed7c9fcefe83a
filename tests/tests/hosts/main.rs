//! Real hosts with real systemd, sshd and sudo, broken one after the other, and the real binary that looks after them.
//!
//! The hosts come from the script that `LAMPLIGHTER_FLEET` names; it needs root. Where there is none, nothing is tried,
//! and that is said. `LAMPLIGHTER_SCENE` plays only the scenes whose name holds it.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod fleet;
#[path = "../../../local/tests/serve/program.rs"]
#[allow(dead_code, reason = "written for the tests of the binary, which use all of it")]
mod program;
mod scenes;
mod street;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use fleet::{Fleet, Found};
use street::Street;

/// The hosts boot once, so this is one test that plays scene after scene; what failed is told at the end.
#[test]
#[expect(
    clippy::print_stderr,
    reason = "minutes pass in silence otherwise, and what was not tried must be said"
)]
fn real_hosts_are_looked_after() {
    let fleet = match fleet::find() {
        Found::Script(script) => Fleet::up(script),
        Found::Nothing(because) => {
            eprintln!("skipped: {because}");
            return;
        }
    };
    let only = std::env::var("LAMPLIGHTER_SCENE").unwrap_or_default();
    let mut street = Street::new(&fleet);
    let mut failed = Vec::new();
    for (name, scene) in scenes::ALL.iter().filter(|(name, _)| name.contains(&only)) {
        let begun = Instant::now();
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            scene(&mut street);
            street.all_is_well_again();
        }));
        let seconds = begun.elapsed().as_secs_f64();
        let word = if outcome.is_ok() { "ok" } else { "FAILED" };
        eprintln!("{name} ... {word} ({seconds:.1}s)");
        if outcome.is_err() {
            failed.push(*name);
            // What one scene left behind must not fail the next. Hosts remember action numbers, so the server does, too.
            street.mend();
        }
    }
    assert!(failed.is_empty(), "failed: {failed:?}");
}
