//! Stored objects as a version of their definition shows them: with defaults that came after them,
//! and converted where versions differ. Nothing is looked into that can be shown as it is stored.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};
use serde_json::Value;
use store::Item;

use super::Engine;
use super::settled::{Final, Settled};
use crate::conversion::{Key, Wanted};
use crate::object::Form;
use crate::registry::Descriptor;
use crate::status::Failure;

/// Objects in one review at most.
const OBJECTS: usize = 500;

/// Bytes in one review, about: the answer must fit within what is read of it.
const BYTES: usize = 2 << 20;

/// Reviews of one list under way at once.
const REVIEWS: usize = 4;

impl Engine {
    /// Stored items as this resource shows them.
    ///
    /// # Errors
    /// 500 when a webhook does not convert them.
    pub(crate) async fn show(
        &self,
        resource: &Arc<Descriptor>,
        mut items: Vec<Item>,
    ) -> Result<Vec<Item>, Failure> {
        if resource.family.is_none() {
            return Ok(items);
        }
        let own = resource.api_version();
        let (mut places, mut waiting) = (Vec::new(), Vec::new());
        for (n, item) in items.iter_mut().enumerate() {
            if resource.shows(item, item.mod_revision) {
                continue;
            }
            let value = resource.completed(item);
            if value["apiVersion"] == *own {
                *item = resource.item(item, &value);
            } else {
                places.push(n);
                waiting.push(value);
            }
        }
        let converted = self.convert(resource, &own, waiting).await?;
        for (n, value) in places.into_iter().zip(&converted) {
            items[n] = resource.item(&items[n], value);
        }
        Ok(items)
    }

    /// Objects of any versions in this one. Large lists take several reviews.
    async fn convert(
        &self,
        resource: &Descriptor,
        to: &str,
        objects: Vec<Value>,
    ) -> Result<Vec<Value>, Failure> {
        let (Some(webhook), Some(family)) = (resource.webhook(), &resource.family) else {
            return Ok(objects);
        };
        let reviews = stream::iter(pieces(objects));
        let reviews = reviews.map(|piece| async move {
            let mut converted = self.webhooks.convert(webhook, &piece, to).await?;
            converted.iter_mut().for_each(|object| family.prune(object));
            Ok::<_, Failure>(converted)
        });
        let all: Vec<Vec<Value>> = reviews.buffered(REVIEWS).try_collect().await?;
        Ok(all.into_iter().flatten().collect())
    }

    /// What a computation wanted converted, each with what it came to.
    pub(super) async fn convert_wanted(
        &self,
        wanted: Vec<Wanted>,
    ) -> Vec<(Key, Result<Value, Failure>)> {
        let mut groups: BTreeMap<(String, String), Vec<Wanted>> = BTreeMap::new();
        for one in wanted {
            let key = (one.resource.plural.clone(), one.to.clone());
            groups.entry(key).or_default().push(one);
        }
        let mut outcomes = Vec::new();
        for ((_, to), group) in groups {
            let resource = Arc::clone(&group[0].resource);
            let objects = group.iter().map(|one| one.object.clone()).collect();
            let keys = group.iter().map(|one| one.key);
            match self.convert(&resource, &to, objects).await {
                Ok(converted) => outcomes.extend(keys.zip(converted.into_iter().map(Ok))),
                Err(failure) => outcomes.extend(keys.map(|key| (key, Err(failure.clone())))),
            }
        }
        outcomes
    }

    /// The answers to writes, as the versions they were written in show them; those of one resource
    /// are converted together.
    pub(super) async fn show_settled(&self, settled: &mut Settled) -> Result<(), Failure> {
        let mut waiting: BTreeMap<(String, String), Vec<(usize, Value)>> = BTreeMap::new();
        for (n, answer) in settled.answers.iter_mut().enumerate() {
            let Some(value) = unfinished(answer.resource(), answer.form()) else {
                continue;
            };
            let (plural, own) = (&answer.resource().plural, answer.resource().api_version());
            if value["apiVersion"] == *own {
                answer.set_form(finished(answer, value));
            } else {
                waiting
                    .entry((plural.clone(), own))
                    .or_default()
                    .push((n, value));
            }
        }
        for ((_, to), group) in waiting {
            let (places, values): (Vec<usize>, Vec<Value>) = group.into_iter().unzip();
            let resource = settled.answers[places[0]].shared_resource();
            let converted = self.convert(&resource, &to, values).await?;
            for (n, value) in places.into_iter().zip(converted) {
                let form = finished(&settled.answers[n], value);
                settled.answers[n].set_form(form);
            }
        }
        Ok(())
    }
}

/// The object of an answer, if it cannot be shown as it is.
fn unfinished(resource: &Descriptor, form: &Form) -> Option<Value> {
    let _several = resource.family.as_ref()?;
    match form {
        Form::Stored(item) => {
            (!resource.shows(item, item.mod_revision)).then(|| resource.completed(item))
        }
        Form::Value(value) if value["kind"] == *resource.kind => {
            let mut value = value.clone();
            resource.complete(&mut value);
            Some(value)
        }
        Form::Value(_) => None,
    }
}

/// The answer's form, with this object.
fn finished(answer: &Final, object: Value) -> Form {
    match answer.form() {
        Form::Stored(item) => Form::Stored(answer.resource().item(item, &object)),
        Form::Value(_) => Form::Value(object),
    }
}

/// As many objects in a piece as a review may have.
fn pieces(objects: Vec<Value>) -> Vec<Vec<Value>> {
    let mut pieces: Vec<Vec<Value>> = Vec::new();
    let mut bytes = 0;
    for object in objects {
        let size = object.to_string().len();
        match pieces.last_mut() {
            Some(piece) if piece.len() < OBJECTS && bytes + size <= BYTES => {
                piece.push(object);
                bytes += size;
            }
            Some(_) | None => {
                pieces.push(vec![object]);
                bytes = size;
            }
        }
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_keep_everything_in_order() {
        let objects: Vec<Value> = (0..1_200).map(|n| n.into()).collect();
        let found = pieces(objects.clone());
        assert_eq!(
            found.iter().map(Vec::len).collect::<Vec<_>>(),
            [500, 500, 200]
        );
        assert_eq!(found.concat(), objects);
        let large: Vec<Value> = (0..3).map(|_| "x".repeat(BYTES / 2).into()).collect();
        assert_eq!(pieces(large).len(), 3);
        assert_eq!(pieces(Vec::new()), [[Value::Null; 0]; 0]);
    }
}
