//! `POST …/serviceaccounts/NAME/token`: a token for a service account; and the two documents with
//! which others check such tokens.

use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderValue, header};
use jiff::Timestamp;
use serde_json::{Value, json};
use store::View;

use super::answer;
use super::context::Context;
use super::resources::{Asked, text};
use super::{ambient, negotiate};
use crate::authn::claims::{Objects, Reference};
use crate::authn::issuer::Wanted;
use crate::authn::request::Spec;
use crate::body;
use crate::call::Body;
use crate::ids::Ids;
use crate::keys;
use crate::metadata;
use crate::object;
use crate::status::{Failure, Gr};
use crate::vault::Vault;

/// Answers a TokenRequest.
pub(crate) async fn answer(
    context: &Context,
    asked: Asked,
    request: Request,
) -> Result<Response, Failure> {
    let place = &asked.place;
    let (Some(namespace), Some(name)) = (place.namespace.as_deref(), place.name.as_deref()) else {
        return Err(Failure::no_such_resource());
    };
    if asked.verb != "create" {
        return Err(Failure::method_not_allowed(
            &Gr::new("", "serviceaccounts"),
            asked.verb,
        ));
    }
    let body = read(context, request).await?;
    let (spec, warnings) = Spec::of(&body, namespace, name)?;
    context.store().barrier().await?;
    let objects = objects(
        (&context.store().view(), context.engine.vault()),
        namespace,
        name,
        &spec,
    )?;
    let reply = issue(context, objects, &spec)?;
    let mut response = answer::value(201, &reply);
    answer::warn(&mut response, warnings.iter());
    Ok(response)
}

/// The body as a value.
pub(crate) async fn read(context: &Context, request: Request) -> Result<Value, Failure> {
    let media = negotiate::typed_media(text(request.headers(), header::CONTENT_TYPE))?;
    let limit = context.limits.body_bytes;
    let bytes = context.intake.read(request.into_body(), limit).await?;
    Ok(body::parse(&Body { bytes, media })?.value)
}

/// The objects the token will stand on, all of which must be there.
fn objects(
    stored: (&View, &Vault),
    namespace: &str,
    name: &str,
    spec: &Spec,
) -> Result<Objects, Failure> {
    let find = |plural: &str, name: &str| {
        let found = uid(stored, &keys::object("", plural, Some(namespace), name));
        let uid = found.ok_or_else(|| Failure::not_found(&Gr::new("", plural), name))?;
        Ok::<_, Failure>(Reference {
            name: name.to_owned(),
            uid,
        })
    };
    let serviceaccount = find("serviceaccounts", name)?;
    let bound = spec.secret()?;
    let secret = bound
        .map(|bound| find("secrets", &bound.name))
        .transpose()?;
    if let (Some(bound), Some(secret)) = (bound, &secret) {
        bound.check_uid(&secret.uid)?;
    }
    Ok(Objects {
        namespace: namespace.to_owned(),
        serviceaccount,
        secret,
    })
}

fn uid((view, vault): (&View, &Vault), key: &Bytes) -> Option<String> {
    let object = object::decode(&vault.open(view.get(key)?));
    Some(metadata::text(&object, "uid").to_owned())
}

fn issue(context: &Context, objects: Objects, spec: &Spec) -> Result<Value, Failure> {
    let issuer = &context.identities.issuer;
    let now = ambient::now();
    let now_s = ambient::now_s();
    let id = Ids::new(ambient::seed()).uid();
    let lasts_s = spec.lasts_s();
    let (namespace, name) = (
        objects.namespace.clone(),
        objects.serviceaccount.name.clone(),
    );
    let mut audiences = spec.audiences.clone();
    if audiences.is_empty() {
        audiences.push(issuer.audience().to_owned());
    }
    let wanted = Wanted {
        audiences: audiences.clone(),
        lasts_s,
        objects,
    };
    let (token, expires_s) = issuer
        .issue(wanted, now_s, id)
        .ok_or_else(|| Failure::internal("the token cannot be signed"))?;
    let expires = i64::try_from(expires_s)
        .ok()
        .and_then(|s| Timestamp::from_second(s).ok());
    let mut shown = json!({"audiences": audiences, "expirationSeconds": lasts_s});
    if let Some(bound) = &spec.bound_object_ref {
        shown["boundObjectRef"] = json!({
            "kind": bound.kind, "apiVersion": bound.api_version, "name": bound.name, "uid": bound.uid,
        });
    }
    Ok(json!({
        "kind": "TokenRequest", "apiVersion": "authentication.k8s.io/v1",
        "metadata": {
            "name": name, "namespace": namespace, "creationTimestamp": metadata::stamp(now),
        },
        "spec": shown,
        "status": {"token": token, "expirationTimestamp": expires.map(metadata::stamp)},
    }))
}

/// `/.well-known/openid-configuration`.
pub(crate) fn discovery(context: &Context) -> Response {
    let document = context.identities.issuer.discovery(&context.address);
    public(answer::value(200, &document))
}

/// `/openid/v1/jwks`.
pub(crate) fn key_set(context: &Context) -> Response {
    let text = context.identities.issuer.key_set().to_string();
    public(answer::bytes(200, "application/jwk-set+json", text))
}

/// Others may keep these as long as Kubernetes lets them.
fn public(mut response: Response) -> Response {
    let hour = HeaderValue::from_static("public, max-age=3600");
    response.headers_mut().insert(header::CACHE_CONTROL, hour);
    response
}
