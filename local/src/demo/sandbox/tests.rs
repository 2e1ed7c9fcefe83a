use super::*;
use crate::demo::plain;
use crate::demo::systemd::{Nature, State};

fn sandbox() -> (Systemd, Sandbox) {
    let systemd = Systemd::new();
    systemd.add("web", Nature::Sound);
    let sandbox = Sandbox::start(systemd.clone(), None, CancellationToken::new()).unwrap();
    (systemd, sandbox)
}

async fn run(sandbox: &Sandbox, line: &str) -> Answer {
    match sandbox.run(line).await {
        Ended::With(answer) => answer,
        Ended::Killed => panic!("`{line}` was killed"),
    }
}

#[tokio::test]
async fn scripts_and_the_short_cut_say_the_same() {
    let (systemd, sandbox) = sandbox();
    systemd.log("web", "a  line with 'quotes' and \\backslashes\\");
    for line in [
        "systemctl is-active web",
        "systemctl is-active nothing",
        "systemctl show -p LoadState,ActiveState,InvocationID web; journalctl -u web -n 5 --no-pager -o cat",
    ] {
        assert_eq!(plain::answer(&systemd, line), Some(run(&sandbox, line).await), "{line}");
    }
}

#[tokio::test]
async fn a_restart_by_script_restarts_the_unit() {
    let (systemd, sandbox) = sandbox();
    systemd.crash("web");
    let line = "sudo -n systemctl --no-ask-password restart web && timeout 5 systemctl is-active web";
    assert_eq!(run(&sandbox, line).await, Answer::said("active\n".to_owned(), 0));
    systemd.set_nature("web", Nature::RefusesToStart);
    let refused = run(&sandbox, "systemctl restart web").await;
    assert!(refused.status == 1 && refused.stderr.starts_with("Job for web.service failed"), "{refused:?}");
    assert_eq!(systemd.state("web"), Some(State::Failed));
}

#[tokio::test]
async fn many_scripts_at_once_each_get_their_own_answer() {
    let (systemd, sandbox) = sandbox();
    for n in 0..20 {
        systemd.add(&format!("unit{n}"), Nature::Sound);
    }
    let looks = (0..20).map(|n| {
        let sandbox = &sandbox;
        async move { (n, run(sandbox, &format!("systemctl show -p Id unit{n} | cat")).await.stdout) }
    });
    for (n, id) in futures_util::future::join_all(looks).await {
        assert_eq!(id, format!("Id=unit{n}.service\n"));
    }
}

#[tokio::test]
async fn nothing_is_left_behind() {
    let (_, sandbox) = sandbox();
    let home = sandbox.home.path().to_owned();
    run(&sandbox, "touch tmp/x; systemctl is-active web | cat").await;
    drop(sandbox);
    assert!(!home.exists());
}

#[tokio::test]
async fn a_command_killed_by_a_signal_has_no_status() {
    let (_, sandbox) = sandbox();
    assert_eq!(sandbox.run("kill -9 $$").await, Ended::Killed);
}

#[tokio::test]
async fn what_all_hosts_call_srv_is_each_host_s_own() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("note"), "mine").unwrap();
    let sandbox =
        Sandbox::start(Systemd::new(), Some(folder.path().to_owned()), CancellationToken::new()).unwrap();
    assert_eq!(run(&sandbox, "cd '/srv' && cat note /srv/note").await.stdout, "minemine");
}
