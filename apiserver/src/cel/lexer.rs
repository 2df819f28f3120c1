//! The words of a CEL expression.

use std::sync::Arc;

use super::ast::Literal;
use super::problem::Problem;

/// A word and where it begins, in characters.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Token {
    pub(crate) at: usize,
    pub(crate) word: Word,
}

/// The kinds of word.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Word {
    Ident(String),
    /// `` `a.b-c` ``, a field's name that is no identifier.
    Quoted(String),
    Literal(Literal),
    /// An operator or bracket.
    Sign(&'static str),
    End,
}

/// Longest first, so that `<=` is not read as `<`.
const SIGNS: [&str; 28] = [
    "&&", "||", "==", "!=", "<=", ">=", ".?", "[?", "<", ">", "+", "-", "*", "/", "%", "!", "?",
    ":", ",", ".", "(", ")", "[", "]", "{", "}", "=", ";",
];

/// Splits a text into words.
pub(crate) fn tokens(text: &str) -> Result<Vec<Token>, Problem> {
    let chars: Vec<char> = text.chars().collect();
    let mut lexer = Lexer { chars, at: 0 };
    let mut found = Vec::new();
    loop {
        lexer.skip_blank();
        let at = lexer.at;
        let word = lexer.word()?;
        let ends = word == Word::End;
        found.push(Token { at, word });
        if ends {
            return Ok(found);
        }
    }
}

struct Lexer {
    chars: Vec<char>,
    at: usize,
}

impl Lexer {
    fn peek(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.at + ahead).copied()
    }

    fn looking_at(&self, text: &str) -> bool {
        text.chars()
            .enumerate()
            .all(|(n, c)| self.peek(n) == Some(c))
    }

    fn skip_blank(&mut self) {
        while let Some(c) = self.peek(0) {
            if matches!(c, ' ' | '\t' | '\n' | '\r' | '\u{c}') {
                self.at += 1;
            } else if self.looking_at("//") {
                while self.peek(0).is_some_and(|c| c != '\n') {
                    self.at += 1;
                }
            } else {
                return;
            }
        }
    }

    fn word(&mut self) -> Result<Word, Problem> {
        let Some(c) = self.peek(0) else {
            return Ok(Word::End);
        };
        if c.is_ascii_digit() || (c == '.' && self.peek(1).is_some_and(|c| c.is_ascii_digit())) {
            return self.number();
        }
        if let Some(word) = self.string()? {
            return Ok(word);
        }
        if c.is_ascii_alphabetic() || c == '_' {
            return Ok(self.ident());
        }
        if c == '`' {
            return self.quoted();
        }
        let sign = SIGNS.iter().find(|sign| self.looking_at(sign));
        let Some(sign) = sign else {
            let text = format!("Syntax error: token recognition error at: '{c}'");
            return Err(Problem::new(self.at, text));
        };
        self.at += sign.len();
        Ok(Word::Sign(sign))
    }

    fn ident(&mut self) -> Word {
        let start = self.at;
        while self
            .peek(0)
            .is_some_and(|c| c.is_ascii_alphanumeric() || c == '_')
        {
            self.at += 1;
        }
        let text: String = self.chars[start..self.at].iter().collect();
        match text.as_str() {
            "true" => Word::Literal(Literal::Bool(true)),
            "false" => Word::Literal(Literal::Bool(false)),
            "null" => Word::Literal(Literal::Null),
            _ => Word::Ident(text),
        }
    }

    fn quoted(&mut self) -> Result<Word, Problem> {
        let start = self.at;
        self.at += 1;
        while let Some(c) = self.peek(0) {
            self.at += 1;
            if c == '`' {
                let text = self.chars[start + 1..self.at - 1].iter().collect();
                return Ok(Word::Quoted(text));
            }
        }
        let text = "Syntax error: token recognition error at: '`'";
        Err(Problem::new(start, text))
    }

    fn number(&mut self) -> Result<Word, Problem> {
        let start = self.at;
        if self.looking_at("0x") || self.looking_at("0X") {
            self.at += 2;
            self.take(|c| c.is_ascii_hexdigit());
            let digits: String = self.chars[start + 2..self.at].iter().collect();
            return self.whole(start, &digits, 16);
        }
        self.take(|c| c.is_ascii_digit());
        let mut fraction = false;
        if self.peek(0) == Some('.') && self.peek(1).is_some_and(|c| c.is_ascii_digit()) {
            fraction = true;
            self.at += 1;
            self.take(|c| c.is_ascii_digit());
        }
        let sign = usize::from(matches!(self.peek(1), Some('+' | '-')));
        if matches!(self.peek(0), Some('e' | 'E'))
            && self.peek(1 + sign).is_some_and(|c| c.is_ascii_digit())
        {
            fraction = true;
            self.at += 1 + sign;
            self.take(|c| c.is_ascii_digit());
        }
        let text: String = self.chars[start..self.at].iter().collect();
        if fraction {
            let number = text.parse().map_err(|_odd| invalid(start, "double"))?;
            return Ok(Word::Literal(Literal::Double(number)));
        }
        self.whole(start, &text, 10)
    }

    fn take(&mut self, belongs: impl Fn(char) -> bool) {
        while self.peek(0).is_some_and(&belongs) {
            self.at += 1;
        }
    }

    /// A whole number. One beyond the largest int is let through for the minus that may stand
    /// before it; see the parser.
    fn whole(&mut self, start: usize, digits: &str, radix: u32) -> Result<Word, Problem> {
        let number = u64::from_str_radix(digits, radix).ok();
        if matches!(self.peek(0), Some('u' | 'U')) {
            self.at += 1;
            let number = number.ok_or_else(|| invalid(start, "uint"))?;
            return Ok(Word::Literal(Literal::Uint(number)));
        }
        let number = number.filter(|n| *n <= 1 << 63);
        let number = number.ok_or_else(|| invalid(start, "int"))?;
        Ok(Word::Literal(Literal::Int(number.cast_signed())))
    }

    /// A string or bytes literal, if one begins here.
    fn string(&mut self) -> Result<Option<Word>, Problem> {
        let mut prefix = 0;
        let (mut raw, mut bytes) = (false, false);
        while prefix < 2 {
            match self.peek(prefix) {
                Some('r' | 'R') if !raw => raw = true,
                Some('b' | 'B') if !bytes => bytes = true,
                _ => break,
            }
            prefix += 1;
        }
        let Some(quote @ ('"' | '\'')) = self.peek(prefix) else {
            return Ok(None);
        };
        let start = self.at;
        self.at += prefix;
        let triple = self.peek(1) == Some(quote) && self.peek(2) == Some(quote);
        let width = if triple { 3 } else { 1 };
        self.at += width;
        let mut text = Piece::default();
        loop {
            let Some(c) = self.peek(0) else {
                return Err(unclosed(start, quote));
            };
            let closes = (0..width).all(|n| self.peek(n) == Some(quote));
            if closes {
                self.at += width;
                return text.finish(start, bytes).map(Some);
            }
            if !triple && matches!(c, '\n' | '\r') {
                return Err(unclosed(start, quote));
            }
            self.at += 1;
            if c == '\\' && !raw {
                self.escape(&mut text, bytes)?;
            } else if c == '\\' {
                text.push(c);
                if let Some(next) = self.peek(0) {
                    text.push(next);
                    self.at += 1;
                }
            } else {
                text.push(c);
            }
        }
    }

    fn escape(&mut self, text: &mut Piece, bytes: bool) -> Result<(), Problem> {
        let at = self.at - 1;
        let bad = || Problem::new(at, "Syntax error: invalid escape sequence");
        let c = self.peek(0).ok_or_else(bad)?;
        self.at += 1;
        let plain = match c {
            'a' => Some('\u{7}'),
            'b' => Some('\u{8}'),
            'f' => Some('\u{c}'),
            'n' => Some('\n'),
            'r' => Some('\r'),
            't' => Some('\t'),
            'v' => Some('\u{b}'),
            '\\' | '?' | '"' | '\'' | '`' => Some(c),
            _ => None,
        };
        if let Some(plain) = plain {
            text.push(plain);
            return Ok(());
        }
        let (digits, radix) = match c {
            'x' | 'X' => (2, 16),
            'u' if !bytes => (4, 16),
            'U' if !bytes => (8, 16),
            '0'..='3' => {
                self.at -= 1;
                (3, 8)
            }
            _ => return Err(bad()),
        };
        let end = (self.at + digits).min(self.chars.len());
        let code: String = self.chars[self.at..end].iter().collect();
        let code = u32::from_str_radix(&code, radix)
            .ok()
            .filter(|_| code.len() == digits);
        let code = code.ok_or_else(bad)?;
        self.at = end;
        match u8::try_from(code) {
            Ok(byte) if bytes => text.bytes.push(byte),
            _ => text.push(char::from_u32(code).ok_or_else(bad)?),
        }
        Ok(())
    }
}

#[derive(Default)]
struct Piece {
    bytes: Vec<u8>,
}

impl Piece {
    fn push(&mut self, c: char) {
        self.bytes.extend(c.encode_utf8(&mut [0; 4]).as_bytes());
    }

    fn finish(self, at: usize, bytes: bool) -> Result<Word, Problem> {
        if bytes {
            return Ok(Word::Literal(Literal::Bytes(self.bytes.into())));
        }
        let text = String::from_utf8(self.bytes);
        let text = text.map_err(|_odd| invalid(at, "string"))?;
        Ok(Word::Literal(Literal::String(Arc::from(text))))
    }
}

fn invalid(at: usize, what: &str) -> Problem {
    Problem::new(at, format!("invalid {what} literal"))
}

fn unclosed(at: usize, quote: char) -> Problem {
    let text = format!("Syntax error: token recognition error at: '{quote}'");
    Problem::new(at, text)
}
