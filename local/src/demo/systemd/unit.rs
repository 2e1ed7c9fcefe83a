//! One pretend unit: how it starts, refuses, dies and is ended.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::{Nature, State};
use crate::demo::release::behaviour;

/// Most lines a unit's journal keeps: more than any letter quotes.
pub(super) const MAX_JOURNAL_LINES: usize = 100;
/// Starts within [`START_WINDOW`] after which systemd refuses another one (its `DefaultStartLimitBurst`).
pub(super) const START_LIMIT: usize = 5;
/// systemd's `DefaultStartLimitIntervalSec`.
const START_WINDOW: Duration = Duration::from_secs(10);

/// A unit and what it has lived through.
pub(super) struct Unit {
    pub(super) nature: Nature,
    /// Where its code is checked out, if what runs follows from that.
    pub(super) code: Option<PathBuf>,
    /// What became of this run, as its nature or its code had it at its start.
    run: Nature,
    pub(super) state: State,
    pub(super) changed: Instant,
    pub(super) invocation: String,
    pub(super) auto_restarts: u32,
    pub(super) result: &'static str,
    pub(super) exit_status: u8,
    pub(super) starts: VecDeque<Instant>,
    pub(super) restarts: u64,
    pub(super) takes: Duration,
    pub(super) journal: VecDeque<String>,
}

impl Unit {
    pub(super) fn new(nature: Nature) -> Self {
        Self {
            nature,
            code: None,
            run: nature,
            state: State::Inactive,
            changed: Instant::now(),
            invocation: String::new(),
            auto_restarts: 0,
            result: "success",
            exit_status: 0,
            starts: VecDeque::new(),
            restarts: 0,
            takes: Duration::ZERO,
            journal: VecDeque::new(),
        }
    }

    /// True if the start command succeeded.
    pub(super) fn start(&mut self, now: Instant) -> bool {
        while self.starts.front().is_some_and(|start| now.saturating_duration_since(*start) > START_WINDOW) {
            self.starts.pop_front();
        }
        if self.starts.len() >= START_LIMIT {
            self.end(State::Failed, "start-limit-hit", 0, "Start request repeated too quickly.");
            return false;
        }
        self.starts.push_back(now);
        self.invocation = format!("{:032x}", rand::random::<u128>());
        self.changed = now;
        self.result = "success";
        self.exit_status = 0;
        self.log("Starting…");
        let (run, last_words) = self.behaviour();
        self.run = run;
        match run {
            Nature::RefusesToStart => {
                self.end(State::Failed, "exit-code", 1, &last_words);
                false
            }
            Nature::SlowToStart(_) => {
                self.state = State::Activating;
                true
            }
            Nature::Sound | Nature::DiesAfter(_) => {
                self.state = State::Active;
                self.log("Started.");
                true
            }
        }
    }

    /// How its next run behaves, and what it says if it does not start. Code shows only in a unit that is otherwise sound.
    fn behaviour(&self) -> (Nature, String) {
        let last_words = "error: cannot open /etc/demo.conf: No such file or directory".to_owned();
        match (&self.code, self.nature) {
            (Some(dir), Nature::Sound) => behaviour(dir),
            (Some(_) | None, nature) => (nature, last_words),
        }
    }

    /// Lets the time that has passed since the last look have its effect.
    pub(super) fn settle(&mut self, now: Instant) {
        let age = now.saturating_duration_since(self.changed);
        match (self.run, self.state) {
            (Nature::DiesAfter(life), State::Active) if age >= life => {
                self.end(State::Failed, "exit-code", 1, "panic: connection pool exhausted");
            }
            (Nature::SlowToStart(wait), State::Activating) if age >= wait => {
                self.state = State::Active;
                self.changed = now;
                self.log("Started.");
            }
            _ => {}
        }
    }

    pub(super) fn end(&mut self, state: State, result: &'static str, exit_status: u8, line: &str) {
        self.state = state;
        self.changed = Instant::now();
        self.result = result;
        self.exit_status = exit_status;
        self.log(line);
    }

    pub(super) fn log(&mut self, line: &str) {
        if self.journal.len() == MAX_JOURNAL_LINES {
            self.journal.pop_front();
        }
        self.journal.push_back(line.to_owned());
    }
}
