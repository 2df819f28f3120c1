//! Ends long answers whose warrant does not hold any more: an open watch must not outlive the right to
//! begin it.
//!
//! Once a second it looks at what was written since, and judges only the answers that this may concern;
//! ten thousand idle watches cost nothing. An answer that just began is judged once more, for what may
//! have changed while it began.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context as Task, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use futures::task::AtomicWaker;
use http_body::{Body, Frame};
use store::Cursor;
use tokio::time::{Instant, MissedTickBehavior};

use super::ambient;
use super::context::Context;
use super::warrant::{Law, News, Warrant};
use crate::engine::revocations;
use crate::keys;
use crate::rbac;
use crate::status::Failure;

/// How long a right may be outlived.
const TURN: Duration = Duration::from_secs(1);

/// Answers judged before others on this thread go first.
const STRETCH: usize = 256;

/// All answers that are watched over. Cloning shares it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Warden(Arc<Wards>);

#[derive(Debug, Default)]
struct Wards {
    all: Mutex<HashMap<u64, Arc<Ward>>>,
    next: AtomicU64,
}

#[derive(Debug)]
struct Ward {
    warrant: Warrant,
    /// Not judged since it began.
    is_new: AtomicBool,
    ended: OnceLock<Failure>,
    reader: AtomicWaker,
}

/// One answer in the warden's care; dropping it leaves.
#[derive(Debug)]
pub(crate) struct Care {
    ward: Arc<Ward>,
    warden: Warden,
    id: u64,
}

/// A body that ends with its warrant.
#[derive(Debug)]
pub(crate) struct Guarded<B> {
    body: B,
    care: Care,
    /// What is said at the end.
    words: fn(&Failure) -> Bytes,
    is_over: bool,
}

impl Warden {
    /// Takes an answer into care.
    pub(crate) fn care(&self, warrant: Warrant) -> Care {
        let ward = Arc::new(Ward {
            warrant,
            is_new: AtomicBool::new(true),
            ended: OnceLock::new(),
            reader: AtomicWaker::new(),
        });
        let id = self.0.next.fetch_add(1, Ordering::Relaxed);
        self.lock().insert(id, Arc::clone(&ward));
        Care {
            ward,
            warden: self.clone(),
            id,
        }
    }

    /// Those to be judged now.
    fn due(&self, news: News, now_s: u64) -> Vec<Arc<Ward>> {
        let all = self.lock();
        let due = |ward: &&Arc<Ward>| {
            ward.is_new.swap(false, Ordering::Relaxed)
                || ward.warrant.expires_s().is_some_and(|end_s| end_s <= now_s)
                || !news.is_none() && ward.warrant.is_touched_by(news)
        };
        let open = all.values().filter(|ward| ward.ended.get().is_none());
        open.filter(due).cloned().collect()
    }

    /// Judges for ever.
    pub(crate) async fn run(self, context: Arc<Context>) {
        let mut turns = tokio::time::interval(TURN);
        turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut reader = Reader::new(&context);
        loop {
            turns.tick().await;
            let news = reader.news(&context);
            self.turn(&context, news).await;
        }
    }

    async fn turn(&self, context: &Context, news: News) {
        let now_s = ambient::now_s();
        let due = self.due(news, now_s);
        if due.is_empty() {
            return;
        }
        let law = Law {
            context,
            view: context.store().view(),
            authorizer: context.engine.authorizer(),
            now_s,
        };
        let mut ended = 0;
        for some in due.chunks(STRETCH) {
            for ward in some {
                if let Err(failure) = ward.warrant.check(&law) {
                    ended += 1;
                    ward.end(failure);
                }
            }
            tokio::task::yield_now().await;
        }
        if ended > 0 {
            tracing::info!(
                judged = due.len(),
                ended,
                "watches and logs outlived their right"
            );
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Arc<Ward>>> {
        self.0.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ward {
    fn end(&self, failure: Failure) {
        // The first reason stands.
        let _earlier = self.ended.set(failure);
        self.reader.wake();
    }
}

impl Care {
    /// The body, as long as its warrant holds; then these words.
    pub(crate) fn over<B>(self, body: B, words: fn(&Failure) -> Bytes) -> Guarded<B> {
        Guarded {
            body,
            care: self,
            words,
            is_over: false,
        }
    }
}

impl Drop for Care {
    fn drop(&mut self) {
        self.warden.lock().remove(&self.id);
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Guarded<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Task<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.get_mut();
        if this.is_over {
            return Poll::Ready(None);
        }
        let ward = &this.care.ward;
        ward.reader.register(cx.waker());
        let Some(failure) = ward.ended.get() else {
            return Pin::new(&mut this.body).poll_frame(cx);
        };
        this.is_over = true;
        let last = (this.words)(failure);
        Poll::Ready((!last.is_empty()).then(|| Ok(Frame::data(last))))
    }
}

/// Reads what was written since it last read.
struct Reader {
    changes: Option<Cursor>,
    file: u64,
}

impl Reader {
    fn new(context: &Context) -> Self {
        Self {
            changes: begin(context),
            file: file(context),
        }
    }

    fn news(&mut self, context: &Context) -> News {
        let mut news = News::default();
        loop {
            let Some(cursor) = &mut self.changes else {
                self.changes = begin(context);
                news = News::ALL;
                break;
            };
            match cursor.next().now_or_never() {
                Some(Ok(changes)) => changes
                    .iter()
                    .for_each(|change| note(&mut news, &change.key)),
                // History was replaced: whatever it held may have changed.
                Some(Err(_compacted)) => self.changes = None,
                None => break,
            }
        }
        let file = file(context);
        news.tokens |= file != std::mem::replace(&mut self.file, file);
        news
    }
}

/// From now on; none if history is replaced in this moment.
fn begin(context: &Context) -> Option<Cursor> {
    let store = context.store();
    store.changes(store.view().revision()).ok()
}

/// Which state of the file of static tokens counts.
fn file(context: &Context) -> u64 {
    let file = context.identities.file.as_ref();
    file.map_or(0, |file| file.generation(Instant::now()))
}

/// What a change under this key may concern.
fn note(news: &mut News, key: &[u8]) {
    if key.starts_with(keys::AGENT_IDENTITIES) {
        news.names = true;
    }
    let Some(parts) = keys::parse(key) else {
        return;
    };
    match (parts.group, parts.plural) {
        (rbac::GROUP, _) => news.rights = true,
        (manifests::kinds::GROUP, revocations::PLURAL) => news.revoked = true,
        ("", "serviceaccounts" | "secrets") => news.tokens = true,
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_news() {
        let none = News::default();
        for (key, expected) in [
            ("/core/configmaps/a/x", none),
            ("/stoa.dev/tasks/a/x", none),
            ("/vault/data-keys", none),
            (
                "/core/secrets/a/x",
                News {
                    tokens: true,
                    ..none
                },
            ),
            (
                "/core/serviceaccounts/a/x",
                News {
                    tokens: true,
                    ..none
                },
            ),
            (
                "/agent-identities/a1",
                News {
                    names: true,
                    ..none
                },
            ),
            (
                "/stoa.dev/revocations/-/x",
                News {
                    revoked: true,
                    ..none
                },
            ),
            (
                "/rbac.authorization.k8s.io/roles/a/x",
                News {
                    rights: true,
                    ..none
                },
            ),
        ] {
            let mut news = News::default();
            note(&mut news, key.as_bytes());
            assert_eq!(news, expected, "{key}");
        }
    }
}
