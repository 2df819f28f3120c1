//! What a run has written, as a stream: its tail, and what is still being added.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures::Stream;
use tokio::task::spawn_blocking;

use super::inotify::Changes;

/// Which outputs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
pub(crate) enum Which {
    /// Only standard output.
    Stdout,
    /// Only standard error.
    Stderr,
    /// Both: one after the other, or as they come when followed.
    #[default]
    All,
}

/// What is wanted of a log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) which: Which,
    /// Stay until the run has ended and everything is sent.
    pub(crate) follow: bool,
    /// Only the last lines of each output.
    pub(crate) tail_lines: Option<u64>,
    /// At most so many bytes.
    pub(crate) limit_bytes: Option<u64>,
}

/// Bytes read at a time: some pages, so that a slow reader holds little.
const CHUNK: usize = 16 * 1024;

/// One output and how far it has been sent.
#[derive(Debug)]
struct Output {
    path: PathBuf,
    file: Option<File>,
    offset: u64,
}

/// A log being read.
#[derive(Debug)]
pub(crate) struct Log {
    outputs: VecDeque<Output>,
    left: u64,
    /// While following: what wakes the reader, and the file whose presence says that all is written.
    changes: Option<(Changes, PathBuf)>,
}

impl Log {
    /// Opens the log of a run.
    pub(crate) fn open(sandbox: &Path, run_dir: &Path, wanted: Wanted) -> io::Result<Self> {
        let names: &[&str] = match wanted.which {
            Which::Stdout => &["stdout"],
            Which::Stderr => &["stderr"],
            Which::All => &["stdout", "stderr"],
        };
        let outputs = names
            .iter()
            .map(|name| Output::open(sandbox.join(name), wanted.tail_lines));
        let outputs: VecDeque<Output> = outputs.collect::<io::Result<_>>()?;
        let changes = if wanted.follow {
            let changes = Changes::new()?;
            changes.add_dir(run_dir)?;
            for output in outputs.iter().filter(|output| output.file.is_some()) {
                changes.add_file(&output.path)?;
            }
            Some((changes, run_dir.join("exit")))
        } else {
            None
        };
        Ok(Self {
            outputs,
            left: wanted.limit_bytes.unwrap_or(u64::MAX),
            changes,
        })
    }

    /// The log as a stream of chunks.
    pub(crate) fn into_stream(self) -> impl Stream<Item = io::Result<Bytes>> {
        futures::stream::try_unfold(self, |mut log| async move {
            Ok(log.next().await?.map(|chunk| (chunk, log)))
        })
    }

    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        loop {
            // Asked before reading: what was written before the end is read after this.
            let is_over = self.changes.as_ref().is_none_or(|(_, exit)| exit.exists());
            if let Some(chunk) = self.read().await? {
                return Ok(Some(chunk));
            }
            match &self.changes {
                Some((changes, _)) if !is_over && self.left > 0 => changes.wait().await?,
                Some(_) | None => return Ok(None),
            }
        }
    }

    /// What there is now; the outputs take turns when followed.
    async fn read(&mut self) -> io::Result<Option<Bytes>> {
        for _ in 0..self.outputs.len() {
            let Some(mut output) = self.outputs.pop_front() else {
                break;
            };
            let most = usize::try_from(self.left).unwrap_or(CHUNK).min(CHUNK);
            let (output, read) = spawn_blocking(move || {
                let read = output.read(most);
                (output, read)
            })
            .await
            .map_err(io::Error::other)?;
            let chunk = read?;
            if chunk.is_empty() || self.changes.is_some() {
                self.outputs.push_back(output);
            } else {
                self.outputs.push_front(output);
            }
            if !chunk.is_empty() {
                self.left -= chunk.len() as u64;
                return Ok(Some(chunk));
            }
        }
        Ok(None)
    }
}

impl Output {
    fn open(path: PathBuf, tail_lines: Option<u64>) -> io::Result<Self> {
        let file = match File::open(&path) {
            Ok(file) => Some(file),
            Err(e) if e.kind() == ErrorKind::NotFound => None,
            Err(e) => return Err(e),
        };
        let offset = match (&file, tail_lines) {
            (Some(file), Some(lines)) => tail_offset(file, lines)?,
            (Some(_), None) | (None, Some(_) | None) => 0,
        };
        Ok(Self { path, file, offset })
    }

    fn read(&mut self, most: usize) -> io::Result<Bytes> {
        let Some(file) = &self.file else {
            return Ok(Bytes::new());
        };
        let mut buffer = vec![0; most];
        let count = file.read_at(&mut buffer, self.offset)?;
        buffer.truncate(count);
        self.offset += count as u64;
        Ok(Bytes::from(buffer))
    }
}

/// Where the last lines begin. A last line without its newline counts as one.
fn tail_offset(file: &File, lines: u64) -> io::Result<u64> {
    let length = file.metadata()?.len();
    if lines == 0 {
        return Ok(length);
    }
    let mut buffer = vec![0; CHUNK];
    let (mut end, mut newlines) = (length, 0);
    while end > 0 {
        let begin = end.saturating_sub(CHUNK as u64);
        let part = &mut buffer[..usize::try_from(end - begin).unwrap_or(CHUNK)];
        file.read_exact_at(part, begin)?;
        for (index, byte) in part.iter().enumerate().rev() {
            let after = begin + index as u64 + 1;
            if *byte == b'\n' && after < length {
                newlines += 1;
                if newlines == lines {
                    return Ok(after);
                }
            }
        }
        end = begin;
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;

    use futures::StreamExt;

    use super::*;

    async fn text(log: Log) -> String {
        let chunks: Vec<_> = log
            .into_stream()
            .map(|chunk| chunk.unwrap().to_vec())
            .collect()
            .await;
        String::from_utf8(chunks.concat()).unwrap()
    }

    fn wanted(which: Which, tail_lines: Option<u64>, limit_bytes: Option<u64>) -> Wanted {
        Wanted {
            which,
            follow: false,
            tail_lines,
            limit_bytes,
        }
    }

    #[tokio::test]
    async fn tails_limits_and_choice() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("stdout"), "one\ntwo\nthree").unwrap();
        fs::write(dir.path().join("stderr"), "oops\n").unwrap();
        let table = [
            (wanted(Which::All, None, None), "one\ntwo\nthreeoops\n"),
            (wanted(Which::Stdout, Some(2), None), "two\nthree"),
            (wanted(Which::Stdout, Some(0), None), ""),
            (wanted(Which::Stdout, Some(99), None), "one\ntwo\nthree"),
            (wanted(Which::Stderr, Some(1), None), "oops\n"),
            (wanted(Which::All, None, Some(5)), "one\nt"),
            (wanted(Which::All, None, Some(0)), ""),
        ];
        for (wanted, expected) in table {
            let log = Log::open(dir.path(), dir.path(), wanted).unwrap();
            assert_eq!(text(log).await, expected, "{wanted:?}");
        }
    }

    #[tokio::test]
    async fn tails_reach_over_chunks() {
        let dir = tempfile::tempdir().unwrap();
        let lines: String = (0..10_000).map(|n| format!("line {n}\n")).collect();
        fs::write(dir.path().join("stdout"), &lines).unwrap();
        let wanted = wanted(Which::Stdout, Some(5_000), None);
        let log = Log::open(dir.path(), dir.path(), wanted).unwrap();
        let tail = text(log).await;
        assert!(tail.starts_with("line 5000\n") && tail.ends_with("line 9999\n"));
    }

    #[tokio::test]
    async fn following_ends_with_the_run_and_misses_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("stdout");
        fs::write(&path, "first\n").unwrap();
        let wanted = Wanted {
            which: Which::Stdout,
            follow: true,
            ..Wanted::default()
        };
        let mut stream = Box::pin(
            Log::open(dir.path(), dir.path(), wanted)
                .unwrap()
                .into_stream(),
        );
        assert_eq!(stream.next().await.unwrap().unwrap(), "first\n");
        let mut file = File::options().append(true).open(&path).unwrap();
        file.write_all(b"second\n").unwrap();
        assert_eq!(stream.next().await.unwrap().unwrap(), "second\n");
        file.write_all(b"last\n").unwrap();
        fs::write(dir.path().join("exit"), "{}").unwrap();
        assert_eq!(stream.next().await.unwrap().unwrap(), "last\n");
        assert!(stream.next().await.is_none());
    }
}
