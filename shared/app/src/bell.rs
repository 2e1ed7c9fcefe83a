//! A doorbell: says that there may be work, never what.

use std::sync::Arc;

use futures_util::FutureExt;
use tokio::sync::Notify;

/// Rung by whoever committed something, heard by the verb that carries it on. Rings while nobody listens are kept as one.
#[derive(Debug, Clone, Default)]
pub struct Bell(Arc<Notify>);

impl Bell {
    /// Rings.
    pub fn ring(&self) {
        self.0.notify_one();
    }

    /// Waits for a ring, or returns at once for one that nobody heard.
    pub async fn rung(&self) {
        self.0.notified().await;
    }

    /// True if it rang and nobody heard; silent from then on. For who does not wait, but passes rings on.
    #[must_use]
    pub fn was_rung(&self) -> bool {
        self.0.notified().now_or_never().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_ring_is_heard_once() {
        let bell = Bell::default();
        assert!(!bell.was_rung());
        bell.ring();
        bell.ring();
        assert!(bell.was_rung());
        assert!(!bell.was_rung());
        bell.ring();
        bell.rung().await;
        assert!(!bell.was_rung());
    }
}
