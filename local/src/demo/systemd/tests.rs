use super::unit::START_LIMIT;
use super::*;

async fn run(systemd: &Systemd, line: &str) -> Answer {
    systemd.run(&line.split(' ').collect::<Vec<_>>()).await.unwrap()
}

#[tokio::test]
async fn states_and_exit_statuses_are_those_of_systemctl() {
    let systemd = Systemd::new();
    systemd.add("web", Nature::Sound);
    systemd.add("slow", Nature::SlowToStart(Duration::from_secs(60)));
    assert_eq!(run(&systemd, "systemctl is-active web").await, Answer::said("active\n".to_owned(), 0));
    assert_eq!(
        run(&systemd, "systemctl is-active web.service").await,
        Answer::said("active\n".to_owned(), 0)
    );
    assert_eq!(run(&systemd, "systemctl is-active slow").await, Answer::said("activating\n".to_owned(), 3));
    assert_eq!(run(&systemd, "systemctl is-active nothing").await, Answer::said("inactive\n".to_owned(), 4));
    systemd.stop("web");
    assert_eq!(run(&systemd, "systemctl is-active web").await, Answer::said("inactive\n".to_owned(), 3));
    systemd.crash("web");
    assert_eq!(run(&systemd, "systemctl is-active web").await, Answer::said("failed\n".to_owned(), 3));
    assert_eq!(run(&systemd, "systemctl restart nothing").await.status, 5);
}

#[tokio::test]
async fn every_start_is_a_new_invocation() {
    let systemd = Systemd::new();
    systemd.add("web", Nature::Sound);
    let first = systemd.invocation("web").unwrap();
    assert_eq!(run(&systemd, "systemctl --no-ask-password restart web").await, Answer::default());
    let shown = run(&systemd, "systemctl show -p InvocationID --value web").await.stdout;
    assert_eq!(shown.trim(), systemd.invocation("web").unwrap());
    assert_ne!(shown.trim(), first);
    assert_eq!(
        (systemd.restarts("web"), systemd.lifecycle().restarts, systemd.lifecycle().max_nesting),
        (1, 1, 1)
    );
}

#[tokio::test]
async fn the_start_limit_refuses_manual_starts_until_it_is_reset() {
    let systemd = Systemd::new();
    systemd.add("web", Nature::Sound);
    for _ in 1..START_LIMIT {
        assert_eq!(run(&systemd, "systemctl restart web").await.status, 0);
    }
    assert_eq!(run(&systemd, "systemctl restart web").await.status, 1);
    assert_eq!(run(&systemd, "systemctl show -p Result web").await.stdout, "Result=start-limit-hit\n");
    assert_eq!(run(&systemd, "systemctl reset-failed web").await.status, 0);
    assert_eq!(run(&systemd, "systemctl restart web").await.status, 0);
    assert_eq!(systemd.state("web"), Some(State::Active));
}

#[tokio::test]
async fn restarts_that_meet_are_counted() {
    let systemd = Systemd::new();
    systemd.add("web", Nature::Sound);
    systemd.set_restart_time("web", Duration::from_millis(20));
    tokio::join!(run(&systemd, "systemctl restart web"), run(&systemd, "systemctl restart web"));
    assert_eq!(systemd.lifecycle().max_nesting, 2);
}

#[tokio::test]
async fn a_unit_that_cannot_live_says_why_in_its_journal() {
    let systemd = Systemd::new();
    systemd.add("web", Nature::Sound);
    systemd.set_nature("web", Nature::RefusesToStart);
    assert_eq!(run(&systemd, "systemctl restart web").await.status, 1);
    assert!(
        run(&systemd, "journalctl -u web -n 1 --no-pager -o cat").await.stdout.contains("/etc/demo.conf")
    );
    systemd.set_nature("web", Nature::DiesAfter(Duration::ZERO));
    assert_eq!(run(&systemd, "systemctl restart web").await.status, 0);
    assert_eq!(systemd.state("web"), Some(State::Failed));
}
