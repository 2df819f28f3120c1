//! A watch whose objects a webhook converts: the lines of a watch on what is stored, each object
//! shown in the version that is watched. What happens while the webhook is asked waits where every
//! watch waits, and a watcher that waits too long is cut there. A webhook that fails ends the watch.

use std::convert::Infallible;
use std::pin::Pin;

use axum::body::Body;
use bytes::{BufMut, Bytes, BytesMut};
use futures::{StreamExt, future, stream};
use http_body_util::BodyStream;
use serde_json::Value;
use store::Item;

use super::lines::{self, Lines};
use super::stream::Watch;
use crate::engine::Engine;
use crate::hub::Kind;
use crate::object;
use crate::status::Failure;

/// Makes lines of objects as they are shown from lines of objects as they are stored.
pub(super) struct Converter {
    pub(super) engine: Engine,
    pub(super) lines: Lines,
}

/// A line of the watch below.
enum Line {
    Event(Kind, Item),
    Bookmark(Value),
    /// Told as it is.
    Other(Bytes),
}

impl Converter {
    /// The body of the watch.
    pub(super) fn body(self, watch: Watch) -> Body {
        let pieces = Box::pin(BodyStream::new(watch));
        let made = stream::unfold(Some((self, pieces)), |state| async move {
            let (mut converter, mut pieces) = state?;
            let piece = next(&mut pieces).await?;
            match converter.piece(&piece).await {
                Ok(made) => Some((made, Some((converter, pieces)))),
                Err(failure) => Some((lines::error(&failure), None)),
            }
        });
        // A piece may concern nobody.
        let made = made.filter(|piece| future::ready(!piece.is_empty()));
        Body::from_stream(made.map(Ok::<_, Infallible>))
    }

    async fn piece(&mut self, piece: &[u8]) -> Result<Bytes, Failure> {
        let lines: Vec<Line> = piece
            .split_inclusive(|byte| *byte == b'\n')
            .map(parse)
            .collect();
        let items = lines.iter().filter_map(|line| match line {
            Line::Event(_, item) => Some(item.clone()),
            Line::Bookmark(_) | Line::Other(_) => None,
        });
        let items = items.collect();
        let mut shown = self
            .engine
            .show(&self.lines.resource, items)
            .await?
            .into_iter();
        let mut out = BytesMut::new();
        for line in lines {
            match line {
                Line::Event(kind, _) => {
                    let item = shown.next();
                    let item = item.ok_or_else(|| Failure::internal("an object was lost"))?;
                    out.put(self.lines.encode(kind, &item));
                }
                Line::Bookmark(metadata) => {
                    let ends_initial = metadata.get("annotations").is_some();
                    out.put(self.lines.bookmark(revision(&metadata), ends_initial));
                }
                Line::Other(line) => out.put(line),
            }
        }
        Ok(out.freeze())
    }
}

async fn next(pieces: &mut Pin<Box<BodyStream<Watch>>>) -> Option<Bytes> {
    while let Some(frame) = pieces.next().await {
        match frame.map(http_body::Frame::into_data) {
            Ok(Ok(piece)) => return Some(piece),
            // A watch has no trailers, and never fails.
            Ok(Err(_)) => {}
            Err(never) => match never {},
        }
    }
    None
}

fn parse(line: &[u8]) -> Line {
    let other = || Line::Other(Bytes::copy_from_slice(line));
    let Ok(mut event) = serde_json::from_slice::<Value>(line) else {
        return other();
    };
    let mut object = event["object"].take();
    let kind = match event["type"].as_str() {
        Some("ADDED") => Kind::Added,
        Some("MODIFIED") => Kind::Modified,
        Some("DELETED") => Kind::Deleted,
        Some("BOOKMARK") => return Line::Bookmark(object["metadata"].take()),
        Some(_) | None => return other(),
    };
    let revision = revision(&object["metadata"]);
    Line::Event(
        kind,
        Item {
            key: Bytes::new(),
            value: object::encode(&object),
            create_revision: revision,
            mod_revision: revision,
            version: 1,
        },
    )
}

fn revision(metadata: &Value) -> u64 {
    let text = metadata["resourceVersion"].as_str();
    text.and_then(|text| text.parse().ok()).unwrap_or(0)
}
