//! `RunSpec`: everything a supervisor needs to know, and the checkpoint of a run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use manifests::kinds::Task;
use manifests::resources::{ResourceList, Resources};
use serde::{Deserialize, Serialize};

use super::id::RunId;
use super::limits::Ceilings;

/// Everything a supervisor needs to know: the content of a run's `spec.json`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunSpec {
    /// Namespace of the task.
    pub namespace: String,
    /// Name of the task.
    pub name: String,
    /// Program and arguments.
    pub command: Vec<String>,
    /// The whole environment of the command.
    pub env: BTreeMap<String, String>,
    /// Working directory, with the files `stdout` and `stderr`.
    pub sandbox: PathBuf,
    /// What the run is held to.
    pub ceilings: Ceilings,
    /// Arguments under which the supervisor's program runs the supervisor.
    pub supervisor: Vec<String>,
    /// Control groups to join: directories, made by the agent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cgroups: Vec<PathBuf>,
    /// How many files the command may open unless it asks for more. The agent's own limit is
    /// higher, and not for commands: some cannot cope with large descriptors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open_files: Option<u64>,
    /// Limits that the machine does not enforce, in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_enforced: Vec<String>,
}

/// Where programs are looked for when the task does not say.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

impl RunSpec {
    /// The checkpoint of a run, without its control groups.
    ///
    /// # Errors
    /// Everything that is wrong with the task, as one text.
    pub fn new(
        task: &Task,
        id: &RunId,
        agent: &str,
        home: &Path,
        pids_max: u64,
    ) -> Result<Self, String> {
        let mut problems = Vec::new();
        if task.spec.command.first().is_none_or(String::is_empty) {
            problems.push("spec.command: names no program".to_owned());
        }
        let texts = task.spec.command.iter().chain(task.spec.env.values());
        if texts
            .chain(task.spec.env.keys())
            .any(|text| text.contains('\0'))
        {
            problems.push("spec: a zero byte can be neither in arguments nor in env".to_owned());
        }
        let named = |name: &&String| name.is_empty() || name.contains('=');
        if let Some(name) = task.spec.env.keys().find(named) {
            problems.push(format!("spec.env: {name:?} is no name of a variable"));
        }
        let request = exact("resources", &task.spec.resources, &mut problems);
        let limits = exact("limits", &task.spec.limits, &mut problems);
        if !problems.is_empty() {
            return Err(problems.join("; "));
        }
        let mut spec = Self::empty(task);
        spec.command.clone_from(&task.spec.command);
        spec.ceilings = Ceilings::new(&request, &limits, pids_max);
        spec.sandbox = home.to_path_buf();
        spec.env = environment(task, id, agent, home);
        Ok(spec)
    }

    /// The checkpoint of a run that will not be started.
    #[must_use]
    pub fn empty(task: &Task) -> Self {
        Self {
            namespace: task.metadata.namespace.clone().unwrap_or_default(),
            name: task.metadata.name.clone().unwrap_or_default(),
            ..Self::default()
        }
    }
}

fn exact(field: &str, list: &ResourceList, problems: &mut Vec<String>) -> Resources {
    list.exact().unwrap_or_else(|wrong| {
        problems.extend(
            wrong
                .iter()
                .map(|p| format!("spec.{field}.{}: {}", p.key, p.message)),
        );
        Resources::default()
    })
}

/// Nothing is inherited from the agent. What Stoa sets cannot be overridden; PATH and HOME can.
fn environment(task: &Task, id: &RunId, agent: &str, home: &Path) -> BTreeMap<String, String> {
    let home = home.display().to_string();
    let mut env = BTreeMap::from([
        ("PATH".to_owned(), PATH.to_owned()),
        ("HOME".to_owned(), home.clone()),
    ]);
    env.extend(task.spec.env.clone());
    let header = RunSpec::empty(task);
    let ours = [
        ("STOA_TASK", header.name),
        ("STOA_NAMESPACE", header.namespace),
        ("STOA_TASK_UID", id.uid().to_owned()),
        ("STOA_ATTEMPT", id.attempt().to_string()),
        ("STOA_AGENT", agent.to_owned()),
        ("STOA_SANDBOX", home),
        ("STOA_FRAMEWORK", task.spec.framework.clone()),
    ];
    env.extend(ours.map(|(name, value)| (name.to_owned(), value)));
    env
}
