//! Takes in how each write ended.

use super::{AGAIN_MS, Core};
use crate::effect::{Refusal, Token};
use crate::outbox::Settled;

impl Core {
    /// A write ended.
    pub(super) fn settled(&mut self, settled: Settled, now_ms: u64) {
        let Settled { token, result } = settled;
        self.flying.remove(&token);
        match &token {
            Token::Create(key) => {
                let writes = self.allocator.created(&self.world, key, &result, now_ms);
                self.push(writes);
                self.allocator.dirty = true;
            }
            Token::Accept(keys) => {
                let writes = self.allocator.answered(&self.world, keys, &result, now_ms);
                self.push(writes);
                self.allocator.dirty = true;
            }
            Token::Withdraw(key) => {
                self.allocator.withdrawn(&self.world, key, &result, now_ms);
                self.allocator.dirty = true;
            }
            Token::Explain(key) => self.waits.settled(key),
            Token::Told(uid, reason) => self.recorder.settled(uid, reason, result.is_ok()),
            Token::Counts(name) => {
                self.counts.settled(name);
                self.counts.touch();
            }
            // What it changed is seen by its watch.
            Token::Liveness(_) | Token::Reservation(_) if result.is_ok() => {
                (self.agents_moved, self.reservations_moved) = (true, true);
            }
            Token::Retry(_)
            | Token::Task(_)
            | Token::Group(_)
            | Token::Garbage(_)
            | Token::Liveness(_)
            | Token::Reservation(_) => {
                if let Err(refusal) = &result {
                    self.refused(token, refusal, now_ms);
                }
            }
        }
    }

    /// A refusal is looked at again a little later, whatever its cause: the present state decides.
    fn refused(&mut self, token: Token, refusal: &Refusal, now_ms: u64) {
        tracing::debug!(
            ?token,
            code = refusal.code,
            message = refusal.message,
            "write refused"
        );
        self.refused.insert(token);
        self.again_ms = Some(now_ms + AGAIN_MS);
    }

    /// Time to look again at what was refused.
    pub(super) fn look_again(&mut self, now_ms: u64) {
        if self.again_ms.is_none_or(|at| at > now_ms) {
            return;
        }
        self.again_ms = None;
        (self.agents_moved, self.reservations_moved) = (true, true);
        self.garbage.look_later();
        for token in std::mem::take(&mut self.refused) {
            match token {
                Token::Retry(key) | Token::Task(key) => _ = self.tasks.insert(key),
                Token::Group(key) => _ = self.groups.insert(key),
                Token::Garbage(thing) => self.garbage.again(&self.world, &thing),
                Token::Create(_)
                | Token::Accept(_)
                | Token::Withdraw(_)
                | Token::Explain(_)
                | Token::Counts(_)
                | Token::Told(..)
                | Token::Liveness(_)
                | Token::Reservation(_) => {}
            }
        }
    }
}
