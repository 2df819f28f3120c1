//! Room for a checkpoint on a full disk: first what is kept in reserve, then the generation that it replaces.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::archive::Keys;
use crate::edge::files::is_full;
use crate::edge::reserve::Reserve;
use crate::edge::state::Materialised;
use crate::image::Image;

/// What became of a write.
pub(super) struct Written {
    pub(super) result: io::Result<()>,
    /// The image held before is gone.
    pub(super) cleared: bool,
}

/// Writes the image, and has room made for it when there is none. The image held is only given up when there is an
/// `other` that can be relied on, and when that makes room enough. Values of this image and of
/// the one `before` that are read from the files given up are read from the other one's then. Blocks.
pub(super) fn write(
    target: &dyn Materialised,
    image: &Image,
    changed: Option<&Keys>,
    reserve: Option<&Reserve>,
    other: Option<&dyn Materialised>,
    before: Option<&Image>,
) -> Written {
    let mut result = attempt(target, image, changed);
    let lacks_room = |result: &io::Result<()>| result.as_ref().is_err_and(is_full);
    if lacks_room(&result) && reserve.is_some_and(Reserve::give) {
        tracing::warn!("the disk is full: the reserve is used for a checkpoint");
        result = attempt(target, image, changed);
    }
    let cleared = lacks_room(&result)
        && target.bytes() > 0
        && other.is_some_and(|other| gives_way(target, image, before, other));
    if cleared {
        result = target.clear().and_then(|()| attempt(target, image, None));
    }
    Written { result, cleared }
}

fn gives_way(
    target: &dyn Materialised,
    image: &Image,
    before: Option<&Image>,
    other: &dyn Materialised,
) -> bool {
    let adopt = |image| {
        let adopted = other.adopt(image, target.owner());
        adopted.map_err(|doubt| io::Error::other(doubt.to_string()))
    };
    // What is still read from its files would keep their space.
    let adopted = |()| before.into_iter().chain([image]).try_for_each(adopt);
    match target.require_room(image).and_then(adopted) {
        Ok(()) => {
            tracing::warn!("the disk is full: the older checkpoint gives way to the next one");
            true
        }
        Err(error) => {
            tracing::warn!(%error, "no room can be made for a checkpoint");
            false
        }
    }
}

fn attempt(target: &dyn Materialised, image: &Image, changed: Option<&Keys>) -> io::Result<()> {
    catch_unwind(AssertUnwindSafe(|| target.write(image, changed)))
        .unwrap_or_else(|_| Err(io::Error::other("the writer of checkpoints panicked")))
}
