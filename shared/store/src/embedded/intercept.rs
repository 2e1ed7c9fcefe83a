//! What tests may do to a call on its way to the embedded engine and back: the faults a table over a network has.

use std::time::Duration;

/// One call, as it would go over the wire.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// `PutItem`, `TransactWriteItems`, …
    pub operation: &'a str,
    /// The request's JSON.
    pub request: &'a [u8],
}

/// What happens to a call. Before it is made, a failure means that it is not; after it was made, that its answer is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Injected {
    /// Nothing.
    Proceed,
    /// The table says that it is asked too much.
    Throttle,
    /// The table says that it has a fault.
    ServerError,
    /// No answer comes.
    TimedOut,
    /// No answer comes, and the request is carried out just before the next call. Only before the call; after it, as
    /// `TimedOut`.
    Late,
    /// Another transaction is at the item.
    Conflict,
    /// The request is carried out twice, and the second answer comes back: a retry of a write that had succeeded.
    Twice,
    /// A read that need not be consistent is answered as it was the last time it was made, if it was.
    Stale,
    /// Nothing ever comes back, and nothing more is done: the process is dead.
    Hang,
}

/// Decides what happens to each call.
pub trait Intercept: Send + Sync {
    /// How long the call is on its way before anything comes of it: others may be faster meanwhile.
    fn on_its_way(&self, call: &Call<'_>) -> Duration {
        let _ = call;
        Duration::ZERO
    }
    /// Before the call is made.
    fn before(&self, call: &Call<'_>) -> Injected;
    /// After it was made, before its answer is seen.
    fn after(&self, call: &Call<'_>) -> Injected;
    /// The engine has carried the call out, and accepted or refused it; whether the caller ever learns of it is another
    /// matter. For tests that keep a history of what the table took.
    fn carried_out(&self, call: &Call<'_>, accepted: bool) {
        let _ = (call, accepted);
    }
}
