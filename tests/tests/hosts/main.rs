//! Real hosts with real systemd, sshd, sudo and git, broken one after the other, and the real binary that looks after
//! them and rolls releases out to them.
//!
//! The hosts come from the script that `LAMPLIGHTER_FLEET` names; it needs root. Where there is none, nothing is tried,
//! and that is said. `LAMPLIGHTER_SCENE` plays only the scenes whose name holds it; `LAMPLIGHTER_SEED` repeats a choice
//! of moments.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod fleet;
mod kills;
mod mishaps;
mod plays;
#[path = "../../../local/tests/serve/program.rs"]
#[expect(dead_code, reason = "written for the tests of the binary, which use all of it")]
mod program;
mod quarter;
mod releases;
mod scenes;
mod steering;
mod street;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::thread;
use std::time::Instant;

use fleet::{Fleet, Found, Host};
use plays::Play;
use quarter::Quarter;
use street::Street;

/// Hosts that are swept; the blindness guard lets three of them fail at once.
const SWEPT: usize = 4;
/// Hosts that releases are rolled out to.
const ROLLED: usize = 20;
/// Hosts that get lost.
const LOST: usize = 1;

/// What is to be tried, and what failed.
struct Programme {
    only: String,
    failed: Mutex<Vec<String>>,
}

impl Programme {
    fn holds(&self, name: &str) -> bool {
        name.contains(&self.only)
    }

    /// Plays one scene. False if it failed.
    #[expect(clippy::print_stderr, reason = "minutes pass in silence otherwise")]
    fn play(&self, name: &str, scene: impl FnOnce()) -> bool {
        let begun = Instant::now();
        let is_ok = catch_unwind(AssertUnwindSafe(scene)).is_ok();
        let (word, seconds) = (if is_ok { "ok" } else { "FAILED" }, begun.elapsed().as_secs_f64());
        eprintln!("{name} ... {word} ({seconds:.1}s)");
        if !is_ok {
            self.failed.lock().unwrap().push(name.to_owned());
        }
        is_ok
    }
}

/// The hosts boot once, so this is one test that plays scene after scene; what failed is told at the end. Each of three
/// companies has hosts and servers of its own, and plays beside the others.
#[test]
#[expect(clippy::print_stderr, reason = "what was not tried must be said")]
fn real_hosts_are_looked_after() {
    let only = std::env::var("LAMPLIGHTER_SCENE").unwrap_or_default();
    let programme = Programme { only, failed: Mutex::default() };
    let fleet = match fleet::find() {
        Found::Script(script) => Fleet::up(script, SWEPT + ROLLED + LOST),
        Found::Nothing(because) => {
            eprintln!("skipped: {because}");
            return;
        }
    };
    let (swept, others) = fleet.hosts().split_at(SWEPT);
    let (rolled, lost) = others.split_at(ROLLED);
    thread::scope(|scope| {
        scope.spawn(|| programme.play("the company that sweeps", || sweep(&programme, &fleet, swept)));
        scope.spawn(|| {
            programme
                .play("the company that rolls out", || roll_out(&programme, &fleet, rolled, &plays::SHORT));
            programme.play("the company of twenty", || twenty(&programme, &fleet, rolled));
        });
        scope.spawn(|| {
            programme.play("the company that waits", || roll_out(&programme, &fleet, lost, &plays::LONG))
        });
    });
    let failed = programme.failed.into_inner().unwrap();
    assert!(failed.is_empty(), "failed: {failed:?}");
}

fn sweep<'f>(programme: &Programme, fleet: &'f Fleet, hosts: &'f [Host]) {
    let wanted: Vec<_> = scenes::ALL.iter().filter(|(name, _)| programme.holds(name)).collect();
    if wanted.is_empty() {
        return;
    }
    let mut street = Street::new(fleet, hosts);
    for (name, scene) in wanted {
        let is_ok = programme.play(name, || {
            scene(&mut street);
            street.all_is_well_again();
        });
        if !is_ok {
            // What one scene left behind must not fail the next. Hosts remember action numbers, so the server does, too.
            street.mend();
        }
    }
}

/// One server, and a play for each of its apps, all at once.
fn roll_out(programme: &Programme, fleet: &Fleet, hosts: &[Host], plays: &[Play]) {
    let (mut left, mut apps, mut wanted) = (hosts, Vec::new(), Vec::new());
    for play in plays {
        let (own, rest) = left.split_at(play.hosts);
        left = rest;
        if play.acts.iter().any(|(name, _)| programme.holds(name)) {
            apps.push((play.app)(own));
            wanted.push(play);
        }
    }
    if wanted.is_empty() {
        return;
    }
    let quarter = Quarter::new(fleet, apps);
    thread::scope(|scope| {
        for play in wanted {
            scope.spawn(|| {
                for (name, act) in play.acts.iter().filter(|(name, _)| programme.holds(name)) {
                    if !programme.play(name, || act(&quarter)) {
                        break;
                    }
                }
            });
        }
    });
    drop(quarter);
    // What a scene left behind must not fail those who come after it.
    fleet.heal_all(hosts);
    hosts.iter().for_each(|host| fleet.tidy(&host.name));
}

fn twenty(programme: &Programme, fleet: &Fleet, hosts: &[Host]) {
    let name = "a_server_killed_ten_times_ends_where_an_undisturbed_one_does";
    if programme.holds(name) {
        let mut quarter = Quarter::new(fleet, vec![plays::town(hosts)]);
        programme.play(name, || kills::undisturbed_and_killed(&mut quarter));
    }
}
