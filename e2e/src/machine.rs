//! This machine: where the `stoa` binary is, which ports are free, and whose turn it is.

use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU16, Ordering};

use crate::{Fault, Outcome};

/// Ports are taken from here, below the ephemeral range: a port of a killed server must still be
/// free when it is started again, and an outgoing connection never takes one of these.
const PORTS: std::ops::Range<u16> = 16_000..30_000;

/// The next port to try; starts at a place of this process's own.
static NEXT: AtomicU16 = AtomicU16::new(0);

/// A loopback port that nobody listens on.
///
/// # Errors
/// When the whole range is taken.
pub fn free_port() -> Outcome<u16> {
    let width = PORTS.end - PORTS.start;
    let spread = u16::try_from(std::process::id() % 1_000).unwrap_or(0) * 13;
    for _ in 0..width {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = PORTS.start + (spread.wrapping_add(step)) % width;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    Err(Fault::new(format!("no free port in {PORTS:?}")))
}

/// The `stoa` binary: `STOA_BIN`, or the one beside the running executable.
///
/// # Errors
/// When there is none, with the command that makes one.
pub fn stoa_binary() -> Outcome<PathBuf> {
    if let Some(path) = std::env::var_os("STOA_BIN") {
        let path = PathBuf::from(path);
        return if path.is_file() {
            Ok(path)
        } else {
            Err(Fault::new(format!(
                "STOA_BIN names {}, which is no file",
                path.display()
            )))
        };
    }
    beside("stoa")?.ok_or_else(|| {
        Fault::new("there is no `stoa` here: run `cargo build -p stoa` first (or set STOA_BIN)")
    })
}

/// This program, which is also what the nodes of a bare store run; for a test, the one beside it.
///
/// # Errors
/// When there is none, with the command that makes one.
pub fn own_binary() -> Outcome<PathBuf> {
    let here = std::env::current_exe()?;
    if here.file_name().is_some_and(|name| name == "stoa-e2e") {
        return Ok(here);
    }
    beside("stoa-e2e")?.ok_or_else(|| {
        Fault::new("there is no `stoa-e2e` here: run `cargo build -p stoa-e2e` first")
    })
}

/// A program in the folder of the running executable, or in the one above it.
fn beside(name: &str) -> Outcome<Option<PathBuf>> {
    let here = std::env::current_exe()?;
    let folders = here.ancestors().skip(1).take(2);
    let mut candidates = folders.map(|folder| folder.join(name));
    Ok(candidates.find(|path| path.is_file()))
}

/// Has the kernel back memory with small pages, as `stoa` does: with huge ones an idle replica takes
/// tens of megabytes it never touched.
pub fn give_small_pages() {
    // A kernel without huge pages refuses, and nothing is lost.
    rustix::thread::disable_transparent_huge_pages(true).ok();
}

/// Lets this process, and those it starts, open as many files as the system allows: thousands of
/// connections are one each.
pub fn open_many_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let widest = Rlimit {
        current: limit.maximum,
        ..limit
    };
    // What is not allowed is missed where it is needed, with a better message.
    setrlimit(Resource::Nofile, widest).ok();
}

/// The repository, for examples and clients.
#[must_use]
pub fn repository() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

/// Holds the machine until dropped. Clusters of several tests at once would measure one another;
/// the lock is a file because test runners may give each test a process of its own.
#[derive(Debug)]
pub struct Turn(#[expect(dead_code, reason = "held for its lock")] File);

impl Turn {
    /// Waits for the machine.
    ///
    /// # Errors
    /// When the lock file cannot be made.
    pub fn wait() -> Outcome<Self> {
        let file = File::create(std::env::temp_dir().join("stoa-e2e.lock"))?;
        file.lock()?;
        Ok(Self(file))
    }
}

/// Runs one proof alone on the machine.
///
/// # Panics
/// When the proof does not hold, with its sentence.
pub fn alone(proof: impl AsyncFnOnce() -> Outcome<()>) {
    let turn = Turn::wait().expect("the lock file of the machine can be made");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime can be made");
    let outcome = runtime.block_on(Box::pin(proof()));
    drop(turn);
    if let Err(fault) = outcome {
        panic!("{fault}");
    }
}
