//! Letters about a rollout, and about the push that should have begun one.

use super::*;

#[test]
fn a_halted_rollout_says_which_services_and_what_becomes_of_the_version() {
    insta::assert_snapshot!(shown(&letter(&prod(), &halted(), &ada(), &place())), @r#"
    [prod] rollout rachel8-17 HALTED: 2 of 5 failed in stage 1, more than 30 %
    [prod.rachel8-17.halted answers nothing, refers to: prod.rachel8-17]

    prod: rollout rachel8-17 halted

      what happened  2 of 5 failed in stage 1, more than 30 %
      when           2026-01-02 02:34:07 UTC
      began          2026-01-02 02:30:00 UTC (4 min 7 s before)

    What became of its services
      - vps-004 rolled back to 9f8e7d6: install failed: bun: command not found
      - vps-009 rolled back to 9f8e7d6: it fell sick while it was watched: unit
        is not active

    What happens next
      nothing goes on by itself; 1a2b3c4 is quarantined for `rachel8`: mend it
      and start a rollout of the next commit

    Look closer
      lamplighter rollout show rachel8-17
      https://lamp.example.com/?env=prod

    --
    Written to ada@example.com by Lamplighter, which looks after prod. Letter
    prod.rachel8-17.halted
    "#);
}

#[test]
fn a_rollout_that_ended_well_asks_for_nothing() {
    let well = finished("rollout rachel8-17 completed: 10 of 10 services run 1a2b3c4", &[]);
    let letter = letter(&prod(), &well, &ada(), &place());
    insta::assert_snapshot!(shown(&letter), @r#"
    [prod] rollout rachel8-17 completed: 10 of 10 services run 1a2b3c4
    [prod.rachel8-17.finished answers nothing, refers to: prod.rachel8-17]

    prod: rollout rachel8-17 completed

      what happened  10 of 10 services run 1a2b3c4
      when           2026-01-02 02:34:07 UTC
      began          2026-01-02 02:30:00 UTC (4 min 7 s before)

    Look closer
      lamplighter rollout show rachel8-17
      https://lamp.example.com/?env=prod

    --
    Written to ada@example.com by Lamplighter, which looks after prod. Letter
    prod.rachel8-17.finished
    "#);
    assert!(letter.html.contains("class=\"good\""), "{}", letter.html);
}

#[test]
fn a_rollout_that_left_services_behind_names_them_and_how_to_try_again() {
    let left: Vec<String> = (0..40).map(|n| format!("vps-{n:03} rolled back: install failed")).collect();
    let left: Vec<&str> = left.iter().map(String::as_str).collect();
    let notice =
        finished("rollout rachel8-17 completed with failures: 160 of 200 services run 1a2b3c4", &left);
    let letter = letter(&prod(), &notice, &ada(), &Place::default());
    insta::assert_snapshot!(shown(&letter), @r#"
    [prod] rollout rachel8-17 completed with failures: 160 of 200 services run 1a2b3c4
    [prod.rachel8-17.finished answers nothing, refers to: prod.rachel8-17]

    prod: rollout rachel8-17 completed with failures

      what happened  160 of 200 services run 1a2b3c4
      when           2026-01-02 02:34:07 UTC
      began          2026-01-02 02:30:00 UTC (4 min 7 s before)

    What became of its services
      - vps-000 rolled back: install failed
      - vps-001 rolled back: install failed
      - vps-002 rolled back: install failed
      - vps-003 rolled back: install failed
      - vps-004 rolled back: install failed
      - vps-005 rolled back: install failed
      - vps-006 rolled back: install failed
      - vps-007 rolled back: install failed
      - vps-008 rolled back: install failed
      - vps-009 rolled back: install failed
      - vps-010 rolled back: install failed
      - vps-011 rolled back: install failed
      - … and 28 more: `lamplighter rollout show rachel8-17` lists them

    Look closer
      lamplighter rollout show rachel8-17

    Once it is mended, try the services that are left
      lamplighter rollout retry rachel8-17

    --
    Written to ada@example.com by Lamplighter, which looks after prod. Letter
    prod.rachel8-17.finished
    "#);
    assert!(letter.html.contains("class=\"warning\""), "{}", letter.html);
}

#[test]
fn a_rollout_that_a_person_stopped_says_who() {
    let subject = |because| letter(&prod(), &finished(because, &[]), &ada(), &place()).subject;
    let said = "rollout rachel8-17 aborted: aborted by ada";
    assert_eq!(subject(said), "[prod] rollout rachel8-17 aborted by ada");
    assert_eq!(
        subject("rollout rachel8-17 aborted: aborted by ada; everything is rolled back"),
        "[prod] rollout rachel8-17 aborted by ada; everything is rolled back"
    );
    assert_eq!(subject("all is over"), "[prod] rollout rachel8-17 has ended: all is over");
}

#[test]
fn a_refused_push_names_its_app_and_what_stands_in_the_way() {
    insta::assert_snapshot!(shown(&letter(&prod(), &push_refused(), &ada(), &place())), @r#"
    [prod] a push to rachel8 was NOT rolled out: 1a2b3c4 halted the rollout `rachel8-17`
    [prod.rachel8.push.1a2b3c4 answers nothing, refers to: prod.rachel8.push]

    prod: a push to rachel8 was not rolled out

      what happened  1a2b3c4 halted the rollout `rachel8-17`
      when           2026-01-02 02:34:07 UTC

    What happens next
      push a version that mends it, or start this one by hand with `--force` and
      a reason

    Look closer
      lamplighter rollout list --app rachel8
      https://lamp.example.com/?env=prod

    --
    Written to ada@example.com by Lamplighter, which looks after prod. Letter
    prod.rachel8.push.1a2b3c4
    "#);
}
