//! CEL expressions of policies and match conditions: compiled once, evaluated over named values.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use kube_cel::KubeCelExt;
use kube_cel::cel::{Context, Program, Value as Cel};
use serde_json::Value;

thread_local! {
    /// Registering the libraries costs more than evaluating an expression.
    static LIBRARIES: Context<'static> = Context::default().with_all();
}

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

/// Longest expression; nobody writes more by hand.
const LENGTH_MAX: usize = 64 << 10;

/// Which variables an expression may name beside `object`, `oldObject`, `request` and
/// `namespaceObject`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Known {
    /// `params`.
    pub params: bool,
    /// `variables`.
    pub variables: bool,
}

/// A compiled expression.
pub struct Expression {
    text: String,
    program: Program,
    /// Names `N` of `variables.N` that stand in the text.
    variables: Vec<String>,
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Expression").field(&self.text).finish()
    }
}

/// A value an expression can read.
#[derive(Clone, Debug)]
pub struct Bound(Cel);

impl Bound {
    /// JSON as CEL sees it.
    #[must_use]
    pub fn of(value: &Value) -> Self {
        Self(to_cel(value))
    }

    /// A map of these.
    #[must_use]
    pub fn map(entries: impl IntoIterator<Item = (String, Self)>) -> Self {
        let entries: std::collections::HashMap<String, Cel> = entries
            .into_iter()
            .map(|(name, value)| (name, value.0))
            .collect();
        Self(entries.into())
    }

    /// True, false, or none if it is no boolean.
    #[must_use]
    pub fn truth(&self) -> Option<bool> {
        match &self.0 {
            Cel::Bool(truth) => Some(*truth),
            _ => None,
        }
    }

    /// The text, if it is one.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match &self.0 {
            Cel::String(text) => Some(text),
            _ => None,
        }
    }
}

impl Expression {
    /// Compiles.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn compile(text: &str, known: Known) -> Result<Self, String> {
        if text.len() > LENGTH_MAX {
            return Err(format!("an expression may have {LENGTH_MAX} bytes"));
        }
        // The parser of the library has panicked on odd input before.
        let compiled = catch_unwind(AssertUnwindSafe(|| Program::compile(text)))
            .map_err(|_panic| "the expression cannot be parsed".to_owned())?;
        let program = compiled.map_err(|error| error.to_string())?;
        for (allowed, name) in [(known.params, "params"), (known.variables, "variables")] {
            if !allowed && program.references().has_variable(name) {
                return Err(format!(
                    "undeclared reference to '{name}' (in container '')"
                ));
            }
        }
        Ok(Self {
            program,
            variables: named(text),
            text: text.to_owned(),
        })
    }

    /// As written, without white space around it.
    #[must_use]
    pub fn text(&self) -> &str {
        self.text.trim()
    }

    /// Names of the composed variables it may read.
    #[must_use]
    pub fn variables(&self) -> &[String] {
        &self.variables
    }

    /// Evaluates.
    ///
    /// # Errors
    /// `expression '...' resulted in error: ...`.
    pub fn evaluate(&self, bound: &[(&str, &Bound)]) -> Result<Bound, String> {
        let run = || {
            LIBRARIES.with(|libraries| {
                let mut context = libraries.new_inner_scope();
                for (name, value) in bound {
                    context.add_variable_from_value(*name, value.0.clone());
                }
                self.program.execute(&context)
            })
        };
        let failed =
            |error: String| format!("expression '{}' resulted in error: {error}", self.text());
        let outcome = catch_unwind(AssertUnwindSafe(run))
            .map_err(|_panic| failed("it cannot be evaluated".to_owned()))?;
        outcome
            .map(Bound)
            .map_err(|error| failed(error.to_string()))
    }
}

fn to_cel(value: &Value) -> Cel {
    match value {
        Value::Null => Cel::Null,
        Value::Bool(truth) => Cel::Bool(*truth),
        Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(signed), _) => Cel::Int(signed),
            (None, Some(unsigned)) => Cel::UInt(unsigned),
            (None, None) => Cel::Float(number.as_f64().unwrap_or_default()),
        },
        Value::String(text) => Cel::String(Arc::new(text.clone())),
        Value::Array(list) => Cel::List(Arc::new(list.iter().map(to_cel).collect())),
        Value::Object(map) => {
            let entries: std::collections::HashMap<String, Cel> = map
                .iter()
                .map(|(key, value)| (key.clone(), to_cel(value)))
                .collect();
            entries.into()
        }
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

/// Every `N` of `variables.N`. What stands in a string is read too, which costs little.
fn named(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for rest in text.split("variables.").skip(1) {
        let end = rest
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .unwrap_or(rest.len());
        if end > 0 && !found.iter().any(|name| name == &rest[..end]) {
            found.push(rest[..end].to_owned());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn expressions() {
        let object = Bound::of(
            &json!({"spec": {"n": 5, "names": ["a", "b"], "cpus": "500m"}, "metadata": {}}),
        );
        for (text, expected) in [
            ("object.spec.n > 4", Ok(true)),
            (
                "object.spec.n == 5 && !has(object.metadata.labels)",
                Ok(true),
            ),
            ("object.spec.names.all(n, n.size() == 1)", Ok(true)),
            ("object.spec.names.exists(n, n == 'c')", Ok(false)),
            (
                "quantity(object.spec.cpus).isLessThan(quantity('1'))",
                Ok(true),
            ),
            ("object.spec.absent == 1", Err(())),
        ] {
            let compiled = Expression::compile(text, Known::default()).unwrap();
            let found = compiled.evaluate(&[("object", &object)]);
            let found = found.map(|bound| bound.truth().unwrap());
            assert_eq!(
                found.as_ref().map_err(|_text| ()),
                expected.as_ref().map_err(|()| ()),
                "{text} {found:?}"
            );
        }
        assert!(Expression::compile("object.(", Known::default()).is_err());
        let params = Expression::compile("params.x", Known::default()).unwrap_err();
        assert_eq!(params, "undeclared reference to 'params' (in container '')");
        assert_eq!(
            named("variables.a + variables.b_1.c > variables.a"),
            ["a", "b_1"]
        );
        assert!(is_identifier("a_1") && !is_identifier("1a") && !is_identifier("in"));
    }
}
