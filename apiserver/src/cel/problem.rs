//! What is wrong with an expression, and where; shown as cel-go shows it.

use std::fmt::Write as _;

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    /// Characters from the start of the text.
    pub(crate) at: usize,
    pub(crate) text: String,
}

impl Problem {
    pub(crate) fn new(at: usize, text: impl Into<String>) -> Self {
        Self {
            at,
            text: text.into(),
        }
    }

    /// `ERROR: <input>:1:5: text`, the line, and a mark below the place.
    pub(crate) fn show(&self, source: &str) -> String {
        let before: Vec<char> = source.chars().take(self.at).collect();
        let line = before.iter().filter(|c| **c == '\n').count();
        let column = before.iter().rev().take_while(|c| **c != '\n').count();
        let shown = source.split('\n').nth(line).unwrap_or_default();
        let shown = shown.replace('\t', " ");
        let mut mark = String::new();
        for c in shown.chars().take(column) {
            mark.push(if c.is_ascii() { '.' } else { '\u{ff0e}' });
        }
        let wide = shown.chars().nth(column).is_some_and(|c| !c.is_ascii());
        mark.push(if wide { '\u{ff3e}' } else { '^' });
        let (line, column, text) = (line + 1, column + 1, &self.text);
        let mut out = format!("ERROR: <input>:{line}:{column}: {text}");
        // Writing into a string cannot fail.
        _ = write!(out, "\n | {shown}\n | {mark}");
        out
    }
}

/// All of them, one below the other.
pub(crate) fn show(problems: &[Problem], source: &str) -> String {
    let shown: Vec<String> = problems.iter().map(|p| p.show(source)).collect();
    shown.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_points_at_its_place() {
        let problem = Problem::new(4, "undefined field 'x'");
        assert_eq!(
            problem.show("self.x > 1"),
            "ERROR: <input>:1:5: undefined field 'x'\n | self.x > 1\n | ....^"
        );
        let second = Problem::new(6, "x");
        assert_eq!(
            second.show("true\n\té"),
            "ERROR: <input>:2:2: x\n |  é\n | .\u{ff3e}"
        );
    }
}
