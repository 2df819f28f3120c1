//! In whose name a request writes.

use crate::authn::JOINERS;
use crate::params::Params;
use crate::user::{AGENTS, User};

/// Longest name, as upstream.
pub const NAME_BYTES_MAX: usize = 128;

/// Who owns what a request writes.
#[derive(Clone, Copy, Debug)]
pub struct Author<'a> {
    /// The field manager.
    pub name: &'a str,
    /// False for the cluster's own programs: nobody owns what they write (decision 015).
    pub tracked: bool,
    /// Apply takes what others own.
    pub force: bool,
}

impl<'a> Author<'a> {
    /// The author of a request.
    #[must_use]
    pub fn of(user: &User, params: &'a Params) -> Self {
        let own = user.is_system() || user.is_in(AGENTS) || user.is_in(JOINERS);
        let names = [params.field_manager.as_str(), params.agent.as_str()];
        Self {
            name: names
                .into_iter()
                .find(|name| !name.is_empty())
                .unwrap_or("unknown"),
            tracked: !own,
            force: params.force == Some(true),
        }
    }

    /// The cluster itself.
    #[must_use]
    pub fn nobody() -> Self {
        Author {
            name: "",
            tracked: false,
            force: false,
        }
    }
}

/// What a `User-Agent` says before its first slash, without what cannot be printed.
#[must_use]
pub fn agent(header: &str) -> String {
    let mut name = String::new();
    let first = header.split('/').next().unwrap_or_default();
    for c in first.chars().filter(|c| !c.is_control()) {
        if name.len() + c.len_utf8() > NAME_BYTES_MAX {
            break;
        }
        name.push(c);
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (query, header, name) in [
            ("", "", "unknown"),
            ("", "kubectl/v1.32.4 (linux/amd64)", "kubectl"),
            ("", "curl", "curl"),
            ("fieldManager=me", "kubectl/v1", "me"),
        ] {
            let mut params = Params::parse(query).unwrap();
            params.agent = agent(header);
            assert_eq!(Author::of(&User::new("u", "g"), &params).name, name);
        }
        assert_eq!(agent("a\u{7}b/c"), "ab");
        assert_eq!(agent(&"é".repeat(100)).len(), 128);
    }

    #[test]
    fn the_cluster_s_own_programs_are_not_tracked() {
        let params = Params::default();
        for (user, tracked) in [
            (User::controllers(), false),
            (User::new("a1", AGENTS), false),
            (User::new("j", JOINERS), false),
            (User::new("ann", "system:masters"), true),
        ] {
            assert_eq!(Author::of(&user, &params).tracked, tracked, "{user:?}");
        }
    }
}
