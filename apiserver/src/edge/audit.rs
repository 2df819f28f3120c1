//! The audit log at work: a record goes with each request, and its note goes to one thread that
//! writes the file. A full queue slows requests down; it never loses a note of one.

mod file;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::HeaderValue;
use http::request::Parts;
use http_body_util::BodyExt;
use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot};

use super::{ambient, info};
use crate::audit::policy::{Asked, Decision, Stage};
use crate::audit::{Event, Level, Noted, Policy};
use crate::call::Annotations;
use crate::user::{Attributes, User};

/// Notes that wait to be written.
const QUEUE: usize = 4_096;

/// Answers longer than this are not noted, and so not held.
const ANSWER_BYTES_MAX: u64 = 1 << 20;

/// Where the audit log goes, and what goes there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The file; older ones lie beside it, named by when they ended.
    pub path: PathBuf,
    /// Which requests are noted, and how fully.
    pub policy: Policy,
    /// A file that would become longer is set aside.
    pub file_bytes: u64,
    /// Older files kept; 0: all.
    pub backups: usize,
    /// Older files are removed after this time; zero: never.
    pub age: Duration,
}

/// Writes notes.
#[derive(Debug)]
pub(crate) struct Audit {
    policy: Policy,
    to: mpsc::Sender<Message>,
    lost: Arc<AtomicU64>,
}

#[derive(Debug)]
enum Message {
    Line(Vec<u8>),
    /// Answered when everything before it is in the file.
    Flush(oneshot::Sender<()>),
}

/// What is noted of one request on its way. Cloning shares it.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    audit: Arc<Audit>,
    noted: Arc<Mutex<Noted>>,
    head: Arc<Head>,
}

#[derive(Debug)]
struct Head {
    id: HeaderValue,
    uri: String,
    method: String,
    source: String,
    agent: String,
    received: Timestamp,
}

impl Audit {
    /// Opens the file and starts its thread.
    ///
    /// # Errors
    /// The file cannot be opened, or no thread be had.
    pub(crate) fn start(options: Options) -> std::io::Result<Arc<Self>> {
        let (to, from) = mpsc::channel(QUEUE);
        let lost = Arc::new(AtomicU64::new(0));
        let file = file::Log::open(&options)?;
        let count = Arc::clone(&lost);
        std::thread::Builder::new()
            .name("audit".to_owned())
            .spawn(move || write(file, from, &count))?;
        let policy = options.policy;
        Ok(Arc::new(Self { policy, to, lost }))
    }

    /// Notes that could not be written.
    pub(crate) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Waits until all that was noted is in the file.
    pub(crate) async fn flush(&self) {
        let (done, flushed) = oneshot::channel();
        if self.to.send(Message::Flush(done)).await.is_ok() {
            _ = flushed.await;
        }
    }

    /// A record for a request, and the address it comes from if it came over the network.
    pub(crate) fn record(
        self: &Arc<Self>,
        id: &HeaderValue,
        head: &Parts,
        from: Option<SocketAddr>,
    ) -> Record {
        let agent = head.headers.get(http::header::USER_AGENT);
        let head = Head {
            id: id.clone(),
            uri: head
                .uri
                .path_and_query()
                .map_or_else(String::new, ToString::to_string),
            method: head.method.to_string(),
            source: from.map_or_else(String::new, |from| from.ip().to_string()),
            agent: agent
                .and_then(|agent| agent.to_str().ok())
                .unwrap_or_default()
                .to_owned(),
            received: ambient::now(),
        };
        Record {
            audit: Arc::clone(self),
            noted: Arc::default(),
            head: Arc::new(head),
        }
    }
}

/// The thread's work, until nobody can send any more.
fn write(mut file: file::Log, mut from: mpsc::Receiver<Message>, lost: &AtomicU64) {
    let mut batch = Vec::new();
    while from.blocking_recv_many(&mut batch, QUEUE) > 0 {
        let mut waiting = Vec::new();
        let mut failed = 0;
        for message in batch.drain(..) {
            match message {
                Message::Line(line) => failed += u64::from(!file.append(&line)),
                Message::Flush(done) => waiting.push(done),
            }
        }
        failed += file.flush();
        lost.fetch_add(failed, Ordering::Relaxed);
        for done in waiting {
            _ = done.send(());
        }
    }
}

impl Record {
    /// Who asks, and as whom.
    pub(crate) fn user(&self, user: Option<&User>, impersonated: Option<&User>) {
        let mut noted = self.lock();
        noted.user = user.cloned();
        noted.impersonated = impersonated.cloned();
    }

    /// What is asked of a resource.
    pub(crate) fn resource(&self, attributes: &Attributes) {
        let mut noted = self.lock();
        let asked = Asked::Resource(attributes);
        noted.decision = Some(self.audit.policy.decide(noted.user.as_ref(), asked));
        if noted.level() > Level::None {
            noted.attributes = Some(attributes.clone());
        }
    }

    /// Where the call leaves what admission has to say.
    pub(crate) fn annotations(&self) -> Annotations {
        self.lock().annotations.clone()
    }

    /// The body that was sent.
    pub(crate) fn sent(&self, body: &Bytes) {
        let mut noted = self.lock();
        if noted.level() >= Level::Request {
            noted.sent = Some(body.clone());
        }
    }

    /// Notes the end; of a watch, its beginning, and its end when it comes.
    pub(crate) async fn finish(self, response: Response, is_panic: bool) -> Response {
        let decision = self.decision();
        if decision.level == Level::None {
            return response;
        }
        let code = response.status().as_u16();
        if self.lock().is_watch() && response.status().is_success() {
            return self.watch(response, code, decision).await;
        }
        let response = self.answered(response, decision.level).await;
        let stage = if is_panic {
            Stage::Panic
        } else {
            Stage::ResponseComplete
        };
        if !decision.omits_end || is_panic {
            let line = self.line(stage, code);
            self.send(line).await;
        }
        response
    }

    /// What the policy says; of a request that never came to its resource, by its path.
    fn decision(&self) -> Decision {
        let mut noted = self.lock();
        if let Some(decision) = noted.decision {
            return decision;
        }
        let path = self.head.uri.split('?').next().unwrap_or_default();
        let plain = info::plain(path);
        let verb = self.head.method.to_lowercase();
        let asked = Asked::Path(&verb, plain.as_deref().unwrap_or(path));
        let decision = self.audit.policy.decide(noted.user.as_ref(), asked);
        noted.decision = Some(decision);
        decision
    }

    async fn watch(self, response: Response, code: u16, decision: Decision) -> Response {
        if !decision.omits_start {
            let line = self.line(Stage::ResponseStarted, code);
            self.send(line).await;
        }
        if decision.omits_end {
            return response;
        }
        let end = End { record: self, code };
        response.map(|body| {
            let end = Arc::new(end);
            Body::new(body.map_frame(move |frame| {
                // The closure lives as long as the body, and `end` as long as the closure.
                let _held = &end;
                frame
            }))
        })
    }

    /// Keeps the answer's bytes if they are wanted, and few enough to be held.
    async fn answered(&self, response: Response, level: Level) -> Response {
        use http_body::Body as _;
        let short = |body: &Body| {
            body.size_hint()
                .exact()
                .is_some_and(|bytes| bytes <= ANSWER_BYTES_MAX)
        };
        if level < Level::RequestResponse || !short(response.body()) {
            return response;
        }
        let (head, body) = response.into_parts();
        match body.collect().await {
            Ok(collected) => {
                let bytes = collected.to_bytes();
                self.lock().answered = Some(bytes.clone());
                Response::from_parts(head, Body::from(bytes))
            }
            Err(_broken) => Response::from_parts(head, Body::empty()),
        }
    }

    fn line(&self, stage: Stage, code: u16) -> Message {
        let head = &self.head;
        let event = Event {
            id: head.id.to_str().unwrap_or("-"),
            stage,
            uri: &head.uri,
            method: &head.method,
            source: &head.source,
            agent: &head.agent,
            code,
            received: head.received,
            now: ambient::now(),
        };
        Message::Line(event.line(&self.lock()))
    }

    async fn send(&self, line: Message) {
        if self.audit.to.send(line).await.is_err() {
            self.audit.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Noted> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Notes the end of a watch when its body is dropped.
struct End {
    record: Record,
    code: u16,
}

impl Drop for End {
    fn drop(&mut self) {
        let line = self.record.line(Stage::ResponseComplete, self.code);
        // Nothing can be waited for here: a queue that is full loses the note, and says so.
        if self.record.audit.to.try_send(line).is_err() {
            self.record.audit.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}
