//! Requests on resources: who may, which verb, and then the engine, a watch or an extra.

use std::sync::Arc;

use axum::extract::Request;
use axum::response::Response;
use http::{HeaderMap, header};

use super::answer::Look;
use super::audit::Record;
use super::context::Context;
use super::info::{self, Place};
use super::negotiate::{self, Answer};
use super::turns::Seat;
use super::warrant::{Standing, Warrant};
use super::{ambient, answer, extras, reviews, socket, watch};
use crate::call::{Annotations, Body, Call, Reply, Verb};
use crate::discovery;
use crate::managed::author;
use crate::params::Params;
use crate::registry::{Descriptor, Origin};
use crate::selector::field;
use crate::status::{Failure, Gr};
use crate::user::{Attributes, CONTROLLERS, User};

/// Answers a request on a resource.
pub(crate) async fn answer(
    context: &Arc<Context>,
    (user, standing): (Option<User>, Standing),
    place: Place,
    request: Request,
) -> Result<Response, Failure> {
    let user = user.ok_or_else(Failure::unauthorized)?;
    let params = Params::parse(request.uri().query().unwrap_or_default())?;
    let gr = Gr::new(&place.group, &place.resource);
    let verb = info::verb(request.method(), &place, params.watch)
        .ok_or_else(|| Failure::method_not_allowed(&gr, request.method().as_str()))?;
    let attributes = attributes(verb, &place, &params);
    if let Some(record) = request.extensions().get::<Record>() {
        record.resource(&attributes);
    }
    let authorizer = context.engine.authorizer();
    authorizer.authorize(&user, &attributes)?;
    let asked = Asked {
        user,
        place,
        params,
        verb,
        warrant: Warrant::new(standing, attributes),
    };
    if extras::serves(&asked.place) {
        let _seat = seat(context, &asked.user).await?;
        return Box::pin(extras::answer(context, asked, request)).await;
    }
    let resource = find(context, &asked)?;
    if verb == "watch" {
        return start_watch(context, asked, resource, &request);
    }
    let _seat = seat(context, &asked.user).await?;
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
    /// For answers that last.
    pub(crate) warrant: Warrant,
}

/// A seat among the requests in work. The controllers inside the process are bounded by themselves,
/// and everybody depends on them.
async fn seat(context: &Context, user: &User) -> Result<Option<Seat>, Failure> {
    if user.is_in(CONTROLLERS) {
        return Ok(None);
    }
    context.requests.seat(&user.name).await.map(Some)
}

fn attributes(verb: &str, place: &Place, params: &Params) -> Attributes {
    Attributes {
        verb: verb.to_owned(),
        group: place.group.clone(),
        version: place.version.clone(),
        resource: place.resource.clone(),
        subresource: place.subresource.clone().unwrap_or_default(),
        namespace: place.namespace.clone().unwrap_or_default(),
        name: name(verb, place, params).unwrap_or_default(),
        field_selector: params.field_selector.clone(),
    }
    .placed()
}

/// A list of the one object of a name is about that object.
fn name(verb: &str, place: &Place, params: &Params) -> Option<String> {
    let everywhere = matches!(verb, "list" | "watch" | "deletecollection");
    let selected = || field::demanded_name(&params.field_selector);
    let own = place.name.clone();
    own.or_else(|| everywhere.then(selected).flatten())
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
    request: &Request,
) -> Result<Response, Failure> {
    let Asked {
        user,
        place,
        mut params,
        warrant,
        ..
    } = asked;
    let accept = text(request.headers(), header::ACCEPT);
    let (_, shape) = negotiate::accept(accept, Answer::Watch)?;
    let call = socket::call(request)?;
    let seat = context.watches.seat_now(&user.name)?;
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
        seat,
        care: context.warden.care(warrant),
    };
    let response = watch::start(ask, &context.engine, context.hub.clone())?;
    Ok(match call {
        Some(call) => call.answer(response, context.limits.head),
        None => response,
    })
}

async fn call(
    context: &Context,
    asked: Asked,
    resource: Arc<Descriptor>,
    request: Request,
) -> Result<Response, Failure> {
    if let Some(row) = reviews::find(asked.verb, &asked.place) {
        return reviews::answer(context, &asked, &resource, row, request).await;
    }
    let Asked {
        user,
        place,
        params,
        verb,
        ..
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
    let gzip = negotiate::takes_gzip(text(request.headers(), header::ACCEPT_ENCODING));
    let record = request.extensions().get::<Record>();
    let annotations = record.map_or_else(Annotations::default, Record::annotations);
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
        annotations,
    };
    let look = Look {
        resource: &resource,
        params: &params,
        encoding,
        shape,
    };
    let reply = context.engine.call(call).await?;
    if let Reply::List(list) = reply {
        return if answer::is_streamed(&list, look) {
            Ok(answer::streamed(
                list,
                &resource,
                gzip,
                context.limits.request,
            ))
        } else {
            answer::reply(Reply::List(list), look)
        };
    }
    answer::reply(reply, look)
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
        // Options come as protobuf for every kind, objects for the built-in ones only.
        Verb::Delete | Verb::DeleteCollection => negotiate::typed_media(content_type)?,
        Verb::Create | Verb::Update if resource.origin == Origin::BuiltIn => {
            negotiate::typed_media(content_type)?
        }
        Verb::Create | Verb::Update => negotiate::body_media(content_type)?,
    };
    let record = request.extensions().get::<Record>().cloned();
    let bytes = context
        .intake
        .read(request.into_body(), context.limits.body_bytes)
        .await?;
    if let Some(record) = record {
        record.sent(&bytes);
    }
    Ok(Body { bytes, media })
}

pub(crate) fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}
