//! Join tokens: `stoa.<role>.<expiry>.<nonce>.<mac>.<hash of the CA certificate>`.
//!
//! The servers check expiry and mac. The joiner uses the last part: it trusts the server whose
//! chain ends in a CA certificate with this SHA-256, and so sends the token to nobody else.

use std::fmt;

/// What the holder of a token may become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinRole {
    /// A machine that runs tasks.
    Agent,
    /// A replica.
    Server,
}

impl JoinRole {
    /// The word in tokens and in `JoinRequest::role`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            JoinRole::Agent => "agent",
            JoinRole::Server => "server",
        }
    }

    /// Reads that word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [JoinRole::Agent, JoinRole::Server]
            .into_iter()
            .find(|role| role.as_str() == word)
    }
}

/// A join token, taken apart. Parsing proves nothing: only a server can check the mac.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinToken {
    /// What the holder may become.
    pub role: JoinRole,
    /// Seconds since 1970 after which the token is void.
    pub expires_s: u64,
    /// Hexadecimal; makes every token different. The first half is the second of its making.
    pub nonce: String,
    /// Hexadecimal HMAC-SHA256 of [`JoinToken::signed_part`].
    pub mac: String,
    /// Hexadecimal SHA-256 of the CA certificate (DER).
    pub ca_hash: String,
}

/// Why a text is no join token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not six parts that begin with `stoa`.
    #[error("a join token has the form stoa.<role>.<expiry>.<nonce>.<mac>.<hash>: copy it whole")]
    Shape,
    /// The role is unknown.
    #[error("a join token's role is `agent` or `server`")]
    Role,
    /// The expiry is no number.
    #[error("a join token's expiry is a number of seconds since 1970")]
    Expiry,
    /// A part is not hexadecimal of its length.
    #[error("the join token is damaged in its {0}: copy it whole")]
    Hex(&'static str),
}

impl JoinToken {
    /// Takes a token apart.
    ///
    /// # Errors
    /// The text does not have the form of a token.
    pub fn parse(text: &str) -> Result<Self, TokenError> {
        let parts: Vec<&str> = text.trim().split('.').collect();
        let ["stoa", role, expiry, nonce, mac, ca_hash] = parts[..] else {
            return Err(TokenError::Shape);
        };
        for (part, length, name) in [
            (nonce, 16, "nonce"),
            (mac, 64, "signature"),
            (ca_hash, 64, "certificate hash"),
        ] {
            let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
            if part.len() != length || !part.bytes().all(hex) {
                return Err(TokenError::Hex(name));
            }
        }
        Ok(Self {
            role: JoinRole::parse(role).ok_or(TokenError::Role)?,
            expires_s: expiry.parse().map_err(|_digits| TokenError::Expiry)?,
            nonce: nonce.to_owned(),
            mac: mac.to_owned(),
            ca_hash: ca_hash.to_owned(),
        })
    }

    /// The second in which the token was made; none for one that does not say.
    #[must_use]
    pub fn issued_s(&self) -> Option<u64> {
        let issued_s = u64::from_str_radix(self.nonce.get(..8)?, 16).ok()?;
        (issued_s < self.expires_s).then_some(issued_s)
    }

    /// The part the mac covers.
    #[must_use]
    pub fn signed_part(&self) -> String {
        format!(
            "stoa.{}.{}.{}",
            self.role.as_str(),
            self.expires_s,
            self.nonce
        )
    }
}

impl fmt::Display for JoinToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.signed_part(), self.mac, self.ca_hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip_and_damage() {
        let (nonce, hex) = ("0123456789abcdef", "ab".repeat(32));
        let good = format!("stoa.agent.1700000000.{nonce}.{hex}.{hex}");
        let token = JoinToken::parse(&format!("  {good}\n")).unwrap();
        assert_eq!(
            (token.role, token.expires_s),
            (JoinRole::Agent, 1_700_000_000)
        );
        assert_eq!(token.to_string(), good);
        assert_eq!(token.issued_s(), Some(0x0123_4567));
        let odd = JoinToken {
            nonce: "f".repeat(16),
            ..token
        };
        assert_eq!(odd.issued_s(), None, "later than its end");
        for (text, error) in [
            (String::new(), TokenError::Shape),
            (good.replace("stoa", "sota"), TokenError::Shape),
            (format!("{good}.x"), TokenError::Shape),
            (good.replace("agent", "king"), TokenError::Role),
            (good.replace("1700000000", "soon"), TokenError::Expiry),
            (good.replace(nonce, "0123"), TokenError::Hex("nonce")),
            (good.replacen("ab.", "aB.", 1), TokenError::Hex("signature")),
            (
                good[..good.len() - 1].to_owned(),
                TokenError::Hex("certificate hash"),
            ),
        ] {
            assert_eq!(JoinToken::parse(&text), Err(error), "{text}");
        }
    }
}
