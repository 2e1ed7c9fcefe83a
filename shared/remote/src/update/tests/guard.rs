//! What holds for every step, whatever it does.

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use lamplighter_core::sight::GuardParts;
use lamplighter_core::update::{StepOutcome, UpdateStep};
use serde_json::json;

use super::bench::{Asked, Bench, FIRST_RUN, done, failed, run, untouched};

const INSTALL: UpdateStep = UpdateStep::Install;

fn installing(command: &str) -> Bench {
    Bench::with(json!({"install": command}))
}

#[test]
fn a_step_is_made_once_and_whoever_asks_again_is_told_how_it_ended() {
    let bench = installing("echo x >>$STATE/made");
    let step = |no| Asked::forward(no, INSTALL, &bench.first, &bench.first);
    assert_eq!(bench.make(&step(5)), done(FIRST_RUN));
    bench.write("run", "bbbb2222\n");
    assert_eq!(bench.make(&step(5)), done(FIRST_RUN), "the run that was there at its end");
    assert_eq!(bench.make(&step(4)), StepOutcome::Overtaken { seen: 5 });
    assert_eq!(bench.read("made"), "x\n");
    assert_eq!(bench.make(&step(6)), done("bbbb2222"));
    let left: Vec<_> = fs::read_dir(bench.path("home/.local/state/lamplighter"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(left.len(), 2, "{left:?}");
}

#[test]
fn a_failure_is_told_again_in_the_same_words() {
    let bench = installing("echo x >>$STATE/made; echo warming up; echo 'error: no such package'; exit 9");
    let step = Asked::forward(1, INSTALL, &bench.first, &bench.first);
    let outcome = bench.make(&step);
    assert_eq!(failed(&outcome), "exit status 9: error: no such package");
    assert_eq!(bench.make(&step), outcome);
    assert_eq!(bench.read("made"), "x\n");
}

#[test]
fn a_command_that_is_not_found_says_what_to_write() {
    let bench = installing("no-such-program install");
    let outcome = bench.make(&Asked::forward(1, INSTALL, &bench.first, &bench.first));
    assert!(failed(&outcome).contains("no-such-program") && failed(&outcome).contains("full path"));
}

#[test]
fn what_cannot_be_made_is_told_again_without_another_try() {
    let bench = installing("true");
    fs::rename(bench.path("app"), bench.path("elsewhere")).unwrap();
    let step = Asked::forward(1, INSTALL, &bench.first, &bench.first);
    let outcome = bench.make(&step);
    assert!(untouched(&outcome).contains("does not exist"), "{outcome:?}");
    fs::rename(bench.path("elsewhere"), bench.path("app")).unwrap();
    assert_eq!(bench.make(&step), outcome);
    assert_eq!(bench.make(&Asked { action_no: 2, ..step }), done(FIRST_RUN));
    fs::rename(bench.path("app"), bench.path("elsewhere")).unwrap();
    let back = Asked::back(3, INSTALL, &bench.first, &bench.first);
    assert!(
        failed(&bench.make(&back)).contains("does not exist"),
        "on the way back something was changed before"
    );
}

#[test]
fn a_step_whose_script_was_killed_is_busy_until_it_ends_and_interrupted_then() {
    let bench = installing("echo x >>$STATE/made; until [ -e $STATE/go ]; do sleep 0.05; done");
    let step = Asked::forward(1, INSTALL, &bench.first, &bench.first);
    let mut script = bench.begin(&step);
    bench.wait_for(&bench.path("state/made"));
    script.kill().unwrap();
    script.wait().unwrap();
    assert_eq!(bench.make(&step), StepOutcome::Busy, "its command holds the host's lock");
    bench.write("go", "");
    assert_eq!(bench.make(&step), StepOutcome::Interrupted);
    assert_eq!(bench.make(&step), StepOutcome::Interrupted);
    assert_eq!(bench.read("made"), "x\n");
    assert_eq!(bench.make(&Asked { action_no: 2, ..step }), done(FIRST_RUN));
    // What the killed script could not take away, the next one has.
    let left = fs::read_dir(bench.path("home/.local/state/lamplighter")).unwrap().count();
    assert_eq!(left, 2);
}

#[test]
fn the_result_of_another_step_is_never_taken_for_this_ones() {
    let bench = installing("true");
    let step = |no| Asked::forward(no, INSTALL, &bench.first, &bench.first);
    assert_eq!(bench.make(&step(5)), done(FIRST_RUN));
    // The power went between the number and all else.
    fs::write(bench.path("home/.local/state/lamplighter/prod:web.action"), "6\n").unwrap();
    assert_eq!(bench.make(&step(6)), StepOutcome::Interrupted);
}

#[test]
fn without_a_lock_a_step_under_way_is_busy_still() {
    let bench = installing("echo x >>$STATE/made; until [ -e $STATE/go ]; do sleep 0.05; done");
    bench.tool("flock", "exit 127");
    let step = Asked::forward(1, INSTALL, &bench.first, &bench.first);
    let mut script = bench.begin(&step);
    bench.wait_for(&bench.path("state/made"));
    assert_eq!(bench.make(&step), StepOutcome::Busy);
    bench.write("go", "");
    script.wait().unwrap();
    let parts = GuardParts { lock: false, ..GuardParts::ALL };
    assert_eq!(bench.make(&step), StepOutcome::Done { parts, process: run(FIRST_RUN) });
}

#[test]
fn a_caller_who_went_away_finds_the_result_when_it_comes_back() {
    let bench = installing("echo x >>$STATE/made; until [ -e $STATE/go ]; do sleep 0.05; done");
    let step = Asked::forward(1, INSTALL, &bench.first, &bench.first);
    let mut script = bench.begin(&step);
    bench.wait_for(&bench.path("state/made"));
    drop((script.stdout.take(), script.stderr.take()));
    bench.write("go", "");
    assert_eq!(bench.make(&step), done(FIRST_RUN));
    assert_eq!(bench.read("made"), "x\n");
    script.wait().unwrap();
}

#[test]
fn a_remark_that_nobody_takes_does_not_end_a_step() {
    let bench = Bench::new();
    let target = bench.push("app.txt", "two");
    fs::write(bench.path("app/.git/index.lock"), "").unwrap();
    let step = Asked::forward(1, UpdateStep::CheckOut, &target, &bench.first);
    bench.make_unheard(&step);
    assert_eq!(bench.make(&step), done(FIRST_RUN));
    assert_eq!(bench.head(), target);
}

#[test]
fn at_its_limit_a_step_is_killed_with_every_child_however_stubborn() {
    let bench = installing("(trap '' TERM; sleep 1.5; echo x >$STATE/survived) & sleep 30").limited(1);
    let began = Instant::now();
    let outcome = bench.make(&Asked::forward(1, INSTALL, &bench.first, &bench.first));
    assert_eq!(failed(&outcome), "killed after 1 s");
    while began.elapsed() < Duration::from_secs(3) {
        std::thread::yield_now();
        assert!(!bench.path("state/survived").exists());
    }
}

#[test]
fn endless_output_ends_with_the_step_and_fills_nothing() {
    let bench = installing("yes lamplighter n0nce done").limited(1);
    let outcome = bench.make(&Asked::forward(1, INSTALL, &bench.first, &bench.first));
    assert_eq!(failed(&outcome), "killed after 1 s");
}

#[test]
fn commands_find_both_versions_and_the_logins_own_umask_and_locale() {
    let bench = Bench::with(json!({
        "install": "umask >$STATE/umask; echo $LC_ALL. >$STATE/locale; echo $LAMPLIGHTER_TARGET $LAMPLIGHTER_PREVIOUS $LAMPLIGHTER_WAY >$STATE/told; pwd >$STATE/where",
    }));
    let target = bench.push("app.txt", "two");
    let mask = String::from_utf8(Command::new("sh").args(["-c", "umask"]).output().unwrap().stdout).unwrap();
    assert_eq!(bench.make(&Asked::back(1, INSTALL, &target, &bench.first)), done(FIRST_RUN));
    assert_eq!((bench.read("umask"), bench.read("locale")), (mask, ".\n".to_owned()));
    assert_eq!(bench.read("told"), format!("{target} {} back\n", bench.first));
    assert_eq!(bench.read("where").trim(), bench.path("app").to_str().unwrap());
}

#[test]
fn a_restart_brings_the_new_run_and_leaves_one_alone_that_nobody_judged() {
    let bench = Bench::new();
    let (old, first) = (run(FIRST_RUN), bench.first.clone());
    let restart =
        |no| Asked { process: old.as_ref(), ..Asked::forward(no, UpdateStep::Restart, &first, &first) };
    let outcome = bench.make(&restart(1));
    let new = bench.read("run");
    assert_eq!(outcome, done(new.trim()));
    assert_ne!(new.trim(), FIRST_RUN);
    let calls = bench.read("calls");
    assert!(calls.find("reset-failed web.service").unwrap() < calls.find(" restart web.service").unwrap());
    let changed = StepOutcome::ProcessChanged { process: run(new.trim()) };
    assert_eq!(bench.make(&restart(2)), changed);
    assert_eq!(bench.make(&restart(2)), changed);
    assert_eq!(bench.read("calls").matches(" restart ").count(), 1);
}

#[test]
fn a_restart_that_fails_says_why() {
    let bench = Bench::new();
    bench.write("fail", "Job for web.service failed.\nSee systemctl status.\n");
    let outcome = bench.make(&Asked::forward(1, UpdateStep::Restart, &bench.first, &bench.first));
    assert!(failed(&outcome).starts_with("exit status 5: Job for web.service failed."), "{outcome:?}");
}

#[test]
fn what_cannot_be_written_down_is_not_begun_but_the_way_back_goes_on() {
    let bench = installing("echo x >>$STATE/made");
    for name in ["home", "var"] {
        fs::rename(bench.path(name), bench.path(&format!("{name}.away"))).unwrap();
        fs::write(bench.path(name), "in the way").unwrap();
    }
    fs::create_dir(bench.path("cwd")).unwrap();
    let forward = bench.make_in("cwd", &Asked::forward(1, INSTALL, &bench.first, &bench.first));
    assert!(untouched(&forward).contains("full or read-only"), "{forward:?}");
    assert_eq!(bench.read("made"), "");
    let back = bench.make_in("cwd", &Asked::back(2, INSTALL, &bench.first, &bench.first));
    let parts = GuardParts { action_no: false, ..GuardParts::ALL };
    assert_eq!(back, StepOutcome::Done { parts, process: run(FIRST_RUN) });
}

#[test]
fn own_steps_go_both_ways_and_tell_their_version() {
    let version = "c".repeat(40);
    let bench = Bench::with(json!({"steps": [
        {"run": "echo one >>$STATE/made", "back": "echo one back >>$STATE/made"},
        {"run": "echo two >>$STATE/made", "back": "echo two back >>$STATE/made"},
    ], "version": "cat $STATE/version"}));
    let (first, target) = (bench.first.clone(), version.parse().unwrap());
    assert_eq!(bench.make(&Asked::forward(1, UpdateStep::Own(0), &target, &first)), done(FIRST_RUN));
    assert_eq!(bench.make(&Asked::forward(2, UpdateStep::Own(1), &target, &first)), done(FIRST_RUN));
    assert_eq!(bench.make(&Asked::back(3, UpdateStep::Own(1), &target, &first)), done(FIRST_RUN));
    assert_eq!(bench.read("made"), "one\ntwo\ntwo back\n");
    assert!(bench.standing().unwrap_err().contains("status 1"));
    bench.write("version", "v1.2\n");
    assert!(bench.standing().unwrap_err().contains("printed `v1.2`"));
    bench.write("version", &format!("\n{version}\n"));
    let standing = bench.standing().unwrap();
    assert_eq!((standing.version, standing.process, standing.obstacle), (target, run(FIRST_RUN), None));
}

#[test]
fn other_shells_make_steps_alike() {
    for shell in ["dash", "bash"] {
        if !Path::new("/bin").join(shell).exists() {
            continue;
        }
        let bench = installing("exit 3").run_by(shell);
        let target = bench.push("app.txt", "two");
        assert_eq!(
            bench.make(&Asked::forward(1, UpdateStep::CheckOut, &target, &bench.first)),
            done(FIRST_RUN),
            "{shell}"
        );
        assert_eq!(failed(&bench.make(&Asked::forward(2, INSTALL, &target, &bench.first))), "exit status 3");
        assert_eq!(
            bench.make(&Asked::back(3, UpdateStep::CheckOut, &target, &bench.first)),
            done(FIRST_RUN),
            "{shell}"
        );
        assert_eq!(bench.standing().unwrap().version, bench.first);
    }
}

#[test]
fn records_are_for_nobody_else_to_read() {
    let bench = installing("true");
    assert_eq!(bench.make(&Asked::forward(1, INSTALL, &bench.first, &bench.first)), done(FIRST_RUN));
    let dir = bench.path("home/.local/state/lamplighter");
    for entry in fs::read_dir(&dir).unwrap() {
        assert_eq!(entry.unwrap().metadata().unwrap().permissions().mode() & 0o077, 0);
    }
    let mut text = String::new();
    fs::File::open(dir.join("prod:web.result")).unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, format!("1 done lock=1 action_no=1 process=1 run={FIRST_RUN}\n"));
}

#[test]
fn every_script_fits_the_packet_that_every_server_must_take() {
    let bench = Bench::with(json!({"install": "x".repeat(2_000)}));
    let first = &bench.first;
    for step in [UpdateStep::CheckOut, INSTALL, UpdateStep::Restart] {
        for asked in [Asked::forward(1, step, first, first), Asked::back(1, step, first, first)] {
            let length = bench.length(&asked);
            assert!(length < 30_000, "{step}: {length} bytes");
        }
    }
}
