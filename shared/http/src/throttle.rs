//! Failed attempts to authenticate, limited for each client address.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Failed attempts of one address in [`WINDOW`] after which it must wait.
pub(crate) const FAILURES_ALLOWED: u32 = 10;
/// How long failures are remembered.
pub(crate) const WINDOW: Duration = Duration::from_secs(60);
/// Addresses remembered at once: at 64 bytes each, less than a megabyte.
const ADDRESSES_MAX: usize = 8_192;
/// Tokens remembered as good: they pass even from an address that must wait, since many clients may share one proxy.
const GOOD_MAX: usize = 1_024;

/// Who failed how often, and which tokens were good. In memory only: a restart forgives.
#[derive(Default)]
pub(crate) struct Throttle(Mutex<Memory>);

#[derive(Default)]
struct Memory {
    failures: BTreeMap<IpAddr, Failures>,
    cleared: Option<Instant>,
    good: BTreeSet<String>,
}

struct Failures {
    since: Instant,
    count: u32,
}

impl Throttle {
    /// How long this address must wait before an unknown token of its is looked at; `None` if it need not.
    pub(crate) fn must_wait(&self, peer: Option<IpAddr>, token_hash: &str) -> Option<Duration> {
        let memory = self.memory();
        let failures = memory.failures.get(&network(peer))?;
        let left = WINDOW.saturating_sub(failures.since.elapsed());
        let waits =
            failures.count >= FAILURES_ALLOWED && !left.is_zero() && !memory.good.contains(token_hash);
        waits.then_some(left)
    }

    /// Remembers a failed attempt.
    pub(crate) fn failed(&self, peer: Option<IpAddr>, token_hash: &str) {
        let mut memory = self.memory();
        memory.good.remove(token_hash);
        let (now, peer) = (Instant::now(), network(peer));
        if memory.failures.len() >= ADDRESSES_MAX && !memory.failures.contains_key(&peer) {
            // Looking through all of them is done once a window, so that a flood of addresses costs no more than itself.
            if memory.cleared.is_none_or(|cleared| cleared.elapsed() >= WINDOW) {
                memory.failures.retain(|_, failures| failures.since.elapsed() < WINDOW);
                memory.cleared = Some(now);
            }
            if memory.failures.len() >= ADDRESSES_MAX {
                memory.failures.pop_first();
            }
        }
        let failures = memory.failures.entry(peer).or_insert(Failures { since: now, count: 0 });
        if failures.since.elapsed() >= WINDOW {
            *failures = Failures { since: now, count: 0 };
        }
        failures.count = failures.count.saturating_add(1);
    }

    /// Remembers a token that was good.
    pub(crate) fn passed(&self, token_hash: &str) {
        let mut memory = self.memory();
        if memory.good.contains(token_hash) {
            return;
        }
        if memory.good.len() >= GOOD_MAX {
            memory.good.pop_first();
        }
        memory.good.insert(token_hash.to_owned());
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        // What is behind the lock is whole after every statement, so a panic elsewhere spoils nothing.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The network that counts as one client: an IPv6 customer has a whole /64 to try from. A peer nobody knows is one client.
fn network(peer: Option<IpAddr>) -> IpAddr {
    match peer.map(|address| address.to_canonical()) {
        None => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        Some(IpAddr::V4(address)) => IpAddr::V4(address),
        Some(IpAddr::V6(address)) => {
            let prefix = u128::from(address) & (u128::MAX << 64);
            IpAddr::V6(Ipv6Addr::from(prefix))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(throttle: &Throttle, peer: &str, times: u32) {
        for _ in 0..times {
            throttle.failed(Some(peer.parse().unwrap()), "bad");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn ten_failures_a_minute_and_then_a_wait() {
        let throttle = Throttle::default();
        let peer = Some("203.0.113.7".parse().unwrap());
        failed(&throttle, "203.0.113.7", FAILURES_ALLOWED - 1);
        assert_eq!(throttle.must_wait(peer, "bad"), None);
        failed(&throttle, "203.0.113.7", 1);
        assert_eq!(throttle.must_wait(peer, "bad"), Some(WINDOW));
        assert_eq!(throttle.must_wait(Some("203.0.113.8".parse().unwrap()), "bad"), None);
        tokio::time::advance(WINDOW).await;
        assert_eq!(throttle.must_wait(peer, "bad"), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_known_to_be_good_passes_a_shared_proxy() {
        let throttle = Throttle::default();
        throttle.passed("good");
        failed(&throttle, "203.0.113.7", 100);
        let peer = Some("203.0.113.7".parse().unwrap());
        assert_eq!(throttle.must_wait(peer, "good"), None);
        throttle.failed(peer, "good");
        assert!(throttle.must_wait(peer, "good").is_some(), "it was revoked meanwhile");
    }

    #[tokio::test(start_paused = true)]
    async fn the_memory_is_bounded_and_a_64_is_one_client() {
        let throttle = Throttle::default();
        for number in 0..20_000_u32 {
            throttle.failed(Some(IpAddr::V4(number.into())), "bad");
            throttle.passed(&number.to_string());
        }
        let memory = throttle.memory();
        assert!(memory.failures.len() <= ADDRESSES_MAX && memory.good.len() <= GOOD_MAX);
        drop(memory);
        failed(&throttle, "2001:db8::1", FAILURES_ALLOWED);
        assert!(throttle.must_wait(Some("2001:db8::ffff".parse().unwrap()), "bad").is_some());
    }
}
