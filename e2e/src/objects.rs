//! Objects in few words, and writes whose outcome is made certain.

use std::fmt::Debug;
use std::time::Duration;

use kube::api::{ListParams, PostParams};
use kube::core::NamespaceResourceScope;
use kube::{Api, Client, Resource, ResourceExt};
use manifests::kinds::{
    Framework, FrameworkSpec, Reservation, ReservationSpec, ResourcePool, ResourcePoolSpec,
    Scheduler, Task, TaskSpec,
};
use manifests::lifecycle::TaskState;
use manifests::resources::ResourceList;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Fault, Outcome, wait};

/// The namespace of everything here.
pub const NAMESPACE: &str = "default";

/// Longest a write may take through all retries, elections included.
const WRITE_MAX: Duration = Duration::from_secs(60);

/// Longest one attempt at a write may take before its outcome counts as unknown.
const ATTEMPT_MAX: Duration = Duration::from_secs(5);

/// Resources such as `cpus=1;mem=32Mi`.
///
/// # Panics
/// When the text is not of that form.
#[must_use]
pub fn resources(text: &str) -> ResourceList {
    text.parse().unwrap_or_else(|e| panic!("{text}: {e}"))
}

/// A pool of some weight.
#[must_use]
pub fn pool(name: &str, weight: f64) -> ResourcePool {
    ResourcePool::new(
        name,
        ResourcePoolSpec {
            weight,
            ..Default::default()
        },
    )
}

/// A framework that Stoa schedules.
#[must_use]
pub fn framework(name: &str, pool: &str) -> Framework {
    Framework::new(
        name,
        FrameworkSpec {
            pool: pool.to_owned(),
            ..Default::default()
        },
    )
}

/// A framework that schedules itself.
#[must_use]
pub fn external_framework(name: &str, pool: &str) -> Framework {
    let mut framework = framework(name, pool);
    framework.spec.scheduler = Scheduler::External;
    framework
}

/// A task that runs a shell script.
#[must_use]
pub fn task(name: &str, framework: &str, script: &str, cpus: &str) -> Task {
    let command = ["/bin/sh", "-c", script].map(str::to_owned).to_vec();
    let framework = framework.to_owned();
    let resources = resources(&format!("cpus={cpus};mem=16Mi"));
    Task::new(
        name,
        TaskSpec {
            framework,
            command,
            resources,
            ..Default::default()
        },
    )
}

/// Resources held for a pool on so many agents.
#[must_use]
pub fn reservation(name: &str, pool: &str, count: u32, each: &str) -> Reservation {
    let spec = ReservationSpec {
        pool: pool.to_owned(),
        count,
        resources: resources(each),
        ..Default::default()
    };
    Reservation::new(name, spec)
}

/// Tasks of the default namespace.
#[must_use]
pub fn tasks(client: &Client) -> Api<Task> {
    Api::namespaced(client.clone(), NAMESPACE)
}

/// Creates an object of the default namespace.
///
/// # Errors
/// When the server refuses it.
pub async fn create<K>(client: &Client, object: &K) -> Outcome<K>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + Debug
        + Serialize
        + DeserializeOwned,
{
    let api: Api<K> = Api::namespaced(client.clone(), NAMESPACE);
    let created = api.create(&PostParams::default(), object).await;
    created.map_err(|e| Fault::from(e).while_doing(&format!("creating {}", object.name_any())))
}

/// Creates a pool.
///
/// # Errors
/// When the server refuses it.
pub async fn create_pool(client: &Client, name: &str, weight: f64) -> Outcome<()> {
    let api: Api<ResourcePool> = Api::all(client.clone());
    api.create(&PostParams::default(), &pool(name, weight))
        .await?;
    Ok(())
}

/// Creates a pool and a framework of it with the same name.
///
/// # Errors
/// When the server refuses either.
pub async fn create_tenant(client: &Client, name: &str, weight: f64) -> Outcome<()> {
    create_pool(client, name, weight).await?;
    create(client, &framework(name, name)).await?;
    Ok(())
}

/// Creates a task through whichever server answers, until its outcome is known. A failed write is
/// unknown, not failed: after one, `AlreadyExists` means that it was ours.
///
/// # Errors
/// When it is refused, or nobody answers for long.
pub async fn create_surely(clients: &[Client], first: usize, task: &Task) -> Outcome<Task> {
    let mut turn = first;
    let mut unknown = false;
    wait::until(
        &format!("{} to be created", task.name_any()),
        WRITE_MAX,
        async || {
            let api = tasks(&clients[turn % clients.len()]);
            turn += 1;
            let params = PostParams::default();
            let attempt = tokio::time::timeout(ATTEMPT_MAX, api.create(&params, task)).await;
            match attempt {
                Ok(Ok(created)) => Ok(created),
                Ok(Err(kube::Error::Api(status))) if status.code == 409 && unknown => {
                    Ok(api.get(&task.name_any()).await?)
                }
                Ok(Err(e)) => {
                    unknown = true;
                    Err(e.into())
                }
                Err(_) => {
                    unknown = true;
                    Err(Fault::new(format!("no answer within {ATTEMPT_MAX:?}")))
                }
            }
        },
    )
    .await
}

/// All tasks of the default namespace.
///
/// # Errors
/// When the server does not answer.
pub async fn list_tasks(client: &Client) -> Outcome<Vec<Task>> {
    Ok(tasks(client).list(&ListParams::default()).await?.items)
}

/// The state of a task.
#[must_use]
pub fn state(task: &Task) -> TaskState {
    task.status
        .as_ref()
        .map(|status| status.state)
        .unwrap_or_default()
}

/// How many tasks of a framework are in this state.
#[must_use]
pub fn count(tasks: &[Task], framework: &str, wanted: TaskState) -> usize {
    tasks
        .iter()
        .filter(|t| t.spec.framework == framework && state(t) == wanted)
        .count()
}

/// Waits until a task is in this state, and returns it.
///
/// # Errors
/// When it does not get there in time, with its status.
pub async fn reaches(
    client: &Client,
    name: &str,
    wanted: TaskState,
    limit: Duration,
) -> Outcome<Task> {
    let api = tasks(client);
    wait::until(&format!("task {name} to be {wanted}"), limit, async || {
        let task = api.get(name).await?;
        if state(&task) == wanted {
            return Ok(task);
        }
        Err(Fault::new(format!(
            "it is {} ({:?})",
            state(&task),
            task.status
        )))
    })
    .await
}
