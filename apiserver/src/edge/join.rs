//! `POST /apis/stoa.dev/v1/join`: a token and a certificate request become a certificate; for a
//! server, also a place in the Raft group.

use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use manifests::kinds::GROUP;
use manifests::token::JoinRole;
use manifests::wire::{JoinRequest, JoinResponse};
use serde_json::Value;
use store::{Guard, Item, NewMember, Op, Txn, TxnOutcome, View};

use super::context::Context;
use super::{ambient, answer, extras};
use crate::authn;
use crate::authorize;
use crate::keys;
use crate::names;
use crate::object;
use crate::pki::{Authority, Certified, PkiError, Subject};
use crate::status::Failure;
use crate::user::User;

/// The name every agent's certificate carries, checked by servers that dial agents.
pub(crate) const AGENT_NAME: &str = "stoa-agent";

/// How often a name is tried while its Agent object changes underneath.
const CLAIMS: u32 = 8;

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
    let key = Authority::key_of_request(&asked.csr).map_err(|error| refused(&error))?;
    claim(context, &asked.name, key.into()).await?;
    Ok(JoinResponse {
        certificate,
        ca: context.authority.certificate_pem().to_owned(),
        servers: context.servers().await,
        ..JoinResponse::default()
    })
}

/// Notes the key that speaks for an agent's name. A token vouches for a newcomer, not for one who
/// takes the place of an agent at work: that one keeps its name until it is silent, or deleted.
async fn claim(context: &Context, name: &str, key: Bytes) -> Result<(), Failure> {
    let (agent, identity) = (
        keys::object(GROUP, "agents", None, name),
        keys::agent_identity(name),
    );
    for _ in 0..CLAIMS {
        context.store().barrier().await?;
        let view = context.store().view();
        let (present, known) = (view.get(&agent), view.get(&identity));
        if known.as_ref().is_some_and(|known| known.value == key) {
            return Ok(());
        }
        if known.is_some() && present.as_ref().is_some_and(is_at_work) {
            return Err(Failure::conflict_text(format!(
                "agent \"{name}\" is at work with another key: join under another name, delete the \
                 Agent object if that machine is gone, or wait until it counts as Unreachable"
            )));
        }
        let txn = Txn {
            request_id: ambient::seed(),
            stamp_ms: ambient::now_s() * 1000,
            guards: vec![
                unchanged(agent.clone(), present.as_ref()),
                unchanged(identity.clone(), known.as_ref()),
            ],
            ops: vec![Op::Put {
                key: identity.clone(),
                value: key.clone(),
            }],
        };
        match context.store().txn(txn).await? {
            TxnOutcome::Applied { .. } => return Ok(()),
            TxnOutcome::Refused { .. } => {}
        }
    }
    const BUSY: &str = "the Agent object of this name keeps changing: try again";
    Err(Failure::too_many_requests(BUSY))
}

/// An agent's name belongs to one key, the one that joined last: whoever lost it acts no more,
/// however long its certificate is valid. A name nobody has joined under is not guarded.
///
/// # Errors
/// 401 when the name has passed to another key.
pub(crate) async fn check_name(context: &Context, shown: &Certified) -> Result<(), Failure> {
    let store = context.store();
    if still_named(&store.view(), shown).is_ok() {
        return Ok(());
    }
    // Perhaps the join was at another replica a moment ago, and this one lags.
    store.barrier().await?;
    still_named(&store.view(), shown)
}

/// As `check_name`, for one who had the name on this replica before.
///
/// # Errors
/// 401.
pub(crate) fn still_named(view: &View, shown: &Certified) -> Result<(), Failure> {
    let Some(name) = authorize::agent_name(&shown.user) else {
        return Ok(());
    };
    let noted = view.get(&keys::agent_identity(name));
    if noted.is_none_or(|noted| noted.value == shown.key.as_bytes()) {
        return Ok(());
    }
    Err(Failure::unauthorized_text(format!(
        "the name of agent \"{name}\" has passed to another key: join under another name"
    )))
}

fn unchanged(key: Bytes, present: Option<&Item>) -> Guard {
    match present.map(|item| item.mod_revision) {
        Some(revision) => Guard::Revision { key, revision },
        None => Guard::Absent(key),
    }
}

fn is_at_work(agent: &Item) -> bool {
    let agent = object::decode(agent);
    let phase = agent.pointer("/status/phase").and_then(Value::as_str);
    phase != Some("Unreachable")
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
        encryption_keys: context.engine.vault().roots().text().to_owned(),
        node_id,
        cluster_id: store.cluster_id().to_string(),
        peers: others.map(|member| member.peer_addr.clone()).collect(),
        servers: context.servers().await,
    })
}

fn refused(error: &PkiError) -> Failure {
    Failure::bad_request(format!("csr: {error}"))
}
