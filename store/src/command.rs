//! What a log entry says, and what applying it answers.

use std::fmt;

use bytes::{BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};

use crate::item::NodeId;
use crate::txn::{Txn, TxnOutcome};

/// The first byte of an entry says what follows. Numbers are only ever added: old logs must replay.
const TXNS: u8 = 0;
const ALLOCATE_NODE: u8 = 1;

/// A command of the replicated log, borrowed from the entry that carries it.
#[derive(Debug)]
pub(crate) enum Command<'a> {
    /// Transactions, each atomic by itself, batched into one entry to share its cost.
    Txns(Txns<'a>),
    /// Hands out a node id that was never used.
    AllocateNode,
}

/// The transactions of an entry, decoded one by one without copying keys or values.
#[derive(Debug)]
pub(crate) struct Txns<'a>(&'a [u8]);

/// The answer to a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Response {
    /// To blank and membership entries.
    None,
    /// One outcome per transaction, in order.
    Txns(Vec<TxnOutcome>),
    /// The allocated id.
    Node(NodeId),
}

/// A command in its encoded form. A transaction is encoded once, where it was made, and from then on
/// copied, sent and logged as it is.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Proposal(pub(crate) Bytes);

impl Proposal {
    /// An entry of these encoded transactions.
    pub(crate) fn txns<'a>(encoded: impl Iterator<Item = &'a Bytes> + Clone) -> Self {
        let size = 1 + encoded.clone().map(Bytes::len).sum::<usize>();
        let mut entry = BytesMut::with_capacity(size);
        entry.put_u8(TXNS);
        encoded.for_each(|txn| entry.extend_from_slice(txn));
        Self(entry.freeze())
    }

    pub(crate) fn allocate_node() -> Self {
        Self(Bytes::from_static(&[ALLOCATE_NODE]))
    }

    /// Whether it is one transaction and nothing besides.
    pub(crate) fn is_lone(&self) -> bool {
        match self.0.split_first() {
            Some((&TXNS, encoded)) => Txns::one(encoded).is_some(),
            Some(_) | None => false,
        }
    }

    pub(crate) fn command(&self) -> Result<Command<'_>, String> {
        match self.0.split_first() {
            Some((&TXNS, encoded)) => Ok(Command::Txns(Txns(encoded))),
            Some((&ALLOCATE_NODE, [])) => Ok(Command::AllocateNode),
            Some((tag, rest)) => Err(format!("command {tag} of {} bytes", rest.len())),
            None => Err("an empty command".into()),
        }
    }
}

/// A transaction as it is sent and logged.
pub(crate) fn encode(txn: &Txn) -> Result<Bytes, postcard::Error> {
    postcard::to_stdvec(txn).map(Bytes::from)
}

/// True when the bytes are one whole transaction: what enters the log must be decodable everywhere.
pub(crate) fn is_txn(encoded: &[u8]) -> bool {
    Txns::one(encoded).is_some()
}

impl<'a> Txns<'a> {
    /// The one transaction that the bytes are, and nothing besides.
    pub(crate) fn one(encoded: &'a [u8]) -> Option<Txn<&'a [u8]>> {
        let mut txns = Self(encoded);
        let txn = txns.next()?.ok()?;
        txns.0.is_empty().then_some(txn)
    }
}

impl<'a> Iterator for Txns<'a> {
    type Item = Result<Txn<&'a [u8]>, postcard::Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let taken = postcard::take_from_bytes(self.0);
        Some(taken.map(|(txn, rest)| {
            self.0 = rest;
            txn
        }))
    }
}

impl fmt::Debug for Proposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proposal({} bytes)", self.0.len())
    }
}

impl fmt::Display for Proposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::txn::{Guard, Op};

    fn sample(id: u128) -> Txn {
        let key = Bytes::from(format!("key-{id}"));
        Txn {
            request_id: id,
            stamp_ms: 7,
            guards: vec![Guard::Absent(key.clone()), Guard::Epoch(3)],
            ops: vec![Op::Put {
                key,
                value: Bytes::from_static(b"value"),
            }],
        }
    }

    #[test]
    fn an_entry_gives_back_its_transactions() {
        let txns: Vec<Txn> = (1..4).map(sample).collect();
        let encoded: Vec<Bytes> = txns.iter().map(|txn| encode(txn).unwrap()).collect();
        let entry = Proposal::txns(encoded.iter());
        let Ok(Command::Txns(decoded)) = entry.command() else {
            panic!("{entry:?}");
        };
        let again: Vec<Bytes> = decoded
            .map(|txn| Bytes::from(postcard::to_stdvec(&txn.unwrap()).unwrap()))
            .collect();
        assert_eq!(again, encoded);
        assert!(matches!(
            Proposal::allocate_node().command(),
            Ok(Command::AllocateNode)
        ));
    }

    #[test]
    fn what_is_not_one_transaction_is_told_apart() {
        let one = encode(&sample(1)).unwrap();
        assert!(is_txn(&one));
        assert!(!is_txn(&[&one[..], &one[..]].concat()));
        for len in 0..one.len() {
            assert!(!is_txn(&one[..len]), "{len} bytes of {}", one.len());
        }
        for bad in [&b""[..], &[9], &[ALLOCATE_NODE, 0]] {
            assert!(Proposal(Bytes::copy_from_slice(bad)).command().is_err());
        }
        // A broken transaction ends the iteration in an error, not in a shorter entry.
        let broken = Proposal(Bytes::from([&[TXNS], &one[..one.len() - 1]].concat()));
        let Ok(Command::Txns(mut txns)) = broken.command() else {
            panic!("{broken:?}");
        };
        assert!(matches!(txns.next(), Some(Err(_))));
    }
}
