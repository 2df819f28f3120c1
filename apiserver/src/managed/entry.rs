//! One entry of `metadata.managedFields`: who owns what.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::fields::{self, FieldsError};
use super::set::Set;

/// How somebody came to own fields. In the order in which entries are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// By applying a configuration.
    Apply,
    /// By any other write.
    Update,
}

impl Operation {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Apply => "Apply",
            Self::Update => "Update",
        }
    }
}

/// Somebody, and what they own.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Their name.
    pub manager: String,
    /// How they came to own it.
    pub operation: Operation,
    /// The version they spoke.
    pub api_version: String,
    /// The subresource they wrote; empty: the object itself.
    pub subresource: String,
    /// When, RFC 3339.
    pub time: Option<String>,
    /// What they own.
    pub fields: Set,
}

/// Why an entry cannot be read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// The list, or an entry, is of the wrong JSON type.
    #[error("managedFields must be a list of objects")]
    Shape,
    /// Neither Apply nor Update.
    #[error("operation must be `Apply` or `Update`")]
    Operation,
    /// No version.
    #[error("apiVersion must not be empty")]
    Version,
    /// Not FieldsV1.
    #[error("invalid fieldsType {0:?} in managed fields entry")]
    FieldsType(String),
    /// No RFC 3339.
    #[error("time {0:?} is no RFC 3339 time")]
    Time(String),
    /// The fields are malformed.
    #[error("error decoding set: {0}")]
    Fields(#[from] FieldsError),
}

impl Entry {
    /// Reads an entry.
    ///
    /// # Errors
    /// When it is malformed.
    pub fn decode(value: &Value) -> Result<Self, EntryError> {
        let map = value.as_object().ok_or(EntryError::Shape)?;
        let text = |field: &str| match map.get(field) {
            None | Some(Value::Null) => Ok(""),
            Some(Value::String(text)) => Ok(text.as_str()),
            Some(_) => Err(EntryError::Shape),
        };
        let operation = match text("operation")? {
            "Apply" => Operation::Apply,
            "Update" => Operation::Update,
            _ => return Err(EntryError::Operation),
        };
        let (api_version, time) = (text("apiVersion")?, text("time")?);
        if api_version.is_empty() {
            return Err(EntryError::Version);
        }
        if text("fieldsType")? != "FieldsV1" {
            return Err(EntryError::FieldsType(text("fieldsType")?.to_owned()));
        }
        if !time.is_empty() && time.parse::<Timestamp>().is_err() {
            return Err(EntryError::Time(time.to_owned()));
        }
        let fields = map.get("fieldsV1").filter(|fields| !fields.is_null());
        Ok(Self {
            manager: text("manager")?.to_owned(),
            operation,
            api_version: api_version.to_owned(),
            subresource: text("subresource")?.to_owned(),
            time: Some(time.to_owned()).filter(|time| !time.is_empty()),
            fields: fields.map_or(Ok(Set::default()), fields::decode)?,
        })
    }

    /// Writes it.
    #[must_use]
    pub fn encode(&self) -> Value {
        let mut entry = json!({
            "manager": self.manager, "operation": self.operation.as_str(), "apiVersion": self.api_version,
            "fieldsType": "FieldsV1", "fieldsV1": fields::encode(&self.fields),
        });
        if let Some(time) = &self.time {
            entry["time"] = time.as_str().into();
        }
        if !self.subresource.is_empty() {
            entry["subresource"] = self.subresource.as_str().into();
        }
        entry
    }

    /// What tells managers apart. Whoever applies is the same in every version.
    #[must_use]
    pub fn identity(&self) -> (&str, Operation, &str, &str) {
        let version = match self.operation {
            Operation::Apply => "",
            Operation::Update => self.api_version.as_str(),
        };
        (&self.manager, self.operation, version, &self.subresource)
    }

    /// Seconds since 1970; 0 if it is not known.
    #[must_use]
    pub fn seconds(&self) -> i64 {
        let time = self
            .time
            .as_deref()
            .and_then(|time| time.parse::<Timestamp>().ok());
        time.map_or(0, Timestamp::as_second)
    }

    /// As conflicts name it.
    #[must_use]
    pub fn described(&self) -> String {
        let mut text = format!("{:?}", self.manager);
        if !self.subresource.is_empty() {
            text += &format!(" with subresource {:?}", self.subresource);
        }
        if self.operation == Operation::Update {
            text += &format!(" using {}", self.api_version);
        }
        text
    }
}
