//! Restarts on hosts that misbehave.

use super::*;

/// Room for the guard around a restart: its lock, its records, its last word.
const RESTART_LIMIT: Duration = Duration::from_secs(30);

#[tokio::test]
async fn a_restart_whose_end_was_not_seen_is_lost() {
    let host = HostileHost::start(|mut visit| async move {
        visit.up_to_exec().await?;
        Ok(())
    })
    .await;
    assert!(matches!(restart(&host).await, RestartOutcome::Lost(_)));
    assert_eq!(Seen::count(&host.seen.commands), 1, "a restart was sent twice");
}

#[tokio::test]
async fn a_restart_that_was_never_sent_says_so() {
    let host = HostileHost::start(|mut visit| async move {
        visit.shake_hands().await?;
        visit.admit().await
    })
    .await;
    assert!(matches!(restart(&host).await, RestartOutcome::NotSent(_)));
    assert_eq!(Seen::count(&host.seen.commands), 0);
}

#[tokio::test]
async fn a_forged_verdict_of_the_guard_is_not_believed() {
    let lines = [
        "lamplighter 0 done lock=1 action_no=1 process=1\n",
        "lamplighter done lock=1 action_no=1 process=1\n",
        "lamplighter 00000000000000000000000000000000 done lock=1 action_no=1 process=1\n",
        "done\n",
        "",
    ];
    for line in lines {
        let host = HostileHost::start(move |visit| answer(visit, line.as_bytes(), &[0])).await;
        let outcome = restart(&host).await;
        assert!(
            matches!(outcome, RestartOutcome::Lost(_) | RestartOutcome::Failed(_)),
            "{line:?}: {outcome:?}"
        );
    }
}

async fn restart(host: &HostileHost) -> RestartOutcome {
    let env: EnvName = "prod".parse().unwrap();
    let order = RestartOrder { env: &env, action_no: 7, process: None };
    let spec = spec(&host.address, &host.host_key);
    tokio::time::timeout(LOOK_LIMIT * 2, remote().restart(&spec, &order, RESTART_LIMIT))
        .await
        .expect("the restart never ended")
}
