//! The way of every request: id and audit, panics, identity, and then to what its URL names.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::{Extension, Router};
use futures::FutureExt;
use http::{HeaderName, HeaderValue, Method, header};
use tokio::time::Instant;

use super::audit::Record;
use super::context::Context;
use super::crowd::Stranger;
use super::info::{self, Target};
use super::warrant::{self, Credential, Standing};
use super::{ambient, answer, documents, head, health, identity, join, metrics};
use super::{resources, snapshot, token};
use crate::authn;
use crate::impersonation;
use crate::pki::Certified;
use crate::status::{Failure, Gr};
use crate::user::User;

const AUDIT_ID: HeaderName = HeaderName::from_static("audit-id");

/// Where a request came from. Only our own code can attach it: it is no header.
#[derive(Clone, Debug)]
pub(crate) enum Origin {
    /// A connection, with what its verified certificate says.
    Network(Option<Arc<Certified>>),
    /// A caller inside this process.
    Local(User),
}

/// Who asks; none: a stranger.
#[derive(Clone, Debug)]
pub(crate) struct Caller(pub(crate) Option<User>);

/// Who showed which credential.
struct Shown {
    user: Option<User>,
    credential: Credential,
}

/// The whole API as one service. Layers are met from the last to the first.
pub(crate) fn router(context: Arc<Context>) -> Router {
    Router::new()
        .fallback(dispatch)
        .layer(middleware::from_fn_with_state(
            Arc::clone(&context),
            identify,
        ))
        .layer(middleware::from_fn_with_state(
            Arc::clone(&context),
            envelope,
        ))
        .with_state(context)
}

/// Gives the request an id, writes the audit line, and turns a panic into a 500.
async fn envelope(State(context): State<Arc<Context>>, request: Request, next: Next) -> Response {
    let id = request
        .headers()
        .get(AUDIT_ID)
        .filter(|id| id.len() <= 64)
        .cloned();
    let id = id.unwrap_or_else(|| {
        let text = uuid::Builder::from_random_bytes(ambient::seed().to_be_bytes()).into_uuid();
        HeaderValue::from_str(&text.to_string()).unwrap_or(HeaderValue::from_static("-"))
    });
    let (mut head, body) = request.into_parts();
    let record = context.audit.as_ref().map(|audit| audit.record(&id, &head));
    if let Some(record) = &record {
        head.extensions.insert(record.clone());
    }
    let request = Request::from_parts(head, body);
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let started = Instant::now();
    let answered = AssertUnwindSafe(next.run(request)).catch_unwind().await;
    let is_panic = answered.is_err();
    let mut response = answered.unwrap_or_else(|_panic| {
        tracing::error!(%method, %uri, "a request panicked; see the line above");
        answer::failure(&Failure::internal("the server failed on this request"))
    });
    trace(&id, &method, &uri, &response, started);
    if let Some(record) = record {
        response = record.finish(response, is_panic).await;
    }
    if method == Method::HEAD {
        *response.body_mut() = Body::empty();
    }
    let headers = response.headers_mut();
    headers.insert(AUDIT_ID, id);
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-cache, private"));
    response
}

fn trace(
    id: &HeaderValue,
    method: &Method,
    uri: &http::Uri,
    response: &Response,
    started: Instant,
) {
    let (id, code) = (id.to_str().unwrap_or("-"), response.status().as_u16());
    let user = response
        .extensions()
        .get::<Caller>()
        .and_then(|caller| caller.0.as_ref());
    let user = user.map_or("-", |user| user.name.as_str());
    let ms = started.elapsed().as_millis();
    if matches!(*method, Method::GET | Method::HEAD) {
        tracing::trace!(target: "audit", id, user, %method, %uri, code, ms);
    } else {
        tracing::debug!(target: "audit", id, user, %method, %uri, code, ms);
    }
}

/// Finds out who asks.
async fn identify(
    State(context): State<Arc<Context>>,
    mut request: Request,
    next: Next,
) -> Response {
    let shown: Result<Shown, Failure> = match request.extensions().get::<Origin>() {
        Some(Origin::Local(user)) => Ok(Shown {
            user: Some(user.clone()),
            credential: Credential::Own(user.clone()),
        }),
        Some(Origin::Network(certificate)) => {
            let head = head::check(request.version(), request.headers())
                .and_then(|()| head::credentials(request.headers()));
            match head {
                Ok(token) => authenticated(&context, certificate.clone(), token).await,
                Err(failure) => Err(failure),
            }
        }
        None => Err(Failure::unauthorized()),
    };
    let stranger = request.extensions().get::<Arc<Stranger>>();
    if let (Some(stranger), Ok(Shown { user: Some(_), .. })) = (stranger, &shown) {
        stranger.known();
    }
    match shown.and_then(|shown| acting(&context, shown, &request)) {
        Ok((caller, standing)) => {
            request.extensions_mut().insert(caller.clone());
            request.extensions_mut().insert(standing);
            let mut response = next.run(request).await;
            response.extensions_mut().insert(caller);
            response
        }
        Err(failure) => answer::failure(&failure),
    }
}

/// Who the request acts as: the user himself, or somebody he may be.
fn acting(
    context: &Context,
    shown: Shown,
    request: &Request,
) -> Result<(Caller, Standing), Failure> {
    let Shown { user, credential } = shown;
    let record = request.extensions().get::<Record>();
    if let Some(record) = record {
        record.user(user.as_ref(), None);
    }
    let Some(wanted) = impersonation::wanted(request.headers())? else {
        return Ok((Caller(user), Standing::plain(credential)));
    };
    let user = user.ok_or_else(Failure::unauthorized)?;
    let authorizer = context.engine.authorizer();
    for need in &wanted.needs {
        authorizer.authorize(&user, need)?;
    }
    if let Some(record) = record {
        record.user(Some(&user), Some(&wanted.user));
    }
    tracing::debug!(target: "audit", user = user.name, acting_as = wanted.user.name);
    let standing = Standing::acting(credential, wanted.clone());
    Ok((Caller(Some(wanted.user)), standing))
}

/// The user behind a connection; a token outranks the certificate.
async fn authenticated(
    context: &Context,
    certificate: Option<Arc<Certified>>,
    header: Option<&str>,
) -> Result<Shown, Failure> {
    // A bearer token outranks the certificate: whoever sends one means it. And whoever lost a name
    // may still join anew: a token is another identity.
    if let Some(header) = header {
        let token = authn::bearer(header).ok_or_else(Failure::unauthorized)?;
        let verified = identity::verify(context, token, &[]).await?;
        let expires_s = verified.expires_s;
        return Ok(Shown {
            user: Some(verified.user.authenticated()),
            credential: Credential::Token(token.into(), expires_s),
        });
    }
    let Some(certificate) = certificate else {
        let (user, credential) = (None, Credential::Nothing);
        return Ok(Shown { user, credential });
    };
    warrant::check_certificate(context, &certificate, ambient::now_s())?;
    join::check_name(context, &certificate).await?;
    Ok(Shown {
        user: Some(certificate.user.clone().authenticated()),
        credential: Credential::Certificate(certificate),
    })
}

async fn dispatch(
    State(context): State<Arc<Context>>,
    Extension(Caller(user)): Extension<Caller>,
    request: Request,
) -> Response {
    let target = info::target(request.uri().path());
    let answered = if let Target::Resource(place) = target {
        resources::answer(&context, user, place, request).await
    } else {
        // A body may be tied to one thread, so only the head goes along.
        let (head, _body) = request.into_parts();
        fixed(&context, user.as_ref(), target, &head).await
    };
    answered.unwrap_or_else(|failure| answer::failure(&failure))
}

/// Everything that is no resource: GET only.
async fn fixed(
    context: &Context,
    user: Option<&User>,
    target: Target,
    head: &http::request::Parts,
) -> Result<Response, Failure> {
    let verb = match head.method {
        Method::HEAD => "get".to_owned(),
        _ => head.method.as_str().to_ascii_lowercase(),
    };
    // What is judged is what is served: an escape must not hide the one from the other.
    let path = info::plain(head.uri.path());
    let path = path.as_deref().unwrap_or(head.uri.path());
    let authorizer = context.engine.authorizer();
    authorizer.authorize_path(user, &verb, path)?;
    if target != Target::Unknown && !matches!(head.method, Method::GET | Method::HEAD) {
        let verb = head.method.as_str();
        return Err(Failure::method_not_allowed(
            &Gr::new("", head.uri.path()),
            verb,
        ));
    }
    let headers = &head.headers;
    let query = head.uri.query().unwrap_or_default();
    Ok(match target {
        Target::Root => documents::root(context),
        Target::Version => health::version(),
        Target::Health(kind, check) => {
            health::health(context, user, &kind, check.as_deref(), query).await
        }
        Target::Snapshot => snapshot::snapshot(context, &head.method).await?,
        Target::Metrics => metrics::metrics(context),
        Target::OpenId => token::discovery(context),
        Target::OpenIdKeys => token::key_set(context),
        Target::CoreVersions => documents::groups(context, true, headers)?,
        Target::Groups => documents::groups(context, false, headers)?,
        Target::Group(name) => documents::group(context, &name),
        Target::Resources(group, version) => documents::resources(context, &group, &version),
        Target::OpenApiTwo => documents::openapi_two(headers),
        Target::OpenApi => documents::openapi_index(context, headers),
        Target::OpenApiDocument(group, version) => {
            documents::openapi(context, &group, &version, query)
        }
        Target::Resource(_) | Target::Unknown => answer::unknown_path(),
    })
}
