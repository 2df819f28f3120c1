//! Label selectors: `a=b,c!=d,e in (x,y),f notin (z),g,!h,i>5`.

use serde_json::{Map, Value};

use crate::status::Failure;

/// How a label relates to a requirement's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// Present, with one of the values.
    In,
    /// Absent, or with none of the values.
    NotIn,
    /// Present.
    Exists,
    /// Absent.
    DoesNotExist,
    /// An integer greater than the value.
    Greater,
    /// An integer less than the value.
    Less,
}

/// One requirement on a label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// The label's key.
    pub key: String,
    /// How it relates to the values.
    pub operator: Operator,
    /// The values; none for Exists and DoesNotExist.
    pub values: Vec<String>,
}

impl Requirement {
    /// True when the labels are as required.
    #[must_use]
    pub fn holds(&self, labels: Option<&Map<String, Value>>) -> bool {
        let value = labels
            .and_then(|all| all.get(&self.key))
            .and_then(Value::as_str);
        match self.operator {
            Operator::In => value.is_some_and(|v| self.has(v)),
            Operator::NotIn => value.is_none_or(|v| !self.has(v)),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
            Operator::Greater => self.compare(value).is_some_and(|(own, bound)| own > bound),
            Operator::Less => self.compare(value).is_some_and(|(own, bound)| own < bound),
        }
    }

    /// The one value the label must have, if there is exactly one.
    #[must_use]
    pub fn exact(&self) -> Option<&str> {
        match (self.operator, self.values.as_slice()) {
            (Operator::In, [one]) => Some(one),
            (
                Operator::In
                | Operator::NotIn
                | Operator::Exists
                | Operator::DoesNotExist
                | Operator::Greater
                | Operator::Less,
                [..],
            ) => None,
        }
    }

    fn has(&self, value: &str) -> bool {
        self.values.iter().any(|own| own == value)
    }

    fn compare(&self, value: Option<&str>) -> Option<(i64, i64)> {
        Some((value?.parse().ok()?, self.values.first()?.parse().ok()?))
    }
}

/// Parses a label selector.
///
/// # Errors
/// 400 saying what was found and what was expected.
pub fn parse(text: &str) -> Result<Vec<Requirement>, Failure> {
    let mut parser = Parser {
        tokens: tokens(text),
        next: 0,
    };
    let requirements = parser.requirements()?;
    requirements.iter().try_for_each(check)?;
    Ok(requirements)
}

fn fail(message: &str) -> Failure {
    Failure::bad_request(format!("unable to parse requirement: {message}"))
}

/// Words and punctuation; white space separates and is dropped.
fn tokens(text: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut in_word = false;
    for c in text.chars() {
        let mark = matches!(c, '=' | '!' | '(' | ')' | ',' | '<' | '>');
        if c.is_whitespace() {
            in_word = false;
        } else if mark {
            let joins = c == '=' && !in_word && found.last().is_some_and(|t| t == "=" || t == "!");
            match found.last_mut() {
                Some(last) if joins => last.push(c),
                Some(_) | None => found.push(c.to_string()),
            }
            in_word = false;
        } else if in_word {
            if let Some(last) = found.last_mut() {
                last.push(c);
            }
        } else {
            found.push(c.to_string());
            in_word = true;
        }
    }
    found
}

struct Parser {
    tokens: Vec<String>,
    next: usize,
}

impl Parser {
    fn peek(&self) -> &str {
        self.tokens.get(self.next).map_or("", String::as_str)
    }

    fn take(&mut self) -> String {
        let token = self.peek().to_owned();
        self.next += 1;
        token
    }

    fn requirements(&mut self) -> Result<Vec<Requirement>, Failure> {
        let mut found = Vec::new();
        while !self.peek().is_empty() {
            found.push(self.requirement()?);
            match self.take().as_str() {
                "" => break,
                "," if self.peek().is_empty() => {
                    return Err(fail("found '', expected: identifier after ','"));
                }
                "," => {}
                other => {
                    return Err(fail(&format!(
                        "found '{other}', expected: ',' or 'end of string'"
                    )));
                }
            }
        }
        Ok(found)
    }

    fn requirement(&mut self) -> Result<Requirement, Failure> {
        let negated = self.peek() == "!";
        if negated {
            self.take();
        }
        let key = self.word("identifier")?;
        if negated {
            return Ok(Requirement {
                key,
                operator: Operator::DoesNotExist,
                values: Vec::new(),
            });
        }
        if matches!(self.peek(), "" | ",") {
            return Ok(Requirement {
                key,
                operator: Operator::Exists,
                values: Vec::new(),
            });
        }
        let (operator, list) = self.operator()?;
        let values = if list {
            self.list()?
        } else {
            vec![self.value()]
        };
        Ok(Requirement {
            key,
            operator,
            values,
        })
    }

    fn operator(&mut self) -> Result<(Operator, bool), Failure> {
        Ok(match self.take().as_str() {
            "=" | "==" => (Operator::In, false),
            "!=" => (Operator::NotIn, false),
            ">" => (Operator::Greater, false),
            "<" => (Operator::Less, false),
            "in" => (Operator::In, true),
            "notin" => (Operator::NotIn, true),
            other => {
                const WANTED: &str = "expected: in, notin, =, ==, !=, gt, lt";
                return Err(fail(&format!("found '{other}', {WANTED}")));
            }
        })
    }

    fn word(&mut self, wanted: &str) -> Result<String, Failure> {
        let token = self.take();
        if token.is_empty() || is_mark(&token) {
            return Err(fail(&format!("found '{token}', expected: {wanted}")));
        }
        Ok(token)
    }

    /// A value may be empty: `a=`.
    fn value(&mut self) -> String {
        if is_mark(self.peek()) {
            String::new()
        } else {
            self.take()
        }
    }

    fn list(&mut self) -> Result<Vec<String>, Failure> {
        let open = self.take();
        if open != "(" {
            return Err(fail(&format!("found '{open}', expected: '('")));
        }
        let mut values = Vec::new();
        loop {
            values.push(self.value());
            match self.take().as_str() {
                "," => {}
                ")" => return Ok(values),
                other => return Err(fail(&format!("found '{other}', expected: ',' or ')'"))),
            }
        }
    }
}

fn is_mark(token: &str) -> bool {
    matches!(token, "=" | "==" | "!" | "!=" | "(" | ")" | "," | "<" | ">")
}

fn check(requirement: &Requirement) -> Result<(), Failure> {
    if let Some(problem) = crate::names::label_key(&requirement.key) {
        let key = &requirement.key;
        return Err(fail(&format!("key: Invalid value: \"{key}\": {problem}")));
    }
    if matches!(requirement.operator, Operator::Greater | Operator::Less) {
        let integers = requirement
            .values
            .iter()
            .all(|value| value.parse::<i64>().is_ok());
        if !integers {
            const TEXT: &str = "for 'Gt', 'Lt' operators, the value must be an integer";
            return Err(fail(&format!(
                "values[0]: Invalid value: {:?}: {TEXT}",
                requirement.values[0]
            )));
        }
    }
    let bad = requirement
        .values
        .iter()
        .find_map(|v| Some((v, crate::names::label_value(v)?)));
    match bad {
        Some((value, problem)) => {
            let key = &requirement.key;
            Err(fail(&format!(
                "values[0][{key}]: Invalid value: \"{value}\": {problem}"
            )))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn matching() {
        let labels = json!({"a": "b", "tier": "web", "n": "7", "empty": ""});
        for (text, holds) in [
            ("", true),
            ("a", true),
            ("!a", false),
            ("zz", false),
            ("!zz", true),
            ("a=b", true),
            ("a==b", true),
            (" a = b , tier = web ", true),
            ("a!=b", false),
            ("zz!=b", true),
            ("a in (x,b)", true),
            ("a in(x)", false),
            ("a notin (x, y)", true),
            ("zz notin (x)", true),
            ("empty=", true),
            ("empty in (,x)", true),
            ("a=,n", false),
            ("n>5", true),
            ("n<5", false),
            ("zz>5", false),
            ("example.com/x!=1", true),
        ] {
            let all = parse(text).unwrap();
            assert_eq!(
                all.iter().all(|r| r.holds(labels.as_object())),
                holds,
                "{text}"
            );
        }
    }

    #[test]
    fn errors() {
        for text in [
            ",",
            "a,",
            "a b",
            "a in",
            "a in (",
            "a in (b",
            "a in b",
            "=b",
            "a!b",
            "a=b=c",
            "!",
            "a>x",
            "a in (b))",
            "-a=b",
            "a=b!",
            "a=/",
            "x/y/z=1",
        ] {
            let failure = parse(text).unwrap_err();
            assert_eq!(failure.code(), 400, "{text}");
        }
        assert_eq!(
            parse("a in b").unwrap_err().message(),
            "unable to parse requirement: found 'b', expected: '('"
        );
    }
}
