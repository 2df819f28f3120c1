//! Asking webhooks: reviews over HTTPS, over connections that are kept.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::{self, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde_json::Value;
use tokio::sync::Semaphore;

use super::ambient;
use crate::admission::review;
use crate::admission::rulings::{Key, Question, Ruling};
use crate::conversion;
use crate::status::Failure;

/// Calls at once on one replica; further ones wait, within their own time.
const CALLS: usize = 256;

/// Largest answer: a patch may replace a whole object, in base64.
const ANSWER_BYTES: usize = 8 << 20;

/// Clients kept, one for each set of roots that are trusted.
const CLIENTS: usize = 64;

/// Where systems keep the roots that everybody trusts.
const SYSTEM_ROOTS: [&str; 3] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
];

type Client = legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// Asks webhooks. Cloning is cheap.
#[derive(Clone, Debug)]
pub(crate) struct Caller(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    slots: Semaphore,
    clients: Mutex<BTreeMap<Vec<u8>, Client>>,
}

impl Default for Caller {
    fn default() -> Self {
        Self(Arc::new(Inner {
            slots: Semaphore::new(CALLS),
            clients: Mutex::default(),
        }))
    }
}

impl Caller {
    /// Asks everything at once, and waits for all answers; each has its own time.
    pub(crate) async fn ask(&self, questions: Vec<Question>) -> Vec<(Key, Ruling)> {
        let calls = questions.into_iter().map(|question| async move {
            let ruling = self.rule(&question).await;
            (question.key, ruling)
        });
        futures::future::join_all(calls).await
    }

    async fn rule(&self, question: &Question) -> Ruling {
        let hook = &question.hook;
        match self.call(question).await {
            Ok(verdict) => Ruling::Answered(verdict),
            Err(reason) => {
                tracing::warn!(
                    configuration = hook.configuration, webhook = hook.name, fails_open = hook.fails_open,
                    %reason, "a webhook was of no use"
                );
                Ruling::Failed(reason)
            }
        }
    }

    async fn call(&self, question: &Question) -> Result<review::Verdict, String> {
        let hook = &question.hook;
        let uid = uid();
        let server = Server {
            url: &hook.url,
            ca_bundle: &hook.ca_bundle,
            timeout_s: hook.timeout_s,
        };
        let asked = review::review(&question.request, &uid);
        let answer = self.post(server, &asked).await;
        let body = answer.map_err(|problem| format!("failed to call webhook: {problem}"))?;
        review::read(&body, &uid, question.mutating)
            .map_err(|problem| format!("received invalid webhook response: {problem}"))
    }

    /// Asks for objects in another version.
    ///
    /// # Errors
    /// 500: the webhook does not answer, or not as it must.
    pub(crate) async fn convert(
        &self,
        webhook: &conversion::Webhook,
        objects: &[Value],
        to: &str,
    ) -> Result<Vec<Value>, Failure> {
        let Some(first) = objects.first() else {
            return Ok(Vec::new());
        };
        let uid = uid();
        let server = Server {
            url: &webhook.url,
            ca_bundle: &webhook.ca_bundle,
            timeout_s: conversion::TIMEOUT_S,
        };
        let asked = conversion::review(objects, to, &uid);
        let answer = self.post(server, &asked).await;
        let body =
            answer.map_err(|problem| conversion::failed(first, &format!("failed: {problem}")))?;
        conversion::read(&body, &uid, objects, to)
    }

    /// The answer to a review, within its time.
    async fn post(&self, server: Server<'_>, review: &Value) -> Result<Bytes, String> {
        let url = format!("{}?timeout={}s", server.url, server.timeout_s);
        let limit = Duration::from_secs(server.timeout_s);
        let answered = tokio::time::timeout(limit, self.exchange(&url, server.ca_bundle, review));
        let answered = answered.await;
        let answered = answered.unwrap_or_else(|_late| Err("context deadline exceeded".to_owned()));
        answered.map_err(|problem| format!("Post {url:?}: {problem}"))
    }

    async fn exchange(&self, url: &str, roots: &[u8], review: &Value) -> Result<Bytes, String> {
        let slot = self.0.slots.acquire().await;
        let _slot = slot.map_err(|closed| closed.to_string())?;
        let client = self.client(roots)?;
        let request = Request::post(url)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::ACCEPT, "application/json")
            .body(Full::new(Bytes::from(review.to_string())))
            .map_err(|error| error.to_string())?;
        let response = client.request(request).await;
        let response = response.map_err(|error| chain(&error))?;
        let code = response.status();
        let body = Limited::new(response.into_body(), ANSWER_BYTES)
            .collect()
            .await;
        let body = body.map_err(|error| error.to_string())?.to_bytes();
        if !code.is_success() {
            return Err(format!("the server answered {code}"));
        }
        Ok(body)
    }

    /// The client that trusts these roots.
    fn client(&self, bundle: &[u8]) -> Result<Client, String> {
        let mut clients = self
            .0
            .clients
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(bundle) {
            return Ok(client.clone());
        }
        let client = build(bundle)?;
        if clients.len() >= CLIENTS {
            // Calls under way keep theirs.
            clients.clear();
        }
        clients.insert(bundle.to_owned(), client.clone());
        Ok(client)
    }
}

/// Whom to call, and for how long to wait.
#[derive(Clone, Copy, Debug)]
struct Server<'a> {
    url: &'a str,
    ca_bundle: &'a [u8],
    timeout_s: u64,
}

fn uid() -> String {
    let uid = uuid::Builder::from_random_bytes(ambient::seed().to_be_bytes());
    uid.into_uuid().to_string()
}

fn build(bundle: &[u8]) -> Result<Client, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots(bundle)?)
        .with_no_client_auth();
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_keepalive(Some(Duration::from_secs(30)));
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(tls)
        .https_only()
        .enable_http1()
        .enable_http2()
        .wrap_connector(tcp);
    Ok(legacy::Client::builder(TokioExecutor::new()).build(connector))
}

fn roots(bundle: &[u8]) -> Result<RootCertStore, String> {
    let system;
    let pem = if bundle.is_empty() {
        let found = SYSTEM_ROOTS
            .into_iter()
            .map(Path::new)
            .find_map(|path| std::fs::read(path).ok());
        system = found.ok_or("this machine has no certificates of authorities; set caBundle")?;
        &system
    } else {
        bundle
    };
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(CertificateDer::pem_slice_iter(pem).flatten());
    if added == 0 {
        return Err("caBundle holds no certificate that can be used".to_owned());
    }
    Ok(roots)
}

fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let links = std::iter::successors(Some(error), |error| error.source());
    links
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}
