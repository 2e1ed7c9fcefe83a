//! Hosts that let us in and then misbehave. Whatever they do, it is never taken for success.

mod floods;
mod restarts;

use std::time::Duration;

use lamplighter_core::EnvName;
use lamplighter_core::sight::UnreachableKind::{Dropped, NoVerdict, Protocol, TimedOut};
use lamplighter_core::sight::{DownKind, Look, RestartOutcome, Sight};
use lamplighter_remote::RestartOrder;

use super::fixture::{LOOK_LIMIT, assert_down, assert_unreachable, look, remote, spec};
use super::host::{HostileHost, Seen, Visit};
use super::wire::{Offer, Payload, message};

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

#[tokio::test]
async fn an_inactive_unit_is_down_whatever_else_is_said() {
    let host = HostileHost::start(|visit| {
        answer_all(visit, b"LoadState=loaded\nActiveState=failed\nSubState=failed\nResult=exit-code\n")
    })
    .await;
    assert_down(&look(&host).await, DownKind::NotActive);
}
