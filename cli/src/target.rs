//! Which objects a command line names: `KIND NAME...`, `KIND/NAME ...`, or a whole kind.

use crate::exit::{Failure, Outcome};
use crate::kinds::{Kind, Kinds};

/// Objects of one kind, as named on the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// Of this kind.
    pub(crate) kind: Kind,
    /// This one; none: all that a selector leaves.
    pub(crate) name: Option<String>,
}

/// Reads `KIND[,KIND...] [NAME...]` or `KIND/NAME...`.
pub(crate) fn parse(kinds: &Kinds, words: &[String]) -> Outcome<Vec<Target>> {
    let Some(first) = words.first() else {
        return Err(
            Failure::usage("no kind was named").hint("e.g. `tasks`, `task NAME` or `task/NAME`")
        );
    };
    if first.contains('/') {
        return words.iter().map(|word| pair(kinds, word)).collect();
    }
    let found = kinds.resolve_all(first)?;
    let names = &words[1..];
    if let Some(word) = names.iter().find(|name| name.contains('/')) {
        return Err(
            Failure::usage(format!("{first} and {word} mix two ways of naming"))
                .hint("write KIND NAME NAME..., or KIND/NAME KIND/NAME..."),
        );
    }
    if names.is_empty() {
        return Ok(found
            .into_iter()
            .map(|kind| Target {
                kind: kind.clone(),
                name: None,
            })
            .collect());
    }
    let all = found.into_iter().flat_map(|kind| {
        names.iter().map(|name| Target {
            kind: kind.clone(),
            name: Some(name.clone()),
        })
    });
    Ok(all.collect())
}

/// Reads one `KIND/NAME`.
pub(crate) fn pair(kinds: &Kinds, word: &str) -> Outcome<Target> {
    match word.split_once('/') {
        Some((kind, name)) if !name.is_empty() && !name.contains('/') => Ok(Target {
            kind: kinds.resolve(kind)?.clone(),
            name: Some(name.to_owned()),
        }),
        Some(_) | None => Err(Failure::usage(format!("{word:?} does not name an object"))
            .hint("write KIND/NAME, e.g. task/count-words")),
    }
}

/// The objects of [`parse`], each with a name.
pub(crate) fn named(kinds: &Kinds, words: &[String]) -> Outcome<Vec<(Kind, String)>> {
    let targets = parse(kinds, words)?;
    let named = targets.into_iter().map(|target| match target.name {
        Some(name) => Ok((target.kind, name)),
        None => Err(
            Failure::usage(format!("which {}? no name was given", target.kind.singular))
                .hint(format!("write {}/NAME", target.kind.singular)),
        ),
    });
    named.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_named_in_the_usual_ways() {
        let kinds = Kinds::offline();
        let table = [
            ("tasks", "task:-"),
            ("tk a b", "task:a task:b"),
            ("task/a agent/b", "task:a agent:b"),
            ("tk,ag x", "task:x agent:x"),
            ("task/a b", "error"),
            ("task a/b", "error"),
            ("task/", "error"),
            ("nonsense", "error"),
            ("", "error"),
        ];
        for (line, expected) in table {
            let words: Vec<_> = line.split_whitespace().map(str::to_owned).collect();
            let got = parse(&kinds, &words).map_or("error".to_owned(), |targets| {
                let each = targets
                    .iter()
                    .map(|t| format!("{}:{}", t.kind.singular, t.name.as_deref().unwrap_or("-")));
                each.collect::<Vec<_>>().join(" ")
            });
            assert_eq!(got, expected, "{line}");
        }
    }
}
