//! The data folder of `stoa up`: what lies where.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use kube::config::Kubeconfig;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::plan::Plan;
use crate::exit::{Failure, Outcome};

/// The folder.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    root: PathBuf,
}

impl Layout {
    /// Makes the folder. Paths are absolute from here on, for the children and for messages.
    pub(crate) fn new(root: &Path) -> Outcome<Self> {
        let unusable = |root: &Path| {
            Failure::new(format!("the data folder {} cannot be used", root.display()))
                .hint("name another with --data-dir")
        };
        fs::create_dir_all(root.join("logs")).map_err(|e| unusable(root).because(e))?;
        let root = root.canonicalize().map_err(|e| unusable(root).because(e))?;
        Ok(Self { root })
    }

    /// The folder itself.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Logs of all processes.
    pub(crate) fn logs(&self) -> PathBuf {
        self.root.join("logs")
    }

    /// Log of one process.
    pub(crate) fn log(&self, name: &str) -> PathBuf {
        self.logs().join(format!("{name}.log"))
    }

    /// Data folder of one process.
    pub(crate) fn data(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// The common CA.
    pub(crate) fn pki(&self) -> PathBuf {
        self.root.join("pki")
    }

    /// The administrator's kubeconfig.
    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.root.join("kubeconfig")
    }

    fn memory(&self) -> PathBuf {
        self.root.join("cluster.json")
    }

    /// One `up` at a time; the lock goes when the file is closed, however the process ends.
    pub(crate) fn lock(&self) -> Outcome<File> {
        let path = self.root.join("lock");
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(file),
            Err(Errno::WOULDBLOCK) => {
                let root = self.root.display();
                Err(Failure::new(format!("another `stoa up` uses {root}"))
                    .hint("stop it, or name another folder with --data-dir"))
            }
            Err(e) => Err(std::io::Error::from(e).into()),
        }
    }

    /// The plan of the last start.
    pub(crate) fn remembered(&self) -> Outcome<Option<Plan>> {
        let path = self.memory();
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(e.into()),
        };
        serde_json::from_slice(&text).map(Some).map_err(|e| {
            Failure::new(format!("{} is not understood", path.display()))
                .because(e)
                .hint("restore the file, or start afresh with another --data-dir")
        })
    }

    /// Remembers a plan.
    pub(crate) fn remember(&self, plan: &Plan) -> Outcome {
        let text = serde_json::to_vec_pretty(plan)
            .map_err(|e| Failure::new("the plan cannot be written").because(e))?;
        replace(&self.memory(), &text, 0o644)
    }

    /// Makes the cluster's kubeconfig of the one that the first server wrote, with a context for
    /// each server (`--context s2`), so that it is of use while the first one is down.
    pub(crate) fn adopt_kubeconfig(&self, plan: &Plan) -> Outcome {
        let unusable = || Failure::new("the kubeconfig of the first server is not understood");
        let text = fs::read_to_string(self.data(&plan.replicas[0].name).join("kubeconfig"))?;
        let mut config = Kubeconfig::from_yaml(&text).map_err(|e| unusable().because(e))?;
        let (Some(cluster), Some(context)) = (
            config.clusters.first().cloned(),
            config.contexts.first().cloned(),
        ) else {
            return Err(unusable());
        };
        for (index, replica) in plan.replicas.iter().enumerate() {
            let (mut cluster, mut context) = (cluster.clone(), context.clone());
            cluster.name.clone_from(&replica.name);
            context.name.clone_from(&replica.name);
            if let (Some(inner), Some(outer)) = (&mut cluster.cluster, &mut context.context) {
                inner.server = Some(plan.url(index));
                outer.cluster.clone_from(&replica.name);
            }
            config.clusters.push(cluster);
            config.contexts.push(context);
        }
        let text = serde_saphyr::to_string(&config).map_err(|e| unusable().because(e))?;
        replace(&self.kubeconfig(), text.as_bytes(), 0o600)
    }

    /// A join token that one of the servers wrote.
    pub(crate) fn token(&self, plan: &Plan, role: &str) -> Option<String> {
        let files = plan
            .replicas
            .iter()
            .map(|r| self.data(&r.name).join("tokens").join(role));
        files
            .filter_map(|file| fs::read_to_string(file).ok())
            .map(|t| t.trim().to_owned())
            .next()
    }
}

/// The last lines of a log.
pub(super) fn tail(log: &Path, lines: usize) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text).into_owned();
    let all: Vec<_> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

/// Replaces a file in one step: a reader finds the old text or the new one.
fn replace(path: &Path, text: &[u8], mode: u32) -> Outcome {
    let fresh = path.with_extension("new");
    let mut file = OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(true)
        .mode(mode)
        .open(&fresh)?;
    file.write_all(text)?;
    file.sync_all()?;
    Ok(fs::rename(&fresh, path)?)
}
