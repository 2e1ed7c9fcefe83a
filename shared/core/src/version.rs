//! Which code a service runs, and which rollout brought it there: names that are safe everywhere after.

use crate::moment::Moment;
use crate::name::{AppName, BadName, checked_name};

/// Hexadecimal digits of a git commit: 40 with SHA-1, 64 with SHA-256.
const COMMIT_DIGITS: [usize; 2] = [40, 64];
/// What an image's digest begins with; 64 digits follow.
const DIGEST_PREFIX: &str = "sha256:";
/// Digits of a version that are shown where a person reads it: what `git log --oneline` shows.
const SHORT_DIGITS: usize = 7;

checked_name!(
    /// One exact version of an app: a full commit hash, or an image's digest. Never a branch or a tag, which move.
    Version,
    "a full commit hash",
    "give all 40 (or 64) hexadecimal digits, in lower case, an image's digest `sha256:…`, or name a branch instead",
    |text| {
        let digits = |text: &str| text.chars().all(|c| c.is_ascii_digit() || ('a'..='f').contains(&c));
        match text.strip_prefix(DIGEST_PREFIX) {
            Some(digest) => digest.len() == 64 && digits(digest),
            None => COMMIT_DIGITS.contains(&text.len()) && digits(text),
        }
    }
);

impl Version {
    /// The version as a person reads it: its first seven digits.
    #[must_use]
    pub fn short(&self) -> &str {
        let digits = self.as_str().strip_prefix(DIGEST_PREFIX).unwrap_or(self.as_str());
        digits.get(..SHORT_DIGITS).unwrap_or(digits)
    }
}

checked_name!(
    /// What a rollout is called: its app and its number, `rachel8-17`.
    RolloutId,
    "a rollout id",
    "write it as `APP-NUMBER`; `lamplighter rollout list` shows them",
    |text| {
        text.rsplit_once('-').is_some_and(|(app, number)| {
            app.parse::<AppName>().is_ok()
                && (1..=9).contains(&number.len())
                && number.chars().all(|c| c.is_ascii_digit())
                && !number.starts_with('0')
        })
    }
);

impl RolloutId {
    /// The `number`th rollout of `app`, beginning with 1.
    ///
    /// # Errors
    /// If the app has had a milliard rollouts.
    pub fn of(app: &AppName, number: u64) -> Result<RolloutId, BadName> {
        format!("{app}-{number}").parse()
    }

    /// The app, and the number of the rollout among the app's.
    #[must_use]
    pub fn parts(&self) -> Option<(AppName, u64)> {
        let (app, number) = self.as_str().rsplit_once('-')?;
        Some((app.parse().ok()?, number.parse().ok()?))
    }
}

/// Which version a service runs, as far as it was verified.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Versions {
    /// What was last verified to run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current: Option<Version>,
    /// What ran before that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous: Option<Version>,
    /// How the last update of it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<crate::rollout::RowStatus>,
    /// When that was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<Moment>,
    /// The rollout that did it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rollout: Option<RolloutId>,
}

impl Versions {
    /// True if no rollout ever came by.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        *self == Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_exact_or_refused() {
        let sha = "0123456789abcdef0123456789abcdef01234567";
        assert_eq!(sha.parse::<Version>().unwrap().short(), "0123456");
        assert!(format!("sha256:{}", "a".repeat(64)).parse::<Version>().is_ok());
        let long = format!("{sha}0");
        let loud = sha.to_uppercase();
        for bad in ["", "main", "0123456", &loud, &long, "--upload-pack=x", "HEAD", "sha256:abc", "v1.0"] {
            assert!(bad.parse::<Version>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_rollout_is_named_after_its_app() {
        let app: AppName = "rachel8-eu".parse().unwrap();
        let id = RolloutId::of(&app, 17).unwrap();
        assert_eq!(id.as_str(), "rachel8-eu-17");
        assert_eq!(id.parts().unwrap(), (app, 17));
        for bad in ["", "17", "-17", "rachel8-", "rachel8-0", "rachel8-01", "rachel8-x", "../x-1", "a-1#HEAD"]
        {
            assert!(bad.parse::<RolloutId>().is_err(), "{bad}");
        }
    }
}
