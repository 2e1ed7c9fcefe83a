//! Which server is meant: flags first, then the saved context.

use std::path::{Path, PathBuf};

use lamplighter_core::EnvName;
use serde::{Deserialize, Serialize};

use crate::cli::Global;
use crate::exit::{Exit, Failure};

/// What is remembered between commands: `~/.config/lamplighter/context.toml`. Holds no secret, only where one is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Context {
    /// The server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The file that holds the token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_file: Option<PathBuf>,
    /// The environment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub env: Option<EnvName>,
}

/// Where the context is kept: under `$XDG_CONFIG_HOME`, or `~/.config`.
///
/// # Errors
/// If there is neither.
pub fn file() -> Result<PathBuf, Failure> {
    let config = std::env::var_os("XDG_CONFIG_HOME").filter(|folder| !folder.is_empty()).map(PathBuf::from);
    let folder = config.or_else(|| Some(std::env::home_dir()?.join(".config")));
    let nowhere = || {
        Failure::new(Exit::Failed, "there is no home folder to keep a context in")
            .hint("set `XDG_CONFIG_HOME`, or give `--url`, `--token-file` and `--env`")
    };
    Ok(folder.ok_or_else(nowhere)?.join("lamplighter").join("context.toml"))
}

impl Context {
    /// What was saved; nothing if nothing was.
    ///
    /// # Errors
    /// If there is a file that cannot be read or understood.
    pub fn load(file: &Path) -> Result<Self, Failure> {
        let text = match std::fs::read_to_string(file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => {
                return Err(Failure::new(Exit::Failed, format!("reading `{}`: {error}", file.display())));
            }
        };
        toml::from_str(&text).map_err(|error| {
            let what = format!("`{}` cannot be understood: {}", file.display(), error.message());
            Failure::new(Exit::Usage, what).hint("write it anew with `lamplighter context save`")
        })
    }

    /// Saves it for this user alone.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn save(&self, file: &Path) -> Result<(), Failure> {
        let text = toml::to_string(self).map_err(|error| Failure::new(Exit::Failed, error.to_string()))?;
        let folder = file.parent().unwrap_or(Path::new(""));
        let written = std::fs::create_dir_all(folder).and_then(|()| std::fs::write(file, text));
        written.map_err(|error| Failure::new(Exit::Failed, format!("writing `{}`: {error}", file.display())))
    }

    /// The saved context with whatever the command line says instead.
    ///
    /// # Errors
    /// If the saved context cannot be read.
    pub fn of(global: &Global) -> Result<Self, Failure> {
        let named =
            Self { url: global.url.clone(), token_file: global.token_file.clone(), env: global.env.clone() };
        if named.url.is_some() && named.token_file.is_some() && named.env.is_some() {
            return Ok(named);
        }
        let saved = Self::load(&file()?)?;
        // A saved token is for the saved server: another server must not see it.
        let same_server = named.url.is_none() || named.url == saved.url;
        let saved_token = if same_server { saved.token_file } else { None };
        Ok(Self {
            url: named.url.or(saved.url),
            token_file: named.token_file.or(saved_token),
            env: named.env.or(saved.env),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_saved_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("deep/context.toml");
        assert_eq!(Context::load(&file).unwrap(), Context::default());
        let context = Context {
            url: Some("http://127.0.0.1:8080".to_owned()),
            token_file: Some("/etc/token".into()),
            env: Some("prod".parse().unwrap()),
        };
        context.save(&file).unwrap();
        assert_eq!(Context::load(&file).unwrap(), context);
        std::fs::write(&file, "urll = 'x'").unwrap();
        assert_eq!(Context::load(&file).unwrap_err().exit, Exit::Usage);
    }
}
