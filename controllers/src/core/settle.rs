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
            Token::Retry(key) | Token::Task(key) => {
                self.tasks.insert(key.clone());
                self.refused(&token, &result, now_ms);
            }
            Token::Liveness(_) => {
                self.agents_moved = true;
                self.refused(&token, &result, now_ms);
            }
            Token::Reservation(_) => {
                self.reservations_moved = true;
                self.refused(&token, &result, now_ms);
            }
            Token::Group(key) => {
                if result.is_err() {
                    self.groups.insert(key.clone());
                }
                self.refused(&token, &result, now_ms);
            }
            Token::Counts(name) => {
                self.counts.settled(name);
                self.counts.touch();
            }
            Token::Garbage(_) => self.refused(&token, &result, now_ms),
        }
    }

    /// A refusal is looked at again a little later, whatever its cause: the present state decides.
    fn refused<T>(&mut self, token: &Token, result: &Result<T, Refusal>, now_ms: u64) {
        if let Err(refusal) = result {
            tracing::debug!(
                ?token,
                code = refusal.code,
                message = refusal.message,
                "write refused"
            );
            self.again_ms = Some(now_ms + AGAIN_MS);
        }
    }
}
