//! The state digest: a 128-bit hash per item, added up, so a change costs as much as the change and
//! the order of keys does not matter. It finds damage and divergence; it is no defence against malice.

use std::hash::Hasher;

use siphasher::sip128::{Hasher128, SipHasher13};

use crate::item::Numbers;

/// Fixed for all time: replicas of different releases compare digests.
const KEYS: (u64, u64) = (0x5374_6f61_2073_746f, 0x7265_2064_6967_6573);

/// The contribution of one item.
pub(crate) fn item(key: &[u8], value: &[u8], numbers: Numbers) -> u128 {
    let mut hasher = SipHasher13::new_with_keys(KEYS.0, KEYS.1);
    // The length separates key from value.
    hasher.write_u64(key.len() as u64);
    hasher.write(key);
    hasher.write(value);
    for number in [
        numbers.create_revision,
        numbers.mod_revision,
        numbers.version,
    ] {
        hasher.write_u64(number);
    }
    hasher.finish128().as_u128()
}

/// Joins the items' sum with the counters into the digest of the whole state.
pub(crate) fn state(items: u128, counters: &[u64]) -> u128 {
    let mut hasher = SipHasher13::new_with_keys(KEYS.0, KEYS.1);
    hasher.write_u128(items);
    for counter in counters {
        hasher.write_u64(*counter);
    }
    hasher.finish128().as_u128()
}
