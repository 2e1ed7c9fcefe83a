//! Talks HTTP to either home.
//!
//! Every call has a deadline and every answer a limit; problems of the server are shown in its own words, with its hint.

mod named;
mod problem;
mod wording;

use std::time::Duration;

use lamplighter_core::EnvName;
use lamplighter_notify::Secret;
use reqwest::header::{ETAG, HeaderMap, HeaderValue};
use reqwest::{Method, StatusCode, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::cli::Global;
use crate::context::Context;
use crate::exit::{Exit, Failure};
use crate::say;

/// Longest a connection may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// Longest a call may take: a restart with its settling and looks fits, a sweep of a minute too.
const CALL_LIMIT: Duration = Duration::from_secs(120);
/// Largest answer read, in bytes: a page of the largest lists is a tenth of it.
const MAX_ANSWER_BYTES: usize = 8 * 1024 * 1024;
/// Items asked for in one page.
const PAGE_ITEMS: &str = "500";
/// Most pages of one list: twice what the largest env needs.
const MAX_PAGES: usize = 100;

/// A server, one environment of it, and the right to talk to it.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    base: Url,
    env: EnvName,
    token: Option<Secret>,
}

/// What a write expects to find.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expect {
    /// Whatever there is.
    Anything,
    /// Nothing: it is new.
    Nothing,
    /// Exactly the version with this entity tag.
    Tag(String),
}

/// An answer of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer<T> {
    /// What it says.
    pub body: T,
    /// Which version that is.
    pub etag: Option<String>,
}

/// One page of a list.
#[derive(Debug, serde::Deserialize)]
pub struct Page {
    /// What is on it.
    pub items: Vec<Value>,
    /// Where to go on.
    #[serde(default)]
    pub next: Option<String>,
}

/// A name as one part of a path, whatever was typed.
#[must_use]
pub fn path_part(name: &str) -> String {
    let escaped = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    name.bytes().map(escaped).collect()
}

impl Client {
    /// The server that the command line or the saved context names. Nothing is sent yet.
    ///
    /// # Errors
    /// If none is named, or its token file cannot be used.
    pub fn new(global: &Global) -> Result<Self, Failure> {
        let context = Context::of(global)?;
        let no_server = || {
            Failure::new(Exit::Usage, "no server is named")
                .hint("give `--url http://127.0.0.1:8080`, or save one: `lamplighter context save --url …`")
        };
        let written = context.url.ok_or_else(no_server)?;
        let base = named::base_url(&written)?;
        let no_env = || {
            Failure::new(Exit::Usage, "no environment is named")
                .hint("give `--env prod`, or save one: `lamplighter context save --env prod`")
        };
        let env = context.env.ok_or_else(no_env)?;
        let token = context.token_file.as_deref().map(named::read_token).transpose()?;
        if token.is_some() && base.scheme() == "http" && !named::is_this_machine(&base) {
            say::note("warning: the token travels unencrypted; use `https://`");
        }
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_LIMIT)
            .timeout(CALL_LIMIT)
            // A redirect would take the token elsewhere.
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("lamplighter/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| Failure::new(Exit::Failed, format!("setting up HTTP: {error}")))?;
        Ok(Self { http, base, env, token })
    }

    /// The environment that is talked about.
    #[must_use]
    pub fn env(&self) -> &EnvName {
        &self.env
    }

    /// Reads `path`, relative to the environment: `services/vps-001`.
    ///
    /// # Errors
    /// If the server cannot be reached or refuses.
    pub async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<Answer<T>, Failure> {
        let (etag, body) = self.call(Method::GET, path, query, None, HeaderMap::new()).await?;
        Ok(Answer { body: understand(body)?, etag })
    }

    /// Reads every item of a list, page by page.
    ///
    /// # Errors
    /// As [`Client::get`]; also if the list does not end.
    pub async fn list<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<Vec<T>, Failure> {
        let mut items = Vec::new();
        let mut after: Option<String> = None;
        for _ in 0..MAX_PAGES {
            let mut asked: Vec<(&str, &str)> = query.to_vec();
            asked.push(("limit", PAGE_ITEMS));
            asked.extend(after.as_deref().map(|cursor| ("after", cursor)));
            let page: Page = self.get(path, &asked).await?.body;
            for item in page.items {
                items.push(understand(item)?);
            }
            after = page.next;
            if after.is_none() {
                return Ok(items);
            }
        }
        Err(Failure::new(Exit::Failed, format!("the list `{path}` does not end")))
    }

    /// Asks for work. Each call carries a key of its own, so that a repeated request is one piece of work.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn post<B: Serialize>(&self, path: &str, body: &B) -> Result<Value, Failure> {
        self.post_if(path, body, &Expect::Anything).await
    }

    /// As [`Client::post`], if what is acted upon is what was expected.
    ///
    /// # Errors
    /// As [`Client::put`].
    pub async fn post_if<B: Serialize>(
        &self,
        path: &str,
        body: &B,
        expect: &Expect,
    ) -> Result<Value, Failure> {
        let mut headers = expectation(expect)?;
        let key = format!("{:032x}", rand::random::<u128>());
        headers.insert("idempotency-key", header(&key)?);
        Ok(self.call(Method::POST, path, &[], Some(to_value(body)?), headers).await?.1)
    }

    /// Replaces what stands at `path`, if it is what was expected.
    ///
    /// # Errors
    /// As [`Client::get`]; refused if it has changed meanwhile.
    pub async fn put<B: Serialize>(&self, path: &str, body: &B, expect: &Expect) -> Result<Value, Failure> {
        Ok(self.call(Method::PUT, path, &[], Some(to_value(body)?), expectation(expect)?).await?.1)
    }

    /// Removes what stands at `path`, if it is what was expected.
    ///
    /// # Errors
    /// As [`Client::put`].
    pub async fn delete(&self, path: &str, expect: &Expect) -> Result<(), Failure> {
        self.call(Method::DELETE, path, &[], None, expectation(expect)?).await.map(|_| ())
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<Value>,
        headers: HeaderMap,
    ) -> Result<(Option<String>, Value), Failure> {
        let mut url = self.base.clone();
        url.set_path(&format!("{}/v1/envs/{}/{path}", self.base.path().trim_end_matches('/'), self.env));
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let mut request = self.http.request(method, url).headers(headers);
        if let Some(body) = &body {
            request = request.json(body);
        }
        if let Some(token) = &self.token {
            request = request.bearer_auth(token.expose());
        }
        let answer = request.send().await.map_err(|error| self.unreachable(&error))?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        let bytes = self.read(answer).await?;
        if !status.is_success() {
            return Err(problem::failure(status, &headers, &bytes));
        }
        let etag = headers.get(ETAG).and_then(|tag| tag.to_str().ok()).map(str::to_owned);
        if bytes.is_empty() || status == StatusCode::NO_CONTENT {
            return Ok((etag, Value::Null));
        }
        let body = serde_json::from_slice(&bytes).map_err(|_| self.not_ours())?;
        Ok((etag, body))
    }

    async fn read(&self, mut answer: reqwest::Response) -> Result<Vec<u8>, Failure> {
        let mut bytes = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| self.unreachable(&error))? {
            if bytes.len() + chunk.len() > MAX_ANSWER_BYTES {
                return Err(Failure::new(Exit::Failed, "the answer is larger than any answer should be"));
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }

    fn unreachable(&self, error: &reqwest::Error) -> Failure {
        let because = if error.is_timeout() { "no answer in time".to_owned() } else { innermost(error) };
        Failure::new(Exit::Unreachable, format!("`{}` cannot be reached: {because}", self.shown()))
            .hint("is `lamplighter serve` running there? `--url` says where to look")
    }

    fn not_ours(&self) -> Failure {
        Failure::new(
            Exit::Failed,
            format!("`{}` answered something that is no Lamplighter's answer", self.shown()),
        )
        .hint("check `--url`")
    }

    fn shown(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }
}

fn expectation(expect: &Expect) -> Result<HeaderMap, Failure> {
    let mut headers = HeaderMap::new();
    match expect {
        Expect::Anything => {}
        Expect::Nothing => drop(headers.insert("if-none-match", HeaderValue::from_static("*"))),
        Expect::Tag(tag) => drop(headers.insert("if-match", header(tag)?)),
    }
    Ok(headers)
}

fn header(text: &str) -> Result<HeaderValue, Failure> {
    HeaderValue::from_str(text)
        .map_err(|_| Failure::new(Exit::Failed, "the server's entity tag cannot be sent back"))
}

fn to_value<B: Serialize>(body: &B) -> Result<Value, Failure> {
    serde_json::to_value(body)
        .map_err(|error| Failure::new(Exit::Failed, format!("writing the request: {error}")))
}

fn understand<T: DeserializeOwned>(body: Value) -> Result<T, Failure> {
    serde_json::from_value(body).map_err(|error| {
        Failure::new(Exit::Failed, format!("the server's answer is not understood: {error}"))
            .hint("are the server and this command of the same version?")
    })
}

/// The last cause of an error: "connection refused" says more than "error sending request".
fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    lamplighter_core::sight::one_line(&cause.to_string(), 200)
}
