//! `token`: access tokens, each shown once.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use lamplighter_core::moment::Moment;
use lamplighter_core::sight::one_line;
use lamplighter_http::{new_secret, token_hash};
use serde::Deserialize as _;
use serde_json::{Value, json};

use super::{outline, when};
use crate::cli::{Global, Scope, TokenVerb};
use crate::client::{Client, Expect, Page, path_part};
use crate::exit::{Exit, Failure, Outcome};
use crate::say::{self, Form};

/// Makes, lists or revokes.
pub(super) async fn run(global: &Global, verb: TokenVerb) -> Outcome {
    let form = global.form();
    match verb {
        TokenVerb::Create { name, scope, owner, to } => {
            let body = json!({ "name": name, "scope": word(scope), "owner": owner });
            create(&Client::new(global)?, form, &body, to.as_deref()).await?;
        }
        TokenVerb::Seed { to } => seed(form, &to)?,
        TokenVerb::List => list(&Client::new(global)?, form).await?,
        TokenVerb::Revoke { name } => {
            let client = Client::new(global)?;
            client.delete(&format!("tokens/{}", path_part(&name)), &Expect::Anything).await?;
            say::note(&format!("revoked `{}`", one_line(&name, 64)));
        }
    }
    Ok(Exit::Ok)
}

async fn create(client: &Client, form: Form, body: &Value, to: Option<&Path>) -> Result<(), Failure> {
    // The file is made first: a token that cannot be kept must not be made.
    let file = to.map(|path| new_file(path).map(|file| (path, file))).transpose()?;
    let made = client.post("tokens", body).await;
    if let (Err(_), Some((path, _))) = (&made, &file) {
        // It is empty and ours; if it stays, the next attempt says so.
        let _ = std::fs::remove_file(path);
    }
    let mut answer = made?;
    let Some(token) = answer.get("token").and_then(Value::as_str).map(str::to_owned) else {
        return Err(Failure::new(Exit::Failed, "the server's answer holds no token"));
    };
    match (file, form) {
        (Some((path, mut file)), _) => {
            writeln!(file, "{token}").map_err(|error| not_written(path, &error))?;
            if let (Form::Json, Some(map)) = (form, answer.as_object_mut()) {
                map.remove("token");
                say::json(&answer)?;
            }
            say::note(&format!("written to `{}`; it is nowhere else", path.display()));
        }
        (None, Form::Json) => say::json(&answer)?,
        (None, Form::Plain) => {
            say::data(&format!("{token}\n"))?;
            say::note("it is shown only now: keep it in a file that only its user can read");
        }
    }
    Ok(())
}

/// Makes a token that a home is only told the hash of. Nothing is asked of any server: there may be none yet.
fn seed(form: Form, to: &Path) -> Result<(), Failure> {
    let mut file = new_file(to)?;
    let secret = new_secret();
    writeln!(file, "{}", secret.expose()).map_err(|error| not_written(to, &error))?;
    let hash = token_hash(&secret);
    match form {
        Form::Json => say::json(&json!({ "sha256": hash }))?,
        Form::Plain => say::data(&format!("{hash}\n"))?,
    }
    say::note(&format!("the token is in `{}`, and nowhere else; what is printed is its hash", to.display()));
    say::note(&format!(
        "hint: give the hash to the home: sam deploy --parameter-overrides AdminTokenSha256={hash}"
    ));
    Ok(())
}

fn new_file(path: &Path) -> Result<std::fs::File, Failure> {
    let made = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    made.map_err(|error| not_written(path, &error))
}

fn not_written(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(Exit::Failed, format!("`{}` cannot be written: {error}", path.display()))
}

async fn list(client: &Client, form: Form) -> Result<(), Failure> {
    // The whole list is one page.
    let tokens: Page = client.get("tokens", &[]).await?.body;
    if form == Form::Json {
        return Ok(say::json(&tokens.items)?);
    }
    let now = when::now();
    let row = |token: &Value| -> Vec<String> {
        let cell = |key: &str| outline::scalar(token.get(key).unwrap_or(&Value::Null));
        let moment = |key: &str| token.get(key).and_then(|at| Moment::deserialize(at).ok());
        let ago = |at: Option<Moment>| at.map_or_else(|| "-".to_owned(), |at| when::ago(now, at));
        let ended = moment("revoked_at").map(|at| format!("revoked {}", when::ago(now, at)));
        let made = format!("made {}", ago(moment("created_at")));
        vec![cell("name"), cell("scope"), cell("owner"), made, ended.unwrap_or_default()]
    };
    say::data(&say::table(&tokens.items.iter().map(row).collect::<Vec<_>>()))?;
    Ok(())
}

fn word(scope: Scope) -> &'static str {
    match scope {
        Scope::Admin => "admin",
        Scope::Owner => "owner",
        Scope::Worker => "worker",
        Scope::Read => "read",
    }
}
