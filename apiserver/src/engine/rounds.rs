//! Writes that admission has a say in: those a quota is about wait for their turn.

use std::collections::BTreeSet;

use super::Engine;
use super::commit::Request;
use super::settled::Settled;
use crate::admission::quota;
use crate::status::Failure;
use crate::verbs::{Action, Answer, Write};
use crate::world::World;

impl Engine {
    /// Computes and commits the plan of these writes.
    pub(super) async fn admit<F>(
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
