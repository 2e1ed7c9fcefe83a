//! Every line of shell text that is ever sent to a host, here and in the files below.
//!
//! It is written from parts that were checked where they came in (unit and container names, ids, numbers) and quoted
//! all the same. It is POSIX sh, run by `sh -c` whatever the login's own shell may be. Quotes are quoted without
//! backslashes, which some login shells read differently inside of quotes.

mod check_out;
mod compose;
mod git;
mod guard;
mod question;
mod step;

use lamplighter_core::name::{ContainerName, UnitName};
use lamplighter_core::spec::{Check, Command, Restart, ServiceSpec};

pub(crate) use guard::guarded_restart;
pub(crate) use question::{resolving, standing};
pub(crate) use step::guarded_step;

/// Lines of a service's own log that are fetched when it is not up.
const LOG_LINES: u32 = 10;
/// Stands between the sections of a report. What the service itself wrote always comes last and can forge none.
pub(crate) const SECTION: &str = "--- lamplighter ---";
/// Longest wait for the host's lock, in seconds: a restart usually takes less, and whoever waits longer looks again.
pub(crate) const LOCK_WAIT_SECS: u64 = 5;
/// After the limit's polite signal, how long until the one that cannot be refused, in seconds.
pub(crate) const KILL_AFTER_SECS: u64 = 5;

/// Makes one printable line of what a program said: `clean` of all of it, `complaint` of what matters in it. An error's own
/// line says more than what stands around it; where no line calls itself one, the last do.
const CLEANING: &str = "\
clean() { tr '\\n\\t' '  ' | tr -cd '[:print:]' | cut -c 1-\"${1:-300}\"; }
complaint() (
  said=$(head -c 65536 | grep . | grep -v '^sudo: unable to resolve host')
  words=$(printf '%s\\n' \"$said\" | grep -i -E -A 2 '^ *(fatal|error|npm err)' | head -n 3 | clean)
  [ -n \"$words\" ] || words=$(printf '%s\\n' \"$said\" | tail -n 2 | clean)
  printf '%s\\n' \"$words\"
)
";

/// What says which run of a service is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Supervisor<'a> {
    /// A unit's `InvocationID`.
    Systemd(&'a UnitName),
    /// A container's start time.
    Docker(&'a ContainerName),
}

/// Who supervises the service that a restart would restart; else the one that its check asks.
pub(crate) fn supervisor(spec: &ServiceSpec) -> Option<Supervisor<'_>> {
    match (&spec.restart, &spec.check) {
        (Restart::Systemd(unit), _) => Some(Supervisor::Systemd(unit)),
        (Restart::Docker(container), _) => Some(Supervisor::Docker(container)),
        (Restart::Command(_) | Restart::Never, Check::Systemd(unit)) => Some(Supervisor::Systemd(unit)),
        (Restart::Command(_) | Restart::Never, Check::Docker(container)) => {
            Some(Supervisor::Docker(container))
        }
        (Restart::Command(_) | Restart::Never, Check::Http(_) | Check::Tcp(_) | Check::Command(_)) => None,
    }
}

/// A unit's name in full. Sudoers lines are compared word by word, so it must always be spelt alike.
pub(crate) fn full_unit_name(unit: &UnitName) -> String {
    const SUFFIXES: [&str; 11] = [
        "service",
        "socket",
        "device",
        "mount",
        "automount",
        "swap",
        "target",
        "path",
        "timer",
        "slice",
        "scope",
    ];
    match unit.as_str().rsplit_once('.') {
        Some((_, suffix)) if SUFFIXES.contains(&suffix) => unit.as_str().to_owned(),
        Some(_) | None => format!("{unit}.service"),
    }
}

/// Asks whether a unit is active: the one command of a healthy look.
pub(crate) fn is_active(unit: &UnitName) -> String {
    format!("env LC_ALL=C systemctl is-active {}", quoted(&full_unit_name(unit)))
}

/// Asks everything about a unit that is not active, its last log lines included.
pub(crate) fn unit_report(unit: &UnitName) -> String {
    let unit = quoted(&full_unit_name(unit));
    script(&format!(
        "export LC_ALL=C\n\
         systemctl show -p LoadState,ActiveState,SubState,Result,NRestarts,ExecMainStatus,InvocationID,StateChangeTimestampMonotonic {unit} || exit\n\
         echo '{SECTION}'\n\
         cat /proc/uptime\n\
         echo '{SECTION}'\n\
         journalctl -u {unit} -n {LOG_LINES} --no-pager -o cat 2>/dev/null\n\
         exit 0"
    ))
}

/// Asks only whether a unit exists.
pub(crate) fn unit_load_state(unit: &UnitName) -> String {
    format!("env LC_ALL=C systemctl show -p LoadState {}", quoted(&full_unit_name(unit)))
}

/// Asks for a container's state, the verdict of its own health check, and its start time.
pub(crate) fn container_state(container: &ContainerName) -> String {
    let format =
        quoted("{{.State.Status}} {{if .State.Health}}{{.State.Health.Status}}{{end}} {{.State.StartedAt}}");
    format!("docker inspect --type container -f {format} {}", quoted(container.as_str()))
}

/// Asks which run is there, and for its last log lines.
pub(crate) fn run_and_log(supervisor: Supervisor<'_>) -> String {
    let log = match supervisor {
        Supervisor::Systemd(unit) => {
            format!(
                "journalctl -u {} -n {LOG_LINES} --no-pager -o cat 2>/dev/null",
                quoted(&full_unit_name(unit))
            )
        }
        Supervisor::Docker(container) => {
            format!("docker logs --tail {LOG_LINES} {} 2>&1", quoted(container.as_str()))
        }
    };
    script(&format!("export LC_ALL=C\n{} || exit\necho '{SECTION}'\n{log}\nexit 0", run_question(supervisor)))
}

/// Asks which run is there.
pub(crate) fn run_of(supervisor: Supervisor<'_>) -> String {
    script(&format!("export LC_ALL=C\n{}", run_question(supervisor)))
}

/// Runs an operator's own check.
pub(crate) fn check_command(command: &Command) -> String {
    script(command.as_str())
}

/// Asks the time, in seconds since 1970.
pub(crate) fn clock() -> &'static str {
    "date +%s"
}

/// Asks whether the login may run the restart's commands as root. Runs none of them.
pub(crate) fn restart_right(unit: &UnitName) -> String {
    let unit = quoted(&full_unit_name(unit));
    script(&format!(
        "[ \"$(id -u)\" = 0 ] && echo root && exit 0\n\
         command -v sudo >/dev/null 2>&1 || {{ echo no-sudo; exit 0; }}\n\
         sudo -n -l systemctl --no-ask-password restart {unit} >/dev/null 2>&1 && \
         sudo -n -l systemctl --no-ask-password reset-failed {unit} >/dev/null 2>&1 && echo granted && exit 0\n\
         echo refused"
    ))
}

/// The sudoers lines that let `user` restart a unit, and nothing else.
pub(crate) fn sudoers(user: &str, unit: &UnitName) -> String {
    let unit = full_unit_name(unit).replace('\\', "\\\\").replace(':', "\\:");
    let line = |verb: &str| {
        format!("{user} ALL=(root) NOPASSWD: /usr/bin/systemctl --no-ask-password {verb} {unit}")
    };
    format!("{}\n{}", line("restart"), line("reset-failed"))
}

/// The question which run is there, as a command whose output is the answer.
fn run_question(supervisor: Supervisor<'_>) -> String {
    match supervisor {
        Supervisor::Systemd(unit) => {
            format!("systemctl show -p InvocationID --value {}", quoted(&full_unit_name(unit)))
        }
        Supervisor::Docker(container) => {
            format!(
                "docker inspect --type container -f {} {}",
                quoted("{{.State.StartedAt}}"),
                quoted(container.as_str())
            )
        }
    }
}

/// Wraps a script for whatever shell the login has.
fn script(text: &str) -> String {
    format!("exec sh -c {}", quoted(text))
}

/// Quotes `text` so that a shell takes it for one word and nothing else.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r#"'"'"'"#))
}

#[cfg(test)]
mod tests;
