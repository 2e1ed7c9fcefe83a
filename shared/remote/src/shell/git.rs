//! A git checkout on a host: what is there, what its remote has, and the words to change it with.
//!
//! The checkout is the host's own: its credentials, its filters, its configuration serve. What could run something of the
//! repository's, hooks and the file system monitor, is off, and nobody is asked for a password.

use lamplighter_core::update::{GitUpdate, Wanted};

use super::quoted;

/// Seconds a question to a checkout may take: a status of a large tree on a slow disk.
const LOCAL_SECS: u64 = 20;

/// Goes to the checkout and makes the words that all git scripts speak. Leans on `refuse` and `clean`.
pub(super) fn entered(git: &GitUpdate) -> String {
    format!(
        "place={dir}\nbranch={branch}\nlocal={LOCAL_SECS}\nwords={words}\n{ENTER}",
        dir = quoted(&git.dir),
        branch = quoted(&git.branch),
        words = quoted(WORDS),
    )
}

/// `quick` holds questions to the checkout alone to a limit. A repository around the checkout is never taken for it, and
/// the environment of a login that sits in another one does not count.
const ENTER: &str = "\
cd \"$place\" 2>/dev/null || refuse no-dir
[ -e .git ] || refuse no-checkout
command -v git >/dev/null 2>&1 || refuse no-git
here=$(pwd -P)
eval \"$words\"
alone
quick=
command -v timeout >/dev/null 2>&1 && quick=\"timeout -k 5 $local\"
gitdir=$(g rev-parse --absolute-git-dir 2>/dev/null) && head=$(g rev-parse --verify 'HEAD^{commit}' 2>/dev/null) \\
  || refuse git \"$(g rev-parse --verify 'HEAD^{commit}' 2>&1 | complaint)\"
half=$gitdir/lamplighter-half
leavings=$gitdir/lamplighter-leavings
";

/// Spoken by the script itself and by what it runs under its limit. `fetch` brings a commit into the object store: by its
/// branch, which every remote serves, then by its hash. It fails with 3 if the remote answered and does not have it, with
/// 5 if it did not answer in the time that `quick` gives it, with 4 if it did not answer at all.
const WORDS: &str = "\
alone() {
  unset GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE GIT_OBJECT_DIRECTORY GIT_ALTERNATE_OBJECT_DIRECTORIES GIT_NAMESPACE
  export LC_ALL=C GIT_TERMINAL_PROMPT=0 GIT_OPTIONAL_LOCKS=0 SSH_ASKPASS=false SSH_ASKPASS_REQUIRE=force
  export GIT_CEILING_DIRECTORIES=\"${here%/*}\"
}
g() {
  $quick git -c core.hooksPath=/dev/null -c core.fsmonitor=false -c safe.directory=\"$here\" -c gc.auto=0 -c maintenance.auto=false \\
    -c submodule.recurse=false -c fetch.recurseSubmodules=false -c advice.detachedHead=false -c color.ui=false \"$@\" 9<&-
}
has() { ( export GIT_NO_LAZY_FETCH=1; g cat-file -e \"$1\" 2>/dev/null ); }
has_remote() { g config --get remote.origin.url >/dev/null 2>&1; }
fetch() {
  answered=0
  g fetch --no-tags origin \"+refs/heads/$branch:refs/remotes/origin/$branch\"
  case $? in 0) answered=1 ;; 124|137) return 5 ;; esac
  has \"$1^{commit}\" && return 0
  g fetch --no-tags origin \"$1\" && has \"$1^{commit}\" && return 0
  [ \"$answered\" = 1 ] || { g ls-remote origin HEAD >/dev/null 2>&1 && answered=1; }
  [ \"$answered\" = 0 ] || return 3
  return 4
}
submodules() {
  has \"$1:.gitmodules\" || return 0
  g submodule --quiet sync --recursive && g submodule --quiet update --init --recursive $2
}
changes() { g status --porcelain --untracked-files=no --ignore-submodules=untracked; }
sum_of_changes() {
  { g rev-parse HEAD; g diff HEAD --no-ext-diff --no-textconv --no-color --binary --ignore-submodules=untracked; } 2>/dev/null | g hash-object --stdin
}
noted() { [ -f \"$leavings\" ] && read -r sum <\"$leavings\" && [ -n \"$sum\" ] && [ \"$sum\" = \"$(sum_of_changes)\" ]; }
named() { echo \"$(printf '%s\\n' \"$1\" | grep -c .) $(printf '%s\\n' \"$1\" | cut -c 4- | head -n 3 | clean 200)\"; }
under_way() {
  for sign in MERGE_HEAD CHERRY_PICK_HEAD REVERT_HEAD BISECT_LOG rebase-merge rebase-apply; do
    [ -e \"$gitdir/$sign\" ] && { echo \"$sign\"; return 0; }
  done
  return 1
}
";

/// Asks what is checked out, and what would stand in the way of an update.
pub(super) fn standing(git: &GitUpdate) -> String {
    format!("{}{STANDING}", entered(git))
}

const STANDING: &str = "\
say version \"$head\"
if sign=$(under_way); then
  say obstacle under-way \"$sign\"
elif ! changed=$(changes 2>/dev/null); then
  say obstacle git \"$(changes 2>&1 | complaint)\"
elif [ -n \"$changed\" ] && [ -f \"$half\" ]; then
  say obstacle half
elif [ -n \"$changed\" ] && ! noted; then
  say obstacle dirty \"$(named \"$changed\")\"
elif ! has_remote; then
  say obstacle no-remote
fi
";

/// Asks the checkout's own remote for what is wanted, and brings a commit that is not there yet into the object store,
/// which changes no file of the tree.
pub(super) fn resolving(git: &GitUpdate, wanted: &Wanted) -> String {
    let (wanted, question) = match wanted {
        Wanted::Branch(branch) => (branch.as_str(), ASK_BRANCH),
        Wanted::Version(version) => (version.as_str(), ASK_VERSION),
    };
    format!("{}wanted={}\n{WITHIN}{question}", entered(git), quoted(wanted))
}

/// A remote that owes two answers gets a third of the time for each; the rest is the host's own.
const WITHIN: &str = "\
within() {
  far_secs=$((whole * $1 / 3))
  [ \"$far_secs\" -gt 0 ] || far_secs=1
  quick=
  command -v timeout >/dev/null 2>&1 && quick=\"timeout -k 5 $far_secs\"
}
";

const ASK_BRANCH: &str = "\
has_remote || refuse no-remote
within 2
said=$(g ls-remote --exit-code origin \"refs/heads/$wanted\" 2>&1)
case $? in
  0) say version \"$(printf '%s\\n' \"$said\" | grep -E '^[0-9a-f]{40,64}[[:space:]]refs/heads/' | head -n 1 | cut -f 1)\" ;;
  2) say unknown no-branch ;;
  124|137) refuse slow-remote \"$far_secs\" ;;
  *) refuse silent-remote \"$(printf '%s\\n' \"$said\" | complaint)\" ;;
esac
";

const ASK_VERSION: &str = "\
if ! has \"$wanted^{commit}\"; then
  has_remote || refuse no-remote
  within 1
  said=$(fetch \"$wanted\" 2>&1)
  case $? in
    0) ;;
    3) say unknown no-commit; say end; exit 0 ;;
    5) refuse slow-remote \"$far_secs\" ;;
    *) refuse silent-remote \"$(printf '%s\\n' \"$said\" | complaint)\" ;;
  esac
fi
say version \"$wanted\"
";

/// After a command of an update: notes what it changed in tracked files, a lock file say. The next update would else take
/// it for somebody's work.
pub(super) fn note_leavings(git: &GitUpdate) -> String {
    format!("( refuse() {{ exit 0; }}\n{}{NOTE_LEAVINGS})\n", entered(git))
}

const NOTE_LEAVINGS: &str = "\
[ \"$ended\" = 0 ] || exit 0
if [ -n \"$(changes 2>/dev/null)\" ]; then
  sum_of_changes >\"$leavings.next\" 2>/dev/null && mv -f \"$leavings.next\" \"$leavings\" 2>/dev/null
else
  rm -f \"$leavings\"
fi
";
