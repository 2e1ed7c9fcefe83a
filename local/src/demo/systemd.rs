//! A pretend systemd: units that start, stop, crash and refuse, told apart exactly as `systemctl` tells them apart.

mod looks;
mod unit;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use looks::lifecycle_of_systemctl;
use unit::Unit;

/// Most units one host may run: the bench's largest fleet, with room.
pub const MAX_UNITS: usize = 20_000;
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

    /// Lets what the unit does follow from the release that is checked out in `dir`, from its next start on.
    pub fn set_code(&self, name: &str, dir: PathBuf) {
        self.with(name, |unit| unit.code = Some(dir));
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
