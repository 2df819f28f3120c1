//! Finds the cluster a command speaks to: kubeconfig files in order, and the flags that override.

use std::path::{Path, PathBuf};

use clap::Args;
use kube::config::{KubeConfigOptions, Kubeconfig};

use crate::cluster::Cluster;
use crate::exit::{Failure, Outcome};

/// Where the cluster is and on whose behalf to speak.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Connection")]
pub(crate) struct Connect {
    /// Kubeconfig file [default: $STOA_KUBECONFIG, $KUBECONFIG, ./stoa-data/kubeconfig, ~/.kube/config]
    #[arg(long, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig
    #[arg(long, value_name = "NAME")]
    pub(crate) context: Option<String>,
    /// API server, in place of the kubeconfig's
    #[arg(short, long, value_name = "URL")]
    pub(crate) server: Option<String>,
    /// Namespace [default: the context's, or `default`]
    #[arg(short, long, value_name = "NAME")]
    pub(crate) namespace: Option<String>,
    /// Act as this user, as far as one may
    #[arg(long = "as", value_name = "USER")]
    pub(crate) acting: Option<String>,
    /// And as a member of this group; may be repeated
    #[arg(long = "as-group", value_name = "GROUP", requires = "acting")]
    pub(crate) acting_groups: Vec<String>,
}

impl Connect {
    /// Flags given to the command itself win over those given before it.
    pub(crate) fn or(self, outer: &Self) -> Self {
        Self {
            kubeconfig: self.kubeconfig.or_else(|| outer.kubeconfig.clone()),
            context: self.context.or_else(|| outer.context.clone()),
            server: self.server.or_else(|| outer.server.clone()),
            namespace: self.namespace.or_else(|| outer.namespace.clone()),
            acting_groups: if self.acting.is_some() {
                self.acting_groups
            } else {
                outer.acting_groups.clone()
            },
            acting: self.acting.or_else(|| outer.acting.clone()),
        }
    }

    /// Reads the kubeconfig and builds a client. Nothing is sent yet.
    pub(crate) async fn cluster(&self) -> Outcome<Cluster> {
        let (origin, kubeconfig) = self.kubeconfig()?;
        let options = KubeConfigOptions {
            context: self.context.clone(),
            ..Default::default()
        };
        let unusable = || Failure::new(format!("the kubeconfig {origin} cannot be used"));
        let mut config = kube::Config::from_custom_kubeconfig(kubeconfig, &options)
            .await
            .map_err(|e| unusable().because(e))?;
        if let Some(server) = &self.server {
            config.cluster_url = server
                .parse()
                .map_err(|e| Failure::usage(format!("--server {server} is no URL")).because(e))?;
        }
        if let Some(namespace) = &self.namespace {
            config.default_namespace.clone_from(namespace);
        }
        if self.acting.is_some() {
            config.auth_info.impersonate.clone_from(&self.acting);
            config.auth_info.impersonate_groups = Some(self.acting_groups.clone());
        }
        Cluster::new(config, origin)
    }

    fn kubeconfig(&self) -> Outcome<(String, Kubeconfig)> {
        if let Some(file) = &self.kubeconfig {
            return read(file);
        }
        if let Some(file) = std::env::var_os("STOA_KUBECONFIG").filter(|f| !f.is_empty()) {
            return read(Path::new(&file));
        }
        let from_environment = Kubeconfig::from_env()
            .map_err(|e| Failure::new("the files of $KUBECONFIG cannot be read").because(e))?;
        if let Some(kubeconfig) = from_environment {
            return Ok(("$KUBECONFIG".to_owned(), kubeconfig));
        }
        let home = std::env::home_dir().map(|home| home.join(".kube/config"));
        let usual = std::iter::once(PathBuf::from(crate::up::DATA_DIR).join("kubeconfig"));
        let found = usual.chain(home).find(|file| file.is_file());
        found.map_or_else(|| Err(nowhere()), |file| read(&file))
    }
}

fn read(file: &Path) -> Outcome<(String, Kubeconfig)> {
    let origin = file.display().to_string();
    let kubeconfig = Kubeconfig::read_from(file)
        .map_err(|e| Failure::new(format!("the kubeconfig {origin} cannot be read")).because(e))?;
    Ok((origin, kubeconfig))
}

fn nowhere() -> Failure {
    Failure::new("no cluster is known: there is no kubeconfig").hint(
        "start a cluster here with `stoa up`, or name one with --kubeconfig FILE or $STOA_KUBECONFIG",
    )
}
