//! One flipped bit at a time, anywhere in a replica's files or in a backup: each is found, or changes
//! nothing. A store that opens with another content, or does not say what is wrong, has failed.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use store::{
    Bootstrap, Limits, Op, Options as StoreOptions, Service, StartError, Store, Txn, TxnError,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::bench::Figure;
use crate::bench::figure::{Bar, number};
use crate::node::pki;
use crate::ordeal::Verdict;
use crate::{Fault, Outcome, machine, wait};

/// A replica that neither serves nor says why within this has hung.
const OPEN_MAX: Duration = Duration::from_secs(20);
/// Objects written, a third of them over older ones; enough for several segments, checkpoints and deltas.
const WRITES: u64 = 900;
const KEYS: u64 = 600;
/// One flip of so many goes into a backup.
const BACKUP_PART: usize = 5;

/// How much is tried.
#[derive(Clone, Debug)]
pub struct Options {
    /// Flipped bits, one at a time.
    pub flips: usize,
    /// Decides where.
    pub seed: u64,
}

/// What the replica was before anything was damaged.
struct Template {
    folder: tempfile::TempDir,
    addr: String,
    revision: u64,
    digest: u128,
}

/// What a flip did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    /// The store refused to start, or stopped, and said why.
    Found,
    /// Everything is as it was.
    Harmless,
}

/// Runs the ordeal.
///
/// # Errors
/// When a flip was neither found nor harmless, with its place.
pub async fn run(options: &Options) -> Outcome<Verdict> {
    let mut source = StdRng::seed_from_u64(options.seed);
    let template = Template::create().await?;
    let (mut found, mut harmless, mut in_backups) = (0, 0, 0);
    for flip in 0..options.flips {
        let effect = if flip % BACKUP_PART == 0 {
            in_backups += 1;
            template.rot_backup(&mut source)?
        } else {
            template.rot_replica(&mut source).await?
        };
        match effect {
            Effect::Found => found += 1,
            Effect::Harmless => harmless += 1,
        }
    }
    let share = number(found + harmless) * 100.0 / number(options.flips.max(1));
    Ok(Verdict {
        words: format!(
            "{} flipped bits, {in_backups} of them in backups: {found} found and told, {harmless} harmless, none silent; \
             revision {} each time it opened",
            options.flips, template.revision
        ),
        figures: vec![Figure::new(
            "flips found or harmless",
            share,
            "%",
            Bar::AtLeast(100.0),
        )],
    })
}

impl Template {
    async fn create() -> Outcome<Self> {
        let folder = tempfile::tempdir()?;
        pki::create(&folder.path().join("pki"))?;
        let addr = format!("127.0.0.1:{}", machine::free_port()?);
        let mut template = Self {
            folder,
            addr,
            revision: 0,
            digest: 0,
        };
        let dir = template.origin();
        let (store, service) = template.start(&dir).await??;
        let stop = CancellationToken::new();
        let running = tokio::spawn(service.run(stop.clone()));
        for n in 0..WRITES {
            store.txn(write(n)).await?;
        }
        let status = store.status();
        (template.revision, template.digest) = (status.revision, status.digest);
        let chunks: Vec<Bytes> = store.backup().collect::<Result<_, _>>()?;
        fs::write(template.backup(), chunks.concat())?;
        stop.cancel();
        running.await??;
        Ok(template)
    }

    fn origin(&self) -> PathBuf {
        self.folder.path().join("origin")
    }

    fn backup(&self) -> PathBuf {
        self.folder.path().join("backup")
    }

    async fn start(&self, dir: &Path) -> Outcome<Result<(Store, Service), StartError>> {
        let limits = Limits {
            segment_bytes: 128 << 10,
            txn_bytes_max: 32 << 10,
            checkpoint_entries: 100,
            keep_entries: 60,
            reserve_bytes: 0,
            heartbeat_ms: 10,
            election_ms: (20, 40),
            ..Limits::default()
        };
        let peer_listener = wait::until("the port is free", OPEN_MAX, async || {
            Ok(TcpListener::bind(&self.addr).await?)
        })
        .await?;
        let options = StoreOptions {
            name: "a".into(),
            data_dir: dir.to_owned(),
            peer_listener,
            peer_addr: self.addr.clone(),
            api_addr: self.addr.clone(),
            bootstrap: Bootstrap::Static {
                initial: vec![("a".into(), self.addr.clone())],
            },
            tls: pki::load(&self.folder.path().join("pki"))?,
            limits,
            faults: store::Faults::default(),
        };
        Ok(Box::pin(Store::start(options)).await)
    }

    async fn rot_replica(&self, source: &mut StdRng) -> Outcome<Effect> {
        let copy = self.folder.path().join("copy");
        if copy.exists() {
            fs::remove_dir_all(&copy)?;
        }
        copy_tree(&self.origin(), &copy)?;
        let place = flip_somewhere(&copy, source)?;
        let opened = wait::at_most("an answer from the replica", OPEN_MAX, self.open(&copy)).await;
        opened
            .and_then(|effect| effect)
            .map_err(|fault| fault.while_doing(&place))
    }

    /// Starts on the copy and compares.
    async fn open(&self, dir: &Path) -> Outcome<Effect> {
        let (store, service) = match self.start(dir).await? {
            Ok(started) => started,
            Err(_told) => return Ok(Effect::Found),
        };
        let stop = CancellationToken::new();
        let running = tokio::spawn(service.run(stop.clone()));
        let read = store.barrier().await;
        let status = store.status();
        stop.cancel();
        let ended = running.await?;
        match (read, ended) {
            (Ok(_), Ok(())) if (status.revision, status.digest) == (self.revision, self.digest) => {
                Ok(Effect::Harmless)
            }
            (Ok(_), Ok(())) => Err(Fault::new(format!(
                "SILENT: it opened at revision {} with digest {:032x}, and had {} and {:032x}",
                status.revision, status.digest, self.revision, self.digest
            ))),
            (Err(TxnError::Stopped(_)), _) | (_, Err(_)) => Ok(Effect::Found),
            (Err(other), Ok(())) => Err(Fault::new(format!(
                "it does not say what is wrong: {other}"
            ))),
        }
    }

    fn rot_backup(&self, source: &mut StdRng) -> Outcome<Effect> {
        let path = self.folder.path().join("rotten");
        fs::copy(self.backup(), &path)?;
        let place = flip(&path, source)?;
        match store::backup::verify(&path) {
            Err(_told) => Ok(Effect::Found),
            Ok(_) => Err(Fault::new(format!(
                "SILENT: a backup was taken for whole: {place}"
            ))),
        }
    }
}

fn write(n: u64) -> Txn {
    let key = Bytes::from(format!("key-{}", n * 7 % KEYS));
    let value = vec![(n % 251) as u8; 200 + (n * 37 % 1800) as usize];
    let op = if n.is_multiple_of(17) {
        Op::Delete { key }
    } else {
        let value = value.into();
        Op::Put { key, value }
    };
    Txn {
        request_id: 0,
        stamp_ms: n,
        guards: Vec::new(),
        ops: vec![op],
    }
}

/// Every byte of every file is as likely; locks have none.
fn flip_somewhere(root: &Path, source: &mut StdRng) -> Outcome<String> {
    let mut files = Vec::new();
    collect(root, &mut files)?;
    let total: u64 = files.iter().map(|(_, len)| len).sum();
    let mut at = source.random_range(0..total);
    for (path, len) in files {
        if at < len {
            return flip(&path, source);
        }
        at -= len;
    }
    Err(Fault::new("there is nothing to flip"))
}

/// Flips one bit of the file, and says where.
fn flip(path: &Path, source: &mut StdRng) -> Outcome<String> {
    let mut bytes = fs::read(path)?;
    let at = source.random_range(0..bytes.len());
    let bit = source.random_range(0..8);
    bytes[at] ^= 1 << bit;
    fs::write(path, bytes)?;
    Ok(format!("bit {bit} of byte {at} of {}", path.display()))
}

fn collect(dir: &Path, files: &mut Vec<(PathBuf, u64)>) -> Outcome<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else {
            let len = fs::metadata(&path)?.len();
            files.push((path, len));
        }
    }
    files.sort();
    Ok(())
}

fn copy_tree(from: &Path, to: &Path) -> Outcome<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let path = entry?.path();
        let target = to.join(path.file_name().unwrap_or_default());
        if path.is_dir() {
            copy_tree(&path, &target)?;
        } else {
            fs::copy(&path, &target)?;
        }
    }
    Ok(())
}
