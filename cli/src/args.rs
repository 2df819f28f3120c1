//! Everything that can be typed. What is not finished is not here.

use clap::{Parser, Subcommand};

use crate::command::{
    apply, auth, completion, cordon, create, delete, describe, diff, edit, events, explain, get,
    logs, mark, member, patch, replace, resources, scale, secrets, snapshot, token, version, wait,
    why,
};
use crate::connect::Connect;
use crate::{agent, server, up};

/// A cluster manager in one binary: two-level scheduling behind the Kubernetes API, state in Raft.
#[derive(Debug, Parser)]
#[command(
    name = "stoa",
    version,
    propagate_version = true,
    arg_required_else_help = true,
    max_term_width = 100,
    after_help = "Exit codes: 0 it worked, 1 it did not, 2 wrong command line, 3 no such object, 124 a wait ran out of time."
)]
pub(crate) struct Cli {
    /// Where the cluster is, when said before the command.
    #[command(flatten)]
    pub(crate) connect: Connect,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The commands, in the order in which a newcomer meets them.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a whole cluster on this machine: servers, agents, and the manifests given with -f
    Up(Box<up::Args>),
    /// Make the cluster hold what manifests say
    Apply(Box<apply::Args>),
    /// Show what applying manifests would change (exit code 1: there are differences)
    Diff(diff::Args),
    /// Create objects that must not exist yet
    Create(create::Args),
    /// Show objects
    Get(get::Args),
    /// Show everything about an object: spec, status, conditions, why it waits, its events
    Describe(describe::Args),
    /// Say why an object is as it is, e.g. why a task waits
    Why(why::Args),
    /// Print what a task wrote
    Logs(logs::Args),
    /// Show events, oldest first
    Events(events::Args),
    /// Wait until objects are as wished
    Wait(wait::Args),
    /// Say what the fields of a kind mean
    Explain(explain::Args),
    /// Change fields of an object
    Patch(patch::Args),
    /// Change an object in an editor
    Edit(edit::Args),
    /// Put objects in the place of those that are there
    Replace(replace::Args),
    /// Set and remove labels
    Label(mark::Args),
    /// Set and remove annotations
    Annotate(mark::Args),
    /// Set how many replicas an object has
    Scale(scale::Args),
    /// Delete objects
    Delete(delete::Args),
    /// Place no new tasks on an agent
    Cordon(cordon::Args),
    /// Place tasks on an agent again
    Uncordon(cordon::Args),
    /// Look after the replicas
    Member(member::Args),
    /// Save the whole cluster's objects into a file, or make a new cluster from one
    Snapshot(snapshot::Args),
    /// Look after what is encrypted in the store
    Secrets(secrets::Args),
    /// List the kinds the server knows
    ApiResources(resources::Args),
    /// Run one replica: the API, the store and, while it leads, the controllers
    Server(Box<server::Args>),
    /// Run an agent: it offers this machine's resources and runs tasks
    Agent(Box<agent::Args>),
    /// Say what one may do and who one is, and make tokens for service accounts
    Auth(auth::Args),
    /// Make join tokens
    Token(token::Args),
    /// Print a completion script for a shell
    Completion(completion::Args),
    /// Show the versions of this program and of the server
    Version(version::Args),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
