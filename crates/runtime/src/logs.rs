//! What the processes say: line by line into a file of bounded size, and the newest lines in memory for `samspill logs`.

use std::collections::{BTreeMap, VecDeque};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::sync::broadcast;
use tokio::task::JoinHandle;

/// The size of a log file in bytes, at which it becomes `NAME.log.1` and replaces the one before (the kubelet's
/// `containerLogMaxSize`).
const FILE_BYTES: u64 = 10 * 1024 * 1024;

/// The longest line in bytes; a longer one is cut into several (the limit of the container runtime interface's log format).
const LINE_BYTES: usize = 16 * 1024;

/// How much of a log is kept in memory: enough for a screen, and 26 processes stay below 10 MiB.
const RING_BYTES: usize = 256 * 1024;

/// How many lines a follower may be behind before it misses some.
const FOLLOWER_LINES: usize = 1024;

/// All logs, by the name of the process.
#[derive(Debug)]
pub(crate) struct Logs {
    folder: PathBuf,
    logs: Mutex<BTreeMap<String, Arc<Log>>>,
}

impl Logs {
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self { folder, logs: Mutex::default() }
    }

    /// The log of a process, which is begun if there is none. It outlives the process.
    pub(crate) fn of(&self, name: &str) -> Arc<Log> {
        let log = || Arc::new(Log::new(self.folder.join(format!("{name}.log"))));
        Arc::clone(lock(&self.logs).entry(name.to_owned()).or_insert_with(log))
    }

    /// The log of a process that has been started before.
    pub(crate) fn get(&self, name: &str) -> Option<Arc<Log>> {
        lock(&self.logs).get(name).map(Arc::clone)
    }

    pub(crate) fn names(&self) -> Vec<String> {
        lock(&self.logs).keys().cloned().collect()
    }
}

/// The log of one process and of those that replace it.
#[derive(Debug)]
pub(crate) struct Log {
    path: PathBuf,
    kept: Mutex<Kept>,
    lines: broadcast::Sender<Bytes>,
}

#[derive(Debug, Default)]
struct Kept {
    /// None before the first line and after a failure, which is told once.
    file: Option<File>,
    has_failed: bool,
    written: u64,
    ring: VecDeque<Bytes>,
    ring_bytes: usize,
}

impl Log {
    fn new(path: PathBuf) -> Self {
        Self { path, kept: Mutex::default(), lines: broadcast::Sender::new(FOLLOWER_LINES) }
    }

    /// Keeps every line of a process' output until its end.
    pub(crate) fn capture(self: &Arc<Self>, output: impl AsyncRead + Send + Unpin + 'static) -> JoinHandle<()> {
        let log = Arc::clone(self);
        samspill_net::task::spawn("log", async move {
            if let Err(error) = log.copy(output).await {
                tracing::warn!(path = %log.path.display(), %error, "the output of a process cannot be read");
            }
        })
    }

    /// The newest `tail` lines, each with its line feed, and all lines that follow.
    pub(crate) fn read(&self, tail: usize) -> (Vec<Bytes>, broadcast::Receiver<Bytes>) {
        // Under one lock, so that no line is in both or in neither.
        let kept = lock(&self.kept);
        let skipped = kept.ring.len().saturating_sub(tail);
        (kept.ring.iter().skip(skipped).cloned().collect(), self.lines.subscribe())
    }

    /// The newest line, without its end.
    pub(crate) fn last_line(&self) -> Option<String> {
        let line = lock(&self.kept).ring.back().cloned()?;
        Some(String::from_utf8_lossy(line.trim_ascii_end()).into_owned())
    }

    async fn copy(&self, output: impl AsyncRead + Unpin) -> io::Result<()> {
        let mut output = BufReader::with_capacity(LINE_BYTES, output);
        let mut line = Vec::new();
        loop {
            let chunk = output.fill_buf().await?;
            if chunk.is_empty() {
                break;
            }
            let room = &chunk[..chunk.len().min(LINE_BYTES - line.len())];
            let end = room.iter().position(|&byte| byte == b'\n');
            let taken = end.map_or(room.len(), |end| end + 1);
            line.extend_from_slice(&room[..taken]);
            output.consume(taken);
            if end.is_some() || line.len() == LINE_BYTES {
                self.keep(std::mem::take(&mut line));
            }
        }
        if !line.is_empty() {
            self.keep(line);
        }
        Ok(())
    }

    fn keep(&self, mut line: Vec<u8>) {
        if line.last() != Some(&b'\n') {
            line.push(b'\n');
        }
        let line = Bytes::from(line);
        let mut kept = lock(&self.kept);
        if let Err(error) = kept.write(&self.path, &line) {
            kept.file = None;
            if !std::mem::replace(&mut kept.has_failed, true) {
                tracing::warn!(path = %self.path.display(), %error, "a log cannot be written; its newest lines are in memory only");
            }
        }
        kept.ring_bytes += line.len();
        kept.ring.push_back(line.clone());
        while kept.ring_bytes > RING_BYTES {
            let oldest = kept.ring.pop_front().expect("the ring has bytes, so it has a line");
            kept.ring_bytes -= oldest.len();
        }
        // Fails when nobody follows.
        let _ = self.lines.send(line);
    }
}

impl Kept {
    /// Blocks for the copy into the page cache, which is what a log line costs everywhere.
    fn write(&mut self, path: &Path, line: &[u8]) -> io::Result<()> {
        if self.file.is_some() && self.written >= FILE_BYTES {
            std::fs::rename(path, path.with_extension("log.1"))?;
            self.file = None;
        }
        let file = match &mut self.file {
            Some(file) => file,
            None => {
                let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
                self.written = file.metadata()?.len();
                self.file.insert(file)
            }
        };
        file.write_all(line)?;
        self.written += line.len() as u64;
        Ok(())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn kept(output: &[u8]) -> (Vec<Bytes>, Vec<u8>) {
        let folder = tempfile::tempdir().unwrap();
        let logs = Logs::new(folder.path().to_owned());
        logs.of("a").copy(output).await.unwrap();
        (logs.of("a").read(usize::MAX).0, std::fs::read(folder.path().join("a.log")).unwrap())
    }

    #[tokio::test]
    async fn lines_are_kept_whole_and_ended() {
        let (lines, file) = kept(b"one\n\ntwo").await;
        assert_eq!(lines, ["one\n", "\n", "two\n"]);
        assert_eq!(file, b"one\n\ntwo\n");
    }

    #[tokio::test]
    async fn an_endless_line_is_cut() {
        let (lines, _) = kept(&vec![b'x'; 2 * LINE_BYTES + 1]).await;
        assert_eq!(lines.iter().map(Bytes::len).collect::<Vec<_>>(), [LINE_BYTES + 1, LINE_BYTES + 1, 2]);
    }

    #[tokio::test]
    async fn memory_and_files_are_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let logs = Logs::new(folder.path().to_owned());
        let line = [&[b'x'; 1023][..], b"\n"].concat();
        let lines = usize::try_from(FILE_BYTES).unwrap() / line.len() * 3;
        logs.of("a").copy(line.repeat(lines).as_slice()).await.unwrap();
        assert_eq!(logs.of("a").read(usize::MAX).0.len(), RING_BYTES / line.len());
        let sizes = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len());
        assert_eq!(sizes.collect::<Vec<_>>(), [FILE_BYTES; 2]);
    }

    #[tokio::test]
    async fn a_follower_misses_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let logs = Logs::new(folder.path().to_owned());
        logs.of("a").copy(&b"1\n2\n3\n"[..]).await.unwrap();
        let (tail, mut following) = logs.of("a").read(2);
        logs.of("a").copy(&b"4\n"[..]).await.unwrap();
        assert_eq!(tail, ["2\n", "3\n"]);
        assert_eq!(following.recv().await.unwrap(), "4\n");
    }
}
