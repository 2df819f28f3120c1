//! The state digest: a 128-bit hash per item, added up, so a change costs as much as the change and
//! the order of keys does not matter. It finds damage and divergence; it is no defence against malice.

use std::hash::Hasher;

use siphasher::sip128::{Hasher128, SipHasher13};

use crate::item::Item;

/// Fixed for all time: replicas of different releases compare digests.
const KEYS: (u64, u64) = (0x5374_6f61_2073_746f, 0x7265_2064_6967_6573);

/// The contribution of one item.
pub(crate) fn item(item: &Item) -> u128 {
    let mut hasher = SipHasher13::new_with_keys(KEYS.0, KEYS.1);
    // The length separates key from value.
    hasher.write_u64(item.key.len() as u64);
    hasher.write(&item.key);
    hasher.write(&item.value);
    for number in [item.create_revision, item.mod_revision, item.version] {
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
