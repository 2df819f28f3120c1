//! One child process of `up`: started, watched, started again after a crash, and stopped.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::sync::mpsc::Sender;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::fleet::News;
use crate::exit::Failure;

/// A process that ends by itself within this time of its very first start never worked.
const PROBATION: Duration = Duration::from_secs(5);

/// First pause before a restart; it doubles up to the longest.
const PAUSE: Duration = Duration::from_secs(1);

/// Longest pause before a restart.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// Time to stop: agents kill their tasks with grace, servers hand leadership over.
const STOP_LIMIT: Duration = Duration::from_secs(20);

/// What to start. Computed anew for each start, as a replica that lost its disk starts otherwise.
#[derive(Clone, Debug, Default)]
pub(super) struct Launch {
    /// Arguments of this same program.
    pub(super) args: Vec<OsString>,
    /// Environment on top of ours; secrets go here, where `ps` does not show them.
    pub(super) env: Vec<(&'static str, String)>,
}

/// A child and its keeper's needs.
pub(super) struct Keeper {
    /// `server s1`.
    pub(super) title: String,
    /// Where its standard error goes.
    pub(super) log: PathBuf,
    /// What to start.
    pub(super) launch: Box<dyn Fn() -> Launch + Send + Sync>,
    /// Who hears of it.
    pub(super) news: Sender<News>,
    /// Told to stop.
    pub(super) stop: CancellationToken,
}

impl Keeper {
    /// Keeps the process running until `stop`.
    pub(super) async fn run(self) {
        let mut pause = PAUSE;
        let mut first = true;
        while !self.stop.is_cancelled() {
            let started = Instant::now();
            let mut child = match spawn(&self.log, &(self.launch)()) {
                Ok(child) => child,
                Err(error) => return self.hopeless(&format!("cannot be started: {error}")).await,
            };
            // Waiting would close the pipe, and its end is what tells the child that we are gone.
            let _pipe = child.stdin.take();
            let status = tokio::select! {
                status = child.wait() => status,
                () = self.stop.cancelled() => return self.finish(child).await,
            };
            let how = how(status);
            let ran = started.elapsed();
            let by_itself = !how.starts_with("was killed");
            if first && by_itself && ran < PROBATION {
                return self.hopeless(&format!("{how} right after its start")).await;
            }
            first = false;
            pause = if ran > PAUSE_MAX { PAUSE } else { pause };
            self.say(format!(
                "{} {how}; it is started again in {}s",
                self.title,
                pause.as_secs()
            ))
            .await;
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.stop.cancelled() => return,
            }
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    async fn finish(&self, mut child: Child) {
        let pid = child
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .and_then(Pid::from_raw);
        if let Some(pid) = pid
            && let Err(error) = kill_process(pid, Signal::TERM)
        {
            tracing::debug!(%error, "the process has gone already");
        }
        if tokio::time::timeout(STOP_LIMIT, child.wait())
            .await
            .is_err()
        {
            self.say(format!("{} does not stop; it is killed", self.title))
                .await;
            if let Err(error) = child.kill().await {
                tracing::debug!(%error, "the process has gone already");
            }
        }
    }

    async fn say(&self, text: String) {
        // Nobody listens any more while everything stops.
        self.news.send(News::Said(text)).await.unwrap_or_default();
    }

    async fn hopeless(&self, how: &str) {
        let failure = Failure::new(format!("{} {how}", self.title));
        let tail = super::layout::tail(&self.log, 5);
        let hint = format!("its log is {}; it ends with:\n{tail}", self.log.display());
        self.news
            .send(News::Hopeless(failure.hint(hint)))
            .await
            .unwrap_or_default();
    }
}

fn spawn(log: &Path, launch: &Launch) -> std::io::Result<Child> {
    let log = OpenOptions::new().create(true).append(true).open(log)?;
    Command::new(std::env::current_exe()?)
        .args(&launch.args)
        .envs(launch.env.iter().map(|(key, value)| (key, value)))
        // The child stops when this pipe ends, and so never outlives us.
        .stdin(Stdio::piped())
        .stdout(log.try_clone()?)
        .stderr(log)
        // A group of its own: Ctrl-C is for us, and we stop the children in order.
        .process_group(0)
        .spawn()
}

fn how(status: std::io::Result<ExitStatus>) -> String {
    use std::os::unix::process::ExitStatusExt;
    match status {
        Ok(status) => match (status.signal(), status.code()) {
            (Some(signal), _) => format!("was killed by signal {signal}"),
            (None, code) => format!("ended with exit code {}", code.unwrap_or_default()),
        },
        Err(error) => format!("cannot be watched: {error}"),
    }
}
