//! A task's log, fetched from its agent and passed on as it comes.

use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::{Request, Uri};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_rustls::{FixedServerNameResolver, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::{self, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use serde_json::Value;

use super::context::Context;
use super::join::AGENT_NAME;
use super::resources::Asked;
use super::{ambient, answer};
use crate::call::{Annotations, Body as CallBody, Call, Reply, Verb};
use crate::params::Params;
use crate::status::Failure;
use crate::user::User;

/// An agent's error text is passed on up to this length.
const ERROR_BYTES: usize = 4096;

/// What the agent understands; the rest is not passed on.
const PASSED: [&str; 4] = ["follow", "tailLines", "limitBytes", "stream"];

/// Dials agents with the server's certificate; every agent answers to the same name.
#[derive(Clone, Debug)]
pub(crate) struct Client(legacy::Client<HttpsConnector<HttpConnector>, Empty<Bytes>>);

impl Client {
    pub(crate) fn new(tls: ClientConfig) -> Self {
        let name = ServerName::try_from(AGENT_NAME).expect("a constant DNS name is valid");
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_connect_timeout(Some(std::time::Duration::from_secs(5)));
        tcp.set_keepalive(Some(std::time::Duration::from_secs(30)));
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_only()
            .with_server_name_resolver(FixedServerNameResolver::new(name))
            .enable_http1()
            .wrap_connector(tcp);
        Self(legacy::Client::builder(TokioExecutor::new()).build(connector))
    }
}

pub(crate) async fn answer(context: &Arc<Context>, asked: Asked) -> Result<Response, Failure> {
    let task = get(context, &asked, "tasks", asked.place.name.as_deref()).await?;
    let name = asked.place.name.as_deref().unwrap_or_default();
    let Some(agent) = text(&task, "/status/agent").or_else(|| text(&task, "/spec/agent")) else {
        let state = text(&task, "/status/state").unwrap_or("Pending");
        return Err(Failure::bad_request(format!(
            "task \"{name}\" is waiting to start: {state}"
        )));
    };
    let machine = get(context, &asked, "agents", Some(agent)).await?;
    let address = text(&machine, "/status/address").ok_or_else(|| {
        Failure::unavailable(format!("agent \"{agent}\" has not said where it answers"))
    })?;
    let uri = uri(address, &task, &asked.params)?;
    let unreachable = |error: &dyn std::fmt::Display| {
        Failure::unavailable(format!(
            "agent \"{agent}\" does not answer at {address}: {error}"
        ))
    };
    let request = Request::get(uri)
        .body(Empty::new())
        .map_err(Failure::internal)?;
    // An agent that is stopped still has its connections accepted, and would hold this one.
    let answered = tokio::time::timeout(context.limits.request, context.agents.0.request(request));
    let answered = answered.await.map_err(|late| unreachable(&late))?;
    let response = answered.map_err(|error| {
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        unreachable(&cause.unwrap_or_else(|| error.to_string()))
    })?;
    let (head, body) = response.into_parts();
    if head.status.is_success() {
        let care = context.warden.care(asked.warrant);
        let guarded = care.over(body, |_| Bytes::new());
        return Ok(answer::text(200, Body::new(guarded)));
    }
    let text = Limited::new(body, ERROR_BYTES).collect().await;
    let text = text.map(|all| String::from_utf8_lossy(&all.to_bytes()).trim().to_owned());
    Err(agents_refusal(
        head.status.as_u16(),
        name,
        &text.unwrap_or_default(),
    ))
}

fn agents_refusal(code: u16, task: &str, text: &str) -> Failure {
    match code {
        400 => Failure::bad_request(text),
        404 => Failure::not_found(&crate::status::Gr::new("stoa.dev", "tasks/log"), task),
        _ => Failure::unavailable(format!("the agent refuses the log ({code}): {text}")),
    }
}

/// `https://ADDRESS/v1/tasks/UID/ATTEMPT/log?...`
fn uri(address: &str, task: &Value, params: &Params) -> Result<Uri, Failure> {
    let uid = text(task, "/metadata/uid").unwrap_or_default();
    let current = task
        .pointer("/status/attempt")
        .and_then(Value::as_u64)
        .unwrap_or(0);
    let attempt = match params.other("attempt") {
        None | Some("") => current,
        Some(word) => word.parse().map_err(|_digits| {
            Failure::bad_request(format!("attempt: {word:?} is not a number of a run"))
        })?,
    };
    let passed = PASSED
        .into_iter()
        .filter_map(|key| Some((key, params.other(key)?)));
    let plain = |value: &str| value.bytes().all(|b| b.is_ascii_alphanumeric());
    let mut query = String::new();
    for (key, value) in passed {
        if !plain(value) {
            return Err(Failure::bad_request(format!(
                "{key}: {value:?} is not understood"
            )));
        }
        query += &format!("&{key}={value}");
    }
    let query = query.trim_start_matches('&');
    format!("https://{address}/v1/tasks/{uid}/{attempt}/log?{query}")
        .parse()
        .map_err(|error| Failure::internal(format!("agent address {address:?}: {error}")))
}

fn text<'a>(object: &'a Value, path: &str) -> Option<&'a str> {
    object
        .pointer(path)
        .and_then(Value::as_str)
        .filter(|text| !text.is_empty())
}

/// Reads an object as the cluster itself: the caller was allowed the log, which takes both.
async fn get(
    context: &Context,
    asked: &Asked,
    plural: &str,
    name: Option<&str>,
) -> Result<Value, Failure> {
    let registry = context.engine.registry();
    let resource = registry
        .lookup(&asked.place.group, &asked.place.version, plural)
        .ok_or_else(Failure::no_such_resource)?;
    let namespace = asked
        .place
        .namespace
        .clone()
        .filter(|_| resource.namespaced);
    let call = Call {
        verb: Verb::Get,
        resource,
        namespace,
        name: name.map(str::to_owned),
        subresource: None,
        params: Params::default(),
        user: User::controllers(),
        body: CallBody::default(),
        now: ambient::now(),
        seed: ambient::seed(),
        annotations: Annotations::default(),
    };
    match context.engine.call(call).await? {
        Reply::Object { object, .. } => Ok(object.to_value()),
        Reply::List(_) | Reply::Status { .. } | Reply::Encoded { .. } => {
            Err(Failure::internal("a get did not answer with an object"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn urls() {
        let task = json!({"metadata": {"uid": "u1"}, "status": {"attempt": 2}});
        for (query, expected) in [
            ("", Ok("https://h:1/v1/tasks/u1/2/log?")),
            (
                "follow=true&tailLines=5&x=y",
                Ok("https://h:1/v1/tasks/u1/2/log?follow=true&tailLines=5"),
            ),
            (
                "attempt=0&stream=Stdout",
                Ok("https://h:1/v1/tasks/u1/0/log?stream=Stdout"),
            ),
            ("attempt=-1", Err(400)),
            ("stream=a%26b", Err(400)),
        ] {
            let found = uri("h:1", &task, &Params::parse(query).unwrap());
            let found = found
                .map(|uri| uri.to_string())
                .map_err(|failure| failure.code());
            assert_eq!(found, expected.map(String::from), "{query}");
        }
    }
}
