//! What ownership needs to know of a schema: which parts of a value can be owned by themselves.
//! Compiled once per resource, because every tracked write walks it.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::Value;

pub mod compile;

/// How a place may be filled. Several forms together: whichever the value has.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Type {
    /// As a plain value.
    pub scalar: Option<Scalar>,
    /// As a list.
    pub list: Option<List>,
    /// As a map.
    pub map: Option<Map>,
}

/// Plain values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scalar {
    /// Integers and numbers.
    Number,
    /// Strings.
    Text,
    /// Booleans.
    Boolean,
    /// Any plain value.
    Any,
}

/// A list.
#[derive(Clone, Debug, PartialEq)]
pub struct List {
    /// Its entries.
    pub items: Rest,
    /// How they belong together.
    pub relation: Relation,
}

/// How the entries of a list belong together.
#[derive(Clone, Debug, PartialEq)]
pub enum Relation {
    /// The list is one value.
    Atomic,
    /// Each plain value is there at most once, and owned by itself.
    Set,
    /// Entries are told apart by these fields.
    Keyed(Vec<Key>),
}

/// A field that tells entries apart.
#[derive(Clone, Debug, PartialEq)]
pub struct Key {
    /// Its name.
    pub name: String,
    /// What an entry without it is taken to have.
    pub default: Option<Value>,
}

/// A map.
#[derive(Clone, Debug, PartialEq)]
pub struct Map {
    /// Fields that are declared.
    pub fields: BTreeMap<String, Type>,
    /// All other fields.
    pub rest: Rest,
    /// The map is one value.
    pub atomic: bool,
}

/// The type of what has no name of its own.
#[derive(Clone, Debug, PartialEq)]
pub enum Rest {
    /// There is none.
    Nothing,
    /// Of this type.
    Of(Box<Type>),
    /// Nothing is known: taken as it comes, maps by field and lists as a whole.
    Deduced,
}

/// What nothing is known of.
static DEDUCED: LazyLock<Type> = LazyLock::new(|| Type {
    scalar: Some(Scalar::Any),
    list: Some(List {
        items: Rest::Deduced,
        relation: Relation::Atomic,
    }),
    map: Some(Map {
        fields: BTreeMap::new(),
        rest: Rest::Deduced,
        atomic: false,
    }),
});

/// What is in no schema at all.
static UNKNOWN: Type = Type {
    scalar: None,
    list: None,
    map: None,
};

impl Rest {
    /// The type; none if nothing may be here.
    #[must_use]
    pub fn get(&self) -> Option<&Type> {
        match self {
            Self::Nothing => None,
            Self::Of(type_) => Some(type_),
            Self::Deduced => Some(&DEDUCED),
        }
    }
}

impl List {
    /// The type of an entry.
    #[must_use]
    pub fn item(&self) -> &Type {
        self.items.get().unwrap_or(&UNKNOWN)
    }

    /// True if it is one value.
    #[must_use]
    pub fn is_atomic(&self) -> bool {
        self.relation == Relation::Atomic
    }
}

impl Map {
    /// The type of a field; of nothing at all if it is not in the schema.
    #[must_use]
    pub fn field(&self, name: &str) -> &Type {
        self.known(name).unwrap_or(&UNKNOWN)
    }

    /// The type of a field, if the schema has it.
    #[must_use]
    pub fn known(&self, name: &str) -> Option<&Type> {
        self.fields.get(name).or_else(|| self.rest.get())
    }

    /// True if nothing is declared and everything is taken as it comes.
    #[must_use]
    pub fn is_deduced(&self) -> bool {
        self.fields.is_empty() && self.rest == Rest::Deduced
    }
}

impl Type {
    /// A plain value.
    #[must_use]
    pub fn scalar(scalar: Scalar) -> Self {
        Self {
            scalar: Some(scalar),
            ..Self::default()
        }
    }

    /// A list.
    #[must_use]
    pub fn list(items: Self, relation: Relation) -> Self {
        let items = Rest::Of(Box::new(items));
        Self {
            list: Some(List { items, relation }),
            ..Self::default()
        }
    }

    /// A map.
    #[must_use]
    pub fn map(fields: BTreeMap<String, Self>, rest: Rest, atomic: bool) -> Self {
        Self {
            map: Some(Map {
                fields,
                rest,
                atomic,
            }),
            ..Self::default()
        }
    }

    /// What nothing is known of.
    #[must_use]
    pub fn deduced() -> Self {
        DEDUCED.clone()
    }

    /// How a value is taken. What does not fit its type is taken as one plain value: it was stored
    /// under another schema.
    #[must_use]
    pub fn nature(&self, value: &Value) -> Nature<'_> {
        match value {
            Value::Object(_) => self.as_map(),
            Value::Array(_) => self.as_list(),
            // Nothing at all stands for an empty container where one is declared.
            Value::Null if self.map.is_some() => self.as_map(),
            Value::Null if self.scalar.is_none() => self.as_list(),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Nature::Leaf,
        }
    }

    fn as_map(&self) -> Nature<'_> {
        match &self.map {
            Some(map) if !map.atomic => Nature::Map(map),
            Some(_) | None => Nature::Leaf,
        }
    }

    fn as_list(&self) -> Nature<'_> {
        match &self.list {
            Some(list) if !list.is_atomic() => Nature::List(list),
            Some(_) | None => Nature::Leaf,
        }
    }
}

/// How a value is taken.
#[derive(Clone, Copy, Debug)]
pub enum Nature<'t> {
    /// As one.
    Leaf,
    /// Field by field.
    Map(&'t Map),
    /// Entry by entry.
    List(&'t List),
}

impl Nature<'_> {
    /// True if both take values in the same way; they come from the same type.
    #[must_use]
    pub fn agrees(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }
}
