//! `token`: access tokens, each shown once.

use serde_json::{Value, json};

use super::outline;
use crate::cli::{Scope, TokenVerb};
use crate::client::{Client, Expect};
use crate::exit::{Exit, Outcome};
use crate::say::{self, Form};

/// Makes, lists or revokes.
pub(super) async fn run(client: &Client, form: Form, verb: TokenVerb) -> Outcome {
    match verb {
        TokenVerb::Create { name, scope, owner } => {
            let mut body = json!({ "name": name, "scope": word(scope) });
            if let (Some(owner), Some(map)) = (owner, body.as_object_mut()) {
                map.insert("owner".to_owned(), json!(owner));
            }
            let answer = client.post("tokens", &body).await?;
            match (form, answer.get("token").and_then(Value::as_str)) {
                (Form::Plain, Some(token)) => {
                    say::data(&format!("{token}\n"))?;
                    say::note("it is shown only now: keep it in a file that only its user can read");
                }
                (Form::Json | Form::Plain, _) => outline::print(form, &answer)?,
            }
        }
        TokenVerb::List => {
            let tokens: Vec<Value> = client.list("tokens", &[]).await?;
            match form {
                Form::Json => say::json(&tokens)?,
                Form::Plain => {
                    let cell =
                        |token: &Value, key: &str| outline::scalar(token.get(key).unwrap_or(&Value::Null));
                    let keys = ["id", "name", "scope", "owner", "created_at", "revoked_at"];
                    let row = |token: &Value| keys.iter().map(|key| cell(token, key)).collect();
                    say::data(&say::table(&tokens.iter().map(row).collect::<Vec<Vec<String>>>()))?;
                }
            }
        }
        TokenVerb::Revoke { id } => {
            client.delete(&format!("tokens/{}", plain(&id)), &Expect::Anything).await?;
            say::note(&format!("revoked `{id}`"));
        }
    }
    Ok(Exit::Ok)
}

/// An id as one part of a path, whatever was typed.
fn plain(id: &str) -> String {
    id.chars().filter(|c| c.is_ascii_alphanumeric() || "-_.:".contains(*c)).collect()
}

fn word(scope: Scope) -> &'static str {
    match scope {
        Scope::Admin => "admin",
        Scope::Owner => "owner",
        Scope::Worker => "worker",
        Scope::Read => "read",
    }
}
