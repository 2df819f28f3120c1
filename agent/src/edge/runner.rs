//! Performs effects: one function for each, off the main loop, answering with events.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc};
use tokio::task::spawn_blocking;
use tracing::{debug, warn};

use super::cgroup::Cgroups;
use super::home::Home;
use super::{clock, kill, machine, watch};
use crate::task::{Cause, Effect, End, Event, Happening, RunId, RunSpec};

/// Performs effects.
#[derive(Clone, Debug)]
pub(crate) struct Runner {
    home: Arc<Home>,
    cgroups: Arc<Cgroups>,
    supervisor: Arc<[String]>,
    events: mpsc::Sender<Event>,
    slots: Arc<Semaphore>,
}

/// Most jobs that touch the disk at a time. Enough for fsyncs to share a journal commit, few
/// enough that the runtime's threads stay few.
const JOBS_MAX: usize = 8;

/// Pause before a run is looked at again after an error of the machine (no descriptors left).
const RETRY: Duration = Duration::from_secs(1);

impl Runner {
    pub(crate) fn new(
        home: Arc<Home>,
        cgroups: Arc<Cgroups>,
        supervisor: &[String],
        events: mpsc::Sender<Event>,
    ) -> Self {
        let slots = Arc::new(Semaphore::new(JOBS_MAX));
        Self {
            home,
            cgroups,
            supervisor: supervisor.into(),
            events,
            slots,
        }
    }

    /// Begins an effect. Returns at once; its events arrive on the channel.
    pub(crate) fn perform(&self, effect: Effect) {
        debug!(?effect, "effect");
        let this = self.clone();
        tokio::spawn(async move {
            match effect {
                Effect::Checkpoint(id, spec) => this.checkpoint(id, spec).await,
                Effect::Spawn(id) => this.spawn(id).await,
                Effect::Settle(id, spec, cause) => this.settle(id, spec, cause).await,
                Effect::Terminate(id, deadline_ms) => this.terminate(id, deadline_ms).await,
                Effect::Destroy(id) => this.destroy(id).await,
                Effect::MarkReported(id) => {
                    this.quietly("mark as reported", id, |home, id| {
                        home.run(id).mark_reported()
                    })
                    .await;
                }
                Effect::Remove(id) => this.quietly("remove", id, Home::remove).await,
            }
        });
    }

    /// Watches a run that a living supervisor has.
    pub(crate) fn attend(&self, id: RunId) {
        let this = self.clone();
        tokio::spawn(async move { this.follow(id).await });
    }

    async fn checkpoint(&self, id: RunId, mut spec: RunSpec) {
        // The second stage of the supervisor is the same program under the same arguments.
        spec.supervisor = self.supervisor.iter().skip(1).cloned().collect();
        spec.open_files = machine::widen_descriptors();
        let (run, cgroups) = (id.clone(), self.cgroups.clone());
        match self
            .job(move |home| home.prepare(&run, &spec, &cgroups))
            .await
        {
            Ok(not_enforced) => self.send(Event::Prepared(id, not_enforced)).await,
            Err(e) => {
                let message = format!("the agent cannot prepare the run: {e}");
                let end = End::without_start(Cause::NotPrepared { message }, clock::now_us());
                self.send(Event::Run(id, Happening::Ended(end))).await;
            }
        }
    }

    async fn spawn(&self, id: RunId) {
        let (run, supervisor) = (id.clone(), self.supervisor.clone());
        let cgroups = self.cgroups.clone();
        let child = self
            .job(move |home| {
                let dir = home.run(&run);
                let spec = dir.spec()?.unwrap_or_default();
                if spec.cgroups.iter().any(|group| !group.exists()) {
                    // The machine has restarted between checkpoint and start.
                    cgroups.prepare(&run.to_string(), &spec.ceilings);
                }
                watch::spawn(&supervisor, &dir)
            })
            .await;
        match child {
            Ok(mut child) => {
                let noted = watch::until_noted(&mut child).await;
                if let (Ok(()), Ok(Some(started))) = (noted, self.home.run(&id).started()) {
                    self.send(Event::Run(id.clone(), Happening::Started(started)))
                        .await;
                }
                if let Err(error) = watch::until_child_ends(&mut child).await {
                    warn!(run = %id, %error, "cannot wait for the supervisor");
                }
                self.follow(id).await;
            }
            Err(error) => {
                let message = format!("the agent cannot start the supervisor: {error}");
                let cause = Cause::NotPrepared { message };
                self.settle(id, RunSpec::default(), cause).await;
            }
        }
    }

    /// From any state of a claimed run to its end, however often the machine fails to tell.
    async fn follow(&self, id: RunId) {
        loop {
            match self.end_of(&id).await {
                Ok(end) => return self.send(Event::Run(id, Happening::Ended(end))).await,
                Err(error) => {
                    warn!(run = %id, %error, "cannot follow the run; trying again");
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    }

    async fn end_of(&self, id: &RunId) -> io::Result<End> {
        let dir = self.home.run(id);
        loop {
            if let Some(claim) = dir.claimed()?
                && watch::is_attended(&claim)?
            {
                if let Some(started) = watch::until_started(&dir, &claim).await? {
                    self.send(Event::Run(id.clone(), Happening::Started(started)))
                        .await;
                }
                watch::until_claimant_ends(&claim).await?;
            }
            let run = dir.clone();
            if let Some(end) = self.job(move |_| watch::conclude(&run)).await? {
                return Ok(end);
            }
        }
    }

    async fn settle(&self, id: RunId, spec: RunSpec, cause: Cause) {
        let run = id.clone();
        let settled = self
            .job(move |home| home.run(&run).settle(&spec, cause, clock::now_us()))
            .await;
        if let Err(error) = settled {
            warn!(run = %id, %error, "cannot write down that the run is over");
            tokio::time::sleep(RETRY).await;
        }
        // Its end is on disk now, or a supervisor was quicker, which is followed.
        self.follow(id).await;
    }

    async fn terminate(&self, id: RunId, deadline_ms: u64) {
        self.quietly("terminate", id, move |home, id| {
            let dir = home.run(id);
            dir.write_killing(deadline_ms)?;
            if let Some(started) = dir.started()? {
                kill::terminate(&started, &dir.spec()?.unwrap_or_default());
            }
            Ok(())
        })
        .await;
    }

    async fn destroy(&self, id: RunId) {
        self.quietly("kill", id, |home, id| {
            let dir = home.run(id);
            if let Some(started) = dir.started()? {
                kill::destroy(&started, &dir.spec()?.unwrap_or_default());
            }
            Ok(())
        })
        .await;
    }

    /// A job without an answer, whose failure is only worth a warning.
    async fn quietly<F>(&self, what: &'static str, id: RunId, job: F)
    where
        F: FnOnce(&Home, &RunId) -> io::Result<()> + Send + 'static,
    {
        let run = id.clone();
        if let Err(error) = self.job(move |home| job(home, &run)).await {
            warn!(run = %id, %error, "cannot {what}");
        }
    }

    async fn job<T, F>(&self, job: F) -> io::Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Home) -> io::Result<T> + Send + 'static,
    {
        let _slot = self.slots.acquire().await.map_err(io::Error::other)?;
        let home = self.home.clone();
        spawn_blocking(move || job(&home))
            .await
            .map_err(io::Error::other)?
    }

    async fn send(&self, event: Event) {
        // The main loop is gone only when the agent stops; the disk tells the next one.
        let _stopping = self.events.send(event).await;
    }
}
