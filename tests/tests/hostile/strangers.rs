//! Hosts that go wrong before anybody is let in.

use std::time::Duration;

use lamplighter_core::sight::UnreachableKind::{
    Auth, Connect, Dropped, HostKeyChanged, HostKeyUnknown, Protocol, TimedOut,
};

use super::fixture::{assert_unreachable, look, look_with, remote, spec};
use super::host::{HostileHost, Seen};
use super::wire::{Identity, Offer, Payload, Wire, message};

/// Far more than any client should read before it has a session.
const TEN_MEGABYTES: usize = 10 * 1024 * 1024;

#[tokio::test]
async fn a_closed_port_cannot_be_connected_to() {
    let host = HostileHost::start(|mut visit| async move { visit.stall().await }).await;
    let (address, host_key) = (host.address.clone(), host.host_key.clone());
    drop(host);
    tokio::task::yield_now().await;
    assert_unreachable(&look_with(&remote(), &spec(&address, &host_key)).await, &[Connect]);
}

#[tokio::test]
async fn a_host_without_a_banner_times_out() {
    let host = HostileHost::start(|mut visit| async move { visit.stall().await }).await;
    assert_unreachable(&look(&host).await, &[TimedOut]);
}

#[tokio::test]
async fn a_banner_that_drips_times_out() {
    let host = HostileHost::start(|mut visit| async move {
        for byte in "SSH-2.0-".bytes().chain(std::iter::repeat(b'x')).take(200) {
            visit.pour(&[byte]).await?;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        visit.stall().await
    })
    .await;
    assert_unreachable(&look(&host).await, &[TimedOut]);
}

#[tokio::test]
async fn a_host_that_hangs_up_at_once_is_dropped() {
    let host = HostileHost::start(|_visit| async move { Ok(()) }).await;
    assert_unreachable(&look(&host).await, &[Dropped]);
}

#[tokio::test]
async fn ten_megabytes_before_the_banner_are_not_read() {
    for line in [&b"welcome to this fine host\r\n"[..], &b"no line ever ends here "[..]] {
        let flood = line.repeat(TEN_MEGABYTES / line.len() / 10);
        let host = HostileHost::start(move |mut visit| {
            let flood = flood.clone();
            async move {
                for _ in 0..10 {
                    visit.pour(&flood).await?;
                }
                visit.stall().await
            }
        })
        .await;
        assert_unreachable(&look(&host).await, &[Protocol, TimedOut]);
        assert!(Seen::count(&host.seen.authentications) == 0);
    }
}

#[tokio::test]
async fn garbage_for_a_banner_is_a_protocol_error() {
    for banner in [
        &[0_u8; 4_096][..],
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"SSH-1.5-Old\r\n",
        &[0xff; 300],
        b"SSH-2.0-\0\0\0\r\n\xde\xad\xbe\xef",
    ] {
        let host = HostileHost::start(move |mut visit| async move {
            visit.pour(banner).await?;
            visit.stall().await
        })
        .await;
        let seen = look(&host).await;
        assert_unreachable(&seen, &[Protocol, TimedOut]);
    }
}

#[tokio::test]
async fn a_packet_of_four_gigabytes_is_refused() {
    let host = HostileHost::start(|mut visit| async move {
        visit.wire.greet().await?;
        visit.pour(&[0xff; 64]).await?;
        visit.stall().await
    })
    .await;
    assert_unreachable(&look(&host).await, &[Protocol]);
}

#[tokio::test]
async fn weak_algorithms_are_never_agreed_on() {
    let good = Offer::default();
    let strict = "kex-strict-s-v00@openssh.com";
    assert!(good.kex.contains(strict));
    let weak = [
        Offer { kex: "diffie-hellman-group1-sha1,diffie-hellman-group14-sha1", ..good.clone() },
        Offer { kex: "none", ..good.clone() },
        Offer { cipher: "3des-cbc,aes128-cbc,arcfour", ..good.clone() },
        Offer { cipher: "none", ..good.clone() },
        Offer { cipher: "aes256-ctr", mac: "none", ..good.clone() },
        Offer { cipher: "aes256-ctr", mac: "hmac-md5,hmac-sha1", ..good.clone() },
        Offer { kex: "", cipher: "", mac: "", ..good },
    ];
    for offer in weak {
        let host = HostileHost::start(move |mut visit| {
            let offer = offer.clone();
            async move {
                visit.wire.greet().await?;
                visit.wire.send(&Wire::kexinit(&offer)).await?;
                visit.stall().await
            }
        })
        .await;
        let seen = look(&host).await;
        assert_unreachable(&seen, &[Protocol]);
    }
}

#[tokio::test]
async fn wrong_values_in_the_key_exchange_are_a_protocol_error() {
    let offers = [
        Offer { share: Some(vec![0; 32]), ..Offer::default() },
        Offer { share: Some(Vec::new()), ..Offer::default() },
        Offer { share: Some(vec![9; 31]), ..Offer::default() },
        Offer { share: Some(vec![9; 33]), ..Offer::default() },
        Offer { share: Some(vec![9; 30_000]), ..Offer::default() },
        Offer { signature: Some(vec![0; 64]), ..Offer::default() },
        Offer { signature: Some(Vec::new()), ..Offer::default() },
        Offer { signature: Some(vec![7; 20_000]), ..Offer::default() },
    ];
    for offer in offers {
        let host = HostileHost::start(move |mut visit| {
            let offer = offer.clone();
            async move {
                visit.wire.greet().await?;
                visit.exchange_keys(&offer).await?;
                visit.admit().await
            }
        })
        .await;
        assert_unreachable(&look(&host).await, &[Protocol]);
        assert_eq!(Seen::count(&host.seen.authentications), 0);
    }
}

#[tokio::test]
async fn a_changed_host_key_is_never_authenticated_to() {
    let host = HostileHost::start(|mut visit| async move {
        visit.shake_hands().await?;
        visit.admit().await
    })
    .await;
    let another = Identity::new().line();
    assert_unreachable(&look_with(&remote(), &spec(&host.address, &another)).await, &[HostKeyChanged]);
    assert_eq!(Seen::count(&host.seen.connections), 1);
    assert_eq!(Seen::count(&host.seen.authentications), 0);
}

#[tokio::test]
async fn an_unknown_host_key_is_never_authenticated_to() {
    let host = HostileHost::start(|mut visit| async move {
        visit.shake_hands().await?;
        visit.admit().await
    })
    .await;
    let known_hosts = super::fixture::home().join("known_hosts_of_nobody");
    std::fs::write(&known_hosts, format!("other.example.com {}\n", host.host_key)).unwrap();
    let mut spec = spec(&host.address, &host.host_key);
    spec.host_key.clear();
    spec.known_hosts = Some("known_hosts_of_nobody".to_owned());
    assert_unreachable(&look_with(&remote(), &spec).await, &[HostKeyUnknown]);
    assert_eq!(Seen::count(&host.seen.authentications), 0);
}

#[tokio::test]
async fn a_host_that_lets_nobody_in_is_an_authentication_fault() {
    let host = HostileHost::start(|mut visit| async move {
        visit.shake_hands().await?;
        loop {
            visit.auth_request().await?;
            visit.wire.send(&Payload::of(message::USERAUTH_FAILURE).text("password").byte(0)).await?;
        }
    })
    .await;
    assert_unreachable(&look(&host).await, &[Auth]);
}

#[tokio::test]
async fn endless_partial_success_ends() {
    let host = HostileHost::start(|mut visit| async move {
        visit.shake_hands().await?;
        loop {
            visit.auth_request().await?;
            visit.wire.send(&Payload::of(message::USERAUTH_FAILURE).text("publickey").byte(1)).await?;
        }
    })
    .await;
    assert_unreachable(&look(&host).await, &[Auth]);
    assert!(Seen::count(&host.seen.authentications) <= 10, "the client kept asking");
}

#[tokio::test]
async fn endless_prompts_end() {
    let host = HostileHost::start(|mut visit| async move {
        visit.shake_hands().await?;
        visit.auth_request().await?;
        loop {
            // Each one asks for an answer: "Password:", not echoed.
            let prompt = Payload::of(message::USERAUTH_INFO_REQUEST).text("hello").text("again").text("");
            visit.wire.send(&prompt.number(1).text("Password:").byte(0)).await?;
        }
    })
    .await;
    assert_unreachable(&look(&host).await, &[Auth, Protocol, TimedOut, Dropped]);
}

#[tokio::test]
async fn endless_banners_of_the_login_end() {
    const USERAUTH_BANNER: u8 = 53;
    let host = HostileHost::start(|mut visit| async move {
        visit.shake_hands().await?;
        visit.auth_request().await?;
        loop {
            visit
                .wire
                .send(&Payload::of(USERAUTH_BANNER).text(&"read this first ".repeat(1_000)).text("en"))
                .await?;
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_unreachable(&look(&host).await, &[TimedOut, Protocol, Dropped]);
}

#[tokio::test]
async fn a_login_that_is_never_answered_times_out() {
    let host = HostileHost::start(|mut visit| async move {
        visit.shake_hands().await?;
        visit.auth_request().await?;
        visit.stall().await
    })
    .await;
    assert_unreachable(&look(&host).await, &[TimedOut]);
}

#[tokio::test]
async fn a_login_ended_by_hanging_up_is_dropped() {
    let host = HostileHost::start(|mut visit| async move {
        visit.shake_hands().await?;
        visit.auth_request().await?;
        Ok(())
    })
    .await;
    assert_unreachable(&look(&host).await, &[Dropped]);
}
