//! Macros: `all`, `map`, `transformMap` and their kin.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::ast::{Fold, How};
use super::eval::{Error, Evaluator, Scope};
use super::operators;
use super::value::{Key, Map, Value};

type Scopes<'s, 'a> = Option<&'s Scope<'s, 'a>>;

/// Evaluates a macro.
pub(crate) fn eval<'a>(
    evaluator: &Evaluator<'_, 'a>,
    fold: &Fold,
    scope: Scopes<'_, 'a>,
) -> Result<Value<'a>, Error> {
    let range = evaluator.eval(&fold.range, scope)?;
    if matches!(fold.how, How::OptMap | How::OptFlatMap) {
        return optional(evaluator, fold, &range, scope);
    }
    let mut state = State::default();
    match &range {
        Value::List(list) => {
            for (n, item) in list.iter().enumerate() {
                let index = Value::Int(i64::try_from(n).unwrap_or(i64::MAX));
                if step(evaluator, fold, (index, item), false, &mut state, scope)? {
                    break;
                }
            }
        }
        Value::Map(map) => {
            for entry in map.iter() {
                if step(evaluator, fold, entry, true, &mut state, scope)? {
                    break;
                }
            }
        }
        _ => return Err(Error::Overload),
    }
    finish(fold.how, state)
}

/// What has been gathered so far.
#[derive(Default)]
struct State<'a> {
    list: Vec<Value<'a>>,
    keys: Vec<Value<'a>>,
    map: BTreeMap<Key, Value<'a>>,
    count: usize,
    decided: bool,
    failed: Option<Error>,
}

/// One element; true: the rest need not be looked at. A list's only variable is its element, a
/// map's is its key.
fn step<'a>(
    evaluator: &Evaluator<'_, 'a>,
    fold: &Fold,
    (key, value): (Value<'a>, Value<'a>),
    keyed: bool,
    state: &mut State<'a>,
    scope: Scopes<'_, 'a>,
) -> Result<bool, Error> {
    evaluator.meter.charge(1)?;
    let single = fold.second.is_none();
    let first = Scope {
        name: &fold.first,
        value: if single && !keyed {
            value.clone()
        } else {
            key.clone()
        },
        outer: scope,
    };
    let second = fold.second.as_deref().map(|name| Scope {
        name,
        value: value.clone(),
        outer: Some(&first),
    });
    let inner = Some(second.as_ref().unwrap_or(&first));
    if let Some(filter) = &fold.filter
        && !evaluator.truth(filter, inner)?
    {
        return Ok(false);
    }
    match fold.how {
        How::All | How::Exists => Ok(judge(evaluator.truth(&fold.body, inner), fold.how, state)?),
        How::ExistsOne => {
            state.count += usize::from(evaluator.truth(&fold.body, inner)?);
            Ok(false)
        }
        How::Filter => {
            if evaluator.truth(&fold.body, inner)? {
                state.list.push(first.value.clone());
            }
            Ok(false)
        }
        How::Map | How::TransformList => {
            state.list.push(evaluator.eval(&fold.body, inner)?);
            Ok(false)
        }
        How::SortBy => {
            state.keys.push(evaluator.eval(&fold.body, inner)?);
            state.list.push(first.value.clone());
            Ok(false)
        }
        How::TransformMap => {
            let made = evaluator.eval(&fold.body, inner)?;
            state.map.insert(operators::key(&key)?, made);
            Ok(false)
        }
        How::TransformMapEntry => {
            merge(&evaluator.eval(&fold.body, inner)?, state)?;
            Ok(false)
        }
        How::OptMap | How::OptFlatMap => Err(Error::Overload),
    }
}

/// An element that decides makes up for those that fail.
fn judge(verdict: Result<bool, Error>, how: How, state: &mut State<'_>) -> Result<bool, Error> {
    match verdict {
        Ok(b) => state.decided = b == (how == How::Exists),
        Err(Error::Budget) => return Err(Error::Budget),
        Err(error) => state.failed = state.failed.take().or(Some(error)),
    }
    Ok(state.decided)
}

fn merge<'a>(made: &Value<'a>, state: &mut State<'a>) -> Result<(), Error> {
    let Value::Map(map) = made else {
        return Err(Error::Overload);
    };
    for (key, value) in map.iter() {
        if state.map.insert(operators::key(&key)?, value).is_some() {
            let key = key.display();
            return Err(Error::text(format!(
                "insert failed: key {key} already exists"
            )));
        }
    }
    Ok(())
}

fn finish<'a>(how: How, state: State<'a>) -> Result<Value<'a>, Error> {
    Ok(match how {
        How::All | How::Exists if state.decided => Value::Bool(how == How::Exists),
        How::All | How::Exists => match state.failed {
            Some(error) => return Err(error),
            None => Value::Bool(how == How::All),
        },
        How::ExistsOne => Value::Bool(state.count == 1),
        How::Map | How::Filter | How::TransformList => state.list.into(),
        How::TransformMap | How::TransformMapEntry => Value::Map(Map::Made(Arc::new(state.map))),
        How::SortBy => super::functions::sorted(state.list, &state.keys)?,
        How::OptMap | How::OptFlatMap => return Err(Error::Overload),
    })
}

fn optional<'a>(
    evaluator: &Evaluator<'_, 'a>,
    fold: &Fold,
    range: &Value<'a>,
    scope: Scopes<'_, 'a>,
) -> Result<Value<'a>, Error> {
    let inner = match range {
        Value::Optional(None) => return Ok(Value::Optional(None)),
        Value::Optional(Some(inner)) => (**inner).clone(),
        _ => return Err(Error::Overload),
    };
    let inner = Scope {
        name: &fold.first,
        value: inner,
        outer: scope,
    };
    let value = evaluator.eval(&fold.body, Some(&inner))?;
    Ok(match (fold.how, value) {
        (How::OptFlatMap, value) => value,
        (_, value) => Value::Optional(Some(Arc::new(value))),
    })
}
