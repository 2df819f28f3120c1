//! Who on a connection has to be looked at: each stream has a bell, and one wake of the connection's task serves all
//! that rang meanwhile.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Wake, Waker};

/// The bells of one connection that have rung.
#[derive(Debug, Default)]
pub(super) struct Bells(Mutex<Rung>);

#[derive(Debug, Default)]
struct Rung {
    streams: Vec<u32>,
    connection: Option<Waker>,
}

/// The bell of one stream.
#[derive(Debug)]
pub(super) struct Bell {
    stream: u32,
    is_rung: AtomicBool,
    bells: Arc<Bells>,
}

impl Bells {
    /// Whom to wake when a bell rings.
    pub(super) fn watch(&self, connection: &Waker) {
        let mut rung = self.lock();
        if !rung
            .connection
            .as_ref()
            .is_some_and(|known| known.will_wake(connection))
        {
            rung.connection = Some(connection.clone());
        }
    }

    /// Moves those that rang to the end of `into`.
    pub(super) fn take(&self, into: &mut impl Extend<u32>) {
        into.extend(self.lock().streams.drain(..));
    }

    fn ring(&self, stream: u32) {
        let mut rung = self.lock();
        rung.streams.push(stream);
        // All that rang are taken at once: the first one is enough.
        let wakes = rung.streams.len() == 1;
        let connection = rung.connection.clone().filter(|_| wakes);
        drop(rung);
        if let Some(connection) = connection {
            connection.wake();
        }
    }

    /// A panic while the lock was held leaves a list that is whole.
    fn lock(&self) -> MutexGuard<'_, Rung> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Bell {
    pub(super) fn new(stream: u32, bells: &Arc<Bells>) -> Arc<Self> {
        Arc::new(Self {
            stream,
            is_rung: AtomicBool::new(false),
            bells: Arc::clone(bells),
        })
    }

    /// True for who is the first to ring since it was looked at: he has to see to it that it is.
    pub(super) fn claim(&self) -> bool {
        !self.is_rung.swap(true, Ordering::AcqRel)
    }

    /// It is looked at now: whatever happens from here on rings again.
    pub(super) fn hush(&self) {
        self.is_rung.store(false, Ordering::Release);
    }

    pub(super) fn has_rung(&self) -> bool {
        self.is_rung.load(Ordering::Acquire)
    }

    pub(super) fn ring(&self) {
        if self.claim() {
            self.bells.ring(self.stream);
        }
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.ring();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.ring();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn one_wake_serves_all() {
        let bells = Arc::new(Bells::default());
        let count = Arc::new(Count(AtomicUsize::new(0)));
        bells.watch(&Waker::from(Arc::clone(&count)));
        let (one, two) = (Bell::new(1, &bells), Bell::new(3, &bells));
        one.ring();
        two.ring();
        two.ring();
        let mut rung = Vec::new();
        bells.take(&mut rung);
        assert_eq!(
            (&rung[..], count.0.load(Ordering::Relaxed)),
            (&[1, 3][..], 1)
        );
        two.ring();
        bells.take(&mut rung);
        assert_eq!(rung, [1, 3], "nobody has looked yet");
        two.hush();
        two.ring();
        bells.take(&mut rung);
        assert_eq!(
            (&rung[..], count.0.load(Ordering::Relaxed)),
            (&[1, 3, 3][..], 2)
        );
    }
}
