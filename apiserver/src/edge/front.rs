//! The way of every request: id and audit, panics, identity, and then to what its URL names.

use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use futures::FutureExt;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};
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

/// Where a request came from.
#[derive(Debug)]
pub(crate) enum Origin {
    /// A connection.
    Network(Network),
    /// A caller inside this process.
    Local(User),
}

/// What is known of a connection.
#[derive(Debug)]
pub(crate) struct Network {
    address: SocketAddr,
    /// What its verified certificate says.
    certificate: Option<Arc<Certified>>,
    /// Without one, it counts as a stranger's until a token is shown.
    stranger: Stranger,
}

impl Origin {
    /// A connection, with the certificate that was verified in its handshake.
    pub(crate) fn network(
        address: SocketAddr,
        certificate: Option<Certified>,
        stranger: Stranger,
    ) -> Self {
        if certificate.is_some() {
            stranger.known();
        }
        let known = certificate.map(|known| Certified {
            user: known.user.authenticated(),
            ..known
        });
        Self::Network(Network {
            address,
            certificate: known.map(Arc::new),
            stranger,
        })
    }

    fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Network(network) => Some(network.address),
            Self::Local(_) => None,
        }
    }
}

/// The whole API: one function from requests to answers. Cloning is cheap.
#[derive(Clone, Debug)]
pub(crate) struct Front(Arc<Context>);

impl Front {
    pub(crate) fn new(context: Arc<Context>) -> Self {
        Self(context)
    }

    /// Gives the request an id, has it answered, writes the audit line, and turns a panic into a 500.
    pub(crate) async fn answer(self, origin: Arc<Origin>, request: Request) -> Response {
        let context = &self.0;
        let (mut head, body) = request.into_parts();
        let id = audit_id(&head.headers);
        let record = context.audit.as_ref();
        let record = record.map(|audit| audit.record(&id, &head, origin.address()));
        if let Some(record) = &record {
            head.extensions.insert(record.clone());
        }
        let line = Line::begin(&head);
        let mut who = None;
        let answered = known(context, &origin, head, body, &mut who);
        let answered = AssertUnwindSafe(answered).catch_unwind().await;
        let is_panic = answered.is_err();
        let mut response = answered.unwrap_or_else(|_panic| {
            let Line { method, uri, .. } = &line;
            tracing::error!(%method, %uri, "a request panicked; see the line above");
            answer::failure(&Failure::internal("the server failed on this request"))
        });
        line.end(&id, who.as_deref(), &response);
        if let Some(record) = record {
            response = record.finish(response, is_panic).await;
        }
        if line.method == Method::HEAD {
            *response.body_mut() = Body::empty();
        }
        let headers = response.headers_mut();
        headers.insert(AUDIT_ID, id);
        headers
            .entry(header::CACHE_CONTROL)
            .or_insert(HeaderValue::from_static("no-cache, private"));
        response
    }
}

/// The id that the client gave, or one of ours.
fn audit_id(headers: &HeaderMap) -> HeaderValue {
    let given = headers.get(AUDIT_ID).filter(|id| id.len() <= 64).cloned();
    given.unwrap_or_else(|| {
        let id = uuid::Builder::from_random_bytes(ambient::seed().to_be_bytes()).into_uuid();
        let mut text = uuid::Uuid::encode_buffer();
        let text = id.hyphenated().encode_lower(&mut text);
        HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static("-"))
    })
}

/// A line of the program's own log.
struct Line {
    method: Method,
    uri: Uri,
    started: Instant,
}

impl Line {
    fn begin(head: &Parts) -> Self {
        Self {
            method: head.method.clone(),
            uri: head.uri.clone(),
            started: Instant::now(),
        }
    }

    fn end(&self, id: &HeaderValue, user: Option<&str>, response: &Response) {
        let Self {
            method,
            uri,
            started,
        } = self;
        let (id, code) = (id.to_str().unwrap_or("-"), response.status().as_u16());
        let user = user.unwrap_or("-");
        let ms = started.elapsed().as_millis();
        if matches!(*method, Method::GET | Method::HEAD) {
            tracing::trace!(target: "audit", id, user, %method, %uri, code, ms);
        } else {
            tracing::debug!(target: "audit", id, user, %method, %uri, code, ms);
        }
    }
}

/// Finds out who asks, and has the request answered; `who` tells the log.
async fn known(
    context: &Arc<Context>,
    origin: &Origin,
    head: Parts,
    body: Body,
    who: &mut Option<String>,
) -> Response {
    let (user, standing) = match identify(context, origin, &head).await {
        Ok(known) => known,
        Err(failure) => return answer::failure(&failure),
    };
    if tracing::enabled!(target: "audit", tracing::Level::DEBUG) {
        *who = user.as_ref().map(|user| user.name.clone());
    }
    let answered = dispatch(context, (user, standing), Request::from_parts(head, body)).await;
    answered.unwrap_or_else(|failure| answer::failure(&failure))
}

/// Who the request acts as; none: a stranger.
async fn identify(
    context: &Context,
    origin: &Origin,
    // A body may be tied to one thread, so only the head goes along.
    request: &Parts,
) -> Result<(Option<User>, Standing), Failure> {
    let shown = match origin {
        Origin::Local(user) => (Some(user.clone()), Credential::Own),
        Origin::Network(network) => {
            head::check(request.version, &request.headers)?;
            let token = head::credentials(&request.headers)?;
            let shown = authenticated(context, network.certificate.as_ref(), token).await?;
            if shown.0.is_some() {
                network.stranger.known();
            }
            shown
        }
    };
    acting(context, shown, request)
}

/// Who the request acts as: the user himself, or somebody he may be.
fn acting(
    context: &Context,
    (user, credential): (Option<User>, Credential),
    request: &Parts,
) -> Result<(Option<User>, Standing), Failure> {
    let record = request.extensions.get::<Record>();
    if let Some(record) = record {
        record.user(user.as_ref(), None);
    }
    let Some(wanted) = impersonation::wanted(&request.headers)? else {
        return Ok((user, Standing::plain(credential)));
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
    Ok((Some(wanted.user), standing))
}

/// The user behind a connection; a token outranks the certificate.
async fn authenticated(
    context: &Context,
    certificate: Option<&Arc<Certified>>,
    header: Option<&str>,
) -> Result<(Option<User>, Credential), Failure> {
    // A bearer token outranks the certificate: whoever sends one means it. And whoever lost a name
    // may still join anew: a token is another identity.
    if let Some(header) = header {
        let token = authn::bearer(header).ok_or_else(Failure::unauthorized)?;
        let verified = identity::verify(context, token, &[]).await?;
        let credential = Credential::Token(token.into(), verified.expires_s);
        return Ok((Some(verified.user.authenticated()), credential));
    }
    let Some(certificate) = certificate else {
        return Ok((None, Credential::Nothing));
    };
    warrant::check_certificate(context, certificate, ambient::now_s())?;
    join::check_name(context, certificate).await?;
    let credential = Credential::Certificate(Arc::clone(certificate));
    Ok((Some(certificate.user.clone()), credential))
}

async fn dispatch(
    context: &Arc<Context>,
    (user, standing): (Option<User>, Standing),
    request: Request,
) -> Result<Response, Failure> {
    let target = info::target(request.uri().path());
    if let Target::Resource(place) = target {
        resources::answer(context, (user, standing), place, request).await
    } else {
        let (head, _body) = request.into_parts();
        Box::pin(fixed(context, user.as_ref(), target, &head)).await
    }
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
