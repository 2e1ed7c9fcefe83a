//! What the body of a call asks for. It is signed, and hostile all the same: whoever may push may write most of it.

use std::borrow::Cow;

use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use lamplighter_core::Version;
use lamplighter_core::hook::{Ask, Hook, HookKind};
use lamplighter_core::sight::one_line;
use serde::Deserialize;
use serde_json::Value;

use crate::query::quoted;

/// Longest name of an event that is kept, in characters.
const EVENT_CHARS: usize = 64;
/// What stands before a branch's name in a `ref`.
const HEADS: &str = "refs/heads/";

/// What a call comes to.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Read {
    /// What the sender calls what happened.
    pub(super) event: String,
    /// What is asked for, or why nothing is.
    pub(super) asks: Result<Ask, String>,
}

/// Reads the body of a call. `event` is what its headers say has happened.
///
/// # Errors
/// Why it cannot be understood.
pub(super) fn read(
    hook: &Hook,
    event: Option<&str>,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Read, String> {
    match hook.kind {
        HookKind::Github => {
            let event = event.unwrap_or_default();
            Ok(Read { event: event.to_owned(), asks: github(hook, event, headers, body)? })
        }
        HookKind::Standard => standard(hook, body),
    }
}

/// A push as GitHub tells it.
#[derive(Deserialize)]
struct GithubPush {
    #[serde(rename = "ref")]
    reference: String,
    after: String,
    #[serde(default)]
    deleted: bool,
    repository: Repository,
}

#[derive(Deserialize)]
struct Repository {
    full_name: String,
}

fn github(hook: &Hook, event: &str, headers: &HeaderMap, body: &[u8]) -> Result<Result<Ask, String>, String> {
    match event {
        "push" => {}
        "ping" => return Ok(Err("is a ping: the hook works".to_owned())),
        other => return Ok(Err(format!("asks for nothing: `{}` is not a push", quoted(other)))),
    }
    let json = match is_form(headers) {
        true => Cow::Owned(payload_of_form(body).ok_or("the form has no `payload`")?),
        false => Cow::Borrowed(body),
    };
    let push: GithubPush = serde_json::from_slice(&json).map_err(|error| unreadable(&error))?;
    let wanted = hook.repository.as_deref().unwrap_or_default();
    if !push.repository.full_name.eq_ignore_ascii_case(wanted) {
        let other = quoted(&push.repository.full_name);
        return Ok(Err(format!("asks for nothing: it is about `{other}`, the hook is for `{wanted}`")));
    }
    let Some(branch) = push.reference.strip_prefix(HEADS) else {
        return Ok(Err(format!("asks for nothing: `{}` is not a branch", quoted(&push.reference))));
    };
    if push.deleted || is_nothing(&push.after) {
        return Ok(Err(format!("asks for nothing: the branch `{}` was deleted", quoted(branch))));
    }
    rollout(hook, branch, &push.after)
}

/// A push as anybody tells it, at the top of the body or under `data`.
#[derive(Deserialize)]
struct StandardPush {
    #[serde(default)]
    app: Option<String>,
    #[serde(default)]
    repository: Option<String>,
    #[serde(default, rename = "ref")]
    reference: Option<String>,
    #[serde(default)]
    branch: Option<String>,
    #[serde(default)]
    after: Option<String>,
    #[serde(default)]
    commit: Option<String>,
}

fn standard(hook: &Hook, body: &[u8]) -> Result<Read, String> {
    let mut body: Value = serde_json::from_slice(body).map_err(|error| unreadable(&error))?;
    let event = body["type"].as_str().map_or_else(|| "push".to_owned(), |event| one_line(event, EVENT_CHARS));
    let inner = match body.get_mut("data") {
        Some(data @ Value::Object(_)) => data.take(),
        Some(_) | None => body,
    };
    let push: StandardPush = serde_json::from_value(inner).map_err(|error| unreadable(&error))?;
    Ok(Read { event, asks: standard_push(hook, &push)? })
}

fn standard_push(hook: &Hook, push: &StandardPush) -> Result<Result<Ask, String>, String> {
    let nothing = |why: String| Ok(Err(format!("asks for nothing: {why}")));
    if let Some(app) = push.app.as_deref().filter(|app| *app != hook.app.as_str()) {
        return nothing(format!("it is about the app `{}`, the hook is for `{}`", quoted(app), hook.app));
    }
    if let Some(wanted) = &hook.repository {
        match &push.repository {
            Some(told) if told.eq_ignore_ascii_case(wanted) => {}
            Some(told) => {
                return nothing(format!("it is about `{}`, the hook is for `{wanted}`", quoted(told)));
            }
            None => return nothing(format!("it names no `repository`, and the hook is for `{wanted}`")),
        }
    }
    let Some(commit) = push.after.as_deref().or(push.commit.as_deref()) else {
        return nothing("it names no commit".to_owned());
    };
    if is_nothing(commit) {
        return nothing("the branch was deleted".to_owned());
    }
    let branch = match (push.reference.as_deref(), push.branch.as_deref()) {
        (Some(reference), _) => match reference.strip_prefix(HEADS) {
            Some(branch) => branch,
            None if reference.starts_with("refs/") => {
                return nothing(format!("`{}` is not a branch", quoted(reference)));
            }
            None => reference,
        },
        (None, Some(branch)) => branch,
        (None, None) => &hook.branch,
    };
    rollout(hook, branch, commit)
}

fn rollout(hook: &Hook, branch: &str, commit: &str) -> Result<Result<Ask, String>, String> {
    if branch != hook.branch {
        let other = quoted(branch);
        return Ok(Err(format!("asks for nothing: it is of `{other}`, the hook follows `{}`", hook.branch)));
    }
    let target: Version =
        commit.parse().map_err(|error: lamplighter_core::name::BadName| error.to_string())?;
    Ok(Ok(Ask::Rollout { app: hook.app.clone(), target, branch: branch.to_owned() }))
}

/// The commit that stands for none.
fn is_nothing(commit: &str) -> bool {
    !commit.is_empty() && commit.bytes().all(|byte| byte == b'0')
}

fn is_form(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.trim().to_ascii_lowercase().starts_with("application/x-www-form-urlencoded")
}

/// The JSON in a form: what GitHub sends unless told to send JSON.
fn payload_of_form(body: &[u8]) -> Option<Vec<u8>> {
    let encoded = body.split(|byte| *byte == b'&').find_map(|pair| pair.strip_prefix(b"payload="))?;
    let mut decoded = Vec::with_capacity(encoded.len());
    let mut bytes = encoded.iter();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [*bytes.next()?, *bytes.next()?];
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            plain => *plain,
        });
    }
    Some(decoded)
}

fn unreadable(error: &serde_json::Error) -> String {
    one_line(&format!("the body is not a push that can be read: {error}"), 200)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const SHA: &str = "0123456789abcdef0123456789abcdef01234567";

    fn hook(kind: &str) -> Hook {
        serde_json::from_value(json!({
            "kind": kind, "secret": "file:x", "app": "shop",
            "repository": if kind == "github" { json!("acme/shop") } else { Value::Null },
        }))
        .unwrap()
    }

    fn asked(kind: &str, event: &str, body: &Value) -> Result<Result<String, String>, String> {
        let body = body.to_string();
        let read = read(&hook(kind), Some(event), &HeaderMap::new(), body.as_bytes())?;
        Ok(read.asks.map(|Ask::Rollout { app, target, branch }| format!("{app} {branch} {}", target.short())))
    }

    fn pushed(reference: &str, after: &str, repository: &str) -> Value {
        json!({"ref": reference, "after": after, "repository": {"full_name": repository}})
    }

    #[test]
    fn a_push_to_the_hooks_branch_of_its_repository_asks_for_a_rollout() {
        let push = pushed("refs/heads/main", SHA, "Acme/Shop");
        assert_eq!(asked("github", "push", &push).unwrap().unwrap(), "shop main 0123456");
        for body in [
            json!({"ref": "refs/heads/main", "after": SHA}),
            json!({"branch": "main", "commit": SHA}),
            json!({"app": "shop", "commit": SHA}),
            json!({"type": "deploy", "timestamp": "2026-01-02T02:30:00Z", "data": {"ref": "main", "commit": SHA}}),
        ] {
            assert_eq!(asked("standard", "", &body).unwrap().unwrap(), "shop main 0123456", "{body}");
        }
    }

    #[test]
    fn what_is_not_the_hooks_business_is_nothing_to_do() {
        let zeros = "0".repeat(40);
        for (event, body) in [
            ("ping", json!({"zen": "Keep it logically awesome."})),
            ("issues", json!({})),
            ("push", pushed("refs/heads/next", SHA, "acme/shop")),
            ("push", pushed("refs/tags/v1", SHA, "acme/shop")),
            ("push", pushed("refs/heads/main", SHA, "acme/other")),
            ("push", pushed("refs/heads/main", &zeros, "acme/shop")),
        ] {
            assert!(asked("github", event, &body).unwrap().is_err(), "{event} {body}");
        }
        for body in [
            json!({"app": "other", "commit": SHA}),
            json!({"ref": "refs/tags/v1", "commit": SHA}),
            json!({"branch": "next", "commit": SHA}),
            json!({"commit": zeros}),
            json!({"type": "invoice.paid"}),
        ] {
            assert!(asked("standard", "", &body).unwrap().is_err(), "{body}");
        }
        let mut of_repository = hook("standard");
        of_repository.repository = Some("acme/shop".to_owned());
        let unsaid =
            read(&of_repository, None, &HeaderMap::new(), json!({"commit": SHA}).to_string().as_bytes());
        assert!(unsaid.unwrap().asks.is_err());
    }

    #[test]
    fn what_cannot_be_understood_is_said_so() {
        for after in ["0123456", "main", "--upload-pack=x", &SHA.to_uppercase(), ""] {
            assert!(
                asked("github", "push", &pushed("refs/heads/main", after, "acme/shop")).is_err(),
                "{after}"
            );
            assert!(asked("standard", "", &json!({"commit": after})).is_err(), "{after}");
        }
        assert!(asked("github", "push", &json!({})).is_err());
        assert!(asked("github", "push", &json!("main")).is_err());
        assert!(asked("standard", "", &json!([1])).is_err());
        assert!(read(&hook("standard"), None, &HeaderMap::new(), b"\xff{").is_err());
    }

    #[test]
    fn github_may_send_its_json_in_a_form() {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, "application/x-www-form-urlencoded".parse().unwrap());
        let push = pushed("refs/heads/main", SHA, "acme/shop").to_string();
        let body = format!("payload={}&x=1", crate::query::encoded(&push));
        let said = read(&hook("github"), Some("push"), &headers, body.as_bytes()).unwrap();
        assert!(said.asks.is_ok());
        for bad in ["x=1", "payload=%", "payload=%zz", "payload="] {
            assert!(read(&hook("github"), Some("push"), &headers, bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
