//! `POST /apis/stoa.dev/v1/join`: a token and a certificate request become a certificate; for a
//! server, also a place in the Raft group.

use axum::extract::Request;
use axum::response::Response;
use manifests::token::JoinRole;
use manifests::wire::{JoinRequest, JoinResponse};
use store::NewMember;

use super::context::Context;
use super::{ambient, answer, extras};
use crate::authn;
use crate::names;
use crate::pki::{PkiError, Subject};
use crate::status::Failure;
use crate::user::User;

/// The name every agent's certificate carries, checked by servers that dial agents.
pub(crate) const AGENT_NAME: &str = "stoa-agent";

pub(crate) async fn answer(
    context: &Context,
    user: &User,
    request: Request,
) -> Result<Response, Failure> {
    let asked: JoinRequest = extras::json(context, request).await?;
    let role = JoinRole::parse(&asked.role)
        .ok_or_else(|| Failure::bad_request("role: must be `agent` or `server`"))?;
    // An administrator needs no token.
    if authn::joiner_role(user).is_some_and(|granted| granted != role) {
        return Err(Failure::forbidden_text(format!(
            "this token is not for role `{}`: use the other one",
            asked.role
        )));
    }
    if let Some(problem) = names::dns_subdomain(&asked.name) {
        return Err(Failure::bad_request(format!("name: {problem}")));
    }
    let response = match role {
        JoinRole::Agent => agent(context, &asked).await?,
        JoinRole::Server => server(context, &asked).await?,
    };
    tracing::info!(
        role = asked.role,
        name = asked.name,
        address = asked.address,
        "joined"
    );
    answer::object(200, &response)
}

async fn agent(context: &Context, asked: &JoinRequest) -> Result<JoinResponse, Failure> {
    let subject = Subject::Agent(asked.name.clone());
    let certificate = context
        .authority
        .sign_request(
            &asked.csr,
            &subject,
            &[AGENT_NAME.to_owned()],
            ambient::now_s(),
        )
        .map_err(|error| refused(&error))?;
    Ok(JoinResponse {
        certificate,
        ca: context.authority.certificate_pem().to_owned(),
        servers: context.servers().await,
        ..JoinResponse::default()
    })
}

/// A server issues its own certificates, since it holds the authority's key; the one it is given
/// here only proves that its request was sound.
async fn server(context: &Context, asked: &JoinRequest) -> Result<JoinResponse, Failure> {
    if asked.peer_address.is_empty() || asked.address.is_empty() {
        return Err(Failure::bad_request(
            "address and peerAddress: required for a server",
        ));
    }
    let subject = Subject::Server(asked.name.clone());
    let certificate = context
        .authority
        .sign_request(&asked.csr, &subject, &[], ambient::now_s())
        .map_err(|error| refused(&error))?;
    let store = context.store();
    let member = NewMember {
        name: asked.name.clone(),
        peer_addr: asked.peer_address.clone(),
        api_addr: asked.address.clone(),
    };
    let node_id = store.add_member(member).await?;
    let members = store.members().await?;
    let others = members.iter().filter(|member| member.name != asked.name);
    Ok(JoinResponse {
        certificate,
        ca: context.authority.certificate_pem().to_owned(),
        ca_key: context.authority.key_pem().to_owned(),
        node_id,
        cluster_id: store.cluster_id().to_string(),
        peers: others.map(|member| member.peer_addr.clone()).collect(),
        servers: context.servers().await,
    })
}

fn refused(error: &PkiError) -> Failure {
    Failure::bad_request(format!("csr: {error}"))
}
