//! Counts the connections that are alive, and lets somebody wait until there is none.

use tokio::sync::watch;

use crate::deadline::Deadline;

/// How many connections there are, kept or not, whatever they are doing.
#[derive(Debug, Clone, Default)]
pub(crate) struct Alive(watch::Sender<usize>);

/// One connection that is counted until this is dropped: it goes where the connection's own task drops it.
#[derive(Debug)]
pub(crate) struct Life(watch::Sender<usize>);

impl Alive {
    /// Counts one more.
    pub(crate) fn begin(&self) -> Life {
        self.0.send_modify(|count| *count += 1);
        Life(self.0.clone())
    }

    /// Waits until there is none, but no longer than `deadline`; says how many there are then.
    pub(crate) async fn none_left(&self, deadline: Deadline) -> usize {
        let mut count = self.0.subscribe();
        let _ = deadline.bound(count.wait_for(|count| *count == 0)).await;
        *self.0.borrow()
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}
