//! The variables that the checker knows at a place, and their types.

use super::types::Type;

/// Variables and their types.
pub(crate) struct Scope<'s> {
    variables: Vec<(&'s str, Type<'s>)>,
}

impl<'s> Scope<'s> {
    pub(crate) fn of(variables: &[(&'s str, Type<'s>)]) -> Self {
        Self {
            variables: variables.to_vec(),
        }
    }

    pub(super) fn get(&self, name: &str) -> Option<&Type<'s>> {
        let own = self.variables.iter().rev().find(|(own, _)| *own == name);
        own.map(|(_, kind)| kind)
    }

    /// The type of `name.field`, where that is a name of its own.
    pub(super) fn qualified(&self, name: &str, field: &str) -> Option<&Type<'s>> {
        let whole = (name, field);
        for (own, kind) in self.variables.iter().rev() {
            match own.split_once('.') {
                Some(parts) if parts == whole => return Some(kind),
                None if *own == name => return None,
                Some(_) | None => {}
            }
        }
        None
    }

    pub(super) fn with(&self, variables: impl IntoIterator<Item = (&'s str, Type<'s>)>) -> Self {
        let all = self.variables.iter().cloned().chain(variables);
        Self {
            variables: all.collect(),
        }
    }
}
