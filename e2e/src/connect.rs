//! Clients of one server, and requests by hand where the typed client would not let us be wrong.

use std::path::Path;
use std::time::Duration;

use http::{Request, StatusCode};
use http_body_util::BodyExt;
use kube::Client;
use kube::client::Body;
use kube::config::{Config, KubeConfigOptions, Kubeconfig};
use serde_json::Value;

use crate::{Fault, Outcome};

/// Loopback answers at once or not at all.
const CONNECT_MAX: Duration = Duration::from_secs(3);

/// A client as this kubeconfig describes it. It never retries by itself: the proofs want to see.
///
/// # Errors
/// When the file is not there or not usable.
pub async fn from_kubeconfig(path: &Path) -> Outcome<Client> {
    let kubeconfig = Kubeconfig::read_from(path)
        .map_err(|e| Fault::from(e).while_doing(&format!("reading {}", path.display())))?;
    from_parsed(kubeconfig).await
}

/// A client with the identity of these files in place of the administrator's.
///
/// # Errors
/// When the files are not there or not usable.
pub async fn with_identity(kubeconfig: &Path, certificate: &Path, key: &Path) -> Outcome<Client> {
    let mut kubeconfig = Kubeconfig::read_from(kubeconfig)?;
    for user in &mut kubeconfig.auth_infos {
        if let Some(info) = &mut user.auth_info {
            info.client_certificate_data = None;
            info.client_key_data = None;
            info.client_certificate = Some(certificate.display().to_string());
            info.client_key = Some(key.display().to_string());
        }
    }
    from_parsed(kubeconfig).await
}

/// A client without any identity.
///
/// # Errors
/// When the kubeconfig is not usable.
pub async fn stranger(kubeconfig: &Path) -> Outcome<Client> {
    let mut kubeconfig = Kubeconfig::read_from(kubeconfig)?;
    for user in &mut kubeconfig.auth_infos {
        user.auth_info = Some(kube::config::AuthInfo::default());
    }
    from_parsed(kubeconfig).await
}

async fn from_parsed(kubeconfig: Kubeconfig) -> Outcome<Client> {
    let options = KubeConfigOptions::default();
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &options).await?;
    config.connect_timeout = Some(CONNECT_MAX);
    config.default_retry = false;
    Ok(Client::try_from(config)?)
}

/// An answer, whatever it is.
#[derive(Clone, Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: StatusCode,
    /// Texts of `Warning` headers.
    pub warnings: Vec<String>,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as JSON; null when it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Sends any request.
///
/// # Errors
/// When there is no answer.
pub async fn send(client: &Client, request: Request<Vec<u8>>) -> Outcome<Answer> {
    let response = client.send(request.map(Body::from)).await?;
    let (parts, body) = response.into_parts();
    let warnings = parts.headers.get_all(http::header::WARNING).iter();
    Ok(Answer {
        status: parts.status,
        warnings: warnings
            .map(|w| String::from_utf8_lossy(w.as_bytes()).into_owned())
            .collect(),
        body: body.collect().await?.to_bytes().to_vec(),
    })
}

/// Sends a body of some media type.
///
/// # Errors
/// When there is no answer.
pub async fn write(
    client: &Client,
    method: &str,
    path: &str,
    media: &str,
    body: impl Into<Vec<u8>>,
) -> Outcome<Answer> {
    let request = Request::builder().method(method).uri(path);
    send(
        client,
        request
            .header(http::header::CONTENT_TYPE, media)
            .body(body.into())?,
    )
    .await
}

/// GET, whatever the answer.
///
/// # Errors
/// When there is no answer.
pub async fn get(client: &Client, path: &str) -> Outcome<Answer> {
    send(client, Request::get(path).body(Vec::new())?).await
}

/// The text of a good answer to a GET.
///
/// # Errors
/// When there is none, or it is not good.
pub async fn get_text(client: &Client, path: &str) -> Outcome<String> {
    let answer = get(client, path).await?;
    if answer.status.is_success() {
        Ok(answer.text())
    } else {
        Err(Fault::new(format!(
            "GET {path}: {} {}",
            answer.status,
            answer.text()
        )))
    }
}

/// The JSON of a good answer to a GET.
///
/// # Errors
/// When there is none, or it is not good.
pub async fn get_json(client: &Client, path: &str) -> Outcome<Value> {
    Ok(serde_json::from_str(&get_text(client, path).await?)?)
}
