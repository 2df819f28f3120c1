//! CEL expressions of policies and match conditions: compiled once, evaluated over named values.

use std::collections::HashMap;
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

/// Most turns of loops in one evaluation: some hundred milliseconds.
const STEPS_MAX: u64 = 1 << 20;

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
    /// How deep loops are nested.
    loops: u32,
    /// It may make long lists of long texts.
    splits: bool,
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Expression").field(&self.text).finish()
    }
}

/// A value an expression can read.
#[derive(Clone, Debug)]
pub struct Bound {
    value: Cel,
    /// Entries of its longest list or map.
    longest: u64,
    /// Bytes of its longest text.
    widest: u64,
}

impl Bound {
    /// JSON as CEL sees it.
    #[must_use]
    pub fn of(value: &Value) -> Self {
        Self::measured(to_cel(value))
    }

    fn measured(value: Cel) -> Self {
        let (mut longest, mut widest) = (0, 0);
        measure(&value, &mut longest, &mut widest);
        Self {
            value,
            longest,
            widest,
        }
    }

    /// A map of these.
    #[must_use]
    pub fn map(entries: impl IntoIterator<Item = (String, Self)>) -> Self {
        let entries = entries.into_iter().map(|(name, bound)| (name, bound.value));
        let entries: HashMap<String, Cel> = entries.collect();
        Self::measured(entries.into())
    }

    /// True, false, or none if it is no boolean.
    #[must_use]
    pub fn truth(&self) -> Option<bool> {
        if let Cel::Bool(truth) = &self.value {
            Some(*truth)
        } else {
            None
        }
    }

    /// The text, if it is one.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        if let Cel::String(text) = &self.value {
            Some(text)
        } else {
            None
        }
    }
}

fn measure(value: &Cel, longest: &mut u64, widest: &mut u64) {
    let most = |count: usize, so_far: &mut u64| *so_far = (*so_far).max(count as u64);
    if let Cel::String(text) = value {
        most(text.len(), widest);
    } else if let Cel::List(list) = value {
        most(list.len(), longest);
        list.iter().for_each(|one| measure(one, longest, widest));
    } else if let Cel::Map(map) = value {
        most(map.map.len(), longest);
        for one in map.map.values().collect::<Vec<_>>() {
            measure(one, longest, widest);
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
            loops: loops(text),
            splits: ["split(", "findAll("]
                .iter()
                .any(|word| text.contains(word)),
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
        let failed =
            |error: String| format!("expression '{}' resulted in error: {error}", self.text());
        if !self.is_affordable(bound) {
            return Err(failed(
                "operation cancelled: actual cost limit exceeded".to_owned(),
            ));
        }
        let run = || {
            LIBRARIES.with(|libraries| {
                let mut context = libraries.new_inner_scope();
                for (name, value) in bound {
                    context.add_variable_from_value(*name, value.value.clone());
                }
                self.program.execute(&context)
            })
        };
        let outcome = catch_unwind(AssertUnwindSafe(run))
            .map_err(|_panic| failed("it cannot be evaluated".to_owned()))?;
        outcome
            .map(Bound::measured)
            .map_err(|error| failed(error.to_string()))
    }
}

impl Expression {
    /// The evaluator has no meter of its own, so what loops may cost is reckoned before.
    fn is_affordable(&self, bound: &[(&str, &Bound)]) -> bool {
        let length = |one: &Bound| {
            if self.splits {
                one.longest.max(one.widest)
            } else {
                one.longest
            }
        };
        let longest = bound
            .iter()
            .map(|(_, one)| length(one))
            .max()
            .unwrap_or_default();
        self.loops == 0
            || longest
                .checked_pow(self.loops)
                .is_some_and(|steps| steps <= STEPS_MAX)
    }
}

/// How deep the macros that loop are nested in each other.
fn loops(text: &str) -> u32 {
    const LOOPS: [&str; 6] = ["all", "exists", "exists_one", "filter", "map", "existsOne"];
    let (mut open, mut deepest) = (Vec::new(), 0);
    for (at, c) in text.char_indices() {
        if c == '(' {
            let before = &text[..at];
            let name = before
                .rsplit(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                .next();
            open.push(name.is_some_and(|name| LOOPS.contains(&name)));
            deepest = deepest.max(open.iter().filter(|is_loop| **is_loop).count());
        } else if c == ')' {
            open.pop();
        }
    }
    u32::try_from(deepest).unwrap_or(u32::MAX)
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
            let entries = map.iter().map(|(key, value)| (key.clone(), to_cel(value)));
            entries.collect::<HashMap<String, Cel>>().into()
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
            assert_eq!(found.map_err(|_text| ()), expected, "{text}");
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

    #[test]
    fn loops_in_loops_over_much_are_refused() {
        let text = "object.a.all(x, object.a.exists(y, y == x))";
        assert_eq!(loops(text), 2);
        assert_eq!(
            loops("size(object.map.filter(x, x > 1)) > 0 && a.all(x, x)"),
            1
        );
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
