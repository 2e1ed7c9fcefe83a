//! Reads bodies: bounded, JSON only, and refused with the place and the reason.

use axum::body::to_bytes;
use axum::extract::{FromRequest, Request};
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::problem::{Kind, Problem};

/// Largest body that is read.
pub(crate) const BODY_BYTES_MAX: usize = 256 * 1_024;

/// A body within the limit, not yet understood.
pub(crate) struct Body {
    /// As it came.
    pub(crate) bytes: Bytes,
    is_json: bool,
}

impl<S: Send + Sync> FromRequest<S> for Body {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let announced =
            request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        if announced.is_some_and(|length: usize| length > BODY_BYTES_MAX) {
            return Err(too_large());
        }
        let is_json = is_json(request.headers());
        // A body that breaks off is as little of use as one that is too large, and nobody is left to be told of it.
        let bytes = to_bytes(request.into_body(), BODY_BYTES_MAX).await.map_err(|_| too_large())?;
        Ok(Body { bytes, is_json })
    }
}

impl Body {
    /// The body as a `T`.
    pub(crate) fn read<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        if self.bytes.is_empty() {
            return Err(Problem::bad("the body is empty", "send a JSON object; `/docs` shows an example"));
        }
        self.must_be_json()?;
        let mut json = serde_json::Deserializer::from_slice(&self.bytes);
        let read = serde_path_to_error::deserialize(&mut json).map_err(|error| {
            let path = error.path().to_string();
            misread(&path, &error.into_inner())
        })?;
        json.end().map_err(|error| misread(".", &error))?;
        Ok(read)
    }

    /// The body as a `T`, or a default if there is none.
    pub(crate) fn read_or_default<T: DeserializeOwned + Default>(&self) -> Result<T, Problem> {
        if self.bytes.is_empty() { Ok(T::default()) } else { self.read() }
    }

    fn must_be_json(&self) -> Result<(), Problem> {
        if self.is_json {
            return Ok(());
        }
        let hint = "send JSON, and `Content-Type: application/json`";
        Err(Problem::new(Kind::UnsupportedMediaType, "the body's `Content-Type` is not JSON", hint))
    }
}

/// A JSON value as a `T`; `what` is what the path of an error begins with.
pub(crate) fn understand<T: DeserializeOwned>(value: Value) -> Result<T, Problem> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().to_string();
        misread(&path, &error.into_inner())
    })
}

/// Applies an RFC 7396 merge patch.
pub(crate) fn merge(target: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = Value::Object(serde_json::Map::new());
    }
    let Value::Object(members) = target else { return };
    for (name, value) in patch {
        match value {
            Value::Null => drop(members.remove(&name)),
            Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => {
                merge(members.entry(name).or_insert(Value::Null), value);
            }
        }
    }
}

fn misread(path: &str, error: &serde_json::Error) -> Problem {
    let reason = error.to_string();
    let detail = match path {
        "." | "" | "?" => reason,
        path => format!("`{path}`: {reason}"),
    };
    let hint = match error.classify() {
        serde_json::error::Category::Syntax | serde_json::error::Category::Eof => {
            "this is not JSON; look at the line and column named"
        }
        serde_json::error::Category::Data => {
            "the fields and their forms are listed at `/docs`; unknown ones are refused"
        }
        serde_json::error::Category::Io => "send the request again",
    };
    Problem::bad(lamplighter_core::sight::one_line(&detail, 400), hint)
}

fn too_large() -> Problem {
    let detail = format!("a body is at most {} KiB", BODY_BYTES_MAX / 1_024);
    Problem::new(Kind::TooLarge, detail, "send less at once")
}

fn is_json(headers: &HeaderMap) -> bool {
    let Some(kind) = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()) else { return false };
    let essence = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_merge_patch_does_what_rfc_7396_says() {
        for (mut target, patch, merged) in [
            (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "b"}), json!({"b": "c"}), json!({"a": "b", "b": "c"})),
            (json!({"a": "b"}), json!({"a": null}), json!({})),
            (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "c"}), json!({"a": ["b"]}), json!({"a": ["b"]})),
            (json!({"a": {"b": "c"}}), json!({"a": {"b": "d", "c": null}}), json!({"a": {"b": "d"}})),
            (json!(["a", "b"]), json!(["c", "d"]), json!(["c", "d"])),
            (json!({"a": "foo"}), json!(null), json!(null)),
            (json!({"e": null}), json!({"a": 1}), json!({"e": null, "a": 1})),
            (json!([1, 2]), json!({"a": "b", "c": null}), json!({"a": "b"})),
            (json!({}), json!({"a": {"bb": {"ccc": null}}}), json!({"a": {"bb": {}}})),
        ] {
            merge(&mut target, patch);
            assert_eq!(target, merged);
        }
    }
}
