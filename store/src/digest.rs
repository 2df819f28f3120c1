//! The state digest: a 128-bit hash per item, added up, so a change costs as much as the change and
//! the order of keys does not matter. It finds damage and divergence; it is no defence against malice.

use xxhash_rust::xxh3::Xxh3;

use crate::slot::Numbers;

/// Fixed for all time: replicas of different releases compare digests.
const SEED: u64 = 0x5374_6f61_2073_746f;

/// The contribution of one item.
pub(crate) fn item(key: &[u8], value: &[u8], numbers: Numbers) -> u128 {
    let mut hasher = Xxh3::with_seed(SEED);
    let numbers = [
        // The length separates key from value.
        key.len() as u64,
        numbers.create_revision,
        numbers.mod_revision,
        numbers.version,
    ];
    update(&mut hasher, &numbers);
    hasher.update(key);
    hasher.update(value);
    hasher.digest128()
}

/// Joins the items' sum with the counters into the digest of the whole state.
pub(crate) fn state(items: u128, counters: &[u64]) -> u128 {
    let mut hasher = Xxh3::with_seed(SEED);
    hasher.update(&items.to_le_bytes());
    update(&mut hasher, counters);
    hasher.digest128()
}

/// A number that everybody computes from the same number and words.
pub(crate) fn words<'a>(number: u128, words: impl Iterator<Item = &'a str>) -> u128 {
    let mut hasher = Xxh3::with_seed(SEED);
    hasher.update(&number.to_le_bytes());
    for word in words {
        update(&mut hasher, &[word.len() as u64]);
        hasher.update(word.as_bytes());
    }
    hasher.digest128()
}

fn update(hasher: &mut Xxh3, numbers: &[u64]) {
    numbers
        .iter()
        .for_each(|number| hasher.update(&number.to_le_bytes()));
}
