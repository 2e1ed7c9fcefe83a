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

#[test]
fn a_refusal_of_sudo_names_the_line_that_is_missing() {
    let spec: ServiceSpec = serde_json::from_value(serde_json::json!({
        "id": "web", "address": "203.0.113.7", "user": "runner", "check": {"systemd": "web"}, "restart": {"systemd": "web"},
    }))
    .unwrap();
    let failed = failure(&spec, 1, "sudo: a password is required", 60);
    assert!(
        failed
            .contains("runner ALL=(root) NOPASSWD: /usr/bin/systemctl --no-ask-password restart web.service"),
        "{failed}"
    );
    assert_eq!(failure(&spec, 124, "", 60), "killed after 60 s");
    assert_eq!(failure(&spec, 5, "Job failed", 60), "exit status 5: Job failed");
}
