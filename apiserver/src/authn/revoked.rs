//! Credentials that are not heard any more, as the Revocation objects say.
//!
//! A certificate is known by its serial number and a token by its own name, never by the hash of the
//! whole: a signature can be written in more than one way, and the holder would only have to rewrite it.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use serde_json::Value;

/// What is revoked at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Revoked {
    serials: HashSet<String>,
    tokens: HashSet<String>,
    /// Of each user the last second at which what he was given is revoked.
    users: HashMap<String, u64>,
}

impl Revoked {
    /// What these Revocation objects say together.
    #[must_use]
    pub fn of(objects: impl IntoIterator<Item = Value>) -> Self {
        let mut all = Self::default();
        for object in objects {
            all.add(&object);
        }
        all
    }

    fn add(&mut self, object: &Value) {
        let text = |field: &str| object["spec"][field].as_str();
        if let Some(serial) = text("serial") {
            self.serials.insert(serial_of(serial));
        }
        if let Some(token) = text("token") {
            self.tokens.insert(token.to_owned());
        }
        if let Some(user) = text("user") {
            let created = object["metadata"]["creationTimestamp"].as_str();
            // A time that cannot be read is no reason to hear anybody.
            let until_s = seconds(text("issuedBefore").or(created)).unwrap_or(u64::MAX);
            let last = self.users.entry(user.to_owned()).or_default();
            *last = until_s.max(*last);
        }
    }

    /// Is this certificate revoked?
    #[must_use]
    pub fn certificate(&self, serial: &str, user: &str, issued_s: u64) -> bool {
        self.serials.contains(serial) || self.user(user, Some(issued_s))
    }

    /// Is this token revoked? One without a name or time of its own goes with its user alone.
    #[must_use]
    pub fn token(&self, id: Option<&str>, user: &str, issued_s: Option<u64>) -> bool {
        id.is_some_and(|id| self.tokens.contains(id)) || self.user(user, issued_s)
    }

    /// In the very second of the revocation one cannot tell what was first.
    fn user(&self, user: &str, issued_s: Option<u64>) -> bool {
        let last = self.users.get(user);
        last.is_some_and(|&until_s| issued_s.unwrap_or(0) <= until_s)
    }
}

/// A serial number as it is compared: lower case, without colons and leading zeros.
#[must_use]
pub fn serial_of(text: &str) -> String {
    let digits: String = text.chars().filter(char::is_ascii_hexdigit).collect();
    let digits = digits.to_ascii_lowercase();
    digits.trim_start_matches('0').to_owned()
}

fn seconds(text: Option<&str>) -> Option<u64> {
    let time: Timestamp = text?.parse().ok()?;
    u64::try_from(time.as_second()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const MADE: &str = "2027-01-15T08:00:00Z";
    const MADE_S: u64 = 1_800_000_000;

    fn revoked(specs: &[Value]) -> Revoked {
        let object = |spec: &Value| json!({"metadata": {"creationTimestamp": MADE}, "spec": spec});
        Revoked::of(specs.iter().map(object))
    }

    #[test]
    fn single_credentials() {
        let all = revoked(&[json!({"serial": "0A:1b"}), json!({"token": "t"})]);
        assert!(all.certificate("a1b", "u", MADE_S + 9));
        assert!(!all.certificate("a1c", "u", 0));
        assert!(!all.certificate("", "u", 0));
        assert!(all.token(Some("t"), "u", Some(MADE_S + 9)));
        assert!(!all.token(Some("T"), "u", None));
        assert!(!all.token(None, "u", None));
    }

    #[test]
    fn users_until_a_second() {
        for (spec, until_s) in [
            (json!({"user": "u"}), MADE_S),
            (
                json!({"user": "u", "issuedBefore": "2027-01-15T09:00:00+01:00"}),
                MADE_S,
            ),
            (
                json!({"user": "u", "issuedBefore": "2027-01-15T07:59:00Z"}),
                MADE_S - 60,
            ),
            (json!({"user": "u", "issuedBefore": "soon"}), u64::MAX - 1),
        ] {
            let all = revoked(&[
                spec.clone(),
                json!({"user": "u", "issuedBefore": "1999-01-01T00:00:00Z"}),
            ]);
            assert!(all.certificate("1", "u", until_s), "{spec}");
            assert!(all.token(Some("x"), "u", Some(until_s)), "{spec}");
            assert!(all.token(None, "u", None), "{spec}");
            assert!(!all.certificate("1", "v", 0), "{spec}");
            if until_s < MADE_S + 1 {
                assert!(!all.certificate("1", "u", until_s + 1), "{spec}");
            }
        }
    }

    #[test]
    fn serials_are_compared_however_they_are_written() {
        for text in ["0a1B", "00:0A:1B", "a1b"] {
            assert_eq!(serial_of(text), "a1b");
        }
    }
}
