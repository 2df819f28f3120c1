//! Bootstrap tokens: Secrets of their own type in kube-system, for newcomers. The rules are those of
//! plugin/pkg/auth/authenticator/token/bootstrap.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use jiff::Timestamp;
use serde_json::Value;

use super::{AUTHENTICATED, Verified, same};
use crate::keys;
use crate::metadata;
use crate::user::User;

/// Type of the Secrets that are bootstrap tokens.
pub const TYPE: &str = "bootstrap.kubernetes.io/token";

/// Group of all who hold one; opens the names of further groups.
const GROUP: &str = "system:bootstrappers";

/// The two parts of a bootstrap token: six letters that name it, sixteen that are secret.
#[must_use]
pub fn parts(token: &str) -> Option<(&str, &str)> {
    let (id, secret) = token.split_once('.')?;
    let lower = |text: &str, len: usize| {
        text.len() == len
            && text
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
    };
    (lower(id, 6) && lower(secret, 16)).then_some((id, secret))
}

/// Where the Secret of a bootstrap token lies.
#[must_use]
pub fn key(id: &str) -> Bytes {
    let name = format!("bootstrap-token-{id}");
    keys::object("", "secrets", Some("kube-system"), &name)
}

/// What the token says, given its Secret; none unless all of it holds.
#[must_use]
pub fn verify(id: &str, secret: &str, stored: &Value, now_s: u64) -> Option<Verified> {
    let field = |name: &str| -> Option<String> {
        let bytes = STANDARD.decode(stored["data"][name].as_str()?).ok()?;
        String::from_utf8(bytes).ok()
    };
    let good = stored["type"] == TYPE
        && !metadata::is_deleting(stored)
        && field("token-id").as_deref() == Some(id)
        && field("usage-bootstrap-authentication").as_deref() == Some("true")
        && field("token-secret").is_some_and(|own| same(own.as_bytes(), secret.as_bytes()));
    let expires_s = match field("expiration").filter(|text| good && !text.is_empty()) {
        Some(text) => Some(u64::try_from(text.parse::<Timestamp>().ok()?.as_second()).ok()?),
        None => None,
    };
    if !good || expires_s.is_some_and(|end_s| end_s <= now_s) {
        return None;
    }
    Some(Verified {
        user: User {
            name: format!("system:bootstrap:{id}"),
            groups: groups(&field("auth-extra-groups").unwrap_or_default())?,
            ..User::default()
        },
        expires_s,
        ..Verified::default()
    })
}

/// All groups of the holder; none if one of those asked for may not be given.
fn groups(extra: &str) -> Option<Vec<String>> {
    let mut groups = vec![GROUP.to_owned()];
    for group in extra
        .split(',')
        .map(str::trim)
        .filter(|group| !group.is_empty())
    {
        let rest = group.strip_prefix(GROUP)?.strip_prefix(':')?;
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let inner = |b: u8| plain(b) || b == b':' || b == b'-';
        let fits =
            rest.len() <= 256 && rest.bytes().all(inner) && rest.bytes().last().is_some_and(plain);
        if !fits {
            return None;
        }
        groups.push(group.to_owned());
    }
    groups.push(AUTHENTICATED.to_owned());
    Some(groups)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const ID: &str = "07401b";
    const SECRET: &str = "f395accd246ae52d";

    fn stored(changes: &[(&str, Option<&str>)]) -> Value {
        let mut data: std::collections::BTreeMap<&str, &str> = [
            ("token-id", ID),
            ("token-secret", SECRET),
            ("usage-bootstrap-authentication", "true"),
            ("expiration", "2027-01-01T00:00:00Z"),
            (
                "auth-extra-groups",
                "system:bootstrappers:workers,system:bootstrappers:a-1",
            ),
        ]
        .into();
        for (key, value) in changes {
            match value {
                Some(value) => _ = data.insert(key, value),
                None => _ = data.remove(key),
            }
        }
        let data: Value = data
            .into_iter()
            .map(|(key, value)| (key.to_owned(), Value::from(STANDARD.encode(value))))
            .collect::<serde_json::Map<_, _>>()
            .into();
        json!({"kind": "Secret", "type": TYPE, "metadata": {"name": "bootstrap-token-07401b"}, "data": data})
    }

    #[test]
    fn shapes() {
        for (token, good) in [
            ("07401b.f395accd246ae52d", true),
            ("07401B.f395accd246ae52d", false),
            ("07401b.f395accd246ae52", false),
            ("07401b.f395accd246ae52d.", false),
            ("07401bf395accd246ae52d", false),
            ("", false),
        ] {
            assert_eq!(parts(token).is_some(), good, "{token}");
        }
        assert_eq!(key(ID), "/core/secrets/kube-system/bootstrap-token-07401b");
    }

    #[test]
    fn every_rule_counts() {
        let now_s = 1_790_000_000;
        let verified = verify(ID, SECRET, &stored(&[]), now_s).unwrap();
        assert_eq!(verified.user.name, "system:bootstrap:07401b");
        let groups = [
            "system:bootstrappers",
            "system:bootstrappers:workers",
            "system:bootstrappers:a-1",
            "system:authenticated",
        ];
        assert_eq!(verified.user.groups, groups);
        let end_s = verified.expires_s.unwrap();
        for (changes, secret, now_s, good) in [
            (&[][..], SECRET, end_s - 1, true),
            (&[], SECRET, end_s, false),
            (&[], "f395accd246ae52e", now_s, false),
            (&[("expiration", None)], SECRET, end_s + 1, true),
            (&[("expiration", Some("soon"))], SECRET, now_s, false),
            (
                &[("usage-bootstrap-authentication", None)],
                SECRET,
                now_s,
                false,
            ),
            (
                &[("usage-bootstrap-authentication", Some("True"))],
                SECRET,
                now_s,
                false,
            ),
            (&[("token-id", Some("07401c"))], SECRET, now_s, false),
            (&[("token-secret", None)], SECRET, now_s, false),
            (
                &[("auth-extra-groups", Some("system:masters"))],
                SECRET,
                now_s,
                false,
            ),
            (
                &[("auth-extra-groups", Some("system:bootstrappers:-"))],
                SECRET,
                now_s,
                false,
            ),
            (&[("auth-extra-groups", None)], SECRET, now_s, true),
        ] {
            let found = verify(ID, secret, &stored(changes), now_s);
            assert_eq!(found.is_some(), good, "{changes:?} {now_s}");
        }
        let mut other = stored(&[]);
        other["type"] = "Opaque".into();
        assert!(verify(ID, SECRET, &other, now_s).is_none());
        let mut going = stored(&[]);
        going["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
        assert!(verify(ID, SECRET, &going, now_s).is_none());
    }
}
