//! What the server says when it refuses (RFC 9457), as an exit status, a sentence and a hint.

use lamplighter_core::sight::one_line;
use reqwest::StatusCode;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use serde::Deserialize;

use crate::exit::{Exit, Failure};

/// Most characters shown of one sentence of the server's.
const MAX_SHOWN_CHARS: usize = 500;

/// Hints of the server that speak of HTTP, and the same for somebody at a command line. Others are shown as they are.
const IN_COMMANDS: [(&str, &str); 5] = [
    ("`GET` the list of services to see their ids", "`lamplighter services` lists them"),
    ("`GET …/why` says what the service is waiting for", "`lamplighter why ID` says what it waits for"),
    ("`GET …/tokens` lists them", "`lamplighter token list` lists them"),
    ("leave `go_on` out to sweep now", "`lamplighter sweep` without `--go-on` looks now"),
    (
        "send `Authorization: Bearer lamp_…` with a token of this env; `lamplighter token` makes one",
        "check `--env`, and give the file of a token of this env with `--token-file`",
    ),
];

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Problem {
    title: Option<String>,
    detail: Option<String>,
    hint: Option<String>,
}

/// What an answer that is no success means.
pub(super) fn failure(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Failure {
    let problem: Problem = serde_json::from_slice(body).unwrap_or_default();
    let exit = match status.as_u16() {
        400 | 422 => Exit::Usage,
        401 | 403 | 409 | 412 | 423 => Exit::Refused,
        502..=504 => Exit::Unreachable,
        _ => Exit::Failed,
    };
    let reason = status.canonical_reason().unwrap_or("an unknown status");
    let said = match (problem.title, problem.detail) {
        (_, Some(detail)) => one_line(&detail, MAX_SHOWN_CHARS),
        (Some(title), None) => one_line(&title, MAX_SHOWN_CHARS),
        (None, None) => format!("the server answered {} {reason}", status.as_u16()),
    };
    let retry =
        headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()).filter(|value| value.len() <= 32);
    let usual = match status.as_u16() {
        401 => Some("give a token that is valid here with `--token-file`".to_owned()),
        403 => Some("this token may not do that; ask an admin for another".to_owned()),
        412 => Some("somebody changed it meanwhile: look again, then try again".to_owned()),
        429 | 503 => retry.map(|wait| format!("try again in {wait} s")),
        _ => None,
    };
    let hint = problem.hint.map(|hint| in_commands(&hint)).or(usual);
    Failure { exit, what: said, hint }
}

fn in_commands(hint: &str) -> String {
    let known = IN_COMMANDS.iter().find(|(theirs, _)| *theirs == hint);
    known.map_or_else(|| one_line(hint, MAX_SHOWN_CHARS), |(_, ours)| (*ours).to_owned())
}
