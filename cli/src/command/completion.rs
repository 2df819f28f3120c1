//! `stoa completion`.

use clap::CommandFactory;
use clap_complete::Shell;

use crate::args::Cli;
use crate::exit::Outcome;
use crate::output;

/// Flags of `completion`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// For which shell, e.g. `source <(stoa completion bash)`
    shell: Shell,
}

/// Runs `completion`.
pub(crate) fn run(args: &Args) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "stoa", &mut script);
    output::raw(&script)
}
