//! Writes that others have a say in. A computation that needs a webhook's answer ends undecided;
//! here the webhook is asked, and the computation repeated. Nothing is held meanwhile, and nothing
//! is written before every answer is known. Writes a quota is about wait for their turn.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Engine;
use super::commit::Request;
use super::settled::Settled;
use crate::admission::hooks::Desk;
use crate::admission::quota;
use crate::admission::rulings::Rulings;
use crate::admission::snapshot::Snapshot;
use crate::call::Annotations;
use crate::status::Failure;
use crate::verbs::{Action, Answer, Write};
use crate::world::World;

/// Most rounds of questions for one request: webhooks that change an object are asked one after
/// the other and some twice, and a write that lost a race asks about the new state.
const ROUNDS: usize = 100;

/// What one request knows of admission.
#[derive(Debug)]
pub struct Docket {
    snapshot: Arc<Snapshot>,
    rulings: Rulings,
    dry_run: bool,
    annotations: Annotations,
}

impl Docket {
    /// For the verbs.
    #[must_use]
    pub fn desk(&self) -> Desk<'_> {
        Desk {
            snapshot: Some(&self.snapshot),
            rulings: Some(&self.rulings),
            dry_run: self.dry_run,
        }
    }
}

impl Engine {
    /// An empty docket, with whoever has a say now.
    pub(super) fn docket(&self, dry_run: bool, annotations: &Annotations) -> Docket {
        Docket {
            snapshot: self.hooked.at(&self.store.view()),
            rulings: Rulings::default(),
            dry_run,
            annotations: annotations.clone(),
        }
    }

    /// Computes and commits the plan of these writes; what was noted of the computation that counts
    /// goes to the audit log, whatever came of it.
    pub(super) async fn admit<F>(
        &self,
        docket: &Docket,
        writes: &[Write],
        compute: F,
        request: &Request,
    ) -> Result<Settled, Failure>
    where
        F: Fn(&mut World) -> Result<Vec<Answer>, Failure> + Send + Sync,
    {
        let afresh = |world: &mut World| {
            docket.rulings.begin();
            compute(world)
        };
        let outcome = self.decide(docket, writes, afresh, request).await;
        docket
            .rulings
            .note(|notes| docket.annotations.set(notes.annotations()));
        outcome
    }

    async fn decide<F>(
        &self,
        docket: &Docket,
        writes: &[Write],
        compute: F,
        request: &Request,
    ) -> Result<Settled, Failure>
    where
        F: Fn(&mut World) -> Result<Vec<Answer>, Failure> + Send + Sync,
    {
        for _ in 0..ROUNDS {
            let outcome = self.in_turn(writes, &compute, request).await;
            match outcome {
                Err(failure) if failure.is_undecided() => {}
                Ok(mut settled) => {
                    self.show_settled(&mut settled).await?;
                    return Ok(settled);
                }
                Err(failure) => return Err(failure),
            }
            let ask = self.webhooks.ask(docket.rulings.take());
            let convert = self.convert_wanted(docket.rulings.take_wanted());
            let (rulings, converted) = futures::join!(ask, convert);
            for (key, ruling) in rulings {
                docket.rulings.learn(key, ruling);
            }
            for (key, outcome) in converted {
                docket.rulings.learn_converted(key, outcome);
            }
        }
        Err(Failure::internal(
            "webhooks were asked too often about one request",
        ))
    }

    async fn in_turn<F>(
        &self,
        writes: &[Write],
        compute: F,
        request: &Request,
    ) -> Result<Settled, Failure>
    where
        F: Fn(&mut World) -> Result<Vec<Answer>, Failure> + Send + Sync,
    {
        let limited = self.limited(writes);
        if limited.is_empty() {
            return self.carry_out(compute, request).await;
        }
        let _turn = self.turns.take(&limited).await;
        self.carry_out(compute, request).await
    }

    /// The namespaces with quotas that the writes may be about.
    fn limited(&self, writes: &[Write]) -> BTreeSet<String> {
        let view = self.store.view();
        let growing = writes.iter().filter(|write| may_grow(write));
        let namespaces: BTreeSet<&String> = growing
            .filter_map(|write| write.namespace.as_ref())
            .collect();
        let limited = namespaces
            .into_iter()
            .filter(|name| quota::is_limited(&view, name));
        limited.cloned().collect()
    }
}

/// True unless the write surely adds nothing to its namespace.
fn may_grow(write: &Write) -> bool {
    match write.action {
        Action::Delete(_) => false,
        Action::Create | Action::Apply => true,
        Action::Update | Action::Patch(_) => {
            write.subresource.is_empty()
                && (write.resource.create_on_update || write.resource.plural == "tasks")
        }
    }
}
