//! One stream: a request in work, and its answer on the way.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures::future::BoxFuture;
use http::{HeaderValue, header};
use http_body::Body as _;
use tokio::time::Instant;

use super::bells::Bell;
use super::upload::Upload;
use crate::edge::ambient;
use crate::http2::frame::Reason;
use crate::http2::session::Session;

/// Bytes of one stream that go out before others have their turn.
const SHARE: usize = 64 << 10;

/// A stream's work.
pub(super) struct Task {
    pub(super) stream: u32,
    pub(super) bell: Arc<Bell>,
    pub(super) upload: Option<Upload>,
    pub(super) work: Work,
    /// Since when the peer takes nothing of what is there for it.
    pub(super) stuck: Option<Instant>,
}

pub(super) enum Work {
    Asking(BoxFuture<'static, Response>),
    Sending {
        body: Body,
        /// What of it was not sent yet, and whether it is the end.
        piece: Bytes,
        is_last: bool,
    },
    /// The request may still be on its way.
    Sent,
}

/// How a task's turn ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Its bell will ring, or its window open.
    Waits,
    /// It has more at once.
    Again,
    Over,
}

impl Task {
    /// Goes on as far as it can; a panic ends the stream alone.
    pub(super) fn turn(&mut self, session: &mut Session, out: &mut Vec<u8>) -> Turn {
        let stream = self.stream;
        let turn = catch_unwind(AssertUnwindSafe(|| self.go_on(session, out)));
        turn.unwrap_or_else(|_panic| {
            tracing::error!(stream, "an answer panicked; see the line above");
            session.reset(stream, Reason::Internal, out);
            Turn::Over
        })
    }

    /// True if the peer took nothing for so long of what is there for it, and held here, or did not end a request
    /// that is answered. Other streams of its connection may well move.
    pub(super) fn is_stuck(&mut self, session: &Session, now: Instant, limit: Duration) -> bool {
        let waits = match &self.work {
            Work::Asking(_) => false,
            Work::Sending { piece, .. } => !piece.is_empty() && session.room(self.stream) == 0,
            // For the rest of the request.
            Work::Sent => true,
        };
        if !waits {
            self.stuck = None;
            return false;
        }
        now.duration_since(*self.stuck.get_or_insert(now)) >= limit
    }

    fn go_on(&mut self, session: &mut Session, out: &mut Vec<u8>) -> Turn {
        let waker = Waker::from(Arc::clone(&self.bell));
        let mut cx = Context::from_waker(&waker);
        if let Work::Asking(answer) = &mut self.work {
            let Poll::Ready(answer) = answer.as_mut().poll(&mut cx) else {
                self.make_room(session, out);
                return Turn::Waits;
            };
            self.begin(answer, session, out);
        }
        self.make_room(session, out);
        match self.send(&mut cx, session, out) {
            Turn::Over => self.end(session, out),
            turn @ (Turn::Waits | Turn::Again) => turn,
        }
    }

    /// What was read of the request makes room for more of it.
    fn make_room(&self, session: &mut Session, out: &mut Vec<u8>) {
        if let Some(upload) = &self.upload {
            session.take(self.stream, upload.read(), out);
        }
    }

    // Asking → Sending
    fn begin(&mut self, answer: Response, session: &mut Session, out: &mut Vec<u8>) {
        let (mut head, body) = answer.into_parts();
        let headers = &mut head.headers;
        let is_empty = body.is_end_stream();
        if let Some(length) = body.size_hint().exact().filter(|_| !is_empty) {
            let length = || HeaderValue::from(length);
            headers.entry(header::CONTENT_LENGTH).or_insert_with(length);
        }
        headers.entry(header::DATE).or_insert_with(ambient::date);
        session.answer(self.stream, (head.status, headers), is_empty, out);
        self.work = match is_empty {
            true => Work::Sent,
            false => Work::Sending {
                body,
                piece: Bytes::new(),
                is_last: false,
            },
        };
    }

    fn send(&mut self, cx: &mut Context<'_>, session: &mut Session, out: &mut Vec<u8>) -> Turn {
        let start = out.len();
        let Work::Sending {
            body,
            piece,
            is_last,
        } = &mut self.work
        else {
            return Turn::Over;
        };
        loop {
            if piece.is_empty() && !*is_last {
                match Pin::new(&mut *body).poll_frame(cx) {
                    Poll::Pending => return Turn::Waits,
                    Poll::Ready(Some(Ok(frame))) => {
                        // Nobody here sends trailers.
                        *piece = frame.into_data().unwrap_or_default();
                        *is_last = body.is_end_stream();
                    }
                    Poll::Ready(Some(Err(error))) => {
                        tracing::debug!(%error, stream = self.stream, "an answer broke off");
                        session.reset(self.stream, Reason::Internal, out);
                        self.work = Work::Sent;
                        return Turn::Over;
                    }
                    Poll::Ready(None) => *is_last = true,
                }
            }
            let waiting = piece.len();
            session.data(self.stream, piece, *is_last, out);
            if piece.len() < waiting {
                self.stuck = None;
            }
            if !piece.is_empty() && session.room(self.stream) == 0 {
                return Turn::Waits;
            }
            if piece.is_empty() && *is_last {
                self.work = Work::Sent;
                return Turn::Over;
            }
            if out.len() - start >= SHARE {
                return Turn::Again;
            }
        }
    }

    /// The answer is sent. The rest of the request is let in for as long as somebody reads it, and if it is
    /// short: curl takes a stream that ends under what it still sends for a failure.
    fn end(&self, session: &mut Session, out: &mut Vec<u8>) -> Turn {
        let is_read = self
            .upload
            .as_ref()
            .is_some_and(|upload| !upload.is_unread());
        if session.knows(self.stream) && (is_read || session.is_short(self.stream)) {
            return Turn::Waits;
        }
        session.reset(self.stream, Reason::None, out);
        Turn::Over
    }
}
