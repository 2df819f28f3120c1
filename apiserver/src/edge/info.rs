//! What a URL names, as `requestinfo.go` of k8s.io/apiserver reads it. Pure.

use http::Method;

/// What a path names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// `/`.
    Root,
    /// `/version`.
    Version,
    /// `/healthz`, `/livez`, `/readyz`, with the name of one check.
    Health(String, Option<String>),
    /// `/metrics`.
    Metrics,
    /// `/stoa/v1/snapshot`.
    Snapshot,
    /// `/.well-known/openid-configuration`.
    OpenId,
    /// `/openid/v1/jwks`.
    OpenIdKeys,
    /// `/api`.
    CoreVersions,
    /// `/apis`.
    Groups,
    /// `/apis/GROUP`.
    Group(String),
    /// `/api/v1`, `/apis/GROUP/VERSION`.
    Resources(String, String),
    /// `/openapi/v2`.
    OpenApiTwo,
    /// `/openapi/v3`.
    OpenApi,
    /// `/openapi/v3/api/v1`, `/openapi/v3/apis/GROUP/VERSION`.
    OpenApiDocument(String, String),
    /// A resource, an object or a subresource.
    Resource(Place),
    /// Nothing.
    Unknown,
}

/// A resource, an object or a subresource.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    /// API group; empty for the core group.
    pub(crate) group: String,
    /// API version.
    pub(crate) version: String,
    /// Plural.
    pub(crate) resource: String,
    /// Namespace of the URL. For a Namespace object itself, none.
    pub(crate) namespace: Option<String>,
    /// Object.
    pub(crate) name: Option<String>,
    /// Subresource; longer paths keep their slashes.
    pub(crate) subresource: Option<String>,
    /// The old `/watch/` prefix was used.
    pub(crate) watch: bool,
}

/// Reads a path. Repeated and trailing slashes do not count.
pub(crate) fn target(path: &str) -> Target {
    let Some(words) = words(path) else {
        return Target::Unknown;
    };
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        [] => Target::Root,
        ["version"] => Target::Version,
        ["metrics"] => Target::Metrics,
        ["stoa", "v1", "snapshot"] => Target::Snapshot,
        [kind @ ("healthz" | "livez" | "readyz")] => Target::Health(kind.to_owned(), None),
        [kind @ ("healthz" | "livez" | "readyz"), check] => {
            Target::Health(kind.to_owned(), Some(check.to_owned()))
        }
        [".well-known", "openid-configuration"] => Target::OpenId,
        ["openid", "v1", "jwks"] => Target::OpenIdKeys,
        ["api"] => Target::CoreVersions,
        ["apis"] => Target::Groups,
        ["apis", group] => Target::Group(group.to_owned()),
        ["api", version] => Target::Resources(String::new(), version.to_owned()),
        ["apis", group, version] => Target::Resources(group.to_owned(), version.to_owned()),
        ["openapi", "v2"] => Target::OpenApiTwo,
        ["openapi", "v3"] => Target::OpenApi,
        ["openapi", "v3", "api", version] => {
            Target::OpenApiDocument(String::new(), version.to_owned())
        }
        ["openapi", "v3", "apis", group, version] => {
            Target::OpenApiDocument(group.to_owned(), version.to_owned())
        }
        ["api", version, ref rest @ ..] => resource("", version, rest),
        ["apis", group, version, ref rest @ ..] => resource(group, version, rest),
        _ => Target::Unknown,
    }
}

fn resource(group: &str, version: &str, rest: &[&str]) -> Target {
    let (watch, rest) = match rest {
        ["watch", rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let (namespace, rest) = match rest {
        // These are the namespace's own subresources; any other word is a resource inside it.
        ["namespaces", _] | ["namespaces", _, "status" | "finalize"] => (None, rest),
        ["namespaces", namespace, rest @ ..] => (Some((*namespace).to_owned()), rest),
        rest => (None, rest),
    };
    let [resource, rest @ ..] = rest else {
        return Target::Unknown;
    };
    let (name, rest) = match rest {
        [] => (None, rest),
        [name, rest @ ..] => (Some((*name).to_owned()), rest),
    };
    Target::Resource(Place {
        group: group.to_owned(),
        version: version.to_owned(),
        resource: (*resource).to_owned(),
        namespace,
        name,
        subresource: (!rest.is_empty()).then(|| rest.join("/")),
        watch,
    })
}

/// The path as it is understood, without escapes and needless slashes; none for one that names
/// nothing anyway.
pub(crate) fn plain(path: &str) -> Option<String> {
    words(path).map(|words| format!("/{}", words.join("/")))
}

/// The words of a path, unescaped; none if an escape is wrong or hides a slash or control byte.
fn words(path: &str) -> Option<Vec<String>> {
    path.split('/')
        .filter(|word| !word.is_empty())
        .map(unescape)
        .collect()
}

fn unescape(word: &str) -> Option<String> {
    let mut plain = Vec::with_capacity(word.len());
    let mut bytes = word.bytes();
    while let Some(byte) = bytes.next() {
        plain.push(if byte == b'%' {
            let mut digit = || char::from(bytes.next()?).to_digit(16);
            u8::try_from(digit()? * 16 + digit()?).ok()?
        } else {
            byte
        });
    }
    let plain = String::from_utf8(plain).ok()?;
    (!plain.chars().any(|c| c == '/' || c.is_control())).then_some(plain)
}

/// The verb of a request on a resource; none for methods that have none.
pub(crate) fn verb(method: &Method, place: &Place, watch: bool) -> Option<&'static str> {
    let named = place.name.is_some();
    match *method {
        Method::GET | Method::HEAD if watch || place.watch => Some("watch"),
        Method::GET | Method::HEAD if named => Some("get"),
        Method::GET | Method::HEAD => Some("list"),
        Method::POST => Some("create"),
        Method::PUT => Some("update"),
        Method::PATCH => Some("patch"),
        Method::DELETE if named => Some("delete"),
        Method::DELETE => Some("deletecollection"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(path: &str) -> String {
        let target = target(path);
        let Target::Resource(p) = target else {
            return format!("{target:?}");
        };
        let or = |word: &Option<String>| word.clone().unwrap_or_else(|| "-".into());
        let watch = if p.watch { " watch" } else { "" };
        let (namespace, name, subresource) = (or(&p.namespace), or(&p.name), or(&p.subresource));
        let Place {
            group,
            version,
            resource,
            ..
        } = p;
        format!("{group}/{version} {resource} {namespace} {name} {subresource}{watch}")
    }

    #[test]
    fn paths() {
        for (path, expected) in [
            ("/", "Root"),
            ("//", "Root"),
            ("/version/", "Version"),
            ("/livez/ping", "Health(\"livez\", Some(\"ping\"))"),
            ("/api", "CoreVersions"),
            ("/stoa/v1/snapshot", "Snapshot"),
            ("/stoa/v1", "Unknown"),
            ("/api/v1/", "Resources(\"\", \"v1\")"),
            ("/apis/stoa.dev", "Group(\"stoa.dev\")"),
            ("/apis/stoa.dev/v1", "Resources(\"stoa.dev\", \"v1\")"),
            (
                "/openapi/v3/apis/stoa.dev/v1",
                "OpenApiDocument(\"stoa.dev\", \"v1\")",
            ),
            ("/openapi/v1", "Unknown"),
            ("/.well-known/openid-configuration", "OpenId"),
            ("/openid/v1/jwks", "OpenIdKeys"),
            ("/api/v1/namespaces", "/v1 namespaces - - -"),
            ("/api/v1/namespaces/a", "/v1 namespaces - a -"),
            (
                "/api/v1/namespaces/a/finalize",
                "/v1 namespaces - a finalize",
            ),
            ("/api/v1/namespaces/a/secrets", "/v1 secrets a - -"),
            ("/apis/stoa.dev/v1/tasks", "stoa.dev/v1 tasks - - -"),
            (
                "/apis/stoa.dev/v1/namespaces/a/tasks/x/status",
                "stoa.dev/v1 tasks a x status",
            ),
            (
                "/apis/stoa.dev/v1/watch/namespaces/a/tasks",
                "stoa.dev/v1 tasks a - - watch",
            ),
            (
                "/api/v1/namespaces/a/pods/p/proxy/x/y",
                "/v1 pods a p proxy/x/y",
            ),
            ("/apis/g/v/rs/system%3Anode", "g/v rs - system:node -"),
            ("/apis/g/v/rs/a%2Fb", "Unknown"),
            ("/apis/g/v/rs/%zz", "Unknown"),
            ("/apis/g/v/rs/%ff", "Unknown"),
            ("/apis/g/v/watch", "Unknown"),
            ("/etc/passwd", "Unknown"),
        ] {
            assert_eq!(text(path), expected, "{path}");
        }
    }

    #[test]
    fn plain_paths() {
        for (path, expected) in [
            ("/", Some("/")),
            ("", Some("/")),
            ("//metrics/", Some("/metrics")),
            ("/%6detrics", Some("/metrics")),
            ("/%73toa/v1//snapshot", Some("/stoa/v1/snapshot")),
            ("/a%252fb", Some("/a%2fb")),
            ("/metrics%2f", None),
            ("/metrics%00", None),
            ("/%c0%ae%c0%ae", None),
        ] {
            assert_eq!(plain(path).as_deref(), expected, "{path}");
        }
    }

    #[test]
    fn verbs() {
        let collection = Place::default();
        let object = Place {
            name: Some("x".into()),
            ..Place::default()
        };
        for (method, place, watch, expected) in [
            (Method::GET, &collection, false, Some("list")),
            (Method::GET, &collection, true, Some("watch")),
            (Method::HEAD, &object, false, Some("get")),
            (Method::DELETE, &object, false, Some("delete")),
            (Method::DELETE, &collection, false, Some("deletecollection")),
            (Method::PUT, &object, true, Some("update")),
            (Method::OPTIONS, &object, false, None),
        ] {
            assert_eq!(verb(&method, place, watch), expected, "{method}");
        }
    }
}
