//! What may still be written when the disk is almost full: whatever makes room, or needs none.

use crate::snapshot::View;
use crate::txn::{Op, Txn};

/// A change of status or of metadata on the way to a deletion fits; an object does not.
const SLACK_BYTES: usize = 256;

/// True when the transaction would leave noticeably more behind than it finds.
pub(crate) fn grows(view: &View, txn: &Txn<&[u8]>) -> bool {
    let held = |key: &[u8]| view.size(key).unwrap_or(0);
    let (mut taken, mut freed) = (0_usize, 0_usize);
    for op in &txn.ops {
        match op {
            Op::Put { key, value } => {
                taken = taken.saturating_add(key.len() + value.len());
                freed = freed.saturating_add(held(key));
            }
            Op::Delete { key } => freed = freed.saturating_add(held(key)),
        }
    }
    taken > freed.saturating_add(SLACK_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::State;

    #[test]
    fn only_what_needs_room_grows() {
        let mut state = State::default();
        let large = vec![1; 1000];
        let put = |key: &'static str, value| Op::Put {
            key: key.as_bytes(),
            value,
        };
        let delete = |key: &'static str| Op::Delete {
            key: key.as_bytes(),
        };
        let txn = |ops| Txn {
            request_id: 0,
            stamp_ms: 1,
            guards: vec![],
            ops,
        };
        state
            .apply(1, &txn(vec![put("a", &large)]), &mut Vec::new())
            .unwrap();
        let larger = vec![2; 1100];
        let huge = vec![3; 2000];
        for (ops, expected) in [
            (vec![], false),
            (vec![delete("a")], false),
            (vec![delete("b")], false),
            (vec![put("b", b"small")], false),
            (vec![put("b", &large)], true),
            (vec![put("a", &larger)], false),
            (vec![put("a", &huge)], true),
            (vec![delete("a"), put("b", &large)], false),
            (vec![put("b", &large), put("c", &large), delete("a")], true),
        ] {
            assert_eq!(grows(state.view(), &txn(ops.clone())), expected, "{ops:?}");
        }
    }
}
