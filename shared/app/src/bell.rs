//! A doorbell: says that there may be work, never what.

use std::sync::Arc;

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
}
