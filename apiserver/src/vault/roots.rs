//! Roots: the keys that wrap the data keys. They are in files of the replicas and never in the store.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::{digest, hmac};

use super::seal::{DataKey, SECRET_BYTES};

/// What the root made from the authority's key is for.
const PURPOSE: &[u8] = b"stoa secrets at rest";

/// All roots a replica has, the one that wraps first.
#[derive(Debug, Default)]
pub struct Roots {
    all: Vec<Root>,
    /// The text of the file, for servers that join.
    text: String,
}

#[derive(Debug)]
struct Root {
    name: String,
    key: DataKey,
}

impl Root {
    fn new(secret: &[u8]) -> Self {
        let hash = digest::digest(&digest::SHA256, &[PURPOSE, secret].concat());
        let name = hash.as_ref()[..8]
            .iter()
            .map(|b| format!("{b:02x}"))
            .collect();
        let key = DataKey::new(0, secret);
        Self { name, key }
    }
}

impl Roots {
    /// The roots of a file, if there is one, and then the one that is made from the authority's key:
    /// without a file it wraps; with one it still opens what it wrapped before.
    ///
    /// # Errors
    /// Number of the line that is no key.
    pub fn new(file: Option<&str>, authority_key: &[u8]) -> Result<Self, usize> {
        let mut all = Vec::new();
        for (n, line) in (1_usize..).zip(file.unwrap_or_default().lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let secret = STANDARD.decode(line).ok();
            let secret = secret
                .filter(|bytes| bytes.len() == SECRET_BYTES)
                .ok_or(n)?;
            all.push(Root::new(&secret));
        }
        let derived = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, authority_key), PURPOSE);
        all.push(Root::new(derived.as_ref()));
        let text = file.unwrap_or_default().to_owned();
        Ok(Self { all, text })
    }

    /// The text of the file; empty if there is none.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Wraps a data key's secret; answers the name of the root with it.
    #[must_use]
    pub fn wrap(&self, place: &[u8], secret: &[u8]) -> Option<(String, Vec<u8>)> {
        let root = self.all.first()?;
        Some((root.name.clone(), root.key.seal(place, secret).to_vec()))
    }

    /// The secret that was wrapped; none if the root is not here, or the bytes are damaged.
    #[must_use]
    pub fn unwrap(&self, name: &str, place: &[u8], wrapped: &[u8]) -> Option<Vec<u8>> {
        let root = self.all.iter().find(|root| root.name == name)?;
        Some(root.key.open(place, wrapped)?.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files() {
        let line = STANDARD.encode([5; SECRET_BYTES]);
        let file = format!("# newest first\n{line}\n\n");
        let with = Roots::new(Some(&file), b"ca").unwrap();
        let without = Roots::new(None, b"ca").unwrap();
        let (name, wrapped) = without.wrap(b"1", b"secret").unwrap();
        assert_eq!(with.unwrap(&name, b"1", &wrapped).unwrap(), b"secret");
        let (name, wrapped) = with.wrap(b"1", b"secret").unwrap();
        assert_eq!(with.unwrap(&name, b"1", &wrapped).unwrap(), b"secret");
        assert_eq!(
            without.unwrap(&name, b"1", &wrapped),
            None,
            "the file's root is not here"
        );
        assert_eq!(with.unwrap(&name, b"2", &wrapped), None);
        for (text, line) in [("x", 1), ("\nAAAA", 2)] {
            assert_eq!(Roots::new(Some(text), b"ca").unwrap_err(), line);
        }
    }
}
