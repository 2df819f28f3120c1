//! From the command line to a running command: parsing, the runtime it needs, logging, signals.

use std::future::Future;
use std::process::ExitCode;

use clap::{Args, CommandFactory, FromArgMatches, Parser, ValueEnum};
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use crate::args::{Cli, Command};
use crate::exit::{Failure, Outcome};
use crate::{command, config};

/// Threads of an agent: one to watch and report, one for files that are slow to sync.
const AGENT_THREADS: usize = 2;

/// Exit code after a second Ctrl-C: 128 and the number of SIGINT, as shells have it.
const INTERRUPTED: i32 = 130;

/// Libraries of which only warnings are of interest to an operator.
const QUIET: &str = "openraft=warn,hyper=warn,kube=warn";

/// How a process logs, on standard error.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Logging")]
pub(crate) struct Logging {
    /// error, warn, info, debug, trace, or a filter such as `stoa=debug,store=info`
    #[arg(
        long,
        env = "STOA_LOG_LEVEL",
        default_value = "info",
        value_name = "FILTER"
    )]
    log_level: String,
    /// Lines for people or for programs
    #[arg(long, env = "STOA_LOG_FORMAT", default_value = "text")]
    log_format: Format,
}

/// The form of a log line.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    Text,
    Json,
}

impl Logging {
    /// Starts logging. `RUST_LOG` wins over the flags, as in other Rust programs.
    pub(crate) fn start(&self) -> Outcome {
        let filter = match std::env::var("RUST_LOG") {
            Ok(text) if !text.is_empty() => text,
            Ok(_) | Err(_) => self.log_level.clone(),
        };
        // A bare level is about us: these libraries tell their inner life on `info`.
        let bare = !filter.contains(['=', ',']) && filter != "debug" && filter != "trace";
        let filter = if bare {
            format!("{filter},{QUIET}")
        } else {
            filter
        };
        let filter: EnvFilter = filter.parse().map_err(|e| {
            Failure::usage(format!("the log filter {filter:?} is not understood")).because(e)
        })?;
        let log = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(std::io::stderr);
        match self.log_format {
            Format::Text => log.with_ansi(false).init(),
            Format::Json => log.json().init(),
        }
        Ok(())
    }
}

/// The whole program, apart from the supervisor.
pub(crate) fn main() -> ExitCode {
    match parse().and_then(run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

/// Parses the command line; a usage error prints itself and ends the process with 2.
fn parse() -> Outcome<Cli> {
    let words: Vec<_> = std::env::args_os().collect();
    let matches = Cli::command().get_matches_from(&words);
    match config::amended(&words, &matches)? {
        None => Cli::from_arg_matches(&matches).map_err(|e| Failure::usage(e.to_string())),
        Some(words) => Ok(Cli::parse_from(words)),
    }
}

fn run(cli: Cli) -> Outcome {
    // Whatever else links rustls: one provider, ring.
    if rustls::crypto::ring::default_provider()
        .install_default()
        .is_err()
    {
        tracing::debug!("a TLS provider was installed already");
    }
    let runtime = runtime(&cli.command)
        .map_err(|e| Failure::new("the runtime cannot be started").because(e))?;
    let outcome = runtime.block_on(command::run(cli));
    // A read of standard input cannot be cancelled; do not wait for it.
    runtime.shutdown_background();
    outcome
}

fn runtime(command: &Command) -> std::io::Result<Runtime> {
    let threads = match command {
        Command::Server(_) => std::thread::available_parallelism().map_or(2, usize::from),
        Command::Agent(_) => AGENT_THREADS,
        Command::Up(_)
        | Command::Apply(_)
        | Command::Create(_)
        | Command::Get(_)
        | Command::Describe(_)
        | Command::Why(_)
        | Command::Logs(_)
        | Command::Events(_)
        | Command::Wait(_)
        | Command::Patch(_)
        | Command::Diff(_)
        | Command::Explain(_)
        | Command::Edit(_)
        | Command::Replace(_)
        | Command::Label(_)
        | Command::Annotate(_)
        | Command::Scale(_)
        | Command::Auth(_)
        | Command::Delete(_)
        | Command::Cordon(_)
        | Command::Uncordon(_)
        | Command::Member(_)
        | Command::ApiResources(_)
        | Command::Secrets(_)
        | Command::Token(_)
        | Command::Completion(_)
        | Command::Snapshot(_)
        | Command::Version(_) => return Builder::new_current_thread().enable_all().build(),
    };
    Builder::new_multi_thread()
        .worker_threads(threads.max(2))
        .enable_all()
        .build()
}

/// A token that is cancelled by SIGTERM, SIGINT and, if asked, by the end of standard input: the
/// far end of that pipe is held by `stoa up`, so no child outlives it, however it dies.
pub(crate) fn shutdown(with_parent: bool) -> Outcome<CancellationToken> {
    let token = CancellationToken::new();
    for kind in [SignalKind::terminate(), SignalKind::interrupt()] {
        let mut signal = signal(kind)?;
        let token = token.clone();
        spawn(async move {
            signal.recv().await;
            token.cancel();
            // Asked twice: whatever takes so long is left as it is. Children see our pipe end.
            signal.recv().await;
            std::process::exit(INTERRUPTED);
        });
    }
    if with_parent {
        let token = token.clone();
        // A thread of its own: it sits in read(2) for as long as the process lives.
        std::thread::spawn(move || {
            let mut stdin = std::io::stdin().lock();
            let ended = std::io::copy(&mut stdin, &mut std::io::sink());
            tracing::info!(?ended, "the parent process has gone");
            token.cancel();
        });
    }
    Ok(token)
}

fn spawn(future: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(future);
}
