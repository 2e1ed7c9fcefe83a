//! The home on AWS, for real: the template deployed by the real SAM to an emulator that runs the compiled functions, real
//! SSH servers as hosts, and nothing but the API and the command line to look at it.
//!
//! The tools come from the folder that `LAMPLIGHTER_AWS_TOOLS` names (`.ci/aws-tools DIR` makes it). Where there is none,
//! nothing is tried, and that is said. `LAMPLIGHTER_SCENE` plays only the scenes whose name holds it. The functions are
//! built as they are deployed, to the last bit, which takes minutes the first time.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod command_line;
mod emulator;
#[path = "../../../local/tests/serve/program.rs"]
#[expect(dead_code, reason = "written for the tests of the binary, which use all of it")]
mod program;
mod rolling;
mod running;
mod scenes;
mod stack;
mod tools;
mod watch;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::thread;
use std::time::Instant;

use stack::Stack;

/// The stack is deployed once, so this is one test that plays scene after scene, three companies beside each other; what
/// failed is told at the end.
#[test]
#[expect(clippy::print_stderr, reason = "minutes would pass in silence otherwise")]
fn the_home_on_aws_looks_after_real_ssh_servers() {
    let Some(tools) = tools::find() else { return };
    let begun = Instant::now();
    let stack = Stack::deploy(&tools);
    eprintln!("deployed ({:.0} s)", begun.elapsed().as_secs_f64());
    let failed = Mutex::new(Vec::new());
    let only = std::env::var("LAMPLIGHTER_SCENE").unwrap_or_default();
    let play = |name: &str, scene: fn(&Stack)| {
        if !name.contains(&only) {
            return true;
        }
        let begun = Instant::now();
        let is_ok = catch_unwind(AssertUnwindSafe(|| scene(&stack))).is_ok();
        let (word, seconds) = (if is_ok { "ok" } else { "FAILED" }, begun.elapsed().as_secs_f64());
        eprintln!("{name} ... {word} ({seconds:.0} s)");
        if !is_ok {
            failed.lock().unwrap().push(name.to_owned());
        }
        is_ok
    };
    // What all others build upon.
    if play("the_schedule_sweeps", scenes::the_schedule_sweeps) {
        thread::scope(|scope| {
            for company in [scenes::HEALING, scenes::BELLS, rolling::ROLLING] {
                let play = &play;
                scope.spawn(move || company.iter().all(|(name, scene)| play(name, *scene)));
            }
        });
        play("every_archive_is_small", scenes::every_archive_is_small);
        play("the_bill_is_counted", scenes::the_bill_is_counted);
        play("no_secret_is_in_any_log", scenes::no_secret_is_in_any_log);
    }
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "failed: {failed:?}\n{}", stack.last_words());
}
