//! Requests on resources: who may, which verb, and then the engine, a watch or an extra.

use std::sync::Arc;

use axum::extract::Request;
use axum::response::Response;
use http::{HeaderMap, header};

use super::answer::Look;
use super::context::Context;
use super::info::{self, Place};
use super::negotiate::{self, Answer};
use super::{ambient, answer, extras, watch};
use crate::authorize;
use crate::call::{Body, Call, Verb};
use crate::discovery;
use crate::managed::author;
use crate::params::Params;
use crate::registry::Descriptor;
use crate::status::{Failure, Gr};
use crate::user::{Attributes, User};

/// Answers a request on a resource.
pub(crate) async fn answer(
    context: &Arc<Context>,
    user: Option<User>,
    place: Place,
    request: Request,
) -> Result<Response, Failure> {
    let user = user.ok_or_else(Failure::unauthorized)?;
    let params = Params::parse(request.uri().query().unwrap_or_default())?;
    let gr = Gr::new(&place.group, &place.resource);
    let verb = info::verb(request.method(), &place, params.watch)
        .ok_or_else(|| Failure::method_not_allowed(&gr, request.method().as_str()))?;
    authorize::authorize(&user, &attributes(verb, &place, &params))?;
    let asked = Asked {
        user,
        place,
        params,
        verb,
    };
    if extras::serves(&asked.place) {
        let _slot = slot(context)?;
        return Box::pin(extras::answer(context, asked, request)).await;
    }
    let resource = find(context, &asked)?;
    if verb == "watch" {
        return start_watch(context, asked, resource, request.headers());
    }
    let _slot = slot(context)?;
    let limit = context.limits.request;
    let call = Box::pin(call(context, asked, resource, request));
    let late = || Failure::timeout("the request took too long; its outcome is unknown");
    tokio::time::timeout(limit, call)
        .await
        .map_err(|_elapsed| late())?
}

/// A request that was understood and allowed.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) user: User,
    pub(crate) place: Place,
    pub(crate) params: Params,
    pub(crate) verb: &'static str,
}

fn slot(context: &Context) -> Result<tokio::sync::SemaphorePermit<'_>, Failure> {
    const TEXT: &str = "too many requests, please try again later";
    context
        .requests
        .try_acquire()
        .map_err(|_full| Failure::too_many_requests(TEXT))
}

fn attributes(verb: &str, place: &Place, params: &Params) -> Attributes {
    Attributes {
        verb: verb.to_owned(),
        group: place.group.clone(),
        version: place.version.clone(),
        resource: place.resource.clone(),
        subresource: place.subresource.clone().unwrap_or_default(),
        namespace: place.namespace.clone().unwrap_or_default(),
        name: place.name.clone().unwrap_or_default(),
        field_selector: params.field_selector.clone(),
    }
}

/// The resource, if it is served at this place with this verb.
fn find(context: &Context, asked: &Asked) -> Result<Arc<Descriptor>, Failure> {
    let Asked { place, verb, .. } = asked;
    let registry = context.engine.registry();
    let resource = registry
        .lookup(&place.group, &place.version, &place.resource)
        .ok_or_else(Failure::no_such_resource)?;
    let everywhere = matches!(*verb, "list" | "watch" | "deletecollection");
    let scoped = match &place.namespace {
        Some(_) => resource.namespaced,
        None => !resource.namespaced || place.name.is_none() && everywhere,
    };
    let known = place
        .subresource
        .as_deref()
        .is_none_or(|sub| resource.has_subresource(sub));
    if !scoped || !known {
        return Err(Failure::no_such_resource());
    }
    let served = match &place.subresource {
        Some(sub) => discovery::subresource_verbs(sub).contains(verb),
        // A POST goes to a collection; PUT and PATCH go to an object.
        None => {
            let named = place.name.is_some();
            let fits = if *verb == "create" {
                !named
            } else {
                named || !matches!(*verb, "update" | "patch")
            };
            fits && resource.serves(verb)
        }
    };
    if !served {
        return Err(Failure::method_not_allowed(&resource.gr(), verb));
    }
    Ok(resource)
}

fn start_watch(
    context: &Context,
    asked: Asked,
    resource: Arc<Descriptor>,
    headers: &HeaderMap,
) -> Result<Response, Failure> {
    let Asked {
        place, mut params, ..
    } = asked;
    let (_, shape) = negotiate::accept(text(headers, header::ACCEPT), Answer::Watch)?;
    if let Some(name) = &place.name {
        // The old `/watch/.../NAME`, and GET of a name with `watch=true`.
        let comma = if params.field_selector.is_empty() {
            ""
        } else {
            ","
        };
        params.field_selector += &format!("{comma}metadata.name={name}");
    }
    let ask = watch::Ask {
        resource,
        namespace: place.namespace,
        params,
        shape,
    };
    let shutdown = context.shutdown.clone();
    watch::start(ask, context.store().clone(), context.hub.clone(), shutdown)
}

async fn call(
    context: &Context,
    asked: Asked,
    resource: Arc<Descriptor>,
    request: Request,
) -> Result<Response, Failure> {
    let Asked {
        user,
        place,
        params,
        verb,
    } = asked;
    let verb =
        engine_verb(verb).ok_or_else(|| Failure::method_not_allowed(&resource.gr(), verb))?;
    let form = match verb {
        Verb::List | Verb::DeleteCollection => Answer::List,
        Verb::Get | Verb::Create | Verb::Update | Verb::Patch | Verb::Delete => Answer::Object,
    };
    let (encoding, shape) = negotiate::accept(text(request.headers(), header::ACCEPT), form)?;
    let mut params = params;
    params.agent = agent(verb, request.headers());
    let body = read(context, verb, &resource, request).await?;
    let call = Call {
        verb,
        resource: Arc::clone(&resource),
        namespace: place.namespace,
        name: place.name,
        subresource: place.subresource,
        params: params.clone(),
        user,
        body,
        now: ambient::now(),
        seed: ambient::seed(),
    };
    let reply = context.engine.call(call).await?;
    answer::reply(
        reply,
        Look {
            resource: &resource,
            params: &params,
            encoding,
            shape,
        },
    )
}

/// The program that writes, which owns what it writes if nothing else is said.
fn agent(verb: Verb, headers: &HeaderMap) -> String {
    match verb {
        Verb::Create | Verb::Update | Verb::Patch => {
            author::agent(text(headers, header::USER_AGENT).unwrap_or_default())
        }
        Verb::Get | Verb::List | Verb::Delete | Verb::DeleteCollection => String::new(),
    }
}

fn engine_verb(verb: &str) -> Option<Verb> {
    const ALL: [Verb; 7] = [
        Verb::Get,
        Verb::List,
        Verb::Create,
        Verb::Update,
        Verb::Patch,
        Verb::Delete,
        Verb::DeleteCollection,
    ];
    ALL.into_iter().find(|one| one.as_str() == verb)
}

async fn read(
    context: &Context,
    verb: Verb,
    resource: &Descriptor,
    request: Request,
) -> Result<Body, Failure> {
    let content_type = text(request.headers(), header::CONTENT_TYPE);
    let media = match verb {
        Verb::Get | Verb::List => return Ok(Body::default()),
        Verb::Patch => negotiate::patch_media(content_type, resource.patch_types())?,
        Verb::Create | Verb::Update | Verb::Delete | Verb::DeleteCollection => {
            negotiate::body_media(content_type)?
        }
    };
    let bytes = context
        .intake
        .read(request.into_body(), context.limits.body_bytes)
        .await?;
    Ok(Body { bytes, media })
}

pub(crate) fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}
