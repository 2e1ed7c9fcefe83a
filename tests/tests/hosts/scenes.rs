//! What happens to the hosts, and what must come of it.

use std::time::Duration;

use super::program::{PATIENCE, eventually};
use super::street::Street;

/// A scene leaves its hosts broken; they are healed after it, and must be seen healthy again.
pub(crate) type Scene = fn(&mut Street<'_>);

/// All of them, in this order.
pub(crate) const ALL: [(&str, Scene); 14] = [
    ("a_stopped_unit_is_restarted_once_and_its_owner_hears_it", a_stopped_unit),
    ("a_killed_process_that_systemd_starts_again_is_none_of_our_business", a_killed_process),
    ("a_crash_loop_is_seen_although_systemd_never_gives_up", a_crash_loop),
    ("a_unit_at_its_start_limit_is_tried_three_times_and_then_left_alone", a_failing_unit),
    ("a_unit_that_is_gone_is_told_of_as_such", a_missing_unit),
    ("without_sudo_the_lines_for_sudoers_are_named", no_sudo),
    ("a_changed_host_key_is_never_authenticated_to", a_changed_host_key),
    ("hosts_behind_a_broken_network_are_down_and_never_restarted", a_broken_network),
    ("a_host_that_reboots_is_waited_for", a_reboot),
    ("a_full_disk_does_not_stop_a_restart", a_full_disk),
    ("a_read_only_disk_does_not_stop_a_restart", a_read_only_disk),
    ("a_clock_an_hour_ahead_changes_no_verdict", a_wrong_clock),
    ("a_server_killed_between_restart_and_verdict_does_not_restart_again", a_killed_server),
    ("a_unit_that_stops_slowly_is_waited_for", a_slow_stop),
];

fn a_stopped_unit(street: &mut Street<'_>) {
    let starts = street.starts("lamp1");
    street.fleet.fault("lamp1", &["svc-stop"]);
    street.sweep();
    let recovered = street.letter("lamp1", "recovered");
    street.wait_for_status("lamp1", "healthy");
    let down = street.letter("lamp1", "DOWN");
    assert_eq!(recovered.answers, Some(down.id));
    assert!(down.text.contains("demo v1"), "it quotes the journal: {}", down.text);
    assert_eq!(street.starts("lamp1"), starts + 1);
}

fn a_killed_process(street: &mut Street<'_>) {
    let (starts, asked) = (street.starts("lamp2"), street.asked("lamp2"));
    street.fleet.fault("lamp2", &["svc-kill"]);
    street.sweep();
    let again = eventually(|| (street.starts("lamp2") == starts + 1).then_some(()), PATIENCE);
    again.expect("systemd starts it again");
    street.sweep();
    assert_eq!(street.service("lamp2")["status"], "healthy", "{}", street.why("lamp2"));
    assert_eq!(street.letters("lamp2", ""), []);
    assert_eq!(street.asked("lamp2"), asked);
}

fn a_crash_loop(street: &mut Street<'_>) {
    street.fleet.fault("lamp3", &["svc-crash-loop"]);
    let seen = eventually(
        || {
            street.sweep();
            street.letters("lamp3", "DOWN").pop()
        },
        PATIENCE,
    );
    let letter = seen.expect("a loop is seen sooner or later");
    assert!(letter.text.contains("does not stay up"), "{}", letter.text);
}

fn a_failing_unit(street: &mut Street<'_>) {
    let asked = street.asked("lamp4");
    street.fleet.fault("lamp4", &["svc-fail"]);
    let opened = street.sweep_until("lamp4", "circuit_open");
    assert_eq!(opened["breaker"]["state"], "open", "{opened}");
    let journal = street.fleet.exec("lamp4", "journalctl -t sudo -o cat");
    let said = street.server().said.all().join("\n");
    assert_eq!(street.asked("lamp4"), asked + 3, "{journal}\n{said}");
    let told = street.letter("lamp4", "NOT restarted");
    assert!(told.to.contains("ops@example.com"), "{told:?}");
    // systemd's own limit did not stand in the way: each try was a start of its own.
    let refused = street.fleet.exec("lamp4", "journalctl -u lamp4 -o cat");
    assert!(
        !refused.contains("Start request repeated too quickly") || street.starts("lamp4") >= 3,
        "{refused}"
    );
    for _ in 0..3 {
        street.sweep();
    }
    assert_eq!(street.asked("lamp4"), asked + 3, "an open breaker lets nothing through");
    street.fleet.heal("lamp4");
    let closed = street.sweep_until("lamp4", "healthy");
    assert_eq!(closed["breaker"]["state"], "closed", "{closed}");
    assert_eq!(street.asked("lamp4"), asked + 3, "it was mended by hand");
}

fn a_missing_unit(street: &mut Street<'_>) {
    let unit = "/etc/systemd/system/lamp1.service";
    street
        .fleet
        .exec("lamp1", &format!("systemctl stop lamp1; mv {unit} {unit}.away; systemctl daemon-reload"));
    street.sweep_until("lamp1", "circuit_open");
    let down = street.letter("lamp1", "DOWN");
    assert!(down.text.contains("no such unit"), "{}", down.text);
    street.fleet.exec("lamp1", &format!("mv {unit}.away {unit}; systemctl daemon-reload"));
    street.fleet.heal("lamp1");
}

fn no_sudo(street: &mut Street<'_>) {
    let starts = street.starts("lamp2");
    street.fleet.fault("lamp2", &["sudo-fail"]);
    street.fleet.fault("lamp2", &["svc-stop"]);
    street.sweep_until("lamp2", "circuit_open");
    let why = street.why("lamp2");
    assert!(why.contains("sudoers") && why.contains("restart lamp2"), "{why}");
    let told = street.letter("lamp2", "NOT restarted");
    assert!(told.text.contains("sudoers"), "{}", told.text);
    assert_eq!(street.starts("lamp2"), starts);
}

fn a_changed_host_key(street: &mut Street<'_>) {
    street.fleet.fault("lamp3", &["hostkey"]);
    // Connections that were open stay so; sshd was restarted for the new key, not for them.
    street.fleet.exec("lamp3", "pkill -f 'sshd: deploy'");
    let (logins, run) = (street.logins("lamp3"), street.run("lamp3"));
    let down = street.sweep_until("lamp3", "down");
    assert!(down["because"].as_str().unwrap().contains("host key changed"), "{down}");
    assert!(street.letter("lamp3", "DOWN").text.contains("host key changed"));
    let journal = street.fleet.exec("lamp3", "journalctl -u ssh -o cat");
    assert_eq!(street.logins("lamp3"), logins, "{journal}");
    assert!(!journal.contains("Failed publickey") && !journal.contains("authenticating user"), "{journal}");
    assert_eq!(street.run("lamp3"), run);
}

fn a_broken_network(street: &mut Street<'_>) {
    let runs = ["lamp1", "lamp2"].map(|host| street.run(host));
    street.fleet.fault("lamp1", &["drop"]);
    street.fleet.fault("lamp2", &["link-down"]);
    for host in ["lamp1", "lamp2"] {
        let down = street.sweep_until(host, "down");
        assert_eq!(down["breaker"]["consecutive_failures"], 0, "{down}");
        assert!(street.letter(host, "DOWN").subject.contains(host));
    }
    assert_eq!(street.service("lamp3")["status"], "healthy");
    for host in ["lamp1", "lamp2"] {
        street.fleet.heal(host);
        street.sweep_until(host, "healthy");
        street.letter(host, "recovered");
    }
    assert_eq!(["lamp1", "lamp2"].map(|host| street.run(host)), runs);
}

fn a_reboot(street: &mut Street<'_>) {
    // Its network stays away until it was seen dark: a boot may be over within one look's deadline.
    street.fleet.fault("lamp4", &["link-down"]);
    street.fleet.fault("lamp4", &["reboot"]);
    street.sweep_until("lamp4", "down");
    street.fleet.heal("lamp4");
    street.sweep_until("lamp4", "healthy");
    assert_eq!(street.asked("lamp4"), 0, "it came back by itself");
    assert_eq!(street.starts("lamp4"), 1);
}

fn a_full_disk(street: &mut Street<'_>) {
    restarts_all_the_same(street, "lamp1", "disk-full");
}

fn a_read_only_disk(street: &mut Street<'_>) {
    restarts_all_the_same(street, "lamp2", "read-only");
}

fn restarts_all_the_same(street: &Street<'_>, host: &str, fault: &str) {
    let asked = street.asked(host);
    street.fleet.fault(host, &[fault]);
    street.fleet.fault(host, &["svc-stop"]);
    street.sweep();
    let recovered = street.letter(host, "recovered");
    street.wait_for_status(host, "healthy");
    assert_eq!(street.asked(host), asked + 1);
    let why = street.why(host);
    assert!(why.contains("guard incomplete"), "{why}\n{}", recovered.text);
}

fn a_wrong_clock(street: &mut Street<'_>) {
    street.fleet.fault("lamp3", &["clock", "+3600"]);
    // The way this clock is moved ends the demo app at its start; the logins keep the moved clock, the app has the right one.
    street
        .fleet
        .exec("lamp3", "rm /etc/systemd/system/lamp3.service.d/clock.conf && systemctl daemon-reload");
    street.fleet.exec("lamp3", "pkill -f 'sshd: deploy'");
    street.sweep();
    street.sweep();
    assert_eq!(street.service("lamp3")["status"], "healthy", "{}", street.why("lamp3"));
    assert_eq!(street.letters("lamp3", ""), []);
    let asked = street.asked("lamp3");
    street.fleet.fault("lamp3", &["svc-stop"]);
    street.sweep();
    street.letter("lamp3", "recovered");
    street.wait_for_status("lamp3", "healthy");
    assert_eq!(street.asked("lamp3"), asked + 1);
}

fn a_killed_server(street: &mut Street<'_>) {
    let (starts, asked) = (street.starts("lamp4"), street.asked("lamp4"));
    street.fleet.fault("lamp4", &["svc-stop"]);
    street.sweep();
    let restarted = eventually(|| (street.starts("lamp4") > starts).then_some(()), PATIENCE);
    restarted.expect("it is restarted");
    street.kill_server();
    street.letter("lamp4", "recovered");
    street.wait_for_status("lamp4", "healthy");
    assert_eq!(street.letters("lamp4", "DOWN").len(), 1);
    assert_eq!((street.starts("lamp4"), street.asked("lamp4")), (starts + 1, asked + 1));
}

fn a_slow_stop(street: &mut Street<'_>) {
    street.fleet.fault("lamp1", &["svc-slow-stop"]);
    let run = street.run("lamp1");
    street.home.json(street.server(), &["restart", "lamp1"]);
    let again = eventually(|| (street.run("lamp1") != run).then_some(()), Duration::from_secs(30));
    again.expect("a new run");
    street.sweep_until("lamp1", "healthy");
    assert_eq!(street.letters("lamp1", ""), []);
}
