//! Bearer tokens: made, listed by name, revoked. A secret is shown once and stored only as its hash.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use axum::routing::{delete, get, post};
use lamplighter_app::Env;
use lamplighter_core::decision::AuditEntry;
use lamplighter_core::{Mailbox, Moment};
use lamplighter_store::{Scope, StoreError, Token, Verb};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::answer::{Answer, Reply};
use crate::body::Body;
use crate::operation::{Access, Given, JSON, Operation, Taken};
use crate::problem::{Kind, Problem};
use crate::query::{Asked, path_text, quoted};
use crate::secret::{SecretText, hex, sha256_hex};
use crate::visit::Visit;

/// What every token begins with, so that people and secret scanners know one when they see it.
const PREFIX: &str = "lamp_";
/// Longest name of a token: it stands in the audit trail and in letters.
const NAME_CHARS_MAX: usize = 64;
/// Hexadecimal digits of a SHA-256.
const HASH_DIGITS: usize = 64;
/// Who makes an adopted token, as the audit trail names it.
const DEPLOYMENT: &str = "deployment";
/// What the audit trail calls it.
const TOKEN_MADE: &str = "token made";
/// Most tokens of one env that are not revoked.
const TOKENS_MAX: usize = 1_000;

/// Why no token was made.
#[derive(Debug, thiserror::Error)]
pub enum MintError {
    /// The name cannot stand in the audit trail.
    #[error("`{0}` is not a token's name: use 1 to 64 letters, digits, `.`, `_`, `-`, `@` or spaces")]
    BadName(String),
    /// A valid token has this name.
    #[error("there is a token `{0}` already; revoke it first, or choose another name")]
    NameTaken(String),
    /// An owner's token names an owner, and no other does.
    #[error("a token with the scope `owner` needs an `owner`, and no other scope has one")]
    OwnerMismatch,
    /// There are too many.
    #[error("an env has at most {TOKENS_MAX} tokens; revoke some")]
    TooMany,
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why no token was adopted.
#[derive(Debug, thiserror::Error)]
pub enum AdoptError {
    /// The name cannot stand in the audit trail.
    #[error("`{0}` is not a token's name: use 1 to 64 letters, digits, `.`, `_`, `-`, `@` or spaces")]
    BadName(String),
    /// It is no hash. What it is instead is not repeated, since that may be a token.
    #[error(
        "what is to be a token's hash is not 64 lower-case hexadecimal digits; `lamplighter token seed` makes both"
    )]
    BadHash,
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A new token's secret: 256 random bits, in a form that people and secret scanners know.
#[must_use]
pub fn new_secret() -> SecretText {
    SecretText::new(format!("{PREFIX}{}", hex(&rand::random::<[u8; 32]>())))
}

/// The SHA-256 of a token's secret in hexadecimal: all that an env ever keeps of it.
#[must_use]
pub fn token_hash(secret: &SecretText) -> String {
    sha256_hex(secret.expose().as_bytes())
}

/// Makes a token of `env`: 256 random bits, of which only the SHA-256 is stored. What is returned is never seen again.
///
/// # Errors
/// [`MintError`] says why not.
pub async fn mint_token(
    env: &Env,
    name: &str,
    scope: Scope,
    owner: Option<Mailbox>,
) -> Result<SecretText, MintError> {
    if !is_name(name) {
        return Err(MintError::BadName(quoted(name)));
    }
    if owner.is_some() != (scope == Scope::Owner) {
        return Err(MintError::OwnerMismatch);
    }
    let store = env.store().for_verb(Verb::Api);
    let valid: Vec<Token> = valid(store.list_tokens().await?).map(|(_, token)| token).collect();
    if valid.iter().any(|token| token.name == name) {
        return Err(MintError::NameTaken(name.to_owned()));
    }
    if valid.len() >= TOKENS_MAX {
        return Err(MintError::TooMany);
    }
    let secret = new_secret();
    let token =
        Token { name: name.to_owned(), scope, owner, created_at: env.clock().now(), revoked_at: None };
    // Two random tokens are never the same; a store that says so has answered something else.
    match store.put_token(&token_hash(&secret), &token).await? {
        true => Ok(secret),
        false => Err(MintError::NameTaken(name.to_owned())),
    }
}

/// Makes whoever holds the secret of `hash_hex` an admin of `env`, if no token with that hash was ever there: one that was
/// revoked stays so. For a home whose first token is made elsewhere, and which is only told its hash ([`token_hash`]), at
/// every start. True if the token is new. If another valid token has the name, this one gets a number after it, so that
/// each can be revoked alone.
///
/// # Errors
/// [`AdoptError`] says why not.
pub async fn adopt_token(env: &Env, name: &str, hash_hex: &str) -> Result<bool, AdoptError> {
    if !is_name(name) {
        return Err(AdoptError::BadName(quoted(name)));
    }
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if hash_hex.len() != HASH_DIGITS || !hash_hex.bytes().all(is_digit) {
        return Err(AdoptError::BadHash);
    }
    let store = env.store().for_verb(Verb::Api);
    // Nearly every start ends here, for one read.
    if store.find_token(hash_hex).await?.is_some() {
        return Ok(false);
    }
    // However many tokens there are, whoever can deploy must be able to come in.
    let valid: Vec<Token> = valid(store.list_tokens().await?).map(|(_, token)| token).collect();
    let numbered = (2..).map(|number: u64| format!("{name}-{number}"));
    let is_free = |name: &String| !valid.iter().any(|token| token.name == *name);
    let name = std::iter::once(name.to_owned()).chain(numbered).find(is_free).unwrap_or_default();
    let created_at = env.clock().now();
    let token = Token { name, scope: Scope::Admin, owner: None, created_at, revoked_at: None };
    let is_new = store.put_token(hash_hex, &token).await?;
    if is_new {
        let because = format!("`{}` may {}", token.name, crate::operation::scope_name(token.scope));
        record(env, DEPLOYMENT, TOKEN_MADE, because).await;
    }
    Ok(is_new)
}

fn is_name(name: &str) -> bool {
    (1..=NAME_CHARS_MAX).contains(&name.len())
        && name.trim() == name
        && name.chars().all(|c| c.is_ascii_alphanumeric() || " ._-@".contains(c))
}

fn valid(tokens: Vec<(String, Token)>) -> impl Iterator<Item = (String, Token)> {
    tokens.into_iter().filter(|(_, token)| token.revoked_at.is_none())
}

const TOKENS: &str = "/v1/envs/{env}/tokens";

/// The rows of the table.
pub(crate) fn operations() -> Vec<Operation> {
    let making = Operation {
        method: Method::POST,
        path: TOKENS,
        id: "create_token",
        tag: "tokens",
        summary: "Make a token",
        description: "The secret is in the answer, and nowhere else ever after. `Idempotency-Key` does nothing here, as an \
                      answer kept for repetitions would keep the secret; a repetition is refused by its name.",
        access: Access::Admin,
        params: &[],
        body: Some(Taken {
            media: JSON,
            schema: "TokenOrder",
            optional: false,
            example: r#"{"name":"ada","scope":"owner","owner":"ada@example.com"}"#,
        }),
        answers: &[Given {
            status: 201,
            says: "The token, with its secret.",
            media: JSON,
            schema: "NewToken",
        }],
        problems: &[400, 409, 413, 415],
        route: post(create),
    };
    let listing = Operation {
        method: Method::GET,
        path: TOKENS,
        id: "list_tokens",
        tag: "tokens",
        summary: "List tokens by name",
        description: "Revoked ones too. Secrets and their hashes are never shown.",
        access: Access::Admin,
        params: &[],
        body: None,
        answers: &[Given { status: 200, says: "Every token.", media: JSON, schema: "TokenPage" }],
        problems: &[],
        route: get(list),
    };
    let revoking = Operation {
        method: Method::DELETE,
        path: "/v1/envs/{env}/tokens/{name}",
        id: "revoke_token",
        tag: "tokens",
        summary: "Revoke a token",
        description: "At once. The last admin token cannot be revoked: nobody could make another.",
        access: Access::Admin,
        params: &[],
        body: None,
        answers: &[Given { status: 204, says: "It is revoked.", media: "", schema: "" }],
        problems: &[404, 409],
        route: delete(revoke),
    };
    vec![making, listing, revoking]
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TokenOrder {
    name: String,
    scope: Scope,
    #[serde(default)]
    owner: Option<Mailbox>,
}

async fn create(visit: Visit, body: Body) -> Reply {
    let TokenOrder { name, scope, owner } = body.read()?;
    let secret = mint_token(&visit.env, &name, scope, owner.clone()).await.map_err(|error| match error {
        MintError::BadName(_) | MintError::OwnerMismatch => {
            Problem::bad(error.to_string(), "correct this field and send it again")
        }
        MintError::NameTaken(_) | MintError::TooMany => {
            Problem::conflict(error.to_string(), "`GET …/tokens` lists them")
        }
        MintError::Store(error) => error.into(),
    })?;
    note(&visit, TOKEN_MADE, format!("`{name}` may {}", crate::operation::scope_name(scope))).await;
    let made = json!({
        "name": name, "scope": scope, "owner": owner, "created_at": visit.now(), "revoked_at": Value::Null,
        "token": secret.expose(),
    });
    Answer::with_status(StatusCode::CREATED, &made)
}

async fn list(visit: Visit, asked: Asked) -> Reply {
    asked.nothing_else("none")?;
    let mut tokens = visit.store().list_tokens().await?;
    tokens.sort_by(|(_, one), (_, other)| {
        one.name.cmp(&other.name).then(one.created_at.cmp(&other.created_at))
    });
    let items: Vec<Value> = tokens.iter().map(|(_, token)| shown(token)).collect();
    Answer::ok(&json!({"items": items, "next": Value::Null}))
}

fn shown(token: &Token) -> Value {
    json!({
        "name": token.name,
        "scope": token.scope,
        "owner": token.owner,
        "created_at": token.created_at,
        "revoked_at": token.revoked_at,
    })
}

/// The token's name in the path.
struct Name(String);

impl<S: Send + Sync> FromRequestParts<S> for Name {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        path_text(parts, state, "name").await.map(Name)
    }
}

async fn revoke(visit: Visit, Name(name): Name) -> Reply {
    let store = visit.store();
    let (named, others): (Vec<_>, Vec<_>) =
        valid(store.list_tokens().await?).partition(|(_, token)| token.name == name);
    if named.is_empty() {
        let detail = format!("there is no valid token `{}`", quoted(&name));
        return Err(Problem::new(Kind::NotFound, detail, "`GET …/tokens` lists them"));
    }
    let is_admin = |(_, token): &(String, Token)| token.scope == Scope::Admin;
    if named.iter().any(is_admin) && !others.iter().any(is_admin) {
        let detail = format!("`{name}` is the last admin token: nobody could make another");
        return Err(Problem::conflict(detail, "make another admin token first"));
    }
    let now: Moment = visit.now();
    for (hash, _) in &named {
        store.revoke_token(hash, now).await?;
    }
    note(&visit, "token revoked", format!("`{name}`")).await;
    Ok(Answer::nothing())
}

async fn note(visit: &Visit, action: &str, because: String) {
    record(&visit.env, visit.by(), action, because).await;
}

async fn record(env: &Env, by: &str, action: &str, because: String) {
    let entry = AuditEntry {
        at: env.clock().now(),
        by: by.to_owned(),
        action: action.to_owned(),
        service: None,
        action_no: None,
        because,
    };
    if let Err(error) = env.store().for_verb(Verb::Api).record(vec![entry]).await {
        tracing::error!(env = %env.name(), %error, "`{action}` by {by} is missing from the audit trail");
    }
}
