//! DELETE of a collection: every selected object, in one transaction.

use std::sync::Arc;

use super::{Action, Answer, Context, Write, delete};
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
    names
        .into_iter()
        .map(|(namespace, name)| {
            let write = Write {
                action: Action::Delete(wanted.options.clone()),
                resource: Arc::clone(&wanted.resource),
                namespace,
                name,
                subresource: String::new(),
                input: Input::default(),
                validation: FieldValidation::Ignore,
            };
            delete::run(world, &write, &wanted.options, context)
        })
        .collect()
}
