//! What each caller waits for, and what has come of it.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use apiserver::http2::streams::Streams;
use http::StatusCode;

use super::session::Event;
use crate::{Fault, Outcome};

/// Bytes that are kept of an answer that should have been another.
const TEXT_MAX: usize = 16 << 10;

/// What a caller wants to know of its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Its length at its end, if it has this status.
    Length(StatusCode),
    /// How many lines have come, whenever some have.
    Lines,
}

#[derive(Debug, Default)]
pub(super) struct Callers(Streams<Caller>);

#[derive(Debug)]
struct Caller {
    wanted: Wanted,
    waker: Option<Waker>,
    status: Option<StatusCode>,
    bytes: usize,
    /// Ends of lines that nobody was told of, and whether anything came.
    lines: usize,
    has_news: bool,
    text: Vec<u8>,
    end: Option<End>,
}

/// How an answer ended: all of it came, or why not.
type End = Result<(), Arc<str>>;

impl Callers {
    pub(super) fn add(&mut self, stream: u32, wanted: Wanted) {
        let caller = Caller {
            wanted,
            waker: None,
            status: None,
            bytes: 0,
            lines: 0,
            has_news: false,
            text: Vec::new(),
            end: None,
        };
        self.0.push(stream, caller);
    }

    /// Nobody asks any more; true if the answer is not at its end.
    pub(super) fn remove(&mut self, stream: u32) -> bool {
        let removed = self.0.remove(stream);
        removed.is_some_and(|caller| caller.end.is_none())
    }

    /// Tells whom it concerns, and collects who is to be woken.
    pub(super) fn hear(&mut self, event: &Event<'_>, woken: &mut Vec<Waker>) {
        match *event {
            Event::Head {
                stream,
                status,
                ends,
            } => self.tell(stream, woken, |caller| {
                caller.status = Some(status);
                caller.end = ends.then_some(Ok(()));
            }),
            Event::Data { stream, data, ends } => self.tell(stream, woken, |caller| {
                caller.take(data);
                caller.end = ends.then_some(Ok(()));
            }),
            Event::Reset { stream, why } => self.tell(stream, woken, |caller| {
                let text = format!("the stream was reset, error {why} of HTTP/2");
                caller.end = Some(Err(text.into()));
            }),
            Event::Left { last, why } => {
                let text = format!("the server says farewell, error {why} of HTTP/2");
                self.fail(last, &text, woken);
            }
        }
    }

    /// Nothing more comes on streams after this one.
    pub(super) fn fail(&mut self, last: u32, why: &str, woken: &mut Vec<Waker>) {
        let why: Arc<str> = why.into();
        for (stream, caller) in self.0.iter_mut() {
            if stream > last && caller.end.is_none() {
                caller.end = Some(Err(Arc::clone(&why)));
                woken.extend(caller.waker.take());
            }
        }
    }

    fn tell(&mut self, stream: u32, woken: &mut Vec<Waker>, what: impl FnOnce(&mut Caller)) {
        if let Some(caller) = self.0.get_mut(stream) {
            what(caller);
            if caller.end.is_some() || caller.wanted == Wanted::Lines {
                woken.extend(caller.waker.take());
            }
        }
    }

    /// The length of the whole answer.
    pub(super) fn length(&mut self, stream: u32, cx: &mut Context<'_>) -> Poll<Outcome<usize>> {
        self.poll(stream, cx, |caller| {
            Some(caller.ended()?.and_then(|()| caller.length()))
        })
    }

    /// The status of the answer, as soon as it is there.
    pub(super) fn status(
        &mut self,
        stream: u32,
        cx: &mut Context<'_>,
    ) -> Poll<Outcome<StatusCode>> {
        self.poll(stream, cx, |caller| match (caller.status, &caller.end) {
            (Some(status), _) => Some(Ok(status)),
            (None, Some(Err(why))) => Some(Err(fault(why))),
            (None, _) => None,
        })
    }

    /// How many lines ended since the last time; none at the end of all.
    pub(super) fn lines(
        &mut self,
        stream: u32,
        cx: &mut Context<'_>,
    ) -> Poll<Outcome<Option<usize>>> {
        self.poll(stream, cx, |caller| {
            if std::mem::take(&mut caller.has_news) {
                return Some(Ok(Some(std::mem::take(&mut caller.lines))));
            }
            Some(caller.ended()?.map(|()| None))
        })
    }

    fn poll<T>(
        &mut self,
        stream: u32,
        cx: &mut Context<'_>,
        look: impl FnOnce(&mut Caller) -> Option<Outcome<T>>,
    ) -> Poll<Outcome<T>> {
        let Some(caller) = self.0.get_mut(stream) else {
            return Poll::Ready(Err(Fault::new("nobody asked on this stream")));
        };
        if let Some(found) = look(caller) {
            return Poll::Ready(found);
        }
        match &mut caller.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        Poll::Pending
    }
}

impl Caller {
    fn take(&mut self, data: &[u8]) {
        self.bytes += data.len();
        match self.wanted {
            Wanted::Length(expected) if self.status != Some(expected) => {
                let room = TEXT_MAX.saturating_sub(self.text.len());
                self.text.extend_from_slice(&data[..room.min(data.len())]);
            }
            Wanted::Length(_) => {}
            Wanted::Lines => {
                self.lines += ends(data);
                self.has_news |= !data.is_empty();
            }
        }
    }

    /// How the answer ended, if it did.
    fn ended(&self) -> Option<Outcome<()>> {
        let end = self.end.as_ref()?;
        Some(end.as_ref().copied().map_err(|why| fault(why)))
    }

    fn length(&self) -> Outcome<usize> {
        match (self.wanted, self.status) {
            (Wanted::Length(expected), Some(status)) if status != expected => {
                let text = String::from_utf8_lossy(&self.text);
                Err(Fault::new(format!("{status}: {text}")))
            }
            _ => Ok(self.bytes),
        }
    }
}

fn fault(why: &str) -> Fault {
    Fault::new(why)
}

/// How many lines end here. Counted in bytes, which the compiler makes wide steps of: one by one, this alone was a
/// quarter of what the client did.
fn ends(data: &[u8]) -> usize {
    let few = |chunk: &[u8]| {
        chunk
            .iter()
            .map(|byte| u8::from(*byte == b'\n'))
            .sum::<u8>()
    };
    data.chunks(usize::from(u8::MAX))
        .map(|chunk| usize::from(few(chunk)))
        .sum()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Bell(AtomicUsize);

    impl Wake for Bell {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A caller on stream 1, and how often it was woken.
    struct Case {
        callers: Callers,
        bell: Arc<Bell>,
    }

    impl Case {
        fn new(wanted: Wanted) -> Self {
            let mut callers = Callers::default();
            callers.add(1, wanted);
            let bell = Arc::default();
            Self { callers, bell }
        }

        fn hear(&mut self, event: &Event<'_>) {
            let mut woken = Vec::new();
            self.callers.hear(event, &mut woken);
            woken.into_iter().for_each(Waker::wake);
        }

        fn rings(&self) -> usize {
            self.bell.0.swap(0, Ordering::Relaxed)
        }

        fn poll<T>(
            &mut self,
            what: impl FnOnce(&mut Callers, &mut Context<'_>) -> Poll<Outcome<T>>,
        ) -> Option<Result<T, String>> {
            let waker = Waker::from(Arc::clone(&self.bell));
            match what(&mut self.callers, &mut Context::from_waker(&waker)) {
                Poll::Ready(found) => Some(found.map_err(|fault| fault.to_string())),
                Poll::Pending => None,
            }
        }

        fn length(&mut self) -> Option<Result<usize, String>> {
            self.poll(|callers, cx| callers.length(1, cx))
        }

        fn lines(&mut self) -> Option<Result<Option<usize>, String>> {
            self.poll(|callers, cx| callers.lines(1, cx))
        }
    }

    fn head(status: StatusCode) -> Event<'static> {
        Event::Head {
            stream: 1,
            status,
            ends: false,
        }
    }

    fn data(data: &[u8], ends: bool) -> Event<'_> {
        Event::Data {
            stream: 1,
            data,
            ends,
        }
    }

    #[test]
    fn lengths() {
        for (status, expected) in [
            (StatusCode::OK, Ok(5)),
            (StatusCode::CONFLICT, Err("409 Conflict: abcde".to_owned())),
        ] {
            let mut case = Case::new(Wanted::Length(StatusCode::OK));
            assert_eq!(case.length(), None);
            case.hear(&head(status));
            case.hear(&data(b"abc", false));
            assert_eq!(case.rings(), 0, "not before the end");
            case.hear(&data(b"de", true));
            assert_eq!((case.rings(), case.length()), (1, Some(expected)));
            assert!(!case.callers.remove(1));
        }
    }

    #[test]
    fn watches() {
        let mut case = Case::new(Wanted::Lines);
        let status = |case: &mut Case| case.poll(|callers, cx| callers.status(1, cx));
        assert_eq!(status(&mut case), None);
        case.hear(&head(StatusCode::OK));
        assert_eq!(case.rings(), 1);
        assert_eq!(status(&mut case), Some(Ok(StatusCode::OK)));
        assert_eq!(case.lines(), None);
        case.hear(&data(b"a\nb\nc", false));
        case.hear(&data(b"d\n", false));
        assert_eq!((case.rings(), case.lines()), (1, Some(Ok(Some(3)))));
        assert_eq!(case.lines(), None);
        case.hear(&data(b"e", false));
        assert_eq!((case.rings(), case.lines()), (1, Some(Ok(Some(0)))));
        case.hear(&data(b"", true));
        assert_eq!(case.lines(), Some(Ok(None)));
    }

    #[test]
    fn answers_that_do_not_come() {
        let [reset, early, late] = [
            Event::Reset { stream: 1, why: 8 },
            Event::Left { last: 0, why: 2 },
            Event::Left { last: 1, why: 2 },
        ];
        for (event, expected) in [
            (reset, Some("the stream was reset, error 8 of HTTP/2")),
            (early, Some("the server says farewell, error 2 of HTTP/2")),
            (late, None),
        ] {
            let mut case = Case::new(Wanted::Length(StatusCode::OK));
            assert_eq!(case.length(), None);
            case.hear(&event);
            let found = case.length().map(|found| found.unwrap_err());
            assert_eq!(found.as_deref(), expected, "{event:?}");
            assert_eq!(case.callers.remove(1), expected.is_none());
        }
    }

    #[test]
    fn ends_of_lines() {
        for (text, expected) in [("", 0), ("a\nb\n", 2), ("\n".repeat(1_000).as_str(), 1_000)] {
            assert_eq!(ends(text.as_bytes()), expected);
        }
    }
}
