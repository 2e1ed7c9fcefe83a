//! A hook: where a push comes in, what it must be signed with, and what it asks for.

use serde::{Deserialize, Deserializer, Serialize};

use crate::name::{AppName, checked_name, is_identifier};
use crate::spec::KeyRef;
use crate::update::is_branch;
use crate::version::Version;

/// Most hooks of one env.
pub const HOOKS_MAX: usize = 32;
/// Most secrets of one hook: the one in use, the one before it, and the one to come.
pub const SECRETS_MAX: usize = 4;
/// Longest id of a delivery, in bytes: it is part of a key.
pub const DELIVERY_ID_BYTES_MAX: usize = 128;
/// Longest name of a repository, in bytes.
const REPOSITORY_BYTES_MAX: usize = 200;
/// The branch that is listened to unless another is named.
const BRANCH: &str = "main";

checked_name!(
    /// What a hook is called: it stands in its address, `/hooks/prod/deploy`.
    HookName,
    "a hook's name",
    "use 1 to 64 letters, digits, `.`, `_` or `-`, beginning with a letter or digit",
    is_identifier
);

/// A hook, as a person configures it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hook {
    /// Who calls it, and how that is proved.
    pub kind: HookKind,
    /// Where its secrets are found, never the secrets themselves. Any of them proves a call, so that they can be
    /// rotated.
    #[serde(deserialize_with = "one_or_many")]
    pub secret: Vec<KeyRef>,
    /// The app that a push rolls out.
    pub app: AppName,
    /// The repository whose pushes count, `acme/rachel8`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// The branch whose pushes count.
    #[serde(default = "main_branch")]
    pub branch: String,
}

/// Who calls a hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HookKind {
    /// GitHub: `X-Hub-Signature-256` over the body.
    Github,
    /// Anybody who signs by the Standard Webhooks specification.
    Standard,
}

impl HookKind {
    /// The kind as a file spells it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            HookKind::Github => "github",
            HookKind::Standard => "standard",
        }
    }
}

impl Hook {
    /// Refuses what cannot work.
    ///
    /// # Errors
    /// The first problem, as `key: sentence`.
    pub fn check(&self) -> Result<(), String> {
        if !(1..=SECRETS_MAX).contains(&self.secret.len()) {
            return Err(format!("secret: name 1 to {SECRETS_MAX} secrets"));
        }
        if !is_branch(&self.branch) {
            return Err("branch: a branch is letters, digits, `.`, `_`, `-` and `/`, beginning with a letter or digit".to_owned());
        }
        match (self.kind, &self.repository) {
            (HookKind::Github, None) => {
                Err("repository: missing; name the one whose pushes count, such as `acme/rachel8`".to_owned())
            }
            (HookKind::Github, Some(name)) if !is_repository(name) => {
                Err("repository: write it as `OWNER/NAME`".to_owned())
            }
            (HookKind::Standard, Some(name)) if name.is_empty() || name.len() > REPOSITORY_BYTES_MAX => {
                Err(format!("repository: 1 to {REPOSITORY_BYTES_MAX} bytes"))
            }
            (HookKind::Github | HookKind::Standard, Some(_)) | (HookKind::Standard, None) => Ok(()),
        }
    }
}

fn is_repository(name: &str) -> bool {
    let good = |part: &str| {
        !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
    };
    name.len() <= REPOSITORY_BYTES_MAX
        && name.split_once('/').is_some_and(|(owner, name)| good(owner) && good(name))
}

fn main_branch() -> String {
    BRANCH.to_owned()
}

/// Reads one place of a secret or a list of them.
fn one_or_many<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<KeyRef>, D::Error> {
    struct OneOrMany;
    impl<'de> serde::de::Visitor<'de> for OneOrMany {
        type Value = Vec<KeyRef>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("where a secret is found, such as `file:hook-secret`, or a list of such places")
        }

        fn visit_str<E: serde::de::Error>(self, one: &str) -> Result<Vec<KeyRef>, E> {
            KeyRef::try_from(one.to_owned()).map(|place| vec![place]).map_err(E::custom)
        }

        fn visit_seq<A: serde::de::SeqAccess<'de>>(self, seq: A) -> Result<Vec<KeyRef>, A::Error> {
            Deserialize::deserialize(serde::de::value::SeqAccessDeserializer::new(seq))
        }
    }
    from.deserialize_any(OneOrMany)
}

/// What a delivery asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ask {
    /// A rollout of what was pushed.
    Rollout {
        /// The app.
        app: AppName,
        /// What was pushed.
        target: Version,
        /// The branch it was pushed to.
        branch: String,
    },
}

/// A hook as the audit trail and a rollout's `by` name it.
#[must_use]
pub fn by(hook: &HookName) -> String {
    format!("{BY}{hook}")
}

/// The hook that `by` names, if it names one.
#[must_use]
pub fn hook_of(by: &str) -> Option<HookName> {
    by.strip_prefix(BY)?.parse().ok()
}

const BY: &str = "hook ";

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Hook, String> {
        let hook: Hook = serde_json::from_str(json).map_err(|error| error.to_string())?;
        hook.check().map(|()| hook)
    }

    #[test]
    fn a_hook_is_read_with_one_secret_or_several() {
        let one = r#"{"kind":"github","secret":"file:a","app":"rachel8","repository":"acme/rachel8"}"#;
        let hook = read(one).unwrap();
        assert_eq!((hook.secret.len(), hook.branch.as_str()), (1, "main"));
        let two = r#"{"kind":"standard","secret":["file:a","ssm:/b"],"app":"rachel8","branch":"live"}"#;
        assert_eq!(read(two).unwrap().secret.len(), 2);
        let again: Hook = serde_json::from_str(&serde_json::to_string(&hook).unwrap()).unwrap();
        assert_eq!(again, hook);
    }

    #[test]
    fn what_cannot_work_is_refused_without_showing_a_secret() {
        for bad in [
            r#"{"kind":"github","secret":"file:a","app":"rachel8"}"#,
            r#"{"kind":"github","secret":"file:a","app":"rachel8","repository":"rachel8"}"#,
            r#"{"kind":"github","secret":[],"app":"rachel8","repository":"a/b"}"#,
            r#"{"kind":"gitea","secret":"file:a","app":"rachel8"}"#,
            r#"{"kind":"standard","secret":"file:a","app":"rachel8","branch":"--upload-pack=x"}"#,
            r#"{"kind":"standard","secret":"file:a","app":"rachel8","brnch":"main"}"#,
            r#"{"kind":"standard","secret":"whsec_c2VjcmV0","app":"rachel8"}"#,
        ] {
            let problem = read(bad).unwrap_err();
            assert!(!problem.contains("c2VjcmV0"), "{problem}");
        }
    }

    #[test]
    fn a_rollout_says_which_hook_started_it() {
        let hook: HookName = "deploy".parse().unwrap();
        assert_eq!(hook_of(&by(&hook)), Some(hook));
        assert_eq!(hook_of("ada"), None);
    }
}
