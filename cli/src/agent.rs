//! `stoa agent`: one machine that offers its resources and runs tasks.

use std::path::PathBuf;

use manifests::duration::Span;
use manifests::resources::{ResourceList, Resources};
use tokio_util::task::AbortOnDropHandle;

use crate::exit::{Failure, Outcome};
use crate::resident;
use crate::runtime::{self, Logging};
use crate::server::address;

/// Flags of `agent`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Unique name of this agent [default: the host name]
    #[arg(long, env = "STOA_NAME", value_name = "NAME")]
    name: Option<String>,
    /// Where it keeps everything: keys, the state of runs, sandboxes
    #[arg(
        long,
        env = "STOA_DATA_DIR",
        default_value = "stoa-data/agent",
        value_name = "DIR"
    )]
    data_dir: PathBuf,
    /// API servers, any one of which is enough
    #[arg(
        long = "server",
        env = "STOA_SERVER",
        value_delimiter = ',',
        default_value = "https://127.0.0.1:7443",
        value_name = "URL"
    )]
    server: Vec<String>,
    /// Join token of the role agent; needed at the first start
    #[arg(long, env = "STOA_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    token: Option<String>,
    /// What it offers, e.g. 'cpus=8;mem=16Gi;ports=[31000-32000]' [default: what the machine has]
    #[arg(long, env = "STOA_RESOURCES", value_name = "RESOURCES", value_parser = resources)]
    resources: Option<Resources>,
    /// An attribute for constraints, e.g. rack=r1; may be repeated
    #[arg(long = "attribute", env = "STOA_ATTRIBUTE", value_delimiter = ',', value_parser = attribute, value_name = "NAME=VALUE")]
    attribute: Vec<(String, String)>,
    /// Address of the agent's own endpoint, where servers read logs
    #[arg(
        long,
        env = "STOA_LISTEN",
        default_value = "127.0.0.1:5051",
        value_name = "HOST:PORT"
    )]
    listen: String,
    /// Where servers reach that endpoint, when that is not the listening address
    #[arg(long, env = "STOA_ADVERTISE", value_name = "HOST[:PORT]")]
    advertise: Option<String>,
    /// Time between heartbeats
    #[arg(
        long,
        env = "STOA_HEARTBEAT",
        default_value = "5s",
        value_name = "TIME"
    )]
    heartbeat: Span,
    /// Kill the tasks when the agent stops; without it they run on and are taken up again
    #[arg(long, env = "STOA_KILL_TASKS_ON_EXIT")]
    kill_tasks_on_exit: bool,
    /// Flags from a YAML file, behind the command line and the environment
    #[arg(long, env = "STOA_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Stop when standard input ends
    #[arg(long, hide = true)]
    exit_with_parent: bool,
    #[command(flatten)]
    logging: Logging,
}

/// Reads `cpus=8;mem=16Gi`.
pub(crate) fn resources(text: &str) -> Result<Resources, String> {
    let list: ResourceList = text.parse().map_err(|e| format!("{e}"))?;
    list.exact().map_err(|problems| {
        let texts: Vec<_> = problems.iter().map(ToString::to_string).collect();
        texts.join("; ")
    })
}

fn attribute(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        Some(_) | None => Err("write NAME=VALUE, e.g. rack=r1".to_owned()),
    }
}

/// Runs the agent until it is told to stop.
pub(crate) async fn run(args: Args) -> Outcome {
    args.logging.start()?;
    let shutdown = runtime::shutdown(args.exit_with_parent)?;
    let options = options(args)?;
    let name = options.name.clone();
    let failed = |e: Box<dyn std::error::Error + Send + Sync>| {
        Failure::new(format!("agent {name} cannot run")).because(e)
    };
    let (service, _handle) = ::agent::Service::start(options)
        .await
        .map_err(|e| failed(Box::new(e)))?;
    tracing::info!(name, pid = std::process::id(), "running");
    let _small = AbortOnDropHandle::new(tokio::spawn(resident::keep_small()));
    let outcome = service.run(shutdown).await.map_err(|e| failed(Box::new(e)));
    tracing::info!("stopped");
    outcome
}

fn options(args: Args) -> Outcome<::agent::Options> {
    let program = std::env::current_exe()
        .map_err(|e| Failure::new("the path of this program is not known").because(e))?;
    let name = args.name.map_or_else(host_name, Ok)?;
    Ok(::agent::Options {
        name,
        data_dir: args.data_dir,
        servers: args.server,
        token: args.token,
        resources: args.resources,
        attributes: args.attribute.into_iter().collect(),
        listen: address("--listen", &args.listen)?,
        advertise: args.advertise,
        supervisor: vec![program.display().to_string(), "supervise".to_owned()],
        heartbeat_ms: args.heartbeat.ms(),
        kill_tasks_on_exit: args.kill_tasks_on_exit,
        ..::agent::Options::default()
    })
}

/// The host name as an object's name: lower case, and only its first label.
fn host_name() -> Outcome<String> {
    let host = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .to_lowercase();
    let label: String = host
        .split('.')
        .next()
        .unwrap_or_default()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .collect();
    let label = label.trim_matches('-').to_owned();
    if label.is_empty() {
        return Err(
            Failure::usage("this machine has no host name").hint("name the agent with --name")
        );
    }
    Ok(label)
}
