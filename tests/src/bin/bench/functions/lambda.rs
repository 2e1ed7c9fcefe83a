//! A function in a process of its own, measured.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use lamplighter_tests::aws::Process;
use serde_json::Value;

use crate::measure::{exact_cpu_of, peak_kib_of};

/// A function. It ends when this is dropped.
pub(super) struct Function {
    process: Process,
    /// From its start until it first asked for work.
    pub(super) start: Duration,
    /// What that cost, in CPU.
    pub(super) start_cpu: Duration,
}

/// One call, as seen from outside.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Called {
    pub(super) wall: Duration,
    pub(super) cpu: Duration,
    /// Written to the log.
    pub(super) log_bytes: u64,
}

impl Function {
    /// Starts a function in `folder`, where its key lies, and waits until it asks for work.
    pub(super) async fn start(
        bootstrap: &Path,
        folder: &Path,
        told: &BTreeMap<&str, String>,
    ) -> anyhow::Result<Function> {
        let process = Process::start(bootstrap, folder, told).await?;
        let start_cpu = cpu_of(&process);
        Ok(Function { start: process.start_took(), start_cpu, process })
    }

    /// Makes one call, and waits until the function asks for the next.
    pub(super) async fn call(&mut self, event: Value) -> anyhow::Result<Called> {
        let (cpu, log_bytes) = (cpu_of(&self.process), self.process.log_bytes());
        let answer = self.process.call(event).await?;
        let cpu = cpu_of(&self.process).saturating_sub(cpu);
        anyhow::ensure!(answer.went_well, "the function failed: {}\n{}", answer.body, self.last_line());
        Ok(Called { wall: answer.wall, cpu, log_bytes: self.process.log_bytes() - log_bytes })
    }

    /// Most memory it ever had, in KiB.
    pub(super) fn peak_kib(&self) -> u64 {
        self.process.id().and_then(peak_kib_of).unwrap_or(0)
    }

    /// The last line of its log.
    pub(super) fn last_line(&self) -> String {
        self.process.log().lines().last().unwrap_or_default().to_owned()
    }
}

fn cpu_of(process: &Process) -> Duration {
    process.id().and_then(exact_cpu_of).unwrap_or_default()
}
