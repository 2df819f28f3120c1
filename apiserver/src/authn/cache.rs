//! Tokens that were checked before. What a token stands on is asked for at every use, by revision
//! alone: no signature, no object is looked at twice, and a deleted account is refused at once.

use std::collections::HashMap;

use bytes::Bytes;
use ring::digest;

use super::Verified;

/// Tokens kept at most. Beyond, the older half of them is forgotten.
const MOST: usize = 8192;

/// The hash under which a token is kept; the token itself is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Hash([u8; 32]);

impl Hash {
    /// The hash of a token.
    #[must_use]
    pub fn of(token: &str) -> Self {
        let hash = digest::digest(&digest::SHA256, token.as_bytes());
        Self(hash.as_ref().try_into().expect("a SHA-256 has 32 bytes"))
    }
}

/// Two generations: what is used moves to the young one, and the old one is dropped when the young
/// is full.
#[derive(Debug, Default)]
pub struct Cache {
    young: HashMap<Hash, Verified>,
    old: HashMap<Hash, Verified>,
}

impl Cache {
    /// What the token says, if that is known and still holds. `revision` answers at which revision
    /// an object is now.
    pub fn get(
        &mut self,
        hash: Hash,
        now_s: u64,
        mut revision: impl FnMut(&Bytes) -> Option<u64>,
    ) -> Option<Verified> {
        if let Some(kept) = self.old.remove(&hash) {
            self.put(hash, kept);
        }
        let kept = self.young.get(&hash)?;
        let holds = kept.expires_s.is_none_or(|end_s| end_s > now_s)
            && kept
                .witnesses
                .iter()
                .all(|(key, seen)| revision(key) == Some(*seen));
        if holds {
            return Some(kept.clone());
        }
        self.young.remove(&hash);
        None
    }

    /// Keeps what a token says.
    pub fn put(&mut self, hash: Hash, verified: Verified) {
        if self.young.len() >= MOST / 2 {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(hash, verified);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::user::User;

    fn verified(expires_s: u64) -> Verified {
        Verified {
            user: User::new("u", "g"),
            expires_s: Some(expires_s),
            witnesses: vec![(Bytes::from_static(b"/k"), 7)],
            ..Verified::default()
        }
    }

    #[test]
    fn nothing_outlives_its_time_or_its_objects() {
        let hash = Hash::of("t");
        for (now_s, revision, holds) in [
            (9, Some(7), true),
            (10, Some(7), false),
            (9, Some(8), false),
            (9, None, false),
        ] {
            let mut cache = Cache::default();
            cache.put(hash, verified(10));
            assert_eq!(
                cache.get(hash, now_s, |_| revision).is_some(),
                holds,
                "{now_s} {revision:?}"
            );
            assert_eq!(
                cache.get(hash, 9, |_| Some(7)).is_some(),
                holds,
                "gone for good"
            );
        }
    }

    #[test]
    fn bounded() {
        let mut cache = Cache::default();
        for n in 0..MOST * 2 {
            cache.put(Hash::of(&n.to_string()), verified(10));
            assert!(
                cache.get(Hash::of("0"), 9, |_| Some(7)).is_some(),
                "in use, so kept"
            );
        }
        assert!(cache.young.len() + cache.old.len() <= MOST);
    }
}
