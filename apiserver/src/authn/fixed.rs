//! Static tokens: a file with a line for each, `token,user,uid[,"group1,group2"]`, as
//! `kube-apiserver --token-auth-file` reads it.

use ring::digest;

use super::AUTHENTICATED;
use crate::user::User;

/// The tokens of a file. Kept are their hashes alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    lines: Vec<([u8; 32], User)>,
}

/// A line that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Too few columns.
    #[error("line {0}: must have at least 3 columns (token, user name, user uid)")]
    Columns(usize),
    /// Nothing where something must be.
    #[error("line {0}: token and user name must not be empty")]
    Empty(usize),
    /// A quote that does not end, or ends amid a column.
    #[error("line {0}: a quoted column must end with a quote before the next comma")]
    Quote(usize),
    /// Two lines with one token.
    #[error("line {0}: the token stands on an earlier line, too")]
    Twice(usize),
}

impl Table {
    /// Reads the text of a file.
    ///
    /// # Errors
    /// The first line that cannot be used.
    pub fn parse(text: &str) -> Result<Self, Problem> {
        let mut table = Self::default();
        for (n, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() {
                continue;
            }
            let (token, user) = entry(n, columns(line).ok_or(Problem::Quote(n))?)?;
            if table.lines.iter().any(|(known, _)| *known == token) {
                return Err(Problem::Twice(n));
            }
            table.lines.push((token, user));
        }
        Ok(table)
    }

    /// The user of a token. Every line is compared, each in a time that does not depend on it.
    #[must_use]
    pub fn user(&self, token: &str) -> Option<&User> {
        let hash = hash(token);
        let mut found = None;
        for (known, user) in &self.lines {
            let differs = known.iter().zip(&hash).fold(0, |all, (a, b)| all | (a ^ b));
            if differs == 0 {
                found = Some(user);
            }
        }
        found
    }
}

fn entry(n: usize, columns: Vec<String>) -> Result<([u8; 32], User), Problem> {
    let mut columns = columns.into_iter();
    let mut next = || columns.next().ok_or(Problem::Columns(n));
    let (token, name, uid) = (next()?, next()?, next()?);
    if token.is_empty() || name.is_empty() {
        return Err(Problem::Empty(n));
    }
    let groups = columns.next().unwrap_or_default();
    let groups = groups
        .split(',')
        .map(str::trim)
        .filter(|group| !group.is_empty());
    let groups = groups.map(str::to_owned).chain([AUTHENTICATED.to_owned()]);
    let user = User {
        name,
        groups: groups.collect(),
        uid,
        ..User::default()
    };
    Ok((hash(&token), user))
}

/// The columns of a line of RFC 4180; none if a quote is out of place.
fn columns(line: &str) -> Option<Vec<String>> {
    let mut columns = Vec::new();
    let mut rest = line;
    loop {
        let Some(quoted) = rest.strip_prefix('"') else {
            let (column, after) = rest
                .split_once(',')
                .map_or((rest, None), |(c, a)| (c, Some(a)));
            columns.push(column.trim().to_owned());
            match after {
                Some(after) => rest = after.trim_start(),
                None => return Some(columns),
            }
            continue;
        };
        let (column, after) = unquote(quoted)?;
        columns.push(column);
        match after.trim_start().strip_prefix(',') {
            Some(after) => rest = after.trim_start(),
            None if after.trim().is_empty() => return Some(columns),
            None => return None,
        }
    }
}

/// The text up to the closing quote, and what follows it. A doubled quote stands for itself.
fn unquote(text: &str) -> Option<(String, &str)> {
    let mut column = String::new();
    let mut rest = text;
    loop {
        let (before, after) = rest.split_once('"')?;
        column.push_str(before);
        match after.strip_prefix('"') {
            Some(more) => {
                column.push('"');
                rest = more;
            }
            None => return Some((column, after)),
        }
    }
}

fn hash(token: &str) -> [u8; 32] {
    let hash = digest::digest(&digest::SHA256, token.as_bytes());
    hash.as_ref().try_into().expect("a SHA-256 has 32 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let text = "t1,alice,u1\n\nt2, bob ,u2,\"g1,g2\"\nt3,\"eve \"\"x\"\"\",,g3\n";
        let table = Table::parse(text).unwrap();
        for (token, expected) in [
            ("t1", Some(("alice", "u1", &["system:authenticated"][..]))),
            (
                "t2",
                Some(("bob", "u2", &["g1", "g2", "system:authenticated"])),
            ),
            (
                "t3",
                Some(("eve \"x\"", "", &["g3", "system:authenticated"])),
            ),
            ("t4", None),
            ("", None),
        ] {
            let user = table.user(token);
            assert_eq!(user.is_some(), expected.is_some(), "{token}");
            if let (Some(user), Some((name, uid, groups))) = (user, expected) {
                assert_eq!((&*user.name, &*user.uid), (name, uid));
                assert_eq!(user.groups, groups);
            }
        }
    }

    #[test]
    fn wrong_lines() {
        for (text, problem) in [
            ("t,u", Problem::Columns(1)),
            ("t,u,1\n,u,1", Problem::Empty(2)),
            ("t,,1", Problem::Empty(1)),
            ("t,u,1,\"g", Problem::Quote(1)),
            ("\"t\"x,u,1", Problem::Quote(1)),
            ("t,u,1\nt,v,2", Problem::Twice(2)),
        ] {
            assert_eq!(Table::parse(text), Err(problem), "{text}");
        }
        assert_eq!(Table::parse(""), Ok(Table::default()));
    }
}
