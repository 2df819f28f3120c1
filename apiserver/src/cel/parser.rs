//! From words to an expression, by recursive descent. Depth is bounded, so that neither parsing
//! nor evaluating can exhaust a thread's stack.

use super::ast::{Expr, Kind, Literal, Operator};
use super::lexer::{Token, Word, tokens};
use super::macros::call;
use super::problem::Problem;

/// Longest expression, in bytes. Upstream bounds code points at 100,000.
pub(crate) const LENGTH_MAX: usize = 64 << 10;

/// Deepest expression. Every level costs a few frames of the stack while it is evaluated.
const DEPTH_MAX: usize = 96;

/// Words that name nothing.
const RESERVED: [&str; 19] = [
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
    "in",
    "null",
];

/// Parses an expression.
///
/// # Errors
/// The first mistake.
pub(crate) fn parse(text: &str) -> Result<Expr, Problem> {
    if text.len() > LENGTH_MAX {
        let length = text.len();
        let text =
            format!("expression code point size exceeds limit: size: {length}, limit {LENGTH_MAX}");
        return Err(Problem::new(0, text));
    }
    let mut parser = Parser {
        tokens: tokens(text)?,
        next: 0,
        depth: 0,
    };
    let expr = parser.expression()?;
    match parser.peek().word {
        Word::End => Ok(expr),
        _ => Err(parser.unexpected()),
    }
}

struct Parser {
    tokens: Vec<Token>,
    next: usize,
    depth: usize,
}

impl Parser {
    fn peek(&self) -> &Token {
        // The last token is always the end, and is never passed.
        &self.tokens[self.next.min(self.tokens.len() - 1)]
    }

    fn advance(&mut self) -> Token {
        let token = self.peek().clone();
        self.next += 1;
        token
    }

    fn accept(&mut self, sign: &str) -> Option<usize> {
        let token = self.peek();
        let at = token.at;
        (matches!(token.word, Word::Sign(own) if own == sign)).then(|| self.next += 1)?;
        Some(at)
    }

    fn expect(&mut self, sign: &str) -> Result<usize, Problem> {
        match self.accept(sign) {
            Some(at) => Ok(at),
            None => Err(self.mismatched(&format!("'{sign}'"))),
        }
    }

    fn mismatched(&self, expected: &str) -> Problem {
        let (at, found) = (self.peek().at, self.found());
        Problem::new(
            at,
            format!("Syntax error: mismatched input '{found}' expecting {expected}"),
        )
    }

    fn unexpected(&self) -> Problem {
        let (at, found) = (self.peek().at, self.found());
        Problem::new(
            at,
            format!("Syntax error: extraneous input '{found}' expecting <EOF>"),
        )
    }

    fn found(&self) -> String {
        match &self.peek().word {
            Word::Ident(name) | Word::Quoted(name) => name.clone(),
            Word::Literal(Literal::Int(n)) => n.to_string(),
            Word::Literal(Literal::Uint(n)) => format!("{n}u"),
            Word::Literal(Literal::Double(n)) => n.to_string(),
            Word::Literal(Literal::Bool(b)) => b.to_string(),
            Word::Literal(Literal::Null) => "null".to_owned(),
            Word::Literal(Literal::String(text)) => format!("{text:?}"),
            Word::Literal(Literal::Bytes(_)) => "bytes".to_owned(),
            Word::Sign(sign) => (*sign).to_owned(),
            Word::End => "<EOF>".to_owned(),
        }
    }

    /// Every way down passes here, and so does every operator that makes the tree deeper.
    fn deeper<T>(
        &mut self,
        parse: impl FnOnce(&mut Self) -> Result<T, Problem>,
    ) -> Result<T, Problem> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            let text = format!("expression recursion limit exceeded: {DEPTH_MAX}");
            return Err(Problem::new(self.peek().at, text));
        }
        let parsed = parse(self);
        self.depth -= 1;
        parsed
    }

    fn expression(&mut self) -> Result<Expr, Problem> {
        self.deeper(|parser| {
            let condition = parser.or()?;
            let Some(at) = parser.accept("?") else {
                return Ok(condition);
            };
            let then = parser.deeper(Self::or)?;
            parser.expect(":")?;
            let otherwise = parser.expression()?;
            let kind = Kind::Conditional(Box::new([condition, then, otherwise]));
            Ok(Expr { at, kind })
        })
    }

    fn or(&mut self) -> Result<Expr, Problem> {
        self.terms("||", Self::and, Kind::Or)
    }

    fn and(&mut self) -> Result<Expr, Problem> {
        self.terms("&&", Self::relation, Kind::And)
    }

    /// Terms of a commutative operator, in one flat node.
    fn terms(
        &mut self,
        sign: &str,
        term: fn(&mut Self) -> Result<Expr, Problem>,
        make: fn(Vec<Expr>) -> Kind,
    ) -> Result<Expr, Problem> {
        let first = term(self)?;
        let Some(at) = self.accept(sign) else {
            return Ok(first);
        };
        let mut terms = vec![first, term(self)?];
        while self.accept(sign).is_some() {
            terms.push(term(self)?);
        }
        Ok(Expr {
            at,
            kind: make(terms),
        })
    }

    fn relation(&mut self) -> Result<Expr, Problem> {
        self.binary(Self::addition, |word| match word {
            Word::Sign("==") => Some(Operator::Equal),
            Word::Sign("!=") => Some(Operator::NotEqual),
            Word::Sign("<") => Some(Operator::Less),
            Word::Sign("<=") => Some(Operator::LessEqual),
            Word::Sign(">") => Some(Operator::Greater),
            Word::Sign(">=") => Some(Operator::GreaterEqual),
            Word::Ident(name) if name == "in" => Some(Operator::In),
            _ => None,
        })
    }

    fn addition(&mut self) -> Result<Expr, Problem> {
        self.binary(Self::multiplication, |word| match word {
            Word::Sign("+") => Some(Operator::Add),
            Word::Sign("-") => Some(Operator::Subtract),
            _ => None,
        })
    }

    fn multiplication(&mut self) -> Result<Expr, Problem> {
        self.binary(Self::unary, |word| match word {
            Word::Sign("*") => Some(Operator::Multiply),
            Word::Sign("/") => Some(Operator::Divide),
            Word::Sign("%") => Some(Operator::Modulo),
            _ => None,
        })
    }

    /// Left-associative operators; each makes the tree one level deeper.
    fn binary(
        &mut self,
        operand: fn(&mut Self) -> Result<Expr, Problem>,
        operator: fn(&Word) -> Option<Operator>,
    ) -> Result<Expr, Problem> {
        let mut left = operand(self)?;
        let mut levels = self.depth;
        while let Some(operator) = operator(&self.peek().word) {
            let at = self.advance().at;
            levels += 1;
            self.bound(levels, at)?;
            let right = operand(self)?;
            let kind = Kind::Binary(operator, Box::new([left, right]));
            left = Expr { at, kind };
        }
        Ok(left)
    }

    fn bound(&self, levels: usize, at: usize) -> Result<(), Problem> {
        if levels <= DEPTH_MAX {
            return Ok(());
        }
        let text = format!("expression recursion limit exceeded: {DEPTH_MAX}");
        Err(Problem::new(at, text))
    }

    fn unary(&mut self) -> Result<Expr, Problem> {
        if let Some(at) = self.accept("!") {
            let operand = self.deeper(Self::unary)?;
            let kind = Kind::Not(Box::new(operand));
            return Ok(Expr { at, kind });
        }
        if let Some(at) = self.accept("-") {
            return self.deeper(|parser| parser.negated(at));
        }
        self.member()
    }

    fn negated(&mut self, at: usize) -> Result<Expr, Problem> {
        let number = match self.peek().word {
            Word::Literal(Literal::Int(n)) => Some(Literal::Int(n.wrapping_neg())),
            Word::Literal(Literal::Double(n)) => Some(Literal::Double(-n)),
            _ => None,
        };
        if let Some(literal) = number {
            self.next += 1;
            let kind = Kind::Literal(literal);
            return self.suffixes(Expr { at, kind });
        }
        let kind = Kind::Negate(Box::new(self.unary()?));
        Ok(Expr { at, kind })
    }

    fn member(&mut self) -> Result<Expr, Problem> {
        let primary = self.primary()?;
        self.suffixes(primary)
    }

    fn suffixes(&mut self, mut expr: Expr) -> Result<Expr, Problem> {
        let mut levels = self.depth;
        loop {
            let at = self.peek().at;
            expr = if let Some(at) = self.accept(".") {
                self.selected(expr, at)?
            } else if self.accept(".?").is_some() {
                let field = self.field()?;
                let operand = Box::new(expr);
                let kind = Kind::Select {
                    operand,
                    field,
                    optional: true,
                };
                Expr { at, kind }
            } else if self.accept("[").is_some() {
                self.indexed(expr, at, false)?
            } else if self.accept("[?").is_some() {
                self.indexed(expr, at, true)?
            } else {
                return Ok(expr);
            };
            levels += 1;
            self.bound(levels, at)?;
        }
    }

    fn indexed(&mut self, operand: Expr, at: usize, optional: bool) -> Result<Expr, Problem> {
        let index = Box::new(self.expression()?);
        self.expect("]")?;
        let operand = Box::new(operand);
        let kind = Kind::Index {
            operand,
            index,
            optional,
        };
        Ok(Expr { at, kind })
    }

    fn field(&mut self) -> Result<String, Problem> {
        match self.peek().word.clone() {
            Word::Ident(name) | Word::Quoted(name) => {
                self.next += 1;
                Ok(name)
            }
            Word::Literal(Literal::Bool(_) | Literal::Null) => Err(self.mismatched("IDENTIFIER")),
            _ => Err(self.mismatched("IDENTIFIER")),
        }
    }

    /// `.name`, `.name(...)`.
    fn selected(&mut self, operand: Expr, at: usize) -> Result<Expr, Problem> {
        let quoted = matches!(self.peek().word, Word::Quoted(_));
        let field = self.field()?;
        let operand = Box::new(operand);
        if !quoted && let Some(at) = self.accept("(") {
            let args = self.list(")")?;
            return call(at, field, Some(operand), args);
        }
        let kind = Kind::Select {
            operand,
            field,
            optional: false,
        };
        Ok(Expr { at, kind })
    }

    /// Expressions up to a closing bracket.
    fn list(&mut self, close: &str) -> Result<Vec<Expr>, Problem> {
        let mut items = Vec::new();
        while self.accept(close).is_none() {
            items.push(self.expression()?);
            if self.accept(",").is_none() {
                self.expect(close)?;
                break;
            }
        }
        Ok(items)
    }

    fn primary(&mut self) -> Result<Expr, Problem> {
        let Token { at, word } = self.peek().clone();
        match word {
            Word::Literal(Literal::Int(i64::MIN)) => {
                Err(Problem::new(at, "invalid int literal"))
            }
            Word::Literal(literal) => {
                self.next += 1;
                let kind = Kind::Literal(literal);
                Ok(Expr { at, kind })
            }
            Word::Ident(name) => self.name(at, name),
            Word::Sign(".") => {
                self.next += 1;
                let name = self.field()?;
                self.next -= 1;
                self.name(at, name)
            }
            Word::Sign("(") => {
                self.next += 1;
                let inner = self.expression()?;
                self.expect(")")?;
                Ok(inner)
            }
            Word::Sign("[" | "[?") => self.list_literal(at),
            Word::Sign("{") => self.map_literal(at),
            Word::Sign(_) | Word::Quoted(_) | Word::End => Err(self.mismatched(
                "{'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}",
            )),
        }
    }

    fn name(&mut self, at: usize, name: String) -> Result<Expr, Problem> {
        if RESERVED.contains(&name.as_str()) {
            return Err(Problem::new(at, format!("reserved identifier: {name}")));
        }
        self.next += 1;
        if let Some(at) = self.accept("(") {
            let args = self.list(")")?;
            return call(at, name, None, args);
        }
        Ok(Expr {
            at,
            kind: Kind::Ident(name),
        })
    }

    fn list_literal(&mut self, at: usize) -> Result<Expr, Problem> {
        // `[?` is one word here too.
        let mut optional = self.advance().word == Word::Sign("[?");
        let mut items = Vec::new();
        while optional || self.accept("]").is_none() {
            optional = optional || self.accept("?").is_some();
            items.push((self.expression()?, std::mem::take(&mut optional)));
            if self.accept(",").is_none() {
                self.expect("]")?;
                break;
            }
        }
        let kind = Kind::List(items);
        Ok(Expr { at, kind })
    }

    fn map_literal(&mut self, at: usize) -> Result<Expr, Problem> {
        self.next += 1;
        let mut entries = Vec::new();
        while self.accept("}").is_none() {
            let optional = self.accept("?").is_some();
            let key = self.expression()?;
            self.expect(":")?;
            entries.push((key, self.expression()?, optional));
            if self.accept(",").is_none() {
                self.expect("}")?;
                break;
            }
        }
        let kind = Kind::Map(entries);
        Ok(Expr { at, kind })
    }
}

#[cfg(test)]
mod tests;
