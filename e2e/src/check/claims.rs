//! Which request of unknown outcome made a change nobody was told of.
//!
//! A put is known by its value. A deletion looks like any other of the same key, so which request made
//! it may stay open: all that counts is that each request explains one run of changes at most, which
//! is a matching, grown by augmenting paths (Berge).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::check::history::{Key, Op, Value};
use crate::check::requests::{Request, Verdict};

/// Position of a request in the list of all requests.
pub(super) type Index = usize;

/// Who could have written what.
#[derive(Debug)]
pub(super) struct Writers {
    /// Hash of key and value, with the request: smaller and faster than a map of the bytes.
    puts: Vec<(u64, Index)>,
    /// Requests of unknown outcome that delete the key.
    deletes: HashMap<Key, Vec<Index>>,
}

impl Writers {
    pub(super) fn of(requests: &[Request<'_>]) -> Self {
        let mut writers = Self {
            puts: Vec::new(),
            deletes: HashMap::new(),
        };
        for (index, request) in requests.iter().enumerate() {
            for op in &request.txn.ops {
                writers.note(index, op, request.verdict == Verdict::Unknown);
            }
        }
        writers.puts.sort_unstable();
        writers.puts.dedup();
        writers
    }

    fn note(&mut self, index: Index, op: &Op, is_unknown: bool) {
        match op {
            Op::Put { key, value } => self.puts.push((hash(key, value), index)),
            Op::Delete { key } if is_unknown => {
                let known = self.deletes.entry(Key::clone(key)).or_default();
                if known.last() != Some(&index) {
                    known.push(index);
                }
            }
            Op::Delete { .. } => {}
        }
    }

    /// Requests that put this value under the key, with any verdict.
    pub(super) fn put(&self, key: &Key, value: &Value) -> impl Iterator<Item = Index> {
        let hash = hash(key, value);
        let start = self.puts.partition_point(|(other, _)| *other < hash);
        self.puts[start..]
            .iter()
            .take_while(move |(other, _)| *other == hash)
            .map(|(_, index)| *index)
    }

    /// Requests of unknown outcome that delete the key.
    pub(super) fn delete(&self, key: &Key) -> &[Index] {
        self.deletes.get(key).map_or(&[], Vec::as_slice)
    }
}

fn hash(key: &Key, value: &Value) -> u64 {
    let mut hasher = DefaultHasher::new();
    (key, value).hash(&mut hasher);
    hasher.finish()
}

/// Runs of deletions, each explained by one of several requests.
#[derive(Debug, Default)]
pub(super) struct Claims {
    runs: Vec<Vec<Index>>,
    taken: BTreeMap<Index, usize>,
}

impl Claims {
    /// Explains one more run by one of these requests, if the other runs can be explained still.
    pub(super) fn claim(&mut self, candidates: Vec<Index>) -> bool {
        self.runs.push(candidates);
        let run = self.runs.len() - 1;
        self.place(run, &mut BTreeSet::new())
    }

    fn place(&mut self, run: usize, tried: &mut BTreeSet<Index>) -> bool {
        for request in self.runs[run].clone() {
            if !tried.insert(request) {
                continue;
            }
            let holder = self.taken.get(&request).copied();
            if holder.is_none_or(|holder| self.place(holder, tried)) {
                self.taken.insert(request, run);
                return true;
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn earlier_claims_move_aside() {
        let mut claims = Claims::default();
        assert!(claims.claim(vec![1, 2]));
        assert!(claims.claim(vec![1, 3]));
        assert!(claims.claim(vec![1]));
        assert!(claims.claim(vec![1, 2, 3, 4]));
        assert!(
            !claims.claim(vec![1, 2, 3]),
            "three requests cannot explain four runs"
        );
    }
}
