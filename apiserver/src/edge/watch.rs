//! One watch: its beginning, its lines and its end.
//!
//! Lines come in four phases: what is there now (if asked for), what happened since the asked
//! revision, what happens, and the end. Whatever goes wrong after the request was understood is
//! told as an ERROR line of a 200 answer: clients list again only on that.

mod begin;
mod converted;
mod lines;
mod stream;

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use tokio::time::Instant;

use lines::{Given, Lines};
use stream::{Phase, Watch};

use super::negotiate::Shape;
use super::turns::Seat;
use super::warden::Care;
use super::{ambient, answer};
use crate::engine::Engine;
use crate::hub::{Hub, Interest};
use crate::params::Params;
use crate::registry::Descriptor;
use crate::selector::Selector;
use crate::status::Failure;
use crate::table::Include;

/// Shortest watch when the client names no time; up to twice as long, spread at random so that
/// not all come back at once.
const LIFE_S: u64 = 1800;

/// A watch as asked for.
#[derive(Debug)]
pub(crate) struct Ask {
    pub(crate) resource: Arc<Descriptor>,
    pub(crate) namespace: Option<String>,
    pub(crate) params: Params,
    pub(crate) shape: Shape,
    pub(crate) seat: Seat,
    pub(crate) care: Care,
}

/// Starts a watch; the answer's body never ends before the watch does, or the hub is closed.
///
/// # Errors
/// 400 or 422 if the request contradicts itself.
pub(crate) fn start(ask: Ask, engine: &Engine, hub: Hub) -> Result<Response, Failure> {
    let Ask {
        resource,
        namespace,
        params,
        shape,
        seat,
        care,
    } = ask;
    let from = begin::beginning(&params)?;
    let selector = Selector::parse(&params.label_selector, &params.field_selector, &resource)?;
    let interest = Interest {
        group: resource.stored().group.clone(),
        plural: resource.stored().plural.clone(),
        namespace: namespace.filter(|_| resource.namespaced),
        selector,
    };
    let spread = || LIFE_S + u64::try_from(ambient::seed() % u128::from(LIFE_S)).unwrap_or(0);
    let life = params
        .timeout_seconds
        .filter(|&seconds| seconds > 0)
        .unwrap_or_else(spread);
    let now = Instant::now();
    // Longer than a day is longer than any connection; it also keeps the clock from overflowing.
    let deadline = now + Duration::from_secs(life.min(24 * 60 * 60));
    let store = engine.store().clone();
    let include = Include::of(&params.include_object);
    // Where a webhook converts, the stored objects go through it on their way.
    let lines = |shape, given| Lines::new(Arc::clone(&resource), shape, include, given);
    let converter = resource.webhook().is_some().then(|| converted::Converter {
        engine: engine.clone(),
        lines: lines(shape, Given::Shown),
    });
    let lines = match converter {
        Some(_) => lines(Shape::Full, Given::Raw),
        None => lines(shape, Given::Stored),
    };
    let shown = Arc::clone(&resource);
    let beginning = begin::begin(engine.clone(), hub.clone(), (shown, interest), from);
    let mut watch = Watch {
        store,
        hub,
        lines,
        bookmarks: params.allow_bookmarks,
        marks_initial: params.send_initial_events == Some(true),
        phase: Phase::Begin(Box::pin(beginning)),
        sent: 0,
        next_bookmark: now,
        deadline,
        alarm: None,
        seat,
    };
    watch.schedule_bookmark(now);
    let body = match converter {
        Some(converter) => Body::new(care.over(converter.body(watch), lines::error)),
        None => Body::new(care.over(watch, lines::error)),
    };
    Ok(answer::bytes(200, answer::JSON, body))
}
