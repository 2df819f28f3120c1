//! Plays a session: a folder and a namespace of its own, and a bound for every step.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use e2e::command::{self, Output};
use e2e::{Cluster, Outcome, machine, wait};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, ObjectMeta, PostParams};

use super::parse::{Session, Step};
use super::{Tools, lines};

/// Longest a step that waits for a level may take.
const LEVEL_MAX: Duration = Duration::from_secs(30);

/// A session that is being played.
struct Stage<'a> {
    cluster: &'a Cluster,
    tools: &'a Tools,
    session: &'a Session,
    folder: PathBuf,
}

/// Plays one session.
///
/// # Errors
/// When answers were others than it says, with all of them: a later step may fail for what an
/// earlier one did, and a reader can tell.
pub(super) async fn play(cluster: &Cluster, tools: &Tools, session: &Session) -> Outcome<()> {
    let name = &session.name;
    let folder = cluster.root().join(format!("session-{name}"));
    let stage = Stage {
        cluster,
        tools,
        session,
        folder,
    };
    stage.furnish().await?;
    let mut differences = String::new();
    let servers = cluster.server_names();
    for (index, step) in session.steps.iter().enumerate() {
        if step.needs.met_by(tools.minor) {
            let server = &servers[index % servers.len()];
            if let Err(fault) = stage.take(step, server).await {
                writeln!(differences, "{name}.session:{}: {fault}", step.line)?;
            }
        }
    }
    e2e::fault::ensure(differences.is_empty(), || differences)
}

impl Stage<'_> {
    /// Files, a namespace, and a kubeconfig for each server whose default namespace that is.
    async fn furnish(&self) -> Outcome<()> {
        std::fs::create_dir_all(self.folder.join("home"))?;
        for (name, text) in &self.session.files {
            let path = self.folder.join(name);
            std::fs::create_dir_all(path.parent().unwrap_or(&self.folder))?;
            std::fs::write(path, text)?;
        }
        let name = &self.session.name;
        for server in self.cluster.server_names() {
            let text = std::fs::read_to_string(self.cluster.kubeconfig(&server))?;
            let text = text.replace("namespace: default", &format!("namespace: {name}"));
            e2e::fault::ensure(text.contains(&format!("namespace: {name}")), || {
                format!("the kubeconfig of {server} names no namespace:\n{text}")
            })?;
            std::fs::write(self.kubeconfig(&server), text)?;
        }
        let client = self.cluster.client("s1").await?;
        let metadata = ObjectMeta {
            name: Some(name.clone()),
            ..Default::default()
        };
        let namespace = Namespace {
            metadata,
            ..Default::default()
        };
        let api: Api<Namespace> = Api::all(client);
        api.create(&PostParams::default(), &namespace).await?;
        Ok(())
    }

    fn kubeconfig(&self, server: &str) -> PathBuf {
        self.folder.join(format!("kubeconfig-{server}"))
    }

    async fn take(&self, step: &Step, server: &str) -> Outcome<()> {
        if step.patient {
            wait::until("the answer", LEVEL_MAX, async || {
                self.once(step, server).await
            })
            .await
        } else {
            self.once(step, server).await
        }
    }

    async fn once(&self, step: &Step, server: &str) -> Outcome<()> {
        let output = self.shell(&step.command, server).await?;
        let right = lines::same(&step.stdout, &output.stdout)
            && lines::same(&step.stderr, &output.stderr)
            && output.code == Some(step.code);
        e2e::fault::ensure(right, || told(step, &output))
    }

    async fn shell(&self, command: &str, server: &str) -> Outcome<Output> {
        let prelude = machine::repository().join("e2e/clients/shell.sh");
        let script = format!(". {}\n{command}", prelude.display());
        let usual = std::env::var_os("PATH").unwrap_or_default();
        let folders = self.tools.folders.iter().cloned();
        let path = std::env::join_paths(folders.chain(std::env::split_paths(&usual)))?;
        let url = format!("https://{}", self.cluster.api_address(server));
        let env = [
            ("PATH", PathBuf::from(path)),
            ("KUBECONFIG", self.kubeconfig(server)),
            ("HOME", self.folder.join("home")),
            ("SERVER", PathBuf::from(url)),
            ("NS", PathBuf::from(&self.session.name)),
            ("PKI", self.cluster.pki_dir()),
        ];
        command::run(Path::new("bash"), &["-c", &script], &env, &self.folder, "").await
    }
}

/// What is shown of a line that was not expected: documents are long.
const SHOWN_MAX: usize = 800;

fn told(step: &Step, output: &Output) -> String {
    let line = |l: &str| format!("    {}\n", l.chars().take(SHOWN_MAX).collect::<String>());
    let block = |lines: &str| lines.lines().map(line).collect::<String>();
    format!(
        "$ {}\n  expected, exit code {}:\n{}{}  said, exit code {:?}:\n{}{}",
        step.command,
        step.code,
        block(&step.stdout.join("\n")),
        block(
            &step
                .stderr
                .iter()
                .map(|l| format!("! {l}\n"))
                .collect::<String>()
        ),
        output.code,
        block(&output.stdout),
        block(
            &output
                .stderr
                .lines()
                .map(|l| format!("! {l}\n"))
                .collect::<String>()
        ),
    )
}
