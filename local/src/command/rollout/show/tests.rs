use std::time::Duration;

use super::super::sample;
use super::*;

/// 2026-01-02T02:30:50Z.
fn now() -> Moment {
    Moment::from_millis(1_767_321_000_000) + Duration::from_secs(50)
}

#[test]
fn under_way_it_says_what_it_waits_for_and_what_each_service_is_doing() {
    insta::assert_snapshot!(explained(&sample::rollout(&sample::under_way()), now()), @r#"
    shop-3 running: stage 2 of 3: 2 services are under way
    app      shop
    target   1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d, the head of main
    started  02:30:00 UTC, 50 s ago, by ada
    waiting  the 2 services under way, then 1 more of stage 2

    stage 1   10 %  1 service   passed    1 succeeded
    stage 2   50 %  4 services  arriving  1 failed
    stage 3  100 %  5 services  pending

    vps-005  stage 2  rolled back  install failed: bun: command not found; runs 9f8e7d6
    vps-004  stage 2  updating     install, at most 40 s more; ran 9f8e7d6
    vps-006  stage 2  updating     back: check out, at most 40 s more; install failed: exit 1; ran 9f8e7d6
    vps-001  stage 1  success      9f8e7d6 → 1a2b3c4
    2 services not begun yet

    next  `lamplighter rollout watch shop-3` follows it
    "#);
}

#[test]
fn halted_it_names_first_what_a_person_must_look_at() {
    let later = now() + Duration::from_secs(80);
    insta::assert_snapshot!(explained(&sample::rollout(&sample::halted()), later), @r#"
    shop-3 halted: 2 of 4 failed in stage 2
    app      shop
    target   1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d, the head of main
    started  02:30:00 UTC, 2 min 10 s ago, by ada
    ended    02:31:10 UTC, 60 s ago, after 70 s

    stage 1   10 %  1 service   passed   1 succeeded
    stage 2   50 %  4 services  halted   1 succeeded, 2 failed
    stage 3  100 %  5 services  pending

    vps-006  stage 2  failed       install failed: exit 1; going back: check out failed: No space left on device; ran 9f8e7d6
    vps-005  stage 2  rolled back  install failed: bun: command not found; runs 9f8e7d6
    vps-001  stage 1  success      9f8e7d6 → 1a2b3c4
    vps-004  stage 2  success      9f8e7d6 → 1a2b3c4
    2 services never begun

    next  look at `vps-006` yourself: nobody knows what it runs (`lamplighter why vps-006`)
          mend the version and start the mended one; 1a2b3c4 is refused without `--force REASON`
          2 services still on 1a2b3c4: `lamplighter rollout start shop --commit 9f8e7d6c5b4a39281706f5e4d3c2b1a09f8e7d6c` brings them back
    "#);
}

#[test]
fn each_end_has_its_exit_status() {
    let exit = |status: &str| {
        let mut told = sample::halted();
        told["status"] = status.into();
        sample::rollout(&told).exit()
    };
    assert_eq!(exit("completed"), Some(Exit::Ok));
    assert_eq!(exit("completed_with_failures"), Some(Exit::Partial));
    assert_eq!(exit("halted"), Some(Exit::Halted));
    assert_eq!(exit("aborted"), Some(Exit::Failed));
    for under_way in ["running", "paused", "halting", "aborting", "rolling_back"] {
        assert_eq!(exit(under_way), None, "{under_way}");
    }
}
