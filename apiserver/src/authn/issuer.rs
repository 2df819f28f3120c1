//! Tokens of service accounts: issued, checked, and described to others who want to check them.

use serde_json::{Value, json};

use super::Verified;
use super::claims::{Claims, Objects, user_name};
use super::jws::Signer;

/// The issuer clients expect when nothing else is said, as Kubernetes.
pub const DEFAULT_URL: &str = "https://kubernetes.default.svc.cluster.local";

/// Clocks of replicas may differ by this much.
const SKEW_S: u64 = 60;

/// Issues and checks tokens under one name.
#[derive(Debug)]
pub struct Issuer {
    url: String,
    signer: Signer,
}

/// A token that is to be issued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// To whom it speaks; empty: to this API.
    pub audiences: Vec<String>,
    /// How long.
    pub lasts_s: u64,
    /// On what it stands.
    pub objects: Objects,
}

impl Issuer {
    /// An issuer with this name.
    #[must_use]
    pub fn new(url: String, signer: Signer) -> Self {
        Self { url, signer }
    }

    /// Whom a token must address to be heard by this API.
    #[must_use]
    pub fn audience(&self) -> &str {
        &self.url
    }

    /// Issues a token; answers it with the second at which it ends. None if the system has no
    /// randomness left.
    #[must_use]
    pub fn issue(&self, wanted: Wanted, now_s: u64, id: String) -> Option<(String, u64)> {
        let Wanted {
            mut audiences,
            lasts_s,
            objects,
        } = wanted;
        if audiences.is_empty() {
            audiences.push(self.url.clone());
        }
        let expires_s = now_s.saturating_add(lasts_s);
        let token = self.signer.sign(&Claims {
            aud: audiences,
            exp: expires_s,
            iat: now_s,
            iss: self.url.clone(),
            jti: id,
            nbf: now_s,
            sub: user_name(&objects.namespace, &objects.serviceaccount.name),
            objects,
        })?;
        Some((token, expires_s))
    }

    /// The claims of a token of ours that is good now. What it stands on is still to be checked.
    #[must_use]
    pub fn claims(&self, token: &str, now_s: u64) -> Option<Claims> {
        let claims: Claims = self.signer.verify(token)?;
        let account = &claims.objects.serviceaccount.name;
        let good = claims.iss == self.url
            && claims.exp > now_s
            && claims.nbf <= now_s + SKEW_S
            && claims.sub == user_name(&claims.objects.namespace, account);
        good.then_some(claims)
    }

    /// What a token says once its objects were found. `find` answers an object's uid, unless it is
    /// going away, and its revision.
    pub fn verified(
        claims: &Claims,
        mut find: impl FnMut(&bytes::Bytes) -> Option<(String, u64)>,
    ) -> Option<Verified> {
        let mut witnesses = Vec::new();
        for (key, wanted) in claims.stands_on() {
            let (uid, revision) = find(&key)?;
            if uid != wanted {
                return None;
            }
            witnesses.push((key, revision));
        }
        Some(Verified {
            user: claims.user(),
            audiences: claims.aud.clone(),
            expires_s: Some(claims.exp),
            id: Some(claims.jti.clone()),
            issued_s: Some(claims.iat),
            witnesses,
        })
    }

    /// `/.well-known/openid-configuration`, for a server that clients reach at `address`.
    #[must_use]
    pub fn discovery(&self, address: &str) -> Value {
        json!({
            "issuer": self.url,
            "jwks_uri": format!("https://{address}/openid/v1/jwks"),
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": [self.signer.algorithm()],
        })
    }

    /// `/openid/v1/jwks`.
    #[must_use]
    pub fn key_set(&self) -> Value {
        self.signer.key_set()
    }
}

#[cfg(test)]
mod tests {
    use super::super::claims::Reference;
    use super::*;

    const NOW_S: u64 = 1_800_000_000;

    fn issuer(url: &str) -> Issuer {
        Issuer::new(url.to_owned(), Signer::of(b"seed"))
    }

    fn wanted(secret: bool) -> Wanted {
        let reference = |name: &str, uid: &str| Reference {
            name: name.to_owned(),
            uid: uid.to_owned(),
        };
        Wanted {
            audiences: Vec::new(),
            lasts_s: 600,
            objects: Objects {
                namespace: "ns".to_owned(),
                serviceaccount: reference("robot", "u1"),
                secret: secret.then(|| reference("s", "u2")),
            },
        }
    }

    #[test]
    fn times_and_names() {
        let ours = issuer("https://a");
        let (token, expires_s) = ours.issue(wanted(false), NOW_S, "id".into()).unwrap();
        assert_eq!(expires_s, NOW_S + 600);
        for (issuer, now_s, good) in [
            (&ours, NOW_S, true),
            (&ours, NOW_S + 599, true),
            (&ours, NOW_S + 600, false),
            (&ours, NOW_S - SKEW_S, true),
            (&ours, NOW_S - SKEW_S - 1, false),
            (&issuer("https://b"), NOW_S, false),
        ] {
            assert_eq!(issuer.claims(&token, now_s).is_some(), good, "{now_s}");
        }
        let claims = ours.claims(&token, NOW_S).unwrap();
        assert_eq!(claims.aud, ["https://a"]);
        let user = claims.user();
        assert_eq!(
            (user.name.as_str(), user.uid.as_str()),
            ("system:serviceaccount:ns:robot", "u1")
        );
        assert!(user.is_in("system:serviceaccounts:ns") && user.is_in(GROUP));
        assert_eq!(
            user.extra["authentication.kubernetes.io/credential-id"],
            ["JTI=id"]
        );
    }

    use super::super::claims::GROUP;

    #[test]
    fn a_token_ends_with_what_it_stands_on() {
        let ours = issuer("https://a");
        let (token, _) = ours.issue(wanted(true), NOW_S, "id".into()).unwrap();
        let claims = ours.claims(&token, NOW_S).unwrap();
        for (account, secret, good) in [
            (Some("u1"), Some("u2"), true),
            (None, Some("u2"), false),
            (Some("u9"), Some("u2"), false),
            (Some("u1"), None, false),
            (Some("u1"), Some("u9"), false),
        ] {
            let verified = Issuer::verified(&claims, |key| {
                let found = if key.starts_with(b"/core/secrets") {
                    secret
                } else {
                    account
                };
                found.map(|uid| (uid.to_owned(), 7))
            });
            assert_eq!(verified.is_some(), good, "{account:?} {secret:?}");
            assert!(verified.is_none_or(|v| v.witnesses.len() == 2 && v.witnesses[0].1 == 7));
        }
    }
}
