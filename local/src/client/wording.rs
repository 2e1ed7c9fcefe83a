//! What the server says of HTTP, in the words of a command line.

/// What the server says, and the same for somebody who types commands. Anything else is shown as it is.
const IN_COMMANDS: [(&str, &str); 18] = [
    ("`GET` the list of services to see their ids", "`lamplighter services` lists them"),
    ("`GET …/why` says what the service is waiting for", "`lamplighter why ID` says what it waits for"),
    ("`GET …/tokens` lists them", "`lamplighter token list` lists them"),
    ("leave `go_on` out to sweep now", "`lamplighter sweep` without `--go-on` looks now"),
    (
        "send `Authorization: Bearer lamp_…` with a token of this env; `lamplighter token` makes one",
        "check `--env`, and give the file of a token of this env with `--token-file`",
    ),
    ("`GET` the list of rollouts to see their ids", "`lamplighter rollout list` shows them"),
    ("`GET` the rollout to see where it stands", "`lamplighter rollout show ID` says where it stands"),
    ("send `target`, a full commit hash, or `branch`", "give `--commit HASH`, in full, or `--branch NAME`"),
    ("send `force` with a reason", "say `--force REASON`"),
    ("say in `force` why it is right this time", "say why it is right this time: `--force REASON`"),
    ("plan anew, look at it, and start that plan", "`lamplighter rollout plan` shows how it would be now"),
    (
        "`GET …/services?app=…` shows how they are; mend them, then ask again",
        "`lamplighter services --app APP` shows how they are; mend them, then ask again",
    ),
    (
        "check the spelling: `GET` the list of services shows the `app` of each",
        "check the spelling: `lamplighter services` shows the app of each",
    ),
    ("is not what `If-Match` or `If-None-Match` expects", "has changed meanwhile"),
    ("`GET` it again, look at what changed, and send the new `ETag`", "look at it again, then try again"),
    ("options.at_once", "--at-once"),
    ("options.stages", "--stages"),
    ("options.soak", "--soak"),
];
/// Calls that name a rollout, and the commands that do the same.
const CALLS: [(&str, &str, &str); 4] = [
    ("`POST …/rollouts/", "/abort`", "abort"),
    ("`POST …/rollouts/", "/resume`", "resume"),
    ("`POST …/rollouts/", "/retry`", "retry"),
    ("`GET …/rollouts/", "`", "show"),
];

/// The sentence as it helps somebody at a command line.
pub(super) fn in_commands(sentence: &str) -> String {
    let mut said = sentence.to_owned();
    for (theirs, ours) in IN_COMMANDS {
        said = said.replace(theirs, ours);
    }
    for (begins, ends, verb) in CALLS {
        said = replaced(&said, begins, ends, verb);
    }
    said
}

/// `begins` ID `ends` as a command with that ID, wherever it occurs.
fn replaced(text: &str, begins: &str, ends: &str, verb: &str) -> String {
    let mut said = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(begins) {
        said.push_str(before);
        match after.split_once(ends) {
            Some((id, after)) if !id.contains(['`', '/', ' ']) => {
                said.push_str(&format!("`lamplighter rollout {verb} {id}`"));
                rest = after;
            }
            Some(_) | None => {
                said.push_str(begins);
                rest = after;
            }
        }
    }
    said.push_str(rest);
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_speaks_of_commands_where_the_server_speaks_of_calls() {
        assert_eq!(
            in_commands("wait for it, or `POST …/rollouts/shop-3/abort`; `GET …/rollouts/shop-3` shows it"),
            "wait for it, or `lamplighter rollout abort shop-3`; `lamplighter rollout show shop-3` shows it"
        );
        assert_eq!(in_commands("`GET …/tokens` lists them"), "`lamplighter token list` lists them");
        for plain in ["wait for its end", "`GET …/rollouts/", "`POST …/rollouts/a b/abort`"] {
            assert_eq!(in_commands(plain), plain);
        }
    }
}
