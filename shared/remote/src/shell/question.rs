//! Questions about what is there to be updated, and what could be brought. They change nothing, and take no lock.

use std::time::Duration;

use lamplighter_core::spec::{ServiceSpec, Update};
use lamplighter_core::update::{OwnUpdate, Wanted};

use super::guard::question_of;
use super::{CLEANING, KILL_AFTER_SECS, compose, git, quoted, script, supervisor};

/// Asks which version is there, which run of the service, and what stands in the way of an update.
///
/// The answer is lines of `lamplighter NONCE KEY …`, the last of which says `end`: `version TEXT`, `run TEXT`,
/// `obstacle CODE DETAIL`, `nothing CODE DETAIL`; of a container also `image TEXT` and `digest TEXT`.
pub(crate) fn standing(spec: &ServiceSpec, update: &Update, nonce: &str, limit: Duration) -> String {
    let (text, run) = match update {
        Update::Git(git) => (git::standing(git), question_of(spec)),
        Update::Docker(docker) => {
            let run = match supervisor(spec) {
                None => compose::run_question(docker),
                Some(_) => question_of(spec),
            };
            (compose::standing(docker), run)
        }
        Update::Own(own) => (own_version(own), question_of(spec)),
    };
    asking(&format!("{text}say run \"$({{ {run}; }} 2>/dev/null | head -n 1 | clean 64)\"\n"), nonce, limit)
}

/// Asks for an exact version. The answer is lines as of [`standing`]: `version TEXT`, `unknown CODE DETAIL` or
/// `nothing CODE DETAIL`. `None` if there is nobody to ask: an update by own commands takes any version.
pub(crate) fn resolving(update: &Update, wanted: &Wanted, nonce: &str, limit: Duration) -> Option<String> {
    let text = match (update, wanted) {
        (Update::Git(git), wanted) => git::resolving(git, wanted),
        (Update::Docker(docker), Wanted::Version(version)) => compose::resolving(docker, version),
        (Update::Docker(_), Wanted::Branch(_)) | (Update::Own(_), _) => return None,
    };
    Some(asking(&text, nonce, limit))
}

fn own_version(own: &OwnUpdate) -> String {
    let dir = own.dir.as_deref().map_or_else(|| "\"${HOME:-/}\"".to_owned(), quoted);
    format!(
        "cd {dir} 2>/dev/null || refuse no-dir\n\
         said=$(case $locale in =*) LC_ALL=${{locale#=}} ;; *) unset LC_ALL ;; esac; exec sh -c {command} 2>&1 </dev/null)\n\
         status=$?\n\
         [ \"$status\" = 0 ] || refuse version-failed \"$status $(printf '%s\\n' \"$said\" | complaint)\"\n\
         say version \"$(printf '%s\\n' \"$said\" | grep . | head -n 1 | clean 80)\"\n",
        command = quoted(own.version.as_str())
    )
}

/// A whole question: ended on the host, with its children, when nobody waits for the answer any more.
fn asking(text: &str, nonce: &str, limit: Duration) -> String {
    let secs = limit.as_secs().max(1);
    let inner = format!(
        "locale=${{LC_ALL+=$LC_ALL}}\n\
         whole={secs}\n\
         export LC_ALL=C\n\
         say() {{ printf '%s\\n' \"lamplighter {nonce} $*\"; }}\n\
         {CLEANING}\
         refuse() {{ say nothing \"$@\"; say end; exit 0; }}\n\
         {text}say end\n"
    );
    script(&format!(
        "set -- sh -c {inner}\n\
         command -v timeout >/dev/null 2>&1 && set -- timeout -k {KILL_AFTER_SECS} {secs} \"$@\"\n\
         exec \"$@\"",
        inner = quoted(&inner)
    ))
}
