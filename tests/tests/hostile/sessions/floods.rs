//! Hosts that say too much, for too long, or what nobody asked for.

use super::*;

/// What a client of ours reads of one command, at most, plus what the sockets between hold.
const CAP_WITH_BUFFERS: u64 = 16 * 1024 * 1024;

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

/// The look gives no verdict, and takes no more than it must.
async fn is_cut_off(host: &HostileHost) {
    assert_unreachable(&look(host).await, &[NoVerdict, Protocol]);
    let taken = Seen::count(&host.seen.bytes_sent);
    assert!(taken < CAP_WITH_BUFFERS, "{taken} bytes were taken");
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
    is_cut_off(&host).await;
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
    is_cut_off(&host).await;
}

/// A host that says `first`, so often `chunk`, and then that its command ended with `status`.
async fn drowning(first: &'static str, chunk: &str, times: usize, status: u32) -> HostileHost {
    let chunk = chunk.to_owned();
    HostileHost::start(move |mut visit| {
        let chunk = chunk.clone();
        async move {
            visit.up_to_exec().await?;
            if !first.is_empty() {
                visit.say(first.as_bytes()).await?;
            }
            for _ in 0..times {
                visit.say(chunk.as_bytes()).await?;
            }
            let channel = visit.channel;
            visit.status(channel, status).await?;
            visit.close().await
        }
    })
    .await
}

#[tokio::test]
async fn a_verdict_drowned_in_output_is_no_verdict() {
    // The status is success, the first line is right, and ten megabytes follow: more than anyone should believe.
    let host = drowning("active\n", &"x".repeat(30_000), 350, 0).await;
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
    let host = drowning("", &"A".repeat(32_000), 330, 3).await;
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
