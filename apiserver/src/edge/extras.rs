//! Verbs beside the resources: transactions, joining, heartbeats, members, logs, tokens.

use std::sync::Arc;

use axum::extract::Request;
use axum::response::Response;
use http::header;
use manifests::wire::{Heartbeat, HeartbeatAck, HeartbeatAges};
use serde::de::DeserializeOwned;
use serde_json::json;

use super::answer::Look;
use super::audit::Record;
use super::context::Context;
use super::info::Place;
use super::negotiate::{self, Answer};
use super::resources::{Asked, text};
use super::{ambient, answer, join, logs, token};
use crate::call::{Body, Media, TransactionCall};
use crate::heartbeats::Ask;
use crate::managed::author;
use crate::members;
use crate::registry::Descriptor;
use crate::status::{Failure, Gr};

/// True if the place is one of ours and not a plain resource.
pub(crate) fn serves(place: &Place) -> bool {
    let resource = (
        place.resource.as_str(),
        place.subresource.as_deref().unwrap_or_default(),
    );
    if is_token_request(place) {
        return true;
    }
    place.group == manifests::kinds::GROUP
        && place.version == manifests::kinds::VERSION
        && matches!(
            resource,
            (
                "transactions" | "join" | "heartbeats" | "members" | "datakeys",
                _
            ) | ("agents", "heartbeat")
                | ("tasks", "log")
        )
}

fn is_token_request(place: &Place) -> bool {
    let Place {
        group,
        version,
        resource,
        subresource,
        ..
    } = place;
    (&**group, &**version, &**resource) == ("", "v1", "serviceaccounts")
        && subresource.as_deref() == Some("token")
}

/// Answers it.
pub(crate) async fn answer(
    context: &Arc<Context>,
    asked: Asked,
    request: Request,
) -> Result<Response, Failure> {
    let place = &asked.place;
    if is_token_request(place) {
        return token::answer(context, asked, request).await;
    }
    // What lives in no namespace is not reached through one, whatever is allowed there.
    if place.namespace.is_some() != (place.resource == "tasks") {
        return Err(Failure::no_such_resource());
    }
    let (name, sub) = (place.name.as_deref(), place.subresource.as_deref());
    match (asked.verb, place.resource.as_str(), name, sub) {
        ("create", "transactions", None, None) => transaction(context, asked, request).await,
        ("create", "join", None, None) => join::answer(context, &asked.user, request).await,
        ("create", "agents", Some(agent), Some("heartbeat")) => beat(context, agent, request).await,
        ("list", "heartbeats", None, None) => ages(context).await,
        ("create", "datakeys", None, None) => rotate(context).await,
        ("list", "members", None, None) => {
            let all = context.store().members().await?;
            Ok(answer::value(200, &members::list(&all)))
        }
        ("create", "members", Some(name), Some(change @ ("promote" | "transfer"))) => {
            change_member(context, name, change).await
        }
        ("delete", "members", Some(name), None) => change_member(context, name, "remove").await,
        ("get", "tasks", Some(_), Some("log")) => logs::answer(context, asked).await,
        (verb, resource, _, _) => {
            let gr = Gr::new(&place.group, resource);
            Err(Failure::method_not_allowed(&gr, verb))
        }
    }
}

async fn transaction(
    context: &Context,
    asked: Asked,
    request: Request,
) -> Result<Response, Failure> {
    let accept = text(request.headers(), header::ACCEPT);
    let (encoding, shape) = negotiate::accept(accept, Answer::Plain)?;
    let media = negotiate::body_media(text(request.headers(), header::CONTENT_TYPE))?;
    let mut params = asked.params.clone();
    let agent = text(request.headers(), header::USER_AGENT);
    params.agent = author::agent(agent.unwrap_or_default());
    let limit = context.limits.transaction_bytes;
    let record = request.extensions().get::<Record>().cloned();
    let bytes = context.intake.read(request.into_body(), limit).await?;
    let annotations = record.as_ref().map(Record::annotations);
    if let Some(record) = record {
        record.sent(&bytes);
    }
    let call = TransactionCall {
        user: asked.user,
        body: Body { bytes, media },
        params,
        now: ambient::now(),
        seed: ambient::seed(),
        annotations: annotations.unwrap_or_default(),
    };
    let late = || Failure::timeout("the transaction took too long; its outcome is unknown");
    let reply = tokio::time::timeout(context.limits.request, context.engine.transaction(call))
        .await
        .map_err(|_elapsed| late())??;
    let resource = Descriptor::default();
    answer::reply(
        reply,
        Look {
            resource: &resource,
            params: &asked.params,
            encoding,
            shape,
        },
    )
}

/// The body as JSON of this type.
pub(crate) async fn json<T: DeserializeOwned>(
    context: &Context,
    request: Request,
) -> Result<T, Failure> {
    let media = negotiate::body_media(text(request.headers(), header::CONTENT_TYPE))?;
    let bytes = context
        .intake
        .read(request.into_body(), context.limits.body_bytes)
        .await?;
    if media != Media::Json {
        return Err(Failure::unsupported_media(&["application/json"]));
    }
    let wrong = |error| Failure::bad_request(format!("the body does not parse: {error}"));
    serde_json::from_slice(&bytes).map_err(wrong)
}

async fn beat(context: &Context, agent: &str, request: Request) -> Result<Response, Failure> {
    let heartbeat: Heartbeat = json(context, request).await?;
    ask_leader(
        context,
        &Ask::Beat {
            agent: agent.to_owned(),
            boot_id: heartbeat.boot_id,
        },
    )
    .await?;
    let servers = context.servers().await;
    answer::object(200, &HeartbeatAck { servers })
}

async fn ages(context: &Context) -> Result<Response, Failure> {
    let answer = ask_leader(context, &Ask::Ages).await?;
    let ages: HeartbeatAges = serde_json::from_slice(&answer).map_err(Failure::internal)?;
    answer::object(200, &ages)
}

async fn ask_leader(context: &Context, ask: &Ask) -> Result<bytes::Bytes, Failure> {
    let payload = serde_json::to_vec(ask).map_err(Failure::internal)?;
    Ok(context.store().call_leader(payload.into()).await?)
}

async fn rotate(context: &Context) -> Result<Response, Failure> {
    let rotated = context
        .engine
        .rotate_data_key(ambient::now(), ambient::seed())
        .await?;
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
        "message": format!("data key {} seals {} objects", rotated.key, rotated.objects),
        "details": {"group": "stoa.dev", "kind": "datakeys", "name": rotated.key.to_string()},
    });
    Ok(answer::value(201, &status))
}

async fn change_member(context: &Context, name: &str, change: &str) -> Result<Response, Failure> {
    let store = context.store();
    let all = store.members().await?;
    let member = members::find(&all, name)?;
    match change {
        "promote" => store.promote(member.id).await?,
        "transfer" => store.transfer(member.id).await?,
        _ => store.remove(member.id).await?,
    }
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
        "details": {"group": "stoa.dev", "kind": "members", "name": name},
    });
    Ok(answer::value(200, &status))
}
