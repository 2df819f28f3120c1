//! What a service account's token says: the claims of pkg/serviceaccount/claims.go.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::keys;
use crate::user::User;

/// Opens every service account's user name.
pub const PREFIX: &str = "system:serviceaccount:";

/// Group of all service accounts; with a colon and a namespace, of those in one.
pub const GROUP: &str = "system:serviceaccounts";

/// Key of a user's extra that tells one token from another.
const CREDENTIAL: &str = "authentication.kubernetes.io/credential-id";

/// The claims.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// To whom the token speaks.
    pub aud: Vec<String>,
    /// It ends at this second.
    pub exp: u64,
    /// It was issued at this second.
    pub iat: u64,
    /// Who issued it.
    pub iss: String,
    /// Its own name.
    pub jti: String,
    /// It begins at this second.
    pub nbf: u64,
    /// The user.
    pub sub: String,
    /// The objects it stands on.
    #[serde(rename = "kubernetes.io")]
    pub objects: Objects,
}

/// The objects a token stands on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Objects {
    /// Where they are.
    pub namespace: String,
    /// The account.
    pub serviceaccount: Reference,
    /// The Secret with which it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<Reference>,
}

/// One object, and no later one of its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reference {
    /// `metadata.name`.
    pub name: String,
    /// `metadata.uid`.
    pub uid: String,
}

impl Claims {
    /// Where the objects lie on which the token stands, each with the uid it must have.
    #[must_use]
    pub fn stands_on(&self) -> Vec<(Bytes, &str)> {
        let Objects {
            namespace,
            serviceaccount,
            secret,
        } = &self.objects;
        let at = |plural: &str, reference: &Reference| {
            keys::object("", plural, Some(namespace), &reference.name)
        };
        let account = (at("serviceaccounts", serviceaccount), &*serviceaccount.uid);
        let secret = secret
            .as_ref()
            .map(|secret| (at("secrets", secret), &*secret.uid));
        std::iter::once(account).chain(secret).collect()
    }

    /// The user a token with these claims speaks for.
    #[must_use]
    pub fn user(&self) -> User {
        let namespace = &self.objects.namespace;
        let groups = [
            GROUP.to_owned(),
            format!("{GROUP}:{namespace}"),
            super::AUTHENTICATED.to_owned(),
        ];
        let credential = vec![format!("JTI={}", self.jti)];
        User {
            name: user_name(namespace, &self.objects.serviceaccount.name),
            groups: groups.into(),
            uid: self.objects.serviceaccount.uid.clone(),
            extra: [(CREDENTIAL.to_owned(), credential)].into(),
        }
    }
}

/// The user name of a service account.
#[must_use]
pub fn user_name(namespace: &str, name: &str) -> String {
    format!("{PREFIX}{namespace}:{name}")
}
