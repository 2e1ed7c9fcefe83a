use lamplighter_core::Version;

use super::*;
use crate::command::rollout::sample;

/// 2026-01-02T02:30:50Z.
fn now() -> Moment {
    Moment::from_millis(1_767_321_000_000) + Duration::from_secs(50)
}

fn drawn(rollout: &Rollout, columns: usize) -> String {
    let since = |id: &ServiceId| (id.as_str() == "vps-004").then(|| now() + Duration::ZERO);
    let lines = picture(rollout, now() + Duration::from_secs(12), since);
    lines.iter().map(|line| format!("{}\n", line.fitted(columns, |_, text| text.to_owned()))).collect()
}

#[test]
fn bars_steps_and_what_is_waited_for_are_seen_at_a_glance() {
    insta::assert_snapshot!(drawn(&sample::rollout(&sample::under_way()), 100), @r#"
    shop-3  running  main at 1a2b3c4  2/10 services, 62 s
    stage 1   10 %  ██████████████████████████████  1/1  passed
    stage 2   50 %  ███████▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒░░░░░░░░  1/4  arriving, 1 failed
    stage 3  100 %  ░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░  0/5  pending
      vps-004  → install  12 s
      vps-006  ← check out  install failed: exit 1
    waiting  the 2 services under way, then 1 more of stage 2
    "#);
}

#[test]
fn no_line_is_wider_than_the_terminal() {
    for columns in [0, 1, 7, 20, 40, 79] {
        let text = drawn(&sample::rollout(&sample::under_way()), columns);
        assert!(text.lines().all(|line| line.chars().count() <= columns), "{columns}: {text}");
    }
}

#[test]
fn a_bar_is_always_whole() {
    let mut rollout = sample::rollout(&sample::under_way());
    for (size, succeeded, failed, skipped) in
        [(1, 0, 0, 0), (1, 1, 0, 0), (3, 1, 1, 1), (7, 2, 3, 1), (1_000, 333, 333, 1), (0, 0, 0, 0)]
    {
        rollout.stages =
            vec![Stage { percent: 100, size, status: "arriving".into(), succeeded, failed, skipped }];
        let text = drawn(&rollout, 100);
        let bar = text.lines().nth(1).unwrap().chars().filter(|c| "█▒░".contains(*c)).count();
        assert_eq!(bar, if size == 0 { 0 } else { 30 }, "{text}");
    }
}

#[test]
fn hostile_words_do_not_reach_the_terminal() {
    let mut rollout = sample::rollout(&sample::under_way());
    let evil = "\u{1b}[2J\u{202e}evil\nline";
    rollout.waits_for = evil.to_owned();
    rollout.because = evil.to_owned();
    rollout.branch = Some(evil.to_owned());
    rollout.status = evil.to_owned();
    for service in &mut rollout.services {
        service.because = evil.to_owned();
        service.step = Some(evil.to_owned());
    }
    let text = drawn(&rollout, 400);
    assert!(!text.contains('\u{1b}') && !text.contains('\u{202e}') && !text.contains("\nline"), "{text:?}");
    assert!(sample::TARGET.parse::<Version>().is_ok());
}
