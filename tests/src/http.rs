//! One request at a time to a server's API, as any script would send it.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

/// Longest a request takes: a plan asks hosts, and one of them may be away.
const LIMIT: Duration = Duration::from_secs(90);

/// An answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    heads: String,
    /// The body, if it is JSON; else null.
    pub body: Value,
    /// The body as it came.
    pub text: String,
}

impl Answer {
    /// A head of the answer; names are lower case.
    #[must_use]
    pub fn head(&self, name: &str) -> Option<&str> {
        let lines = self.heads.lines().filter_map(|line| line.split_once(": "));
        lines.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
    }
}

/// Sends a request to `url`, which begins with `http://`.
///
/// # Errors
/// If the server is not there, or its answer is none.
pub fn send(
    url: &str,
    method: &str,
    path: &str,
    heads: &[(&str, &str)],
    body: &str,
) -> std::io::Result<Answer> {
    let address = url.strip_prefix("http://").ok_or(std::io::ErrorKind::InvalidInput)?;
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(LIMIT))?;
    let mut request = format!("{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n");
    for (name, value) in heads {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    if !body.is_empty() && !heads.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
        request.push_str("content-type: application/json\r\n");
    }
    request.push_str(&format!("content-length: {}\r\n\r\n{body}", body.len()));
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (heads, body) = answer.split_once("\r\n\r\n").ok_or(std::io::ErrorKind::UnexpectedEof)?;
    let status = heads.split(' ').nth(1).and_then(|word| word.parse().ok());
    Ok(Answer {
        status: status.ok_or(std::io::ErrorKind::InvalidData)?,
        heads: heads.to_owned(),
        body: serde_json::from_str(body).unwrap_or(Value::Null),
        text: body.to_owned(),
    })
}
