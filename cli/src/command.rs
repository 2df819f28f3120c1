//! What each command does, one file each.

pub(crate) mod apply;

pub(crate) mod create;

pub(crate) mod get;

pub(crate) mod describe;

pub(crate) mod why;

pub(crate) mod logs;

pub(crate) mod events;

pub(crate) mod wait;

pub(crate) mod patch;

pub(crate) mod edit;

pub(crate) mod replace;

pub(crate) mod mark;

pub(crate) mod scale;

pub(crate) mod diff;

pub(crate) mod explain;

pub(crate) mod auth;

pub(crate) mod delete;

pub(crate) mod cordon;

pub(crate) mod member;

pub(crate) mod snapshot;

pub(crate) mod resources;

pub(crate) mod secrets;

pub(crate) mod token;

pub(crate) mod completion;

pub(crate) mod version;

use crate::args::{Cli, Command};
use crate::exit::Outcome;
use crate::{agent, server, up};

/// Runs what was typed.
pub(crate) async fn run(cli: Cli) -> Outcome {
    let outer = cli.connect;
    // Each future is boxed: the largest command must not size the frame of all of them.
    match cli.command {
        Command::Up(args) => Box::pin(up::run(*args)).await,
        Command::Apply(args) => Box::pin(apply::run(*args, &outer)).await,
        Command::Create(args) => Box::pin(create::run(args, &outer)).await,
        Command::Get(args) => Box::pin(get::run(args, &outer)).await,
        Command::Describe(args) => Box::pin(describe::run(args, &outer)).await,
        Command::Why(args) => Box::pin(why::run(args, &outer)).await,
        Command::Logs(args) => Box::pin(logs::run(args, &outer)).await,
        Command::Events(args) => Box::pin(events::run(args, &outer)).await,
        Command::Wait(args) => Box::pin(wait::run(args, &outer)).await,
        Command::Patch(args) => Box::pin(patch::run(args, &outer)).await,
        Command::Diff(args) => Box::pin(diff::run(args, &outer)).await,
        Command::Explain(args) => Box::pin(explain::run(args, &outer)).await,
        Command::Edit(args) => Box::pin(edit::run(args, &outer)).await,
        Command::Replace(args) => Box::pin(replace::run(args, &outer)).await,
        Command::Label(args) => Box::pin(mark::run(args, &outer, mark::Mark::Label)).await,
        Command::Annotate(args) => Box::pin(mark::run(args, &outer, mark::Mark::Annotation)).await,
        Command::Scale(args) => Box::pin(scale::run(args, &outer)).await,
        Command::Auth(args) => Box::pin(auth::run(args, &outer)).await,
        Command::Delete(args) => Box::pin(delete::run(args, &outer)).await,
        Command::Cordon(args) => Box::pin(cordon::run(args, &outer, true)).await,
        Command::Uncordon(args) => Box::pin(cordon::run(args, &outer, false)).await,
        Command::Member(args) => Box::pin(member::run(args, &outer)).await,
        Command::Snapshot(args) => Box::pin(snapshot::run(args, &outer)).await,
        Command::Secrets(args) => Box::pin(secrets::run(args, &outer)).await,
        Command::ApiResources(args) => Box::pin(resources::run(args, &outer)).await,
        Command::Server(args) => Box::pin(server::run(*args)).await,
        Command::Agent(args) => Box::pin(agent::run(*args)).await,
        Command::Token(args) => token::run(&args),
        Command::Completion(args) => completion::run(&args),
        Command::Version(args) => Box::pin(version::run(args, &outer)).await,
    }
}
