//! The server and the token as a person names them.

use std::path::Path;

use lamplighter_notify::Secret;
use reqwest::Url;

use crate::exit::{Exit, Failure};
use crate::fleet_file::check_secret;

/// Longest token, in bytes.
const MAX_TOKEN_BYTES: usize = 1_024;

/// The address of a server, without anything secret in it.
pub(super) fn base_url(written: &str) -> Result<Url, Failure> {
    let wrong = || {
        Failure::new(Exit::Usage, "`--url` is not the address of a server")
            .hint("write `https://lamp.example.com` or `http://127.0.0.1:8080`")
    };
    let url: Url = written.parse().map_err(|_| wrong())?;
    let plain = url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    if !plain || !url.has_host() || !matches!(url.scheme(), "http" | "https") {
        return Err(wrong());
    }
    Ok(url)
}

/// True if what is sent there stays on this machine.
pub(super) fn is_this_machine(url: &Url) -> bool {
    match url.host_str() {
        Some("localhost") => true,
        Some(host) => host
            .trim_matches(['[', ']'])
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback()),
        None => false,
    }
}

/// The token in a file that only its owner may read.
pub(super) fn read_token(file: &Path) -> Result<Secret, Failure> {
    let shown = file.display();
    check_secret(file)
        .map_err(|(what, hint)| Failure::new(Exit::Usage, format!("`--token-file`: {what}")).hint(hint))?;
    let text = std::fs::read_to_string(file).map_err(|error| {
        Failure::new(Exit::Usage, format!("`--token-file`: `{shown}` cannot be read: {error}"))
    })?;
    let token = text.trim();
    let plausible =
        !token.is_empty() && token.len() <= MAX_TOKEN_BYTES && token.chars().all(|c| c.is_ascii_graphic());
    if !plausible {
        return Err(Failure::new(Exit::Usage, format!("`--token-file`: `{shown}` holds no token"))
            .hint("put the token alone into it; `lamplighter token create` makes one"));
    }
    Ok(Secret::from(token.to_owned()))
}
