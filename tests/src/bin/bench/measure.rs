//! What a stretch of work cost this process.

use std::fmt;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::time::{ClockId, clock_gettime};

/// Ticks per second in `/proc/PID/stat`, the same on every Linux there is.
const TICKS_PER_SECOND: u64 = 100;

/// A stretch of work being measured.
pub(crate) struct Stretch {
    began: Instant,
    cpu: Duration,
    children: Duration,
}

/// What a stretch of work cost.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cost {
    /// By the clock on the wall.
    pub(crate) wall: Duration,
    /// User and system time of all threads of this process.
    pub(crate) cpu: Duration,
    /// The same of child processes that have ended and been waited for.
    pub(crate) children: Duration,
}

impl Stretch {
    pub(crate) fn begin() -> Self {
        Self { cpu: own_cpu(), children: children_cpu(), began: Instant::now() }
    }

    pub(crate) fn end(&self) -> Cost {
        let wall = self.began.elapsed();
        Cost {
            wall,
            cpu: own_cpu().saturating_sub(self.cpu),
            children: children_cpu().saturating_sub(self.children),
        }
    }
}

impl Cost {
    pub(crate) const NONE: Cost =
        Cost { wall: Duration::ZERO, cpu: Duration::ZERO, children: Duration::ZERO };

    /// Both stretches together.
    pub(crate) fn and(self, other: Cost) -> Cost {
        Cost {
            wall: self.wall + other.wall,
            cpu: self.cpu + other.cpu,
            children: self.children + other.children,
        }
    }

    /// Microseconds of this process's CPU for each of `count`.
    #[expect(clippy::cast_precision_loss, reason = "counts here are far below 2^52")]
    pub(crate) fn cpu_micros_each(&self, count: usize) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / count.max(1) as f64
    }

    /// As [`Cost::cpu_micros_each`], with the children this process started for the work.
    #[expect(clippy::cast_precision_loss, reason = "counts here are far below 2^52")]
    pub(crate) fn whole_cpu_micros_each(&self, count: usize) -> f64 {
        (self.cpu + self.children).as_secs_f64() * 1e6 / count.max(1) as f64
    }
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2} s wall, {:.2} s CPU", self.wall.as_secs_f64(), self.cpu.as_secs_f64())
    }
}

fn own_cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// To the hundredth of a second only: enough for whole programs, which take several of these each.
fn children_cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The program's name may hold anything, so the fields are counted from behind its closing parenthesis.
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: u64 = fields.skip(13).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 1_000 / TICKS_PER_SECOND)
}

/// User and system time of another process, to the hundredth of a second. None if it is gone.
pub(crate) fn cpu_of(process: u32) -> Option<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let fields = stat.rsplit(')').next()?.split_whitespace();
    let ticks: u64 = fields.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    Some(Duration::from_millis(ticks * 1_000 / TICKS_PER_SECOND))
}

/// The same to the nanosecond, of the threads that another process has now. None if it is gone.
pub(crate) fn exact_cpu_of(process: u32) -> Option<Duration> {
    let threads = std::fs::read_dir(format!("/proc/{process}/task")).ok()?;
    let stats = threads.flatten().filter_map(|thread| {
        let stat = std::fs::read_to_string(thread.path().join("schedstat")).ok()?;
        stat.split_whitespace().next()?.parse().ok()
    });
    Some(stats.map(Duration::from_nanos).sum())
}

/// Memory of this process that is really there, in KiB.
pub(crate) fn resident_kib() -> u64 {
    memory_kib("self", "VmRSS:").unwrap_or(0)
}

/// Most memory another process ever had, in KiB. None if it is gone.
pub(crate) fn peak_kib_of(process: u32) -> Option<u64> {
    memory_kib(&process.to_string(), "VmHWM:")
}

fn memory_kib(process: &str, what: &str) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(what))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Ten thousand connections are ten thousand files.
pub(crate) fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    // Where it cannot be raised, large fleets say what they ran out of.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}

/// What all of this ran on.
pub(crate) fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    let build = if cfg!(debug_assertions) {
        "debug build: numbers mean nothing; use --release"
    } else {
        "release build"
    };
    let model = model.trim_start_matches([' ', '\t', ':']);
    format!(
        "lamplighter {} · {cores} cores, {model} · Linux {} · {build}",
        env!("CARGO_PKG_VERSION"),
        kernel.trim()
    )
}

/// How busy the machine was besides: times on the wall mean little on a busy one.
pub(crate) fn load() -> String {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    format!("the machine's load over the last minute was {}", load.split(' ').next().unwrap_or("unknown"))
}
