//! What a writer expects to find: `If-Match` and `If-None-Match`.

use std::sync::Arc;

use axum::http::HeaderMap;
use axum::http::header::{IF_MATCH as IF_MATCH_HEADER, IF_NONE_MATCH};
use lamplighter_core::ServiceId;
use lamplighter_store::Expected;

use crate::problem::Problem;
use crate::visit::Visit;

/// The versions that `If-Match` names.
pub(crate) enum Named {
    /// Whatever is there, but something.
    Anything,
    /// One of these.
    Versions(Arc<[u64]>),
}

impl Named {
    /// True if a thing of this version will do.
    pub(crate) fn contains(&self, version: u64) -> bool {
        match self {
            Named::Anything => true,
            Named::Versions(versions) => versions.contains(&version),
        }
    }
}

/// Reads `If-Match`. A tag that is none of ours names no version, so it never matches.
pub(crate) fn matches(headers: &HeaderMap) -> Result<Option<Named>, Problem> {
    let Some(value) = headers.get(IF_MATCH_HEADER) else { return Ok(None) };
    let text = value
        .to_str()
        .map_err(|_| Problem::bad("`If-Match` cannot be read", "send the `ETag` as it came"))?;
    if text.trim() == "*" {
        return Ok(Some(Named::Anything));
    }
    Ok(Some(Named::Versions(versions(text))))
}

/// The versions in a list of tags.
pub(crate) fn versions(text: &str) -> Arc<[u64]> {
    text.split(',').filter_map(|tag| tag.trim().strip_prefix('"')?.strip_suffix('"')?.parse().ok()).collect()
}

/// What a `PUT` expects to find.
pub(crate) async fn expectation(
    visit: &Visit,
    id: &ServiceId,
    headers: &HeaderMap,
) -> Result<Expected, Problem> {
    let only_new = headers.get(IF_NONE_MATCH).map(|value| value.as_bytes().trim_ascii() == b"*");
    match (matches(headers)?, only_new) {
        (None, None) => Ok(Expected::Any),
        (None, Some(true)) => Ok(Expected::Absent),
        (_, Some(false)) => {
            Err(Problem::bad("`If-None-Match` takes only `*` here", "send `*`, or use `If-Match`"))
        }
        (Some(_), Some(true)) => {
            Err(Problem::bad("`If-Match` and `If-None-Match: *` contradict each other", "send one of them"))
        }
        (Some(named), None) => {
            let there = visit.store().load_service(id).await?;
            let version = there.map(|placed| placed.spec_version).filter(|version| named.contains(*version));
            version.map(Expected::Version).ok_or_else(|| Problem::stale("the spec"))
        }
    }
}
