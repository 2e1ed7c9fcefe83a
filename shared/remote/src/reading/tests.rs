//! What supervisors say, and what it is taken for.

use lamplighter_core::sight::UnreachableKind;

use super::*;
use crate::output::Ending;

const GRACE: Duration = Duration::from_secs(30);

fn said(status: u32, stdout: &str, stderr: &str) -> Output {
    Output { stdout: stdout.into(), stderr: stderr.into(), ending: Ending::Status(status) }
}

fn unit(load: &str, active: &str, sub: &str, restarts: u64, changed_secs_ago: u64) -> Report {
    let changed = (1_000 - changed_secs_ago) * 1_000_000;
    let text = format!(
        "NRestarts={restarts}\nExecMainStatus=1\nLoadState={load}\nActiveState={active}\nSubState={sub}\nResult=exit-code\n\
         InvocationID=abcdef0123456789\nStateChangeTimestampMonotonic={changed}\n{s}\n1000.00 2000.00\n{s}\nlast words\n",
        s = shell::SECTION
    );
    unit_report(&said(0, &text, ""), GRACE)
}

#[test]
fn only_the_one_word_with_status_zero_is_active() {
    assert_eq!(activity(&said(0, "active\n", "")), Ok(Activity::Active));
    for (status, stdout) in [
        (0, "active\nactive\n"),
        (0, " active\n"),
        (0, "active \n"),
        (0, "activ\n"),
        (0, ""),
        (0, "reloading\n"),
        (3, "active\n"),
        (3, "inactive\n"),
        (4, "inactive\n"),
    ] {
        assert_eq!(activity(&said(status, stdout, "")), Ok(Activity::NotActive), "{status} {stdout}");
    }
    for status in [1, 5, 126, 127, 255] {
        assert_eq!(
            activity(&said(status, "active\n", "")).unwrap_err().kind,
            UnreachableKind::NoVerdict,
            "{status}"
        );
    }
    for ending in [Ending::Unsaid, Ending::Signal("TERM".to_owned()), Ending::Contradicted, Ending::TooMuch] {
        let output = Output { stdout: b"active\n".to_vec(), stderr: vec![], ending };
        assert_eq!(activity(&output).unwrap_err().kind, UnreachableKind::NoVerdict);
    }
}

#[test]
fn a_unit_is_judged_by_its_state_and_how_long_it_has_held() {
    for (load, active, sub, restarts, age, expected) in [
        ("loaded", "active", "running", 0, 5, "up"),
        ("loaded", "failed", "failed", 0, 5, "unit is not active (failed, result exit-code, exit status 1)"),
        (
            "loaded",
            "inactive",
            "dead",
            2,
            5,
            "unit is not active (inactive (dead), result exit-code, exit status 1, restarted 2 times by systemd)",
        ),
        ("loaded", "activating", "start-pre", 0, 29, "not judged: still starting"),
        (
            "loaded",
            "activating",
            "start-pre",
            0,
            31,
            "unit has been starting for too long (activating (start-pre) for 31 s)",
        ),
        ("loaded", "reloading", "reload", 0, 1, "not judged: still starting"),
        ("loaded", "activating", "auto-restart", 1, 1, "not judged: still starting"),
        (
            "loaded",
            "activating",
            "auto-restart",
            3,
            1,
            "unit is not active (systemd has restarted it 3 times and it does not stay up)",
        ),
        (
            "not-found",
            "inactive",
            "dead",
            0,
            1,
            "no such unit (check the unit's name; no restart can mend this)",
        ),
        ("masked", "inactive", "dead", 0, 1, "unit is not active (inactive (dead), unit file is masked)"),
        ("", "", "", 0, 1, "unreachable: no verdict from host (systemctl said nothing of the unit)"),
    ] {
        let report = unit(load, active, sub, restarts, age);
        assert_eq!(report.sight.to_string(), expected);
        assert_eq!(report.process.unwrap().as_str(), "abcdef0123456789");
        assert_eq!(report.evidence.as_deref(), Some("last words"));
    }
}

#[test]
fn a_journal_cannot_forge_a_units_state() {
    let text = format!(
        "LoadState=loaded\nActiveState=failed\nSubState=failed\n{s}\n10.0 1.0\n{s}\nActiveState=active\n{s}\nActiveState=active\n",
        s = shell::SECTION
    );
    let report = unit_report(&said(0, &text, ""), GRACE);
    assert!(report.sight.to_string().starts_with("unit is not active"), "{}", report.sight);
}

#[test]
fn containers_are_judged_by_state_and_health() {
    for (stdout, expected) in [
        ("running  2026-01-02T02:30:00.5Z\n", "up"),
        ("running healthy 2026-01-02T02:30:00.5Z\n", "up"),
        ("running starting 2026-01-02T02:30:00.5Z\n", "not judged: still starting"),
        (
            "running unhealthy 2026-01-02T02:30:00.5Z\n",
            "container is unhealthy (its health check says unhealthy)",
        ),
        ("exited  2026-01-02T02:30:00.5Z\n", "container is not running (exited)"),
        ("paused  2026-01-02T02:30:00.5Z\n", "container is not running (paused)"),
    ] {
        let report = container_state(&said(0, stdout, ""));
        assert_eq!(report.sight.to_string(), expected);
        assert_eq!(report.process.unwrap().as_str(), "2026-01-02T02:30:00.5Z");
    }
    let missing = container_state(&said(1, "\n", "Error: No such container: web\n"));
    assert!(missing.sight.to_string().starts_with("no such container"));
    let no_daemon = container_state(&said(1, "\n", "Cannot connect to the Docker daemon\n"));
    assert!(no_daemon.sight.to_string().starts_with("unreachable: no verdict"), "{}", no_daemon.sight);
    assert!(container_state(&said(0, "garbage", "")).sight.to_string().starts_with("unreachable"));
}

#[test]
fn a_check_command_is_down_by_status_only() {
    assert_eq!(check_command(&said(0, "", "noise")).sight, Sight::Up);
    let down = check_command(&said(2, "", "\u{1b}[31mno queue\u{1b}[0m\n"));
    assert!(matches!(down.sight, Sight::Down(_)), "{}", down.sight);
    assert_eq!(down.evidence.as_deref(), Some("no queue"));
    let killed = Output { ending: Ending::Signal("KILL".to_owned()), ..Output::default() };
    assert!(matches!(check_command(&killed).sight, Sight::Unreachable(_)));
}
