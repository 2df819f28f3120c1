//! A watch that must never be interrupted: every revision once, in order, on one live connection.

use std::time::Duration;

use bytes::Bytes;
use store::Revision;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::node::wire::Mode;
use crate::node::{Client, Watch};
use crate::{Fault, Outcome, fault};

/// Longest a watch may lag behind its replica once nobody writes.
const LAG_MAX: Duration = Duration::from_secs(30);

/// A watch of everything on one replica.
#[derive(Debug)]
pub struct Witness {
    name: String,
    position: watch::Receiver<Revision>,
    task: JoinHandle<Fault>,
}

impl Witness {
    /// Watches the replica from where it is now.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn start(name: &str, client: &Client) -> Outcome<Self> {
        let here = client.list(Bytes::new(), Mode::Stale, 0, None).await?;
        let watch = client.watch(here.revision).await?;
        let (told, position) = watch::channel(here.revision);
        Ok(Self {
            name: name.to_owned(),
            position,
            task: tokio::spawn(follow(watch, told)),
        })
    }

    /// An error when the watch was interrupted or wrong.
    ///
    /// # Errors
    /// As said.
    pub async fn check(&mut self) -> Outcome<()> {
        if !self.task.is_finished() {
            return Ok(());
        }
        let fault = (&mut self.task).await?;
        Err(fault.while_doing(&format!("the watch on `{}`", self.name)))
    }

    /// Waits until it has seen this revision.
    ///
    /// # Errors
    /// When it does not, or was interrupted or wrong.
    pub async fn finish(mut self, upto: Revision) -> Outcome<()> {
        let mut position = self.position.clone();
        let reached = position.wait_for(|seen| *seen >= upto);
        let reached = tokio::time::timeout(LAG_MAX, reached).await;
        let is_there = matches!(&reached, Ok(Ok(_)));
        drop(reached);
        self.check().await?;
        fault::ensure(is_there, || {
            let seen = *self.position.borrow();
            format!("the watch on `{}` is at {seen}, not at {upto}", self.name)
        })
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Follows until something is wrong.
async fn follow(mut watch: Watch, told: watch::Sender<Revision>) -> Fault {
    loop {
        let changes = match watch.next().await {
            Ok(changes) => changes,
            Err(error) => return error.into(),
        };
        for change in changes {
            let seen = *told.borrow();
            if change.revision != seen + 1 {
                let revision = change.revision;
                return Fault::new(format!("revision {revision} came after revision {seen}"));
            }
            told.send_replace(change.revision);
        }
    }
}
