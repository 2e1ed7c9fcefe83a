//! Check-outs of a git repository: what they refuse, what they change, and what they leave.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use lamplighter_core::Version;
use lamplighter_core::update::{NotResolved, UpdateStep, Wanted};
use serde_json::json;

use super::bench::{Asked, Bench, FIRST_RUN, done, failed, run, untouched};

const CHECK_OUT: UpdateStep = UpdateStep::CheckOut;

fn forward<'a>(bench: &'a Bench, action_no: u64, target: &'a Version) -> Asked<'a> {
    Asked::forward(action_no, CHECK_OUT, target, &bench.first)
}

fn back<'a>(bench: &'a Bench, action_no: u64, target: &'a Version) -> Asked<'a> {
    Asked::back(action_no, CHECK_OUT, target, &bench.first)
}

#[test]
fn a_commit_is_fetched_and_checked_out_and_taken_back_again() {
    let bench = Bench::new();
    let standing = bench.standing().unwrap();
    assert_eq!(
        (&standing.version, standing.process, standing.obstacle),
        (&bench.first, run(FIRST_RUN), None)
    );
    let target = bench.push("app.txt", "two");
    assert_eq!(bench.make(&forward(&bench, 1, &target)), done(FIRST_RUN));
    assert_eq!((bench.head(), bench.app("app.txt")), (target.clone(), "two".to_owned()));
    let standing = bench.standing().unwrap();
    assert_eq!((&standing.version, standing.obstacle), (&target, None));
    assert_eq!(bench.make(&back(&bench, 2, &target)), done(FIRST_RUN));
    assert_eq!((bench.head(), bench.app("app.txt")), (bench.first.clone(), "one".to_owned()));
    // The head is detached now, by the way back: the next update minds as little as the one before.
    assert_eq!(bench.standing().unwrap().obstacle, None);
    assert_eq!(bench.make(&forward(&bench, 3, &target)), done(FIRST_RUN));
    assert_eq!((bench.head(), bench.mess()), (target, String::new()));
}

#[test]
fn files_are_as_open_as_the_login_makes_them() {
    let bench = Bench::new();
    let target = bench.push("new.txt", "two");
    bench.make(&forward(&bench, 1, &target));
    let mode = |name: &str| fs::metadata(bench.path("app").join(name)).unwrap().permissions().mode();
    assert_eq!(mode("new.txt"), mode("app.txt"));
}

#[test]
fn local_changes_are_named_and_never_touched() {
    let bench = Bench::new();
    let target = bench.push("app.txt", "two");
    fs::write(bench.path("app/app.txt"), "mine").unwrap();
    let outcome = bench.make(&forward(&bench, 1, &target));
    assert!(
        untouched(&outcome).contains("1 file has local changes") && untouched(&outcome).contains("(app.txt)")
    );
    assert_eq!((bench.head(), bench.app("app.txt")), (bench.first.clone(), "mine".to_owned()));
    assert!(bench.standing().unwrap().obstacle.unwrap().contains("app.txt"));
    // Files that nobody tracks are not in the way.
    fs::write(bench.path("app/app.txt"), "one").unwrap();
    fs::write(bench.path("app/data.db"), "mine").unwrap();
    assert_eq!(bench.standing().unwrap().obstacle, None);
    assert_eq!(bench.make(&forward(&bench, 2, &target)), done(FIRST_RUN));
    assert_eq!(bench.app("data.db"), "mine");
}

#[test]
fn an_untracked_file_in_the_way_is_never_overwritten() {
    let bench = Bench::new();
    let target = bench.push("config.json", "theirs");
    fs::write(bench.path("app/config.json"), "mine").unwrap();
    let outcome = bench.make(&forward(&bench, 1, &target));
    assert!(untouched(&outcome).contains("config.json"), "{outcome:?}");
    assert_eq!((bench.head(), bench.app("config.json")), (bench.first.clone(), "mine".to_owned()));
    assert!(!bench.path("app/.git/lamplighter-half").exists());
}

#[test]
fn what_an_install_changed_is_no_persons_work_until_a_person_changes_it() {
    let bench = Bench::with(json!({"install": "echo locked >>app.txt"}));
    let second = bench.push("other.txt", "two");
    let third = bench.push("other.txt", "three");
    assert_eq!(bench.make(&forward(&bench, 1, &second)), done(FIRST_RUN));
    let install = |no| Asked::forward(no, UpdateStep::Install, &second, &bench.first);
    assert_eq!(bench.make(&install(2)), done(FIRST_RUN));
    assert_eq!(bench.mess(), "M app.txt");
    assert_eq!(bench.standing().unwrap().obstacle, None);
    let on = Asked::forward(3, CHECK_OUT, &third, &second);
    assert_eq!(bench.make(&on), done(FIRST_RUN));
    assert_eq!((bench.app("app.txt"), bench.mess()), ("one".to_owned(), String::new()));
    assert_eq!(bench.make(&install(4)), done(FIRST_RUN));
    fs::write(bench.path("app/app.txt"), "mine").unwrap();
    assert!(bench.standing().unwrap().obstacle.unwrap().contains("app.txt"));
    let fourth = bench.push("other.txt", "four");
    let outcome = bench.make(&Asked::forward(5, CHECK_OUT, &fourth, &third));
    assert!(untouched(&outcome).contains("app.txt"));
    assert_eq!(bench.app("app.txt"), "mine");
}

#[test]
fn the_way_back_needs_no_remote_and_takes_what_an_install_changed_with_it() {
    let bench = Bench::with(json!({"install": "echo locked >>app.txt; exit 1"}));
    let target = bench.push("new.txt", "two");
    assert_eq!(bench.make(&forward(&bench, 1, &target)), done(FIRST_RUN));
    failed(&bench.make(&Asked::forward(2, UpdateStep::Install, &target, &bench.first)));
    fs::rename(bench.path("origin.git"), bench.path("gone.git")).unwrap();
    assert_eq!(bench.make(&back(&bench, 3, &target)), done(FIRST_RUN));
    assert_eq!((bench.head(), bench.mess()), (bench.first.clone(), String::new()));
    assert!(!bench.path("app/new.txt").exists());
    // Twice is harmless.
    assert_eq!(bench.make(&back(&bench, 4, &target)), done(FIRST_RUN));
}

#[test]
fn without_its_remote_a_checkout_stays_as_it_is() {
    let bench = Bench::new();
    let target = bench.push("app.txt", "two");
    fs::rename(bench.path("origin.git"), bench.path("gone.git")).unwrap();
    let outcome = bench.make(&forward(&bench, 1, &target));
    assert!(untouched(&outcome).contains("did not answer: fatal:"), "{outcome:?}");
    bench.git("app", &["remote", "rename", "origin", "upstream"]);
    let outcome = bench.make(&forward(&bench, 2, &target));
    assert!(untouched(&outcome).contains("no remote `origin`"), "{outcome:?}");
    assert!(bench.standing().unwrap().obstacle.unwrap().contains("no remote `origin`"));
    assert_eq!((bench.head(), bench.mess()), (bench.first.clone(), String::new()));
    // A commit that is there already needs none.
    bench.git("app", &["fetch", "-q", bench.path("gone.git").to_str().unwrap(), "main"]);
    assert_eq!(bench.make(&forward(&bench, 3, &target)), done(FIRST_RUN));
}

#[test]
fn a_remote_that_hangs_is_given_up_and_nothing_was_changed() {
    let bench = Bench::new().limited(1);
    let target = bench.push("app.txt", "two");
    bench.git("app", &["remote", "set-url", "origin", "ssh://nobody@localhost/x.git"]);
    bench.git("app", &["config", "core.sshCommand", "sleep 30; :"]);
    let outcome = bench.make(&forward(&bench, 1, &target));
    assert!(untouched(&outcome).contains("did not answer within 1 s"), "{outcome:?}");
    assert_eq!((bench.head(), bench.mess()), (bench.first.clone(), String::new()));
    // Asked of it, it is told from a host that does not answer.
    for (wanted, secs) in [(Wanted::Branch("main".to_owned()), 2), (Wanted::Version(target), 1)] {
        let resolved = bench.resolve_within(&wanted, 3);
        let said = format!("did not answer within {secs} s");
        assert!(matches!(resolved, Err(NotResolved::NoRemote(why)) if why.contains(&said)));
    }
}

#[test]
fn a_commit_that_no_branch_leads_to_any_more_is_fetched_by_its_hash() {
    let bench = Bench::new();
    let target = bench.push("app.txt", "two");
    bench.git("work", &["reset", "-q", "--hard", bench.first.as_str()]);
    let moved = bench.push("app.txt", "another two");
    assert_eq!(bench.resolve(&Wanted::Branch("main".to_owned())), Ok(moved));
    assert_eq!(bench.resolve(&Wanted::Version(target.clone())), Ok(target.clone()));
    assert_eq!(bench.head(), bench.first);
    assert_eq!(bench.make(&forward(&bench, 1, &target)), done(FIRST_RUN));
    assert_eq!(bench.app("app.txt"), "two");
}

#[test]
fn a_commit_that_the_remote_does_not_have_changes_nothing() {
    let bench = Bench::new();
    let unknown: Version = "d".repeat(40).parse().unwrap();
    let outcome = bench.make(&forward(&bench, 1, &unknown));
    assert!(untouched(&outcome).contains("does not have that commit"), "{outcome:?}");
    assert_eq!(bench.head(), bench.first);
}

#[test]
fn who_did_not_know_a_version_is_told_apart() {
    let bench = Bench::new();
    let unknown: Version = "d".repeat(40).parse().unwrap();
    let branch = |name: &str| bench.resolve(&Wanted::Branch(name.to_owned()));
    assert_eq!(branch("main"), Ok(bench.first.clone()));
    assert!(matches!(branch("nope"), Err(NotResolved::Unknown(why)) if why.contains("`nope`")));
    assert!(matches!(
        bench.resolve(&Wanted::Version(unknown.clone())),
        Err(NotResolved::Unknown(why)) if why.contains(unknown.as_str())
    ));
    bench.git("origin.git", &["branch", "rel/1.x", "main"]);
    assert_eq!(branch("rel/1.x"), Ok(bench.first.clone()));
    fs::rename(bench.path("origin.git"), bench.path("gone.git")).unwrap();
    assert!(matches!(branch("main"), Err(NotResolved::NoRemote(why)) if why.contains("fatal:")));
    let of_remote = bench.resolve(&Wanted::Version(unknown));
    assert!(matches!(of_remote, Err(NotResolved::NoRemote(why)) if why.contains("did not answer")));
    bench.git("app", &["remote", "remove", "origin"]);
    assert!(
        matches!(branch("main"), Err(NotResolved::NoRemote(why)) if why.contains("git remote add origin"))
    );
    fs::remove_dir_all(bench.path("app")).unwrap();
    assert!(matches!(branch("main"), Err(NotResolved::NoRemote(why)) if why.contains("does not exist")));
}

#[test]
fn asking_changes_no_file_of_the_tree() {
    let bench = Bench::new();
    let target = bench.push("app.txt", "two");
    let index = || fs::read(bench.path("app/.git/index")).unwrap();
    let before = index();
    bench.standing().unwrap();
    bench.resolve(&Wanted::Version(target)).unwrap();
    bench.resolve(&Wanted::Branch("main".to_owned())).unwrap();
    assert_eq!((index(), bench.mess(), bench.app("app.txt")), (before, String::new(), "one".to_owned()));
    assert_eq!(bench.git("app", &["symbolic-ref", "HEAD"]), "refs/heads/main");
}

#[test]
fn a_repository_around_the_directory_is_not_taken_for_it() {
    let bench = Bench::new();
    bench.git("", &["init", "-q", "."]);
    bench.git("", &["commit", "-q", "--allow-empty", "-m", "x"]);
    fs::rename(bench.path("app"), bench.path("kept")).unwrap();
    assert!(bench.standing().unwrap_err().contains("does not exist"));
    fs::create_dir(bench.path("app")).unwrap();
    assert!(bench.standing().unwrap_err().contains("not a git checkout"));
    // Neither is one around a checkout whose own repository is broken.
    fs::create_dir(bench.path("app/.git")).unwrap();
    assert!(bench.standing().unwrap_err().contains("git cannot read"));
    let outcome = bench.make(&forward(&bench, 1, &bench.first));
    assert!(untouched(&outcome).contains("git cannot read"), "{outcome:?}");
}

#[test]
fn a_checkout_that_was_moved_since_it_was_looked_at_is_left_alone() {
    let bench = Bench::new();
    let between = bench.push("app.txt", "two");
    let target = bench.push("app.txt", "three");
    bench.git("app", &["fetch", "-q"]);
    bench.git("app", &["checkout", "-q", between.as_str()]);
    let outcome = bench.make(&forward(&bench, 1, &target));
    assert!(untouched(&outcome).contains(&format!("moved to {}", between.short())), "{outcome:?}");
    assert_eq!(bench.head(), between);
    bench.git("app", &["checkout", "-q", target.as_str()]);
    assert_eq!(bench.make(&forward(&bench, 2, &target)), done(FIRST_RUN), "it is where it is to be");
}

#[test]
fn a_person_in_the_middle_of_a_merge_is_not_disturbed() {
    let bench = Bench::new();
    let target = bench.push("app.txt", "two");
    bench.git("app", &["commit", "-q", "--allow-empty", "-m", "mine"]);
    bench.git("app", &["fetch", "-q"]);
    bench.git("app", &["merge", "-q", "--no-commit", "--no-ff", "origin/main"]);
    let head = bench.head();
    let outcome = bench.make(&Asked::forward(1, CHECK_OUT, &target, &head));
    assert!(untouched(&outcome).contains("`MERGE_HEAD`"), "{outcome:?}");
    assert!(bench.standing().unwrap().obstacle.unwrap().contains("`MERGE_HEAD`"));
}

#[test]
fn no_hook_of_the_repository_ever_runs() {
    let bench = Bench::new();
    let target = bench.push("app.txt", "two");
    for hook in ["post-checkout", "reference-transaction", "post-merge", "post-index-change", "pre-auto-gc"] {
        let path = bench.path("app/.git/hooks").join(hook);
        fs::write(&path, "#!/bin/sh\necho $0 >>$STATE/hooked\n").unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    bench.git("app", &["config", "core.fsmonitor", "echo fsmonitor >>$STATE/hooked; false"]);
    bench.standing().unwrap();
    bench.resolve(&Wanted::Version(target.clone())).unwrap();
    assert_eq!(bench.make(&forward(&bench, 1, &target)), done(FIRST_RUN));
    assert_eq!(bench.make(&back(&bench, 2, &target)), done(FIRST_RUN));
    assert_eq!(bench.read("hooked"), "");
    bench.git("app", &["config", "--unset", "core.fsmonitor"]);
    bench.git("app", &["checkout", "-q", target.as_str()]);
    assert_ne!(bench.read("hooked"), "", "they would have, for a person");
}

#[test]
fn submodules_go_with_their_commit_both_ways() {
    let bench = Bench::new();
    bench.git("", &["init", "-q", "--bare", "sub.git"]);
    bench.git("", &["clone", "-q", "sub.git", "subwork"]);
    let push_sub = |text: &str| {
        fs::write(bench.path("subwork/sub.txt"), text).unwrap();
        bench.git("subwork", &["add", "-A"]);
        bench.git("subwork", &["commit", "-q", "-m", "x"]);
        bench.git("subwork", &["push", "-q", "origin", "HEAD:main"]);
    };
    push_sub("one");
    let url = bench.path("sub.git");
    bench.git("work", &["submodule", "--quiet", "add", "-b", "main", url.to_str().unwrap(), "lib"]);
    let second = bench.push_all();
    assert_eq!(bench.make(&forward(&bench, 1, &second)), done(FIRST_RUN));
    assert_eq!(bench.app("lib/sub.txt"), "one");
    push_sub("two");
    // Its remote moved as well, and the commit says where to.
    fs::rename(bench.path("sub.git"), bench.path("moved.git")).unwrap();
    let url = bench.path("moved.git");
    bench.git("work", &["submodule", "--quiet", "set-url", "lib", url.to_str().unwrap()]);
    bench.git("work/lib", &["pull", "-q"]);
    let third = bench.push("app.txt", "three");
    assert_eq!(bench.make(&Asked::forward(2, CHECK_OUT, &third, &second)), done(FIRST_RUN));
    assert_eq!((bench.app("lib/sub.txt"), bench.mess()), ("two".to_owned(), String::new()));
    assert_eq!(bench.standing().unwrap().obstacle, None);
    // On the way back what somebody did in it goes too, and no remote is needed.
    fs::write(bench.path("app/lib/sub.txt"), "mine").unwrap();
    fs::rename(bench.path("origin.git"), bench.path("gone.git")).unwrap();
    fs::rename(bench.path("moved.git"), bench.path("subgone.git")).unwrap();
    assert_eq!(bench.make(&Asked::back(3, CHECK_OUT, &third, &second)), done(FIRST_RUN));
    assert_eq!((bench.app("lib/sub.txt"), bench.mess()), ("one".to_owned(), String::new()));
}

#[test]
fn a_submodule_that_cannot_be_fetched_fails_and_is_taken_back() {
    let bench = Bench::new();
    bench.git("", &["init", "-q", "sub"]);
    bench.git("sub", &["commit", "-q", "--allow-empty", "-m", "x"]);
    let url = bench.path("sub");
    bench.git("work", &["submodule", "--quiet", "add", url.to_str().unwrap(), "lib"]);
    let target = bench.push_all();
    fs::rename(bench.path("sub"), bench.path("gone")).unwrap();
    let outcome = bench.make(&forward(&bench, 1, &target));
    assert!(failed(&outcome).contains("fatal:"), "{outcome:?}");
    assert_eq!(bench.make(&back(&bench, 2, &target)), done(FIRST_RUN));
    assert_eq!(bench.head(), bench.first);
    assert_eq!(bench.standing().unwrap().obstacle, None);
}

#[test]
fn a_directory_of_any_name_is_one_word() {
    let mut bench = Bench::new();
    let odd = "it's $(touch pwned) a \"b\"; *";
    fs::rename(bench.path("app"), bench.path(odd)).unwrap();
    let dir = bench.path(odd);
    let mut spec = serde_json::to_value(&bench.spec).unwrap();
    spec["update"]["dir"] = json!(dir);
    bench.spec = serde_json::from_value(spec).unwrap();
    let target = bench.push("app.txt", "two");
    assert_eq!(bench.make(&forward(&bench, 1, &target)), done(FIRST_RUN));
    assert_eq!(bench.make(&back(&bench, 2, &target)), done(FIRST_RUN));
    assert_eq!(bench.standing().unwrap().version, bench.first);
    for place in ["", "home", odd] {
        assert!(!bench.path(place).join("pwned").exists());
    }
}
