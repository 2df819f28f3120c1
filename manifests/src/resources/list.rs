//! `ResourceList`: resources as they are written in a manifest, text kept as typed.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{GPUS, Milli, PORTS, QuantityError, Ranges, Resources, canonical, in_bytes};

/// Resources as written: `{cpus: "0.5", mem: 64Mi, ports: 31000-31005}`.
///
/// Reading one never fails, so that no stored object can stop a controller;
/// [`ResourceList::exact`] is where it is judged.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ResourceList(BTreeMap<String, Amount>);

/// One written amount: a quantity (or ports) as a string or a number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Amount(Value);

/// What is wrong with one entry of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The name as written.
    pub key: String,
    /// What is wrong, and what would be right.
    pub message: String,
}

impl ResourceList {
    /// True when nothing is written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The amount written under exactly this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Amount> {
        self.0.get(name)
    }

    /// The entries, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Amount)> {
        self.0.iter().map(|(name, amount)| (name.as_str(), amount))
    }

    /// Writes an entry.
    pub fn insert(&mut self, name: impl Into<String>, amount: impl Into<Amount>) {
        self.0.insert(name.into(), amount.into());
    }

    /// The exact resources, or everything that is wrong.
    ///
    /// # Errors
    /// One [`Problem`] for each entry that is no quantity, and for each said twice (`cpu`, `cpus`).
    pub fn exact(&self) -> Result<Resources, Vec<Problem>> {
        let (mut resources, mut problems) = (Resources::default(), Vec::new());
        for (key, amount) in &self.0 {
            if let Err(message) = self.enter(key, amount, &mut resources) {
                problems.push(Problem {
                    key: key.clone(),
                    message,
                });
            }
        }
        if problems.is_empty() {
            Ok(resources)
        } else {
            Err(problems)
        }
    }

    fn enter(&self, key: &str, amount: &Amount, into: &mut Resources) -> Result<(), String> {
        name_is_valid(key)?;
        let name = canonical(key);
        if name != key && self.0.contains_key(name) {
            return Err(format!("says the same as {name:?}; leave one of them out"));
        }
        if name == PORTS {
            into.set_ports(amount.ports()?);
        } else {
            into.set(name, amount.quantity(name)?);
        }
        Ok(())
    }
}

/// Names are those Kubernetes allows for a resource, so that any may be added: `example.com/fpga`.
fn name_is_valid(name: &str) -> Result<(), String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/');
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    if name.len() <= 253
        && name.chars().all(plain)
        && edge(name.chars().next())
        && edge(name.chars().last())
    {
        return Ok(());
    }
    Err(
        "is not a resource name: letters, digits, '-', '_', '.' and '/' only, e.g. \"cpus\""
            .to_owned(),
    )
}

impl Amount {
    /// As a quantity of `name`.
    fn quantity(&self, name: &str) -> Result<Milli, String> {
        let text = self.text()?;
        let milli: Milli = text
            .parse()
            .map_err(|error: QuantityError| error.to_string())?;
        if (name == GPUS || in_bytes(name)) && milli.get() % 1_000 != 0 {
            return Err(QuantityError::NotWhole(text.into_owned()).to_string());
        }
        Ok(milli)
    }

    fn ports(&self) -> Result<Ranges, String> {
        self.text()?
            .parse()
            .map_err(|error: super::RangeError| error.to_string())
    }

    /// The text as typed; for a number, its shortest spelling.
    fn text(&self) -> Result<Cow<'_, str>, String> {
        match &self.0 {
            Value::String(text) => Ok(Cow::Borrowed(text)),
            Value::Number(number) => Ok(Cow::Owned(number.to_string())),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => Err(format!(
                "{} is not a quantity; write for example \"2\", \"500m\" or \"64Mi\"",
                self.0
            )),
        }
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Value::String(text) => f.write_str(text),
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::Array(_)
            | Value::Object(_) => self.0.fmt(f),
        }
    }
}

impl<T: Into<Value>> From<T> for Amount {
    fn from(value: T) -> Self {
        Self(value.into())
    }
}

impl<N: Into<String>, A: Into<Amount>> FromIterator<(N, A)> for ResourceList {
    fn from_iter<I: IntoIterator<Item = (N, A)>>(entries: I) -> Self {
        Self(
            entries
                .into_iter()
                .map(|(name, amount)| (name.into(), amount.into()))
                .collect(),
        )
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.message)
    }
}

impl std::error::Error for Problem {}

/// Reads the form of the agent's flag: `cpus=8;mem=16Gi;ports=[31000-32000]`.
impl FromStr for ResourceList {
    type Err = Problem;

    fn from_str(text: &str) -> Result<Self, Problem> {
        let mut list = Self::default();
        for part in text
            .split(';')
            .map(str::trim)
            .filter(|part| !part.is_empty())
        {
            let wrong = |message: &str| Problem {
                key: part.to_owned(),
                message: message.to_owned(),
            };
            let (name, amount) = part
                .split_once(['=', ':'])
                .ok_or_else(|| wrong("is not NAME=AMOUNT, for example cpus=8"))?;
            let (name, amount) = (name.trim(), amount.trim());
            if list.get(name).is_some() {
                return Err(wrong("is given twice"));
            }
            list.insert(name, amount);
        }
        Ok(list)
    }
}

impl JsonSchema for ResourceList {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "ResourceList".into()
    }

    /// Values are left open rather than `int-or-string`, because people write `cpus: 0.5` without
    /// quotes; `validate` judges them with a better message than a schema could give.
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "additionalProperties": { "x-kubernetes-preserve-unknown-fields": true },
        })
    }
}
