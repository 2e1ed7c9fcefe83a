//! What letters say, and that whatever they are made of, they are good mail.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::time::Duration;

use lamplighter_core::notice::{Notice, NoticeKind};
use lamplighter_core::{EnvName, Mailbox, Moment};
use lamplighter_notify::{Letter, MAX_DIGEST_LINES, Place, Post, digest, letter};
use mail_parser::{Message, MessageParser, MimeHeaders as _};

fn prod() -> EnvName {
    "prod".parse().unwrap()
}

fn ada() -> Mailbox {
    "ada@example.com".parse().unwrap()
}

fn place() -> Place {
    Place { base_url: Some("https://lamp.example.com".to_owned()), ..Place::default() }
}

/// 2026-01-02T02:30:00Z.
fn half_past_two() -> Moment {
    Moment::from_millis(1_767_321_000_000)
}

fn down() -> Notice {
    Notice {
        id: "vps-001.17.down".to_owned(),
        kind: NoticeKind::Down,
        service: Some("vps-001".parse().unwrap()),
        thread: "vps-001.17".to_owned(),
        tick: 29_455_350,
        at: half_past_two(),
        to: vec![ada()],
        because: "down: unit is not active (failed); restart at once, attempt 1 of 3".to_owned(),
        tried: Vec::new(),
        next: "a restart at once, attempt 1 of 3".to_owned(),
        evidence: Some("rachel8[812]: listening on :8080\nrachel8[812]: panic: out of café tables <script>\nrachel8.service: Main process exited, code=exited, status=2".to_owned()),
        incident_since: Some(half_past_two()),
        digest: None,
    }
}

fn recovered() -> Notice {
    Notice {
        id: "vps-001.19.recovered".to_owned(),
        kind: NoticeKind::Recovered,
        at: half_past_two() + Duration::from_secs(12),
        because: "up after a restart".to_owned(),
        tried: vec!["restart 1: made".to_owned()],
        next: "it is looked at every tick, as before".to_owned(),
        evidence: None,
        ..down()
    }
}

fn breaker_open() -> Notice {
    Notice {
        id: "vps-001.23.breaker-open".to_owned(),
        kind: NoticeKind::BreakerOpen,
        at: half_past_two() + Duration::from_secs(55),
        because: "3 restarts failed: unit is not active (failed); no restart for 30 min, then one trial"
            .to_owned(),
        tried: (1..=3).map(|n| format!("restart {n}: made, then unit is not active (failed)")).collect(),
        next: "one trial restart after 2026-01-02T03:00:55Z; or reset the breaker".to_owned(),
        ..down()
    }
}

fn blind() -> Notice {
    Notice {
        id: "prod.4.blind".to_owned(),
        kind: NoticeKind::Blind,
        service: None,
        thread: "prod.4".to_owned(),
        because: "15 of 60 healthy services turned bad in one tick; taken to be a fault on this side, nothing is restarted".to_owned(),
        next: "everything is looked at each tick; restarts begin again when a tick is back under the limit, or when an admin says the failures are real (`lamplighter sweep --go-on`)".to_owned(),
        evidence: None,
        ..down()
    }
}

fn halted() -> Notice {
    Notice {
        id: "rachel8-17.halted".to_owned(),
        kind: NoticeKind::RolloutHalted,
        service: None,
        thread: "rachel8-17".to_owned(),
        at: half_past_two() + Duration::from_secs(247),
        because: "rollout rachel8-17 halted: halted: 2 of 5 failed in stage 1, more than 30 %".to_owned(),
        tried: vec![
            "vps-004 rolled back: rolled back to 9f8e7d6: install failed: bun: command not found".to_owned(),
            "vps-009 rolled back: rolled back to 9f8e7d6: it fell sick while it was watched: unit is not active"
                .to_owned(),
        ],
        next: "nothing goes on by itself; 1a2b3c4 is quarantined for `rachel8`: mend it and start a rollout of the next commit".to_owned(),
        evidence: None,
        ..down()
    }
}

fn finished(because: &str, tried: &[&str]) -> Notice {
    Notice {
        id: "rachel8-17.finished".to_owned(),
        kind: NoticeKind::RolloutFinished,
        because: because.to_owned(),
        tried: tried.iter().map(|line| (*line).to_owned()).collect(),
        next: String::new(),
        ..halted()
    }
}

fn push_refused() -> Notice {
    Notice {
        id: "rachel8.push.1a2b3c4".to_owned(),
        kind: NoticeKind::PushRefused,
        thread: "rachel8.push".to_owned(),
        because: "1a2b3c4 halted the rollout `rachel8-17`".to_owned(),
        tried: Vec::new(),
        next: "push a version that mends it, or start this one by hand with `--force` and a reason"
            .to_owned(),
        incident_since: None,
        ..halted()
    }
}

fn many(count: usize) -> Vec<Notice> {
    let of = |n: usize| Notice {
        id: format!("vps-{n:03}.5.down"),
        service: Some(format!("vps-{n:03}").parse().unwrap()),
        kind: if n % 4 == 3 { NoticeKind::Recovered } else { NoticeKind::Down },
        because: if n % 4 == 3 {
            "up after a restart".to_owned()
        } else {
            ["down: unit is not active (failed)", "down: no answer in time"][n % 2].to_owned()
        },
        digest: Some("29455350.ada@example.com".to_owned()),
        ..down()
    };
    (0..count).map(of).collect()
}

/// Subject, ids and body, as a person would be shown them.
fn shown(letter: &Letter) -> String {
    let Letter { message_id, in_reply_to, references, subject, text, .. } = letter;
    let answers = in_reply_to.as_deref().unwrap_or("nothing");
    let whole =
        format!("{subject}\n[{message_id} answers {answers}, refers to: {}]\n\n{text}", references.join(" "));
    whole.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

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

#[test]
fn another_env_is_another_thread() {
    let staging: EnvName = "staging".parse().unwrap();
    let (one, two) =
        (letter(&prod(), &down(), &ada(), &place()), letter(&staging, &down(), &ada(), &place()));
    assert_ne!(one.message_id, two.message_id);
    assert_ne!(one.references, two.references);
}

/// The letter as a file of a folder: the bytes that a server would get, too.
async fn posted(letter: &Letter) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let post = Post::folder(dir.path().join("letters"), &"lamp@mail.example.com".parse().unwrap()).unwrap();
    post.send(letter).await.unwrap();
    let file = std::fs::read_dir(dir.path().join("letters")).unwrap().next().unwrap().unwrap();
    std::fs::read(file.path()).unwrap()
}

fn parse(bytes: &[u8]) -> Message<'_> {
    MessageParser::default().parse(bytes).unwrap()
}

#[tokio::test]
async fn a_posted_letter_is_good_mail_and_reads_back_as_written() {
    let letter = letter(&prod(), &recovered(), &ada(), &place());
    let bytes = posted(&letter).await;
    let mail = parse(&bytes);
    assert_eq!(mail.message_id().unwrap(), "prod.vps-001.19.recovered@mail.example.com");
    assert_eq!(mail.in_reply_to().as_text().unwrap(), "prod.vps-001.17.down@mail.example.com");
    let references: Vec<&str> =
        mail.references().as_text_list().unwrap().iter().map(|id| id.as_ref()).collect();
    assert_eq!(references, ["prod.vps-001.17@mail.example.com", "prod.vps-001.17.down@mail.example.com"]);
    assert_eq!(mail.subject().unwrap(), letter.subject);
    assert_eq!(mail.date().unwrap().to_rfc3339(), "2026-01-02T02:30:12Z");
    assert_eq!(mail.from().unwrap().first().unwrap().address().unwrap(), "lamp@mail.example.com");
    assert_eq!(mail.to().unwrap().first().unwrap().address().unwrap(), "ada@example.com");
    assert_eq!(mail.header_raw("Auto-Submitted").unwrap().trim(), "auto-generated");
    let kind = mail.content_type().unwrap();
    assert_eq!((kind.ctype(), kind.subtype()), ("multipart", Some("alternative")));
    assert_eq!((mail.text_body_count(), mail.html_body_count(), mail.attachment_count()), (1, 1, 0));
    assert_eq!(mail.body_text(0).unwrap().replace("\r\n", "\n"), letter.text);
    assert_eq!(mail.body_html(0).unwrap().replace("\r\n", "\n"), letter.html);
}

#[tokio::test]
async fn other_alphabets_arrive_and_every_byte_on_the_wire_is_ascii() {
    let notice = Notice { because: "down: Gerät aus, 電源断, мёртв 🔥".to_owned(), ..down() };
    let letter = letter(&prod(), &notice, &ada(), &place());
    let bytes = posted(&letter).await;
    assert!(bytes.is_ascii());
    assert!(
        bytes
            .split(|byte| *byte == b'\n')
            .all(|line| line.len() <= 998 && line.last().is_none_or(|last| *last == b'\r'))
    );
    let mail = parse(&bytes);
    assert_eq!(mail.subject().unwrap(), "[prod] vps-001 is DOWN: Gerät aus, 電源断, мёртв 🔥");
    assert_eq!(mail.body_text(0).unwrap().replace("\r\n", "\n"), letter.text);
}

/// A notice in which every free text is `text`.
fn hostile(text: &str) -> Notice {
    Notice {
        because: text.to_owned(),
        tried: vec![text.to_owned(); 50],
        next: text.to_owned(),
        evidence: Some(text.to_owned()),
        ..down()
    }
}

#[tokio::test]
async fn hostile_text_forges_no_header_no_part_and_no_tag() {
    let innocent = letter(&prod(), &down(), &ada(), &place());
    let innocent_bytes = posted(&innocent).await;
    let names =
        |mail: &Message<'_>| mail.headers().iter().map(|header| header.name().to_owned()).collect::<Vec<_>>();
    let expected = names(&parse(&innocent_bytes));
    for text in [
        "</script></pre><script>alert(1)</script><img src=x onerror=alert(1)>",
        "x\r\nBcc: eve@example.net\r\n\r\nhello",
        "x\nBcc: eve@example.net",
        "x\rBcc: eve@example.net",
        "x\u{2028}Bcc: eve@example.net\u{85}To: eve@example.net",
        "\u{1b}[31mred\u{1b}]0;title\u{7}\u{9b}31m",
        "gpj.\u{202e}exe\u{2066}\u{200b}",
        "\r\n.\r\nMAIL FROM:<eve@example.net>",
        "=?utf-8?q?=0d=0aBcc:_eve=40example.net?=",
        "--=_lamplighter_00000000000000000000000000000000--\nContent-Type: text/html\n\n<b>forged</b>",
    ] {
        for letter in [
            letter(&prod(), &hostile(text), &ada(), &place()),
            digest(&prod(), &vec![hostile(text); 12], &ada(), &place()),
        ] {
            let bytes = posted(&letter).await;
            let mail = parse(&bytes);
            assert!(names(&mail).iter().all(|name| expected.contains(name)), "{text:?}: {:?}", names(&mail));
            assert_eq!(
                (mail.text_body_count(), mail.html_body_count(), mail.attachment_count()),
                (1, 1, 0),
                "{text:?}"
            );
            assert_eq!(mail.to().unwrap().iter().count(), 1, "{text:?}");
            assert_eq!(mail.body_text(0).unwrap().replace("\r\n", "\n"), letter.text, "{text:?}");
            for forged in ["<script", "<img", "<b>", "onerror=alert(1)>"] {
                assert!(!letter.html.contains(forged), "{text:?}: {}", letter.html);
            }
            let unseen = |c: char| {
                (c.is_control() && c != '\n')
                    || ('\u{200b}'..='\u{200f}').contains(&c)
                    || ('\u{202a}'..='\u{2069}').contains(&c)
            };
            for part in [&letter.subject, &letter.text, &letter.html] {
                assert!(!part.contains(unseen), "{text:?}: {part:?}");
            }
            assert!(!letter.subject.contains('\n'));
        }
    }
}

#[tokio::test]
async fn a_line_of_ten_megabytes_makes_a_small_letter() {
    let letter = letter(&prod(), &hostile(&"x".repeat(10_000_000)), &ada(), &place());
    assert!(letter.subject.chars().count() <= 141 && posted(&letter).await.len() < 64_000);
}

#[test]
fn letters_fetch_nothing() {
    for letter in
        [letter(&prod(), &breaker_open(), &ada(), &place()), digest(&prod(), &many(12), &ada(), &place())]
    {
        let html = letter.html.to_ascii_lowercase();
        for fetched in ["<img", "<link", "<script", "<iframe", "url(", "@import", " src="] {
            assert!(!html.contains(fetched), "{fetched}");
        }
    }
}
