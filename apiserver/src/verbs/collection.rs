//! DELETE of a collection: every selected object, in one transaction.

use std::sync::Arc;

use serde_json::Value;

use super::{Action, Answer, Context, Shown, Write, delete};
use crate::body::Input;
use crate::keys;
use crate::params::FieldValidation;
use crate::read;
use crate::registry::Descriptor;
use crate::selector::Selector;
use crate::status::Failure;
use crate::world::World;

/// Which objects of a resource.
#[derive(Clone, Debug)]
pub struct Collection {
    /// The resource.
    pub resource: Arc<Descriptor>,
    /// In which namespace; none: all.
    pub namespace: Option<String>,
    /// Which of them.
    pub selector: Selector,
    /// How each is deleted.
    pub options: delete::Options,
}

/// Deletes the collection.
///
/// # Errors
/// As a delete of each.
pub fn run(
    world: &mut World,
    wanted: &Collection,
    context: &Context<'_>,
) -> Result<Vec<Answer>, Failure> {
    if !wanted.resource.serves("deletecollection") {
        return Err(Failure::method_not_allowed(
            &wanted.resource.gr(),
            "deletecollection",
        ));
    }
    let prefix = keys::list(&wanted.resource, wanted.namespace.as_deref());
    let found = read::select((world.view(), world.vault()), &prefix, &wanted.selector);
    let names: Vec<(Option<String>, String)> = found
        .filter_map(|item| {
            let parts = keys::parse(&item.key)?;
            Some((parts.namespace.map(String::from), parts.name.to_owned()))
        })
        .collect();
    let (mut answers, mut undecided) = (Vec::with_capacity(names.len()), None);
    for (namespace, name) in names {
        let write = Write {
            action: Action::Delete(wanted.options.clone()),
            resource: Arc::clone(&wanted.resource),
            namespace,
            name,
            subresource: String::new(),
            input: Input::default(),
            validation: FieldValidation::Ignore,
        };
        let old = world.read(&write.key());
        match delete::run(world, &write, &wanted.options, context) {
            Ok(answer) => answers.push(whole(answer, &write, old)),
            // The others' questions can be asked at the same time.
            Err(failure) if failure.is_undecided() => undecided = Some(failure),
            Err(failure) => return Err(undecided.unwrap_or(failure)),
        }
    }
    undecided.map_or(Ok(answers), Err)
}

/// The list is of objects, those among them whose own deletion is answered with a `Status`.
fn whole(answer: Answer, write: &Write, old: Option<Arc<Value>>) -> Answer {
    let shown = match (answer.shown, old) {
        (Shown::Value(_), Some(old)) => Shown::Removed(write.key(), Value::clone(&old)),
        (shown, _) => shown,
    };
    Answer { shown, ..answer }
}
