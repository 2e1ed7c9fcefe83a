//! Hosts that let us in and then misbehave. Whatever they do, it is never taken for success.

use std::time::Duration;

use lamplighter_core::EnvName;
use lamplighter_core::sight::UnreachableKind::{Dropped, NoVerdict, Protocol, TimedOut};
use lamplighter_core::sight::{DownKind, Look, RestartOutcome, Sight};
use lamplighter_remote::RestartOrder;

use super::fixture::{LOOK_LIMIT, assert_down, assert_unreachable, look, remote, spec};
use super::host::{HostileHost, Seen, Visit};
use super::wire::{Offer, Payload, message};

/// Room for the guard around a restart: its lock, its records, its last word.
const RESTART_LIMIT: Duration = Duration::from_secs(30);
/// What a client of ours reads of one command, at most, plus what the sockets between hold.
const CAP_WITH_BUFFERS: u64 = 16 * 1024 * 1024;

#[tokio::test]
async fn a_good_host_is_up() {
    let host = HostileHost::start(|visit| answer(visit, b"active\n", &[0])).await;
    assert_eq!(look(&host).await.sight, Sight::Up);
}

#[tokio::test]
async fn only_exactly_active_is_up() {
    for stdout in [
        &b"active\nactive\n"[..],
        b"inactive\n",
        b" active\n",
        b"",
        b"active\0\n",
        b"ACTIVE\n",
        b"active\x1b[0m\n",
        b"\xffactive\n",
    ] {
        let host = HostileHost::start(move |visit| answer(visit, stdout, &[0])).await;
        let seen = look(&host).await;
        assert_ne!(seen.sight, Sight::Up, "{stdout:?}");
    }
}

#[tokio::test]
async fn two_statuses_are_no_verdict() {
    for statuses in [&[0_u32, 0][..], &[0, 3], &[3, 0], &[1, 0, 0]] {
        let host = HostileHost::start(move |visit| answer(visit, b"active\n", statuses)).await;
        assert_unreachable(&look(&host).await, &[NoVerdict]);
    }
}

#[tokio::test]
async fn no_status_at_all_is_no_verdict() {
    let host = HostileHost::start(|visit| answer(visit, b"active\n", &[])).await;
    assert_unreachable(&look(&host).await, &[NoVerdict]);
}

#[tokio::test]
async fn an_end_by_a_signal_is_no_verdict() {
    let host = HostileHost::start(|mut visit| async move {
        visit.up_to_exec().await?;
        visit.say(b"active\n").await?;
        visit.signal("KILL").await?;
        visit.close().await
    })
    .await;
    assert_unreachable(&look(&host).await, &[NoVerdict]);
}

#[tokio::test]
async fn a_signal_and_a_status_are_no_verdict() {
    let host = HostileHost::start(|mut visit| async move {
        visit.up_to_exec().await?;
        visit.say(b"active\n").await?;
        visit.signal("TERM").await?;
        let channel = visit.channel;
        visit.status(channel, 0).await?;
        visit.close().await
    })
    .await;
    assert_unreachable(&look(&host).await, &[NoVerdict]);
}

#[tokio::test]
async fn a_status_for_a_channel_never_opened_is_no_verdict() {
    let host = HostileHost::start(|mut visit| async move {
        visit.up_to_exec().await?;
        visit.say(b"active\n").await?;
        let elsewhere = visit.channel.wrapping_add(1_000);
        visit.status(elsewhere, 0).await?;
        visit.close().await
    })
    .await;
    assert_unreachable(&look(&host).await, &[NoVerdict, Protocol, Dropped]);
}

#[tokio::test]
async fn data_for_a_channel_never_opened_is_nobodys_output() {
    let host = HostileHost::start(|mut visit| async move {
        visit.up_to_exec().await?;
        let channel = visit.channel;
        visit.channel = channel.wrapping_add(7);
        visit.say(b"active\n").await?;
        visit.channel = channel;
        visit.status(channel, 0).await?;
        visit.close().await
    })
    .await;
    assert_ne!(look(&host).await.sight, Sight::Up);
}

#[tokio::test]
async fn a_host_that_stalls_after_letting_us_in_times_out() {
    let host = HostileHost::start(|mut visit| async move {
        visit.shake_hands().await?;
        visit.admit().await?;
        visit.stall().await
    })
    .await;
    assert_unreachable(&look(&host).await, &[TimedOut]);
}

#[tokio::test]
async fn a_command_that_never_ends_times_out() {
    let host = HostileHost::start(|mut visit| async move {
        visit.up_to_exec().await?;
        visit.say(b"active\n").await?;
        visit.stall().await
    })
    .await;
    assert_unreachable(&look(&host).await, &[TimedOut]);
}

#[tokio::test]
async fn a_connection_that_breaks_in_mid_command_is_dropped() {
    let host = HostileHost::start(|mut visit| async move {
        visit.up_to_exec().await?;
        visit.say(b"active\n").await
    })
    .await;
    assert_unreachable(&look(&host).await, &[Dropped]);
}

#[tokio::test]
async fn a_channel_refused_is_never_success() {
    let host = HostileHost::start(|mut visit| async move {
        visit.shake_hands().await?;
        visit.admit().await?;
        visit.wire.receive_kind(message::CHANNEL_OPEN).await?;
        visit
            .wire
            .send(&Payload::of(message::CHANNEL_OPEN_FAILURE).number(0).number(4).text("no room").text("en"))
            .await?;
        visit.stall().await
    })
    .await;
    assert_unreachable(&look(&host).await, &[NoVerdict, Protocol, TimedOut]);
}

#[tokio::test]
async fn a_window_of_nothing_hangs_nobody() {
    for (window, packet) in [(0, 32_768), (0, 0), (1 << 20, 0), (u32::MAX, u32::MAX)] {
        let host = HostileHost::start(move |mut visit| async move {
            visit.shake_hands().await?;
            visit.admit().await?;
            visit.open_channel(window, packet).await?;
            visit.exec().await?;
            visit.say(b"active\n").await?;
            let channel = visit.channel;
            visit.status(channel, 0).await?;
            visit.close().await
        })
        .await;
        // A look sends nothing but its command, so a host that gives no window may still be judged.
        let seen = look(&host).await;
        if seen.sight != Sight::Up {
            assert_unreachable(&seen, &[TimedOut, Protocol, Dropped]);
        }
    }
}

#[tokio::test]
async fn endless_stdout_is_cut_off() {
    let host = HostileHost::start(|mut visit| async move {
        visit.up_to_exec().await?;
        let chunk = b"active\n".repeat(4_000);
        loop {
            visit.say(&chunk).await?;
        }
    })
    .await;
    assert_unreachable(&look(&host).await, &[NoVerdict, Protocol]);
    assert!(
        Seen::count(&host.seen.bytes_sent) < CAP_WITH_BUFFERS,
        "{} bytes were taken",
        Seen::count(&host.seen.bytes_sent)
    );
}

#[tokio::test]
async fn endless_stderr_is_cut_off() {
    let host = HostileHost::start(|mut visit| async move {
        visit.up_to_exec().await?;
        visit.say(b"active\n").await?;
        let chunk = vec![b'e'; 28_000];
        loop {
            visit.complain(&chunk).await?;
        }
    })
    .await;
    assert_unreachable(&look(&host).await, &[NoVerdict, Protocol]);
    assert!(
        Seen::count(&host.seen.bytes_sent) < CAP_WITH_BUFFERS,
        "{} bytes were taken",
        Seen::count(&host.seen.bytes_sent)
    );
}

#[tokio::test]
async fn a_verdict_drowned_in_output_is_no_verdict() {
    // The status is success, the first line is right, and ten megabytes follow: more than anyone should believe.
    let host = HostileHost::start(|mut visit| async move {
        visit.up_to_exec().await?;
        visit.say(b"active\n").await?;
        let chunk = vec![b'x'; 30_000];
        for _ in 0..350 {
            visit.say(&chunk).await?;
        }
        let channel = visit.channel;
        visit.status(channel, 0).await?;
        visit.close().await
    })
    .await;
    assert_unreachable(&look(&host).await, &[NoVerdict, Protocol]);
}

#[tokio::test]
async fn output_that_drips_for_ever_times_out() {
    let host = HostileHost::start(|mut visit| async move {
        visit.up_to_exec().await?;
        loop {
            visit.say(b"a").await?;
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    })
    .await;
    assert_unreachable(&look(&host).await, &[TimedOut]);
}

#[tokio::test]
async fn output_after_the_status_is_waited_for_only_so_long() {
    let host = HostileHost::start(|mut visit| async move {
        visit.up_to_exec().await?;
        let channel = visit.channel;
        visit.status(channel, 3).await?;
        loop {
            visit.say(b"a").await?;
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    })
    .await;
    assert_ne!(look(&host).await.sight, Sight::Up);
}

#[tokio::test]
async fn hostile_text_is_shown_as_plain_text() {
    let texts: [&[u8]; 5] = [
        b"\x1b[2J\x1b[1;31mgone\x1b[0m \x1b]0;title\x07\n",
        b"one\r\ntwo\rthree\r\n",
        b"</script><script>alert(1)</script>\n",
        b"ok\n{\"level\":\"INFO\",\"message\":\"all is well\"}\n",
        "right\u{202e}left \u{200b}hidden\u{feff}\n".as_bytes(),
    ];
    for text in texts {
        let report = [
            b"LoadState=loaded\nActiveState=failed\nSubState=",
            text,
            b"--- lamplighter ---\n1.0 1.0\n--- lamplighter ---\n",
            text,
        ]
        .concat();
        let host = HostileHost::start(move |visit| {
            let report = report.clone();
            async move { answer_all(visit, &report).await }
        })
        .await;
        let seen: Look = look(&host).await;
        // Control characters are looked for by every look of these tests; here, that there is something to look at.
        assert_down(&seen, DownKind::NotActive);
        assert!(seen.evidence.is_some());
        assert!(
            !format!("{}", seen.sight).contains(['\n', '\r', '\u{1b}', '\u{202e}', '\u{200b}']),
            "{}",
            seen.sight
        );
    }
}

#[tokio::test]
async fn a_line_of_ten_megabytes_does_not_fit_through() {
    let host = HostileHost::start(|mut visit| async move {
        visit.up_to_exec().await?;
        let chunk = vec![b'A'; 32_000];
        for _ in 0..330 {
            visit.say(&chunk).await?;
        }
        let channel = visit.channel;
        visit.status(channel, 3).await?;
        visit.close().await
    })
    .await;
    assert_unreachable(&look(&host).await, &[NoVerdict, Protocol]);
}

#[tokio::test]
async fn a_storm_of_key_exchanges_ends() {
    let host = HostileHost::start(|mut visit| async move {
        visit.shake_hands().await?;
        visit.admit().await?;
        loop {
            visit.exchange_keys(&Offer::default()).await?;
        }
    })
    .await;
    assert_unreachable(&look(&host).await, &[TimedOut, Protocol, Dropped]);
}

#[tokio::test]
async fn a_host_that_renews_its_keys_in_mid_session_is_still_judged() {
    let host = HostileHost::start(|mut visit| async move {
        visit.shake_hands().await?;
        visit.admit().await?;
        visit.open_channel(1 << 20, 32_768).await?;
        visit.exec().await?;
        visit.exchange_keys(&Offer::default()).await?;
        visit.say(b"active\n").await?;
        visit.exchange_keys(&Offer::default()).await?;
        let channel = visit.channel;
        visit.status(channel, 0).await?;
        visit.close().await
    })
    .await;
    assert_eq!(look(&host).await.sight, Sight::Up);
}

#[tokio::test]
async fn channels_that_a_host_opens_are_refused() {
    let host = HostileHost::start(|mut visit| async move {
        visit.up_to_exec().await?;
        let kinds = [
            "session",
            "x11",
            "auth-agent@openssh.com",
            "forwarded-tcpip",
            "forwarded-streamlocal@openssh.com",
            "direct-tcpip",
            "made-up",
        ];
        for (index, kind) in (50_u32..).zip(kinds) {
            let mut open =
                Payload::of(message::CHANNEL_OPEN).text(kind).number(index).number(1 << 20).number(32_768);
            match kind {
                "forwarded-tcpip" | "direct-tcpip" => {
                    open = open.text("127.0.0.1").number(22).text("127.0.0.1").number(22)
                }
                "x11" => open = open.text("127.0.0.1").number(6_000),
                "forwarded-streamlocal@openssh.com" => open = open.text("/tmp/x").text(""),
                _ => {}
            }
            visit.wire.send(&open).await?;
            loop {
                let reply = visit.wire.receive().await?;
                match reply[0] {
                    message::CHANNEL_OPEN_FAILURE => break,
                    message::CHANNEL_OPEN_CONFIRMATION => panic!("a `{kind}` channel was accepted"),
                    _ => {}
                }
            }
            visit.seen.refused_channels.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        }
        visit.say(b"active\n").await?;
        let channel = visit.channel;
        visit.status(channel, 0).await?;
        visit.close().await
    })
    .await;
    let seen = look(&host).await;
    let refused = Seen::count(&host.seen.refused_channels);
    // Either each is refused and the look goes on, or the connection ends at the first one: never is one accepted.
    if seen.sight == Sight::Up {
        assert_eq!(refused, 7);
    } else {
        assert_unreachable(&seen, &[Protocol, Dropped]);
    }
}

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

/// Runs one command, says `stdout`, ends with each of these statuses in turn.
async fn answer(mut visit: Visit, stdout: &[u8], statuses: &[u32]) -> std::io::Result<()> {
    visit.up_to_exec().await?;
    if !stdout.is_empty() {
        visit.say(stdout).await?;
    }
    let channel = visit.channel;
    for status in statuses {
        visit.status(channel, *status).await?;
    }
    visit.close().await
}

/// Says that the unit has failed, and `text` to every other question, on one connection or on several.
async fn answer_all(mut visit: Visit, text: &[u8]) -> std::io::Result<()> {
    visit.shake_hands().await?;
    visit.admit().await?;
    loop {
        visit.open_channel(1 << 20, 32_768).await?;
        let is_first_question = visit.exec().await?.contains("is-active");
        visit.say(if is_first_question { b"failed\n" } else { text }).await?;
        visit.complain(text).await?;
        let channel = visit.channel;
        visit.status(channel, if is_first_question { 3 } else { 0 }).await?;
        visit.wire.send(&Payload::of(message::CHANNEL_CLOSE).number(channel)).await?;
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

#[tokio::test]
async fn an_inactive_unit_is_down_whatever_else_is_said() {
    let host = HostileHost::start(|visit| {
        answer_all(visit, b"LoadState=loaded\nActiveState=failed\nSubState=failed\nResult=exit-code\n")
    })
    .await;
    assert_down(&look(&host).await, DownKind::NotActive);
}
