//! Headers that ask to be somebody else: who that would be, and which rights it takes.
//! Rules follow `filters/impersonation.go` of k8s.io/apiserver.

use std::fmt;

use http::HeaderMap;

use crate::rbac::as_service_account;
use crate::status::Failure;
use crate::user::{ANONYMOUS, AUTHENTICATED, Attributes, SERVICE_ACCOUNTS, UNAUTHENTICATED, User};

const PREFIX: &str = "impersonate-";
const EXTRA: &str = "impersonate-extra-";
const AUTHENTICATION: &str = "authentication.k8s.io";

/// Somebody a request wants to act as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Who that is.
    pub user: User,
    /// What the caller must be allowed, all of it.
    pub needs: Vec<Attributes>,
}

/// What the headers ask for; none: nothing.
///
/// # Errors
/// 400 for a value that is no text, 403 for a header nobody knows: ignoring it would answer with
/// the caller's own, perhaps greater rights; 500, as upstream, for groups and the like without a user.
pub fn wanted(headers: &HeaderMap) -> Result<Option<Wanted>, Failure> {
    let mut asks = Vec::new();
    for (name, value) in headers {
        let name = name.as_str();
        if name.starts_with(PREFIX) {
            let value = value.to_str().map_err(|_bytes| {
                Failure::bad_request(format!("the header {name:?} must be plain text"))
            })?;
            asks.extend(ask(name, value)?);
        }
    }
    if asks.is_empty() {
        return Ok(None);
    }
    let name = asks.iter().find_map(Ask::user);
    let name = name.map(str::to_owned).ok_or_else(|| homeless(&asks))?;
    Ok(Some(Wanted {
        needs: asks.iter().map(Ask::need).collect(),
        user: user(name, asks),
    }))
}

/// One header.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Ask {
    User(String),
    Group(String),
    Uid(String),
    Extra(String, String),
}

fn ask(name: &str, value: &str) -> Result<Option<Ask>, Failure> {
    let value = value.to_owned();
    Ok(match name {
        "impersonate-user" if value.is_empty() => None,
        "impersonate-user" => Some(Ask::User(value)),
        "impersonate-group" => Some(Ask::Group(value)),
        "impersonate-uid" if value.is_empty() => None,
        "impersonate-uid" => Some(Ask::Uid(value)),
        other => match other.strip_prefix(EXTRA) {
            Some(key) => Some(Ask::Extra(unescape(key), value)),
            None => {
                let text = format!("impersonation by the header {other:?} is not served here");
                return Err(Failure::forbidden_text(text));
            }
        },
    })
}

/// Keys may hold what header names may not, as `%xx`. What does not decode is taken as it is.
fn unescape(key: &str) -> String {
    let mut plain = Vec::with_capacity(key.len());
    let mut bytes = key.bytes();
    while let Some(byte) = bytes.next() {
        let mut digit = || char::from(bytes.next()?).to_digit(16);
        let decoded = match byte {
            b'%' => digit()
                .zip(digit())
                .map(|(high, low)| (high << 4 | low) as u8),
            other => Some(other),
        };
        match decoded {
            Some(byte) => plain.push(byte),
            None => return key.to_owned(),
        }
    }
    String::from_utf8(plain).unwrap_or_else(|_bytes| key.to_owned())
}

impl Ask {
    fn user(&self) -> Option<&str> {
        match self {
            Self::User(name) => Some(name),
            Self::Group(_) | Self::Uid(_) | Self::Extra(..) => None,
        }
    }

    fn need(&self) -> Attributes {
        let (group, resource, subresource, namespace, name) = match self {
            Self::User(name) => match as_service_account(name) {
                Some((namespace, name)) => ("", "serviceaccounts", "", namespace, name),
                None => ("", "users", "", "", name.as_str()),
            },
            Self::Group(name) => ("", "groups", "", "", name.as_str()),
            Self::Uid(uid) => (AUTHENTICATION, "uids", "", "", uid.as_str()),
            Self::Extra(key, value) => (
                AUTHENTICATION,
                "userextras",
                key.as_str(),
                "",
                value.as_str(),
            ),
        };
        Attributes {
            verb: "impersonate".to_owned(),
            group: group.to_owned(),
            version: "v1".to_owned(),
            resource: resource.to_owned(),
            subresource: subresource.to_owned(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            field_selector: String::new(),
        }
    }
}

fn user(name: String, asks: Vec<Ask>) -> User {
    let mut user = User {
        name,
        ..User::default()
    };
    for ask in asks {
        match ask {
            Ask::User(_) => {}
            Ask::Group(group) => user.groups.push(group),
            Ask::Uid(uid) => user.uid = uid,
            Ask::Extra(key, value) => user.extra.entry(key).or_default().push(value),
        }
    }
    if user.groups.is_empty()
        && let Some((namespace, _)) = as_service_account(&user.name)
    {
        let own = format!("{SERVICE_ACCOUNTS}:{namespace}");
        user.groups = vec![SERVICE_ACCOUNTS.to_owned(), own];
    }
    let everybody = match user.name.as_str() {
        ANONYMOUS => UNAUTHENTICATED,
        _ => AUTHENTICATED,
    };
    if !user.is_in(AUTHENTICATED) && !user.is_in(UNAUTHENTICATED) {
        user.groups.push(everybody.to_owned());
    }
    user
}

impl fmt::Display for Ask {
    /// As Go prints an object reference.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(name) => write!(f, "{{User  {name}    }}"),
            Self::Group(name) => write!(f, "{{Group  {name}    }}"),
            Self::Uid(uid) => write!(f, "{{UID  {uid}  {AUTHENTICATION}/v1  }}"),
            Self::Extra(key, value) => {
                write!(f, "{{UserExtra  {value}  {AUTHENTICATION}/v1  {key}}}")
            }
        }
    }
}

fn homeless(asks: &[Ask]) -> Failure {
    let asks: Vec<String> = asks.iter().map(Ask::to_string).collect();
    let asks = asks.join(" ");
    Failure::internal(format!("requested [{asks}] without impersonating a user"))
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn read(lines: &[(&str, &str)]) -> Result<Option<Wanted>, Failure> {
        let pairs = lines.iter().map(|(name, value)| {
            let name: HeaderName = name.parse().unwrap();
            (name, HeaderValue::from_str(value).unwrap())
        });
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(name, value);
        }
        wanted(&headers)
    }

    fn needs(wanted: &Wanted) -> Vec<String> {
        let needs = wanted.needs.iter().map(|need| {
            let Attributes {
                group,
                resource,
                subresource,
                namespace,
                name,
                ..
            } = need;
            format!("{group}/{resource}/{subresource} {namespace}/{name}")
        });
        needs.collect()
    }

    #[test]
    fn users() {
        assert_eq!(read(&[("accept", "*/*")]), Ok(None));
        assert_eq!(read(&[("impersonate-user", "")]), Ok(None));
        for (lines, groups, expected) in [
            (
                &[("Impersonate-User", "jane")][..],
                &["system:authenticated"][..],
                vec!["/users/ /jane"],
            ),
            (
                &[
                    ("Impersonate-User", "jane"),
                    ("Impersonate-Group", "a"),
                    ("impersonate-group", "b"),
                ],
                &["a", "b", "system:authenticated"],
                vec!["/users/ /jane", "/groups/ /a", "/groups/ /b"],
            ),
            (
                &[("Impersonate-User", "system:serviceaccount:ns:robot")],
                &[
                    "system:serviceaccounts",
                    "system:serviceaccounts:ns",
                    "system:authenticated",
                ],
                vec!["/serviceaccounts/ ns/robot"],
            ),
            (
                &[("Impersonate-User", "system:anonymous")],
                &["system:unauthenticated"],
                vec!["/users/ /system:anonymous"],
            ),
            (
                &[
                    ("Impersonate-User", "jane"),
                    ("Impersonate-Uid", "7"),
                    ("Impersonate-Extra-Acme.io%2Fproject", "p"),
                ],
                &["system:authenticated"],
                vec![
                    "/users/ /jane",
                    "authentication.k8s.io/uids/ /7",
                    "authentication.k8s.io/userextras/acme.io/project /p",
                ],
            ),
        ] {
            let found = read(lines).unwrap().unwrap();
            assert_eq!(found.user.groups, groups, "{lines:?}");
            assert_eq!(needs(&found), expected, "{lines:?}");
        }
    }

    #[test]
    fn refusals() {
        let failure = read(&[("Impersonate-Group", "system:masters")]).unwrap_err();
        assert_eq!(
            (failure.code(), failure.message()),
            (
                500,
                "Internal error occurred: requested [{Group  system:masters    }] without impersonating a user"
            )
        );
        let failure = read(&[("Impersonate-Userr", "admin")]).unwrap_err();
        assert_eq!(failure.code(), 403);
    }
}
