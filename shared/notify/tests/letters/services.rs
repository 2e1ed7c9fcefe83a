//! Letters about a service.

use super::*;

#[test]
fn a_down_letter_says_what_is_wrong_what_comes_and_what_to_type() {
    insta::assert_snapshot!(shown(&letter(&prod(), &down(), &ada(), &place())), @r#"
    [prod] vps-001 is DOWN: unit is not active (failed)
    [prod.vps-001.17.down answers nothing, refers to: prod.vps-001.17]

    prod: vps-001 is down

      what happened  unit is not active (failed)
      when           2026-01-02 02:30:00 UTC

    What happens next
      a restart at once, attempt 1 of 3

    Last lines it wrote
      | rachel8[812]: listening on :8080
      | rachel8[812]: panic: out of café tables <script>
      | rachel8.service: Main process exited, code=exited, status=2

    Look closer
      lamplighter why vps-001
      https://lamp.example.com/?env=prod&service=vps-001

    Make automation leave it alone
      lamplighter hold vps-001 --reason "…"

    --
    Written to ada@example.com by Lamplighter, which looks after prod. Letter
    prod.vps-001.17.down
    "#);
}

#[test]
fn a_recovered_letter_says_how_long_it_took_and_asks_for_nothing() {
    insta::assert_snapshot!(shown(&letter(&prod(), &recovered(), &ada(), &place())), @r#"
    [prod] vps-001 recovered after 12 s
    [prod.vps-001.19.recovered answers prod.vps-001.17.down, refers to: prod.vps-001.17 prod.vps-001.17.down]

    prod: vps-001 recovered after 12 s

      what happened  up after a restart
      down since     2026-01-02 02:30:00 UTC
      up again       2026-01-02 02:30:12 UTC

    What was tried
      - restart 1: made

    What happens next
      it is looked at every tick, as before

    Look closer
      lamplighter why vps-001
      https://lamp.example.com/?env=prod&service=vps-001

    --
    Written to ada@example.com by Lamplighter, which looks after prod. Letter
    prod.vps-001.19.recovered
    "#);
}

#[test]
fn a_breaker_letter_lists_what_was_tried_and_offers_one_more_try() {
    insta::assert_snapshot!(shown(&letter(&prod(), &breaker_open(), &ada(), &place())), @r#"
    [prod] vps-001 is NOT restarted any more: 3 restarts failed: unit is not active (failed)
    [prod.vps-001.23.breaker-open answers prod.vps-001.17.down, refers to: prod.vps-001.17 prod.vps-001.17.down]

    prod: vps-001 is not restarted any more

      what happened  3 restarts failed: unit is not active (failed)
      when           2026-01-02 02:30:55 UTC
      began          2026-01-02 02:30:00 UTC (55 s before)

    What was tried
      - restart 1: made, then unit is not active (failed)
      - restart 2: made, then unit is not active (failed)
      - restart 3: made, then unit is not active (failed)

    What happens next
      one trial restart after 2026-01-02T03:00:55Z; or reset the breaker

    Last lines it wrote
      | rachel8[812]: listening on :8080
      | rachel8[812]: panic: out of café tables <script>
      | rachel8.service: Main process exited, code=exited, status=2

    Look closer
      lamplighter why vps-001
      https://lamp.example.com/?env=prod&service=vps-001

    Try once more, now
      lamplighter restart vps-001

    Make automation leave it alone
      lamplighter hold vps-001 --reason "…"

    --
    Written to ada@example.com by Lamplighter, which looks after prod. Letter
    prod.vps-001.23.breaker-open
    "#);
}

#[test]
fn a_blindness_letter_speaks_of_the_whole_env_and_needs_no_pages() {
    insta::assert_snapshot!(shown(&letter(&prod(), &blind(), &ada(), &Place::default())), @r#"
    [prod] restarts are PAUSED: 15 of 60 healthy services turned bad in one tick
    [prod.prod.4.blind answers nothing, refers to: prod.prod.4]

    prod: too much failed at once; restarts are paused

      what happened  15 of 60 healthy services turned bad in one tick; taken to
                     be a fault on this side, nothing is restarted
      when           2026-01-02 02:30:00 UTC

    What happens next
      everything is looked at each tick; restarts begin again when a tick is
      back under the limit, or when an admin says the failures are real
      (`lamplighter sweep --go-on`)

    Look closer
      lamplighter health
      lamplighter services

    --
    Written to ada@example.com by Lamplighter, which looks after prod. Letter
    prod.prod.4.blind
    "#);
}

#[test]
fn another_env_is_another_thread() {
    let staging: EnvName = "staging".parse().unwrap();
    let (one, two) =
        (letter(&prod(), &down(), &ada(), &place()), letter(&staging, &down(), &ada(), &place()));
    assert_ne!(one.message_id, two.message_id);
    assert_ne!(one.references, two.references);
}
