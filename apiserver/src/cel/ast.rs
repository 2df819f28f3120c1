//! What a CEL expression is once it is parsed, macros recognised.

use std::sync::Arc;

/// An expression and where it begins, in characters from the start of the text.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Expr {
    pub(crate) at: usize,
    pub(crate) kind: Kind,
}

/// Literals.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Literal {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    String(Arc<str>),
    Bytes(Arc<[u8]>),
}

/// The kinds of expression.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kind {
    Literal(Literal),
    Ident(String),
    /// `a.b`, and `a.?b`.
    Select {
        operand: Box<Expr>,
        field: String,
        optional: bool,
    },
    /// `has(a.b)`.
    Has {
        operand: Box<Expr>,
        field: String,
    },
    /// `a[b]`, and `a[?b]`.
    Index {
        operand: Box<Expr>,
        index: Box<Expr>,
        optional: bool,
    },
    /// Elements, each with whether it is optional.
    List(Vec<(Expr, bool)>),
    /// Keys and values, each with whether it is optional.
    Map(Vec<(Expr, Expr, bool)>),
    And(Vec<Expr>),
    Or(Vec<Expr>),
    Not(Box<Expr>),
    Negate(Box<Expr>),
    Conditional(Box<[Expr; 3]>),
    Binary(Operator, Box<[Expr; 2]>),
    Call {
        name: String,
        receiver: Option<Box<Expr>>,
        args: Vec<Expr>,
    },
    Fold(Box<Fold>),
}

/// Operators with two operands that evaluate both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operator {
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    In,
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
}

impl Operator {
    /// The name under which errors speak of it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Equal => "_==_",
            Self::NotEqual => "_!=_",
            Self::Less => "_<_",
            Self::LessEqual => "_<=_",
            Self::Greater => "_>_",
            Self::GreaterEqual => "_>=_",
            Self::In => "@in",
            Self::Add => "_+_",
            Self::Subtract => "_-_",
            Self::Multiply => "_*_",
            Self::Divide => "_/_",
            Self::Modulo => "_%_",
        }
    }
}

/// A macro that evaluates its body once for each element.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Fold {
    pub(crate) how: How,
    pub(crate) range: Expr,
    /// The element; with a second variable, the index or key.
    pub(crate) first: String,
    /// The element or value.
    pub(crate) second: Option<String>,
    pub(crate) filter: Option<Expr>,
    pub(crate) body: Expr,
}

/// What a fold makes of its body's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    All,
    Exists,
    ExistsOne,
    Map,
    Filter,
    TransformList,
    TransformMap,
    TransformMapEntry,
    SortBy,
    OptMap,
    OptFlatMap,
}

impl Expr {
    /// Calls `visit` on this expression and all below it.
    pub(crate) fn walk(&self, visit: &mut dyn FnMut(&Expr)) {
        visit(self);
        match &self.kind {
            Kind::Literal(_) | Kind::Ident(_) => {}
            Kind::Select { operand, .. } | Kind::Has { operand, .. } => operand.walk(visit),
            Kind::Not(operand) | Kind::Negate(operand) => operand.walk(visit),
            Kind::Index { operand, index, .. } => {
                operand.walk(visit);
                index.walk(visit);
            }
            Kind::List(items) => items.iter().for_each(|(item, _)| item.walk(visit)),
            Kind::Map(entries) => entries.iter().for_each(|(key, value, _)| {
                key.walk(visit);
                value.walk(visit);
            }),
            Kind::And(terms) | Kind::Or(terms) => terms.iter().for_each(|term| term.walk(visit)),
            Kind::Conditional(parts) => parts.iter().for_each(|part| part.walk(visit)),
            Kind::Binary(_, sides) => sides.iter().for_each(|side| side.walk(visit)),
            Kind::Call { receiver, args, .. } => {
                receiver.iter().for_each(|receiver| receiver.walk(visit));
                args.iter().for_each(|arg| arg.walk(visit));
            }
            Kind::Fold(fold) => {
                fold.range.walk(visit);
                fold.filter.iter().for_each(|filter| filter.walk(visit));
                fold.body.walk(visit);
            }
        }
    }

    /// True if the expression reads this variable.
    pub(crate) fn mentions(&self, name: &str) -> bool {
        let mut found = false;
        self.walk(&mut |expr| found |= matches!(&expr.kind, Kind::Ident(own) if own == name));
        found
    }
}
