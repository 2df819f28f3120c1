//! Checking an expression before it is ever evaluated: names, fields, functions and operands.

use super::ast::{Expr, Fold, How, Kind, Literal, Operator};
use super::functions;
use super::problem::Problem;
use super::scope::Scope;
use super::signatures;
use super::types::Type;

type Problems = Vec<Problem>;

/// The type of an expression. What cannot be typed is reported, and `dyn` from there on.
pub(crate) fn check<'s>(expr: &'s Expr, scope: &Scope<'s>, problems: &mut Problems) -> Type<'s> {
    match &expr.kind {
        Kind::Literal(literal) => of_literal(literal),
        Kind::Ident(name) => ident(expr, name, scope, problems),
        Kind::Select {
            operand,
            field,
            optional,
        } => {
            if let (Kind::Ident(name), false) = (&operand.kind, optional)
                && let Some(kind) = scope.qualified(name, field)
            {
                return kind.clone();
            }
            let of = check(operand, scope, problems);
            maybe(*optional, select(expr.at, &of, field, problems))
        }
        Kind::Has { operand, field } => {
            let of = check(operand, scope, problems);
            select(expr.at, &of, field, problems);
            Type::Bool
        }
        Kind::Index {
            operand,
            index,
            optional,
        } => {
            let of = check(operand, scope, problems);
            let by = check(index, scope, problems);
            maybe(*optional, at(expr.at, &of, &by, problems))
        }
        Kind::List(items) => {
            let items = items.iter().map(|(item, optional)| {
                let kind = check(item, scope, problems);
                (item.at, if *optional { held(kind) } else { kind })
            });
            let items: Vec<_> = items.collect();
            Type::list(common(&items, problems))
        }
        Kind::Map(entries) => map(entries, scope, problems),
        Kind::And(terms) | Kind::Or(terms) => terms_of(terms, scope, problems),
        Kind::Not(operand) => {
            let of = check(operand, scope, problems);
            unary(expr.at, "!_", of, &[Type::Bool], problems);
            Type::Bool
        }
        Kind::Negate(operand) => {
            let of = check(operand, scope, problems);
            unary(
                expr.at,
                "-_",
                of,
                &[Type::Int, Type::Double, Type::Duration],
                problems,
            )
        }
        Kind::Conditional(parts) => conditional(expr.at, parts, scope, problems),
        Kind::Binary(operator, sides) => {
            let left = check(&sides[0], scope, problems);
            let right = check(&sides[1], scope, problems);
            binary(expr.at, *operator, left, right, problems)
        }
        Kind::Call {
            name,
            receiver,
            args,
        } => call(expr.at, name, receiver.as_deref(), args, scope, problems),
        Kind::Fold(fold) => folded(fold, scope, problems),
    }
}

fn of_literal<'s>(literal: &Literal) -> Type<'s> {
    match literal {
        Literal::Null => Type::Null,
        Literal::Bool(_) => Type::Bool,
        Literal::Int(_) => Type::Int,
        Literal::Uint(_) => Type::Uint,
        Literal::Double(_) => Type::Double,
        Literal::String(_) => Type::String,
        Literal::Bytes(_) => Type::Bytes,
    }
}

fn ident<'s>(expr: &Expr, name: &str, scope: &Scope<'s>, problems: &mut Problems) -> Type<'s> {
    if let Some(kind) = scope.get(name) {
        return kind.clone();
    }
    if functions::type_named(name).is_some() {
        return Type::Meta;
    }
    let text = format!("undeclared reference to '{name}' (in container '')");
    problems.push(Problem::new(expr.at, text));
    Type::Dyn
}

fn select<'s>(place: usize, of: &Type<'s>, field: &str, problems: &mut Problems) -> Type<'s> {
    let text = match of.field(field) {
        Ok(found) => return found,
        Err(true) => format!("undefined field '{field}'"),
        Err(false) => format!("type '{of}' does not support field selection"),
    };
    problems.push(Problem::new(place, text));
    Type::Dyn
}

/// What `.?` and `[?]` give is optional, once.
fn maybe(optional: bool, found: Type<'_>) -> Type<'_> {
    match (optional, found) {
        (true, already @ Type::Optional(_)) => already,
        (true, plain) => Type::optional(plain),
        (false, found) => found,
    }
}

fn held(kind: Type<'_>) -> Type<'_> {
    match kind {
        Type::Optional(inner) => *inner,
        other => other,
    }
}

fn at<'s>(place: usize, of: &Type<'s>, by: &Type<'s>, problems: &mut Problems) -> Type<'s> {
    let mut bound = Vec::new();
    match of {
        Type::Dyn => return Type::Dyn,
        Type::List(item) if matches!(by, Type::Int | Type::Dyn) => return (**item).clone(),
        Type::Map(parts) if by.fits(&parts[0], &mut bound) => return parts[1].clone(),
        Type::Optional(inner) => return Type::optional(at(place, inner, by, problems)),
        _ => {}
    }
    mismatch(place, "_[_]", &[of.clone(), by.clone()], false, problems)
}

/// Aggregates are homogeneous: Kubernetes asks for it. One `dyn` frees all of them.
fn common<'s>(items: &[(usize, Type<'s>)], problems: &mut Problems) -> Type<'s> {
    let Some((_, first)) = items.first() else {
        return Type::Dyn;
    };
    if items.iter().any(|(_, kind)| *kind == Type::Dyn) {
        return Type::Dyn;
    }
    for (at, kind) in items {
        if !kind.fits(first, &mut Vec::new()) {
            let text = format!("expected type '{first}' but found '{kind}'");
            problems.push(Problem::new(*at, text));
            return Type::Dyn;
        }
    }
    first.clone()
}

fn map<'s>(
    entries: &'s [(Expr, Expr, bool)],
    scope: &Scope<'s>,
    problems: &mut Problems,
) -> Type<'s> {
    let (mut keys, mut values) = (Vec::new(), Vec::new());
    for (key, value, optional) in entries {
        keys.push((key.at, check(key, scope, problems)));
        let kind = check(value, scope, problems);
        values.push((value.at, if *optional { held(kind) } else { kind }));
    }
    Type::map(common(&keys, problems), common(&values, problems))
}

fn mismatch<'s>(
    place: usize,
    name: &str,
    given: &[Type<'_>],
    method: bool,
    problems: &mut Problems,
) -> Type<'s> {
    let words: Vec<String> = given.iter().map(ToString::to_string).collect();
    let given = match words.split_first() {
        Some((receiver, args)) if method => format!("{receiver}.({})", args.join(", ")),
        _ => format!("({})", words.join(", ")),
    };
    let text = format!("found no matching overload for '{name}' applied to '{given}'");
    problems.push(Problem::new(place, text));
    Type::Dyn
}

fn terms_of<'s>(terms: &'s [Expr], scope: &Scope<'s>, problems: &mut Problems) -> Type<'s> {
    for term in terms {
        let kind = check(term, scope, problems);
        if !matches!(kind, Type::Bool | Type::Dyn) {
            let text = format!("expected type 'bool' but found '{kind}'");
            problems.push(Problem::new(term.at, text));
        }
    }
    Type::Bool
}

fn unary<'s>(
    place: usize,
    name: &str,
    of: Type<'s>,
    allowed: &[Type<'s>],
    problems: &mut Problems,
) -> Type<'s> {
    if of == Type::Dyn || allowed.contains(&of) {
        return of;
    }
    mismatch(place, name, &[of], false, problems)
}

fn conditional<'s>(
    place: usize,
    parts: &'s [Expr; 3],
    scope: &Scope<'s>,
    problems: &mut Problems,
) -> Type<'s> {
    let [condition, then, otherwise] = parts.each_ref().map(|part| check(part, scope, problems));
    let same = then.fits(&otherwise, &mut Vec::new());
    if same && matches!(condition, Type::Bool | Type::Dyn) {
        return if then == Type::Dyn { otherwise } else { then };
    }
    mismatch(
        place,
        "_?_:_",
        &[condition, then, otherwise],
        false,
        problems,
    )
}

fn is_number(kind: &Type<'_>) -> bool {
    matches!(kind, Type::Int | Type::Uint | Type::Double)
}

fn binary<'s>(
    place: usize,
    operator: Operator,
    left: Type<'s>,
    right: Type<'s>,
    problems: &mut Problems,
) -> Type<'s> {
    let unknown = left == Type::Dyn || right == Type::Dyn;
    let given = match operator {
        Operator::Equal | Operator::NotEqual if left.fits(&right, &mut Vec::new()) => {
            Some(Type::Bool)
        }
        Operator::Less | Operator::LessEqual | Operator::Greater | Operator::GreaterEqual
            if unknown || ordered(&left, &right) =>
        {
            Some(Type::Bool)
        }
        Operator::In => within(&left, &right).then_some(Type::Bool),
        Operator::Add
        | Operator::Subtract
        | Operator::Multiply
        | Operator::Divide
        | Operator::Modulo => arithmetic(operator, &left, &right),
        Operator::Equal
        | Operator::NotEqual
        | Operator::Less
        | Operator::LessEqual
        | Operator::Greater
        | Operator::GreaterEqual => None,
    };
    given.unwrap_or_else(|| mismatch(place, operator.name(), &[left, right], false, problems))
}

fn ordered(left: &Type<'_>, right: &Type<'_>) -> bool {
    let orderly = matches!(
        left,
        Type::Bool | Type::String | Type::Bytes | Type::Timestamp | Type::Duration
    );
    (is_number(left) && is_number(right)) || (orderly && left == right)
}

fn within(left: &Type<'_>, right: &Type<'_>) -> bool {
    match right {
        Type::Dyn => true,
        Type::List(item) => left.fits(item, &mut Vec::new()),
        Type::Map(parts) => left.fits(&parts[0], &mut Vec::new()),
        _ => false,
    }
}

fn arithmetic<'s>(operator: Operator, left: &Type<'s>, right: &Type<'s>) -> Option<Type<'s>> {
    let add = operator == Operator::Add;
    let additive = add || operator == Operator::Subtract;
    Some(match (left, right) {
        (Type::Dyn, Type::Dyn) => Type::Dyn,
        // Times and durations go with either.
        (Type::Dyn, Type::Duration) | (Type::Duration, Type::Dyn) if additive => Type::Dyn,
        (Type::Timestamp, Type::Dyn) if !add && additive => Type::Dyn,
        (Type::Timestamp, Type::Dyn) if add => Type::Timestamp,
        (Type::Dyn, Type::Timestamp) if add => Type::Timestamp,
        (Type::Dyn, Type::Timestamp) if additive => Type::Duration,
        // Anything else goes with its own kind alone.
        (Type::Dyn, known) | (known, Type::Dyn) => return arithmetic(operator, known, known),
        (Type::Int, Type::Int) => Type::Int,
        (Type::Uint, Type::Uint) => Type::Uint,
        (Type::Double, Type::Double) if operator != Operator::Modulo => Type::Double,
        (Type::String, Type::String) if add => Type::String,
        (Type::Bytes, Type::Bytes) if add => Type::Bytes,
        (Type::List(a), Type::List(b)) if add && a.fits(b, &mut Vec::new()) => {
            Type::List(if **a == Type::Dyn {
                b.clone()
            } else {
                a.clone()
            })
        }
        (Type::Duration, Type::Duration) if additive => Type::Duration,
        (Type::Timestamp, Type::Duration) if additive => Type::Timestamp,
        (Type::Duration, Type::Timestamp) if add => Type::Timestamp,
        (Type::Timestamp, Type::Timestamp) if !add && additive => Type::Duration,
        _ => return None,
    })
}

fn call<'s>(
    place: usize,
    name: &str,
    receiver: Option<&'s Expr>,
    args: &'s [Expr],
    scope: &Scope<'s>,
    problems: &mut Problems,
) -> Type<'s> {
    let method = receiver.is_some();
    let given: Vec<Type<'s>> = receiver
        .into_iter()
        .chain(args)
        .map(|arg| check(arg, scope, problems))
        .collect();
    let known = signatures::of(name).map(|all| all.iter().filter(|one| one.method == method));
    let mut known = known.into_iter().flatten().peekable();
    if known.peek().is_none() {
        let text = format!("undeclared reference to '{name}' (in container '')");
        problems.push(Problem::new(place, text));
        return Type::Dyn;
    }
    let mut found: Vec<Type<'s>> = Vec::new();
    for signature in known.filter(|one| one.takes.len() == given.len()) {
        let mut bound = Vec::new();
        let pairs = given.iter().zip(&signature.takes);
        if pairs
            .into_iter()
            .all(|(given, wanted)| given.fits(wanted, &mut bound))
        {
            found.push(signature.gives.with(&bound));
        }
    }
    match found.as_slice() {
        [] => mismatch(place, name, &given, method, problems),
        [first, rest @ ..] if rest.iter().all(|other| other == first) => first.clone(),
        _ => Type::Dyn,
    }
}

/// Types of a macro's variables: of the first, and of the second.
fn variables<'s>(fold: &'s Fold, range: &Type<'s>, problems: &mut Problems) -> [Type<'s>; 2] {
    let optional = matches!(fold.how, How::OptMap | How::OptFlatMap);
    match range {
        Type::Optional(inner) if optional => [(**inner).clone(), Type::Dyn],
        Type::List(item) if !optional && fold.second.is_none() => [(**item).clone(), Type::Dyn],
        Type::List(item) if !optional => [Type::Int, (**item).clone()],
        Type::Map(parts) if !optional => [parts[0].clone(), parts[1].clone()],
        Type::Dyn => [Type::Dyn, Type::Dyn],
        other => {
            let text = format!(
                "expression of type '{other}' cannot be range of a comprehension (must be list, map, or dynamic)"
            );
            problems.push(Problem::new(fold.range.at, text));
            [Type::Dyn, Type::Dyn]
        }
    }
}

fn folded<'s>(fold: &'s Fold, scope: &Scope<'s>, problems: &mut Problems) -> Type<'s> {
    let range = check(&fold.range, scope, problems);
    let [first, second] = variables(fold, &range, problems);
    let inner = scope.with(
        std::iter::once((fold.first.as_str(), first.clone()))
            .chain(fold.second.as_deref().map(|name| (name, second))),
    );
    let wants_bool = |expr: &'s Expr, problems: &mut Problems| {
        let kind = check(expr, &inner, problems);
        if !matches!(kind, Type::Bool | Type::Dyn) {
            let text = format!("expected type 'bool' but found '{kind}'");
            problems.push(Problem::new(expr.at, text));
        }
    };
    if let Some(filter) = &fold.filter {
        wants_bool(filter, problems);
    }
    match fold.how {
        How::All | How::Exists | How::ExistsOne => {
            wants_bool(&fold.body, problems);
            Type::Bool
        }
        How::Filter => {
            wants_bool(&fold.body, problems);
            Type::list(first)
        }
        How::SortBy => {
            check(&fold.body, &inner, problems);
            Type::list(first)
        }
        How::Map | How::TransformList => Type::list(check(&fold.body, &inner, problems)),
        How::TransformMap => {
            let value = check(&fold.body, &inner, problems);
            let key = match &range {
                Type::Map(parts) => parts[0].clone(),
                Type::List(_) => Type::Int,
                _ => Type::Dyn,
            };
            Type::map(key, value)
        }
        How::TransformMapEntry | How::OptFlatMap => check(&fold.body, &inner, problems),
        How::OptMap => Type::optional(check(&fold.body, &inner, problems)),
    }
}
