//! Letters in functions that send none.

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use lamplighter_app::Courier;
use lamplighter_notify::{Letter, SendError};

/// The courier of every function but `notify`: it has no right to send letters, and is never asked to.
pub(crate) struct Elsewhere;

impl Courier for Elsewhere {
    fn send<'a>(&'a self, _: &'a Letter) -> BoxFuture<'a, Result<(), SendError>> {
        async { Err(SendError::Later("letters are sent by the function `notify`".to_owned())) }.boxed()
    }
}
