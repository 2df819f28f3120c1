//! What time does to a connection: who says nothing is asked whether he is there, who asks for nothing is bid
//! farewell, and who takes nothing is cut off.

use std::future::Future;
use std::pin::Pin;
use std::task::Context;
use std::time::Duration;

use tokio::time::{Instant, Sleep};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// Who said nothing for so long is asked whether he is there; after as long again he is not.
const PING: Duration = Duration::from_secs(30);

/// How long a connection may do nothing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// No request, or nothing taken of what is sent.
    pub(crate) head: Duration,
    /// To end once a farewell is said.
    pub(crate) drain: Duration,
}

/// Marks by which it is seen whether something moves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Marks {
    /// Bytes that came.
    pub(super) came: u64,
    /// Bytes that went out, if more wait to.
    pub(super) waiting: Option<u64>,
    /// The latest request, if none is in work.
    pub(super) idle: Option<u32>,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Chore {
    Nothing,
    Ping,
    Leave,
    Cut,
}

/// The clock of one connection.
#[derive(Debug)]
pub(super) struct Upkeep {
    patience: Patience,
    alarm: Pin<Box<Sleep>>,
    /// The server stops; none once it does.
    stop: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
    marks: Marks,
    /// Since when each of the marks stands still.
    quiet: Instant,
    stalled: Instant,
    idle: Instant,
    has_pinged: bool,
    /// A look was taken since somebody asked.
    has_looked: bool,
    /// When farewell was said.
    left: Option<Instant>,
}

impl Upkeep {
    pub(super) fn new(patience: Patience, shutdown: CancellationToken) -> Self {
        let now = Instant::now();
        let alarm = tokio::time::sleep_until(now + patience.head.min(PING));
        Self {
            patience,
            alarm: Box::pin(alarm),
            stop: Some(Box::pin(shutdown.cancelled_owned())),
            marks: Marks::default(),
            quiet: now,
            stalled: now,
            idle: now,
            has_pinged: false,
            has_looked: false,
            left: None,
        }
    }

    /// What is to be done now; the waker hears of the next time.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, marks: Marks) -> Chore {
        let stops = self
            .stop
            .as_mut()
            .is_some_and(|stop| stop.as_mut().poll(cx).is_ready());
        if stops {
            self.stop = None;
        }
        let mut chore = if stops { self.leave() } else { Chore::Nothing };
        while self.alarm.as_mut().poll(cx).is_ready() {
            let now = Instant::now();
            self.has_looked = true;
            chore = match self.look(now, marks) {
                Chore::Nothing => chore,
                other @ (Chore::Ping | Chore::Leave | Chore::Cut) => other,
            };
            let next = now + self.period();
            self.alarm.as_mut().reset(next);
        }
        chore
    }

    /// How long a peer may take nothing, if it is time to look at each stream.
    pub(super) fn stall(&mut self) -> Option<Duration> {
        std::mem::take(&mut self.has_looked).then_some(self.patience.head)
    }

    fn period(&self) -> Duration {
        let usual = self.patience.head.min(PING);
        self.left.map_or(usual, |_| usual.min(self.patience.drain))
    }

    fn leave(&mut self) -> Chore {
        let now = Instant::now();
        self.left = Some(now);
        let next = now + self.period();
        self.alarm.as_mut().reset(next);
        Chore::Leave
    }

    fn look(&mut self, now: Instant, marks: Marks) -> Chore {
        let before = std::mem::replace(&mut self.marks, marks);
        if marks.came != before.came {
            self.quiet = now;
            self.has_pinged = false;
        }
        if marks.waiting.is_none() || marks.waiting != before.waiting {
            self.stalled = now;
        }
        if marks.idle.is_none() || marks.idle != before.idle {
            self.idle = now;
        }
        let Patience { head, drain } = self.patience;
        let is_over = |since: Instant, limit: Duration| now.duration_since(since) >= limit;
        let stops = self.stop.is_none();
        match self.left {
            _ if is_over(self.stalled, head) || is_over(self.quiet, PING * 2) => Chore::Cut,
            Some(left) if is_over(left, drain) && (stops || marks.idle.is_some()) => Chore::Cut,
            None if is_over(self.idle, head) => {
                self.left = Some(now);
                Chore::Leave
            }
            _ if is_over(self.quiet, PING) && !self.has_pinged => {
                self.has_pinged = true;
                Chore::Ping
            }
            _ => Chore::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    const BUSY: Marks = Marks {
        came: 1,
        waiting: None,
        idle: None,
    };

    fn upkeep() -> Upkeep {
        let patience = Patience {
            head: SECOND * 10,
            drain: SECOND * 5,
        };
        Upkeep::new(patience, CancellationToken::new())
    }

    /// What is to be done at each of these seconds, if the marks stay as they are.
    fn chores(upkeep: &mut Upkeep, marks: Marks, seconds: &[u32]) -> Vec<Chore> {
        let start = upkeep.idle;
        let look = |second: &u32| upkeep.look(start + SECOND * *second, marks);
        seconds.iter().map(look).collect()
    }

    #[tokio::test]
    async fn who_asks_for_nothing_is_bid_farewell_and_then_cut() {
        let idle = Marks {
            idle: Some(1),
            ..BUSY
        };
        let found = chores(&mut upkeep(), idle, &[1, 9, 11, 12, 16]);
        assert_eq!(
            found,
            [
                Chore::Nothing,
                Chore::Nothing,
                Chore::Leave,
                Chore::Nothing,
                Chore::Cut
            ]
        );
    }

    #[tokio::test]
    async fn who_takes_nothing_is_cut() {
        let stalled = Marks {
            waiting: Some(7),
            ..BUSY
        };
        let found = chores(&mut upkeep(), stalled, &[1, 10, 11]);
        assert_eq!(found, [Chore::Nothing, Chore::Nothing, Chore::Cut]);
    }

    #[tokio::test]
    async fn who_says_nothing_is_asked() {
        let found = chores(&mut upkeep(), BUSY, &[1, 30, 31, 40, 61]);
        let expected = [
            Chore::Nothing,
            Chore::Nothing,
            Chore::Ping,
            Chore::Nothing,
            Chore::Cut,
        ];
        assert_eq!(found, expected);
        let mut upkeep = upkeep();
        let talking = |came| Marks { came, ..BUSY };
        for came in 1..10 {
            assert_eq!(
                chores(&mut upkeep, talking(u64::from(came)), &[came * 25]),
                [Chore::Nothing]
            );
        }
    }
}
