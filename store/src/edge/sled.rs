//! All of sled: the state materialised on disk, one directory per generation.
//!
//! sled is never trusted. It is written off the apply path and is durable only after its files were
//! fsynced; every value carries a checksum, the whole a digest that is recomputed at load; whatever
//! does not match, errs or panics is a `Doubt`, and the caller falls back to the other generation, the
//! log or another replica. The database is open only while it is read or written, so it costs no
//! memory in between.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sled::{Batch, Db};

use crate::dedupe::Request;
use crate::edge::files;
use crate::image::{Header, Image};
use crate::item::Item;

const CACHE_BYTES: u64 = 8 << 20;
/// sled writes larger values to separate files that it never syncs; parts stay below that.
const PART_BYTES: usize = 100 << 10;
const BATCH_BYTES: usize = 2 << 20;
const REQUESTS_PER_RECORD: usize = 1024;
const META: &[u8] = b"m";
const ITEMS: u8 = b'i';
const PARTS: u8 = b'p';
const REQUESTS: u8 = b'r';

/// Why a generation cannot be relied on.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Doubt(String);

/// A place that holds one image.
pub(crate) trait Materialised: Send + Sync {
    /// The header of the image held, if a write was ever finished. Cheap, unverified.
    fn peek(&self) -> Result<Option<Header>, Doubt>;
    /// The verified image.
    fn load(&self) -> Result<Option<Image>, Doubt>;
    /// Makes this the image held, durably. `changed` names every key that differs from the image
    /// held now; without it everything is written anew.
    fn write(&self, image: &Image, changed: Option<&BTreeSet<Bytes>>) -> Result<(), Doubt>;
    /// Moves what is there out of the way.
    fn set_aside(&self) -> Result<(), Doubt>;
}

/// One sled directory.
#[derive(Debug)]
pub(crate) struct SledDir {
    dir: PathBuf,
    cluster_id: u128,
}

/// What precedes an item's value.
#[derive(Debug, Serialize, Deserialize)]
struct Head {
    create_revision: u64,
    mod_revision: u64,
    version: u64,
    parts: u32,
    crc: u32,
}

impl SledDir {
    pub(crate) fn new(dir: PathBuf, cluster_id: u128) -> Self {
        Self { dir, cluster_id }
    }

    fn header_in(&self, db: &Db) -> Result<Option<Header>, Doubt> {
        let Some(record) = db.get(META).map_err(doubt)? else {
            return Ok(None);
        };
        let header: Header = unseal(&record)?;
        if header.cluster_id != self.cluster_id {
            return Err(Doubt(format!(
                "it belongs to cluster {:032x}",
                header.cluster_id
            )));
        }
        Ok(Some(header))
    }

    fn write_all(&self, image: &Image, changed: Option<&BTreeSet<Bytes>>) -> Result<(), Doubt> {
        if changed.is_none() && self.dir.exists() {
            std::fs::remove_dir_all(&self.dir).map_err(doubt)?;
        }
        let db = open(&self.dir)?;
        // A crash from here on leaves no header: unfinished, and told apart from damage.
        db.remove(META).map_err(doubt)?;
        db.flush().map_err(doubt)?;
        let mut writer = Writer {
            db: &db,
            batch: Batch::default(),
            bytes: 0,
        };
        match changed {
            Some(keys) => keys
                .iter()
                .try_for_each(|key| writer.item(key, image.state.view().get(key)))?,
            None => image
                .state
                .view()
                .prefix(b"")
                .try_for_each(|item| writer.fresh(&item))?,
        }
        writer.requests(image)?;
        let header = image.header(self.cluster_id);
        writer.put(META.to_vec(), seal(&header)?)?;
        writer.flush()?;
        db.flush().map_err(doubt)?;
        if self.header_in(&db)?.as_ref() != Some(&header) {
            return Err(Doubt("the header just written does not read back".into()));
        }
        drop(db);
        files::sync_tree(&self.dir).map_err(doubt)
    }

    fn load_all(&self) -> Result<Option<Image>, Doubt> {
        let db = open(&self.dir)?;
        let Some(header) = self.header_in(&db)? else {
            return Ok(None);
        };
        let mut image = header.begin();
        for record in db.scan_prefix([ITEMS]) {
            let (key, value) = record.map_err(doubt)?;
            image
                .state
                .restore_item(&read_item(&db, &key[1..], &value)?);
        }
        for record in db.scan_prefix([REQUESTS]) {
            let requests: Vec<Request> = unseal(&record.map_err(doubt)?.1)?;
            requests
                .into_iter()
                .for_each(|request| image.state.restore_request(request));
        }
        header.finish(image).map(Some).map_err(Doubt)
    }
}

impl Materialised for SledDir {
    fn peek(&self) -> Result<Option<Header>, Doubt> {
        if !self.dir.exists() {
            return Ok(None);
        }
        guarded(|| open(&self.dir).and_then(|db| self.header_in(&db)))
    }

    fn load(&self) -> Result<Option<Image>, Doubt> {
        if !self.dir.exists() {
            return Ok(None);
        }
        guarded(|| self.load_all())
    }

    fn write(&self, image: &Image, changed: Option<&BTreeSet<Bytes>>) -> Result<(), Doubt> {
        guarded(|| self.write_all(image, changed))
    }

    fn set_aside(&self) -> Result<(), Doubt> {
        files::set_aside(&self.dir).map_err(doubt)
    }
}

/// Gathers records into batches of bounded size.
struct Writer<'a> {
    db: &'a Db,
    batch: Batch,
    bytes: usize,
}

impl Writer<'_> {
    /// Writes or removes an item that may be there already, with other parts.
    fn item(&mut self, key: &[u8], item: Option<Item>) -> Result<(), Doubt> {
        let parts = item.as_ref().map_or(0, |item| parts(&item.value));
        if let Some(old) = self.db.get(item_key(key)).map_err(doubt)? {
            let (head, _) = read_head(&old)?;
            for part in parts..head.parts {
                self.batch.remove(part_key(key, part));
            }
        }
        match item {
            Some(item) => self.fresh(&item),
            None => {
                self.batch.remove(item_key(key));
                Ok(())
            }
        }
    }

    fn fresh(&mut self, item: &Item) -> Result<(), Doubt> {
        let head = Head {
            create_revision: item.create_revision,
            mod_revision: item.mod_revision,
            version: item.version,
            parts: parts(&item.value),
            crc: crc(&item.key, &item.value),
        };
        let mut record = postcard::to_stdvec(&head).map_err(doubt)?;
        let mut chunks = item.value.chunks(PART_BYTES);
        record.extend_from_slice(chunks.next().unwrap_or_default());
        self.put(item_key(&item.key), record)?;
        for (part, chunk) in (0..).zip(chunks) {
            self.put(part_key(&item.key, part), chunk.to_vec())?;
        }
        Ok(())
    }

    fn requests(&mut self, image: &Image) -> Result<(), Doubt> {
        for record in self.db.scan_prefix([REQUESTS]).keys() {
            self.batch.remove(record.map_err(doubt)?);
        }
        let requests: Vec<Request> = image.state.dedupe().requests().collect();
        for (n, chunk) in (0_u32..).zip(requests.chunks(REQUESTS_PER_RECORD)) {
            self.put([&[REQUESTS][..], &n.to_be_bytes()].concat(), seal(&chunk)?)?;
        }
        Ok(())
    }

    fn put(&mut self, key: Vec<u8>, value: Vec<u8>) -> Result<(), Doubt> {
        self.bytes += key.len() + value.len();
        self.batch.insert(key, value);
        if self.bytes >= BATCH_BYTES {
            self.flush()
        } else {
            Ok(())
        }
    }

    fn flush(&mut self) -> Result<(), Doubt> {
        self.bytes = 0;
        self.db
            .apply_batch(std::mem::take(&mut self.batch))
            .map_err(doubt)
    }
}

/// sled releases its lock a moment after a handle is dropped, hence the bounded retries.
fn open(dir: &Path) -> Result<Db, Doubt> {
    let config = sled::Config::new()
        .path(dir)
        .cache_capacity(CACHE_BYTES)
        .flush_every_ms(None);
    let mut result = config.open();
    for _ in 0..50 {
        match &result {
            Err(sled::Error::Io(error)) if error.to_string().contains("lock") => {
                std::thread::sleep(Duration::from_millis(20));
                result = config.open();
            }
            Ok(_) | Err(_) => break,
        }
    }
    result.map_err(doubt)
}

fn read_item(db: &Db, key: &[u8], record: &[u8]) -> Result<Item, Doubt> {
    let (head, first) = read_head(record)?;
    let mut value = first.to_vec();
    for part in 0..head.parts {
        let chunk = db.get(part_key(key, part)).map_err(doubt)?;
        value
            .extend_from_slice(&chunk.ok_or_else(|| Doubt("a part of a value is missing".into()))?);
    }
    if crc(key, &value) != head.crc {
        return Err(Doubt("a value does not match its checksum".into()));
    }
    Ok(Item {
        key: Bytes::copy_from_slice(key),
        value: Bytes::from(value),
        create_revision: head.create_revision,
        mod_revision: head.mod_revision,
        version: head.version,
    })
}

fn read_head(record: &[u8]) -> Result<(Head, &[u8]), Doubt> {
    postcard::take_from_bytes(record).map_err(doubt)
}

/// Parts beyond the one in the item's own record.
fn parts(value: &[u8]) -> u32 {
    u32::try_from(value.len().div_ceil(PART_BYTES).saturating_sub(1)).unwrap_or(u32::MAX)
}

fn item_key(key: &[u8]) -> Vec<u8> {
    [&[ITEMS], key].concat()
}

/// The key's length comes first: no key with a part number looks like another key.
fn part_key(key: &[u8], part: u32) -> Vec<u8> {
    [
        &[PARTS],
        &(key.len() as u64).to_be_bytes()[..],
        key,
        &part.to_be_bytes(),
    ]
    .concat()
}

fn crc(key: &[u8], value: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(key);
    hasher.update(value);
    hasher.finalize()
}

fn seal<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, Doubt> {
    let body = postcard::to_stdvec(value).map_err(doubt)?;
    Ok([&crc(b"", &body).to_be_bytes(), &body[..]].concat())
}

fn unseal<'a, T: Deserialize<'a>>(record: &'a [u8]) -> Result<T, Doubt> {
    let (sum, body) = record
        .split_at_checked(4)
        .ok_or_else(|| Doubt("a record is too short".into()))?;
    if sum != crc(b"", body).to_be_bytes() {
        return Err(Doubt("a record does not match its checksum".into()));
    }
    postcard::from_bytes(body).map_err(doubt)
}

fn doubt(error: impl std::fmt::Display) -> Doubt {
    Doubt(error.to_string())
}

/// sled panics on some damage; here that is one more doubt.
fn guarded<T>(action: impl FnOnce() -> Result<T, Doubt>) -> Result<T, Doubt> {
    catch_unwind(AssertUnwindSafe(action)).unwrap_or_else(|_| Err(Doubt("sled panicked".into())))
}
