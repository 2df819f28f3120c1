//! How many connections each address holds without having shown who it is. Those who have are bounded
//! by what they may do; strangers are bounded here, so that one address cannot take all connections.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// All strangers. Cloning shares them.
#[derive(Clone, Debug)]
pub(crate) struct Crowd {
    most: usize,
    counts: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

/// One connection; it counts until it is known whose it is, or ends.
#[derive(Debug)]
pub(crate) struct Stranger {
    crowd: Crowd,
    place: IpAddr,
    is_known: AtomicBool,
}

impl Crowd {
    /// So many from each address.
    pub(crate) fn new(most: usize) -> Self {
        Self {
            most,
            counts: Arc::default(),
        }
    }

    /// A connection from this address; none if there are too many strangers from there.
    pub(crate) fn enter(&self, address: IpAddr) -> Option<Stranger> {
        let place = place(address);
        let mut counts = self.lock();
        let count = counts.entry(place).or_default();
        if *count >= self.most {
            return None;
        }
        *count += 1;
        Some(Stranger {
            crowd: self.clone(),
            place,
            is_known: AtomicBool::new(false),
        })
    }

    fn leave(&self, place: IpAddr) {
        let mut counts = self.lock();
        if let Some(count) = counts.get_mut(&place) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&place);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stranger {
    /// It has shown who it is.
    pub(crate) fn known(&self) {
        if !self.is_known.swap(true, Ordering::Relaxed) {
            self.crowd.leave(self.place);
        }
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        self.known();
    }
}

/// Whoever has an IPv6 address has 2^64 of them.
fn place(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(six) => {
            let [a, b, c, d, ..] = six.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        four @ IpAddr::V4(_) => four,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_are_counted_by_address() {
        let crowd = Crowd::new(2);
        let from = |text: &str| crowd.enter(text.parse().unwrap());
        let first = from("10.0.0.1").unwrap();
        let _second = from("::ffff:10.0.0.1").unwrap();
        assert!(from("10.0.0.1").is_none());
        let _other = from("10.0.0.2").unwrap();
        first.known();
        first.known();
        let third = from("10.0.0.1").unwrap();
        assert!(from("10.0.0.1").is_none(), "known once, and counted once");
        drop(first);
        assert!(from("10.0.0.1").is_none());
        drop(third);
        assert!(from("10.0.0.1").is_some());
        let _six = [from("fe80::1").unwrap(), from("fe80::2").unwrap()];
        assert!(from("fe80::3").is_none());
        assert!(from("fe80:0:0:1::3").is_some());
    }

    #[test]
    fn nothing_is_left_behind() {
        let crowd = Crowd::new(1);
        drop(crowd.enter("10.0.0.1".parse().unwrap()));
        assert!(crowd.lock().is_empty());
    }
}
