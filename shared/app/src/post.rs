//! How a verb sends letters.

use futures_util::future::BoxFuture;
use lamplighter_notify::{Letter, Post, SendError};

/// Brings letters: by SMTP, into a folder, or, in a simulation, into a list.
pub trait Courier: Send + Sync {
    /// Sends one letter. May be asked again for the same letter: it carries the same id then.
    fn send<'a>(&'a self, letter: &'a Letter) -> BoxFuture<'a, Result<(), SendError>>;
}

impl Courier for Post {
    fn send<'a>(&'a self, letter: &'a Letter) -> BoxFuture<'a, Result<(), SendError>> {
        Box::pin(Post::send(self, letter))
    }
}
