//! Kubernetes' lists library, `ext.Lists` version 3, and sets.

use std::cmp::Ordering;

use super::Outcome;
use crate::cel::ast::Operator;
use crate::cel::eval::{Error, Meter};
use crate::cel::operators::{apply, compare, equal, list_has};
use crate::cel::value::{List, Value};

/// Methods.
pub(super) fn call<'a>(name: &str, args: &[Value<'a>], meter: &Meter) -> Option<Outcome<'a>> {
    let [Value::List(list), rest @ ..] = args else {
        return None;
    };
    Some(match (name, rest) {
        ("isSorted", []) => is_sorted(list),
        ("sum", []) => sum(list, meter),
        ("min", []) => extreme(list, Ordering::Less, "min"),
        ("max", []) => extreme(list, Ordering::Greater, "max"),
        ("indexOf", [value]) => place(list, value, meter, false),
        ("lastIndexOf", [value]) => place(list, value, meter, true),
        ("slice", [Value::Int(start), Value::Int(end)]) => slice(list, *start, *end),
        ("flatten", []) => flatten(list, 1, meter),
        ("flatten", [Value::Int(depth)]) => flatten(list, *depth, meter),
        ("sort", []) => {
            let items: Vec<Value<'a>> = list.iter().collect();
            let keys = items.clone();
            sorted(items, &keys)
        }
        ("distinct", []) => distinct(list, meter),
        ("reverse", []) => {
            let mut items: Vec<Value<'a>> = list.iter().collect();
            items.reverse();
            Ok(items.into())
        }
        ("first", []) => Ok(optional(list.get(0))),
        ("last", []) => Ok(optional(
            list.len().checked_sub(1).and_then(|n| list.get(n)),
        )),
        _ => return None,
    })
}

/// Functions.
pub(super) fn function<'a>(name: &str, args: &[Value<'a>], meter: &Meter) -> Option<Outcome<'a>> {
    Some(match (name, args) {
        ("lists.range", [Value::Int(n)]) => {
            let n = usize::try_from(*n).unwrap_or(0);
            meter.charge(n).map(|()| {
                let items = (0..n).map(|n| Value::Int(i64::try_from(n).unwrap_or(i64::MAX)));
                items.collect::<Vec<_>>().into()
            })
        }
        ("sets.contains", [Value::List(a), Value::List(b)]) => {
            holds_all(a, b, meter).map(Value::Bool)
        }
        ("sets.equivalent", [Value::List(a), Value::List(b)]) => holds_all(a, b, meter)
            .and_then(|holds| Ok(Value::Bool(holds && holds_all(b, a, meter)?))),
        ("sets.intersects", [Value::List(a), Value::List(b)]) => intersects(a, b, meter),
        _ => return None,
    })
}

fn optional<'a>(item: Option<Value<'a>>) -> Value<'a> {
    Value::Optional(item.map(std::sync::Arc::new))
}

fn holds_all(list: &List<'_>, wanted: &List<'_>, meter: &Meter) -> Result<bool, Error> {
    for item in wanted.iter() {
        if !list_has(list, &item, meter)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn intersects<'a>(a: &List<'a>, b: &List<'a>, meter: &Meter) -> Outcome<'a> {
    for item in a.iter() {
        if list_has(b, &item, meter)? {
            return Ok(Value::Bool(true));
        }
    }
    Ok(Value::Bool(false))
}

fn is_sorted<'a>(list: &List<'a>) -> Outcome<'a> {
    let mut before: Option<Value<'a>> = None;
    for item in list.iter() {
        if let Some(before) = &before
            && compare(before, &item)? == Some(Ordering::Greater)
        {
            return Ok(Value::Bool(false));
        }
        before = Some(item);
    }
    Ok(Value::Bool(true))
}

fn sum<'a>(list: &List<'a>, meter: &Meter) -> Outcome<'a> {
    let mut items = list.iter();
    let Some(mut total) = items.next() else {
        return Ok(Value::Int(0));
    };
    if !matches!(
        total,
        Value::Int(_) | Value::Uint(_) | Value::Double(_) | Value::Duration(_)
    ) {
        return Err(Error::Overload);
    }
    for item in items {
        total = apply(Operator::Add, &total, &item, meter)?;
    }
    Ok(total)
}

fn extreme<'a>(list: &List<'a>, wanted: Ordering, name: &str) -> Outcome<'a> {
    let mut items = list.iter();
    let first = items.next();
    let mut best = first.ok_or_else(|| Error::text(format!("{name} called on empty list")))?;
    for item in items {
        if compare(&item, &best)? == Some(wanted) {
            best = item;
        }
    }
    Ok(best)
}

fn place<'a>(list: &List<'a>, wanted: &Value<'a>, meter: &Meter, last: bool) -> Outcome<'a> {
    let mut found = -1;
    for (n, item) in list.iter().enumerate() {
        if equal(&item, wanted, meter)? {
            found = i64::try_from(n).unwrap_or(i64::MAX);
            if !last {
                break;
            }
        }
    }
    Ok(Value::Int(found))
}

fn slice<'a>(list: &List<'a>, start: i64, end: i64) -> Outcome<'a> {
    let cannot = |why: &str| Error::text(format!("cannot slice({start}, {end}), {why}"));
    let (Ok(first), Ok(last)) = (usize::try_from(start), usize::try_from(end)) else {
        return Err(cannot("negative indexes not supported"));
    };
    if first > last {
        return Err(cannot(
            "start index must be less than or equal to end index",
        ));
    }
    if last > list.len() {
        return Err(cannot(&format!("list is length {}", list.len())));
    }
    let items = (first..last).filter_map(|n| list.get(n));
    Ok(items.collect::<Vec<_>>().into())
}

fn flatten<'a>(list: &List<'a>, depth: i64, meter: &Meter) -> Outcome<'a> {
    if depth < 0 {
        return Err(Error::text("level must be non-negative"));
    }
    let mut out = Vec::new();
    flatten_into(list, depth, &mut out, meter)?;
    Ok(out.into())
}

fn flatten_into<'a>(
    list: &List<'a>,
    depth: i64,
    out: &mut Vec<Value<'a>>,
    meter: &Meter,
) -> Result<(), Error> {
    for item in list.iter() {
        meter.charge(1)?;
        match &item {
            Value::List(inner) if depth > 0 => flatten_into(inner, depth - 1, out, meter)?,
            _ => out.push(item),
        }
    }
    Ok(())
}

fn distinct<'a>(list: &List<'a>, meter: &Meter) -> Outcome<'a> {
    let mut out: Vec<Value<'a>> = Vec::new();
    for item in list.iter() {
        let mut known = false;
        for own in &out {
            known = known || equal(own, &item, meter)?;
        }
        if !known {
            out.push(item);
        }
    }
    Ok(out.into())
}

/// The items in the order of their keys.
pub(crate) fn sorted<'a>(items: Vec<Value<'a>>, keys: &[Value<'a>]) -> Outcome<'a> {
    let mut pairs: Vec<(&Value<'a>, Value<'a>)> = keys.iter().zip(items).collect();
    let mut failed = None;
    if let Some((first, _)) = pairs.first() {
        let name = first.type_name();
        if pairs.iter().any(|(key, _)| key.type_name() != name) {
            return Err(Error::text("list elements must have the same type"));
        }
    }
    pairs.sort_by(|(a, _), (b, _)| match compare(a, b) {
        Ok(order) => order.unwrap_or(Ordering::Equal),
        Err(_) => {
            failed = Some(Error::text("list elements must be comparable"));
            Ordering::Equal
        }
    });
    match failed {
        Some(error) => Err(error),
        None => Ok(pairs
            .into_iter()
            .map(|(_, item)| item)
            .collect::<Vec<_>>()
            .into()),
    }
}
