//! The last word of a restart: believed only if it is exactly one.

use super::*;
use crate::output::Ending;

fn said(stdout: &str) -> Output {
    Output { stdout: stdout.into(), stderr: vec![], ending: Ending::Status(0) }
}

#[test]
fn verdicts_are_read_as_the_script_writes_them() {
    let parts = GuardParts { lock: true, action_no: false, process: true };
    for (line, expected) in [
        ("done lock=1 action_no=0 process=1", LastWord::Done(parts)),
        ("refused repeated", LastWord::Repeated),
        ("refused overtaken 17", LastWord::Overtaken(17)),
        ("refused changed", LastWord::Changed),
        ("refused busy", LastWord::Busy),
        (
            "failed 1 Job for web.service failed.",
            LastWord::Failed { status: 1, complaint: "Job for web.service failed.".to_owned() },
        ),
        ("failed 5 ", LastWord::Failed { status: 5, complaint: String::new() }),
    ] {
        assert_eq!(last_word(&said(&format!("Welcome!\nlamplighter abc {line}\n")), "abc"), Some(expected));
    }
}

#[test]
fn anything_else_is_no_verdict() {
    for stdout in [
        "",
        "lamplighter abc done lock=1 action_no=1 process=1",
        "lamplighter xyz done lock=1 action_no=1 process=1\n",
        "lamplighter abc done lock=1\n",
        "lamplighter abc done lock=2 action_no=1 process=1\n",
        "lamplighter abc refused overtaken many\n",
        "lamplighter abc refused\n",
        "lamplighter abc exploded 1\n",
        " lamplighter abc done lock=1 action_no=1 process=1\n",
        "lamplighter abc refused busy\nlamplighter abc done lock=1 action_no=1 process=1\n",
    ] {
        assert_eq!(last_word(&said(stdout), "abc"), None, "{stdout}");
    }
}

fn spec() -> ServiceSpec {
    serde_json::from_value(serde_json::json!({
        "id": "web", "address": "203.0.113.7", "user": "runner", "check": {"systemd": "web"}, "restart": {"systemd": "web"},
    }))
    .unwrap()
}

#[test]
fn a_sudo_that_asks_for_a_password_brings_both_lines_that_are_missing() {
    for complaint in [
        "sudo: a password is required",
        "sudo: a terminal is required to read the password; either use the -S option",
        "sudo: interactive authentication is required",
        "runner is not in the sudoers file.",
        "Sorry, user runner is not allowed to execute '/usr/bin/systemctl --no-ask-password restart web.service' as root",
        "Sorry, user runner may not run sudo on vps-001.",
        "sudo: I'm sorry runner. I'm afraid I can't do that",
    ] {
        assert_eq!(
            failure(&spec(), 1, complaint, 60),
            "`sudo` wants a password or refuses (status 1); add two lines to the host's sudoers with `visudo`: \
             `runner ALL=(root) NOPASSWD: /usr/bin/systemctl --no-ask-password restart web.service` and \
             `runner ALL=(root) NOPASSWD: /usr/bin/systemctl --no-ask-password reset-failed web.service`",
            "{complaint}"
        );
    }
}

#[test]
fn other_failures_are_not_blamed_on_sudo() {
    assert_eq!(failure(&spec(), 124, "", 60), "killed after 60 s");
    assert_eq!(failure(&spec(), 5, "Job failed", 60), "exit status 5: Job failed");
    assert_eq!(
        failure(&spec(), 1, "sudo: systemctl: command not found", 60),
        "exit status 1: sudo: systemctl: command not found"
    );
}

#[test]
fn a_host_without_timeout_is_warned_about_once() {
    let remarked =
        said("lamplighter-remark abc no-timeout\nlamplighter abc done lock=1 action_no=1 process=1\n");
    assert!(lacks_timeout(&remarked, "abc"));
    assert!(last_word(&remarked, "abc").is_some(), "a remark is no verdict and hides none");
    assert!(!lacks_timeout(&said("lamplighter-remark xyz no-timeout\n"), "abc"));
    let unlimited = Unlimited::default();
    let (first, second) = ("203.0.113.7".parse().unwrap(), "203.0.113.8".parse().unwrap());
    assert_eq!(
        [unlimited.note(&first), unlimited.note(&first), unlimited.note(&second)],
        [true, false, true]
    );
}
