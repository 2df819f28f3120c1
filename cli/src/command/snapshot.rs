//! `stoa snapshot`: the whole cluster's objects in a file, and a new cluster made from it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use apiserver::backup::{self, Restore, Summary};
use clap::Subcommand;
use futures::TryStreamExt;
use tokio::fs::File;
use tokio::io::AsyncWriteExt;

use crate::connect::Connect;
use crate::exit::{Failure, Outcome};
use crate::{output, server};

/// What to do with snapshots.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Write all objects of a running cluster, as of one revision, into a file
    Save {
        /// The file
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Replace the file if it is there
        #[arg(long)]
        overwrite: bool,
        #[command(flatten)]
        connect: Connect,
    },
    /// Read a snapshot whole and say what it holds
    Verify {
        /// The file
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Make a replica of a new cluster from a snapshot; its server is started afterwards
    Restore {
        /// The file; the same one for every replica
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Data directory of the server; it must not hold a store yet
        #[arg(long, value_name = "DIR")]
        data_dir: PathBuf,
        /// Name of the replica
        #[arg(long, default_value = "s1", value_name = "NAME")]
        name: String,
        /// All replicas of the new cluster by name and peer address, this one included
        #[arg(
            long,
            required = true,
            value_delimiter = ',',
            value_name = "NAME=HOST:PORT"
        )]
        initial_cluster: Vec<String>,
        /// A word that differs when the same file is restored into the same members again
        #[arg(long, default_value = "stoa", value_name = "WORD")]
        initial_cluster_token: String,
    },
}

/// Runs `snapshot`.
pub(crate) async fn run(args: Args, outer: &Connect) -> Outcome {
    match args.action {
        Action::Save {
            file,
            overwrite,
            connect,
        } => save(&file, overwrite, connect.or(outer)).await,
        Action::Verify { file } => {
            let summary = verified(&file)?;
            told("is whole", &file, &summary)
        }
        Action::Restore {
            file,
            data_dir,
            name,
            initial_cluster,
            initial_cluster_token,
        } => {
            let to = Restore {
                data_dir,
                initial: server::members(&initial_cluster, &name)?,
                name,
                token: initial_cluster_token,
            };
            restore(&file, &to)
        }
    }
}

async fn save(file: &Path, overwrite: bool, connect: Connect) -> Outcome {
    if file.exists() && !overwrite {
        return Err(Failure::new(format!("{} is there already", file.display()))
            .hint("name another file, or replace it with --overwrite"));
    }
    let mut part = file.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    let saved = async {
        fetch(&connect, &part).await?;
        let summary = verified(&part)?;
        fs::rename(&part, file)
            .and_then(|()| sync_dir_of(file))
            .map_err(unwritable(file))?;
        Ok(summary)
    };
    match saved.await {
        Ok(summary) => told("saved", file, &summary),
        Err(failure) => {
            // What is not whole must not be mistaken for a snapshot.
            fs::remove_file(&part).ok();
            Err(failure)
        }
    }
}

/// Streams the cluster's snapshot into the file, durably.
async fn fetch(connect: &Connect, part: &Path) -> Outcome {
    let cluster = connect.cluster().await?;
    let answer = cluster.stream(backup::PATH).await;
    let mut chunks = answer.map_err(|refused| cluster.explain(refused))?;
    let mut out = File::create(part).await.map_err(unwritable(part))?;
    let broken = |error: io::Error| {
        Failure::new("the server broke off while it sent the snapshot").because(error)
    };
    while let Some(chunk) = chunks.try_next().await.map_err(broken)? {
        out.write_all(&chunk).await.map_err(unwritable(part))?;
    }
    out.sync_all().await.map_err(unwritable(part))
}

fn sync_dir_of(file: &Path) -> io::Result<()> {
    let parent = file.parent().filter(|dir| !dir.as_os_str().is_empty());
    fs::File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}

fn unwritable(path: &Path) -> impl Fn(io::Error) -> Failure + use<> {
    let path = path.display().to_string();
    move |error| Failure::new(format!("{path} cannot be written")).because(error)
}

fn verified(file: &Path) -> Outcome<Summary> {
    backup::verify(file).map_err(|error| {
        Failure::new(format!("{} is not a good snapshot", file.display()))
            .because(error)
            .hint("use another copy of it, or an older snapshot")
    })
}

fn restore(file: &Path, to: &Restore) -> Outcome {
    let summary = backup::restore(file, to).map_err(|error| {
        Failure::new(format!(
            "{} cannot be made from {}",
            to.data_dir.display(),
            file.display()
        ))
        .because(error)
    })?;
    told("restored", file, &summary)
}

fn told(done: &str, file: &Path, summary: &Summary) -> Outcome {
    let Summary {
        revision,
        items,
        bytes,
        digest,
        ..
    } = summary;
    output::line(&format!(
        "{} {done}: revision {revision}, {items} objects, {bytes} bytes, digest {digest:032x}",
        file.display()
    ))
}
