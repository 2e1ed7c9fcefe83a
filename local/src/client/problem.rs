//! What the server says when it refuses (RFC 9457), as an exit status, a sentence and a hint.

use lamplighter_core::sight::one_line;
use reqwest::StatusCode;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use serde::Deserialize;

use super::wording;
use crate::exit::{Exit, Failure};

/// Most characters shown of one sentence of the server's.
const MAX_SHOWN_CHARS: usize = 500;

/// Most reasons shown of one problem; the server lists at most ten.
const MAX_REASONS: usize = 12;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Problem {
    title: Option<String>,
    detail: Option<String>,
    hint: Option<String>,
    reasons: Vec<String>,
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
    let mut said = match (problem.title, problem.detail) {
        (_, Some(detail)) => one_line(&wording::in_commands(&detail), MAX_SHOWN_CHARS),
        (Some(title), None) => one_line(&title, MAX_SHOWN_CHARS),
        (None, None) => format!("the server answered {} {reason}", status.as_u16()),
    };
    for reason in problem.reasons.iter().take(MAX_REASONS) {
        said.push_str(&format!("\n  - {}", one_line(reason, MAX_SHOWN_CHARS)));
    }
    let retry =
        headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()).filter(|value| value.len() <= 32);
    let usual = match status.as_u16() {
        401 => Some("give a token that is valid here with `--token-file`".to_owned()),
        403 => Some("this token may not do that; ask an admin for another".to_owned()),
        412 => Some("somebody changed it meanwhile: look again, then try again".to_owned()),
        429 | 503 => retry.map(|wait| format!("try again in {wait} s")),
        _ => None,
    };
    let hint = problem.hint.map(|hint| one_line(&wording::in_commands(&hint), MAX_SHOWN_CHARS)).or(usual);
    Failure { exit, what: said, hint }
}
