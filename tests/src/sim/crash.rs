//! Crashes: every effect of an engine passes a gate, and at one of them the engine may die.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// How an engine dies at an effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// The effect never happens.
    Before,
    /// The effect happens; nobody lives to see it.
    After,
    /// A command on a host is on its way and lands long after; for other effects the same as `Before`.
    Late,
}

impl Manner {
    /// All of them.
    pub const ALL: [Manner; 3] = [Manner::Before, Manner::After, Manner::Late];
}

/// What is to become of one effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    /// It happens.
    Proceed,
    /// The engine dies instead.
    Before,
    /// It happens, then the engine dies.
    After,
    /// The engine dies now, and the effect happens later.
    Late,
}

/// One life's crash: where it comes, if it does. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Crash {
    state: Arc<Mutex<State>>,
    died: Arc<Notify>,
}

#[derive(Debug, Default)]
struct State {
    plan: Option<(usize, Manner)>,
    effects: Vec<String>,
}

impl Crash {
    /// A life without a crash: its effects are only counted.
    #[must_use]
    pub fn never() -> Self {
        Self::default()
    }

    /// A life that ends at effect `index` (from 0), in that manner.
    #[must_use]
    pub fn at(index: usize, manner: Manner) -> Self {
        let crash = Self::default();
        crash.state().plan = Some((index, manner));
        crash
    }

    /// The same plan for another process: effects of both are counted together, and only the one that comes to the point
    /// of the crash dies.
    #[must_use]
    pub fn of_another_process(&self) -> Self {
        Self { state: Arc::clone(&self.state), died: Arc::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An effect is about to happen.
    pub fn gate(&self, effect: &str) -> Gate {
        let mut state = self.state();
        let index = state.effects.len();
        state.effects.push(effect.to_owned());
        match state.plan {
            Some((at, manner)) if at == index => match manner {
                Manner::Before => Gate::Before,
                Manner::After => Gate::After,
                Manner::Late => Gate::Late,
            },
            Some(_) | None => Gate::Proceed,
        }
    }

    /// The effects so far, by name.
    #[must_use]
    pub fn effects(&self) -> Vec<String> {
        self.state().effects.clone()
    }

    /// Marks the death; whoever drives the engine drops it.
    pub fn strike(&self) {
        self.died.notify_one();
    }

    /// Dies: never returns.
    pub async fn die<T>(&self) -> T {
        self.strike();
        std::future::pending().await
    }

    /// Waits for the death.
    pub async fn death(&self) {
        self.died.notified().await;
    }
}
