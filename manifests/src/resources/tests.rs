//! Tables, and arithmetic held against a wide-integer model.

use std::collections::BTreeMap;

use super::*;
use proptest::prelude::*;
use serde_json::json;

#[test]
fn quantities_are_exact_thousandths() {
    let table = [
        ("0", 0),
        ("2", 2_000),
        ("0.5", 500),
        (".5", 500),
        ("2.", 2_000),
        ("+1", 1_000),
        ("500m", 500),
        ("1500m", 1_500),
        ("0.5m", -1),
        ("1e3", 1_000_000),
        ("1E3", 1_000_000),
        ("12e-1", 1_200),
        ("1k", 1_000_000),
        ("1M", 1_000_000_000),
        ("1Ki", 1_024_000),
        ("64Mi", 67_108_864_000),
        ("1.5Gi", 1_610_612_736_000),
        ("0.0009765625Ki", 1_000),
        ("1G", 1_000_000_000_000),
        ("1P", 1_000_000_000_000_000_000),
        ("8Pi", 9_007_199_254_740_992_000),
        ("1000000n", 1),
        ("1000u", 1),
        ("1.000000000000000000000000000000000000000000000000", 1_000),
        ("0.000000000000000000000000000000000000000000000000", 0),
        ("0e999", 0),
        ("1000000000000000000000000000000000000000e-39", -1),
        ("9223372036854775.807", i64::MAX),
    ];
    for (text, thousandths) in table {
        let read = text.parse::<Milli>().ok().map(Milli::get);
        assert_eq!(read, (thousandths >= 0).then_some(thousandths), "{text}");
    }
}

#[test]
fn everything_else_is_refused_with_its_reason() {
    use QuantityError as E;
    let malformed: fn(String) -> E = E::Malformed;
    type Error = fn(String) -> E;
    let table: [(&str, Error); 27] = [
        ("-1", E::Negative),
        ("-0.001", E::Negative),
        ("-.5Gi", E::Negative),
        ("0.0001", E::TooFine),
        ("1n", E::TooFine),
        ("1e-4", E::TooFine),
        (
            "0.00000000000000000000000000000000000000000000000000001",
            E::TooFine,
        ),
        ("1.00005Ki", E::TooFine),
        ("9223372036854775.808", E::TooLarge),
        ("9Pi", E::TooLarge),
        ("1E", E::TooLarge),
        ("1Ei", E::TooLarge),
        ("1e999", E::TooLarge),
        ("99999999999999999999999999999999999999999999", E::TooLarge),
        ("340282366920938463463374607431768211455Ei", E::TooLarge),
        ("NaN", malformed),
        ("inf", malformed),
        ("1 Gi", malformed),
        (" 1", malformed),
        ("1.2.3", malformed),
        (".", malformed),
        ("-", malformed),
        ("1Kib", malformed),
        ("1K", malformed),
        ("1e", malformed),
        ("1e1.5", malformed),
        ("٣", malformed),
    ];
    for (text, error) in table {
        assert_eq!(text.parse::<Milli>(), Err(error(text.to_owned())), "{text}");
    }
    assert_eq!("".parse::<Milli>(), Err(E::Empty));
}

#[test]
fn amounts_print_as_they_are_best_read() {
    let list = |text: &str| {
        let list: ResourceList = text.parse().unwrap();
        serde_json::to_value(list.exact().unwrap().to_list()).unwrap()
    };
    let table = [
        (
            "cpus=500m;mem=65536Ki",
            json!({"cpus": "0.5", "mem": "64Mi"}),
        ),
        (
            "cpu=2.0; memory=1000; disk=0",
            json!({"cpus": "2", "mem": "1000"}),
        ),
        (
            "mem=1.5Gi;disk=2Ti",
            json!({"mem": "1536Mi", "disk": "2Ti"}),
        ),
        (
            "ports=[31000-32000];gpus:1",
            json!({"gpus": "1", "ports": "31000-32000"}),
        ),
        (
            "network=1G;x.y/z=0.125",
            json!({"network": "1000000000", "x.y/z": "0.125"}),
        ),
        ("", json!({})),
    ];
    for (text, expected) in table {
        assert_eq!(list(text), expected, "{text}");
    }
    for bad in ["cpus", "cpus=1;cpus=2", "=1", "cpus=1;mem=x"] {
        let read = bad
            .parse::<ResourceList>()
            .map_err(|e| vec![e])
            .and_then(|l| l.exact());
        assert!(read.is_err(), "{bad}");
    }
}

#[test]
fn the_text_that_was_typed_is_kept() {
    let typed = json!({"cpus": 0.5, "mem": "65536Ki", "gpus": 1, "ports": "[31000-31005, 32000]"});
    let list: ResourceList = serde_json::from_value(typed.clone()).unwrap();
    assert_eq!(serde_json::to_value(&list).unwrap(), typed);
    assert_eq!(
        list.exact().unwrap().to_string(),
        "cpus 0.5, gpus 1, mem 64Mi, ports 31000-31005,32000"
    );
    let odd: ResourceList =
        serde_json::from_value(json!({"cpus": {}, "mem": null, "a b": 1})).unwrap();
    assert_eq!(odd.exact().unwrap_err().len(), 3);
}

#[test]
fn ports_are_sets() {
    let table = [
        ("", ""),
        ("[]", ""),
        ("5", "5"),
        ("5-7,1-3,4", "1-7"),
        ("[ 31000 - 31005 , 32000 ]", "31000-31005,32000"),
        ("1-65535", "1-65535"),
    ];
    for (text, expected) in table {
        assert_eq!(
            text.parse::<Ranges>().unwrap().to_string(),
            expected,
            "{text}"
        );
    }
    for bad in [
        "0", "65536", "2-1", "[1", "1]", "a", "1,,2", "-1", "1-2-3", "+1", "][", "1 2",
    ] {
        assert!(bad.parse::<Ranges>().is_err(), "{bad}");
    }
}

#[test]
fn what_is_short_is_said() {
    let of = |text: &str| text.parse::<ResourceList>().unwrap().exact().unwrap();
    let shorts = of("cpus=4;mem=1Gi;gpus=1;ports=1-3")
        .fits_in(&of("cpus=1.5;mem=2Gi;ports=2"))
        .unwrap_err();
    let told: Vec<_> = shorts.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "needs 4 cpus, 1.5 free",
            "needs 1 gpus, 0 free",
            "needs 1-3 ports, 2 free"
        ]
    );
    let error = of("cpus=1").checked_sub(&of("cpus=2")).unwrap_err();
    assert_eq!(error.to_string(), "needs 2 cpus, 1 free");
    let error = of("ports=1-5").checked_add(&of("ports=4-9")).unwrap_err();
    assert_eq!(error.to_string(), "ports 4-5 are counted twice");
    let huge = of("cpus=9223372036854775");
    assert_eq!(
        huge.checked_add(&huge).unwrap_err().to_string(),
        "the sum of cpus is too large"
    );
    assert_eq!(of("cpus=0.3;ports=1").scale(3), Ok(of("cpus=0.9")));
    assert!(huge.scale(2).is_err());
}

#[test]
fn the_dominant_share_is_an_exact_fraction() {
    let of = |text: &str| text.parse::<ResourceList>().unwrap().exact().unwrap();
    let total = of("cpus=9;mem=18Gi");
    let table = [
        ("cpus=1;mem=4Gi", Some(("mem", 4, 18))),
        ("cpus=3;mem=1Gi", Some(("cpus", 1, 3))),
        ("cpus=1;mem=2Gi", Some(("cpus", 1, 9))),
        ("gpus=1", None),
        ("", None),
    ];
    for (text, expected) in table {
        let expected = expected.map(|(name, n, d)| (name, Ratio::new(n, d).unwrap()));
        assert_eq!(of(text).dominant_share(&total), expected, "{text}");
    }
    let third = Ratio::new(1, 3).unwrap();
    assert_eq!(
        (third.to_string(), Ratio::ZERO.to_string()),
        ("0.333".to_owned(), "0.000".to_owned())
    );
    assert!(third.per_weight(3_000) < third.per_weight(2_999));
    assert_eq!(third.per_weight(2_000), Ratio::new(1, 6).unwrap());
    assert_eq!(
        Ratio::new(u128::MAX, u128::MAX).unwrap().to_string(),
        "1.000"
    );
}

fn amounts() -> impl Strategy<Value = BTreeMap<String, i64>> {
    let amount = prop_oneof![0..2_000_i64, 0..i64::MAX];
    prop::collection::btree_map(
        prop_oneof![Just("cpus"), Just("mem"), Just("x")].prop_map(str::to_owned),
        amount,
        0..4,
    )
}

fn ports() -> impl Strategy<Value = Ranges> {
    prop::collection::vec((1..60_u16, 0..9_u16), 0..4)
        .prop_map(|pairs| Ranges::new(pairs.into_iter().map(|(first, n)| (first, first + n))))
}

fn resources(amounts: &BTreeMap<String, i64>, ports: &Ranges) -> Resources {
    let mut built = Resources::new(
        amounts
            .iter()
            .map(|(name, n)| (name, Milli::new(*n).unwrap())),
    );
    built.set_ports(ports.clone());
    built
}

proptest! {
    #[test]
    fn sums_are_those_of_wide_integers(a in amounts(), b in amounts(), p in ports(), q in ports()) {
        let (left, right) = (resources(&a, &p), resources(&b, &q));
        let wide = |name: &str| {
            let of = |map: &BTreeMap<String, i64>| i128::from(map.get(name).copied().unwrap_or(0));
            of(&a) + of(&b)
        };
        let fits = ["cpus", "mem", "x"].iter().all(|name| wide(name) <= i128::from(i64::MAX));
        match left.checked_add(&right) {
            Ok(sum) => {
                prop_assert!(fits && p.intersection(&q).is_empty());
                for name in ["cpus", "mem", "x"] {
                    prop_assert_eq!(i128::from(sum.get(name).get()), wide(name));
                }
                prop_assert_eq!(sum.checked_sub(&right), Ok(left.clone()));
                prop_assert!(sum.contains(&left) && left.fits_in(&sum).is_ok());
            }
            Err(_) => prop_assert!(!fits || !p.intersection(&q).is_empty()),
        }
    }

    #[test]
    fn differences_are_never_negative(a in amounts(), b in amounts(), p in ports(), q in ports()) {
        let (left, right) = (resources(&a, &p), resources(&b, &q));
        prop_assert_eq!(left.checked_sub(&right).is_ok(), left.contains(&right));
        prop_assert_eq!(right.fits_in(&left).is_ok(), left.contains(&right));
        let rest = left.saturating_sub(&right);
        prop_assert!(rest.scalars().all(|(_, amount)| amount.get() > 0));
        prop_assert_eq!(rest.checked_add(&left.min(&right)), Ok(left.clone()));
        prop_assert!(left.max(&right).contains(&left) && left.max(&right).contains(&right));
    }

    #[test]
    fn what_is_printed_is_read_back(a in amounts(), p in ports()) {
        let whole = a.into_iter().map(|(name, n)| if name == "mem" { (name, n / 1_000 * 1_000) } else { (name, n) });
        let resources = resources(&whole.collect(), &p);
        prop_assert_eq!(resources.to_list().exact(), Ok(resources.clone()));
        let text: Vec<_> = resources.to_list().iter().map(|(name, n)| format!("{name}={n}")).collect();
        let flag: ResourceList = text.join(";").parse().unwrap();
        prop_assert_eq!(flag.exact(), Ok(resources));
    }

    #[test]
    fn arbitrary_text_never_panics(text in "\\PC{0,30}") {
        let _ = text.parse::<Milli>();
        let _ = text.parse::<Ranges>();
        let _ = text.parse::<crate::duration::Span>();
        let _ = text.parse::<ResourceList>().map(|list| list.exact());
    }

    #[test]
    fn port_sets_are_sets(p in ports(), q in ports()) {
        let set = |r: &Ranges| r.iter().collect::<std::collections::BTreeSet<u16>>();
        let (a, b) = (set(&p), set(&q));
        prop_assert_eq!(set(&p.union(&q)), &a | &b);
        prop_assert_eq!(set(&p.intersection(&q)), &a & &b);
        prop_assert_eq!(set(&p.difference(&q)), &a - &b);
        prop_assert_eq!(p.contains(&q), a.is_superset(&b));
        prop_assert_eq!(p.count() as usize, a.len());
        prop_assert_eq!(p.to_string().parse(), Ok(p));
    }

    #[test]
    fn ratios_compare_as_their_cross_products(a in any::<(u64, u64)>(), b in any::<(u64, u64)>(), c in 1..u128::MAX >> 1) {
        let ratio = |(n, d): (u64, u64)| Ratio::new(n.into(), u128::from(d) + 1).unwrap();
        let cross = |x: (u64, u64), y: (u64, u64)| u128::from(x.0) * (u128::from(y.1) + 1);
        prop_assert_eq!(ratio(a).cmp(&ratio(b)), cross(a, b).cmp(&cross(b, a)));
        let (below, above) = (Ratio::new(c, c + 1).unwrap(), Ratio::new(c + 1, c + 2).unwrap());
        prop_assert!(below < above && above.cmp(&below).is_gt() && below != above);
    }
}
