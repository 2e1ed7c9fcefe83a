//! What a call of a hook claims of itself in its headers, and whether a secret proves it.

use axum::http::{HeaderMap, HeaderName};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use lamplighter_core::Moment;
use lamplighter_core::hook::{DELIVERY_ID_BYTES_MAX, HookKind};
use sha2::Sha256;

use super::secrets::HookKey;

/// How far the clock of a sender who signs the time may be off, in seconds, as the specification has it.
const TOLERANCE_SECS: u64 = 300;
/// Most signatures of one call: a sender who rotates secrets sends two.
const SIGNATURES_MAX: usize = 8;
/// Longest name of an event, in bytes.
const EVENT_BYTES_MAX: usize = 64;
const SIGNATURE_BYTES: usize = 32;

type Signature = [u8; SIGNATURE_BYTES];

/// What the headers claim. Nothing of it is believed before [`Claim::is_signed_by`].
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Claim<'h> {
    /// GitHub's headers. Only the body is signed.
    Github { delivery: &'h str, event: &'h str, signature: Signature },
    /// Those of Standard Webhooks: the id, the time and the body are signed.
    Standard { id: &'h str, timestamp: &'h str, signatures: Vec<Signature> },
}

/// Reads the headers that a hook of this kind is called with. `None` if one is missing, doubled or malformed.
pub(super) fn claim(kind: HookKind, headers: &HeaderMap) -> Option<Claim<'_>> {
    match kind {
        HookKind::Github => Some(Claim::Github {
            delivery: name(only(headers, "x-github-delivery")?, DELIVERY_ID_BYTES_MAX)?,
            event: name(only(headers, "x-github-event")?, EVENT_BYTES_MAX)?,
            signature: from_hex(only(headers, "x-hub-signature-256")?.strip_prefix("sha256=")?)?,
        }),
        HookKind::Standard => {
            let signatures = only(headers, "webhook-signature")?;
            Some(Claim::Standard {
                id: name(only(headers, "webhook-id")?, DELIVERY_ID_BYTES_MAX)?,
                timestamp: only(headers, "webhook-timestamp")?,
                signatures: standard_signatures(signatures)?,
            })
        }
    }
}

impl Claim<'_> {
    /// True if it was made about now, as far as the sender says when.
    pub(super) fn is_fresh(&self, now: Moment) -> bool {
        match self {
            Claim::Github { .. } => true,
            Claim::Standard { timestamp, .. } => {
                seconds(timestamp).is_some_and(|made| now.as_secs().abs_diff(made) <= TOLERANCE_SECS)
            }
        }
    }

    /// True if one of `keys` signed `body`. Every key is tried against every signature, in constant time, so that how
    /// long it takes does not tell which of them fits.
    pub(super) fn is_signed_by(&self, keys: &[HookKey], body: &[u8]) -> bool {
        let mut fits = false;
        for key in keys {
            match self {
                Claim::Github { signature, .. } => fits |= signed(key, &[body], signature),
                Claim::Standard { id, timestamp, signatures } => {
                    let text: [&[u8]; 5] = [id.as_bytes(), b".", timestamp.as_bytes(), b".", body];
                    for signature in signatures {
                        fits |= signed(key, &text, signature);
                    }
                }
            }
        }
        fits
    }

    /// What the sender calls this call.
    pub(super) fn id(&self) -> &str {
        match self {
            Claim::Github { delivery, .. } => delivery,
            Claim::Standard { id, .. } => id,
        }
    }

    /// What the headers say has happened, where they say it.
    pub(super) fn event(&self) -> Option<&str> {
        match self {
            Claim::Github { event, .. } => Some(event),
            Claim::Standard { .. } => None,
        }
    }

    /// True if the id is part of what is signed: nobody can give the same call another one then.
    pub(super) fn signs_its_id(&self) -> bool {
        match self {
            Claim::Github { .. } => false,
            Claim::Standard { .. } => true,
        }
    }
}

/// Does the work of one verification, so that a call which claims nothing takes as long as one that lies.
/// False, but for one in 2^256.
pub(super) fn pretend(key: &HookKey, body: &[u8]) -> bool {
    signed(key, &[body], &[0; SIGNATURE_BYTES])
}

fn signed(key: &HookKey, text: &[&[u8]], signature: &Signature) -> bool {
    // HMAC takes keys of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key.expose()) else { return false };
    for part in text {
        mac.update(part);
    }
    mac.verify_slice(signature).is_ok()
}

/// The value of a header that is there exactly once.
fn only<'h>(headers: &'h HeaderMap, name: &'static str) -> Option<&'h str> {
    let mut all = headers.get_all(HeaderName::from_static(name)).iter();
    match (all.next(), all.next()) {
        (Some(value), None) => value.to_str().ok(),
        (None, _) | (Some(_), Some(_)) => None,
    }
}

fn name(text: &str, most: usize) -> Option<&str> {
    let is_good = (1..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    is_good.then_some(text)
}

/// The time of a call in unix seconds: digits alone, and no more of them than a time has.
fn seconds(text: &str) -> Option<i64> {
    let is_good = (1..=12).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_good { text.parse().ok() } else { None }
}

/// The signatures of version 1. Others may stand beside them, and say nothing here.
fn standard_signatures(text: &str) -> Option<Vec<Signature>> {
    let mut found = Vec::new();
    for (index, one) in text.split(' ').enumerate() {
        let (version, signature) = one.split_once(',')?;
        if index >= SIGNATURES_MAX {
            return None;
        }
        if version == "v1" {
            found.push(STANDARD.decode(signature).ok()?.try_into().ok()?);
        }
    }
    (!found.is_empty()).then_some(found)
}

fn from_hex(text: &str) -> Option<Signature> {
    if text.len() != SIGNATURE_BYTES * 2 || !text.is_ascii() {
        return None;
    }
    let mut bytes = [0; SIGNATURE_BYTES];
    for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    // `from_str_radix` takes a sign, too.
    text.bytes().all(|byte| byte.is_ascii_hexdigit()).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    /// The example of GitHub's documentation, "Validating webhook deliveries".
    const GITHUB_SECRET: &str = "It's a Secret to Everybody";
    const GITHUB_BODY: &[u8] = b"Hello, World!";
    const GITHUB_SIGNATURE: &str = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";

    /// The example of the Standard Webhooks specification and of its libraries' tests.
    const STANDARD_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const STANDARD_BODY: &[u8] = br#"{"test": 2432232314}"#;
    const STANDARD_ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const STANDARD_TIME: &str = "1614265330";
    const STANDARD_SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

    fn standard(signature: &str) -> HeaderMap {
        headers(&[
            ("webhook-id", STANDARD_ID),
            ("webhook-timestamp", STANDARD_TIME),
            ("webhook-signature", signature),
        ])
    }

    fn key(kind: HookKind, text: &str) -> HookKey {
        HookKey::read(kind, text).unwrap()
    }

    #[test]
    fn the_published_examples_are_proved_and_nothing_beside_them() {
        let github = headers(&[
            ("x-github-delivery", "72d3162e-cc78-11e3-81ab-4c9367dc0958"),
            ("x-github-event", "push"),
            ("x-hub-signature-256", GITHUB_SIGNATURE),
        ]);
        let claimed = claim(HookKind::Github, &github).unwrap();
        let right = key(HookKind::Github, GITHUB_SECRET);
        assert!(claimed.is_signed_by(std::slice::from_ref(&right), GITHUB_BODY));
        assert!(!claimed.is_signed_by(std::slice::from_ref(&right), b"Hello, World."));
        let wrong = || key(HookKind::Github, "another secret altogether");
        assert!(!claimed.is_signed_by(&[wrong()], GITHUB_BODY));
        assert!(claimed.is_signed_by(&[wrong(), right], GITHUB_BODY), "the newer secret, while both count");
        assert!(!claimed.is_signed_by(&[], GITHUB_BODY));

        let given = standard(STANDARD_SIGNATURE);
        let claimed = claim(HookKind::Standard, &given).unwrap();
        let right = [key(HookKind::Standard, STANDARD_SECRET)];
        assert!(claimed.is_signed_by(&right, STANDARD_BODY));
        assert!(!claimed.is_signed_by(&right, br#"{"test": 2432232315}"#));
        let beside = format!("v2,AAAA v1,{} {STANDARD_SIGNATURE}", STANDARD.encode([7; 32]));
        let given = standard(&beside);
        assert!(claim(HookKind::Standard, &given).unwrap().is_signed_by(&right, STANDARD_BODY));
        let mut other = standard(STANDARD_SIGNATURE);
        other.insert("webhook-id", "msg_another".parse().unwrap());
        assert!(!claim(HookKind::Standard, &other).unwrap().is_signed_by(&right, STANDARD_BODY));
    }

    #[test]
    fn a_signed_time_counts_for_five_minutes_either_way() {
        let given = standard(STANDARD_SIGNATURE);
        let claimed = claim(HookKind::Standard, &given).unwrap();
        let made: i64 = STANDARD_TIME.parse().unwrap();
        for (off, fresh) in [(0, true), (299, true), (300, true), (301, false), (-300, true), (-301, false)] {
            assert_eq!(claimed.is_fresh(Moment::from_millis((made + off) * 1_000)), fresh, "{off}");
        }
        for bad in ["", "-1614265330", "+1614265330", "1614265330.5", "0x1", "9999999999999999999"] {
            let mut given = standard(STANDARD_SIGNATURE);
            given.insert("webhook-timestamp", bad.parse().unwrap());
            let now = Moment::from_millis(made * 1_000);
            assert!(!claim(HookKind::Standard, &given).is_some_and(|claimed| claimed.is_fresh(now)), "{bad}");
        }
    }

    #[test]
    fn headers_that_are_missing_doubled_or_malformed_claim_nothing() {
        let good = [
            ("x-github-delivery", "72d3162e"),
            ("x-github-event", "push"),
            ("x-hub-signature-256", GITHUB_SIGNATURE),
        ];
        assert!(claim(HookKind::Github, &headers(&good)).is_some());
        assert!(claim(HookKind::Standard, &headers(&good)).is_none());
        for left_out in 0..good.len() {
            let mut some = good.to_vec();
            let (name, value) = some.remove(left_out);
            assert!(claim(HookKind::Github, &headers(&some)).is_none(), "without {name}");
            some.extend([(name, value), (name, value)]);
            assert!(claim(HookKind::Github, &headers(&some)).is_none(), "{name} twice");
            let mut empty = good.to_vec();
            empty[left_out].1 = "";
            assert!(claim(HookKind::Github, &headers(&empty)).is_none(), "{name} empty");
        }
        let hex = GITHUB_SIGNATURE.trim_start_matches("sha256=");
        for bad in [
            hex,
            &format!("sha1={hex}"),
            "sha256=",
            &format!("sha256={hex}0"),
            &format!("sha256=+{}", &hex[1..]),
        ] {
            let mut given = headers(&good);
            given.insert("x-hub-signature-256", bad.parse().unwrap());
            assert!(claim(HookKind::Github, &given).is_none(), "{bad}");
        }
        let long = "x".repeat(DELIVERY_ID_BYTES_MAX + 1);
        for bad in ["a b", &long] {
            let mut given = headers(&good);
            given.insert("x-github-delivery", bad.parse().unwrap());
            assert!(claim(HookKind::Github, &given).is_none(), "{bad}");
        }
        let many = [STANDARD_SIGNATURE; SIGNATURES_MAX + 1].join(" ");
        for bad in ["", "v1", "v1,", "v1,AAAA", "v2,AAAA", &STANDARD_SIGNATURE[3..], &many] {
            assert!(claim(HookKind::Standard, &standard(bad)).is_none(), "{bad}");
        }
    }
}
