//! An expression compiled once, to be evaluated over named JSON values.

use std::collections::BTreeSet;

use serde_json::Value as Json;

use super::ast::{Expr, Kind};
use super::check::check;
use super::eval::{Error, Evaluator, Meter, Names};
use super::parser::parse;
use super::problem;
use super::scope::Scope;
use super::shape::Shape;
use super::types::Type;
use super::value::Value;

/// What one evaluation may cost, in steps: as upstream's limit for a call.
pub const CALL_COST_MAX: u64 = 1_000_000;

/// What all evaluations about one object may cost together.
pub const OBJECT_COST_MAX: u64 = 10_000_000;

/// The work that is left for some evaluations. When it runs out, they fail, and none hangs.
#[derive(Debug)]
pub struct Budget(u64);

impl Default for Budget {
    fn default() -> Self {
        Self(OBJECT_COST_MAX)
    }
}

impl Budget {
    /// A budget of so many steps.
    #[must_use]
    pub fn new(steps: u64) -> Self {
        Self(steps)
    }

    /// True when nothing is left.
    #[must_use]
    pub fn is_spent(&self) -> bool {
        self.0 == 0
    }

    /// Runs something on what is left, of which one call gets at most its share.
    pub(crate) fn run<T>(
        &mut self,
        evaluate: impl FnOnce(&Meter) -> Result<T, Error>,
    ) -> Result<T, EvaluationError> {
        let granted = self.0.min(CALL_COST_MAX);
        let meter = Meter::new(granted);
        let result = evaluate(&meter);
        self.0 -= granted - meter.left();
        result.map_err(|error| match error {
            Error::Budget if self.0 == 0 => EvaluationError::BudgetSpent,
            Error::Budget => EvaluationError::CallTooCostly(error.to_string()),
            Error::Overload => EvaluationError::NoSuchOverload,
            Error::Text(text) => EvaluationError::Failed(text),
        })
    }
}

/// Why an expression has no value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvaluationError {
    /// Nothing is left of the budget.
    #[error(
        "validation failed due to running out of cost budget, no further validation rules will be run"
    )]
    BudgetSpent,
    /// This one evaluation would cost more than one may.
    #[error("{0}")]
    CallTooCostly(String),
    /// An operator or function does not take the values given.
    #[error("no such overload")]
    NoSuchOverload,
    /// A missing key, a division by zero and the like.
    #[error("{0}")]
    Failed(String),
}

/// The type of an expression's value.
#[derive(Clone, Debug)]
pub(crate) struct Gives {
    /// As errors say it.
    pub(crate) shown: String,
    /// As far as other expressions know it.
    pub(crate) composed: Type<'static>,
}

/// A compiled expression. Cheap to evaluate, and free to be shared between threads.
///
/// The language is Kubernetes': CEL with optionals, two-variable macros, and the libraries of
/// strings, lists, sets, regular expressions, URLs, quantities, addresses, versions and formats.
///
/// ```ignore
/// let program = Program::compile("object.spec.n <= params.max", &["object", "params"])?;
/// let mut budget = Budget::default();
/// let allowed = program.is_true(&[("object", &object), ("params", &params)], &mut budget)?;
/// ```
#[derive(Clone, Debug)]
pub struct Program {
    pub(crate) expr: Expr,
}

impl Program {
    /// Compiles an expression over these variables, about whose types nothing is known.
    ///
    /// # Errors
    /// All that is wrong, as cel-go words and places it: `ERROR: <input>:1:1: undeclared
    /// reference to 'x' (in container '')`, the line, and a mark.
    pub fn compile(text: &str, variables: &[&str]) -> Result<Self, String> {
        let dynamic = variables.iter().map(|name| (*name, Type::Dyn));
        Self::typed(text, &dynamic.collect::<Vec<_>>()).map(|(program, _)| program)
    }

    /// Compiles an expression over variables of known types; answers the type of its value too.
    pub(crate) fn typed(
        text: &str,
        variables: &[(&str, Type<'_>)],
    ) -> Result<(Self, Gives), String> {
        let expr = parse(text).map_err(|p| problem::show(&[p], text))?;
        let mut problems = Vec::new();
        let kind = check(&expr, &Scope::of(variables), &mut problems);
        let (shown, composed) = (kind.to_string(), kind.composed());
        if problems.is_empty() {
            Ok((Self { expr }, Gives { shown, composed }))
        } else {
            problems.sort_by_key(|problem| problem.at);
            Err(problem::show(&problems, text))
        }
    }

    /// True if the expression reads this variable; one that does not need not be given it.
    #[must_use]
    pub fn mentions(&self, variable: &str) -> bool {
        self.expr.mentions(variable)
    }

    /// The value over these variables, as JSON. An absent optional is `null`.
    ///
    /// # Errors
    /// What went wrong at run time; the budget bounds time and memory.
    pub fn evaluate(
        &self,
        variables: &[(&str, &Json)],
        budget: &mut Budget,
    ) -> Result<Json, EvaluationError> {
        let read: Vec<_> = variables
            .iter()
            .map(|(name, value)| (*name, Shape::Free.read(value)))
            .collect();
        budget.run(|meter| self.run(&read, meter)?.to_json(meter))
    }

    /// As [`Self::evaluate`], for expressions that must say yes or no.
    ///
    /// # Errors
    /// As there; and when the value is neither.
    pub fn is_true(
        &self,
        variables: &[(&str, &Json)],
        budget: &mut Budget,
    ) -> Result<bool, EvaluationError> {
        let value = self.evaluate(variables, budget)?;
        value.as_bool().ok_or(EvaluationError::NoSuchOverload)
    }

    /// As [`Self::evaluate`], for expressions that must make a string.
    ///
    /// # Errors
    /// As there; and when the value is none.
    pub fn text(
        &self,
        variables: &[(&str, &Json)],
        budget: &mut Budget,
    ) -> Result<String, EvaluationError> {
        match self.evaluate(variables, budget)? {
            Json::String(text) => Ok(text),
            _ => Err(EvaluationError::NoSuchOverload),
        }
    }

    /// The fields `F` of `variable.F` that the expression reads.
    pub(crate) fn fields_of(&self, variable: &str) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        self.expr.walk(&mut |expr| match &expr.kind {
            Kind::Select { operand, field, .. } | Kind::Has { operand, field }
                if matches!(&operand.kind, Kind::Ident(name) if name == variable) =>
            {
                found.insert(field.clone());
            }
            _ => {}
        });
        found
    }

    pub(crate) fn run<'a>(&self, names: &dyn Names<'a>, meter: &Meter) -> Result<Value<'a>, Error> {
        Evaluator { names, meter }.eval(&self.expr, None)
    }
}

#[cfg(test)]
mod tests;
