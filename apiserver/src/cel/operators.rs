//! Equality, order and arithmetic.

use std::cmp::Ordering;

use jiff::SignedDuration;

use super::ast::Operator;
use super::convert;
use super::eval::{Error, Meter};
use super::value::{Key, List, Map, Text, Value};

/// Applies an operator to its two operands.
pub(crate) fn apply<'a>(
    operator: Operator,
    left: &Value<'a>,
    right: &Value<'a>,
    meter: &Meter,
) -> Result<Value<'a>, Error> {
    let ordered = |fits: fn(Ordering) -> bool| match compare(left, right)? {
        Some(order) => Ok(Value::Bool(fits(order))),
        None => Ok(Value::Bool(false)),
    };
    match operator {
        Operator::Equal => Ok(Value::Bool(equal(left, right, meter)?)),
        Operator::NotEqual => Ok(Value::Bool(!equal(left, right, meter)?)),
        Operator::Less => ordered(Ordering::is_lt),
        Operator::LessEqual => ordered(Ordering::is_le),
        Operator::Greater => ordered(Ordering::is_gt),
        Operator::GreaterEqual => ordered(Ordering::is_ge),
        Operator::In => contains(right, left, meter).map(Value::Bool),
        Operator::Add => add(left, right, meter),
        Operator::Subtract => subtract(left, right),
        Operator::Multiply => multiply(left, right),
        Operator::Divide => divide(left, right),
        Operator::Modulo => modulo(left, right),
    }
}

/// `==`. Values of different types are different, save numbers.
pub(crate) fn equal(left: &Value<'_>, right: &Value<'_>, meter: &Meter) -> Result<bool, Error> {
    meter.charge(1 + left.weight().min(right.weight()))?;
    Ok(match (left, right) {
        (Value::Null, Value::Null) => true,
        (Value::Bool(a), Value::Bool(b)) => a == b,
        (Value::String(a), Value::String(b)) => **a == **b,
        (Value::Bytes(a), Value::Bytes(b)) => a == b,
        (Value::Timestamp(a), Value::Timestamp(b)) => a == b,
        (Value::Duration(a), Value::Duration(b)) => a == b,
        (Value::Type(a), Value::Type(b)) => a == b,
        (Value::Special(a), Value::Special(b)) => a.equals(b).ok_or(Error::Overload)?,
        (Value::Optional(None), Value::Optional(None)) => true,
        (Value::Optional(Some(a)), Value::Optional(Some(b))) => equal(a, b, meter)?,
        (Value::List(a), Value::List(b)) => lists_equal(a, b, meter)?,
        (Value::Map(a), Value::Map(b)) => maps_equal(a, b, meter)?,
        _ => numbers(left, right) == Some(Some(Ordering::Equal)),
    })
}

fn lists_equal(a: &List<'_>, b: &List<'_>, meter: &Meter) -> Result<bool, Error> {
    if a.len() != b.len() {
        return Ok(false);
    }
    // Sets and maps are the same in any order.
    if let (List::Json(_, a_shape), List::Json(_, _)) = (a, b)
        && a_shape.list_type() != "atomic"
    {
        for item in a.iter() {
            if !list_has(b, &item, meter)? {
                return Ok(false);
            }
        }
        return Ok(true);
    }
    for (x, y) in a.iter().zip(b.iter()) {
        if !equal(&x, &y, meter)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn maps_equal(a: &Map<'_>, b: &Map<'_>, meter: &Meter) -> Result<bool, Error> {
    if a.len() != b.len() {
        return Ok(false);
    }
    for (key, x) in a.iter() {
        // Keys of objects are JSON names here, which a field's name in an expression need not be.
        let y = match (b, &key) {
            (Map::Json(fields, shape), Value::String(name)) => {
                let shape = shape.child(name);
                fields
                    .get(&**name)
                    .zip(shape)
                    .map(|(value, shape)| shape.read(value))
            }
            (Map::Json(..) | Map::Made(_), _) => b.get(&key),
        };
        match y {
            Some(y) if equal(&x, &y, meter)? => {}
            Some(_) | None => return Ok(false),
        }
    }
    Ok(true)
}

/// Order of two numbers: none if one is no number, `Some(None)` if there is none.
fn numbers(left: &Value<'_>, right: &Value<'_>) -> Option<Option<Ordering>> {
    Some(match (left, right) {
        (Value::Int(a), Value::Int(b)) => Some(a.cmp(b)),
        (Value::Uint(a), Value::Uint(b)) => Some(a.cmp(b)),
        (Value::Int(a), Value::Uint(b)) => Some(i128::from(*a).cmp(&i128::from(*b))),
        (Value::Uint(a), Value::Int(b)) => Some(i128::from(*a).cmp(&i128::from(*b))),
        (Value::Double(a), Value::Double(b)) => a.partial_cmp(b),
        (Value::Double(a), Value::Int(b)) => a.partial_cmp(&(*b as f64)),
        (Value::Int(a), Value::Double(b)) => (*a as f64).partial_cmp(b),
        (Value::Double(a), Value::Uint(b)) => a.partial_cmp(&(*b as f64)),
        (Value::Uint(a), Value::Double(b)) => (*a as f64).partial_cmp(b),
        _ => return None,
    })
}

/// Order; none when a number is not one.
pub(crate) fn compare(left: &Value<'_>, right: &Value<'_>) -> Result<Option<Ordering>, Error> {
    if let Some(order) = numbers(left, right) {
        return Ok(order);
    }
    Ok(Some(match (left, right) {
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        (Value::String(a), Value::String(b)) => (**a).cmp(&**b),
        (Value::Bytes(a), Value::Bytes(b)) => a.cmp(b),
        (Value::Timestamp(a), Value::Timestamp(b)) => a.cmp(b),
        (Value::Duration(a), Value::Duration(b)) => a.cmp(b),
        (Value::Special(a), Value::Special(b)) => a.compare(b).ok_or(Error::Overload)?,
        _ => return Err(Error::Overload),
    }))
}

/// `element in container`.
fn contains(container: &Value<'_>, element: &Value<'_>, meter: &Meter) -> Result<bool, Error> {
    match container {
        Value::List(list) => list_has(list, element, meter),
        Value::Map(map) => Ok(map.get(element).is_some()),
        _ => Err(Error::Overload),
    }
}

pub(crate) fn list_has(list: &List<'_>, element: &Value<'_>, meter: &Meter) -> Result<bool, Error> {
    for item in list.iter() {
        if equal(&item, element, meter)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn overflow(what: &str) -> Error {
    Error::text(format!("{what}overflow"))
}

fn add<'a>(left: &Value<'a>, right: &Value<'a>, meter: &Meter) -> Result<Value<'a>, Error> {
    meter.charge(left.weight() + right.weight())?;
    Ok(match (left, right) {
        (Value::Int(a), Value::Int(b)) => {
            Value::Int(a.checked_add(*b).ok_or_else(|| overflow("integer "))?)
        }
        (Value::Uint(a), Value::Uint(b)) => Value::Uint(
            a.checked_add(*b)
                .ok_or_else(|| overflow("unsigned integer "))?,
        ),
        (Value::Double(a), Value::Double(b)) => Value::Double(a + b),
        (Value::String(a), Value::String(b)) => {
            Value::String(Text::Shared([&**a, &**b].concat().into()))
        }
        (Value::Bytes(a), Value::Bytes(b)) => Value::Bytes([&**a, &**b].concat().into()),
        (Value::List(a), Value::List(b)) => joined(a, b, meter)?,
        (Value::Duration(a), Value::Duration(b)) => {
            Value::Duration(a.checked_add(*b).ok_or_else(|| overflow("duration "))?)
        }
        (Value::Timestamp(t), Value::Duration(d)) | (Value::Duration(d), Value::Timestamp(t)) => {
            shifted(*t, *d)?
        }
        _ => return Err(Error::Overload),
    })
}

/// `+` of lists; a set takes what it has not, a map replaces by key.
fn joined<'a>(a: &List<'a>, b: &List<'a>, meter: &Meter) -> Result<Value<'a>, Error> {
    let mut items: Vec<Value<'a>> = a.iter().collect();
    let List::Json(_, shape) = a else {
        items.extend(b.iter());
        return Ok(items.into());
    };
    let kind = shape.list_type();
    for item in b.iter() {
        let mut place = None;
        if kind != "atomic" {
            for (n, own) in items.iter().enumerate() {
                if same_item(own, &item, *shape, meter)? {
                    place = Some(n);
                    break;
                }
            }
        }
        match place {
            Some(n) => items[n] = item,
            None => items.push(item),
        }
    }
    Ok(items.into())
}

fn same_item(
    a: &Value<'_>,
    b: &Value<'_>,
    shape: super::shape::Shape<'_>,
    meter: &Meter,
) -> Result<bool, Error> {
    let (Value::Map(x), Value::Map(y), "map") = (a, b, shape.list_type()) else {
        return equal(a, b, meter);
    };
    for key in shape.map_keys() {
        match (x.field(key), y.field(key)) {
            (Some(x), Some(y)) if equal(&x, &y, meter)? => {}
            (None, None) => {}
            _ => return Ok(false),
        }
    }
    Ok(true)
}

fn shifted<'a>(time: jiff::Timestamp, nanos: i64) -> Result<Value<'a>, Error> {
    let moved = time.checked_add(SignedDuration::from_nanos(nanos)).ok();
    let moved = moved.and_then(convert::in_range);
    moved
        .map(Value::Timestamp)
        .ok_or_else(|| overflow("timestamp "))
}

fn subtract<'a>(left: &Value<'a>, right: &Value<'a>) -> Result<Value<'a>, Error> {
    Ok(match (left, right) {
        (Value::Int(a), Value::Int(b)) => {
            Value::Int(a.checked_sub(*b).ok_or_else(|| overflow("integer "))?)
        }
        (Value::Uint(a), Value::Uint(b)) => Value::Uint(
            a.checked_sub(*b)
                .ok_or_else(|| overflow("unsigned integer "))?,
        ),
        (Value::Double(a), Value::Double(b)) => Value::Double(a - b),
        (Value::Duration(a), Value::Duration(b)) => {
            Value::Duration(a.checked_sub(*b).ok_or_else(|| overflow("duration "))?)
        }
        (Value::Timestamp(t), Value::Duration(d)) => {
            shifted(*t, d.checked_neg().ok_or_else(|| overflow("timestamp "))?)?
        }
        (Value::Timestamp(a), Value::Timestamp(b)) => {
            let nanos = i64::try_from(a.duration_since(*b).as_nanos());
            Value::Duration(nanos.map_err(|_odd| overflow("timestamp "))?)
        }
        _ => return Err(Error::Overload),
    })
}

fn multiply<'a>(left: &Value<'a>, right: &Value<'a>) -> Result<Value<'a>, Error> {
    Ok(match (left, right) {
        (Value::Int(a), Value::Int(b)) => {
            Value::Int(a.checked_mul(*b).ok_or_else(|| overflow("integer "))?)
        }
        (Value::Uint(a), Value::Uint(b)) => Value::Uint(
            a.checked_mul(*b)
                .ok_or_else(|| overflow("unsigned integer "))?,
        ),
        (Value::Double(a), Value::Double(b)) => Value::Double(a * b),
        _ => return Err(Error::Overload),
    })
}

fn divide<'a>(left: &Value<'a>, right: &Value<'a>) -> Result<Value<'a>, Error> {
    Ok(match (left, right) {
        (Value::Int(_), Value::Int(0)) | (Value::Uint(_), Value::Uint(0)) => {
            return Err(Error::text("division by zero"));
        }
        (Value::Int(a), Value::Int(b)) => {
            Value::Int(a.checked_div(*b).ok_or_else(|| overflow("integer "))?)
        }
        (Value::Uint(a), Value::Uint(b)) => Value::Uint(a / b),
        (Value::Double(a), Value::Double(b)) => Value::Double(a / b),
        _ => return Err(Error::Overload),
    })
}

fn modulo<'a>(left: &Value<'a>, right: &Value<'a>) -> Result<Value<'a>, Error> {
    Ok(match (left, right) {
        (Value::Int(_), Value::Int(0)) | (Value::Uint(_), Value::Uint(0)) => {
            return Err(Error::text("modulus by zero"));
        }
        (Value::Int(a), Value::Int(b)) => {
            Value::Int(a.checked_rem(*b).ok_or_else(|| overflow("integer "))?)
        }
        (Value::Uint(a), Value::Uint(b)) => Value::Uint(a % b),
        _ => return Err(Error::Overload),
    })
}

/// A key for a map, or why it cannot be one.
pub(crate) fn key(value: &Value<'_>) -> Result<Key, Error> {
    let fits = !matches!(value, Value::Double(_));
    Key::of(value)
        .filter(|_| fits)
        .ok_or_else(|| Error::text(format!("unsupported key type: {}", value.type_name())))
}
