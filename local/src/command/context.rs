//! `context`: which server is meant when none is named.

use crate::cli::{ContextVerb, Global};
use crate::context::{self, Context};
use crate::exit::{Exit, Failure, Outcome};
use crate::say::{self, Form};

/// Saves, shows or clears it.
pub(super) fn run(global: &Global, verb: &ContextVerb) -> Outcome {
    let file = context::file()?;
    match verb {
        ContextVerb::Save => {
            let mut context = Context::of(global)?;
            // A relative path would mean another file from another folder.
            context.token_file = context.token_file.map(|path| std::path::absolute(&path).unwrap_or(path));
            if context == Context::default() {
                return Err(Failure::new(Exit::Usage, "there is nothing to save")
                    .hint("write `lamplighter context save --url URL --token-file FILE --env NAME`"));
            }
            context.save(&file)?;
            say::note(&format!("saved in `{}`", file.display()));
        }
        ContextVerb::Show => match global.form() {
            Form::Json => say::json(&Context::of(global)?)?,
            Form::Plain => {
                let context = Context::of(global)?;
                let path = context.token_file.map(|path| path.display().to_string());
                let env = context.env.map(|env| env.to_string());
                let row =
                    |key: &str, value: Option<String>| vec![key.to_owned(), value.unwrap_or("-".to_owned())];
                say::data(&say::table(&[row("url", context.url), row("token-file", path), row("env", env)]))?;
            }
        },
        ContextVerb::Clear => match std::fs::remove_file(&file) {
            Ok(()) => say::note(&format!("removed `{}`", file.display())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                say::note("there was nothing to forget")
            }
            Err(error) => {
                return Err(Failure::new(Exit::Failed, format!("removing `{}`: {error}", file.display())));
            }
        },
    }
    Ok(Exit::Ok)
}
