//! Seats for requests: `fair.rs` decides, here one waits.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::fair::{Fair, Shape, Ticket, Verdict};
use crate::rate::{Buckets, Rate};
use crate::status::Failure;

/// Hands out seats.
#[derive(Debug)]
pub(crate) struct Turns {
    state: Mutex<State>,
    rate: Option<Mutex<Buckets>>,
    patience: Duration,
    started: Instant,
}

#[derive(Debug)]
struct State {
    fair: Fair,
    waiting: HashMap<Ticket, oneshot::Sender<()>>,
}

/// A seat; dropping it calls who is next.
#[derive(Debug)]
pub(crate) struct Seat {
    turns: Arc<Turns>,
    flow: Box<str>,
}

/// A place in a queue; dropping it gives it up.
struct Place {
    turns: Arc<Turns>,
    flow: Box<str>,
    ticket: Ticket,
    is_over: bool,
}

impl Turns {
    /// Requests wait for a seat as long as `patience`.
    pub(crate) fn new(shape: Shape, rate: Option<Rate>, patience: Duration) -> Arc<Self> {
        let state = State {
            fair: Fair::new(shape),
            waiting: HashMap::new(),
        };
        Arc::new(Self {
            state: Mutex::new(state),
            rate: rate.map(Buckets::new).map(Mutex::new),
            patience,
            started: Instant::now(),
        })
    }

    /// A seat for a request of this flow.
    ///
    /// # Errors
    /// 429 when the user asks too fast, when too many wait already, or when none becomes free in time.
    pub(crate) async fn seat(self: &Arc<Self>, flow: &str) -> Result<Seat, Failure> {
        self.check_rate(flow)?;
        let (place, called) = match self.arrive(flow)? {
            Arrived::Seated(seat) => return Ok(seat),
            Arrived::Waits(place, called) => (place, called),
        };
        match tokio::time::timeout(self.patience, called).await {
            Ok(Ok(())) => Ok(place.seat()),
            // Dropping the place gives it, or the seat it just got, to others.
            Ok(Err(_)) | Err(_) => Err(full()),
        }
    }

    /// A seat if there is one now.
    ///
    /// # Errors
    /// 429.
    pub(crate) fn seat_now(self: &Arc<Self>, flow: &str) -> Result<Seat, Failure> {
        self.check_rate(flow)?;
        match self.arrive(flow)? {
            Arrived::Seated(seat) => Ok(seat),
            Arrived::Waits(..) => Err(full()),
        }
    }

    /// Requests in work, and waiting.
    pub(crate) fn load(&self) -> (usize, usize) {
        self.lock().fair.load()
    }

    fn arrive(self: &Arc<Self>, flow: &str) -> Result<Arrived, Failure> {
        let mut state = self.lock();
        match state.fair.arrive(flow) {
            Verdict::Run => Ok(Arrived::Seated(Seat {
                turns: Arc::clone(self),
                flow: flow.into(),
            })),
            Verdict::Refuse => Err(full()),
            Verdict::Wait(ticket) => {
                let (call, called) = oneshot::channel();
                state.waiting.insert(ticket, call);
                let place = Place {
                    turns: Arc::clone(self),
                    flow: flow.into(),
                    ticket,
                    is_over: false,
                };
                Ok(Arrived::Waits(place, called))
            }
        }
    }

    fn check_rate(&self, flow: &str) -> Result<(), Failure> {
        let Some(buckets) = &self.rate else {
            return Ok(());
        };
        let now_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let mut buckets = buckets.lock().unwrap_or_else(PoisonError::into_inner);
        buckets.take(flow, now_ms).map_err(|wait_ms| {
            let seconds = u32::try_from(wait_ms.div_ceil(1_000)).unwrap_or(u32::MAX);
            Failure::too_many_requests("this user asks faster than it may: slow down")
                .retry_after(seconds)
        })
    }

    fn leave(&self, flow: &str) {
        let mut state = self.lock();
        let call = state.fair.leave(flow);
        let called = call.and_then(|ticket| state.waiting.remove(&ticket));
        drop(state);
        if let Some(called) = called {
            // Whoever is not there any more gives its seat up when its place is dropped.
            _ = called.send(());
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Arrived {
    Seated(Seat),
    Waits(Place, oneshot::Receiver<()>),
}

fn full() -> Failure {
    Failure::too_many_requests("too many requests, please try again later")
}

impl Place {
    fn seat(mut self) -> Seat {
        self.is_over = true;
        Seat {
            turns: Arc::clone(&self.turns),
            flow: std::mem::take(&mut self.flow),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        let mut state = self.turns.lock();
        state.waiting.remove(&self.ticket);
        let gone = state.fair.abandon(&self.flow, self.ticket);
        drop(state);
        if !gone {
            self.turns.leave(&self.flow);
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.turns.leave(&self.flow);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    fn turns(patience: Duration) -> Arc<Turns> {
        let shape = Shape {
            seats: 1,
            flow_seats: 1,
            waiting: 2,
            flow_waiting: 2,
        };
        Turns::new(shape, None, patience)
    }

    #[tokio::test]
    async fn a_seat_goes_on_to_who_waits() {
        let turns = turns(Duration::from_secs(30));
        let first = turns.seat("a").await.unwrap();
        let mut second = Box::pin(turns.seat("b"));
        assert!((&mut second).now_or_never().is_none());
        let mut gone = Box::pin(turns.seat("c"));
        assert!((&mut gone).now_or_never().is_none());
        assert_eq!(turns.seat("d").await.unwrap_err().code(), 429);
        drop(gone);
        drop(first);
        let second = second.await.unwrap();
        assert_eq!(turns.load(), (1, 0));
        drop(second);
        assert_eq!(turns.load(), (0, 0));
    }

    #[tokio::test]
    async fn a_seat_given_to_who_just_went_is_not_lost() {
        let turns = turns(Duration::from_secs(30));
        let first = turns.seat("a").await.unwrap();
        let mut second = Box::pin(turns.seat("b"));
        assert!((&mut second).now_or_never().is_none());
        drop(first);
        // Called, but not looked at again.
        drop(second);
        assert_eq!(turns.load(), (0, 0));
        assert!(turns.seat_now("c").is_ok());
    }

    #[tokio::test]
    async fn nobody_waits_for_ever() {
        let turns = turns(Duration::ZERO);
        let first = turns.seat("a").await.unwrap();
        assert_eq!(turns.seat("b").await.unwrap_err().code(), 429);
        assert!(turns.seat_now("b").is_err());
        drop(first);
        assert_eq!(turns.load(), (0, 0));
    }
}
