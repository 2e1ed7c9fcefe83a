//! The order in which this process files its event rows, and which of them are still being written.
//!
//! Rows are numbered before they are written, and writes overtake one another. So a page shows a row only once all that
//! were numbered before it are there or never will be: a reader who goes on from a cursor then misses none.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The rows of one process.
#[derive(Debug, Default)]
pub(crate) struct Filing(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// The latest time a row was filed under, in milliseconds.
    last: i64,
    /// Times of the rows that are being written.
    under_way: BTreeSet<i64>,
}

/// A row that is being written. Dropping it says that it is there, or never will be.
#[derive(Debug)]
pub(crate) struct Filed {
    pub(crate) millis: i64,
    filing: Arc<Filing>,
}

/// What was filed before a look at the table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look {
    last: i64,
    oldest_under_way: Option<i64>,
}

impl Filing {
    /// A time for a row decided at `decided`: no earlier, and later than that of every row before, to the millisecond.
    pub(crate) fn file(self: &Arc<Self>, decided: i64) -> Filed {
        let mut state = self.state();
        state.last = decided.max(state.last + 1);
        let millis = state.last;
        state.under_way.insert(millis);
        Filed { millis, filing: Arc::clone(self) }
    }

    /// The latest time a row was filed under.
    pub(crate) fn last(&self) -> i64 {
        self.state().last
    }

    /// To be taken before the table is read.
    pub(crate) fn look(&self) -> Look {
        let state = self.state();
        Look { last: state.last, oldest_under_way: state.under_way.first().copied() }
    }

    /// To be asked after the table was read: rows filed at this time or later may have others missing before them.
    pub(crate) fn not_sure_from(&self, look: Look) -> Option<i64> {
        // Rows filed since the look may be in what was read, or not.
        let since = (self.state().last > look.last).then_some(look.last + 1);
        look.oldest_under_way.into_iter().chain(since).min()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Filed {
    fn drop(&mut self) {
        self.filing.state().under_way.remove(&self.millis);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_numbered_upwards_whenever_they_were_decided() {
        let filing = Arc::new(Filing::default());
        let times = [10, 10, 5, 20].map(|decided| filing.file(decided).millis);
        assert_eq!(times, [10, 11, 12, 20]);
    }

    #[test]
    fn a_page_ends_before_the_oldest_row_that_is_being_written() {
        let filing = Arc::new(Filing::default());
        let (one, two) = (filing.file(10), filing.file(20));
        drop(two);
        let look = filing.look();
        assert_eq!(filing.not_sure_from(look), Some(10));
        drop(one);
        assert_eq!(filing.not_sure_from(look), Some(10), "it was not there when the table was read");
        assert_eq!(filing.not_sure_from(filing.look()), None);
    }

    #[test]
    fn a_page_ends_before_what_was_filed_while_it_was_read() {
        let filing = Arc::new(Filing::default());
        drop(filing.file(10));
        let look = filing.look();
        drop((filing.file(20), filing.file(30)));
        assert_eq!(filing.not_sure_from(look), Some(11));
    }
}
