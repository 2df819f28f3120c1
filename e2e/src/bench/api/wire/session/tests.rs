//! Conversations with a session, frame by frame.

use apiserver::http2::frame::{self, HEAD, Head, Reason};
use bytes::Bytes;
use http::Method;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::{CONNECTION_WINDOW, Event, STREAM_WINDOW, Session};
use crate::bench::api::wire::{Ask, JSON};

/// `:status 200`, `:status 404`, and a `date` after a body.
const OK: &[u8] = &[0x88];
const MISSING: &[u8] = &[0x8d];
const TRAILER: &[u8] = &[0x0f, 0x12, 1, b'1'];

const WHOLE: u8 = frame::END_HEADERS | frame::END_STREAM;

/// A session and what it has sent.
struct Talk {
    session: Session,
    out: Vec<u8>,
}

impl Talk {
    /// One that has heard no settings.
    fn new() -> Self {
        let mut out = Vec::new();
        let session = Session::begin("a:1", &mut out);
        Self { session, out }
    }

    /// One that has heard these.
    fn open(settings: &[(u16, u32)]) -> Self {
        let mut talk = Self::new();
        talk.settings(settings);
        talk.out.clear();
        talk
    }

    fn settings(&mut self, settings: &[(u16, u32)]) {
        let mut payload = Vec::new();
        for (name, value) in settings {
            payload.extend(name.to_be_bytes());
            payload.extend(value.to_be_bytes());
        }
        assert_eq!(self.hear(frame::SETTINGS, 0, 0, &payload), Ok(Vec::new()));
    }

    fn get(&mut self) -> Option<u32> {
        let ask = Ask::get("/".to_owned());
        self.session.ask(ask, &mut self.out)
    }

    fn post(&mut self, bytes: usize) -> Option<u32> {
        let body = Bytes::from(vec![b'x'; bytes]);
        let ask = Ask::new(Method::POST, "/".to_owned(), JSON, body);
        self.session.ask(ask, &mut self.out)
    }

    /// What happens in these bytes, in words.
    fn say(&mut self, bytes: &[u8]) -> Result<Vec<String>, Reason> {
        let mut rest = bytes;
        let mut events = Vec::new();
        while let Some(event) = self.session.next(&mut rest, &mut self.out)? {
            events.push(words(&event));
        }
        assert!(rest.is_empty(), "every byte is part of something");
        Ok(events)
    }

    fn hear(
        &mut self,
        kind: u8,
        flags: u8,
        stream: u32,
        payload: &[u8],
    ) -> Result<Vec<String>, Reason> {
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
            rest = &rest[HEAD + head.length..];
        }
        frames
    }

    /// The same, but for the lengths of heads.
    fn kinds(&mut self) -> Vec<(u8, u32)> {
        let sent = self.sent().into_iter();
        sent.map(|(kind, _, stream, _)| (kind, stream)).collect()
    }
}

fn words(event: &Event<'_>) -> String {
    match event {
        Event::Head {
            stream,
            status,
            ends,
        } => format!("{stream} head {} {ends}", status.as_u16()),
        Event::Data { stream, data, ends } => {
            format!("{stream} data {} {ends}", String::from_utf8_lossy(data))
        }
        Event::Reset { stream, why } => format!("{stream} reset {why}"),
        Event::Left { last, why } => format!("left {last} {why}"),
    }
}

#[test]
fn what_clients_begin_with() {
    let mut talk = Talk::new();
    assert!(talk.out.starts_with(frame::PREFACE));
    talk.out.drain(..frame::PREFACE.len());
    let expected = [(frame::SETTINGS, 0, 0, 12), (frame::WINDOW, 0, 0, 4)];
    assert_eq!(talk.sent(), expected);
    assert_eq!(talk.get(), Some(1), "nothing was heard, which is no matter");
    talk.settings(&[(1, 0), (9, 9)]);
    let ack = (frame::SETTINGS, frame::ACK, 0, 0);
    assert_eq!(talk.sent()[1..], [ack]);
}

#[test]
fn answers() {
    let mut talk = Talk::open(&[]);
    for stream in [1, 3, 5, 7] {
        assert_eq!(talk.get(), Some(stream));
    }
    let head = talk.sent()[0];
    assert_eq!((head.0, head.1, head.2), (frame::HEADERS, WHOLE, 1));
    let ends = frame::END_HEADERS;
    let mut bytes = Vec::new();
    frame::frame(&mut bytes, frame::HEADERS, ends, 1, OK);
    frame::frame(&mut bytes, frame::HEADERS, WHOLE, 3, MISSING);
    frame::frame(&mut bytes, frame::DATA, 0, 1, b"a");
    frame::frame(&mut bytes, frame::DATA, frame::PADDED | 1, 1, b"\x02b\0\0");
    // In two frames; and an answer that is announced, and has something after its body.
    frame::frame(&mut bytes, frame::HEADERS, 0, 5, b"\x08\x03");
    frame::frame(&mut bytes, frame::CONTINUATION, ends, 5, b"201");
    frame::frame(&mut bytes, frame::HEADERS, ends, 7, b"\x08\x03103");
    frame::frame(&mut bytes, frame::HEADERS, ends, 7, OK);
    frame::frame(&mut bytes, frame::DATA, 0, 7, b"");
    frame::frame(&mut bytes, frame::HEADERS, WHOLE, 7, TRAILER);
    frame::frame(&mut bytes, frame::DATA, 1, 5, b"");
    frame::frame(&mut bytes, 77, 0, 0, b"?");
    let expected = [
        "1 head 200 false",
        "3 head 404 true",
        "1 data a false",
        "1 data b true",
        "5 head 201 false",
        "7 head 200 false",
        "7 data  true",
        "5 data  true",
    ];
    assert_eq!(talk.say(&bytes).unwrap(), expected);
    assert!(talk.sent().is_empty() && talk.session.streams.is_empty());
}

#[test]
fn nothing_is_sent_beyond_the_windows() {
    let mut talk = Talk::open(&[(4, 5)]);
    talk.post(8);
    assert_eq!(talk.sent()[1..], [(frame::DATA, 0, 1, 5)]);
    talk.hear(frame::WINDOW, 0, 1, &[0, 0, 0, 9]).unwrap();
    assert_eq!(talk.sent(), [(frame::DATA, 1, 1, 3)]);
    // A larger window for all; then the connection's is used up: 65,535 bytes, of which eight are gone.
    talk.post(100_000);
    talk.sent();
    talk.settings(&[(4, 1 << 20)]);
    let lengths = |talk: &mut Talk| -> Vec<usize> {
        let sent = talk.sent().into_iter();
        sent.filter(|frame| frame.0 == frame::DATA)
            .map(|frame| frame.3)
            .collect()
    };
    let most = frame::PAYLOAD;
    assert_eq!(lengths(&mut talk), [most, most, most, most - 1 - 8 - 5]);
    talk.post(1);
    assert!(lengths(&mut talk).is_empty());
    talk.hear(frame::WINDOW, 0, 0, &[1, 0, 0, 0]).unwrap();
    assert_eq!(
        lengths(&mut talk),
        [most, most, 100_000 - 6 * most + 14 - 5, 1]
    );
    // A smaller window may leave less than nothing.
    talk.settings(&[(4, 10)]);
    talk.post(20);
    assert_eq!(lengths(&mut talk), [10]);
    talk.settings(&[(4, 2)]);
    talk.hear(frame::WINDOW, 0, 7, &[0, 0, 0, 8]).unwrap();
    assert!(lengths(&mut talk).is_empty());
    talk.hear(frame::WINDOW, 0, 7, &[0, 0, 0, 4]).unwrap();
    assert_eq!(lengths(&mut talk), [4]);
    let largest = [0x7f, 0xff, 0xff, 0xff];
    assert_eq!(talk.hear(frame::WINDOW, 0, 7, &largest), Ok(Vec::new()));
    assert_eq!(lengths(&mut talk), [6]);
    let over = talk.hear(frame::WINDOW, 0, 7, &largest);
    assert_eq!(over.unwrap(), ["7 reset 3"]);
    let over = talk.hear(frame::WINDOW, 0, 0, &largest);
    assert_eq!(over, Err(Reason::FlowControl));
}

#[test]
fn no_more_streams_than_are_allowed() {
    let mut talk = Talk::open(&[(3, 2)]);
    let asked: Vec<_> = (0..5).map(|_| talk.get()).collect();
    assert_eq!(asked, [1, 3, 5, 7, 9].map(Some));
    assert_eq!(talk.kinds(), [(frame::HEADERS, 1), (frame::HEADERS, 3)]);
    let early = talk.hear(frame::HEADERS, WHOLE, 5, OK);
    assert_eq!(early, Err(Reason::Protocol), "5 was not begun");
    talk.session.cancel(5, &mut talk.out);
    assert!(talk.kinds().is_empty(), "the server never heard of it");
    talk.hear(frame::HEADERS, WHOLE, 3, OK).unwrap();
    assert_eq!(talk.kinds(), [(frame::HEADERS, 7)]);
    talk.session.cancel(1, &mut talk.out);
    assert_eq!(talk.kinds(), [(frame::RESET, 1), (frame::HEADERS, 9)]);
    assert_eq!(talk.get(), Some(11));
    assert!(talk.kinds().is_empty());
    talk.settings(&[(3, 3)]);
    assert_eq!(talk.kinds(), [(frame::SETTINGS, 0), (frame::HEADERS, 11)]);
}

#[test]
fn what_comes_makes_room() {
    let mut talk = Talk::open(&[]);
    talk.get();
    talk.hear(frame::HEADERS, frame::END_HEADERS, 1, OK)
        .unwrap();
    talk.out.clear();
    let piece = vec![0; frame::PAYLOAD];
    let mut granted = [0, 0];
    let pieces = 3 * CONNECTION_WINDOW as usize / 4 / piece.len();
    for _ in 0..pieces {
        let mut bytes = Vec::new();
        frame::frame(&mut bytes, frame::DATA, 0, 1, &piece);
        let mut rest = &bytes[..];
        while talk
            .session
            .next(&mut rest, &mut talk.out)
            .unwrap()
            .is_some()
        {}
        for frame in talk.out.chunks(HEAD + 4) {
            let head = Head::read(frame).unwrap();
            granted[head.stream as usize] += frame::number(&frame[HEAD..]).unwrap();
        }
        talk.out.clear();
    }
    let came = pieces * piece.len();
    assert_eq!(granted[0], CONNECTION_WINDOW / 2);
    assert_eq!(
        granted[1] as usize,
        came / (STREAM_WINDOW as usize / 2) * (STREAM_WINDOW as usize / 2)
    );
}

#[test]
fn streams_that_break_off() {
    let mut talk = Talk::open(&[(4, 5)]);
    for _ in 0..6 {
        talk.post(8);
    }
    talk.out.clear();
    let ends = frame::END_HEADERS;
    let [cancel, one] = [&[0, 0, 0, 8], &[0, 0, 0, 1]];
    for (stream, kind, flags, payload, event, told) in [
        (1, frame::RESET, 0, &cancel[..], "1 reset 8", None),
        (3, frame::DATA, 0, b"x", "3 reset 1", Some(Reason::Protocol)),
        (
            5,
            frame::HEADERS,
            ends,
            TRAILER,
            "5 reset 1",
            Some(Reason::Protocol),
        ),
        (
            7,
            frame::HEADERS,
            ends,
            b"\x88\x88",
            "7 reset 1",
            Some(Reason::Protocol),
        ),
        (
            9,
            frame::WINDOW,
            0,
            &[0; 4],
            "9 reset 1",
            Some(Reason::Protocol),
        ),
        // The answer is there before all was sent: so the rest is not.
        (
            11,
            frame::HEADERS,
            WHOLE,
            OK,
            "11 head 200 true",
            Some(Reason::Cancel),
        ),
    ] {
        assert_eq!(talk.hear(kind, flags, stream, payload).unwrap(), [event]);
        let mut expected = Vec::new();
        if let Some(reason) = told {
            frame::reset(&mut expected, stream, reason);
        }
        assert_eq!(talk.out, expected, "{stream}");
        talk.out.clear();
    }
    // What was on its way is nothing to anybody.
    for stream in [1, 3, 5, 7, 9, 11] {
        for (kind, flags, payload) in [
            (frame::HEADERS, ends, OK),
            (frame::DATA, 0, b"x"),
            (frame::WINDOW, 0, one),
            (frame::RESET, 0, cancel),
        ] {
            assert_eq!(talk.hear(kind, flags, stream, payload), Ok(Vec::new()));
        }
    }
    assert!(talk.out.is_empty() && talk.session.streams.is_empty());
}

#[test]
fn pings_and_farewells() {
    let mut talk = Talk::open(&[(3, 2)]);
    for _ in 0..3 {
        talk.get();
    }
    talk.out.clear();
    talk.hear(frame::PING, 0, 0, &[7; 8]).unwrap();
    talk.hear(frame::PING, frame::ACK, 0, &[7; 8]).unwrap();
    assert_eq!(talk.sent(), [(frame::PING, frame::ACK, 0, 8)]);
    // The third was never sent: a server that serves all it has heard of does not serve it.
    let all = talk.hear(frame::GOAWAY, 0, 0, &[0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0]);
    assert_eq!(all.unwrap(), ["left 3 0"]);
    assert_eq!(talk.get(), None);
    let last = talk.hear(frame::GOAWAY, 0, 0, &[0, 0, 0, 1, 0, 0, 0, 2, b'?']);
    assert_eq!(last.unwrap(), ["left 1 2"]);
    let answer = talk.hear(frame::HEADERS, WHOLE, 1, OK).unwrap();
    assert_eq!(answer, ["1 head 200 true"]);
    assert_eq!(talk.hear(frame::HEADERS, WHOLE, 3, OK), Ok(Vec::new()));
}

/// A frame that may not come, and why: kind, flags, stream and payload.
type Unlawful = (&'static str, Reason, u8, u8, u32, &'static [u8]);

#[rustfmt::skip]
const UNLAWFUL: [Unlawful; 17] = [
    ("a promise", Reason::Protocol, frame::PROMISE, 0, 1, &[0; 4]),
    ("a stream of the server", Reason::Protocol, frame::HEADERS, WHOLE, 2, OK),
    ("a stream of nobody", Reason::Protocol, frame::HEADERS, WHOLE, 3, OK),
    ("data of nobody", Reason::Protocol, frame::DATA, 0, 3, b"x"),
    ("data of the connection", Reason::Protocol, frame::DATA, 0, 0, b"x"),
    ("settings of a stream", Reason::Protocol, frame::SETTINGS, 0, 1, b""),
    ("settings of five bytes", Reason::FrameSize, frame::SETTINGS, 0, 0, &[0; 5]),
    ("a push", Reason::Protocol, frame::SETTINGS, 0, 0, &[0, 2, 0, 0, 0, 1]),
    ("a window beyond all", Reason::FlowControl, frame::SETTINGS, 0, 0, &[0, 4, 0x80, 0, 0, 0]),
    ("small frames", Reason::Protocol, frame::SETTINGS, 0, 0, &[0, 5, 0, 0, 0, 1]),
    ("settings with their echo", Reason::FrameSize, frame::SETTINGS, frame::ACK, 0, &[0; 6]),
    ("a ping of seven bytes", Reason::FrameSize, frame::PING, 0, 0, &[0; 7]),
    ("a window of nothing", Reason::Protocol, frame::WINDOW, 0, 0, &[0; 4]),
    ("a farewell of seven bytes", Reason::FrameSize, frame::GOAWAY, 0, 0, &[0; 7]),
    ("a continuation of nothing", Reason::Protocol, frame::CONTINUATION, frame::END_HEADERS, 1, OK),
    ("half a field", Reason::Compression, frame::HEADERS, WHOLE, 1, &[0, 9]),
    ("padding beyond all", Reason::Protocol, frame::DATA, frame::PADDED, 1, &[9, 0]),
];

#[test]
fn rules_that_are_broken_end_the_connection() {
    for (what, reason, kind, flags, stream, payload) in UNLAWFUL {
        let mut talk = Talk::open(&[]);
        talk.get();
        let heard = talk.hear(kind, flags, stream, payload);
        assert_eq!(heard, Err(reason), "{what}");
    }
}

#[test]
fn an_order_that_is_broken_ends_the_connection() {
    let mut talk = Talk::new();
    let first = talk.hear(frame::PING, 0, 0, &[0; 8]);
    assert_eq!(first, Err(Reason::Protocol), "settings come first");
    let headers = || {
        let mut talk = Talk::open(&[]);
        talk.get();
        talk.hear(frame::HEADERS, 0, 1, OK).unwrap();
        talk
    };
    let between = headers().hear(frame::DATA, 0, 1, b"x");
    assert_eq!(between, Err(Reason::Protocol), "something between");
    let mut talk = headers();
    let endless = (0..100).find_map(|_| talk.hear(frame::CONTINUATION, 0, 1, b"").err());
    assert_eq!(endless, Some(Reason::Calm), "headers without end");
}

/// What a server might say to requests 1 to 7, and some of it spoilt.
fn transcript(random: &mut StdRng) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame::frame(&mut bytes, frame::SETTINGS, 0, 0, &[]);
    for _ in 0..random.random_range(1..40) {
        let stream = random.random_range(0..4) * 2 + 1;
        let long = vec![b'y'; random.random_range(0..300)];
        let block: &[u8] =
            [OK, MISSING, TRAILER, b"\x40\x01a\x01b", b"\xbe"][random.random_range(0..5)];
        let flags = u8::from(random.random_bool(0.2));
        let (kind, flags, stream, payload) = match random.random_range(0..12) {
            0..4 => (frame::HEADERS, flags | frame::END_HEADERS, stream, block),
            4..8 => (frame::DATA, flags, stream, &long[..]),
            8 => (
                frame::DATA,
                flags | frame::PADDED,
                stream,
                &b"\x02abc\0\0"[..],
            ),
            9 => (frame::PING, 0, 0, &[1; 8][..]),
            10 => (frame::WINDOW, 0, 0, &[0, 0, 1, 0][..]),
            _ => (frame::SETTINGS, 0, 0, &[0, 4, 0, 1, 0, 0][..]),
        };
        frame::frame(&mut bytes, kind, flags, stream, payload);
    }
    if random.random_bool(0.5) {
        let place = random.random_range(0..bytes.len());
        bytes[place] = random.random();
    }
    bytes
}

/// All that happens when these bytes come in pieces, with the pieces of a body put together.
fn told(bytes: &[u8], mut size: impl FnMut() -> usize) -> (Vec<String>, Vec<u8>, Option<Reason>) {
    let mut talk = Talk::new();
    for _ in 0..3 {
        talk.get();
    }
    talk.post(70_000);
    let (mut rest, mut events) = (bytes, Vec::new());
    let mut body: Option<String> = None;
    while !rest.is_empty() {
        let (mut piece, after) = rest.split_at(size().clamp(1, rest.len()));
        rest = after;
        loop {
            let event = match talk.session.next(&mut piece, &mut talk.out) {
                Ok(Some(event)) => event,
                Ok(None) => break,
                Err(reason) => return (events, talk.out, Some(reason)),
            };
            let Event::Data { stream, data, ends } = event else {
                events.extend(body.take());
                events.push(words(&event));
                continue;
            };
            let front = format!("{stream} data ");
            let same = body.take_if(|body| body.starts_with(&front));
            events.extend(body.take());
            let end = if ends { "." } else { "" };
            let text = String::from_utf8_lossy(data);
            body = Some(format!("{}{text}{end}", same.unwrap_or(front)));
        }
    }
    events.extend(body);
    (events, talk.out, None)
}

#[test]
fn it_does_not_matter_how_it_comes_in_pieces() {
    for seed in 0..2_000 {
        let mut random = StdRng::seed_from_u64(seed);
        let bytes = transcript(&mut random);
        let whole = told(&bytes, || bytes.len());
        assert_eq!(told(&bytes, || 1), whole, "seed {seed}, byte by byte");
        let pieces = told(&bytes, || random.random_range(1..50));
        assert_eq!(pieces, whole, "seed {seed}");
    }
}

#[test]
fn bytes_of_any_kind_break_nothing() {
    for seed in 0..2_000 {
        let mut random = StdRng::seed_from_u64(seed);
        let mut bytes = Vec::new();
        frame::frame(&mut bytes, frame::SETTINGS, 0, 0, &[]);
        for _ in 0..random.random_range(1..60) {
            let payload: Vec<u8> = (0..random.random_range(0..20))
                .map(|_| random.random())
                .collect();
            let stream = random.random_range(0..9);
            frame::frame(
                &mut bytes,
                random.random_range(0..11),
                random.random(),
                stream,
                &payload,
            );
        }
        let whole = told(&bytes, || bytes.len());
        let pieces = told(&bytes, || random.random_range(1..20));
        assert_eq!(pieces, whole, "seed {seed}");
    }
}
