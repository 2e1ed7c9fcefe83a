//! How long to wait before the next restart.

use std::time::Duration;

use crate::policy::Policy;

/// The wait before the restart that follows `recent_restarts` recent ones: base, twice that, four times, up to the cap.
/// With no recent restart there is nothing to wait for but one base, where a policy waits at all.
#[must_use]
pub fn delay(policy: &Policy, recent_restarts: u32) -> Duration {
    let doublings = recent_restarts.saturating_sub(1).min(31);
    policy.backoff_base.saturating_mul(1 << doublings).min(policy.backoff_cap)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_doubles_from_the_base_to_the_cap() {
        let policy = Policy::default();
        let seconds: Vec<u64> = (0..=9).map(|n| delay(&policy, n).as_secs()).collect();
        assert_eq!(seconds, [5, 5, 10, 20, 40, 80, 160, 300, 300, 300]);
        assert_eq!(delay(&policy, u32::MAX).as_secs(), 300);
    }
}
