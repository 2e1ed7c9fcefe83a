//! A git checkout brought to another commit, and back.

use lamplighter_core::update::{GitUpdate, Way};

use super::git::entered;

/// Seconds a check-out gets at least, however long the fetch before it took.
const LEAST_CHECK_OUT_SECS: u64 = 10;

/// Checks a commit out. Leans on the whole guard.
pub(super) fn check_out(git: &GitUpdate, way: Way) -> String {
    let steps = match way {
        Way::Forward => [LOCKS, FORWARD, FETCH_FIRST, CHANGE_FORWARD],
        Way::Back => [LOCKS, BACK, FETCH_FIRST, CHANGE_BACK],
    };
    format!("least={LEAST_CHECK_OUT_SECS}\n{}{}", entered(git), steps.concat())
}

/// Lock files of a git that was killed stand in the way of every other. They go only while we hold the host's lock and no
/// git is at work in the checkout; the list of them is made first, since making it takes a git of our own. `half_way` notes
/// that the tree is about to be touched, until it is whole again.
const LOCKS: &str = "\
at_work() (
  for process in /proc/[0-9]*; do
    { read -r name <\"$process/comm\"; } 2>/dev/null || continue
    case $name in git|git-*) ;; *) continue ;; esac
    case $(readlink \"$process/cwd\" 2>/dev/null)/ in \"$here\"/*) exit 0 ;; esac
  done
  exit 1
)
lock_files() {
  printf '%s\\n' \"$gitdir/index.lock\" \"$gitdir/HEAD.lock\"
  common=$(g rev-parse --git-common-dir 2>/dev/null)
  printf '%s\\n' \"$common/packed-refs.lock\" \"$common/shallow.lock\" \"$common/config.lock\" \"$common/refs/remotes/origin/$branch.lock\"
  find \"$gitdir/modules\" -name index.lock -o -name HEAD.lock -o -name shallow.lock 2>/dev/null
}
clear_locks() {
  files=$(lock_files)
  printf '%s\\n' \"$files\" | while IFS= read -r file; do
    [ -e \"$file\" ] || continue
    at_work && exit 1
    [ \"$lock\" = 0 ] || { rm -f \"$file\" && remark removed \"${file##*/}\"; } || :
  done
}
half_way() { echo \"$target\" 2>/dev/null >\"$half.next\" && mv -f \"$half.next\" \"$half\" 2>/dev/null; }
clear_locks || refuse at-work
";

/// Everything that must be so before the tree is touched. What this very check-out left when it was cut off is no person's
/// work.
const FORWARD: &str = "\
force= made=
{ read -r made <\"$half\"; } 2>/dev/null
[ \"$made\" != \"$target\" ] || { resumed=1; force=--force; }
[ \"$head\" = \"$previous\" ] || [ \"$head\" = \"$target\" ] || refuse moved \"$head\"
before=$(changes 2>/dev/null) || refuse git \"$(changes 2>&1 | complaint)\"
if [ -z \"$resumed\" ]; then
  sign=$(under_way) && refuse under-way \"$sign\"
  if [ -n \"$before\" ]; then
    [ -z \"$made\" ] || refuse half
    noted || refuse dirty \"$(named \"$before\")\"
    force=--force
  fi
fi
wanted=$target
";

/// The way back needs no remote: what was there is there still. What a cut-off check-out had written is taken away with it,
/// by way of the index.
const BACK: &str = "\
resumed=1 force=--force made=
{ read -r made <\"$half\"; } 2>/dev/null
case $made in *[!0-9a-f]*) made= ;; esac
wanted=$previous
";

/// Only what is not there is fetched; no file of the tree is changed by it.
const FETCH_FIRST: &str = "\
export place branch here wanted force made
began=$(date +%s)
if ! has \"$wanted^{commit}\"; then
  has_remote || refuse no-remote
  run sh -c \"$words\"'
alone
quick=
fetch \"$wanted\"'
  [ \"$ended\" = 0 ] || clear_locks
  case $ended in
    0) ;;
    3) refuse no-commit ;;
    124|137) refuse slow-remote \"$limit\" ;;
    *) refuse silent-remote \"$(complaint <\"$kept\")\" ;;
  esac
  [ \"$kept\" = /dev/null ] || rm -f \"$kept\"
fi
took=$(($(date +%s) - began))
[ \"$took\" -le 0 ] || limit=$((limit - took))
[ \"$limit\" -ge \"$least\" ] || limit=$least
";

/// Git refuses as a whole what it can foresee, and says `Aborting`; nothing was changed then.
const CHANGE_FORWARD: &str = "\
half_way || refuse no-space \"$gitdir\"
run sh -c \"$words\"'
alone
quick=
g checkout --quiet $force --detach \"$wanted\" && submodules \"$wanted\" $force'
clear_locks
now=$(g rev-parse HEAD 2>/dev/null)
if [ \"$ended\" = 0 ] && [ \"$now\" = \"$target\" ]; then
  rm -f \"$half\" \"$leavings\"
elif [ \"$ended\" = 0 ]; then
  conclude broken elsewhere \"$now\"
elif [ -z \"$resumed\" ] && [ \"$now\" = \"$head\" ] && grep -q '^Aborting' \"$kept\" && after=$(changes 2>/dev/null) && [ \"$after\" = \"$before\" ]; then
  rm -f \"$half\"
  refuse aborted \"$(complaint <\"$kept\")\"
fi
";

/// Where nothing was changed, nothing is: on a full disk even that would fail.
const CHANGE_BACK: &str = "\
if [ \"$head\" != \"$previous\" ] || [ -e \"$half\" ] || ! before=$(changes 2>/dev/null) || [ -n \"$before\" ]; then
  half_way
  run sh -c \"$words\"'
alone
quick=
[ -z \"$made\" ] || ! has \"$made^{tree}\" || g read-tree \"$made\"
g checkout --quiet --force --detach \"$wanted\" && submodules \"$wanted\" --force'
  clear_locks
  now=$(g rev-parse HEAD 2>/dev/null)
  if [ \"$ended\" = 0 ] && [ \"$now\" = \"$previous\" ]; then
    rm -f \"$half\" \"$leavings\"
  elif [ \"$ended\" = 0 ]; then
    conclude broken elsewhere \"$now\"
  fi
fi
";
