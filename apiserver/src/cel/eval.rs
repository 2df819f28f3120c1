//! Evaluating an expression, with a bound on the work: no rule can hang a server or take memory
//! without bound, whatever it says and whatever it is asked about.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::ast::{Expr, Kind};
use super::fold;
use super::functions;
use super::operators;
use super::value::{Map, Value};

/// Why there is no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Error {
    /// The work would be more than is allowed.
    Budget,
    /// An operator or function that does not take these values.
    Overload,
    /// Anything else, in words.
    Text(String),
}

impl Error {
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    pub(crate) fn no_such_key(name: &str) -> Self {
        Self::Text(format!("no such key: {name}"))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Budget => "operation cancelled: actual cost limit exceeded",
            Self::Overload => "no such overload",
            Self::Text(text) => text,
        })
    }
}

/// How much work is left. A unit is about one step, or ten bytes, as upstream.
#[derive(Debug)]
pub(crate) struct Meter(Cell<u64>);

impl Meter {
    pub(crate) fn new(budget: u64) -> Self {
        Self(Cell::new(budget))
    }

    pub(crate) fn left(&self) -> u64 {
        self.0.get()
    }

    /// Pays for work. Once it fails, it fails for ever.
    pub(crate) fn charge(&self, cost: usize) -> Result<(), Error> {
        match self.0.get().checked_sub(cost as u64) {
            Some(left) => {
                self.0.set(left);
                Ok(())
            }
            None => {
                self.0.set(0);
                Err(Error::Budget)
            }
        }
    }
}

/// What an expression may name.
pub(crate) trait Names<'a> {
    /// The variable of this name.
    fn get(&self, name: &str) -> Option<Value<'a>>;

    /// `name.field`, where that is a name of its own and no field of a value.
    fn qualified(&self, _name: &str, _field: &str) -> Option<Result<Value<'a>, Error>> {
        None
    }
}

impl<'a> Names<'a> for Vec<(&str, Value<'a>)> {
    fn get(&self, name: &str) -> Option<Value<'a>> {
        let own = self.iter().find(|(own, _)| *own == name);
        own.map(|(_, value)| value.clone())
    }
}

/// A variable of a macro, and those around it.
pub(crate) struct Scope<'s, 'a> {
    pub(crate) name: &'s str,
    pub(crate) value: Value<'a>,
    pub(crate) outer: Option<&'s Scope<'s, 'a>>,
}

/// Evaluates expressions over some variables.
pub(crate) struct Evaluator<'r, 'a> {
    pub(crate) names: &'r dyn Names<'a>,
    pub(crate) meter: &'r Meter,
}

type Scopes<'s, 'a> = Option<&'s Scope<'s, 'a>>;

impl<'a> Evaluator<'_, 'a> {
    pub(crate) fn eval(&self, expr: &Expr, scope: Scopes<'_, 'a>) -> Result<Value<'a>, Error> {
        self.meter.charge(1)?;
        match &expr.kind {
            Kind::Literal(literal) => Ok(Value::of_literal(literal)),
            Kind::Ident(name) => self.variable(name, scope),
            Kind::Select {
                operand,
                field,
                optional,
            } => self.select(operand, field, *optional, scope),
            Kind::Has { operand, field } => self.has(operand, field, scope),
            Kind::Index {
                operand,
                index,
                optional,
            } => self.index(operand, index, *optional, scope),
            Kind::List(items) => self.list(items, scope),
            Kind::Map(entries) => self.map(entries, scope),
            Kind::And(terms) => self.terms(terms, false, scope),
            Kind::Or(terms) => self.terms(terms, true, scope),
            Kind::Not(operand) => self.truth(operand, scope).map(|b| Value::Bool(!b)),
            Kind::Negate(operand) => negate(&self.eval(operand, scope)?),
            Kind::Conditional(parts) => {
                let chosen = if self.truth(&parts[0], scope)? { 1 } else { 2 };
                self.eval(&parts[chosen], scope)
            }
            Kind::Binary(operator, sides) => {
                let left = self.eval(&sides[0], scope)?;
                let right = self.eval(&sides[1], scope)?;
                operators::apply(*operator, &left, &right, self.meter)
            }
            Kind::Call {
                name,
                receiver,
                args,
            } => self.call(name, receiver.as_deref(), args, scope),
            Kind::Fold(fold) => fold::eval(self, fold, scope),
        }
    }

    pub(crate) fn truth(&self, expr: &Expr, scope: Scopes<'_, 'a>) -> Result<bool, Error> {
        match self.eval(expr, scope)? {
            Value::Bool(b) => Ok(b),
            _ => Err(Error::Overload),
        }
    }

    fn variable(&self, name: &str, scope: Scopes<'_, 'a>) -> Result<Value<'a>, Error> {
        if let Some(value) = bound(scope, name) {
            return Ok(value.clone());
        }
        if let Some(value) = self.names.get(name) {
            return Ok(value);
        }
        let kind = functions::type_named(name).map(Value::Type);
        kind.ok_or_else(|| Error::text(format!("no such attribute(s): {name}")))
    }

    fn select(
        &self,
        operand: &Expr,
        field: &str,
        optional: bool,
        scope: Scopes<'_, 'a>,
    ) -> Result<Value<'a>, Error> {
        if let Some(found) = self.qualified(operand, field, scope) {
            let found = found?;
            return Ok(match optional {
                true => Value::Optional(Some(Arc::new(found))),
                false => found,
            });
        }
        let value = self.eval(operand, scope)?;
        pick(&value, optional, |inner| match inner {
            Value::Map(map) => map.field(field).ok_or_else(|| Error::no_such_key(field)),
            _ => Err(Error::Overload),
        })
    }

    /// `operand.field`, if both together are one name, and no macro's variable hides the first.
    fn qualified(
        &self,
        operand: &Expr,
        field: &str,
        scope: Scopes<'_, 'a>,
    ) -> Option<Result<Value<'a>, Error>> {
        match &operand.kind {
            Kind::Ident(name) if bound(scope, name).is_none() => self.names.qualified(name, field),
            _ => None,
        }
    }

    fn has(&self, operand: &Expr, field: &str, scope: Scopes<'_, 'a>) -> Result<Value<'a>, Error> {
        if self.qualified(operand, field, scope).is_some() {
            return Ok(Value::Bool(true));
        }
        let value = self.eval(operand, scope)?;
        let present = match &value {
            Value::Map(map) => map.field(field).is_some(),
            Value::Optional(None) => false,
            Value::Optional(Some(inner)) => match &**inner {
                Value::Map(map) => map.field(field).is_some(),
                _ => return Err(Error::Overload),
            },
            _ => return Err(Error::Overload),
        };
        Ok(Value::Bool(present))
    }

    fn index(
        &self,
        operand: &Expr,
        index: &Expr,
        optional: bool,
        scope: Scopes<'_, 'a>,
    ) -> Result<Value<'a>, Error> {
        let value = self.eval(operand, scope)?;
        let index = self.eval(index, scope)?;
        pick(&value, optional, |inner| at(inner, &index))
    }

    fn list(&self, items: &[(Expr, bool)], scope: Scopes<'_, 'a>) -> Result<Value<'a>, Error> {
        let mut made = Vec::with_capacity(items.len());
        for (item, optional) in items {
            match (self.eval(item, scope)?, optional) {
                (Value::Optional(None), true) => {}
                (Value::Optional(Some(inner)), true) => made.push((*inner).clone()),
                (value, _) => made.push(value),
            }
        }
        Ok(made.into())
    }

    fn map(
        &self,
        entries: &[(Expr, Expr, bool)],
        scope: Scopes<'_, 'a>,
    ) -> Result<Value<'a>, Error> {
        let mut made = BTreeMap::new();
        for (key, value, optional) in entries {
            let shown = self.eval(key, scope)?;
            let key = operators::key(&shown)?;
            let value = match (self.eval(value, scope)?, optional) {
                (Value::Optional(None), true) => continue,
                (Value::Optional(Some(inner)), true) => (*inner).clone(),
                (value, _) => value,
            };
            if made.insert(key, value).is_some() {
                return Err(Error::text(format!(
                    "Failed with repeated key: {}",
                    shown.display()
                )));
            }
        }
        Ok(made.into())
    }

    /// `&&` (which `false` decides) and `||` (which `true` decides), whatever fails beside it.
    fn terms(
        &self,
        terms: &[Expr],
        decides: bool,
        scope: Scopes<'_, 'a>,
    ) -> Result<Value<'a>, Error> {
        let mut failed = None;
        for term in terms {
            match self.truth(term, scope) {
                Ok(b) if b == decides => return Ok(Value::Bool(decides)),
                Ok(_) => {}
                Err(Error::Budget) => return Err(Error::Budget),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        failed.map_or(Ok(Value::Bool(!decides)), Err)
    }

    fn call(
        &self,
        name: &str,
        receiver: Option<&Expr>,
        args: &[Expr],
        scope: Scopes<'_, 'a>,
    ) -> Result<Value<'a>, Error> {
        // The alternative is evaluated only if it is needed.
        if let (Some(receiver), "or" | "orValue", [other]) = (receiver, name, args) {
            return match (self.eval(receiver, scope)?, name) {
                (Value::Optional(None), _) => self.eval(other, scope),
                (Value::Optional(Some(inner)), "orValue") => Ok((*inner).clone()),
                (some @ Value::Optional(Some(_)), _) => Ok(some),
                _ => Err(Error::Overload),
            };
        }
        let mut values = Vec::with_capacity(args.len() + 1);
        for expr in receiver.into_iter().chain(args) {
            values.push(self.eval(expr, scope)?);
        }
        functions::call(name, receiver.is_some(), &values, self.meter)
    }
}

/// The value of a macro's variable.
fn bound<'s, 'a>(mut scope: Scopes<'s, 'a>, name: &str) -> Option<&'s Value<'a>> {
    while let Some(inner) = scope {
        if inner.name == name {
            return Some(&inner.value);
        }
        scope = inner.outer;
    }
    None
}

/// Selects within a value, or within what an optional holds.
fn pick<'a>(
    value: &Value<'a>,
    optional: bool,
    select: impl FnOnce(&Value<'a>) -> Result<Value<'a>, Error>,
) -> Result<Value<'a>, Error> {
    let (inner, optional) = match value {
        Value::Optional(None) => return Ok(Value::Optional(None)),
        Value::Optional(Some(inner)) => (&**inner, true),
        plain => (plain, optional),
    };
    match select(inner) {
        Ok(found) if optional => Ok(Value::Optional(Some(Arc::new(found)))),
        Err(Error::Text(_)) if optional => Ok(Value::Optional(None)),
        other => other,
    }
}

fn at<'a>(value: &Value<'a>, index: &Value<'_>) -> Result<Value<'a>, Error> {
    match (value, index) {
        (Value::Map(map @ Map::Made(_)), key) => {
            let found = map.get(key);
            found.ok_or_else(|| Error::no_such_key(&key.display()))
        }
        (Value::Map(map), Value::String(name)) => {
            map.field(name).ok_or_else(|| Error::no_such_key(name))
        }
        (Value::Map(_), key) => Err(Error::no_such_key(&key.display())),
        (Value::List(list), Value::Int(n)) => {
            let found = usize::try_from(*n).ok().and_then(|n| list.get(n));
            found.ok_or_else(|| Error::text(format!("index out of bounds: {n}")))
        }
        (Value::List(list), Value::Uint(n)) => {
            let found = usize::try_from(*n).ok().and_then(|n| list.get(n));
            found.ok_or_else(|| Error::text(format!("index out of bounds: {n}")))
        }
        _ => Err(Error::Overload),
    }
}

fn negate<'a>(value: &Value<'a>) -> Result<Value<'a>, Error> {
    match value {
        Value::Int(n) => {
            let negative = n.checked_neg();
            negative
                .map(Value::Int)
                .ok_or_else(|| Error::text("integer overflow"))
        }
        Value::Double(n) => Ok(Value::Double(-n)),
        Value::Duration(n) => {
            let negative = n.checked_neg();
            negative
                .map(Value::Duration)
                .ok_or_else(|| Error::text("duration overflow"))
        }
        _ => Err(Error::Overload),
    }
}
