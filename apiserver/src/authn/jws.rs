//! Signed claims in the compact form of RFC 7515: one algorithm, one key, nothing negotiable. A
//! token that names another algorithm is no token, whatever its signature.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ED25519, EcdsaKeyPair,
    Ed25519KeyPair, KeyPair, UnparsedPublicKey,
};
use ring::{digest, hmac};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::TOKEN_BYTES_MAX;

/// What the derived key is for; another purpose gives another key.
const PURPOSE: &[u8] = b"stoa service account tokens";

/// Signs claims and checks signatures.
pub struct Signer {
    key: Key,
    id: String,
}

enum Key {
    Es256(Box<EcdsaKeyPair>),
    EdDsa(Ed25519KeyPair),
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl Signer {
    /// The signer that goes with a key in PKCS#8: the key itself if it is one on P-256 (ours are),
    /// else an Ed25519 key derived from it. Every holder of the key gets the same signer.
    ///
    /// A certificate's signed part is DER and begins with byte 0x30, a token's is base64 of a JSON
    /// object and begins with `eyJ`: neither signature can pass for the other.
    #[must_use]
    pub fn of(pkcs8: &[u8]) -> Self {
        let random = SystemRandom::new();
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8, &random)
            .map_or_else(|_other| derived(pkcs8), |key| Key::Es256(Box::new(key)));
        let id = BASE64.encode(digest::digest(&digest::SHA256, key.public()));
        Self { key, id }
    }

    /// The name of the algorithm, as RFC 7518 and RFC 8037 write it.
    #[must_use]
    pub fn algorithm(&self) -> &'static str {
        match self.key {
            Key::Es256(_) => "ES256",
            Key::EdDsa(_) => "EdDSA",
        }
    }

    /// A token with these claims; none if the system has no randomness left.
    #[must_use]
    pub fn sign(&self, claims: &impl Serialize) -> Option<String> {
        let header = json!({"alg": self.algorithm(), "kid": self.id}).to_string();
        let claims = serde_json::to_vec(claims).ok()?;
        let signed = format!("{}.{}", BASE64.encode(header), BASE64.encode(claims));
        let signature = match &self.key {
            Key::Es256(key) => key.sign(&SystemRandom::new(), signed.as_bytes()).ok()?,
            Key::EdDsa(key) => key.sign(signed.as_bytes()),
        };
        Some(format!("{signed}.{}", BASE64.encode(signature)))
    }

    /// The claims of a token of ours; none if it is another's, forged or damaged.
    #[must_use]
    pub fn verify<T: DeserializeOwned>(&self, token: &str) -> Option<T> {
        if token.len() > TOKEN_BYTES_MAX {
            return None;
        }
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let header: Value = serde_json::from_slice(&BASE64.decode(header).ok()?).ok()?;
        let ours = header["alg"] == self.algorithm()
            && header["kid"] == self.id.as_str()
            && header.get("crit").is_none();
        let signature = BASE64.decode(signature).ok().filter(|_| ours)?;
        let algorithm: &dyn ring::signature::VerificationAlgorithm = match self.key {
            Key::Es256(_) => &ECDSA_P256_SHA256_FIXED,
            Key::EdDsa(_) => &ED25519,
        };
        UnparsedPublicKey::new(algorithm, self.key.public())
            .verify(signed.as_bytes(), &signature)
            .ok()?;
        serde_json::from_slice(&BASE64.decode(claims).ok()?).ok()
    }

    /// The public key as a JSON Web Key Set.
    #[must_use]
    pub fn key_set(&self) -> Value {
        let public = self.key.public();
        let mut key = json!({"use": "sig", "kid": self.id, "alg": self.algorithm()});
        match self.key {
            // An uncompressed point: 0x04, then both coordinates.
            Key::Es256(_) => {
                let (x, y) = public[1..].split_at((public.len() - 1) / 2);
                key["kty"] = "EC".into();
                key["crv"] = "P-256".into();
                key["x"] = BASE64.encode(x).into();
                key["y"] = BASE64.encode(y).into();
            }
            Key::EdDsa(_) => {
                key["kty"] = "OKP".into();
                key["crv"] = "Ed25519".into();
                key["x"] = BASE64.encode(public).into();
            }
        }
        json!({ "keys": [key] })
    }
}

impl Key {
    fn public(&self) -> &[u8] {
        match self {
            Self::Es256(key) => key.public_key().as_ref(),
            Self::EdDsa(key) => key.public_key().as_ref(),
        }
    }
}

fn derived(pkcs8: &[u8]) -> Key {
    let seed = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, pkcs8), PURPOSE);
    Key::EdDsa(
        Ed25519KeyPair::from_seed_unchecked(seed.as_ref())
            .expect("every 32 bytes are a seed of Ed25519"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn p256() -> Signer {
        let random = SystemRandom::new();
        let pkcs8 =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        Signer::of(pkcs8.as_ref())
    }

    fn part(value: &Value) -> String {
        BASE64.encode(value.to_string())
    }

    #[test]
    fn only_our_own_signature_counts() {
        let claims = json!({"sub": "x"});
        for signer in [p256(), Signer::of(b"no P-256 key")] {
            let token = signer.sign(&claims).unwrap();
            assert_eq!(signer.verify::<Value>(&token), Some(claims.clone()));
            let [header, body, signature] = token.split('.').collect::<Vec<_>>()[..] else {
                panic!("three parts")
            };
            let (alg, kid) = (signer.algorithm(), signer.id.as_str());
            let other = part(&json!({"sub": "y"}));
            let none = part(&json!({"alg": "none", "kid": kid}));
            let hmac = part(&json!({"alg": "HS256", "kid": kid}));
            let foreign = part(&json!({"alg": alg, "kid": "other"}));
            let critical = part(&json!({"alg": alg, "kid": kid, "crit": ["exp"]}));
            for forged in [
                format!("{header}.{other}.{signature}"),
                format!("{none}.{body}."),
                format!("{none}.{body}.{signature}"),
                format!("{hmac}.{body}.{signature}"),
                format!("{foreign}.{body}.{signature}"),
                format!("{critical}.{body}.{signature}"),
                format!("{header}.{body}"),
                format!("{header}.{body}.{signature}A"),
                format!("{header}.{body}.{signature}."),
                format!("..{signature}"),
                "x".repeat(TOKEN_BYTES_MAX + 1),
                String::new(),
            ] {
                assert_eq!(signer.verify::<Value>(&forged), None, "{forged}");
            }
            let theirs = p256().sign(&claims).unwrap();
            assert_eq!(signer.verify::<Value>(&theirs), None);
        }
    }

    #[test]
    fn the_key_set_names_the_key_of_the_header() {
        let (one, other) = (p256(), Signer::of(b"seed"));
        let keys = one.key_set();
        assert_eq!(keys["keys"][0]["kid"], one.id);
        assert_eq!(keys["keys"][0]["kty"], "EC");
        assert_eq!(
            BASE64
                .decode(keys["keys"][0]["y"].as_str().unwrap())
                .unwrap()
                .len(),
            32
        );
        assert_eq!(other.key_set()["keys"][0]["crv"], "Ed25519");
        assert_eq!(
            other.id,
            Signer::of(b"seed").id,
            "every replica has the same"
        );
    }
}
