//! Conversations with a session, frame by frame.

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use super::{Event, PATIENCE, Session, WINDOW};
use crate::http2::frame::{self, Head, Reason};

/// `:method GET`, `:scheme https`, `:path /`.
const GET: &[u8] = &[0x82, 0x87, 0x84];
const POST: &[u8] = &[0x83, 0x87, 0x84];

const WHOLE: u8 = frame::END_HEADERS | frame::END_STREAM;

/// A session and what it has sent.
struct Talk {
    session: Session,
    out: Vec<u8>,
}

impl Talk {
    fn new() -> Self {
        let mut out = Vec::new();
        Self {
            session: Session::begin(&mut out),
            out,
        }
    }

    /// One that has heard the preface and the settings.
    fn open() -> Self {
        let mut talk = Self::new();
        talk.say(frame::PREFACE).unwrap();
        talk.hear(frame::SETTINGS, 0, 0, &[]).unwrap();
        talk.out.clear();
        talk
    }

    /// The events of these bytes, which come one by one.
    fn say(&mut self, bytes: &[u8]) -> Result<Vec<Event>, Reason> {
        let mut events = Vec::new();
        let mut come = Vec::new();
        for byte in bytes {
            come.push(*byte);
            let mut rest = &come[..];
            let mut event = None;
            while self.session.step(&mut rest, &mut self.out, &mut event)? {
                events.extend(event.take());
            }
            come = rest.to_vec();
        }
        assert!(come.is_empty(), "every byte is part of something");
        Ok(events)
    }

    fn hear(
        &mut self,
        kind: u8,
        flags: u8,
        stream: u32,
        payload: &[u8],
    ) -> Result<Vec<Event>, Reason> {
        let mut bytes = Vec::new();
        frame::frame(&mut bytes, kind, flags, stream, payload);
        self.say(&bytes)
    }

    /// What was sent since the last time: kind, flags, stream, length.
    fn sent(&mut self) -> Vec<(u8, u8, u32, usize)> {
        let out = std::mem::take(&mut self.out);
        let mut rest = &out[..];
        let mut frames = Vec::new();
        while let Some(head) = Head::read(rest) {
            frames.push((head.kind, head.flags, head.stream, head.length));
            rest = &rest[frame::HEAD + head.length..];
        }
        frames
    }

    fn answer(&mut self, stream: u32, body: &'static [u8]) {
        let head = (StatusCode::OK, &HeaderMap::new());
        self.session
            .answer(stream, head, body.is_empty(), &mut self.out);
        let mut piece = Bytes::from_static(body);
        if !body.is_empty() {
            self.session.data(stream, &mut piece, true, &mut self.out);
        }
    }
}

#[test]
fn a_request_and_its_answer() {
    let mut talk = Talk::open();
    let events = talk.hear(frame::HEADERS, WHOLE, 1, GET).unwrap();
    let [
        Event::Request {
            stream: 1,
            asked,
            ends: true,
        },
    ] = &events[..]
    else {
        panic!("{events:?}");
    };
    assert_eq!(asked.request.uri(), "/");
    talk.answer(1, b"abc");
    let sent = talk.sent();
    assert_eq!(sent[0], (frame::HEADERS, frame::END_HEADERS, 1, 2));
    assert_eq!(sent[1], (frame::DATA, frame::END_STREAM, 1, 3));
    assert!(talk.session.is_idle());
}

#[test]
fn a_body_and_its_length() {
    // :method POST, ..., content-length: 3
    let sized = [POST, &[0x0f, 0x0d, 1, b'3']].concat();
    for (head, pieces, expected) in [
        (POST, &["abc", "d"][..], 2),
        (&sized[..], &["ab", "c"], 2),
        (&sized[..], &["abc", "d"], 1),
        (&sized[..], &["a", "b"], 1),
    ] {
        let mut talk = Talk::open();
        talk.hear(frame::HEADERS, frame::END_HEADERS, 1, head)
            .unwrap();
        let mut came = 0;
        for (n, piece) in pieces.iter().enumerate() {
            let end = u8::from(n + 1 == pieces.len());
            for event in talk.hear(frame::DATA, end, 1, piece.as_bytes()).unwrap() {
                came += usize::from(matches!(event, Event::Data { .. }));
            }
        }
        assert_eq!(came, expected, "{pieces:?}");
        let is_reset = talk.sent().iter().any(|(kind, ..)| *kind == frame::RESET);
        assert_eq!(is_reset, expected < 2, "{pieces:?}");
    }
}

#[test]
fn nothing_is_sent_beyond_the_windows() {
    let mut talk = Talk::open();
    let narrow = [0, 4, 0, 0, 0, 5];
    talk.hear(frame::SETTINGS, 0, 0, &narrow).unwrap();
    talk.hear(frame::HEADERS, WHOLE, 1, GET).unwrap();
    let head = (StatusCode::OK, &HeaderMap::new());
    talk.session.answer(1, head, false, &mut talk.out);
    talk.sent();
    let mut piece = Bytes::from_static(b"abcdefgh");
    talk.session.data(1, &mut piece, true, &mut talk.out);
    assert_eq!((&piece[..], talk.session.room(1)), (&b"fgh"[..], 0));
    talk.session.data(1, &mut piece, true, &mut talk.out);
    assert_eq!(talk.sent(), [(frame::DATA, 0, 1, 5)]);
    let events = talk.hear(frame::WINDOW, 0, 1, &[0, 0, 0, 9]).unwrap();
    assert!(matches!(events[..], [Event::Open { stream: Some(1) }]));
    talk.session.data(1, &mut piece, true, &mut talk.out);
    assert_eq!(talk.sent(), [(frame::DATA, frame::END_STREAM, 1, 3)]);
    let over = talk.hear(frame::WINDOW, 0, 0, &[0x7f, 0xff, 0xff, 0xff]);
    assert_eq!(over.unwrap_err(), Reason::FlowControl);
}

#[test]
fn what_is_read_makes_room() {
    let mut talk = Talk::open();
    talk.hear(frame::HEADERS, frame::END_HEADERS, 1, POST)
        .unwrap();
    let piece = vec![0; frame::PAYLOAD];
    let pieces = WINDOW as usize / piece.len();
    let send = |talk: &mut Talk| {
        let mut bytes = Vec::new();
        frame::frame(&mut bytes, frame::DATA, 0, 1, &piece);
        let mut event = None;
        talk.session
            .step(&mut &bytes[..], &mut talk.out, &mut event)
    };
    for _ in 0..pieces {
        assert_eq!(send(&mut talk), Ok(true));
    }
    assert!(talk.sent().is_empty(), "nothing was read yet");
    talk.session.take(1, WINDOW as usize / 2, &mut talk.out);
    let granted = [(frame::WINDOW, 0, 0, 4), (frame::WINDOW, 0, 1, 4)];
    assert_eq!(talk.sent(), granted);
    for _ in 0..pieces / 2 {
        assert_eq!(send(&mut talk), Ok(true));
    }
    assert_eq!(
        talk.hear(frame::DATA, 0, 1, b"x").unwrap_err(),
        Reason::FlowControl
    );
}

#[test]
fn rules_that_are_broken_end_the_connection() {
    type Run = fn(&mut Talk) -> Result<Vec<Event>, Reason>;
    let cases: [(&str, Reason, Run); 12] = [
        ("a server's stream", Reason::Protocol, |talk| {
            talk.hear(frame::HEADERS, WHOLE, 2, GET)
        }),
        ("headers of the connection", Reason::Protocol, |talk| {
            talk.hear(frame::HEADERS, WHOLE, 0, GET)
        }),
        ("data of no stream", Reason::Protocol, |talk| {
            talk.hear(frame::DATA, 0, 5, b"x")
        }),
        ("a promise", Reason::Protocol, |talk| {
            talk.hear(frame::PROMISE, 0, 1, &[0; 4])
        }),
        ("settings of five bytes", Reason::FrameSize, |talk| {
            talk.hear(frame::SETTINGS, 0, 0, &[0; 5])
        }),
        ("a push", Reason::Protocol, |talk| {
            talk.hear(frame::SETTINGS, 0, 0, &[0, 2, 0, 0, 0, 2])
        }),
        ("a ping of seven bytes", Reason::FrameSize, |talk| {
            talk.hear(frame::PING, 0, 0, &[0; 7])
        }),
        ("a window of nothing", Reason::Protocol, |talk| {
            talk.hear(frame::WINDOW, 0, 0, &[0; 4])
        }),
        ("a continuation of nothing", Reason::Protocol, |talk| {
            talk.hear(frame::CONTINUATION, frame::END_HEADERS, 1, GET)
        }),
        ("something between", Reason::Protocol, |talk| {
            talk.hear(frame::HEADERS, frame::END_STREAM, 1, GET)?;
            talk.hear(frame::PING, 0, 0, &[0; 8])
        }),
        ("half a field", Reason::Compression, |talk| {
            talk.hear(frame::HEADERS, WHOLE, 1, &[0, 9])
        }),
        ("padding beyond all", Reason::Protocol, |talk| {
            talk.hear(frame::HEADERS, WHOLE, 3, GET)?;
            talk.hear(frame::DATA, frame::PADDED, 3, &[9, 0])
        }),
    ];
    for (what, reason, run) in cases {
        assert_eq!(run(&mut Talk::open()).unwrap_err(), reason, "{what}");
    }
    assert_eq!(
        Talk::new().say(b"GET / HTTP/1.1\r\n").unwrap_err(),
        Reason::Protocol
    );
    let mut talk = Talk::new();
    talk.say(frame::PREFACE).unwrap();
    assert_eq!(
        talk.hear(frame::PING, 0, 0, &[0; 8]).unwrap_err(),
        Reason::Protocol
    );
}

#[test]
fn what_leads_to_nothing_is_not_done_for_ever() {
    let streams = || (0..).map(|n| 2 * n + 1);
    let resets = |talk: &mut Talk, stream| {
        talk.hear(frame::HEADERS, WHOLE, stream, GET)?;
        talk.hear(frame::RESET, 0, stream, &[0; 4])
    };
    let mut talk = Talk::open();
    let cut = streams().find_map(|stream| resets(&mut talk, stream).err());
    assert_eq!(cut, Some(Reason::Calm));
    let mut talk = Talk::open();
    for stream in streams().take(PATIENCE as usize * 4) {
        match stream % 4 {
            1 => drop(resets(&mut talk, stream).unwrap()),
            _ => {
                talk.hear(frame::HEADERS, WHOLE, stream, GET).unwrap();
                talk.answer(stream, b"");
            }
        }
    }
    let mut talk = Talk::open();
    talk.hear(frame::HEADERS, frame::END_HEADERS, 1, POST)
        .unwrap();
    let cut = (0..=PATIENCE).find_map(|_| talk.hear(frame::DATA, 0, 1, b"").err());
    assert_eq!(cut, Some(Reason::Calm));
    let mut talk = Talk::open();
    talk.hear(frame::HEADERS, 0, 1, GET).unwrap();
    let cut = (0..100).find_map(|_| talk.hear(frame::CONTINUATION, 0, 1, b"").err());
    assert_eq!(cut, Some(Reason::Calm));
}

#[test]
fn a_farewell_serves_what_was_under_way() {
    let mut talk = Talk::open();
    talk.hear(frame::HEADERS, WHOLE, 1, GET).unwrap();
    talk.session.leave(&mut talk.out);
    let goaway = (frame::GOAWAY, 0, 0, 8);
    assert_eq!(talk.sent(), [goaway, (frame::PING, 0, 0, 8)]);
    assert_eq!(
        talk.hear(frame::HEADERS, WHOLE, 3, GET).unwrap().len(),
        1,
        "it had not heard yet"
    );
    talk.hear(frame::PING, frame::ACK, 0, b"farewell").unwrap();
    assert_eq!(talk.sent(), [goaway]);
    assert_eq!(
        talk.hear(frame::HEADERS, WHOLE, 5, GET).unwrap().len(),
        0,
        "too late"
    );
    talk.answer(1, b"");
    assert!(!talk.session.is_over());
    talk.answer(3, b"");
    assert!(talk.session.is_over());
    let mut talk = Talk::new();
    talk.session.leave(&mut talk.out);
    assert!(
        talk.session.is_over(),
        "who has said nothing misses nothing"
    );
}
