//! Addresses of mail, as Go's `mail.ParseAddress` reads them (RFC 5322): `a@b`, `<a@b>`,
//! `Some One <a@b>`. Comments and folded lines are not taken.

pub(super) fn is_address(text: &str) -> bool {
    let text = text.trim_matches([' ', '\t']);
    match text.strip_suffix('>') {
        None => is_spec(text),
        Some(rest) => rest
            .rsplit_once('<')
            .is_some_and(|(name, spec)| is_phrase(name.trim()) && is_spec(spec.trim())),
    }
}

/// `local@domain`.
fn is_spec(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else {
        return false;
    };
    let literal = domain
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let domain = match literal {
        Some(inner) => inner
            .strip_prefix("IPv6:")
            .unwrap_or(inner)
            .parse::<std::net::IpAddr>()
            .is_ok(),
        None => is_dot_atom(domain),
    };
    domain && (is_dot_atom(local) || is_quoted(local))
}

/// The name before an address in angles: words and quoted strings, or nothing.
fn is_phrase(text: &str) -> bool {
    let word = |word: &str| word.chars().all(|c| is_atom(c) || c == '.');
    is_quoted(text) || text.split_whitespace().all(word)
}

fn is_dot_atom(text: &str) -> bool {
    text.split('.')
        .all(|atom| !atom.is_empty() && atom.chars().all(is_atom))
}

fn is_atom(c: char) -> bool {
    c.is_ascii_alphanumeric()
        || "!#$%&'*+-/=?^_`{|}~".contains(c)
        || (!c.is_ascii() && !c.is_control())
}

fn is_quoted(text: &str) -> bool {
    let Some(body) = text
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
    else {
        return false;
    };
    let mut escaped = false;
    for c in body.chars() {
        if c == '"' && !escaped || c.is_control() && c != '\t' {
            return false;
        }
        escaped = c == '\\' && !escaped;
    }
    !escaped && text.len() >= 2
}
