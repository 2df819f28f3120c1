//! One connection to the API: requests in, JSON or a plain account of what went wrong out.

use std::time::Duration;

use bytes::Bytes;
use futures::{AsyncBufReadExt, StreamExt, TryStreamExt};
use http::{Method, Request, Response};
use http_body_util::BodyExt;
use kube::client::Body;
use serde_json::Value;

use crate::exit::{Code, Failure, Outcome};

/// Media type of a server-side table, with plain JSON for servers or kinds that have none.
pub(crate) const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";

const JSON: &str = "application/json";

/// Longest time to establish a connection: a dead address is told in seconds, not minutes.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// A cluster, as one user in one namespace.
#[derive(Clone, Debug)]
pub(crate) struct Cluster {
    client: Client,
    /// Namespace of namespaced objects unless said otherwise.
    pub(crate) namespace: String,
    server: String,
    origin: String,
}

/// `kube::Client` without a Debug of its own.
#[derive(Clone)]
struct Client(kube::Client);

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("kube::Client")
    }
}

/// One request.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    method: Method,
    path: String,
    accept: &'static str,
    body: Option<(&'static str, Vec<u8>)>,
}

impl Ask {
    /// GET of a path with its query.
    pub(crate) fn get(path: impl Into<String>) -> Self {
        Self {
            method: Method::GET,
            path: path.into(),
            accept: JSON,
            body: None,
        }
    }

    /// POST of a JSON document.
    pub(crate) fn post(path: impl Into<String>, body: &Value) -> Self {
        Self::with_body(Method::POST, path, JSON, body)
    }

    /// PUT of a JSON document.
    pub(crate) fn put(path: impl Into<String>, body: &Value) -> Self {
        Self::with_body(Method::PUT, path, JSON, body)
    }

    /// DELETE with DeleteOptions.
    pub(crate) fn delete(path: impl Into<String>, body: &Value) -> Self {
        Self::with_body(Method::DELETE, path, JSON, body)
    }

    /// PATCH; `media` says of which type.
    pub(crate) fn patch(path: impl Into<String>, media: &'static str, body: &Value) -> Self {
        Self::with_body(Method::PATCH, path, media, body)
    }

    fn with_body(
        method: Method,
        path: impl Into<String>,
        media: &'static str,
        body: &Value,
    ) -> Self {
        let body = Some((media, body.to_string().into_bytes()));
        Self {
            method,
            path: path.into(),
            accept: JSON,
            body,
        }
    }

    /// Asks for another form of the answer.
    pub(crate) const fn accept(mut self, accept: &'static str) -> Self {
        self.accept = accept;
        self
    }
}

/// A good answer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answer {
    /// The body; null when it was empty.
    pub(crate) value: Value,
    /// Texts of `Warning` headers.
    pub(crate) warnings: Vec<String>,
}

/// Why there is no good answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    /// The server said no.
    #[error("{0}")]
    Status(Box<Denial>),
    /// The server was not reached, or the connection broke: the outcome of a write is unknown.
    #[error("the API server did not answer")]
    Unreached(#[source] Box<kube::Error>),
}

/// A Kubernetes `Status` of a failed request.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Denial {
    /// HTTP code.
    pub(crate) code: u16,
    /// CamelCase reason.
    pub(crate) reason: String,
    /// What the server says.
    pub(crate) message: String,
}

impl Refused {
    /// True when the object does not exist.
    pub(crate) fn is_not_found(&self) -> bool {
        matches!(self, Self::Status(denial) if denial.code == 404)
    }

    /// True when the object exists already.
    pub(crate) fn is_already_exists(&self) -> bool {
        matches!(self, Self::Status(denial) if denial.reason == "AlreadyExists")
    }

    /// True when another write came first.
    pub(crate) fn is_conflict(&self) -> bool {
        matches!(self, Self::Status(denial) if denial.code == 409 && denial.reason != "AlreadyExists")
    }

    /// True when the server, or the group behind it, cannot answer for the moment.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            Self::Unreached(_) => true,
            Self::Status(denial) => matches!(denial.code, 429 | 500 | 502..=504),
        }
    }
}

/// Events of a watch, each one line of JSON.
pub(crate) type Events = futures::stream::BoxStream<'static, Result<Value, std::io::Error>>;

impl Cluster {
    /// A connection as `config` describes it; `origin` names the file it came from.
    pub(crate) fn new(mut config: kube::Config, origin: String) -> Outcome<Self> {
        config.connect_timeout = Some(CONNECT_LIMIT);
        // A command answers at once; who wants to wait says so with --wait.
        config.default_retry = false;
        let namespace = config.default_namespace.clone();
        let server = config.cluster_url.to_string();
        let client = kube::Client::try_from(config).map_err(|e| {
            Failure::new(format!("the credentials of {origin} cannot be used")).because(e)
        })?;
        Ok(Self {
            client: Client(client),
            namespace,
            server,
            origin,
        })
    }

    /// Sends a request and reads the whole answer.
    pub(crate) async fn send(&self, ask: Ask) -> Result<Answer, Refused> {
        let response = self.open(ask).await?;
        let warnings = warnings(&response);
        let bytes = body(response).await?;
        let value = match serde_json::from_slice(&bytes) {
            Ok(value) => value,
            Err(_) if bytes.is_empty() => Value::Null,
            Err(_) => Value::String(String::from_utf8_lossy(&bytes).into_owned()),
        };
        Ok(Answer { value, warnings })
    }

    /// Sends a request whose answer is only of interest when it is good.
    pub(crate) async fn fetch(&self, ask: Ask) -> Outcome<Value> {
        self.send(ask)
            .await
            .map(|answer| answer.value)
            .map_err(|e| self.explain(e))
    }

    /// The object at `path`, or none.
    pub(crate) async fn find(&self, path: &str) -> Outcome<Option<Value>> {
        match self.send(Ask::get(path)).await {
            Ok(answer) => Ok(Some(answer.value)),
            Err(e) if e.is_not_found() => Ok(None),
            Err(e) => Err(self.explain(e)),
        }
    }

    /// Opens a watch; `path` carries its query.
    pub(crate) async fn watch(&self, path: &str, accept: &'static str) -> Result<Events, Refused> {
        let response = self.open(Ask::get(path).accept(accept)).await?;
        let bytes = response
            .into_body()
            .into_data_stream()
            .map_err(std::io::Error::other);
        let lines = bytes.into_async_read().lines();
        let events = lines.map(|line| serde_json::from_str(&line?).map_err(std::io::Error::other));
        Ok(events.boxed())
    }

    /// Opens an answer that is read as it comes.
    pub(crate) async fn stream(
        &self,
        path: &str,
    ) -> Result<futures::stream::BoxStream<'static, Result<Bytes, std::io::Error>>, Refused> {
        let response = self.open(Ask::get(path).accept("*/*")).await?;
        Ok(response
            .into_body()
            .into_data_stream()
            .map_err(std::io::Error::other)
            .boxed())
    }

    async fn open(&self, ask: Ask) -> Result<Response<Body>, Refused> {
        let response = self.client.0.send(request(ask)?).await.map_err(unreached)?;
        if response.status().is_success() {
            return Ok(response);
        }
        let code = response.status().as_u16();
        let bytes = body(response).await?;
        Err(Refused::Status(Box::new(denial(code, &bytes))))
    }

    /// Turns a refusal into what the user reads.
    pub(crate) fn explain(&self, refused: Refused) -> Failure {
        match refused {
            Refused::Status(denial) => explain_denial(&denial),
            Refused::Unreached(cause) => {
                Failure::new(format!("the API server at {} did not answer", self.server))
                    .because(*cause)
                    .hint(format!(
                        "is the cluster running? `stoa up` starts one; the address comes from {}",
                        self.origin
                    ))
            }
        }
    }
}

fn explain_denial(denial: &Denial) -> Failure {
    let failure = Failure::new(format!("{} ({})", denial.message, denial.reason));
    match denial.code {
        401 => failure.hint("the kubeconfig's credentials are not of this cluster; use the kubeconfig that the cluster wrote"),
        404 => failure.with_code(Code::NotFound),
        409 if denial.message.starts_with("Apply failed with ") => failure.hint(
            "leave those fields out, set them as they are, or take them with --force-conflicts",
        ),
        409 if denial.reason == "Conflict" => failure.hint("the object changed meanwhile; read it again and repeat"),
        503 => failure.hint("the servers have no leader for the moment; try again, or look at `stoa member list`"),
        _ => failure,
    }
}

/// For the audit log, and for `managedFields` where no command is named.
const AGENT: &str = concat!("stoa/", env!("CARGO_PKG_VERSION"));

fn request(ask: Ask) -> Result<Request<Body>, Refused> {
    let (media, bytes) = ask.body.unwrap_or((JSON, Vec::new()));
    Request::builder()
        .method(ask.method)
        .uri(ask.path)
        .header(http::header::USER_AGENT, AGENT)
        .header(http::header::ACCEPT, ask.accept)
        .header(http::header::CONTENT_TYPE, media)
        .body(Body::from(bytes))
        .map_err(|e| unreached(kube::Error::HttpError(e)))
}

fn unreached(error: kube::Error) -> Refused {
    Refused::Unreached(Box::new(error))
}

async fn body(response: Response<Body>) -> Result<Bytes, Refused> {
    let collected = response.into_body().collect().await;
    collected
        .map(http_body_util::Collected::to_bytes)
        .map_err(unreached)
}

fn denial(code: u16, bytes: &[u8]) -> Denial {
    let status: Value = serde_json::from_slice(bytes).unwrap_or_default();
    let text = |key: &str| status[key].as_str().map(str::to_owned);
    let fallback = || String::from_utf8_lossy(bytes).trim().to_owned();
    Denial {
        code,
        reason: text("reason").unwrap_or_else(|| format!("HTTP {code}")),
        message: text("message").unwrap_or_else(fallback),
    }
}

/// `299 - "text"` becomes `text`.
fn warnings(response: &Response<Body>) -> Vec<String> {
    let headers = response.headers().get_all(http::header::WARNING).iter();
    let texts = headers.filter_map(|value| value.to_str().ok());
    texts
        .map(|text| {
            let quoted = text.split_once('"').map_or(text, |(_, rest)| rest);
            quoted.trim_end_matches('"').replace("\\\"", "\"")
        })
        .collect()
}

/// Appends query parameters to a path, percent-encoding the values.
pub(crate) fn query(path: &str, pairs: &[(&str, &str)]) -> String {
    let mut out = path.to_owned();
    for (key, value) in pairs {
        out.push(if out.contains('?') { '&' } else { '?' });
        out.push_str(key);
        out.push('=');
        for byte in value.bytes() {
            if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
                out.push(char::from(byte));
            } else {
                out.push_str(&format!("%{byte:02X}"));
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_encoded() {
        assert_eq!(query("/a", &[]), "/a");
        assert_eq!(
            query("/a", &[("x", "1,2"), ("y", "a=b")]),
            "/a?x=1%2C2&y=a%3Db"
        );
        assert_eq!(query("/a?z=1", &[("x", "é")]), "/a?z=1&x=%C3%A9");
    }

    #[test]
    fn a_denial_is_read_from_a_status_or_from_plain_text() {
        let status = br#"{"kind":"Status","code":404,"reason":"NotFound","message":"tasks \"x\" not found"}"#;
        assert_eq!(denial(404, status).to_string(), "tasks \"x\" not found");
        assert_eq!(
            denial(404, b"404 page not found\n").to_string(),
            "404 page not found"
        );
    }
}
