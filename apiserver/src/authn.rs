//! Who asks: the user behind a request's credentials. One file for each kind of token; what a
//! certificate says is read in `pki`. Pure: `edge/identity.rs` brings the clock, the store and the
//! file of static tokens.

pub mod bootstrap;

pub mod cache;

pub mod claims;

pub mod fixed;

pub mod issuer;

pub mod jws;

pub mod request;

pub mod revoked;

use std::collections::BTreeMap;

use bytes::Bytes;
use manifests::token::JoinRole;
use ring::hmac;

use crate::pki::Authority;
use crate::user::User;

/// Group of those who hold a join token and nothing else yet.
pub const JOINERS: &str = "stoa:joiners";

/// Group of everybody who is known.
pub const AUTHENTICATED: &str = "system:authenticated";

/// Clocks of those who make join tokens may be ahead by this much.
const SKEW_S: u64 = 5 * 60;

/// Longest token that is looked at. A service account's has less than one KiB.
pub const TOKEN_BYTES_MAX: usize = 16 << 10;

/// What a token says, checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Whom it speaks for.
    pub user: User,
    /// To whom it speaks; empty: to this API alone.
    pub audiences: Vec<String>,
    /// It says nothing from this second on; none: for ever.
    pub expires_s: Option<u64>,
    /// What tells it from others, and the second in which it was issued, if it says so.
    pub id: Option<String>,
    /// See `id`.
    pub issued_s: Option<u64>,
    /// Store keys of the objects it stands on, each with the revision that was looked at.
    pub witnesses: Vec<(Bytes, u64)>,
}

impl Verified {
    /// A token that stands on nothing and is meant for this API.
    #[must_use]
    pub fn of(user: User) -> Self {
        Self {
            user,
            ..Self::default()
        }
    }
}

/// The token of an `Authorization` header.
#[must_use]
pub fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// What a join token says.
#[must_use]
pub fn joiner(token: &str, authority: &Authority, now_s: u64) -> Option<Verified> {
    let token = authority.verify_token(token, now_s)?;
    let name = format!("stoa:joiner:{}", token.role.as_str());
    // One that claims to be of the future says nothing of when it was made.
    let issued_s = token.issued_s().filter(|&made_s| made_s <= now_s + SKEW_S);
    Some(Verified {
        user: User::new(&name, JOINERS),
        expires_s: Some(token.expires_s),
        issued_s,
        id: Some(token.nonce),
        ..Verified::default()
    })
}

/// The role a joiner's token grants.
#[must_use]
pub fn joiner_role(user: &User) -> Option<JoinRole> {
    let word = user
        .name
        .strip_prefix("stoa:joiner:")
        .filter(|_| user.is_in(JOINERS))?;
    JoinRole::parse(word)
}

/// The user as `UserInfo` of authentication.k8s.io and as a request for a certificate write it.
#[must_use]
pub fn user_info(user: &User) -> serde_json::Map<String, serde_json::Value> {
    let mut info = serde_json::Map::new();
    info.insert("username".into(), user.name.as_str().into());
    if !user.uid.is_empty() {
        info.insert("uid".into(), user.uid.as_str().into());
    }
    if !user.groups.is_empty() {
        info.insert("groups".into(), user.groups.clone().into());
    }
    if !user.extra.is_empty() {
        let extra: BTreeMap<_, _> = user.extra.iter().collect();
        info.insert("extra".into(), serde_json::json!(extra));
    }
    info
}

/// Compares two secrets in a time that tells nothing of where they differ.
pub(crate) fn same(a: &[u8], b: &[u8]) -> bool {
    let key = hmac::Key::new(hmac::HMAC_SHA256, b"compare");
    hmac::verify(&key, a, hmac::sign(&key, b).as_ref()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::user::MASTERS;

    #[test]
    fn joiners() {
        let authority = Authority::create(1_000).unwrap();
        let token = authority.mint(JoinRole::Agent, (500, 2_000), 1);
        let agent = User::new("stoa:joiner:agent", JOINERS);
        let known = joiner(&token, &authority, 1_000).unwrap();
        assert_eq!((&known.user, known.issued_s), (&agent, Some(500)));
        assert_eq!(known.id.as_deref(), Some("000001f400000001"));
        assert_eq!(joiner(&token, &authority, 2_000), None);
        assert_eq!(joiner("nonsense", &authority, 1_000), None);
        assert_eq!(joiner_role(&agent), Some(JoinRole::Agent));
        assert_eq!(joiner_role(&User::new("stoa:joiner:agent", MASTERS)), None);
    }

    #[test]
    fn bearers() {
        for (header, token) in [
            ("Bearer x.y", Some("x.y")),
            ("bearer  x", Some("x")),
            ("Basic YTpi", None),
            ("Bearer", None),
            ("", None),
        ] {
            assert_eq!(bearer(header), token, "{header}");
        }
        assert!(same(b"secret", b"secret"));
        assert!(!same(b"secret", b"secreT") && !same(b"secret", b"secre"));
    }
}
