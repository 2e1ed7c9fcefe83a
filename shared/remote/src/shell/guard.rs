//! The guard that every lifecycle command on a host runs under: its lock, its numbers, the run that was judged.

use std::fmt::Write as _;
use std::time::Duration;

use lamplighter_core::EnvName;
use lamplighter_core::sight::ProcessId;
use lamplighter_core::spec::{Restart, ServiceSpec};

use super::{KILL_AFTER_SECS, LOCK_WAIT_SECS, full_unit_name, quoted, run_question, script, supervisor};
use crate::RestartOrder;

/// What every script under the guard is told.
pub(super) struct Told<'a> {
    pub(super) nonce: &'a str,
    pub(super) env: &'a EnvName,
    pub(super) spec: &'a ServiceSpec,
    pub(super) action_no: u64,
    pub(super) process: Option<&'a ProcessId>,
    pub(super) limit: Duration,
    /// The command whose output says which run is there; it is given little time.
    pub(super) question: &'a str,
    /// Bytes kept of what the command itself says.
    pub(super) keeps_bytes: u32,
}

impl Told<'_> {
    /// The assignments at the head of a script.
    pub(super) fn text(&self) -> String {
        let Told { nonce, env, spec, action_no, process, limit, question, keeps_bytes } = self;
        format!(
            "nonce={nonce}\nrecord={record}\naction={action_no}\njudged={judged}\nlimit={limit}\nwait={LOCK_WAIT_SECS}\ngrace={KILL_AFTER_SECS}\nkeeps={keeps_bytes}\n\
             question={question}\n",
            question = quoted(question),
            record = quoted(&format!("{env}:{}.action", spec.id)),
            judged = quoted(process.map(ProcessId::as_str).unwrap_or_default()),
            limit = limit.as_secs().max(1),
        )
    }
}

/// What restarts a service, `run` by the guard. `None` if it is never restarted.
pub(super) fn restarting(spec: &ServiceSpec) -> Option<String> {
    let text = match &spec.restart {
        Restart::Systemd(unit) => {
            let unit = quoted(&full_unit_name(unit));
            format!(
                "[ \"$(id -u)\" = 0 ] || root='sudo -n'\n\
                 $root systemctl --no-ask-password reset-failed {unit} >/dev/null 2>&1 </dev/null 9<&-\n\
                 run $root systemctl --no-ask-password restart {unit}"
            )
        }
        Restart::Docker(container) => format!("run docker restart {}", quoted(container.as_str())),
        Restart::Command(command) => format!("run sh -c {}", quoted(command.as_str())),
        Restart::Never => return None,
    };
    Some(text)
}

/// The question which run of the service is there; one that fails where nothing tells.
pub(super) fn question_of(spec: &ServiceSpec) -> String {
    supervisor(spec).map_or_else(|| "false".to_owned(), run_question)
}

/// Restarts a service under the host's guard. `None` if the service is never restarted.
///
/// The script's last word is one line, `lamplighter NONCE VERDICT …`. What the restarted thing itself says goes to a file
/// that is read back capped and cleaned, so it can neither forge that line nor fill the host's disk.
pub(crate) fn guarded_restart(
    spec: &ServiceSpec,
    order: &RestartOrder<'_>,
    nonce: &str,
    limit: Duration,
) -> Option<String> {
    let act = restarting(spec)?;
    let question = question_of(spec);
    let told = Told {
        nonce,
        env: order.env,
        spec,
        action_no: order.action_no,
        process: order.process,
        limit,
        question: &question,
        keeps_bytes: 2_048,
    };
    let mut text = told.text();
    let _ = write!(
        text,
        "{PREPARE}repeated() {{ stop refused repeated; }}\nchanged() {{ stop refused changed; }}\n{LOCK}{NUMBER}{PROCESS}{RUN}{act}\n{REPORT}"
    );
    Some(script(&text))
}

/// Where records are kept: the first of three directories that is ours and can be written to. A directory on a full disk
/// still takes new names, so it is tried with a word. Where there is none, what a command says is kept in memory's own
/// file system for as long as the script runs.
pub(super) const PREPARE: &str = "\
mask=$(umask) locale=${LC_ALL+=$LC_ALL}
export LC_ALL=C
umask 077
lock=0 number=0 process=0 root= home=
brief=
command -v timeout >/dev/null 2>&1 && brief='timeout -k 5 10'
which_run() { $brief sh -c \"$question\" 2>/dev/null </dev/null 9<&-; }
say() { printf '%s\\n' \"lamplighter $nonce $*\"; }
stop() { leave; say \"$@\"; exit 0; }
uid=$(id -u)
dir1=${XDG_STATE_HOME:+$XDG_STATE_HOME/lamplighter}
dir2=${HOME:+$HOME/.local/state/lamplighter}
dir3=/var/tmp/lamplighter-$uid
usable() { [ -n \"$1\" ] && [ -d \"$1\" ] && [ ! -L \"$1\" ] && [ -O \"$1\" ]; }
for dir in \"$dir1\" \"$dir2\" \"$dir3\"; do
  [ -n \"$dir\" ] && mkdir -p \"$dir\" 2>/dev/null
  usable \"$dir\" && chmod 700 \"$dir\" 2>/dev/null || continue
  ( echo try >\"$dir/+try.$$\" ) 2>/dev/null && tried=0 || tried=1
  rm -f \"$dir/+try.$$\" 2>/dev/null
  [ \"$tried\" = 0 ] || continue
  home=$dir
  break
done
scratch=$home
if [ -z \"$scratch\" ]; then
  for dir in \"$XDG_RUNTIME_DIR\" /dev/shm /tmp; do
    [ -n \"$dir\" ] && scratch=$(mktemp -d \"$dir/lamplighter.XXXXXX\" 2>/dev/null) && break
  done
fi
leave() { [ -n \"$home\" ] || [ -z \"$scratch\" ] || rm -rf \"$scratch\" 2>/dev/null; }
";

/// One lock per host, in the first place that all users share; it is opened for reading, which any of them may.
pub(super) const LOCK: &str = "\
if command -v flock >/dev/null 2>&1; then
  for dir in /run/lock /dev/shm /tmp \"$home\"; do
    [ -n \"$dir\" ] && [ -d \"$dir\" ] || continue
    file=$dir/lamplighter.lock
    [ -e \"$file\" ] || ( umask 0333; set -C; : >\"$file\" ) 2>/dev/null
    [ -f \"$file\" ] && [ ! -L \"$file\" ] && [ -r \"$file\" ] || continue
    ( exec 9<\"$file\" ) 2>/dev/null || continue
    exec 9<\"$file\"
    if flock -V >/dev/null 2>&1; then
      flock -w \"$wait\" 9 2>/dev/null
    else
      tries=0
      until flock -n 9 2>/dev/null || [ \"$tries\" -ge \"$wait\" ]; do tries=$((tries + 1)); sleep 1; done
      flock -n 9 2>/dev/null
    fi
    case $? in
      0) lock=1; break ;;
      1) stop refused busy ;;
    esac
  done
fi
";

/// The highest action number ever seen, wherever it was recorded; ours is written down before anything is done. Leans on
/// `repeated`, which answers for a number that was seen before.
pub(super) const NUMBER: &str = "\
seen=0
for dir in \"$dir1\" \"$dir2\" \"$dir3\"; do
  usable \"$dir\" && [ -f \"$dir/$record\" ] || continue
  read -r found <\"$dir/$record\" 2>/dev/null || continue
  case $found in ''|*[!0-9]*|???????????????????*) continue ;; esac
  [ \"$found\" -gt \"$seen\" ] && seen=$found
done
[ \"$seen\" -eq \"$action\" ] && repeated
[ \"$seen\" -gt \"$action\" ] && stop refused overtaken \"$seen\"
if [ -n \"$home\" ]; then
  next=$home/+record.$$
  if echo \"$action\" 2>/dev/null >\"$next\"; then
    sync \"$next\" 2>/dev/null
    if mv -f \"$next\" \"$home/$record\" 2>/dev/null; then number=1; sync \"$home\" 2>/dev/null; fi
  fi
  rm -f \"$next\" 2>/dev/null
fi
";

/// Another run than the one that was judged is left alone. Leans on `changed`, which says so.
pub(super) const PROCESS: &str = "\
if [ -n \"$judged\" ] && present=$(which_run); then
  [ \"$present\" = \"$judged\" ] || changed
  process=1
fi
";

/// Runs a command under its limit, and says before it does if the host has nothing to hold it to one.
///
/// `timeout` keeps the host's lock open for as long as the command runs, so that it is held even if this script is
/// killed; the command itself does not, since it may leave a daemon behind. It gets the login's own umask and locale.
/// At the limit whatever is left of its process group is killed too. Its output goes through a pipe to a reader that
/// keeps a little and swallows the rest; nobody waits for that reader, so a daemon left behind can neither hold us up nor
/// be killed by a closed pipe.
pub(super) const RUN: &str = "\
kept=/dev/null
ended=0
inner='umask \"$1\"
case $2 in =*) LC_ALL=${2#=} ;; *) unset LC_ALL ;; esac
[ -z \"$3\" ] || echo \"$PPID\" >\"$3\"
shift 3
exec \"$@\" 9<&-'
run() {
  group=
  if command -v timeout >/dev/null 2>&1; then
    [ -z \"$scratch\" ] || group=$scratch/+group.$$
    set -- timeout -k \"$grace\" \"$limit\" sh -c \"$inner\" sh \"$mask\" \"$locale\" \"$group\" \"$@\"
  else
    printf '%s\\n' \"lamplighter-remark $nonce no-timeout\"
    set -- sh -c \"$inner\" sh \"$mask\" \"$locale\" '' \"$@\"
  fi
  pipe=$scratch/+pipe.$$
  if [ -n \"$scratch\" ] && mkfifo \"$pipe\" 2>/dev/null; then
    kept=$scratch/+said.$$
    { head -c \"$keeps\"; exec cat >/dev/null; } <\"$pipe\" >\"$kept\" 2>/dev/null 9<&- &
    reader=$!
    \"$@\" >\"$pipe\" 2>&1 </dev/null
    ended=$?
    rm -f \"$pipe\"
    end_group
    tries=0
    while [ \"$ended\" != 0 ] && [ ! -s \"$kept\" ] && kill -0 \"$reader\" 2>/dev/null && [ \"$tries\" -lt 10 ]; do
      tries=$((tries + 1))
      sleep 0.1 2>/dev/null || sleep 1
    done
  else
    \"$@\" >/dev/null 2>&1 </dev/null
    ended=$?
    end_group
  fi
}
end_group() {
  [ -n \"$group\" ] && [ -f \"$group\" ] || return 0
  leader=
  read -r leader <\"$group\"
  rm -f \"$group\"
  case $ended:$leader in
    *:|*:*[!0-9]*|*:\"$$\") ;;
    124:*|137:*) kill -KILL \"-$leader\" 2>/dev/null ;;
  esac
}
";

/// The last word of a restart. `sudo` complains of a host without a name of its own before every command, even those
/// that succeed.
const REPORT: &str = "\
first=
[ \"$kept\" = /dev/null ] || { first=$(head -c 2048 \"$kept\" 2>/dev/null | grep . | grep -v '^sudo: unable to resolve host' | head -n 1 | tr -cd '[:print:]' | cut -c 1-300); rm -f \"$kept\"; }
[ \"$ended\" != 0 ] || stop done \"lock=$lock action_no=$number process=$process\"
stop failed \"$ended\" \"$first\"";
