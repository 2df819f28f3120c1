//! What names, labels and annotations may look like. Each check answers what is wrong, if anything.

const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric \
    characters, '-' or '.', and must start and end with an alphanumeric character (e.g. \
    'example.com', regex used for validation is \
    '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";

const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters \
    or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', \
    regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";

const QUALIFIED: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', and \
    must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', \
    regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";

const VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, \
    '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or \
    'my_value',  or '12345', regex used for validation is \
    '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";

/// A DNS label: namespaces.
#[must_use]
pub fn dns_label(name: &str) -> Option<String> {
    if name.len() > 63 {
        return Some("must be no more than 63 characters".to_owned());
    }
    (!is_dns_label(name)).then(|| LABEL.to_owned())
}

/// A DNS subdomain: the names of nearly all objects.
#[must_use]
pub fn dns_subdomain(name: &str) -> Option<String> {
    if name.len() > 253 {
        return Some("must be no more than 253 characters".to_owned());
    }
    (!name.split('.').all(is_dns_label)).then(|| SUBDOMAIN.to_owned())
}

/// A name that may stand in a URL, such as `system:node`: roles and bindings.
#[must_use]
pub fn path_segment(name: &str) -> Option<String> {
    match name {
        "." | ".." => Some(format!("may not be '{name}'")),
        long if long.len() > 253 => Some("must be no more than 253 characters".to_owned()),
        other if other.contains('/') => Some("may not contain '/'".to_owned()),
        other if other.contains('%') => Some("may not contain '%'".to_owned()),
        // Upstream allows them, but no URL could name the object here.
        other if other.chars().any(char::is_control) => {
            Some("may not contain control characters".to_owned())
        }
        _ => None,
    }
}

/// A label's or annotation's key: `[subdomain/]name`.
#[must_use]
pub fn label_key(key: &str) -> Option<String> {
    let name = match key.split_once('/') {
        Some(("", _)) => return Some("prefix part must be non-empty".to_owned()),
        Some((_, name)) if name.contains('/') => {
            return Some(
                "a qualified name must consist of a name and at most one prefix".to_owned(),
            );
        }
        Some((prefix, name)) => {
            if let Some(problem) = dns_subdomain(prefix) {
                return Some(format!("prefix part {problem}"));
            }
            name
        }
        None => key,
    };
    match name {
        "" => Some("name part must be non-empty".to_owned()),
        long if long.len() > 63 => Some("name part must be no more than 63 characters".to_owned()),
        other => (!is_word(other)).then(|| QUALIFIED.to_owned()),
    }
}

/// A label's value.
#[must_use]
pub fn label_value(value: &str) -> Option<String> {
    if value.len() > 63 {
        return Some("must be no more than 63 characters".to_owned());
    }
    (!value.is_empty() && !is_word(value)).then(|| VALUE.to_owned())
}

/// A key of a ConfigMap or Secret.
#[must_use]
pub fn data_key(key: &str) -> Option<String> {
    const TEXT: &str = "a valid config key must consist of alphanumeric characters, '-', '_' or '.' \
        (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')";
    let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    match key {
        "." | ".." => Some(format!("must not be '{key}'")),
        long if long.len() > 253 => Some("must be no more than 253 characters".to_owned()),
        other => (other.is_empty() || !other.bytes().all(legal)).then(|| TEXT.to_owned()),
    }
}

fn is_dns_label(part: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    !part.is_empty() && part.bytes().all(inner) && !part.starts_with('-') && !part.ends_with('-')
}

fn is_word(word: &str) -> bool {
    let end = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_alphanumeric());
    let inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    end(word.bytes().next()) && end(word.bytes().last()) && word.bytes().all(inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let long = "a".repeat(254);
        for (name, subdomain, label) in [
            ("a", true, true),
            ("a-b", true, true),
            ("a.b", true, false),
            ("A", false, false),
            ("-a", false, false),
            ("a-", false, false),
            ("a..b", false, false),
            ("", false, false),
            ("a/b", false, false),
            ("é", false, false),
            (&long, false, false),
            (&long[..63], true, true),
            (&long[..64], true, false),
        ] {
            assert_eq!(dns_subdomain(name).is_none(), subdomain, "{name}");
            assert_eq!(dns_label(name).is_none(), label, "{name}");
        }
    }

    #[test]
    fn path_segments() {
        for (name, problem) in [
            ("system:node", None),
            ("A b_C.", None),
            (".", Some("may not be '.'")),
            ("..", Some("may not be '..'")),
            ("a/b", Some("may not contain '/'")),
            ("a%2f", Some("may not contain '%'")),
            ("a\nb", Some("may not contain control characters")),
        ] {
            assert_eq!(path_segment(name).as_deref(), problem, "{name}");
        }
    }

    #[test]
    fn keys_and_values() {
        for (key, good) in [
            ("a", true),
            ("x.io/a", true),
            ("/a", false),
            ("x/", false),
            ("a/b/c", false),
            ("", false),
        ] {
            assert_eq!(label_key(key).is_none(), good, "{key}");
        }
        for (value, good) in [("", true), ("a_b", true), ("a b", false), ("-a", false)] {
            assert_eq!(label_value(value).is_none(), good, "{value}");
        }
        for (key, good) in [
            ("a.b_c-D", true),
            ("..", false),
            ("", false),
            ("a/b", false),
        ] {
            assert_eq!(data_key(key).is_none(), good, "{key}");
        }
    }
}
