//! What the pool makes while others need the disk's space.

use std::thread;

use tempfile::TempDir;

use super::*;

const SEGMENT_BYTES: u64 = 64 << 10;

/// Waits for a level, and for so many segments that are ready.
fn until(pool: &Pool, level: Space, ready: usize) {
    let deadline = Instant::now() + Duration::from_secs(30);
    let now = || {
        let ready = pool.lock().ready.len();
        (*pool.space().borrow(), ready)
    };
    while now() != (level, ready) {
        assert!(Instant::now() < deadline, "never {level:?}: {pool:?}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Closes the pool, whatever happens: its thread is waited for.
struct Closing<'a>(&'a Pool);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        self.0.close();
    }
}

fn segment(dir: &TempDir, seq: u64) {
    make(dir.path(), seq, SEGMENT_BYTES, &[], |_| Ok(())).unwrap();
}

#[test]
fn what_others_claim_is_left_and_purged_segments_are_used_again() {
    let dir = TempDir::new().unwrap();
    for seq in 1..=4 {
        segment(&dir, seq);
    }
    let pool = Pool::open(dir.path(), SEGMENT_BYTES, Faults::default(), 4, &[]).unwrap();
    thread::scope(|scope| {
        let _closing = Closing(&pool);
        scope.spawn(|| pool.run());
        pool.leave(Claim::Later);
        assert_eq!(*pool.space().borrow(), Space::Tight);
        pool.used(SEGMENT_BYTES);
        until(&pool, Space::Low, 0);
        pool.retire(&[1]);
        until(&pool, Space::Low, 1);
        pool.take(5).unwrap();
        until(&pool, Space::Low, 0);
        pool.retire(&[2, 3]);
        until(&pool, Space::Tight, 2);
        let names = || fs::read_dir(dir.path()).unwrap().count();
        assert_eq!(names(), 4, "three were used again, none was made");
        // What it cannot go on without is made all the same, but not while others take the space.
        for seq in [6, 7, 8] {
            pool.take(seq).unwrap();
        }
        assert_eq!(names(), 5);
        pool.leave(Claim::Now);
        let taking = scope.spawn(|| pool.take(9).unwrap());
        until(&pool, Space::Exhausted, 0);
        thread::sleep(2 * RETRY);
        assert!(!taking.is_finished());
        pool.leave(Claim::Nothing);
        taking.join().unwrap();
        until(&pool, Space::Ample, 2);
    });
}
