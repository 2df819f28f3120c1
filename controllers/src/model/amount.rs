//! Sums that cannot fail: a cluster's total may pass what one object may name.

use manifests::resources::{Milli, Ratio, Resources};

/// The sum, each scalar stopping at its largest, ports united.
///
/// Only totals over many objects get that large, and they are only compared.
pub(crate) fn plus(a: &Resources, b: &Resources) -> Resources {
    if let Ok(sum) = a.checked_add(b) {
        return sum;
    }
    let mut sum = a.clone();
    for (name, amount) in b.scalars() {
        sum.set(
            name,
            sum.get(name).checked_add(amount).unwrap_or(Milli::MAX),
        );
    }
    sum.set_ports(a.ports().union(b.ports()));
    sum
}

/// How full an agent of `total` would be when `free` were left, by its fullest resource.
pub(crate) fn least_load(total: &Resources, free: &Resources) -> Ratio {
    let taken = total.without_ports().saturating_sub(free);
    taken
        .dominant_share(total)
        .map_or(Ratio::ZERO, |(_, share)| share)
}
