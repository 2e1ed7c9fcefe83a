//! A pretend systemd: units that start, stop, crash and refuse, told apart exactly as `systemctl` tells them apart.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Most lines a unit's journal keeps: more than any letter quotes.
const MAX_JOURNAL_LINES: usize = 100;
/// Most units one host may run: the bench's largest fleet, with room.
pub const MAX_UNITS: usize = 20_000;
/// Starts within [`START_WINDOW`] after which systemd refuses another one (its `DefaultStartLimitBurst`).
const START_LIMIT: usize = 5;
/// systemd's `DefaultStartLimitIntervalSec`.
const START_WINDOW: Duration = Duration::from_secs(10);

/// What becomes of a unit once it is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Nature {
    /// It starts, and stays up until something is done to it.
    #[default]
    Sound,
    /// It starts, and fails this long after.
    DiesAfter(Duration),
    /// Its start command fails.
    RefusesToStart,
    /// It says `activating` for this long before it is up.
    SlowToStart(Duration),
}

/// What a unit is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Up.
    Active,
    /// On its way up.
    Activating,
    /// Stopped in good order.
    Inactive,
    /// Ended badly.
    Failed,
}

impl State {
    /// The state as `systemctl is-active` prints it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            State::Active => "active",
            State::Activating => "activating",
            State::Inactive => "inactive",
            State::Failed => "failed",
        }
    }

    fn sub_state(self) -> &'static str {
        match self {
            State::Active => "running",
            State::Activating => "start",
            State::Inactive => "dead",
            State::Failed => "failed",
        }
    }
}

/// What a command printed, and its exit status.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Answer {
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// The exit status.
    pub status: u8,
}

impl Answer {
    pub(super) fn said(stdout: String, status: u8) -> Self {
        Self { stdout, stderr: String::new(), status }
    }

    pub(super) fn refused(stderr: String, status: u8) -> Self {
        Self { stdout: String::new(), stderr, status }
    }
}

/// What one host has counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lifecycle {
    /// Starts, stops and restarts that were carried out or refused.
    pub commands: u64,
    /// Of these, restarts.
    pub restarts: u64,
    /// Most lifecycle commands that were ever under way at once. More than 1 is a broken guard.
    pub max_nesting: u64,
    under_way: u64,
}

struct Unit {
    nature: Nature,
    state: State,
    changed: Instant,
    invocation: String,
    auto_restarts: u32,
    result: &'static str,
    exit_status: u8,
    starts: VecDeque<Instant>,
    restarts: u64,
    takes: Duration,
    journal: VecDeque<String>,
}

/// The units of one host. Cheap to clone: all clones are the same host.
#[derive(Clone)]
pub struct Systemd {
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    units: BTreeMap<String, Unit>,
    lifecycle: Lifecycle,
    /// What `/proc/uptime` said when the host began, and when that was.
    booted: (Duration, Instant),
}

impl Default for Systemd {
    fn default() -> Self {
        Self::new()
    }
}

impl Systemd {
    /// A host without units.
    #[must_use]
    pub fn new() -> Self {
        let uptime = std::fs::read_to_string("/proc/uptime").ok();
        let seconds =
            uptime.and_then(|text| text.split_whitespace().next().and_then(|word| word.parse::<f64>().ok()));
        // A machine without `/proc` has been up for a while, too.
        let uptime = Duration::try_from_secs_f64(seconds.unwrap_or(1_000.0)).unwrap_or_default();
        let inner = Inner {
            units: BTreeMap::new(),
            lifecycle: Lifecycle::default(),
            booted: (uptime, Instant::now()),
        };
        Self { inner: Arc::new(Mutex::new(inner)) }
    }

    /// Adds a unit that is up, or replaces one. `name` may leave out `.service`. Ignored above [`MAX_UNITS`].
    pub fn add(&self, name: &str, nature: Nature) {
        let mut inner = self.lock();
        if inner.units.len() >= MAX_UNITS {
            return;
        }
        let mut unit = Unit::new(nature);
        unit.start(Instant::now());
        inner.units.insert(full_name(name), unit);
    }

    /// What the unit is doing; `None` if there is no such unit.
    #[must_use]
    pub fn state(&self, name: &str) -> Option<State> {
        self.with(name, |unit| unit.state)
    }

    /// Which run of the unit this is: changes with every start.
    #[must_use]
    pub fn invocation(&self, name: &str) -> Option<String> {
        self.with(name, |unit| unit.invocation.clone())
    }

    /// Restarts of this unit that were asked for, whatever came of them.
    #[must_use]
    pub fn restarts(&self, name: &str) -> u64 {
        self.with(name, |unit| unit.restarts).unwrap_or(0)
    }

    /// Stops the unit in good order, as an absent-minded person would.
    pub fn stop(&self, name: &str) {
        self.with(name, |unit| unit.end(State::Inactive, "success", 0, "Stopped."));
    }

    /// Kills the unit's process.
    pub fn crash(&self, name: &str) {
        self.with(name, |unit| {
            unit.end(State::Failed, "signal", 9, "Main process exited, code=killed, status=9/KILL")
        });
    }

    /// Decides what becomes of the unit from its next start on.
    pub fn set_nature(&self, name: &str, nature: Nature) {
        self.with(name, |unit| unit.nature = nature);
    }

    /// Makes a restart of the unit take this long, so that two of them can meet.
    pub fn set_restart_time(&self, name: &str, takes: Duration) {
        self.with(name, |unit| unit.takes = takes);
    }

    /// Writes a line into the unit's journal.
    pub fn log(&self, name: &str, line: &str) {
        self.with(name, |unit| unit.log(line));
    }

    /// What was counted so far.
    #[must_use]
    pub fn lifecycle(&self) -> Lifecycle {
        self.lock().lifecycle
    }

    /// Answers `systemctl`, `journalctl` or `docker`; `None` for any other program. `words` begins with the program.
    ///
    /// A restart is counted as under way while it takes its time, so the caller must await it.
    pub(super) async fn run(&self, words: &[&str]) -> Option<Answer> {
        let (program, rest) = words.split_first()?;
        let lifecycle = match *program {
            "systemctl" => lifecycle_of_systemctl(rest),
            "docker" => rest
                .split_first()
                .filter(|(verb, _)| **verb == "restart")
                .and_then(|(_, names)| names.last())
                .map(|name| ("restart", *name)),
            _ => None,
        };
        if let Some((verb, name)) = lifecycle {
            return Some(self.act(verb, name).await);
        }
        self.look(words)
    }

    /// As [`Systemd::run`], for what changes nothing and so takes no time.
    pub(super) fn look(&self, words: &[&str]) -> Option<Answer> {
        let (program, rest) = words.split_first()?;
        match *program {
            "systemctl" => self.systemctl(rest),
            "journalctl" => Some(self.journalctl(rest)),
            "docker" => self.docker(rest),
            _ => None,
        }
    }

    /// What `/proc/uptime` says on this host.
    pub(super) fn uptime_line(&self) -> String {
        let uptime = self.lock().uptime(Instant::now()).as_secs_f64();
        format!("{uptime:.2} {uptime:.2}\n")
    }

    async fn act(&self, verb: &str, name: &str) -> Answer {
        let takes = {
            let mut inner = self.lock();
            inner.lifecycle.commands += 1;
            inner.lifecycle.restarts += u64::from(verb == "restart");
            inner.lifecycle.under_way += 1;
            inner.lifecycle.max_nesting = inner.lifecycle.max_nesting.max(inner.lifecycle.under_way);
            inner.units.get(&full_name(name)).map(|unit| unit.takes).unwrap_or_default()
        };
        if !takes.is_zero() {
            tokio::time::sleep(takes).await;
        }
        let mut inner = self.lock();
        inner.lifecycle.under_way -= 1;
        let Some(unit) = inner.units.get_mut(&full_name(name)) else {
            return Answer::refused(
                format!("Failed to {verb} {0}: Unit {0} not found.\n", full_name(name)),
                5,
            );
        };
        unit.settle(Instant::now());
        if verb == "restart" {
            unit.restarts += 1;
        }
        if verb == "stop" {
            unit.end(State::Inactive, "success", 0, "Stopped.");
            return Answer::default();
        }
        if unit.start(Instant::now()) {
            return Answer::default();
        }
        let full = full_name(name);
        let why = if unit.result == "start-limit-hit" {
            "start of the service was attempted too often"
        } else {
            "the control process exited with error code"
        };
        Answer::refused(
            format!(
                "Job for {full} failed because {why}.\nSee \"systemctl status {full}\" and \"journalctl -xeu {full}\" for details.\n"
            ),
            1,
        )
    }

    fn systemctl(&self, words: &[&str]) -> Option<Answer> {
        let asked = Asked::read(words);
        let (verb, names) = asked.names.split_first()?;
        match *verb {
            "is-active" => {
                let mut stdout = String::new();
                let mut status = 3;
                for name in names {
                    let state = self.state(name);
                    stdout.push_str(state.map_or("inactive", State::as_str));
                    stdout.push('\n');
                    status = match state {
                        Some(State::Active) => 0,
                        Some(State::Activating | State::Inactive | State::Failed) => status,
                        None if status == 0 => 0,
                        None => 4,
                    };
                }
                Some(Answer::said(stdout, status))
            }
            "show" => {
                let mut stdout = String::new();
                for name in names {
                    for (property, value) in self.properties(name) {
                        if asked.properties.is_empty() || asked.properties.contains(&property) {
                            stdout += &if asked.value_only {
                                format!("{value}\n")
                            } else {
                                format!("{property}={value}\n")
                            };
                        }
                    }
                }
                Some(Answer::said(stdout, 0))
            }
            "reset-failed" => {
                for name in names {
                    let known = self.with(name, |unit| {
                        unit.starts.clear();
                        if unit.state == State::Failed {
                            unit.state = State::Inactive;
                            unit.result = "success";
                        }
                    });
                    if known.is_none() {
                        let full = full_name(name);
                        return Some(Answer::refused(
                            format!("Failed to reset failed state of unit {full}: Unit {full} not loaded.\n"),
                            1,
                        ));
                    }
                }
                Some(Answer::default())
            }
            _ => None,
        }
    }

    /// The properties in systemd's order, which is not the order they are asked in.
    fn properties(&self, name: &str) -> Vec<(&'static str, String)> {
        let mut inner = self.lock();
        let now = Instant::now();
        let uptime = inner.uptime(now);
        let id = full_name(name);
        let Some(unit) = inner.units.get_mut(&id) else {
            return vec![
                ("Id", id),
                ("LoadState", "not-found".to_owned()),
                ("ActiveState", "inactive".to_owned()),
                ("SubState", "dead".to_owned()),
                ("StateChangeTimestampMonotonic", "0".to_owned()),
                ("ActiveEnterTimestampMonotonic", "0".to_owned()),
                ("InvocationID", String::new()),
            ];
        };
        unit.settle(now);
        let changed = uptime.saturating_sub(now.saturating_duration_since(unit.changed)).as_micros();
        vec![
            ("Result", unit.result.to_owned()),
            ("NRestarts", unit.auto_restarts.to_string()),
            ("ExecMainStatus", unit.exit_status.to_string()),
            ("Id", id),
            ("LoadState", "loaded".to_owned()),
            ("ActiveState", unit.state.as_str().to_owned()),
            ("SubState", unit.state.sub_state().to_owned()),
            ("StateChangeTimestampMonotonic", changed.to_string()),
            ("ActiveEnterTimestampMonotonic", changed.to_string()),
            ("InvocationID", unit.invocation.clone()),
        ]
    }

    fn journalctl(&self, words: &[&str]) -> Answer {
        let value_of = |flag: &str| {
            words.iter().position(|word| *word == flag).and_then(|at| words.get(at + 1)).copied()
        };
        let lines = value_of("-n").and_then(|n| n.parse::<usize>().ok()).unwrap_or(10).min(MAX_JOURNAL_LINES);
        let journal =
            value_of("-u").and_then(|name| self.with(name, |unit| unit.journal.clone())).unwrap_or_default();
        let skipped = journal.len().saturating_sub(lines);
        Answer::said(journal.iter().skip(skipped).map(|line| format!("{line}\n")).collect(), 0)
    }

    /// A container is a unit that Docker is asked about.
    fn docker(&self, words: &[&str]) -> Option<Answer> {
        let (verb, rest) = words.split_first()?;
        let name = rest.last()?;
        let Some((state, id, journal)) =
            self.with(name, |unit| (unit.state, unit.invocation.clone(), unit.journal.clone()))
        else {
            return Some(Answer::refused(format!("Error: No such container: {name}\n"), 1));
        };
        let status = match state {
            State::Active => "running",
            State::Activating => "restarting",
            State::Inactive | State::Failed => "exited",
        };
        // Docker's own start time is a date; any text that changes with every start does as well.
        match *verb {
            "inspect" if rest.iter().any(|word| word.contains(".State.Status")) => {
                Some(Answer::said(format!("{status}  {id}\n"), 0))
            }
            "inspect" => Some(Answer::said(format!("{id}\n"), 0)),
            "logs" => Some(Answer::said(journal.iter().map(|line| format!("{line}\n")).collect(), 0)),
            _ => None,
        }
    }

    fn with<T>(&self, name: &str, act: impl FnOnce(&mut Unit) -> T) -> Option<T> {
        let mut inner = self.lock();
        let unit = match inner.units.contains_key(name) {
            true => inner.units.get_mut(name),
            false => inner.units.get_mut(&full_name(name)),
        }?;
        unit.settle(Instant::now());
        Some(act(unit))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Every change of the units is complete in itself, so a panic elsewhere leaves nothing half done.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn uptime(&self, now: Instant) -> Duration {
        self.booted.0 + now.saturating_duration_since(self.booted.1)
    }
}

impl Unit {
    fn new(nature: Nature) -> Self {
        Self {
            nature,
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
    fn start(&mut self, now: Instant) -> bool {
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
        match self.nature {
            Nature::RefusesToStart => {
                self.end(
                    State::Failed,
                    "exit-code",
                    1,
                    "error: cannot open /etc/demo.conf: No such file or directory",
                );
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

    /// Lets the time that has passed since the last look have its effect.
    fn settle(&mut self, now: Instant) {
        let age = now.saturating_duration_since(self.changed);
        match (self.nature, self.state) {
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

    fn end(&mut self, state: State, result: &'static str, exit_status: u8, line: &str) {
        self.state = state;
        self.changed = Instant::now();
        self.result = result;
        self.exit_status = exit_status;
        self.log(line);
    }

    fn log(&mut self, line: &str) {
        if self.journal.len() == MAX_JOURNAL_LINES {
            self.journal.pop_front();
        }
        self.journal.push_back(line.to_owned());
    }
}

/// What a `systemctl` command line asks, options and the rest told apart.
struct Asked<'a> {
    names: Vec<&'a str>,
    properties: Vec<&'a str>,
    value_only: bool,
}

impl<'a> Asked<'a> {
    fn read(words: &[&'a str]) -> Self {
        let mut asked = Asked { names: Vec::new(), properties: Vec::new(), value_only: false };
        let mut words = words.iter().copied();
        while let Some(word) = words.next() {
            if word == "-p" || word == "-P" || word == "--property" {
                asked.properties.extend(words.next().unwrap_or_default().split(','));
                asked.value_only |= word == "-P";
            } else if let Some(list) = word.strip_prefix("--property=").or_else(|| word.strip_prefix("-p")) {
                asked.properties.extend(list.split(','));
            } else if word == "--value" {
                asked.value_only = true;
            } else if !word.starts_with('-') {
                asked.names.push(word);
            }
        }
        asked
    }
}

fn lifecycle_of_systemctl<'a>(words: &[&'a str]) -> Option<(&'static str, &'a str)> {
    let asked = Asked::read(words);
    let (verb, names) = asked.names.split_first()?;
    let verb = match *verb {
        "restart" => "restart",
        "start" => "start",
        "stop" => "stop",
        _ => return None,
    };
    names.first().map(|name| (verb, *name))
}

fn full_name(name: &str) -> String {
    let suffixes = [".service", ".socket", ".timer", ".target", ".mount"];
    if suffixes.iter().any(|suffix| name.ends_with(suffix)) {
        name.to_owned()
    } else {
        format!("{name}.service")
    }
}

#[cfg(test)]
mod tests;
