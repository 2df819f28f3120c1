//! Static types, as far as a schema gives them. What is not known is `dyn`, and fits everything.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value as Json;

use super::escape::unescape;
use super::shape::{entries, flag};

/// A static type.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Type<'s> {
    Dyn,
    Null,
    Bool,
    Int,
    Uint,
    Double,
    String,
    Bytes,
    Timestamp,
    Duration,
    List(Box<Type<'s>>),
    Map(Box<[Type<'s>; 2]>),
    Optional(Box<Type<'s>>),
    /// An object with the fields of this schema; true: with type and metadata as well.
    Object(&'s Json, bool),
    /// The metadata of an object, of which the names are seen.
    Metadata,
    /// The variables a policy composes.
    Variables(&'s BTreeMap<String, Type<'static>>),
    /// The type of types.
    Meta,
    /// One of Kubernetes' own.
    Named(&'static str),
    /// A parameter of a signature: `A`, `B`.
    Parameter(char),
}

impl<'s> Type<'s> {
    pub(crate) fn list(item: Self) -> Self {
        Self::List(Box::new(item))
    }

    pub(crate) fn map(key: Self, value: Self) -> Self {
        Self::Map(Box::new([key, value]))
    }

    pub(crate) fn optional(inner: Self) -> Self {
        Self::Optional(Box::new(inner))
    }

    /// The type of what a schema describes (`common.SchemaDeclType`); none if rules cannot see it.
    pub(crate) fn of(schema: &'s Json, root: bool) -> Option<Self> {
        if flag(schema, "x-kubernetes-int-or-string") {
            return Some(Self::Dyn);
        }
        let word = |name: &str| schema.get(name).and_then(Json::as_str).unwrap_or_default();
        let embedded = root || flag(schema, "x-kubernetes-embedded-resource");
        Some(match word("type") {
            "array" => Self::list(Self::of(schema.get("items")?, false)?),
            "object" => match entries(schema) {
                Some(inner) => Self::map(Self::String, Self::of(inner, false)?),
                None => Self::Object(schema, embedded),
            },
            "string" => match word("format") {
                "byte" => Self::Bytes,
                "duration" => Self::Duration,
                "date" | "date-time" => Self::Timestamp,
                _ => Self::String,
            },
            "boolean" => Self::Bool,
            "number" => Self::Double,
            "integer" => Self::Int,
            _ => return None,
        })
    }

    /// The type of a field; `Err(true)` if there is no such field, `Err(false)` if there are none.
    pub(crate) fn field(&self, name: &str) -> Result<Self, bool> {
        match self {
            Self::Dyn | Self::Parameter(_) => Ok(Self::Dyn),
            Self::Map(parts) => Ok(parts[1].clone()),
            Self::Optional(inner) => inner.field(name).map(Self::optional),
            Self::Metadata => match name {
                "name" | "generateName" => Ok(Self::String),
                _ => Err(true),
            },
            Self::Variables(all) => all.get(name).cloned().ok_or(true),
            Self::Object(schema, root) => {
                let name = unescape(name);
                match &*name {
                    "metadata" if *root => return Ok(Self::Metadata),
                    "apiVersion" | "kind" if *root => return Ok(Self::String),
                    _ => {}
                }
                let found = schema.get("properties").and_then(|all| all.get(&*name));
                found.and_then(|schema| Self::of(schema, false)).ok_or(true)
            }
            Self::Null
            | Self::Bool
            | Self::Int
            | Self::Uint
            | Self::Double
            | Self::String
            | Self::Bytes
            | Self::Timestamp
            | Self::Duration
            | Self::List(_)
            | Self::Meta
            | Self::Named(_) => Err(false),
        }
    }

    /// True if a value of this type may be given where the other is wanted, parameters of the
    /// other being bound.
    pub(crate) fn fits(&self, wanted: &Self, bound: &mut Vec<(char, Self)>) -> bool {
        match (self, wanted) {
            (given, Self::Parameter(name)) => {
                match bound
                    .iter()
                    .find(|(own, _)| own == name)
                    .map(|(_, kind)| kind.clone())
                {
                    Some(Self::Dyn) => {
                        bound.retain(|(own, _)| own != name);
                        bound.push((*name, given.clone()));
                        true
                    }
                    Some(known) => given.fits(&known, bound),
                    None => {
                        bound.push((*name, given.clone()));
                        true
                    }
                }
            }
            (Self::Dyn, _) | (_, Self::Dyn) => true,
            (Self::List(a), Self::List(b)) | (Self::Optional(a), Self::Optional(b)) => {
                a.fits(b, bound)
            }
            (Self::Map(a), Self::Map(b)) => a[0].fits(&b[0], bound) && a[1].fits(&b[1], bound),
            // Null stands for an absent object or time.
            (
                Self::Null,
                Self::Object(..)
                | Self::Metadata
                | Self::Timestamp
                | Self::Duration
                | Self::Named(_)
                | Self::Optional(_),
            ) => true,
            (Self::Object(..) | Self::Timestamp | Self::Duration | Self::Named(_), Self::Null) => {
                true
            }
            (a, b) => a == b,
        }
    }

    /// What is known of this type where an expression is composed into another
    /// (`convertCelTypeToDeclType`): what Kubernetes adds to the language is not.
    pub(crate) fn composed(&self) -> Type<'static> {
        match self {
            Self::Null => Type::Null,
            Self::Bool => Type::Bool,
            Self::Int => Type::Int,
            Self::Uint => Type::Uint,
            Self::Double => Type::Double,
            Self::String => Type::String,
            Self::Bytes => Type::Bytes,
            Self::Timestamp => Type::Timestamp,
            Self::Duration => Type::Duration,
            Self::List(item) => Type::list(item.composed()),
            Self::Map(parts) => Type::map(parts[0].composed(), parts[1].composed()),
            Self::Dyn
            | Self::Optional(_)
            | Self::Object(..)
            | Self::Metadata
            | Self::Variables(_)
            | Self::Meta
            | Self::Named(_)
            | Self::Parameter(_) => Type::Dyn,
        }
    }

    /// The type with its parameters replaced by what they are bound to.
    pub(crate) fn with(&self, bound: &[(char, Self)]) -> Self {
        match self {
            Self::Parameter(name) => bound
                .iter()
                .find(|(own, _)| own == name)
                .map_or(Self::Dyn, |(_, kind)| kind.clone()),
            Self::List(item) => Self::list(item.with(bound)),
            Self::Optional(inner) => Self::optional(inner.with(bound)),
            Self::Map(parts) => Self::map(parts[0].with(bound), parts[1].with(bound)),
            other => other.clone(),
        }
    }
}

impl fmt::Display for Type<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::List(item) => write!(f, "list({item})"),
            Self::Map(parts) => write!(f, "map({}, {})", parts[0], parts[1]),
            Self::Optional(inner) => write!(f, "optional_type({inner})"),
            Self::Parameter(name) => write!(f, "{name}"),
            Self::Dyn => f.write_str("dyn"),
            Self::Null => f.write_str("null"),
            Self::Bool => f.write_str("bool"),
            Self::Int => f.write_str("int"),
            Self::Uint => f.write_str("uint"),
            Self::Double => f.write_str("double"),
            Self::String => f.write_str("string"),
            Self::Bytes => f.write_str("bytes"),
            Self::Timestamp => f.write_str("timestamp"),
            Self::Duration => f.write_str("duration"),
            Self::Object(..) | Self::Metadata | Self::Variables(_) => f.write_str("object"),
            Self::Meta => f.write_str("type"),
            Self::Named(name) => f.write_str(name),
        }
    }
}
