//! Processors kept from halting between the steps of lone writes and reads.
//!
//! Such a request is a chain of threads that wake one another, with nothing else to do for the processors in between.
//! They halt, and to wake a halted virtual processor takes some 50 µs, half a dozen times a write. So while lone
//! requests follow one another closely, threads of the scheduler's idle class turn in place, one for each processor: one
//! that has such a thread is awake, and whoever has work there goes before it at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread::{self, Thread};
use std::time::Duration;

use thread_priority::ThreadPriority;
use thread_priority::unix::{
    NormalThreadSchedulePolicy, ThreadSchedulePolicy, set_thread_priority_and_policy,
    thread_native_id,
};
use tokio::time::Instant;

use crate::edge::metrics::Metrics;

/// After two lone requests no further apart than this, a third is expected for as long.
const CLOSE: Duration = Duration::from_millis(2);
/// On more processors than these, the next step would find another one, halted.
const PROCESSORS_MAX: usize = 4;

/// Nanoseconds after which it must have been off the processor, and those it stays after it gave way: two of its kind
/// must not pass the processor to and fro.
const AWAY: u64 = 2_000;
const APART: u64 = 20_000;

/// Clones share the threads, which end with the last of them. `Default` has none.
#[derive(Clone, Debug, Default)]
pub(crate) struct IdlePoll(Option<Arc<Pollers>>);

#[derive(Debug)]
struct Pollers {
    shared: Arc<Shared>,
    threads: Vec<Thread>,
}

#[derive(Debug)]
struct Shared {
    began: Instant,
    rhythm: Rhythm,
    /// So many threads sleep, or are about to.
    resting: AtomicUsize,
    ended: AtomicBool,
}

/// How close lone requests follow one another. Times are nanoseconds of any clock.
#[derive(Debug, Default)]
struct Rhythm {
    /// The time of the last one, if nothing else came since; otherwise 0.
    last: AtomicU64,
    until: AtomicU64,
}

impl IdlePoll {
    /// Starts the threads, where they can be of use.
    pub(crate) fn start(metrics: &Metrics) -> Self {
        let shared = Arc::new(Shared {
            began: Instant::now(),
            rhythm: Rhythm::default(),
            resting: AtomicUsize::new(0),
            ended: AtomicBool::new(false),
        });
        let spawn = |_processor| {
            let (turning, metrics) = (Arc::clone(&shared), metrics.clone());
            let spawned = thread::Builder::new()
                .name("stoa-idle-poll".into())
                .spawn(move || turning.run(&metrics));
            let refused = |error: &_| tracing::debug!(%error, "no thread for idle polling");
            spawned.inspect_err(refused).ok()
        };
        let handles = (0..processors_of_use()).filter_map(spawn);
        let threads: Vec<Thread> = handles.map(|handle| handle.thread().clone()).collect();
        Self((!threads.is_empty()).then(|| Arc::new(Pollers { shared, threads })))
    }

    /// A lone request is under way.
    pub(crate) fn lone(&self) {
        let Some(Pollers { shared, threads }) = self.0.as_deref() else {
            return;
        };
        if shared.rhythm.lone(shared.now()) && shared.resting.load(Ordering::SeqCst) > 0 {
            threads.iter().for_each(Thread::unpark);
        }
    }

    /// Requests share their way: the processors have enough to do.
    pub(crate) fn crowd(&self) {
        if let Some(pollers) = &self.0 {
            pollers.shared.rhythm.crowd();
        }
    }
}

/// All there are, or none: a process that may use part of the processors' time only needs it for work.
fn processors_of_use() -> usize {
    let affinity = rustix::thread::sched_getaffinity(None);
    let processors = affinity.map_or(0, |set| set.count() as usize);
    let granted = thread::available_parallelism().map_or(0, usize::from);
    match processors <= PROCESSORS_MAX && granted == processors {
        true => processors,
        false => 0,
    }
}

impl Drop for Pollers {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        self.threads.iter().for_each(Thread::unpark);
    }
}

impl Shared {
    fn run(&self, metrics: &Metrics) {
        let idle = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
        let set = set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Min, idle);
        if let Err(error) = set {
            tracing::debug!(?error, "no idle scheduling class; lone writes are slower");
            return;
        }
        while !self.ended.load(Ordering::SeqCst) {
            metrics.idle_polled(self.turn());
            self.resting.fetch_add(1, Ordering::SeqCst);
            // Looks again after saying that it rests, so that either sees the other.
            while !self.rhythm.lasts(self.now()) && !self.ended.load(Ordering::SeqCst) {
                thread::park();
            }
            self.resting.fetch_sub(1, Ordering::SeqCst);
        }
    }

    /// Turns while it lasts.
    ///
    /// The idle class is little weight, not the last place: the scheduler owes it a turn now and then, which others
    /// would wait out. It gives way whenever it gets the processor, and then is owed nothing for a long time.
    ///
    /// It does without the processor's pause instruction: a hypervisor takes a loop of those for a lock that another
    /// virtual processor holds, and runs that one instead.
    fn turn(&self) -> Duration {
        let began = self.now();
        let (mut seen, mut gave_way) = (0, 0);
        let mut now = began;
        while self.rhythm.lasts(now) && !self.ended.load(Ordering::Relaxed) {
            if now - seen > AWAY && now - gave_way > APART {
                thread::yield_now();
                gave_way = self.now();
            }
            seen = now;
            now = self.now();
        }
        Duration::from_nanos(now - began)
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

impl Rhythm {
    /// Whether another one is expected soon.
    fn lone(&self, now: u64) -> bool {
        let close = CLOSE.as_nanos() as u64;
        let last = self.last.swap(now, Ordering::Relaxed);
        let expected = last > 0 && now.saturating_sub(last) <= close;
        if expected {
            self.until.store(now + close, Ordering::SeqCst);
        }
        expected
    }

    fn crowd(&self) {
        // Mostly it is known already, and a store would take the line from the others' caches.
        for known in [&self.last, &self.until] {
            if known.load(Ordering::Relaxed) > 0 {
                known.store(0, Ordering::Relaxed);
            }
        }
    }

    fn lasts(&self, now: u64) -> bool {
        now < self.until.load(Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    enum Came {
        Lone,
        Crowd,
    }

    #[test]
    fn close_lone_requests_keep_the_processor_awake() {
        use Came::{Crowd, Lone};
        // What came when, and until when the processor stays awake then.
        let table = [
            (10 * MS, Lone, 0),
            (12 * MS, Lone, 14 * MS),
            (13 * MS, Lone, 15 * MS),
            // Too late for a rhythm, and the first of a new one.
            (16 * MS, Lone, 15 * MS),
            (17 * MS, Lone, 19 * MS),
            (18 * MS, Crowd, 0),
            // The crowd was the last.
            (19 * MS, Lone, 0),
            (20 * MS, Lone, 22 * MS),
            // Another processor's clock may be a little behind.
            (20 * MS - 1, Lone, 22 * MS - 1),
        ];
        let rhythm = Rhythm::default();
        for (now, came, until) in table {
            match came {
                Lone => assert_eq!(rhythm.lone(now), until > now, "at {now}"),
                Crowd => rhythm.crowd(),
            }
            assert_eq!(rhythm.until.load(Ordering::SeqCst), until, "at {now}");
            assert_eq!(rhythm.lasts(now), until > now, "at {now}");
        }
    }

    #[test]
    fn the_threads_turn_rest_and_end() {
        let metrics = Metrics::default();
        let poll = IdlePoll::start(&metrics);
        let Some(pollers) = poll.0.clone() else {
            // A machine where they are of no use.
            return;
        };
        let Pollers { shared, threads } = &*pollers;
        let bound = Instant::now() + Duration::from_secs(20);
        let rest = || shared.resting.load(Ordering::SeqCst) == threads.len();
        // Other tests may have the processors to themselves for a while.
        while metrics.idle_poll_seconds() < CLOSE.as_secs_f64() / 4.0 {
            assert!(Instant::now() < bound, "they never turned");
            poll.lone();
            poll.lone();
            while shared.rhythm.lasts(shared.now()) || !rest() {
                assert!(Instant::now() < bound, "they never rested");
                thread::yield_now();
            }
        }
        let shared = Arc::downgrade(shared);
        drop((pollers, poll));
        while shared.strong_count() > 0 {
            assert!(Instant::now() < bound, "they never ended");
            thread::yield_now();
        }
    }
}
