//! The kubeconfig through which kubectl and every Kubernetes client reach the cluster.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::{Authority, Pair};

/// A kubeconfig (YAML) that carries all it needs, so that the file can be copied elsewhere.
#[must_use]
pub fn kubeconfig(authority: &Authority, admin: &Pair, url: &str) -> String {
    let ca = STANDARD.encode(authority.certificate_pem());
    let certificate = STANDARD.encode(&admin.certificate);
    let key = STANDARD.encode(&admin.key);
    format!(
        "apiVersion: v1
kind: Config
current-context: stoa
clusters:
- name: stoa
  cluster:
    server: {url}
    certificate-authority-data: {ca}
users:
- name: admin
  user:
    client-certificate-data: {certificate}
    client-key-data: {key}
contexts:
- name: stoa
  context:
    cluster: stoa
    user: admin
    namespace: default
"
    )
}
