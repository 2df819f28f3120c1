//! Calls that are macros: `has`, `all`, `map` and their kin.

use super::ast::{Expr, Fold, How, Kind};
use super::problem::Problem;
use super::signatures;

/// A call, or the macro it stands for.
pub(super) fn call(
    at: usize,
    name: String,
    receiver: Option<Box<Expr>>,
    mut args: Vec<Expr>,
) -> Result<Expr, Problem> {
    if name == "has" && receiver.is_none() && args.len() == 1 {
        let arg = args.remove(0);
        let (place, kind) = (arg.at, arg.kind);
        let Kind::Select { operand, field, .. } = kind else {
            return Err(Problem::new(place, "invalid argument to has() macro"));
        };
        let kind = Kind::Has { operand, field };
        return Ok(Expr { at, kind });
    }
    if let Some(Kind::Ident(prefix)) = receiver.as_deref().map(|receiver| &receiver.kind) {
        let name = format!("{prefix}.{name}");
        if signatures::is_qualified(&name) {
            let kind = Kind::Call {
                name,
                receiver: None,
                args,
            };
            return Ok(Expr { at, kind });
        }
    }
    match (receiver, macro_of(&name, args.len())) {
        (Some(receiver), Some(how)) => fold(at, how, *receiver, args),
        (receiver, _) => {
            let kind = Kind::Call {
                name,
                receiver,
                args,
            };
            Ok(Expr { at, kind })
        }
    }
}

/// How, and with how many variables.
fn macro_of(name: &str, args: usize) -> Option<(How, usize)> {
    Some(match (name, args) {
        ("all", 2) => (How::All, 1),
        ("all", 3) => (How::All, 2),
        ("exists", 2) => (How::Exists, 1),
        ("exists", 3) => (How::Exists, 2),
        ("exists_one" | "existsOne", 2) => (How::ExistsOne, 1),
        ("exists_one" | "existsOne", 3) => (How::ExistsOne, 2),
        ("map", 2 | 3) => (How::Map, 1),
        ("filter", 2) => (How::Filter, 1),
        ("transformList", 3 | 4) => (How::TransformList, 2),
        ("transformMap", 3 | 4) => (How::TransformMap, 2),
        ("transformMapEntry", 3 | 4) => (How::TransformMapEntry, 2),
        ("sortBy", 2) => (How::SortBy, 1),
        ("optMap", 2) => (How::OptMap, 1),
        ("optFlatMap", 2) => (How::OptFlatMap, 1),
        _ => return None,
    })
}

fn fold(
    at: usize,
    (how, variables): (How, usize),
    range: Expr,
    mut args: Vec<Expr>,
) -> Result<Expr, Problem> {
    let body = args.pop().expect("a macro has at least two arguments");
    let filter = if args.len() > variables {
        args.pop()
    } else {
        None
    };
    let mut names = Vec::with_capacity(variables);
    for arg in args {
        let Kind::Ident(name) = arg.kind else {
            return Err(Problem::new(arg.at, "argument must be a simple name"));
        };
        names.push(name);
    }
    let second = if variables == 2 { names.pop() } else { None };
    let first = names.pop().expect("a macro has at least one variable");
    let fold = Fold {
        how,
        range,
        first,
        second,
        filter,
        body,
    };
    let kind = Kind::Fold(Box::new(fold));
    Ok(Expr { at, kind })
}
