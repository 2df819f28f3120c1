//! Identities drawn from one random seed, so that the same request computed twice names the same
//! things: a retry after a race, or after a lost answer, cannot create a second object.

use sha2::{Digest, Sha256};

/// Letters Kubernetes uses for generated names: no vowels, no look-alikes.
const LETTERS: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

/// A stream of identities.
#[derive(Clone, Debug)]
pub struct Ids {
    seed: u128,
    drawn: u32,
}

impl Ids {
    /// The stream that belongs to a seed.
    #[must_use]
    pub fn new(seed: u128) -> Self {
        Self { seed, drawn: 0 }
    }

    /// A `metadata.uid`.
    pub fn uid(&mut self) -> String {
        let bytes = self.draw(b"uid");
        uuid::Builder::from_random_bytes(bytes)
            .into_uuid()
            .to_string()
    }

    /// A name from `generateName`: at most 58 bytes of it and five letters.
    pub fn name(&mut self, base: &str) -> String {
        let mut end = base.len().min(58);
        while !base.is_char_boundary(end) {
            end -= 1;
        }
        let bytes = self.draw(b"name");
        let letter = |byte: &u8| LETTERS[usize::from(*byte) % LETTERS.len()] as char;
        let suffix: String = bytes.iter().take(5).map(letter).collect();
        format!("{}{suffix}", &base[..end])
    }

    /// The store's request id for the n-th attempt at this request.
    #[must_use]
    pub fn request(&self, attempt: u32) -> u128 {
        // The store takes 0 for "no id".
        u128::from_be_bytes(digest(self.seed, b"request", attempt)).max(1)
    }

    fn draw(&mut self, purpose: &[u8]) -> [u8; 16] {
        self.drawn += 1;
        digest(self.seed, purpose, self.drawn)
    }
}

/// The seed a user's `requestId` stands for; any text will do, a UUID is usual. Users share no
/// ids: with another's id, nobody can have a request taken for done, or read its answer.
#[must_use]
pub fn seed_of(user: &str, request_id: &str) -> u128 {
    let hash = Sha256::new()
        .chain_update(user.len().to_be_bytes())
        .chain_update(user)
        .chain_update(request_id)
        .finalize();
    u128::from_be_bytes(hash[..16].try_into().expect("a SHA-256 has 32 bytes"))
}

fn digest(seed: u128, purpose: &[u8], n: u32) -> [u8; 16] {
    let hash = Sha256::new()
        .chain_update(seed.to_be_bytes())
        .chain_update(purpose)
        .chain_update(n.to_be_bytes())
        .finalize();
    hash[..16].try_into().expect("a SHA-256 has 32 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams() {
        let (mut one, mut two) = (Ids::new(7), Ids::new(7));
        assert_eq!(one.uid(), two.uid());
        assert_ne!(one.uid(), one.uid());
        assert_ne!(one.request(0), one.request(1));
        let name = one.name(&"é".repeat(40));
        assert!(name.len() <= 63 && name.starts_with('é'));
        assert_eq!(one.name("a-").len(), 7);
    }
}
