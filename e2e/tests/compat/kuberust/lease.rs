//! Leader election as client libraries do it: whoever writes the Lease at its version leads.

use e2e::{Outcome, fault};
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client, ResourceExt};

const NAME: &str = "admiral";

/// All candidates try at once, each through another replica; then the winner steps down.
pub(super) async fn is_held_by_one(clients: &[Client]) -> Outcome<()> {
    let apis: Vec<Api<Lease>> = clients
        .iter()
        .cloned()
        .map(Api::default_namespaced)
        .collect();
    let tried = apis.iter().enumerate().map(|(id, api)| attempt(api, id));
    let won = futures::future::try_join_all(tried).await?;
    one_of(&won)?;
    let mut held = apis[0].get(NAME).await?;
    let before = held.spec.clone().unwrap_or_default();
    assert!(before.renew_time.is_some());
    held.spec.get_or_insert_default().holder_identity = None;
    apis[1].replace(NAME, &PostParams::default(), &held).await?;

    // Only one of those who saw it free can take it.
    let tried = apis.iter().enumerate().map(|(id, api)| attempt(api, id));
    one_of(&futures::future::try_join_all(tried).await?)?;
    let lease = apis[2].get(NAME).await?;
    assert_eq!(lease.spec.unwrap_or_default().lease_transitions, Some(1));
    Ok(())
}

fn one_of(won: &[bool]) -> Outcome<()> {
    let winners = won.iter().filter(|won| **won).count();
    fault::ensure(winners == 1, || format!("winners: {won:?}"))
}

/// True when this candidate leads now.
async fn attempt(api: &Api<Lease>, id: usize) -> Outcome<bool> {
    let params = PostParams::default();
    let wrote = match api.get_opt(NAME).await? {
        None => api.create(&params, &lease(id, None)).await,
        Some(held) if holder(&held).is_some() => return Ok(false),
        Some(free) => api.replace(NAME, &params, &lease(id, Some(&free))).await,
    };
    match wrote {
        Ok(lease) => Ok(holder(&lease).as_deref() == Some(&id.to_string())),
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn holder(lease: &Lease) -> Option<String> {
    lease.spec.as_ref()?.holder_identity.clone()
}

fn lease(id: usize, old: Option<&Lease>) -> Lease {
    #[expect(
        clippy::disallowed_methods,
        reason = "a candidate tells when it took the lease"
    )]
    let now = MicroTime(Timestamp::now());
    Lease {
        metadata: ObjectMeta {
            name: Some(NAME.to_owned()),
            resource_version: old.and_then(ResourceExt::resource_version),
            ..Default::default()
        },
        spec: Some(LeaseSpec {
            holder_identity: Some(id.to_string()),
            lease_duration_seconds: Some(15),
            acquire_time: Some(now.clone()),
            renew_time: Some(now),
            lease_transitions: Some(i32::from(old.is_some())),
            ..Default::default()
        }),
    }
}
