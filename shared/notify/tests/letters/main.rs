//! What letters say, and that whatever they are made of, they are good mail.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod digests;
mod mail;
mod rollouts;
mod services;

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
