//! Tables over the state machine: guards, operations, retries and the digest.

use super::*;
use crate::values::ValueFile;

type Write<'a> = Txn<&'a [u8]>;

fn key(text: &str) -> &[u8] {
    text.as_bytes()
}

fn put<'a>(name: &'a str, value: &'a str) -> Op<&'a [u8]> {
    Op::Put {
        key: key(name),
        value: key(value),
    }
}

fn delete(name: &str) -> Op<&[u8]> {
    Op::Delete { key: key(name) }
}

fn txn<'a>(id: u128, guards: Vec<Guard<&'a [u8]>>, ops: Vec<Op<&'a [u8]>>) -> Write<'a> {
    Txn {
        request_id: id,
        stamp_ms: 7,
        guards,
        ops,
    }
}

#[expect(clippy::needless_pass_by_value, reason = "so that tables read plainly")]
fn apply(state: &mut State, txn: Write<'_>) -> (TxnOutcome, Vec<Step>) {
    let mut steps = Vec::new();
    let outcome = state.apply(3, &txn, &mut steps).unwrap();
    (outcome, steps)
}

/// Revision 1 is `a`, revision 2 is `b`.
fn two_keys() -> State {
    let mut state = State::default();
    apply(
        &mut state,
        txn(0, vec![], vec![put("a", "1"), put("b", "1")]),
    );
    state
}

#[test]
fn operations_take_revisions_only_for_changes() {
    let cases = [
        (vec![put("c", "1")], vec![3], 3),
        (vec![put("a", "1")], vec![1], 2),
        (
            vec![put("a", "2"), put("a", "2"), put("a", "1")],
            vec![3, 3, 4],
            4,
        ),
        (vec![delete("a")], vec![3], 3),
        (vec![delete("x")], vec![0], 2),
        (vec![delete("a"), put("a", "1")], vec![3, 4], 4),
        (vec![], vec![], 2),
    ];
    for (ops, revisions, revision) in cases {
        let mut state = two_keys();
        let (outcome, changes) = apply(&mut state, txn(0, vec![], ops.clone()));
        assert_eq!(
            outcome,
            TxnOutcome::Applied {
                revision,
                revisions
            },
            "{ops:?}"
        );
        assert_eq!(changes.len() as u64, revision - 2, "{ops:?}");
        assert!(
            changes
                .iter()
                .zip(3..)
                .all(|(change, at)| change.revision == at && change.stamp_ms == 7)
        );
    }
}

#[test]
fn guards_hold_or_refuse_everything() {
    fn at(name: &str, revision: u64) -> Guard<&[u8]> {
        Guard::Revision {
            key: key(name),
            revision,
        }
    }
    let cases = [
        (vec![Guard::Exists(key("a")), Guard::Absent(key("x"))], None),
        (vec![at("a", 1), at("b", 2), Guard::Epoch(3)], None),
        (
            vec![Guard::Exists(key("a")), Guard::Exists(key("x"))],
            Some(1),
        ),
        (vec![Guard::Absent(key("a"))], Some(0)),
        (vec![at("a", 2)], Some(0)),
        (vec![at("x", 0)], Some(0)),
        (vec![Guard::Epoch(2)], Some(0)),
    ];
    for (guards, refused) in cases {
        let mut state = two_keys();
        let before = state.digest();
        let (outcome, changes) = apply(&mut state, txn(0, guards.clone(), vec![put("a", "9")]));
        match outcome {
            TxnOutcome::Applied { .. } => assert_eq!(refused, None, "{guards:?}"),
            TxnOutcome::Refused {
                guard,
                current,
                revision,
            } => {
                assert_eq!(Some(guard), refused, "{guards:?}");
                assert_eq!(
                    current,
                    guards[guard].key().and_then(|key| state.view().get(key))
                );
                assert_eq!((revision, state.digest(), changes.len()), (2, before, 0));
            }
        }
    }
}

#[test]
fn guards_see_the_state_before_the_operations() {
    let mut state = State::default();
    let both = txn(
        0,
        vec![Guard::Absent(key("a"))],
        vec![put("a", "1"), delete("a")],
    );
    assert_eq!(
        apply(&mut state, both).0,
        TxnOutcome::Applied {
            revision: 2,
            revisions: vec![1, 2]
        }
    );
}

#[test]
fn versions_count_from_creation() {
    let mut state = two_keys();
    apply(
        &mut state,
        txn(0, vec![], vec![put("a", "2"), delete("b"), put("b", "3")]),
    );
    let a = state
        .view()
        .get(b"a")
        .map(|item| (item.create_revision, item.mod_revision, item.version));
    let b = state
        .view()
        .get(b"b")
        .map(|item| (item.create_revision, item.mod_revision, item.version));
    assert_eq!((a, b), (Some((1, 3, 2)), Some((5, 5, 1))));
}

#[test]
fn a_request_id_applies_once_and_a_retry_gets_the_first_answer() {
    let mut state = two_keys();
    let write = txn(77, vec![Guard::Absent(key("c"))], vec![put("c", "1")]);
    let first = apply(&mut state, write.clone()).0;
    apply(&mut state, txn(78, vec![], vec![delete("c")]));
    let digest = state.digest();
    let (again, steps) = apply(&mut state, write);
    assert_eq!((first, 0), (again, steps.len()));
    assert_eq!(state.digest(), digest);

    let refused = txn(79, vec![Guard::Exists(key("z"))], vec![put("z", "1")]);
    let first = apply(&mut state, refused.clone()).0;
    apply(&mut state, txn(80, vec![], vec![put("z", "2")]));
    let again = apply(&mut state, refused).0;
    assert!(matches!(
        (&first, &again),
        (
            TxnOutcome::Refused { current: None, .. },
            TxnOutcome::Refused {
                current: Some(_),
                ..
            }
        )
    ));
    assert_eq!(first.revision(), again.revision());
}

#[test]
fn asking_about_an_id_does_not_use_it_up() {
    let mut state = two_keys();
    let asked = txn(81, vec![Guard::Exists(key("z"))], vec![]);
    let asked = apply(&mut state, asked).0;
    assert!(matches!(asked, TxnOutcome::Refused { .. }));
    let (written, changes) = apply(&mut state, txn(81, vec![], vec![put("y", "1")]));
    assert!(matches!(written, TxnOutcome::Applied { .. }));
    assert_eq!(changes.len(), 1);
}

#[test]
fn the_digest_depends_on_the_content_alone() {
    let state = two_keys();
    let mut copy = State::default();
    for item in state
        .view()
        .prefix(b"")
        .collect::<Vec<_>>()
        .into_iter()
        .rev()
    {
        copy.restore_item(&item);
    }
    copy.restore_counters(state.counters());
    assert_eq!(copy.digest(), state.digest());
    let mut changed = two_keys();
    apply(&mut changed, txn(0, vec![], vec![put("a", "2")]));
    assert_ne!(changed.digest(), state.digest());
}

#[test]
fn node_ids_are_never_reused() {
    let mut state = State::default();
    state.note_node(3);
    assert_eq!([4, 5], [(); 2].map(|()| state.allocate_node()));
    state.note_node(2);
    assert_eq!(state.allocate_node(), 6);
}

#[test]
fn history_rewinds_a_view() {
    let mut state = State::default();
    let mut history = crate::history::History::new(0, 1 << 20, 1 << 20);
    let mut views = vec![state.view().clone()];
    for ops in [
        vec![put("a", "1")],
        vec![put("a", "2")],
        vec![delete("a")],
        vec![put("a", "3")],
        vec![put("b", "1")],
    ] {
        let (_, changes) = apply(&mut state, txn(0, vec![], ops));
        changes.into_iter().for_each(|step| history.push(step));
        views.push(state.view().clone());
    }
    for view in &views {
        let changes = history
            .after(view.revision(), usize::MAX)
            .unwrap_or_default();
        let rebuilt = crate::history::History::rewind(state.view(), view.revision(), &changes);
        assert!(
            rebuilt.prefix(b"").eq(view.prefix(b"")),
            "{}",
            view.revision()
        );
    }
}

/// Same outcomes, digests, views and past, with values in memory or on disk.
#[test]
fn where_values_are_makes_no_difference() {
    let (mut here, mut there) = (State::default(), State::default());
    let mut seed = 7_u64;
    let mut below = |bound: u64| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed % bound
    };
    let (mut pasts, mut evicted) = (Vec::new(), 0);
    for _ in 0..2_000 {
        let name = format!("key-{}", below(8));
        let value = ["", "one", "two", "three"][below(4) as usize];
        let guards = match below(3) {
            0 => vec![Guard::Absent(key(&name))],
            _ => vec![],
        };
        let op = match below(4) {
            0 => delete(&name),
            _ => put(&name, value),
        };
        let (expected, past) = apply(&mut here, txn(0, guards.clone(), vec![op.clone()]));
        let (outcome, same) = apply(&mut there, txn(0, guards, vec![op]));
        assert_eq!(outcome, expected);
        assert_eq!(there.digest(), here.digest());
        pasts.push((past, same));
        for slot in there.view().iter() {
            if below(4) == 0 {
                let value = slot.value().unwrap();
                let file = ValueFile::of(&[b"..", &value[..]].concat(), 1);
                let freed = slot.evict(&file, 2);
                there
                    .resident()
                    .sub(freed.map_or(0, |value| value.memory()));
                evicted += 1;
            }
        }
        let resident = there.view().iter().map(Slot::resident_bytes).sum();
        assert_eq!(there.resident().bytes(), resident);
    }
    assert!(evicted > 1_000);
    assert!(here.view().prefix(b"").eq(there.view().prefix(b"")));
    for (here, there) in pasts {
        let changes = |steps: Vec<Step>| steps.iter().map(Step::change).collect::<Vec<_>>();
        assert_eq!(changes(here), changes(there));
    }
}

#[test]
fn a_value_that_cannot_be_read_is_an_error_of_who_needs_it() {
    let ops = [
        (put("a", "2"), true),
        (delete("a"), true),
        (put("a", "1"), true),
        (put("b", "2"), false),
    ];
    for (op, needs) in ops {
        let mut state = two_keys();
        let slot = state.view().slot(b"a").unwrap();
        slot.evict(&ValueFile::of(b"?", 1), 0);
        let write = txn(0, vec![], vec![op.clone()]);
        let applied = state.apply(3, &write, &mut Vec::new());
        assert_eq!(applied.is_err(), needs, "{op:?}");
    }
    let state = &mut two_keys();
    let slot = state.view().slot(b"a").unwrap();
    slot.evict(&ValueFile::of(b"?", 1), 0);
    let refused = txn(0, vec![Guard::Absent(key("a"))], vec![]);
    state.apply(3, &refused, &mut Vec::new()).unwrap_err();
}
