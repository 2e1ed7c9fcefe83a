//! `[mail]`: how letters travel.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;

use lamplighter_core::Mailbox;
use lamplighter_notify::{Post, SEND_LIMIT, Secret, Security, SmtpSettings};
use serde::Deserialize;
use toml::Spanned;
use toml::de::DeValue;

use crate::fleet_file::check_secret;
use crate::source::{Complaints, Section, Table, Whose, read_section, resolve, split};

/// Longest password file read, in bytes: no password is longer.
const MAX_PASSWORD_BYTES: u64 = 4_096;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Mail {
    from: Mailbox,
    folder: Option<String>,
    host: Option<String>,
    port: Option<u16>,
    security: Option<Security>,
    user: Option<String>,
    password_file: Option<String>,
    password_env: Option<String>,
    ca_file: Option<String>,
}

const MAIL: Section = Section { required: "from = 'a@example.com'", besides: &[] };

/// A problem with one key: which, what, and what to do.
type Bad = (&'static str, String, Option<String>);

/// Reads `[mail]`; `None` if anything is wrong with it, which has then been told.
pub(super) fn read(
    value: &Spanned<DeValue<'_>>,
    file: &Path,
    complaints: &mut Complaints<'_>,
) -> Option<Post> {
    let whose = Whose::part("mail");
    let Some(table) = value.get_ref().as_table() else {
        complaints.add(&value.span(), &whose, "is not a table", Some("write it under `[mail]`".to_owned()));
        return None;
    };
    let mut told = BTreeSet::new();
    if let Some((key, _)) = table.get_key_value("password") {
        let hint =
            "put it in a file that only you can read, and name that: `password_file = \"smtp-password\"`";
        complaints.add(&key.span(), &whose, "a password is never written here", Some(hint.to_owned()));
        told.insert("password".to_owned());
    }
    let mail: Mail =
        read_section(MAIL, &Spanned::new(value.span(), table.clone()), &told, &whose, complaints)?;
    match post(mail, file) {
        Ok(post) => Some(post),
        Err((key, what, hint)) => {
            complaints.add(&place(table, key, &value.span()), &whose, format!("`{key}`: {what}"), hint);
            None
        }
    }
}

fn place(table: &Table<'_>, key: &str, otherwise: &Range<usize>) -> Range<usize> {
    table.get(key).map_or_else(|| otherwise.clone(), Spanned::span)
}

fn post(mail: Mail, file: &Path) -> Result<Post, Bad> {
    let post = match (mail.folder.as_deref(), mail.host.clone()) {
        (Some(_), Some(_)) => {
            let hint = "keep `host` to send letters, `folder` to only write them down".to_owned();
            return Err((
                "folder",
                "letters go to a mail server or to a folder, not both".to_owned(),
                Some(hint),
            ));
        }
        (None, None) => {
            let hint =
                "name the mail server: `host = \"smtp.example.com\"`; or a folder: `folder = \"letters\"`"
                    .to_owned();
            return Err(("host", "missing".to_owned(), Some(hint)));
        }
        (Some(folder), None) => Post::folder(resolve(file, folder), &mail.from),
        (None, Some(host)) => Post::smtp(smtp(mail, host, file)?),
    };
    post.map_err(|bad| {
        let (what, hint) = split(&bad.problem);
        (bad.key, what, hint)
    })
}

fn smtp(mail: Mail, host: String, file: &Path) -> Result<SmtpSettings, Bad> {
    let security =
        mail.security.unwrap_or(if mail.port == Some(465) { Security::Tls } else { Security::StartTls });
    let usual_port = match security {
        Security::Tls => 465,
        Security::StartTls => 587,
        Security::Plain | Security::PlainAnywhere => 25,
    };
    let password = match (mail.password_file.as_deref(), mail.password_env.as_deref()) {
        (Some(_), Some(_)) => {
            return Err((
                "password_env",
                "a password comes from a file or from the environment, not both".to_owned(),
                None,
            ));
        }
        (Some(path), None) => Some(
            password_of_file(&resolve(file, path))
                .map_err(|(what, hint)| ("password_file", what, Some(hint)))?,
        ),
        (None, Some(name)) => {
            Some(password_of_env(name).map_err(|(what, hint)| ("password_env", what, Some(hint)))?)
        }
        (None, None) => None,
    };
    Ok(SmtpSettings {
        host,
        port: mail.port.unwrap_or(usual_port),
        security,
        user: mail.user,
        password,
        from: mail.from,
        timeout: SEND_LIMIT,
        extra_ca: mail.ca_file.map(|path| resolve(file, &path)),
    })
}

fn password_of_file(path: &Path) -> Result<Secret, (String, String)> {
    check_secret(path)?;
    let shown = path.display();
    if std::fs::metadata(path).is_ok_and(|meta| meta.len() > MAX_PASSWORD_BYTES) {
        return Err((
            format!("`{shown}` is too long for a password"),
            "put the password alone into it".to_owned(),
        ));
    }
    let text = std::fs::read_to_string(path).map_err(|_| {
        (format!("`{shown}` cannot be read as text"), "put the password alone into it".to_owned())
    })?;
    match text.trim_end_matches(['\r', '\n']) {
        "" => Err((format!("`{shown}` is empty"), "put the password alone into it".to_owned())),
        password => Ok(Secret::from(password.to_owned())),
    }
}

fn password_of_env(name: &str) -> Result<Secret, (String, String)> {
    match std::env::var(name) {
        Ok(password) if !password.is_empty() => Ok(Secret::from(password)),
        Ok(_) | Err(_) => {
            // The name may be the password itself, put here by mistake.
            let hint = "set the variable whose name stands here, or use `password_file`".to_owned();
            Err(("no such variable in the environment".to_owned(), hint))
        }
    }
}
