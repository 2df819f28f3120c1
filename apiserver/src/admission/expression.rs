//! CEL expressions of policies and match conditions: compiled once, evaluated over named values.

use serde_json::{Map, Value};

use crate::cel::{Budget, CALL_COST_MAX, Program};

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
pub struct Known {
    /// `params`.
    pub params: bool,
    /// `variables`.
    pub variables: bool,
}

/// A compiled expression.
#[derive(Debug)]
pub struct Expression {
    text: String,
    program: Program,
    /// Names `N` of `variables.N` that stand in the text.
    variables: Vec<String>,
}

/// A value an expression can read. Times, durations and quantities are bound as their text.
#[derive(Clone, Debug)]
pub struct Bound(Value);

impl Bound {
    /// JSON as CEL sees it.
    #[must_use]
    pub fn of(value: &Value) -> Self {
        Self(value.clone())
    }

    /// A map of these.
    #[must_use]
    pub fn map(entries: impl IntoIterator<Item = (String, Self)>) -> Self {
        let entries = entries.into_iter().map(|(name, bound)| (name, bound.0));
        Self(Value::Object(entries.collect::<Map<_, _>>()))
    }

    /// True, false, or none if it is no boolean.
    #[must_use]
    pub fn truth(&self) -> Option<bool> {
        self.0.as_bool()
    }

    /// The text, if it is one.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        self.0.as_str()
    }
}

impl Expression {
    /// Compiles.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn compile(text: &str, known: Known) -> Result<Self, String> {
        let mut names = vec!["object", "oldObject", "request", "namespaceObject"];
        names.extend(known.params.then_some("params"));
        names.extend(known.variables.then_some("variables"));
        Ok(Self {
            program: Program::compile(text, &names)?,
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
        let values: Vec<(&str, &Value)> = bound
            .iter()
            .map(|(name, bound)| (*name, &bound.0))
            .collect();
        // Twice the limit of a call, so that it is the call's limit that is told.
        let mut budget = Budget::new(2 * CALL_COST_MAX);
        let value = self.program.evaluate(&values, &mut budget);
        value
            .map(Bound)
            .map_err(|error| format!("expression '{}' resulted in error: {error}", self.text()))
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
            assert_eq!(found.map_err(|_text| ()), expected, "{text}");
        }
        assert!(Expression::compile("object.(", Known::default()).is_err());
        let params = Expression::compile("params.x", Known::default()).unwrap_err();
        assert!(
            params.contains("undeclared reference to 'params' (in container '')"),
            "{params}"
        );
        assert_eq!(
            named("variables.a + variables.b_1.c > variables.a"),
            ["a", "b_1"]
        );
        assert!(is_identifier("a_1") && !is_identifier("1a") && !is_identifier("in"));
    }

    #[test]
    fn loops_in_loops_over_much_are_refused() {
        let text = "object.a.all(x, object.a.all(y, y == x))";
        let expression = Expression::compile(text, Known::default()).unwrap();
        let object = |n: usize| Bound::of(&json!({"a": vec![1; n]}));
        assert_eq!(
            expression
                .evaluate(&[("object", &object(100))])
                .unwrap()
                .truth(),
            Some(true)
        );
        let failure = expression
            .evaluate(&[("object", &object(2000))])
            .unwrap_err();
        assert!(
            failure.ends_with("operation cancelled: actual cost limit exceeded"),
            "{failure}"
        );
    }
}
