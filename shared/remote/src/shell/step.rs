//! One step of an update under the guard: made at most once per action number, and what came of it written down beside
//! the number, so that whoever asks again is told.

use std::time::Duration;

use lamplighter_core::spec::{Command, ServiceSpec, Update};
use lamplighter_core::update::{Around, OwnUpdate, UpdateStep, Way};

use super::guard::{LOCK, NUMBER, PREPARE, PROCESS, RUN, Told, question_of, restarting};
use super::{CLEANING, check_out, compose, git, quoted, script, supervisor};
use crate::UpdateOrder;

/// Bytes kept of what a step says: the complaint of an install stands at its end.
const KEEPS_BYTES: u32 = 64 * 1024;

/// Makes one step under the host's guard.
///
/// The script's last word is one line, `lamplighter NONCE VERDICT …`, with one of these verdicts:
/// `done lock=… action_no=… process=… run=…`, `failed STATUS COMPLAINT`, `broken CODE DETAIL` (found impossible, and
/// something may have been changed before), `untouched CODE DETAIL` (found impossible, and nothing was changed),
/// `changed RUN`, and `refused busy | interrupted | overtaken NUMBER`.
pub(crate) fn guarded_step(
    spec: &ServiceSpec,
    update: &Update,
    order: &UpdateOrder<'_>,
    nonce: &str,
    limit: Duration,
) -> String {
    let question = match (supervisor(spec), update) {
        (None, Update::Docker(docker)) => compose::run_question(docker),
        (_, Update::Git(_) | Update::Docker(_) | Update::Own(_)) => question_of(spec),
    };
    let told = Told {
        nonce,
        env: order.env,
        spec,
        action_no: order.action_no,
        process: order.process,
        limit,
        question: &question,
        keeps_bytes: KEEPS_BYTES,
    };
    let way = match order.way {
        Way::Forward => "forward",
        Way::Back => "back",
    };
    let names = format!(
        "way={way}\ntarget={target}\nprevious={previous}\nresult={result}\n",
        target = quoted(order.target.as_str()),
        previous = quoted(order.previous.as_str()),
        result = quoted(&format!("{}:{}.result", order.env, spec.id)),
    );
    let process = if order.step == UpdateStep::Restart { PROCESS } else { "process=1\n" };
    let act = acting(spec, update, order);
    script(&format!(
        "{told}{names}{PREPARE}{CLEANING}{ANSWER}{LOCK}{NUMBER}{BEGIN}{process}{RUN}{act}\n{CONCLUDE}",
        told = told.text()
    ))
}

/// The step itself.
fn acting(spec: &ServiceSpec, update: &Update, order: &UpdateOrder<'_>) -> String {
    match (order.step, update) {
        (UpdateStep::CheckOut, Update::Git(git)) => check_out::check_out(git, order.way),
        (UpdateStep::CheckOut, Update::Docker(docker)) => compose::pull(docker, order),
        (UpdateStep::Restart, Update::Docker(docker)) => compose::recreate(docker, order),
        (UpdateStep::Restart, Update::Git(_) | Update::Own(_)) => {
            restarting(spec).unwrap_or_else(|| NO_COMMAND.to_owned())
        }
        (UpdateStep::Install | UpdateStep::After, Update::Git(git)) => {
            format!("{}{}", commanding(update, order), git::note_leavings(git))
        }
        (
            UpdateStep::Before
            | UpdateStep::CheckOut
            | UpdateStep::Install
            | UpdateStep::Own(_)
            | UpdateStep::After
            | UpdateStep::Rollback,
            _,
        ) => commanding(update, order),
    }
}

/// The spec names no command for the step any more.
const NO_COMMAND: &str = "refuse no-command";

/// A step that is a command of the operator's own, run where the update happens: in the login's home, where SSH would put
/// it, if no directory is named.
fn commanding(update: &Update, order: &UpdateOrder<'_>) -> String {
    let (dir, command) = match update {
        Update::Git(git) if order.step == UpdateStep::Install => (Some(&git.dir), git.install.as_ref()),
        Update::Git(git) => (Some(&git.dir), beside(&git.around, order.step)),
        Update::Docker(docker) => (Some(&docker.dir), beside(&docker.around, order.step)),
        Update::Own(own) => (own.dir.as_ref(), own_step(own, order)),
    };
    let Some(command) = command else { return NO_COMMAND.to_owned() };
    format!(
        "cd {dir} 2>/dev/null || refuse no-dir\n\
         export LAMPLIGHTER_TARGET=\"$target\" LAMPLIGHTER_PREVIOUS=\"$previous\" LAMPLIGHTER_WAY=\"$way\"\n\
         run sh -c {command}\n",
        dir = dir.map_or_else(|| "\"${HOME:-/}\"".to_owned(), |dir| quoted(dir)),
        command = quoted(command.as_str())
    )
}

fn beside(around: &Around, step: UpdateStep) -> Option<&Command> {
    match step {
        UpdateStep::Before => around.before.as_ref(),
        UpdateStep::After => around.after.as_ref(),
        UpdateStep::Rollback => around.rollback.as_ref(),
        UpdateStep::CheckOut | UpdateStep::Install | UpdateStep::Own(_) | UpdateStep::Restart => None,
    }
}

fn own_step<'a>(own: &'a OwnUpdate, order: &UpdateOrder<'_>) -> Option<&'a Command> {
    let UpdateStep::Own(number) = order.step else { return None };
    let step = own.steps.get(usize::from(number))?;
    match order.way {
        Way::Forward => Some(&step.run),
        Way::Back => Some(&step.back),
    }
}

/// How a step answers. What it concludes is written down before it is said, in a file that appears whole or not at all.
///
/// A caller who went away must not end the script: what is said to nobody is written down all the same. (A subshell forgets
/// what its parent traps.)
const ANSWER: &str = "\
trap : PIPE HUP
resumed=
conclude() {
  if [ -n \"$home\" ]; then
    next=$home/+result.$$
    if printf '%s\\n' \"$action $*\" 2>/dev/null >\"$next\"; then
      sync \"$next\" 2>/dev/null
      mv -f \"$next\" \"$home/$result\" 2>/dev/null && sync \"$home\" 2>/dev/null
    fi
    rm -f \"$next\" 2>/dev/null
  fi
  stop \"$@\"
}
remark() { ( trap '' PIPE; printf '%s\\n' \"lamplighter-remark $nonce $*\" ) 2>/dev/null || :; }
refuse() {
  if [ \"$way\" = back ] || [ -n \"$resumed\" ]; then conclude broken \"$@\"; fi
  conclude untouched \"$@\"
}
changed() { conclude changed \"$(printf %s \"$present\" | tr -cd '[:alnum:].:-' | cut -c 1-64)\"; }
repeated() {
  for dir in \"$dir1\" \"$dir2\" \"$dir3\"; do
    usable \"$dir\" && [ -f \"$dir/$result\" ] || continue
    read -r no verdict <\"$dir/$result\" 2>/dev/null || continue
    [ \"$no\" = \"$action\" ] || continue
    case $verdict in
      'begun '*) [ \"$lock\" = 1 ] || ! kill -0 \"${verdict#begun }\" 2>/dev/null || stop refused busy ;;
      *) stop \"$verdict\" ;;
    esac
  done
  stop refused interrupted
}
";

/// Begins: sweeps up after scripts that were killed, which under the lock nobody else's can be, and writes down who is at
/// it. On the way to the target a step that cannot be written down is not made.
const BEGIN: &str = "\
if [ \"$lock\" = 1 ] && [ -n \"$home\" ]; then
  rm -f \"$home\"/+* 2>/dev/null
fi
if [ -n \"$home\" ]; then
  echo \"$action begun $$\" 2>/dev/null >\"$home/+result.$$\" && mv -f \"$home/+result.$$\" \"$home/$result\" 2>/dev/null
fi
[ \"$number\" = 1 ] || [ \"$way\" = back ] || refuse no-record
";

/// The end of a step: the run that is there, or the complaint.
const CONCLUDE: &str = "\
if [ \"$ended\" = 0 ]; then
  present=$(which_run | head -n 1 | tr -cd '[:alnum:].:-' | cut -c 1-64)
  [ \"$kept\" = /dev/null ] || rm -f \"$kept\"
  conclude done \"lock=$lock action_no=$number process=$process run=$present\"
fi
words=
if [ \"$kept\" != /dev/null ]; then
  words=$(complaint <\"$kept\")
  rm -f \"$kept\"
fi
[ -n \"$home\" ] || words=\"$words (nothing can be written there: is a disk full or read-only?)\"
conclude failed \"$ended\" \"$words\"";
