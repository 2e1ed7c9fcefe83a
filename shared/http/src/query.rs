//! Reads paths and query strings: what is not understood is refused, never ignored.

use std::collections::BTreeMap;

use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::request::Parts;
use lamplighter_core::ServiceId;

use crate::problem::{Kind, Problem};

/// Items of a page if nothing is said.
const LIMIT_DEFAULT: usize = 100;
/// Most items of a page.
pub(crate) const LIMIT_MAX: usize = 500;
/// Longest value of a parameter, in bytes.
const VALUE_BYTES_MAX: usize = 512;

/// The service a path names.
pub(crate) struct Id(pub(crate) ServiceId);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let id: Result<ServiceId, _> = path_text(parts, state, "id").await?.parse();
        id.map(Id).map_err(|error| Problem::bad(error.to_string(), "check the id in the path"))
    }
}

/// The value of `{name}` in the path.
pub(crate) async fn path_text<S: Send + Sync>(
    parts: &mut Parts,
    state: &S,
    name: &str,
) -> Result<String, Problem> {
    let params = RawPathParams::from_request_parts(parts, state).await;
    let found = params
        .ok()
        .and_then(|params| params.iter().find(|(key, _)| *key == name).map(|(_, value)| value.to_owned()));
    found.ok_or_else(|| {
        Problem::new(Kind::NotFound, "the path cannot be read", "`/docs` lists the paths there are")
    })
}

/// The query string, read once and taken apart by name.
pub(crate) struct Asked(BTreeMap<String, String>);

impl<S: Send + Sync> FromRequestParts<S> for Asked {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let hint = "write the query as `name=value&name=value`, percent-encoded";
        let pairs = axum::extract::Query::<Vec<(String, String)>>::from_request_parts(parts, state).await;
        let pairs = pairs.map_err(|_| Problem::bad("the query string cannot be read", hint))?.0;
        let mut asked = BTreeMap::new();
        for (name, value) in pairs {
            if value.len() > VALUE_BYTES_MAX {
                let detail = format!("`{}` is longer than {VALUE_BYTES_MAX} bytes", quoted(&name));
                return Err(Problem::bad(detail, "send less"));
            }
            if asked.insert(name.clone(), value).is_some() {
                return Err(Problem::bad(format!("`{}` is given twice", quoted(&name)), "give it once"));
            }
        }
        Ok(Asked(asked))
    }
}

impl Asked {
    /// Takes the parameter `name`; empty counts as absent.
    pub(crate) fn take(&mut self, name: &str) -> Option<String> {
        self.0.remove(name).filter(|value| !value.is_empty())
    }

    /// Takes the page's size.
    pub(crate) fn limit(&mut self) -> Result<usize, Problem> {
        let Some(text) = self.take("limit") else { return Ok(LIMIT_DEFAULT) };
        let limit = text.parse().ok().filter(|limit| (1..=LIMIT_MAX).contains(limit));
        limit.ok_or_else(|| {
            Problem::bad(
                format!("`limit={}` is not a page size", quoted(&text)),
                format!("choose from 1 to {LIMIT_MAX}"),
            )
        })
    }

    /// Refuses whatever was not taken: a misspelt filter that is ignored would list everything.
    pub(crate) fn nothing_else(self, known: &str) -> Result<(), Problem> {
        match self.0.first_key_value() {
            None => Ok(()),
            Some((name, _)) => Err(Problem::bad(
                format!("there is no parameter `{}`", quoted(name)),
                format!("there are: {known}"),
            )),
        }
    }
}

/// Text of a stranger's, safe and short enough for a message.
pub(crate) fn quoted(text: &str) -> String {
    lamplighter_core::sight::one_line(text, 60)
}

/// `text` as a value of a query string.
pub(crate) fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
        out
    })
}
