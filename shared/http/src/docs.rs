//! The description, for programs and for people.

use std::sync::LazyLock;

use axum::http::Method;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};

use crate::openapi;
use crate::operation::{Access, Given, JSON, Operation};

/// The page loads its own script and style, and asks for the description; nothing else, from nowhere else.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
                      frame-ancestors 'none'; base-uri 'none'; form-action 'none'";
/// A new version of the program is seen within this time.
const KEPT: &str = "max-age=300";

const PAGE: &str = include_str!("docs/page.html");
const SCRIPT: &str = include_str!("docs/page.js");
const STYLE: &str = include_str!("docs/page.css");

/// It never changes while the process lives.
static DESCRIPTION: LazyLock<String> = LazyLock::new(|| openapi::description().to_string());

/// The rows of the table.
pub(crate) fn operations() -> Vec<Operation> {
    let described = |path, id, summary, answers| Operation {
        method: Method::GET,
        path,
        id,
        tag: "docs",
        summary,
        description: "",
        access: Access::Anyone,
        params: &[],
        body: None,
        answers,
        problems: &[],
        route: MethodRouter::new(),
    };
    let json: &[Given] = &[Given { status: 200, says: "The description.", media: JSON, schema: "" }];
    let page: &[Given] = &[Given { status: 200, says: "The page.", media: "text/html", schema: "" }];
    let script: &[Given] =
        &[Given { status: 200, says: "The script.", media: "text/javascript", schema: "" }];
    let style: &[Given] = &[Given { status: 200, says: "The style.", media: "text/css", schema: "" }];
    vec![
        Operation {
            route: get(|| async { given(JSON, &DESCRIPTION) }),
            ..described("/openapi.json", "openapi", "This description, as OpenAPI 3.1", json)
        },
        Operation {
            route: get(|| async { given("text/html; charset=utf-8", PAGE) }),
            ..described("/docs", "docs", "This description, as a page", page)
        },
        Operation {
            route: get(|| async { given("text/javascript; charset=utf-8", SCRIPT) }),
            ..described("/docs/page.js", "docs_script", "The page's script", script)
        },
        Operation {
            route: get(|| async { given("text/css; charset=utf-8", STYLE) }),
            ..described("/docs/page.css", "docs_style", "The page's style", style)
        },
    ]
}

fn given(media: &'static str, text: &'static str) -> Response {
    ([(CONTENT_TYPE, media), (CACHE_CONTROL, KEPT), (CONTENT_SECURITY_POLICY, POLICY)], text).into_response()
}
