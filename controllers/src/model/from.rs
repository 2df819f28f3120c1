//! From the kinds to the parsed objects. Admission has judged them already; what still cannot be
//! read becomes a fault of that object alone.

use std::sync::Arc;

use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use manifests::kinds;
use manifests::lifecycle;
use manifests::resources::{ResourceList, Resources, canonical};

use super::{
    Agent, Appetite, Framework, Group, Key, Meta, Namespace, Offer, Parse, Pool, Reservation,
    Shape, Task,
};

/// Mesos' default for the unused part of an offer.
const REFUSE_MS: u64 = 5_000;

/// Mesos' cap.
const REFUSE_MS_MAX: u64 = 365 * 86_400_000;

pub(super) fn meta(from: &ObjectMeta) -> Meta {
    Meta {
        uid: from.uid.clone().unwrap_or_default(),
        version: version(from),
        created_ms: from
            .creation_timestamp
            .as_ref()
            .map_or(0, |t| ms(t.0.as_millisecond())),
        deleting: from.deletion_timestamp.is_some(),
        finalizers: from.finalizers.clone().unwrap_or_default(),
        owners: from.owner_references.clone().unwrap_or_default(),
    }
}

fn version(from: &ObjectMeta) -> u64 {
    from.resource_version
        .as_deref()
        .and_then(|v| v.parse().ok())
        .unwrap_or(0)
}

fn ms(since_1970: i64) -> u64 {
    u64::try_from(since_1970).unwrap_or(0)
}

fn name(from: &ObjectMeta) -> Arc<str> {
    from.name.as_deref().unwrap_or_default().into()
}

pub(super) fn key(from: &ObjectMeta) -> Key {
    let namespace = from.namespace.as_deref().unwrap_or_default();
    Key {
        namespace: namespace.into(),
        name: name(from),
    }
}

fn exact(list: &ResourceList) -> Resources {
    list.exact().unwrap_or_default()
}

/// `refuseSeconds` as Mesos reads it: default 5, negative means 5, at most 365 days.
fn refuse_ms(seconds: Option<f64>) -> u64 {
    match seconds {
        Some(s) if s >= 0.0 =>
        {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a float cast saturates, and the cap bounds it"
            )]
            ((s * 1_000.0) as u64).min(REFUSE_MS_MAX)
        }
        Some(_) | None => REFUSE_MS,
    }
}

/// A weight in thousandths, at least one.
fn weight_milli(weight: f64) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the schema bounds weights to 0.001..=10^6"
    )]
    ((weight * 1_000.0).round() as u64).max(1)
}

impl Parse<kinds::ResourcePool> for Pool {
    fn parse(kind: kinds::ResourcePool, _now_ms: u64) -> Self {
        let quota = kind.spec.quota.unwrap_or_default();
        let ceilings = exact(&quota.limits);
        let limits = quota.limits.iter().map(|(resource, _)| {
            (
                canonical(resource).to_owned(),
                ceilings.get(canonical(resource)).get(),
            )
        });
        Self {
            name: name(&kind.metadata),
            meta: meta(&kind.metadata),
            weight_milli: weight_milli(kind.spec.weight),
            priority: kind.spec.priority,
            policy: kind.spec.policy,
            guarantees: exact(&quota.guarantees).without_ports(),
            limits: limits.collect(),
            status: kind.status.unwrap_or_default(),
        }
    }
}

impl Parse<kinds::Framework> for Framework {
    fn parse(kind: kinds::Framework, _now_ms: u64) -> Self {
        let demand = kind.spec.demand.unwrap_or_default();
        Self {
            key: key(&kind.metadata),
            meta: meta(&kind.metadata),
            pool: kind.spec.pool.as_str().into(),
            scheduler: kind.spec.scheduler,
            offer_timeout_ms: kind.spec.offer_timeout.map(manifests::duration::Span::ms),
            appetite: Appetite {
                suppressed: demand.suppressed,
                minimum: exact(&demand.minimum),
                total: (!demand.total.is_empty()).then(|| exact(&demand.total)),
            },
            status: kind.status.unwrap_or_default(),
        }
    }
}

impl Parse<kinds::Task> for Task {
    fn parse(kind: kinds::Task, now_ms: u64) -> Self {
        let (spec, status) = (kind.spec, kind.status.unwrap_or_default());
        let key = key(&kind.metadata);
        let (resources, fault) = match spec.resources.exact() {
            Ok(resources) => (resources, None),
            Err(problems) => (
                Resources::default(),
                problems.first().map(ToString::to_string),
            ),
        };
        let over = status.state.is_terminal() && !spec.killed;
        let retry_at_ms = if over {
            lifecycle::should_retry(&spec, &status, now_ms)
        } else {
            None
        };
        Self {
            meta: meta(&kind.metadata),
            framework: key.sibling(&spec.framework),
            shape: Arc::new(Shape {
                id: 0,
                resources,
                constraints: spec.constraints,
            }),
            priority: spec.priority,
            group: spec.group.map(|group| key.sibling(&group)),
            agent: spec.agent.map(Into::into),
            reservation: spec.reservation.as_deref().and_then(Key::parse),
            state: status.state,
            attempt: status.attempt,
            not_before_ms: status.not_before.map_or(0, |t| ms(t.0.as_millisecond())),
            killed: spec.killed,
            retry_at_ms,
            waiting: status.waiting,
            fault,
            said: status.message.or(status.reason),
            exit_code: status.exit_code,
            key,
        }
    }
}

impl Parse<kinds::TaskGroup> for Group {
    fn parse(kind: kinds::TaskGroup, _now_ms: u64) -> Self {
        Self {
            key: key(&kind.metadata),
            meta: meta(&kind.metadata),
            placement: kind.spec.placement,
            spec: kind.spec,
            status: kind.status.unwrap_or_default(),
        }
    }
}

impl Parse<kinds::Reservation> for Reservation {
    fn parse(kind: kinds::Reservation, _now_ms: u64) -> Self {
        Self {
            key: key(&kind.metadata),
            meta: meta(&kind.metadata),
            pool: kind.spec.pool.as_str().into(),
            count: usize::try_from(kind.spec.count).unwrap_or(usize::MAX),
            exclusive: kind.spec.exclusive,
            attributes: kind.spec.agent_selector.match_attributes,
            resources: exact(&kind.spec.resources),
            status: kind.status.unwrap_or_default(),
        }
    }
}

impl Parse<kinds::Offer> for Offer {
    fn parse(kind: kinds::Offer, _now_ms: u64) -> Self {
        let (spec, status) = (kind.spec, kind.status.unwrap_or_default());
        let key = key(&kind.metadata);
        Self {
            meta: meta(&kind.metadata),
            framework: key.sibling(&spec.framework),
            pool: spec.pool.as_str().into(),
            agent: spec.agent.as_str().into(),
            resources: exact(&spec.resources),
            reservation: spec.reservation.as_deref().and_then(Key::parse),
            expires_ms: spec.expires_at.map(|t| ms(t.0.as_millisecond())),
            phase: status.phase,
            launched: status.launched,
            refuse_ms: refuse_ms(status.refuse_seconds),
            key,
        }
    }
}

impl Parse<kinds::Agent> for Agent {
    fn parse(kind: kinds::Agent, _now_ms: u64) -> Self {
        let status = kind.status.unwrap_or_default();
        let room = if status.allocatable.is_empty() {
            &status.capacity
        } else {
            &status.allocatable
        };
        Self {
            name: name(&kind.metadata),
            meta: meta(&kind.metadata),
            phase: status.phase,
            unschedulable: kind.spec.unschedulable,
            attributes: kind.spec.attributes,
            allocatable: exact(room),
            conditions: status.conditions,
        }
    }
}

impl Parse<core::Namespace> for Namespace {
    fn parse(kind: core::Namespace, _now_ms: u64) -> Self {
        Self {
            name: name(&kind.metadata),
            meta: meta(&kind.metadata),
            finalizers: kind.spec.and_then(|s| s.finalizers).unwrap_or_default(),
        }
    }
}
