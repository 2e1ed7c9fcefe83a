//! One count for everything that happens: what the table took and what hosts did can be put in order even where the
//! virtual clock stands still.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The count. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Count(Arc<AtomicU64>);

impl Count {
    /// The next number.
    #[must_use]
    pub fn next(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed)
    }
}
