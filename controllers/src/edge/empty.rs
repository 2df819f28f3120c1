//! Empties a namespace that is being deleted: every namespaced kind the server knows, then the
//! namespace's own finalizer.

use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, ListParams, PostParams};
use kube::discovery::{Discovery, Scope, verbs};
use kube::{Client, Error};

/// Deletes what is left; true once nothing was and the namespace was let go.
pub(super) async fn empty(client: &Client, namespace: &str) -> Result<bool, Error> {
    let mut left = false;
    for resource in namespaced(client).await? {
        let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &resource);
        if api
            .list(&ListParams::default().limit(1))
            .await?
            .items
            .is_empty()
        {
            continue;
        }
        left = true;
        api.delete_collection(&DeleteParams::background(), &ListParams::default())
            .await?;
    }
    if left {
        return Ok(false);
    }
    finalize(client, namespace).await?;
    Ok(true)
}

async fn namespaced(client: &Client) -> Result<Vec<ApiResource>, Error> {
    let discovery = Discovery::new(client.clone()).run().await?;
    let resources = discovery
        .groups()
        .flat_map(kube::discovery::ApiGroup::recommended_resources);
    let fit = resources.filter(|(_, capabilities)| {
        capabilities.scope == Scope::Namespaced
            && capabilities.supports_operation(verbs::LIST)
            && capabilities.supports_operation(verbs::DELETE)
    });
    Ok(fit.map(|(resource, _)| resource).collect())
}

/// Takes the last finalizer off, as kube-controller-manager does.
async fn finalize(client: &Client, namespace: &str) -> Result<(), Error> {
    let api: Api<Namespace> = Api::all(client.clone());
    let Some(mut object) = api.get_opt(namespace).await? else {
        return Ok(());
    };
    object.spec.get_or_insert_default().finalizers = Some(Vec::new());
    match api
        .replace_subresource("finalize", namespace, &PostParams::default(), &object)
        .await
    {
        Err(Error::Api(status)) if status.code == 404 => Ok(()),
        Ok(_) => Ok(()),
        Err(error) => Err(error),
    }
}
