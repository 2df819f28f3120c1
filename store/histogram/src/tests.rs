//! Buckets tile the range; percentiles are within a bucket of the exact ones.

use super::*;

/// 252 buckets of eight bytes.
const BUCKETS: usize = 63 * PER_POWER;

#[test]
fn buckets_tile_the_whole_range_in_order() {
    for index in 0..BUCKETS {
        assert_eq!(bucket(lowest(index)), index);
        assert_eq!(bucket(middle(index)), index);
        if index > 0 {
            assert_eq!(bucket(lowest(index) - 1), index - 1);
        }
    }
    assert_eq!(bucket(u64::MAX), BUCKETS - 1);
}

#[test]
fn percentiles_are_within_an_eighth_of_the_exact_ones() {
    // A multiplicative sequence visits every magnitude.
    let mut next = 0x9e37_79b9_7f4a_7c15_u64;
    for count in [1_usize, 2, 10, 999, 10_000] {
        let mut exact: Vec<u64> = (0..count)
            .map(|n| {
                next = next.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
                next >> (n % 64)
            })
            .collect();
        let mut histogram = Histogram::<()>::new();
        exact.iter().for_each(|value| histogram.record(*value));
        exact.sort_unstable();
        for p in [0.001, 0.01, 0.05, 0.1, 0.5, 0.9, 0.99, 0.999, 1.0] {
            let rank = ((p * count as f64).ceil() as usize).clamp(1, count);
            let (truth, found) = (exact[rank - 1], histogram.percentile(p));
            assert!(
                truth.abs_diff(found) <= truth / 8 + 1,
                "{count} samples, p{p}: {found}, not {truth}"
            );
        }
        assert!(histogram.counts.len() <= BUCKETS);
    }
}

#[test]
fn counts_and_empties() {
    let empty = Histogram::<()>::new();
    assert_eq!(empty.percentile_stats(), PercentileStats::default());
    let mut histogram = Histogram::<()>::default();
    histogram.record_n(3, 99);
    histogram.record(u64::MAX);
    histogram.record_n(7, 0);
    assert_eq!(histogram.total(), 100);
    assert_eq!(
        (histogram.percentile(0.99), histogram.percentile(0.0)),
        (3, 3)
    );
    assert!(histogram.percentile(1.0) >= u64::MAX - u64::MAX / 8);
    assert_ne!(histogram, empty);
    histogram.record_n(1, u64::MAX);
    assert_eq!(histogram.total(), u64::MAX);
}

#[test]
fn printed() {
    let mut histogram = Histogram::new();
    histogram.record_n(1, 8);
    histogram.record_n(9, 1);
    assert_eq!(
        histogram.percentile_stats().to_string(),
        "n=9 p0.1=1 p1=1 p5=1 p10=1 p50=1 p90=8 p99=8 p99.9=8"
    );
    let chart = AsciiChart::new()
        .add("few", histogram)
        .add("none", Histogram::new());
    assert_eq!(chart.to_string(), "few  |█  ▁| n=9\nnone || n=0\n");
}
