//! One message to JSON, by its table.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::tables::{Field, Message, Other, Shape, Tables, Type};
use super::wire::{Malformed, Reader, Wire, text};
use crate::body::DEPTH_MAX;

/// Most fields of one body: two bytes can make a value of a hundred.
const FIELDS_MAX: usize = 1 << 19;

/// Reads a whole message into an object.
pub(super) fn read(
    tables: &Tables,
    message: &Message,
    bytes: &[u8],
    into: &mut Map<String, Value>,
) -> Result<(), Malformed> {
    let mut decoder = Decoder {
        tables,
        fields: FIELDS_MAX,
        depth: DEPTH_MAX - 1,
    };
    decoder.message(message, bytes, into)
}

struct Decoder<'t> {
    tables: &'t Tables,
    /// How many more there may be.
    fields: usize,
    /// How much deeper it may go.
    depth: usize,
}

impl Decoder<'_> {
    fn message(
        &mut self,
        message: &Message,
        bytes: &[u8],
        into: &mut Map<String, Value>,
    ) -> Result<(), Malformed> {
        self.depth = self.depth.checked_sub(1).ok_or(Malformed::Deep)?;
        let mut reader = Reader::new(bytes);
        while let Some((number, wire)) = reader.next()? {
            self.fields = self.fields.checked_sub(1).ok_or(Malformed::Many)?;
            if let Some(field) = message.field(number) {
                self.field(field, wire, into)?;
            }
        }
        self.depth += 1;
        Ok(())
    }

    fn field(
        &mut self,
        field: &Field,
        wire: Wire<'_>,
        into: &mut Map<String, Value>,
    ) -> Result<(), Malformed> {
        match field.shape {
            Shape::One => self.one(field, wire, into),
            Shape::Many => {
                let value = self.value(field, wire, None)?.unwrap_or_default();
                let list = into
                    .entry(field.name)
                    .or_insert_with(|| Value::Array(Vec::new()));
                let list = list.as_array_mut().ok_or(Malformed::Misfit(field.name))?;
                list.push(value);
                Ok(())
            }
            Shape::Map => self.entry(field, wire, into),
            Shape::Inline => {
                let (Type::Message(at), Wire::Bytes(bytes)) = (field.type_, wire) else {
                    return Err(Malformed::Misfit(field.name));
                };
                self.message(self.tables.message(at), bytes, into)
            }
        }
    }

    /// A field said twice is the last one; of messages, both together.
    fn one(
        &mut self,
        field: &Field,
        wire: Wire<'_>,
        into: &mut Map<String, Value>,
    ) -> Result<(), Malformed> {
        let present = into.remove(field.name);
        let value = self.value(field, wire, present)?;
        if let Some(value) = value.filter(|value| field.kept || !is_zero(value)) {
            into.insert(field.name.to_owned(), value);
        }
        Ok(())
    }

    /// An entry of a map is a message of its key (1) and its value (2).
    fn entry(
        &mut self,
        field: &Field,
        wire: Wire<'_>,
        into: &mut Map<String, Value>,
    ) -> Result<(), Malformed> {
        let Wire::Bytes(bytes) = wire else {
            return Err(Malformed::Misfit(field.name));
        };
        let (mut key, mut value) = ("", None);
        let mut reader = Reader::new(bytes);
        while let Some((number, wire)) = reader.next()? {
            match (number, wire) {
                (1, Wire::Bytes(bytes)) => key = text(bytes, field.name)?,
                (2, wire) => value = self.value(field, wire, value)?,
                _ => {}
            }
        }
        let value = match value {
            Some(value) => value,
            // Go always writes the value; others leave an empty one out.
            None => self
                .value(field, Wire::Bytes(&[]), None)?
                .unwrap_or_default(),
        };
        let map = into.entry(field.name).or_insert_with(|| Map::new().into());
        let map = map.as_object_mut().ok_or(Malformed::Misfit(field.name))?;
        map.insert(key.to_owned(), value);
        Ok(())
    }

    /// One value; none if it says that there is none.
    fn value(
        &mut self,
        field: &Field,
        wire: Wire<'_>,
        present: Option<Value>,
    ) -> Result<Option<Value>, Malformed> {
        let name = field.name;
        match (field.type_, wire) {
            (Type::Text, Wire::Bytes(bytes)) => Ok(Some(text(bytes, name)?.into())),
            (Type::Bytes, Wire::Bytes(bytes)) => Ok(Some(STANDARD.encode(bytes).into())),
            // Negative numbers of 32 bits are written with 64.
            (Type::Int, Wire::Number(number)) => Ok(Some((number as i64).into())),
            (Type::Bool, Wire::Number(number)) => Ok(Some((number != 0).into())),
            (Type::Double, Wire::Double(number)) => Ok(Some(double(number))),
            (Type::Time, Wire::Bytes(bytes)) => time(bytes, name, "%Y-%m-%dT%H:%M:%SZ"),
            (Type::MicroTime, Wire::Bytes(bytes)) => time(bytes, name, "%Y-%m-%dT%H:%M:%S.%6fZ"),
            (Type::Quantity, Wire::Bytes(bytes)) => {
                let quantity = single(bytes, name)?;
                Ok(Some(
                    if quantity.is_empty() { "0" } else { quantity }.into(),
                ))
            }
            (Type::IntOrString, Wire::Bytes(bytes)) => int_or_string(bytes, name).map(Some),
            (Type::Json, Wire::Bytes(bytes)) => json(bytes, name),
            (Type::Words, Wire::Bytes(bytes)) => self.words(bytes, name).map(Some),
            (Type::Message(at), wire) => {
                let object = match present {
                    Some(Value::Object(object)) => object,
                    _ => Map::new(),
                };
                self.object(at, wire, object, name)
                    .map(|it| Some(it.into()))
            }
            (Type::Either(at, other), Wire::Bytes(bytes)) => {
                self.either(at, other, bytes, name).map(Some)
            }
            _ => Err(Malformed::Misfit(name)),
        }
    }

    /// A message whose fields are added to the object.
    fn object(
        &mut self,
        at: usize,
        wire: Wire<'_>,
        mut object: Map<String, Value>,
        name: &'static str,
    ) -> Result<Map<String, Value>, Malformed> {
        let Wire::Bytes(bytes) = wire else {
            return Err(Malformed::Misfit(name));
        };
        self.message(self.tables.message(at), bytes, &mut object)?;
        Ok(object)
    }

    /// A message of a message and something else, of which JSON writes the one that is there. Go prefers the
    /// list and the words, and the message to the flag.
    fn either(
        &mut self,
        at: usize,
        other: Other,
        bytes: &[u8],
        name: &'static str,
    ) -> Result<Value, Malformed> {
        let (mut one, mut many, mut flag) = (None, Vec::<Value>::new(), false);
        let (one_at, other_at) = if other == Other::Bool { (2, 1) } else { (1, 2) };
        let mut reader = Reader::new(bytes);
        while let Some((number, wire)) = reader.next()? {
            self.fields = self.fields.checked_sub(1).ok_or(Malformed::Many)?;
            if number == one_at {
                one = Some(self.object(at, wire, one.unwrap_or_default(), name)?);
            } else if number == other_at {
                match (other, wire) {
                    (Other::List, wire) => {
                        many.push(self.object(at, wire, Map::new(), name)?.into());
                    }
                    (Other::Words, Wire::Bytes(bytes)) => many.push(text(bytes, name)?.into()),
                    (Other::Bool, Wire::Number(number)) => flag = number != 0,
                    (Other::Words | Other::Bool, _) => return Err(Malformed::Misfit(name)),
                }
            }
        }
        Ok(match (many.is_empty(), one, other) {
            (false, ..) => many.into(),
            (true, Some(one), _) => one.into(),
            (true, None, Other::Bool) => flag.into(),
            (true, None, Other::List | Other::Words) => Value::Null,
        })
    }

    /// A message of nothing but `repeated string items = 1`, which JSON writes as a list.
    fn words(&mut self, bytes: &[u8], name: &'static str) -> Result<Value, Malformed> {
        let mut words = Vec::new();
        let mut reader = Reader::new(bytes);
        while let Some((number, wire)) = reader.next()? {
            self.fields = self.fields.checked_sub(1).ok_or(Malformed::Many)?;
            if let (1, Wire::Bytes(bytes)) = (number, wire) {
                words.push(text(bytes, name)?.into());
            }
        }
        Ok(Value::Array(words))
    }
}

/// A number as Go writes it: without a fraction where there is none. One that JSON cannot say is null.
fn double(number: f64) -> Value {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if number.fract() == 0.0 && number.abs() <= EXACT {
        (number as i64).into()
    } else {
        number.into()
    }
}

fn is_zero(value: &Value) -> bool {
    match value {
        Value::String(text) => text.is_empty(),
        Value::Number(number) => number.as_i64() == Some(0),
        Value::Bool(flag) => !flag,
        Value::Null | Value::Array(_) | Value::Object(_) => false,
    }
}

/// Seconds (1) and nanoseconds (2). Nothing at all is Go's zero time: none.
fn time(bytes: &[u8], name: &'static str, format: &str) -> Result<Option<Value>, Malformed> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let (mut seconds, mut nanos) = (0, 0);
    let mut reader = Reader::new(bytes);
    while let Some((number, wire)) = reader.next()? {
        match (number, wire) {
            (1, Wire::Number(number)) => seconds = number as i64,
            (2, Wire::Number(number)) => nanos = number as i32,
            _ => {}
        }
    }
    let time = Timestamp::new(seconds, nanos).map_err(|_range| Malformed::Time(name))?;
    Ok(Some(time.strftime(format).to_string().into()))
}

/// The text in field 1, of a message that has no other.
fn single<'a>(bytes: &'a [u8], name: &'static str) -> Result<&'a str, Malformed> {
    let mut found = "";
    let mut reader = Reader::new(bytes);
    while let Some((number, wire)) = reader.next()? {
        if let (1, Wire::Bytes(bytes)) = (number, wire) {
            found = text(bytes, name)?;
        }
    }
    Ok(found)
}

/// Type (1: 0 for a number, 1 for a text), number (2), text (3).
fn int_or_string(bytes: &[u8], name: &'static str) -> Result<Value, Malformed> {
    let (mut is_text, mut number, mut word) = (false, 0, "");
    let mut reader = Reader::new(bytes);
    while let Some((at, wire)) = reader.next()? {
        match (at, wire) {
            (1, Wire::Number(type_)) => is_text = type_ == 1,
            (2, Wire::Number(value)) => number = value as i64,
            (3, Wire::Bytes(bytes)) => word = text(bytes, name)?,
            _ => {}
        }
    }
    Ok(if is_text { word.into() } else { number.into() })
}

/// JSON in field 1. Its depth is bounded by serde_json.
fn json(bytes: &[u8], name: &'static str) -> Result<Option<Value>, Malformed> {
    let text = single(bytes, name)?;
    if text.is_empty() {
        return Ok(None);
    }
    let value = serde_json::from_str(text).map_err(|_invalid| Malformed::Json(name))?;
    Ok(Some(value))
}
