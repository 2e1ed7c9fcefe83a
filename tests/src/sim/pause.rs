//! A process that the machine stops for a while: nothing of it runs, its timers ring late, and it never knows.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

/// Runs `process`, but not between `from` now and `lasts` after that.
pub async fn paused<F: Future>(process: F, from: Duration, lasts: Duration) -> F::Output {
    let begins = Instant::now() + from;
    Paused {
        process: Box::pin(process),
        begins,
        begin: Box::pin(tokio::time::sleep_until(begins)),
        end: Box::pin(tokio::time::sleep_until(begins + lasts)),
    }
    .await
}

struct Paused<F> {
    process: Pin<Box<F>>,
    begins: Instant,
    begin: Pin<Box<Sleep>>,
    end: Pin<Box<Sleep>>,
}

impl<F: Future> Future for Paused<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let begun = self.begin.as_mut().poll(context).is_ready() || Instant::now() >= self.begins;
        if begun && self.end.as_mut().poll(context).is_pending() {
            return Poll::Pending;
        }
        self.process.as_mut().poll(context)
    }
}
