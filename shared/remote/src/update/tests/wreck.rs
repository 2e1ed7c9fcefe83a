//! Check-outs that were killed in the middle, as by the power going: what is left is never taken for anybody's work, and
//! never left behind.

use std::fs;
use std::process::{Child, Command};

use lamplighter_core::Version;
use lamplighter_core::update::{StepOutcome, UpdateStep};

use super::bench::{Asked, Bench, FIRST_RUN, done, failed, untouched};

const CHECK_OUT: UpdateStep = UpdateStep::CheckOut;

/// Begins to check `target` out and kills everything once its first files are written.
///
/// A filter of the host's own configuration stops git at the file `slow.bin`, which comes after `a.txt` and before
/// nothing else.
fn cut_off(bench: &Bench, asked: &Asked<'_>) {
    let mut script: Child = bench.begin(asked);
    bench.wait_for(&bench.path("state/reached"));
    // The script first, so that it writes nothing down; then its step's group, which holds the host's lock.
    script.kill().unwrap();
    script.wait().unwrap();
    let records = bench.path("home/.local/state/lamplighter");
    for entry in fs::read_dir(records).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap().to_str().unwrap().starts_with("+group.") {
            let leader = fs::read_to_string(&path).unwrap();
            let killed = Command::new("kill").args(["-KILL", "--", &format!("-{}", leader.trim())]).status();
            assert!(killed.unwrap().success());
        }
    }
    fs::remove_file(bench.path("state/reached")).unwrap();
}

/// A target whose check-out stops half-way the first time.
fn slow_target(bench: &Bench) -> Version {
    fs::write(bench.path("work/.gitattributes"), "*.bin filter=slow\n").unwrap();
    fs::write(bench.path("work/a.txt"), "new").unwrap();
    fs::write(bench.path("work/app.txt"), "two").unwrap();
    let target = bench.push("slow.bin", "slow");
    bench.tool("slow", "[ -e \"$STATE/quick\" ] || { : >\"$STATE/reached\"; sleep 60; }; cat");
    bench.git("app", &["config", "filter.slow.smudge", "slow"]);
    bench.git("app", &["config", "filter.slow.clean", "cat"]);
    bench.git("app", &["config", "filter.slow.required", "true"]);
    target
}

fn wrecked() -> (Bench, Version) {
    let bench = Bench::new();
    let target = slow_target(&bench);
    cut_off(&bench, &Asked::forward(1, CHECK_OUT, &target, &bench.first));
    assert_eq!(bench.head(), bench.first);
    assert_eq!(bench.app("a.txt"), "new", "it was cut off before it wrote anything");
    assert!(bench.path("app/.git/index.lock").exists(), "nothing was left to be cleared");
    bench.write("quick", "");
    (bench, target)
}

#[test]
fn a_check_out_cut_off_half_way_is_made_anew_under_the_next_number() {
    let (bench, target) = wrecked();
    let step = Asked::forward(1, CHECK_OUT, &target, &bench.first);
    assert_eq!(bench.make(&step), StepOutcome::Interrupted);
    assert!(bench.standing().unwrap().obstacle.unwrap().contains("cut off half-way"));
    assert_eq!(bench.make(&Asked { action_no: 2, ..step }), done(FIRST_RUN));
    assert_eq!((bench.head(), bench.mess(), bench.app("app.txt")), (target, String::new(), "two".to_owned()));
    assert_eq!(bench.standing().unwrap().obstacle, None);
    assert!(!bench.path("app/.git/lamplighter-half").exists());
}

#[test]
fn a_check_out_cut_off_half_way_is_taken_back_to_the_last_file() {
    let (bench, target) = wrecked();
    assert_eq!(bench.make(&Asked::back(2, CHECK_OUT, &target, &bench.first)), done(FIRST_RUN));
    assert_eq!(
        (bench.head(), bench.mess(), bench.app("app.txt")),
        (bench.first.clone(), String::new(), "one".to_owned())
    );
    assert!(!bench.path("app/a.txt").exists(), "what it had written is gone");
    // So nothing is in the way of the same target later on.
    assert_eq!(bench.make(&Asked::forward(3, CHECK_OUT, &target, &bench.first)), done(FIRST_RUN));
}

#[test]
fn a_late_check_out_lands_on_nothing_after_the_way_back() {
    let (bench, target) = wrecked();
    assert_eq!(bench.make(&Asked::back(2, CHECK_OUT, &target, &bench.first)), done(FIRST_RUN));
    let late = bench.make(&Asked::forward(1, CHECK_OUT, &target, &bench.first));
    assert_eq!(late, StepOutcome::Overtaken { seen: 2 });
    assert_eq!(bench.head(), bench.first);
}

#[test]
fn a_check_out_killed_at_its_limit_has_failed_and_says_so() {
    let bench = Bench::new().limited(1);
    let target = slow_target(&bench);
    // Fetched before, so that the whole limit is the check-out's, which gets at least ten seconds otherwise.
    bench.git("app", &["fetch", "-q"]);
    let outcome = bench.make(&Asked::forward(1, CHECK_OUT, &target, &bench.first));
    assert!(failed(&outcome).starts_with("killed after"), "{outcome:?}");
    bench.write("quick", "");
    assert_eq!(bench.make(&Asked::back(2, CHECK_OUT, &target, &bench.first)), done(FIRST_RUN));
    assert_eq!((bench.head(), bench.mess()), (bench.first.clone(), String::new()));
}

#[test]
fn locks_that_a_killed_git_left_are_cleared_away_and_said() {
    let bench = Bench::new();
    let target = bench.push("app.txt", "two");
    for name in ["index.lock", "HEAD.lock", "packed-refs.lock", "refs/remotes/origin/main.lock"] {
        fs::write(bench.path("app/.git").join(name), "").unwrap();
    }
    assert_eq!(bench.make(&Asked::forward(1, CHECK_OUT, &target, &bench.first)), done(FIRST_RUN));
    assert_eq!(bench.head(), target);
    let said = bench.remarks();
    assert_eq!(
        said,
        ["removed index.lock", "removed HEAD.lock", "removed packed-refs.lock", "removed main.lock"]
    );
}

#[test]
fn a_git_of_our_own_is_not_taken_for_another_at_work() {
    let bench = Bench::new();
    let target = bench.push("app.txt", "two");
    for name in ["index.lock", "HEAD.lock"] {
        fs::write(bench.path("app/.git").join(name), "").unwrap();
    }
    // The git that helps to list the locks is slow, and so is the removal of the first: were both under way at once, the look
    // at the second would meet that git.
    bench.tool("git", "case \"$*\" in *--git-common-dir*) sleep 2 ;; esac\nPATH=${PATH#*:} exec git \"$@\"");
    bench.tool("rm", "sleep 0.5\nPATH=${PATH#*:} exec rm \"$@\"");
    assert_eq!(bench.make(&Asked::forward(1, CHECK_OUT, &target, &bench.first)), done(FIRST_RUN));
    assert_eq!(bench.remarks(), ["removed index.lock", "removed HEAD.lock"]);
}

#[test]
fn the_lock_of_a_git_at_work_is_left_to_it() {
    let bench = Bench::new();
    let target = bench.push("app.txt", "two");
    fs::write(bench.path("app/.git/index.lock"), "").unwrap();
    // A person's git, waiting for an editor.
    fs::copy("/bin/sleep", bench.path("bin/git-stand-in")).unwrap();
    let named = bench.path("elsewhere");
    fs::create_dir(&named).unwrap();
    fs::rename(bench.path("bin/git-stand-in"), named.join("git")).unwrap();
    let mut person =
        Command::new(named.join("git")).arg("60").current_dir(bench.path("app")).spawn().unwrap();
    let outcome = bench.make(&Asked::forward(1, CHECK_OUT, &target, &bench.first));
    person.kill().unwrap();
    person.wait().unwrap();
    assert!(untouched(&outcome).contains("another git is at work"), "{outcome:?}");
    assert!(bench.path("app/.git/index.lock").exists());
    assert_eq!(bench.make(&Asked::forward(2, CHECK_OUT, &target, &bench.first)), done(FIRST_RUN));
}

#[test]
fn what_another_update_left_half_way_is_for_a_person_to_judge() {
    let (bench, _) = wrecked();
    bench.git("work", &["rm", "-q", "slow.bin"]);
    let another = bench.push("app.txt", "three");
    let outcome = bench.make(&Asked::forward(2, CHECK_OUT, &another, &bench.first));
    assert!(untouched(&outcome).contains("cut off half-way"), "{outcome:?}");
    bench.git("app", &["checkout", "-q", "--force", "main"]);
    bench.git("app", &["clean", "-q", "--force"]);
    assert_eq!(bench.standing().unwrap().obstacle, None);
    assert_eq!(bench.make(&Asked::forward(3, CHECK_OUT, &another, &bench.first)), done(FIRST_RUN));
}

#[test]
fn a_way_back_from_where_nothing_was_changed_writes_nothing() {
    let bench = Bench::new();
    let target = bench.push("app.txt", "two");
    let index = || fs::metadata(bench.path("app/.git/index")).unwrap().modified().unwrap();
    let before = index();
    assert_eq!(bench.make(&Asked::back(1, CHECK_OUT, &target, &bench.first)), done(FIRST_RUN));
    assert_eq!(index(), before);
    assert_eq!(bench.git("app", &["symbolic-ref", "HEAD"]), "refs/heads/main");
}
