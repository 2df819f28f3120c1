//! Requests that are answered and never stored: access reviews, and whatever else is a question
//! in the form of an object.
//!
//! A POST to a row of `TABLE` is read, decoded by the row's kind, judged by its schema, and given to the
//! row's handler. The handler answers the `status`; the client gets its own object back with that
//! status and 201. To add one: a descriptor with the verb `create` alone in
//! `registry/builtin/review.rs` (it brings discovery and OpenAPI), and a row here. A question that
//! is a subresource (`serviceaccounts/token`) names the kind of its body in the row.
//! Authorisation came before, as for every resource.

use axum::extract::Request;
use axum::response::Response;
use futures::FutureExt;
use futures::future::BoxFuture;
use http::header;
use serde_json::Value;

use super::answer::{self, Look};
use super::context::Context;
use super::identity;
use super::info::Place;
use super::negotiate::{self, Answer};
use super::resources::{Asked, text};
use crate::admission;
use crate::body;
use crate::call::{Body, Reply};
use crate::metadata;
use crate::object::Form;
use crate::registry::Descriptor;
use crate::registry::builtin::review::{AUTHENTICATION_GROUP, AUTHORIZATION_GROUP};
use crate::review;
use crate::status::Failure;
use crate::user::User;

/// A question that was understood.
#[derive(Debug)]
pub(crate) struct Review<'a> {
    pub(crate) context: &'a Context,
    /// Who asks.
    pub(crate) user: &'a User,
    /// The kind of the question.
    pub(crate) resource: &'a Descriptor,
    /// The URL. Its namespace is the object's too; its name is that of the object whose
    /// subresource is asked.
    pub(crate) place: &'a Place,
    /// The object: decoded, pruned, defaulted, and well-formed by its schema.
    pub(crate) object: &'a Value,
}

type Handler = for<'a> fn(&'a Review<'a>) -> BoxFuture<'a, Result<Value, Failure>>;

/// One kind of question.
#[derive(Debug)]
pub(crate) struct Row {
    group: &'static str,
    resource: &'static str,
    /// Empty for a question that is a resource itself.
    subresource: &'static str,
    /// The kind of the body; none: the resource's own.
    kind: Option<fn() -> &'static Descriptor>,
    answer: Handler,
}

const TABLE: [Row; 6] = [
    row("localsubjectaccessreviews", |review| {
        access(review, review::local_access)
    }),
    row("selfsubjectaccessreviews", |review| {
        access(review, review::own_access)
    }),
    row("selfsubjectrulesreviews", |review| {
        access(review, review::own_rules)
    }),
    row("subjectaccessreviews", |review| {
        access(review, review::access)
    }),
    Row {
        group: AUTHENTICATION_GROUP,
        ..row("selfsubjectreviews", |review| {
            std::future::ready(Ok(identity::own(review.user))).boxed()
        })
    },
    Row {
        group: AUTHENTICATION_GROUP,
        ..row("tokenreviews", |review| {
            identity::review(review.context, review.object).boxed()
        })
    },
];

const fn row(resource: &'static str, answer: Handler) -> Row {
    Row {
        group: AUTHORIZATION_GROUP,
        resource,
        subresource: "",
        kind: None,
        answer,
    }
}

fn access<'a>(
    review: &'a Review<'a>,
    judge: fn(&review::Question<'_>) -> Result<Value, Failure>,
) -> BoxFuture<'a, Result<Value, Failure>> {
    let question = review::Question {
        authorizer: &review.context.engine.authorizer(),
        user: review.user,
        resource: review.resource,
        namespace: review.place.namespace.as_deref(),
        object: review.object,
    };
    std::future::ready(judge(&question)).boxed()
}

/// The row of a place that answers questions.
pub(crate) fn find(verb: &str, place: &Place) -> Option<&'static Row> {
    let subresource = place.subresource.as_deref().unwrap_or_default();
    let fits = |row: &&Row| {
        row.resource == place.resource && row.group == place.group && row.subresource == subresource
    };
    (verb == "create").then(|| TABLE.iter().find(fits))?
}

/// Answers a question.
pub(crate) async fn answer(
    context: &Context,
    asked: &Asked,
    resource: &Descriptor,
    row: &Row,
    request: Request,
) -> Result<Response, Failure> {
    let resource = row.kind.map_or(resource, |kind| kind());
    let accept = text(request.headers(), header::ACCEPT);
    let (encoding, shape) = negotiate::accept(accept, Answer::Plain)?;
    let (mut object, warnings) = read(context, asked, resource, request).await?;
    let review = Review {
        context,
        user: &asked.user,
        resource,
        place: &asked.place,
        object: &object,
    };
    object["status"] = (row.answer)(&review).await?;
    let reply = Reply::Object {
        code: 201,
        object: Form::Value(object),
        warnings,
    };
    let look = Look {
        resource,
        params: &asked.params,
        encoding,
        shape,
    };
    answer::reply(reply, look)
}

async fn read(
    context: &Context,
    asked: &Asked,
    resource: &Descriptor,
    request: Request,
) -> Result<(Value, Vec<String>), Failure> {
    let media = negotiate::typed_media(text(request.headers(), header::CONTENT_TYPE))?;
    let limit = context.limits.body_bytes;
    let bytes = context.intake.read(request.into_body(), limit).await?;
    let input = body::parse(&Body { bytes, media })?;
    let (mut object, warnings) = admission::decode(resource, input, asked.params.field_validation)?;
    place(asked.place.namespace.as_deref(), &mut object)?;
    if let Some(map) = object.as_object_mut() {
        map.remove("status");
    }
    admission::check_question(resource, &object)?;
    Ok((object, warnings))
}

fn place(namespace: Option<&str>, object: &mut Value) -> Result<(), Failure> {
    const TEXT: &str =
        "the namespace of the provided object does not match the namespace sent on the request";
    let own = metadata::text(object, "namespace");
    match namespace {
        Some(namespace) if own.is_empty() => {
            metadata::map(object).insert("namespace".into(), namespace.into());
        }
        Some(namespace) if own != namespace => return Err(Failure::bad_request(TEXT)),
        Some(_) | None => {}
    }
    Ok(())
}
