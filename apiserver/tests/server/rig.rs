//! One server in a temporary directory.

use std::time::Duration;

use apiserver::pki::{Authority, Pair};
use apiserver::{Bootstrap, Handle, Limits, Options, RunError, Service};
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Longest wait for anything that has to happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Rig {
    pub(crate) handle: Handle,
    pub(crate) dir: TempDir,
    shutdown: CancellationToken,
    run: JoinHandle<Result<(), RunError>>,
}

impl Rig {
    pub(crate) async fn start() -> Self {
        Self::in_dir(tempfile::tempdir().unwrap()).await
    }

    pub(crate) async fn in_dir(dir: TempDir) -> Self {
        Self::with_history(dir, store::Limits::default().history_bytes).await
    }

    pub(crate) async fn with_history(dir: TempDir, history_bytes: usize) -> Self {
        Self::with(dir, |options| {
            options.store_limits.history_bytes = history_bytes;
        })
        .await
    }

    /// With other options than usual.
    pub(crate) async fn with(dir: TempDir, change: impl FnOnce(&mut Options)) -> Self {
        let loopback = "127.0.0.1:0".parse().unwrap();
        let mut options = Options {
            data_dir: dir.path().join("data"),
            listen: loopback,
            peer_listen: loopback,
            limits: Limits {
                handshake: Duration::from_secs(2),
                ..Limits::default()
            },
            ..Options::default()
        };
        change(&mut options);
        let (service, handle) = Service::start(options).await.unwrap();
        let shutdown = CancellationToken::new();
        let run = tokio::spawn(service.run(shutdown.clone()));
        let mut leadership = handle.leadership();
        let led = leadership.wait_for(|now| now.local || now.leader.is_some());
        tokio::time::timeout(PATIENCE, led).await.unwrap().unwrap();
        Self {
            handle,
            dir,
            shutdown,
            run,
        }
    }

    /// A further replica of this one's cluster.
    pub(crate) async fn joined_by(&self, name: &str) -> Self {
        let bootstrap = Bootstrap::Join {
            url: self.handle.url(),
            token: self.handle.server_token(),
        };
        Self::with(tempfile::tempdir().unwrap(), |options| {
            options.name = name.to_owned();
            options.bootstrap = bootstrap;
        })
        .await
    }

    pub(crate) async fn stop(self) -> TempDir {
        self.shutdown.cancel();
        tokio::time::timeout(PATIENCE, self.run)
            .await
            .unwrap()
            .unwrap()
            .unwrap();
        self.dir
    }

    /// A client with the kubeconfig the server wrote.
    pub(crate) async fn admin(&self) -> kube::Client {
        let kubeconfig = Kubeconfig::read_from(self.handle.kubeconfig_path()).unwrap();
        self.client(kubeconfig).await
    }

    pub(crate) async fn client(&self, kubeconfig: Kubeconfig) -> kube::Client {
        let options = KubeConfigOptions::default();
        let mut config = kube::Config::from_custom_kubeconfig(kubeconfig, &options)
            .await
            .unwrap();
        // A refusal is to be seen, not to be tried again.
        config.default_retry = false;
        kube::Client::try_from(config).unwrap()
    }

    /// A client with a certificate for this subject.
    pub(crate) async fn as_subject(&self, subject: &apiserver::pki::Subject) -> kube::Client {
        let pair = self.authority().issue(subject, &[], now_s()).unwrap();
        self.with_pair(&pair).await
    }

    /// A client that shows this certificate.
    pub(crate) async fn with_pair(&self, pair: &Pair) -> kube::Client {
        let text = apiserver::pki::kubeconfig(&self.authority(), pair, &self.handle.url());
        self.client(Kubeconfig::from_yaml(&text).unwrap()).await
    }

    /// A client that trusts the server and has no credentials.
    pub(crate) async fn stranger(&self) -> kube::Client {
        let mut kubeconfig = Kubeconfig::read_from(self.handle.kubeconfig_path()).unwrap();
        for user in &mut kubeconfig.auth_infos {
            user.auth_info = Some(kube::config::AuthInfo::default());
        }
        self.client(kubeconfig).await
    }

    pub(crate) fn authority(&self) -> Authority {
        Authority::load(&self.dir.path().join("data/pki"))
            .unwrap()
            .unwrap()
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "certificates of a test begin now"
)]
pub(crate) fn now_s() -> u64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs()
}

pub(crate) fn framework() -> Value {
    json!({
        "apiVersion": "stoa.dev/v1", "kind": "Framework", "metadata": {"name": "f"},
        "spec": {"pool": "default"},
    })
}

pub(crate) fn task(name: &str) -> Value {
    json!({
        "apiVersion": "stoa.dev/v1", "kind": "Task", "metadata": {"name": name, "labels": {"app": "demo"}},
        "spec": {"framework": "f", "command": ["true"], "resources": {"cpus": "100m", "mem": "16Mi"}},
    })
}

/// Sends a raw request and answers with status and body.
pub(crate) async fn raw(
    client: &kube::Client,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<Vec<u8>>,
) -> (u16, Value) {
    use http_body_util::BodyExt;
    let mut request = http::Request::builder().method(method).uri(path);
    for (key, value) in headers {
        request = request.header(*key, *value);
    }
    let request = request.body(kube::client::Body::from(body.into())).unwrap();
    let response = client.send(request).await.unwrap();
    let code = response.status().as_u16();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    (
        code,
        serde_json::from_slice(&bytes).unwrap_or(Value::String(text)),
    )
}
