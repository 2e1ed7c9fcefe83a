//! What another process does between a look and a write.

use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use lamplighter_store::embedded::{Call, Injected, Intercept};

/// Does something just before the next call of an operation, once it is set.
pub(crate) struct Meanwhile {
    operation: &'static str,
    other: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

impl Meanwhile {
    /// One that is not set yet.
    pub(crate) fn idle(operation: &'static str) -> Arc<Meanwhile> {
        Arc::new(Meanwhile { operation, other: Mutex::default() })
    }

    /// One that is set for the first call.
    pub(crate) fn before_first(
        operation: &'static str,
        other: impl FnOnce() + Send + 'static,
    ) -> Option<Arc<dyn Intercept>> {
        let meanwhile = Meanwhile::idle(operation);
        meanwhile.set(other);
        Some(meanwhile)
    }

    pub(crate) fn set(&self, other: impl FnOnce() + Send + 'static) {
        *self.other.lock().unwrap() = Some(Box::new(other));
    }

    /// Whether what was set has been done.
    pub(crate) fn is_done(&self) -> bool {
        self.other.lock().unwrap().is_none()
    }
}

impl Intercept for Meanwhile {
    fn before(&self, call: &Call<'_>) -> Injected {
        if call.operation == self.operation {
            let other = self.other.lock().unwrap().take();
            other.into_iter().for_each(|other| other());
        }
        Injected::Proceed
    }

    fn after(&self, _: &Call<'_>) -> Injected {
        Injected::Proceed
    }
}

/// In memory every call answers at once.
pub(crate) fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(done) => done,
        Poll::Pending => panic!("a call in memory waited"),
    }
}
