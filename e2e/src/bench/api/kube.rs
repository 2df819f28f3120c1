//! kube-apiserver and the etcd it keeps everything in, to be measured beside us in the same run.
//!
//! Its flags are those the figures in `line.rs` were measured with, except that clients show a
//! certificate instead of a token: RBAC and TLS, no priority-and-fairness, room for many requests.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use apiserver::pki::{Authority, Subject};
use http::StatusCode;

use super::wire::{self, Ask, Dialer};
use crate::peer::Etcd;
use crate::process::{Process, Recipe};
use crate::{Outcome, command, machine, wait};

/// Longest it may take to start: it first writes its own objects.
const READY_MAX: Duration = Duration::from_secs(120);

/// What is run.
#[derive(Clone, Debug)]
pub struct Programs {
    /// kube-apiserver.
    pub apiserver: PathBuf,
    /// etcd.
    pub etcd: PathBuf,
}

/// A running server and its members of etcd. They end with it.
pub(super) struct Kube {
    server: Process,
    etcd: Etcd,
    address: String,
    _folder: tempfile::TempDir,
}

impl Programs {
    /// What they say of their versions.
    ///
    /// # Errors
    /// One of them cannot be run.
    pub async fn versions(&self) -> Outcome<String> {
        let folder = std::env::temp_dir();
        let said = command::run(&self.apiserver, &["--version"], &[], &folder, "").await?;
        let etcd = crate::peer::version(&self.etcd).await?;
        Ok(format!("kube-apiserver {}, {etcd}", said.ok()?.trim()))
    }
}

impl Kube {
    /// Starts one server on so many members, with all data below `root`, and waits until it is ready.
    ///
    /// Returned with the dialer of an administrator.
    pub(super) async fn start(
        programs: &Programs,
        members: usize,
        root: &Path,
    ) -> Outcome<(Self, Dialer)> {
        let folder = tempfile::tempdir_in(root)?;
        let etcd = Etcd::start(&programs.etcd, members, folder.path()).await?;
        let now_s = wire::now_s()?;
        let authority = Authority::create(now_s)?;
        authority.save(folder.path())?;
        let subject = Subject::Server("kube".to_owned());
        let pair = authority.issue(&subject, &["127.0.0.1".to_owned()], now_s)?;
        pair.save(folder.path(), "server")?;
        let port = machine::free_port()?;
        let mut server = Process::start(Recipe {
            program: programs.apiserver.clone(),
            args: arguments(folder.path(), port, etcd.addrs()),
            log: folder.path().join("kube-apiserver.log"),
        })?;
        let address = format!("127.0.0.1:{port}");
        let dialer = Dialer::signed(&authority, &Subject::Admin, now_s)?;
        wait::until("kube-apiserver to be ready", READY_MAX, async || {
            server.ensure_alive()?;
            let lane = dialer.dial(&address).await?;
            lane.call(Ask::get("/readyz".to_owned()), StatusCode::OK)
                .await
        })
        .await?;
        let kube = Self {
            server,
            etcd,
            address,
            _folder: folder,
        };
        Ok((kube, dialer))
    }

    /// Where clients find it, `host:port`.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// The server's process and those of etcd.
    pub(super) fn pids(&self) -> Vec<u32> {
        let mut pids = self.etcd.pids();
        pids.extend(self.server.pid());
        pids
    }

    /// An error when it has ended by itself.
    pub(super) fn ensure_alive(&mut self) -> Outcome<()> {
        self.server.ensure_alive()
    }

    pub(super) async fn stop(mut self) -> Outcome<()> {
        // It waits a minute for watches to end, and there is nothing to keep.
        self.server.kill().await?;
        self.etcd.stop().await
    }
}

fn arguments(folder: &Path, port: u16, etcd: &[SocketAddr]) -> Vec<OsString> {
    let members: Vec<_> = etcd.iter().map(|addr| format!("http://{addr}")).collect();
    let words = [
        ("--bind-address", "127.0.0.1".to_owned()),
        ("--secure-port", port.to_string()),
        ("--etcd-servers", members.join(",")),
        ("--authorization-mode", "RBAC".to_owned()),
        ("--enable-priority-and-fairness", "false".to_owned()),
        ("--max-requests-inflight", "4000".to_owned()),
        ("--max-mutating-requests-inflight", "2000".to_owned()),
        (
            "--disable-admission-plugins",
            "ServiceAccount,TaintNodesByCondition".to_owned(),
        ),
        ("--service-account-issuer", "https://localhost".to_owned()),
        ("--service-cluster-ip-range", "10.96.0.0/16".to_owned()),
        ("--endpoint-reconciler-type", "none".to_owned()),
    ];
    let files = [
        ("--client-ca-file", "ca.crt"),
        ("--tls-cert-file", "server.crt"),
        ("--tls-private-key-file", "server.key"),
        // Any key would do: there are no service accounts.
        ("--service-account-key-file", "server.crt"),
        ("--service-account-signing-key-file", "server.key"),
    ];
    let words = words.map(|(flag, value)| (flag, OsString::from(value)));
    let files = files.map(|(flag, file)| (flag, folder.join(file).into_os_string()));
    let whole = |(flag, value): (&str, OsString)| {
        let mut whole = OsString::from(flag);
        whole.push("=");
        whole.push(value);
        whole
    };
    words.into_iter().chain(files).map(whole).collect()
}
