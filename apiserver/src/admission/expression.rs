//! CEL expressions of policies and match conditions: compiled once, with upstream's variables and
//! types (`apiserver/pkg/admission/plugin/cel/compile.go`), and evaluated over `inputs.rs`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;

use super::variables::{namespace_schema, request_schema};
use crate::cel::rights::{AUTHORIZER, RESOURCE_CHECK};
use crate::cel::{Budget, EvaluationError, Names, Program, Type, Value};

/// Words that are no identifiers, as CEL has it.
const RESERVED: [&str; 21] = [
    "true",
    "false",
    "null",
    "in",
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
];

/// Which variables an expression may name beside `object`, `oldObject`, `request` and
/// `namespaceObject`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Known<'k> {
    /// `params`.
    pub params: bool,
    /// `authorizer`, and `authorizer.requestResource`.
    pub authorizer: bool,
    /// `variables`, with these.
    pub variables: Option<&'k Composed>,
    /// The schema of `object` and `oldObject`, where only one kind is meant.
    pub object: Option<&'k Json>,
    /// The schema of `params`.
    pub param: Option<&'k Json>,
}

/// The variables that are composed before an expression, and what is known of their types.
#[derive(Clone, Debug, Default)]
pub struct Composed(BTreeMap<String, Type<'static>>);

impl Composed {
    /// Adds a variable; none: it does not compile, which is told elsewhere.
    pub fn add(&mut self, name: &str, made: Option<&Expression>) {
        let kind = made.map_or(Type::Dyn, |made| made.gives.clone());
        self.0.insert(name.to_owned(), kind);
    }
}

/// What an expression must give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Yes or no.
    Bool,
    /// A text.
    Text,
    /// A text, or nothing.
    TextOrNull,
    /// Whatever it is.
    Anything,
}

/// A compiled expression.
#[derive(Debug)]
pub struct Expression {
    text: String,
    program: Program,
    gives: Type<'static>,
    /// Names `N` of `variables.N` that it reads.
    variables: BTreeSet<String>,
}

/// Why an expression has no value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// Nothing is left of what all expressions together may cost: no other is evaluated.
    #[error("{}", EvaluationError::BudgetSpent)]
    Spent,
    /// It cannot be evaluated, here and now or at all.
    #[error("{0}")]
    Failed(String),
}

impl Expression {
    /// Compiles.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn compile<'k>(text: &str, known: Known<'k>, wanted: Wanted) -> Result<Self, String> {
        let typed = |schema: Option<&'k Json>| {
            schema.map_or(Type::Dyn, |schema| Type::Object(schema, false))
        };
        let mut names = vec![
            ("object", typed(known.object)),
            ("oldObject", typed(known.object)),
            ("request", Type::Object(request_schema(), false)),
            ("namespaceObject", Type::Object(namespace_schema(), false)),
        ];
        if known.params {
            names.push(("params", typed(known.param)));
        }
        if known.authorizer {
            names.push(("authorizer", Type::Named(AUTHORIZER)));
            names.push(("authorizer.requestResource", Type::Named(RESOURCE_CHECK)));
        }
        let composed = known.variables.map(|own| Type::Variables(&own.0));
        names.extend(composed.map(|kind| ("variables", kind)));
        let (program, gives) = Program::typed(text, &names)
            .map_err(|problem| format!("compilation failed: {problem}"))?;
        check(wanted, &gives.shown)?;
        Ok(Self {
            variables: program.fields_of("variables"),
            text: text.to_owned(),
            gives: gives.composed,
            program,
        })
    }

    /// As written, without white space around it.
    #[must_use]
    pub fn text(&self) -> &str {
        self.text.trim()
    }

    /// Names of the composed variables it may read.
    pub fn variables(&self) -> impl Iterator<Item = &str> {
        self.variables.iter().map(String::as_str)
    }

    /// Evaluates.
    ///
    /// # Errors
    /// In CEL's words.
    pub(crate) fn evaluate<'a>(
        &self,
        names: &dyn Names<'a>,
        budget: &mut Budget,
    ) -> Result<Value<'a>, Trouble> {
        Ok(budget.run(|meter| self.program.run(names, meter))?)
    }

    /// Evaluates to JSON.
    ///
    /// # Errors
    /// In CEL's words.
    pub(crate) fn answer(
        &self,
        names: &dyn Names<'_>,
        budget: &mut Budget,
    ) -> Result<Json, Trouble> {
        Ok(budget.run(|meter| self.program.run(names, meter)?.to_json(meter))?)
    }
}

impl From<EvaluationError> for Trouble {
    fn from(error: EvaluationError) -> Self {
        match error {
            EvaluationError::BudgetSpent => Self::Spent,
            EvaluationError::CallTooCostly(_)
            | EvaluationError::NoSuchOverload
            | EvaluationError::Failed(_) => Self::Failed(error.to_string()),
        }
    }
}

/// A value whose type is not known is none of what is wanted: upstream wants it said.
fn check(wanted: Wanted, given: &str) -> Result<(), String> {
    let (fits, wish) = match wanted {
        Wanted::Anything => return Ok(()),
        Wanted::Bool => (given == "bool", "bool"),
        Wanted::Text => (given == "string", "string"),
        Wanted::TextOrNull => (
            matches!(given, "string" | "null"),
            "one of [string null_type]",
        ),
    };
    let given = if given == "null" { "null_type" } else { given };
    match fits {
        true => Ok(()),
        false => Err(format!("must evaluate to {wish} but got {given}")),
    }
}

/// True for what CEL takes for a name.
#[must_use]
pub fn is_identifier(name: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    name.starts_with(|c: char| word(c) && !c.is_ascii_digit())
        && name.chars().all(word)
        && !RESERVED.contains(&name)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cel::{CALL_COST_MAX, Shape};

    fn evaluate(text: &str, object: &Json) -> Result<bool, String> {
        let compiled = Expression::compile(text, Known::default(), Wanted::Bool)?;
        let names = vec![("object", Shape::Free.read(object))];
        let value = compiled.evaluate(&names, &mut Budget::new(2 * CALL_COST_MAX));
        let value = value.map_err(|trouble| trouble.to_string())?;
        Ok(matches!(value, Value::Bool(true)))
    }

    #[test]
    fn expressions() {
        let object = json!({"spec": {"n": 5, "names": ["a", "b"], "cpus": "500m"}, "metadata": {}});
        for (text, expected) in [
            ("object.spec.n > 4", Some(true)),
            (
                "object.spec.n == 5 && !has(object.metadata.labels)",
                Some(true),
            ),
            ("object.spec.names.all(n, n.size() == 1)", Some(true)),
            ("object.spec.names.exists(n, n == 'c')", Some(false)),
            (
                "quantity(object.spec.cpus).isLessThan(quantity('1'))",
                Some(true),
            ),
            ("object.spec.absent == 1", None),
        ] {
            assert_eq!(evaluate(text, &object).ok(), expected, "{text}");
        }
        assert!(is_identifier("a_1") && !is_identifier("1a") && !is_identifier("in"));
    }

    /// Where all variables are known: expression, what it must give, and what is wrong.
    const WRONG: [(&str, Wanted, &str); 15] = [
        (
            "true + object.x == 1",
            Wanted::Bool,
            "found no matching overload for '_+_' applied to '(bool, dyn)'",
        ),
        (
            "object.a + object.b",
            Wanted::Text,
            "must evaluate to string but got dyn",
        ),
        (
            "object.(",
            Wanted::Bool,
            "compilation failed: ERROR: <input>:1:8",
        ),
        (
            "nothing.x",
            Wanted::Bool,
            "undeclared reference to 'nothing' (in container '')",
        ),
        ("variables.later", Wanted::Bool, "undefined field 'later'"),
        ("request.nothing", Wanted::Bool, "undefined field 'nothing'"),
        (
            "object.x",
            Wanted::Bool,
            "must evaluate to bool but got dyn",
        ),
        (
            "variables.word",
            Wanted::Bool,
            "must evaluate to bool but got string",
        ),
        (
            "variables.word > 1",
            Wanted::Bool,
            "found no matching overload for '_>_' applied to '(string, int)'",
        ),
        (
            "1",
            Wanted::TextOrNull,
            "must evaluate to one of [string null_type] but got int",
        ),
        (
            "null",
            Wanted::Text,
            "must evaluate to string but got null_type",
        ),
        (
            "authorizer.group('').resource('pods').check('get')",
            Wanted::Bool,
            "must evaluate to bool but got kubernetes.authorization.Decision",
        ),
        (
            "authorizer.resource('x')",
            Wanted::Bool,
            "found no matching overload for 'resource' applied to 'kubernetes.authorization.Authorizer.(string)'",
        ),
        (
            "authorizer.group('').requestResource",
            Wanted::Bool,
            "type 'kubernetes.authorization.GroupCheck' does not support field selection",
        ),
        (
            "[1].all(authorizer, authorizer.requestResource == 1)",
            Wanted::Bool,
            "type 'int' does not support field selection",
        ),
    ];

    const RIGHT: [(&str, Wanted); 15] = [
        ("'at most ' + object.max", Wanted::Text),
        ("object.a + 'b' + object.c", Wanted::Text),
        ("!object.flag", Wanted::Bool),
        ("[1] + object.list == [1]", Wanted::Bool),
        (
            "object.t + duration('1h') > timestamp(object.u)",
            Wanted::Bool,
        ),
        (
            "timestamp(object.t) - object.d > timestamp(object.u)",
            Wanted::Bool,
        ),
        (
            "(object.t - timestamp(object.u)).getHours() > 1",
            Wanted::Bool,
        ),
        ("null", Wanted::TextOrNull),
        ("variables.word", Wanted::TextOrNull),
        ("variables.sum == 1 && params.x == 2", Wanted::Bool),
        ("object.x", Wanted::Anything),
        (
            "authorizer.requestResource.check('get').allowed()",
            Wanted::Bool,
        ),
        (
            "request.options.x == 1 && 'g' in request.userInfo.groups",
            Wanted::Bool,
        ),
        (
            "namespaceObject.metadata.creationTimestamp.getFullYear() > 2000",
            Wanted::Bool,
        ),
        (
            "namespaceObject == null || namespaceObject.metadata.name == 'a'",
            Wanted::Bool,
        ),
    ];

    #[test]
    fn what_does_not_compile_says_why() {
        let mut composed = Composed::default();
        for (name, text) in [("sum", "object.n + 1"), ("word", "'a' + 'b'")] {
            let made = Expression::compile(text, Known::default(), Wanted::Anything);
            composed.add(name, made.ok().as_ref());
        }
        let all = Known {
            params: true,
            authorizer: true,
            variables: Some(&composed),
            ..Known::default()
        };
        for (text, wanted, problem) in WRONG {
            let found = Expression::compile(text, all, wanted).unwrap_err();
            assert!(found.contains(problem), "{text}: {found}");
        }
        for (text, wanted) in RIGHT {
            let made = Expression::compile(text, all, wanted);
            assert!(made.is_ok(), "{text}: {made:?}");
        }
        for name in ["params", "authorizer", "variables"] {
            let found = Expression::compile(&format!("{name}.x"), Known::default(), Wanted::Bool);
            let problem = format!("undeclared reference to '{name}' (in container '')");
            assert!(found.unwrap_err().contains(&problem), "{name}");
        }
    }

    #[test]
    fn loops_in_loops_over_much_are_refused() {
        let text = "object.a.all(x, object.a.all(y, y == x))";
        let object = |n: usize| json!({"a": vec![1; n]});
        assert_eq!(evaluate(text, &object(100)), Ok(true));
        let failure = evaluate(text, &object(2000)).unwrap_err();
        assert_eq!(failure, "operation cancelled: actual cost limit exceeded");
    }
}
