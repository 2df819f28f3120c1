//! One agent as a process would run it: a runtime of its own, which can die at any moment.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use agent::{Handle, Options, RunError, Service};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::cluster::Cluster;
use super::supervisor::SUPERVISOR;
use super::wait;

/// A cluster, a data directory, and an agent or none.
pub(crate) struct Machine {
    servers: Runtime,
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) data: tempfile::TempDir,
    agent: Option<Agent>,
}

struct Agent {
    runtime: Runtime,
    handle: Handle,
    shutdown: CancellationToken,
    running: JoinHandle<Result<(), RunError>>,
}

impl Machine {
    pub(crate) fn new() -> Self {
        let servers = Runtime::new().unwrap();
        let cluster = servers.block_on(Cluster::start());
        Self {
            servers,
            cluster,
            data: tempfile::tempdir().unwrap(),
            agent: None,
        }
    }

    pub(crate) fn started() -> Self {
        let mut machine = Self::new();
        machine.start();
        machine
    }

    pub(crate) fn start(&mut self) {
        self.start_with(|_| {});
    }

    pub(crate) fn start_with(&mut self, change: impl FnOnce(&mut Options)) {
        let mut options = Options {
            name: "a1".to_owned(),
            data_dir: self.data.path().to_path_buf(),
            servers: vec![
                "https://127.0.0.1:1".to_owned(),
                format!("https://{}", self.cluster.address),
            ],
            token: Some(self.cluster.token()),
            listen: "127.0.0.1:0".parse().unwrap(),
            supervisor: vec![SUPERVISOR.to_owned(), "supervise".to_owned()],
            heartbeat_ms: 50,
            ..Options::default()
        };
        change(&mut options);
        let runtime = Runtime::new().unwrap();
        let shutdown = CancellationToken::new();
        // The lock of an agent that was killed is freed a moment later.
        let (service, handle) = wait::until(|| {
            runtime
                .block_on(Service::start(options.clone()))
                .map_err(|e| e.to_string())
        });
        let running = runtime.spawn(service.run(shutdown.clone()));
        self.agent = Some(Agent {
            runtime,
            handle,
            shutdown,
            running,
        });
    }

    /// As SIGKILL: nothing of the agent runs any more, and it had no time to say so.
    pub(crate) fn kill(&mut self) {
        let agent = self.agent.take().unwrap();
        agent.runtime.shutdown_timeout(Duration::from_secs(10));
    }

    /// As SIGTERM.
    pub(crate) fn stop(&mut self) {
        let Agent {
            runtime,
            shutdown,
            running,
            ..
        } = self.agent.take().unwrap();
        shutdown.cancel();
        runtime.block_on(running).unwrap().unwrap();
    }

    pub(crate) fn run_dir(&self, name: &str, attempt: u32) -> PathBuf {
        self.data
            .path()
            .join("tasks")
            .join(format!("uid-{name}.{attempt}"))
    }

    pub(crate) fn sandbox(&self, name: &str, attempt: u32) -> PathBuf {
        self.data
            .path()
            .join("sandboxes")
            .join(format!("uid-{name}.{attempt}"))
    }

    /// Waits until the servers show the task in this state; answers with its status.
    pub(crate) fn until_state(&self, name: &str, state: &str) -> Value {
        wait::until(|| {
            let status = self.cluster.task(name)["status"].clone();
            if status["state"] == state {
                Ok(status)
            } else {
                Err(format!("{name}: {status}"))
            }
        })
    }

    /// Asks the agent's endpoint under a certificate of this organisation.
    pub(crate) fn ask(&self, organisation: &str, path: &str) -> (u16, String) {
        let handle = self.agent.as_ref().unwrap().handle.clone();
        self.servers
            .block_on(ask(&self.cluster, handle.address(), organisation, path))
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if self.agent.is_some() {
            self.kill();
        }
        // Whatever still runs, runs under a supervisor that can be found by its claim.
        for entry in std::fs::read_dir(self.data.path().join("tasks"))
            .into_iter()
            .flatten()
            .flatten()
        {
            for file in ["claim", "pid"] {
                if !entry.path().join("exit").exists() {
                    kill_named(&entry.path().join(file));
                }
            }
        }
        remove_cgroups(self.data.path());
    }
}

/// The agent's control groups, which a killed agent leaves for its successor.
fn remove_cgroups(data: &Path) {
    let path = std::fs::canonicalize(data).unwrap();
    let hash = Sha256::digest(path.as_os_str().as_encoded_bytes());
    let hash: String = hash
        .iter()
        .take(4)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    for mount in std::fs::read_dir("/sys/fs/cgroup")
        .into_iter()
        .flatten()
        .flatten()
    {
        for home in [mount.path().join("stoa"), "/sys/fs/cgroup/stoa".into()] {
            let home = home.join(format!("a1.{hash}"));
            for run in std::fs::read_dir(&home).into_iter().flatten().flatten() {
                let _occupied = std::fs::remove_dir(run.path());
            }
            let _occupied = std::fs::remove_dir(home);
        }
    }
}

fn kill_named(file: &Path) {
    let claim: Option<Value> = std::fs::read(file)
        .ok()
        .and_then(|text| serde_json::from_slice(&text).ok());
    let forbids = claim.as_ref().is_some_and(|claim| claim["forbids"] == true);
    if let Some(pid) = claim
        .and_then(|claim| claim["pid"].as_i64())
        .filter(|_| !forbids)
    {
        let _gone = std::process::Command::new("kill")
            .args(["-KILL", &pid.to_string()])
            .output();
    }
}

async fn ask(cluster: &Cluster, address: &str, organisation: &str, path: &str) -> (u16, String) {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(cluster.ca()).unwrap();
    let (chain, key) = cluster.issue(organisation);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)
        .unwrap();
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    // The stand-in gives every certificate this name.
    let stream = connector
        .connect("stoa-server".try_into().unwrap(), stream)
        .await
        .unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    let request = http::Request::get(path)
        .header("host", address)
        .body(Empty::<Bytes>::new())
        .unwrap();
    let answer = sender.send_request(request).await.unwrap();
    let code = answer.status().as_u16();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    (code, String::from_utf8(body.to_vec()).unwrap())
}
