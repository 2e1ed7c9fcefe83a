//! Many notices in one letter.

use super::*;

#[test]
fn a_digest_tells_first_what_nobody_else_mends() {
    let well = finished("rollout rachel8-17 completed: 10 of 10 services run 1a2b3c4", &[]);
    let mut notices = vec![recovered(), well, down(), push_refused(), breaker_open(), halted(), blind()];
    let one = digest(&prod(), &notices, &ada(), &place());
    insta::assert_snapshot!(shown(&one), @r#"
    [prod] 7 changes at once: 1 paused, 1 rollout halted, 1 not restarted any more, 1 down, 1 push not rolled out, 1 rollout ended, 1 recovered
    [prod.digest.29455350.ada=40example.com answers nothing, refers to: ]

    prod: 7 changes at once: 1 paused, 1 rollout halted, 1 not restarted any
    more, 1 down, 1 push not rolled out, 1 rollout ended, 1 recovered

      when  2026-01-02 02:34:07 UTC

    Restarts paused (1)
      the fleet  02:30:00  15 of 60 healthy services turned bad in one tick; taken to be a fault on this side, nothing is restarted

    Rollouts halted (1)
      rachel8-17  02:34:07  halted: 2 of 5 failed in stage 1, more than 30 %

    Not restarted any more (1)
      vps-001  02:30:55  3 restarts failed: unit is not active (failed); no restart for 30 min, then one trial

    Down (1)
      vps-001  02:30:00  unit is not active (failed); restart at once, attempt 1 of 3

    Pushes not rolled out (1)
      rachel8  02:34:07  1a2b3c4 halted the rollout `rachel8-17`

    Rollouts ended (1)
      rachel8-17  02:34:07  completed: 10 of 10 services run 1a2b3c4

    Recovered (1)
      vps-001  02:30:12  up after a restart

    What happens next
      Each service goes on being looked after by itself; what changes from here
      on is told as usual.

    Look closer
      lamplighter health
      lamplighter services
      lamplighter why SERVICE
      lamplighter rollout list
      https://lamp.example.com/?env=prod

    --
    Written to ada@example.com by Lamplighter, which looks after prod. Letter
    prod.digest.29455350.ada=40example.com
    "#);
    notices.reverse();
    assert_eq!(digest(&prod(), &notices, &ada(), &place()), one);
}

#[test]
fn a_digest_groups_by_what_happened() {
    insta::assert_snapshot!(shown(&digest(&prod(), &many(12), &ada(), &place())), @r#"
    [prod] 12 changes at once: 9 down, 3 recovered
    [prod.digest.29455350.ada=40example.com answers nothing, refers to: ]

    prod: 12 changes at once: 9 down, 3 recovered

      when  2026-01-02 02:30:00 UTC

    Down (9)
      vps-001  02:30:00  no answer in time
      vps-005  02:30:00  no answer in time
      vps-009  02:30:00  no answer in time
      vps-000  02:30:00  unit is not active (failed)
      vps-002  02:30:00  unit is not active (failed)
      vps-004  02:30:00  unit is not active (failed)
      vps-006  02:30:00  unit is not active (failed)
      vps-008  02:30:00  unit is not active (failed)
      vps-010  02:30:00  unit is not active (failed)

    Recovered (3)
      vps-003  02:30:00  up after a restart
      vps-007  02:30:00  up after a restart
      vps-011  02:30:00  up after a restart

    What happens next
      Each service goes on being looked after by itself; what changes from here
      on is told as usual.

    Look closer
      lamplighter health
      lamplighter services
      lamplighter why SERVICE
      https://lamp.example.com/?env=prod

    --
    Written to ada@example.com by Lamplighter, which looks after prod. Letter
    prod.digest.29455350.ada=40example.com
    "#);
}

#[test]
fn a_digest_is_the_same_whatever_the_order_and_ends_with_how_many_more() {
    let mut notices = many(10_000);
    let one = digest(&prod(), &notices, &ada(), &place());
    notices.reverse();
    assert_eq!(digest(&prod(), &notices, &ada(), &place()), one);
    assert_eq!(one.text.lines().filter(|line| line.starts_with("  vps-")).count(), MAX_DIGEST_LINES);
    assert!(
        one.text.contains("and 9800 more") && one.subject.contains("7500 down, 2500 recovered"),
        "{}",
        one.text
    );
    assert!(one.html.len() < 100_000, "Gmail cuts letters at 102 KB; this has {}", one.html.len());
}

#[test]
fn two_recipients_of_one_digest_get_letters_of_their_own() {
    let to: Mailbox = "bob@example.com".parse().unwrap();
    let (ada, bob) =
        (digest(&prod(), &many(12), &ada(), &place()), digest(&prod(), &many(12), &to, &place()));
    assert_ne!(ada.message_id, bob.message_id);
}

#[test]
fn an_empty_digest_is_a_letter_all_the_same() {
    assert!(digest(&prod(), &[], &ada(), &place()).text.contains("0 changes"));
}
