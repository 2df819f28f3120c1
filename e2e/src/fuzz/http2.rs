//! Frames of HTTP/2 as a stranger sends them, in pieces of any size: they are answered, refused or the connection
//! is ended, and nobody makes the server say, or keep, much more than he sends.

use apiserver::http2::session::{Event, Session};
use bytes::Bytes;
use http::{HeaderMap, StatusCode};

/// What every client begins with: the preface, and settings that change nothing.
const BEGINNING: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// Bytes of each answer.
const ANSWER: usize = 100;

/// A frame of nine bytes leads to an answer at most: its head, and one piece of it.
const FACTOR: usize = 64;

/// The first byte says how large the pieces are in which the rest comes.
pub(super) fn feed(data: &[u8]) {
    let Some((&size, data)) = data.split_first() else {
        return;
    };
    let mut out = Vec::new();
    let mut session = Session::begin(&mut out);
    let said = out.len();
    let input = [BEGINNING, data].concat();
    let mut rest: Vec<u8> = Vec::new();
    for piece in input.chunks(usize::from(size) + 1) {
        rest.extend_from_slice(piece);
        let mut left = &rest[..];
        loop {
            let mut event = None;
            match session.step(&mut left, &mut out, &mut event) {
                Ok(true) => event
                    .into_iter()
                    .for_each(|event| happen(event, &mut session, &mut out)),
                Ok(false) => break,
                Err(reason) => return session.fail(reason, &mut out),
            }
        }
        // At most one frame waits for its end.
        assert!(left.len() < 9 + (16 << 10));
        rest = left.to_vec();
    }
    assert!(
        out.len() <= said + FACTOR * input.len(),
        "{} bytes for {}",
        out.len(),
        input.len()
    );
    session.ping(&mut out);
    session.leave(&mut out);
}

fn happen(event: Event, session: &mut Session, out: &mut Vec<u8>) {
    match event {
        Event::Request { stream, ends, .. } if ends => answer(stream, session, out),
        Event::Data { stream, data, ends } => {
            session.take(stream, data.len(), out);
            if ends {
                answer(stream, session, out);
            }
        }
        Event::Request { .. } | Event::Gone { .. } | Event::Open { .. } => {}
    }
}

fn answer(stream: u32, session: &mut Session, out: &mut Vec<u8>) {
    session.answer(stream, (StatusCode::OK, &HeaderMap::new()), false, out);
    let mut piece = Bytes::from_static(&[b'.'; ANSWER]);
    session.data(stream, &mut piece, true, out);
}
