//! `url("https://a:1/b?c=d")`: absolute URIs and absolute paths.

/// A URL in its parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Url {
    pub(crate) text: String,
    pub(crate) scheme: String,
    /// With the port.
    pub(crate) host: String,
    pub(crate) path: String,
    pub(crate) query: String,
}

impl Url {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let odd = |c: char| c.is_control() || c == ' ' || c == '\u{7f}';
        if text.is_empty() || text.contains(odd) {
            return None;
        }
        let (scheme, rest) = match text.split_once(':') {
            Some((scheme, rest)) if is_scheme(scheme) => (scheme, rest),
            Some(_) | None if text.starts_with('/') => ("", text),
            Some(_) | None => return None,
        };
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (host, path) = match rest.strip_prefix("//") {
            Some(rest) => rest.split_at(rest.find('/').unwrap_or(rest.len())),
            None if rest.starts_with('/') => ("", rest),
            None => return None,
        };
        let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
        let sound = is_host(host) && is_escaped(path);
        sound.then(|| Self {
            text: text.to_owned(),
            scheme: scheme.to_lowercase(),
            host: host.to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
        })
    }

    pub(crate) fn hostname(&self) -> &str {
        if let Some(rest) = self.host.strip_prefix('[') {
            return rest.split_once(']').map_or(rest, |(name, _)| name);
        }
        self.host
            .rsplit_once(':')
            .map_or(&self.host, |(name, _)| name)
    }

    pub(crate) fn port(&self) -> &str {
        let after = self
            .host
            .rsplit_once(']')
            .map_or(self.host.as_str(), |(_, rest)| rest);
        after.rsplit_once(':').map_or("", |(_, port)| port)
    }

    /// Names and values of the query, in order; what does not decode is left out.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (String, String)> {
        let parts = self
            .query
            .split('&')
            .filter(|part| !part.is_empty() && !part.contains(';'));
        parts.filter_map(|part| {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            Some((decoded(name)?, decoded(value)?))
        })
    }
}

fn is_scheme(text: &str) -> bool {
    let rest = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.');
    text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.bytes().all(rest)
}

fn is_host(host: &str) -> bool {
    let after = host.rsplit_once(']').map_or(host, |(_, rest)| rest);
    let port = after.rsplit_once(':').map_or("", |(_, port)| port);
    let odd = |c: char| matches!(c, '<' | '>' | '"' | '\\' | '^' | '{' | '}' | '|' | '`');
    let brackets = host.starts_with('[') == host.contains(']');
    brackets && port.bytes().all(|b| b.is_ascii_digit()) && !host.contains(odd)
}

fn is_escaped(path: &str) -> bool {
    let mut parts = path.split('%');
    parts.next();
    parts.all(|part| part.len() >= 2 && part.bytes().take(2).all(|b| b.is_ascii_hexdigit()))
}

fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(b) = rest.next() {
        match b {
            b'+' => bytes.push(b' '),
            b'%' => {
                let digits = [rest.next()?, rest.next()?];
                let digits = std::str::from_utf8(&digits).ok()?;
                bytes.push(u8::from_str_radix(digits, 16).ok()?);
            }
            other => bytes.push(other),
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        let url = Url::parse("https://u:p@[::1]:8080/a%20b?x=1&y=a+b&x=2").unwrap();
        assert_eq!(
            (url.hostname(), url.port(), url.path.as_str()),
            ("::1", "8080", "/a%20b")
        );
        assert_eq!(url.pairs().nth(1), Some(("y".into(), "a b".into())));
        assert_eq!(Url::parse("/absolute/path").unwrap().host, "");
        for bad in [
            "",
            "../relative",
            "example.com",
            "http://a b",
            "https://x:y:z%",
            "ht tp://x",
        ] {
            assert_eq!(Url::parse(bad), None, "{bad}");
        }
    }
}
