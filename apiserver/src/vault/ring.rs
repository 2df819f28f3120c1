//! The ring of data keys as the store holds it: each wrapped by a root. It comes into the log before
//! anything its keys seal, so whoever reads sealed bytes has the ring that opens them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::roots::Roots;
use super::seal::DataKey;

/// Keys kept. Each rotation rewrites all objects; older keys are for history that is still read.
const KEPT: usize = 16;

/// The data keys, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ring {
    keys: Vec<Wrapped>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Wrapped {
    id: u32,
    root: String,
    secret: String,
}

impl Ring {
    /// Reads the stored form.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }

    /// The stored form.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        serde_json::to_vec(self)
            .expect("words and numbers encode")
            .into()
    }

    /// The key that seals; 0 if there is none.
    #[must_use]
    pub fn primary(&self) -> u32 {
        self.keys.first().map_or(0, |key| key.id)
    }

    /// All keys, ready for use.
    ///
    /// # Errors
    /// The name of the root that is missing.
    pub fn unwrap(&self, roots: &Roots) -> Result<Vec<DataKey>, String> {
        let secrets = self.secrets(roots)?;
        Ok(secrets
            .iter()
            .map(|(id, secret)| DataKey::new(*id, secret))
            .collect())
    }

    /// The ring with a new key in front, all of it wrapped by the first root.
    ///
    /// # Errors
    /// The name of the root that is missing.
    pub fn with_new(&self, secret: &[u8], roots: &Roots) -> Result<Self, String> {
        let id = self.keys.iter().map(|key| key.id).max().unwrap_or(0) + 1;
        let mut secrets = vec![(id, secret.to_vec())];
        secrets.extend(self.secrets(roots)?);
        secrets.truncate(KEPT);
        let wrap = |(id, secret): (u32, Vec<u8>)| {
            let (root, wrapped) = roots.wrap(&place(id), &secret)?;
            let secret = STANDARD.encode(wrapped);
            Some(Wrapped { id, root, secret })
        };
        let keys: Option<Vec<Wrapped>> = secrets.into_iter().map(wrap).collect();
        let keys = keys.ok_or_else(|| "(none)".to_owned())?;
        Ok(Self { keys })
    }

    fn secrets(&self, roots: &Roots) -> Result<Vec<(u32, Vec<u8>)>, String> {
        let one = |key: &Wrapped| {
            let wrapped = STANDARD.decode(&key.secret).ok();
            let secret = wrapped.and_then(|bytes| roots.unwrap(&key.root, &place(key.id), &bytes));
            secret
                .map(|secret| (key.id, secret))
                .ok_or_else(|| key.root.clone())
        };
        self.keys.iter().map(one).collect()
    }
}

/// A wrapped key cannot be passed off as another.
fn place(id: u32) -> Vec<u8> {
    format!("data key {id}").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rotation_keeps_what_is_needed_for_reading() {
        let roots = Roots::new(None, b"ca").unwrap();
        let mut ring = Ring::default();
        let mut sealed = Vec::new();
        for n in 1..=20_u8 {
            ring = ring.with_new(&[n; 32], &roots).unwrap();
            let ring = Ring::parse(&ring.encode()).unwrap();
            let keys = ring.unwrap(&roots).unwrap();
            assert_eq!((ring.primary(), keys[0].id()), (u32::from(n), u32::from(n)));
            sealed.push(keys[0].seal(b"/a", b"x"));
            let opens = |bytes: &Bytes| keys.iter().any(|key| key.open(b"/a", bytes).is_some());
            let kept = sealed.iter().filter(|bytes| opens(bytes)).count();
            assert_eq!(kept, usize::from(n).min(KEPT));
        }
        let text = String::from_utf8(ring.encode().to_vec()).unwrap();
        assert!(!text.contains(&STANDARD.encode([20; 32])), "wrapped");
    }

    #[test]
    fn another_root_opens_nothing_until_it_is_handed_over() {
        let old = Roots::new(None, b"ca").unwrap();
        let ring = Ring::default().with_new(&[1; 32], &old).unwrap();
        let stranger = Roots::new(None, b"other").unwrap();
        assert!(ring.unwrap(&stranger).is_err() && ring.with_new(&[2; 32], &stranger).is_err());
        let file = STANDARD.encode([9; 32]);
        let both = Roots::new(Some(&file), b"ca").unwrap();
        let moved = ring.with_new(&[2; 32], &both).unwrap();
        assert!(
            moved.unwrap(&old).is_err(),
            "the file's root wraps all of it now"
        );
        let alone = Roots::new(Some(&file), b"other").unwrap();
        assert_eq!(moved.unwrap(&alone).unwrap().len(), 2);
    }
}
