//! Which form an answer takes, and how a body is written: `Accept` and `Content-Type`. Pure.

use crate::call::Media;
use crate::status::Failure;

/// The bytes of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Json,
    Yaml,
}

/// The shape of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// The objects themselves.
    Full,
    /// Rows and columns.
    Table,
    /// Metadata only.
    Partial,
    /// Discovery of all groups at once.
    Discovery,
}

/// What kind of answer is being negotiated: only some shapes fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// One object.
    Object,
    /// Many.
    List,
    /// A stream of objects.
    Watch,
    /// `/api` and `/apis`.
    Discovery,
    /// Something without metadata.
    Plain,
}

const ACCEPTED: &[&str] = &["application/json", "application/yaml"];

struct Clause<'a> {
    media: &'a str,
    parameters: Vec<(&'a str, &'a str)>,
    /// Thousandths.
    quality: u32,
}

/// Picks the first form, in the client's order, that can be served.
///
/// # Errors
/// 406 if there is none.
pub(crate) fn accept(header: Option<&str>, answer: Answer) -> Result<(Encoding, Shape), Failure> {
    let header = header.map(str::trim).filter(|header| !header.is_empty());
    let Some(header) = header else {
        return Ok((Encoding::Json, Shape::Full));
    };
    let mut clauses: Vec<Clause<'_>> = header.split(',').map(clause).collect();
    clauses.sort_by_key(|clause| std::cmp::Reverse(clause.quality));
    let mut usable = clauses.iter().filter(|clause| clause.quality > 0);
    usable
        .find_map(|clause| Some((encoding(clause.media)?, shape(clause, answer)?)))
        .ok_or_else(|| Failure::not_acceptable(ACCEPTED))
}

fn clause(text: &str) -> Clause<'_> {
    let mut parts = text.split(';').map(str::trim);
    let media = parts.next().unwrap_or_default();
    let parameters: Vec<_> = parts.filter_map(|part| part.split_once('=')).collect();
    let quality = parameters.iter().find(|(key, _)| *key == "q");
    let quality = quality
        .and_then(|(_, value)| value.parse::<f32>().ok())
        .unwrap_or(1.0);
    Clause {
        media,
        parameters,
        quality: (quality.clamp(0.0, 1.0) * 1000.0) as u32,
    }
}

fn encoding(media: &str) -> Option<Encoding> {
    match media.to_ascii_lowercase().as_str() {
        "*/*" | "application/*" | "application/json" => Some(Encoding::Json),
        "application/yaml" | "application/x-yaml" | "text/yaml" => Some(Encoding::Yaml),
        _ => None,
    }
}

fn shape(clause: &Clause<'_>, answer: Answer) -> Option<Shape> {
    let parameter = |key: &str| {
        clause
            .parameters
            .iter()
            .find_map(|(own, value)| (*own == key).then_some(*value))
    };
    let (as_, group, version) = (parameter("as"), parameter("g"), parameter("v"));
    let meta = group == Some("meta.k8s.io") && version == Some("v1");
    let discovery = group == Some("apidiscovery.k8s.io") && version == Some("v2");
    match (as_, answer) {
        (None, _) => Some(Shape::Full),
        (Some("Table"), Answer::Object | Answer::List | Answer::Watch) if meta => {
            Some(Shape::Table)
        }
        (Some("PartialObjectMetadata"), Answer::Object | Answer::Watch) if meta => {
            Some(Shape::Partial)
        }
        (Some("PartialObjectMetadataList"), Answer::List | Answer::Watch) if meta => {
            Some(Shape::Partial)
        }
        (Some("APIGroupDiscoveryList"), Answer::Discovery) if discovery => Some(Shape::Discovery),
        (Some(_), _) => None,
    }
}

/// How a body of POST, PUT or DELETE is written. Nothing said means JSON: several clients say
/// nothing.
///
/// # Errors
/// 415 for anything but JSON and YAML.
pub(crate) fn body_media(header: Option<&str>) -> Result<Media, Failure> {
    match media_type(header).as_str() {
        "" | "application/json" | "*/*" => Ok(Media::Json),
        "application/yaml" | "application/x-yaml" | "text/yaml" => Ok(Media::Yaml),
        _ => Err(Failure::unsupported_media(ACCEPTED)),
    }
}

/// How a body is written where clients may send protobuf too.
///
/// # Errors
/// 415 for anything but JSON, YAML and protobuf.
pub(crate) fn typed_media(header: Option<&str>) -> Result<Media, Failure> {
    match media_type(header).as_str() {
        "application/vnd.kubernetes.protobuf" => Ok(Media::Protobuf),
        _ => body_media(header),
    }
}

/// How a patch is written.
///
/// # Errors
/// 415 naming `accepted` for anything that is no patch type.
pub(crate) fn patch_media(header: Option<&str>, accepted: &[&str]) -> Result<Media, Failure> {
    match media_type(header).as_str() {
        "application/json-patch+json" => Ok(Media::JsonPatch),
        "application/merge-patch+json" => Ok(Media::MergePatch),
        "application/strategic-merge-patch+json" => Ok(Media::StrategicMerge),
        "application/apply-patch+yaml" | "application/apply-patch+json" => Ok(Media::Apply),
        _ => Err(Failure::unsupported_media(accepted)),
    }
}

fn media_type(header: Option<&str>) -> String {
    let media = header
        .unwrap_or_default()
        .split(';')
        .next()
        .unwrap_or_default();
    media.trim().to_ascii_lowercase()
}

/// True if the client reads gzip and does not say that it would rather not.
pub(crate) fn takes_gzip(accept_encoding: Option<&str>) -> bool {
    let offers = accept_encoding.unwrap_or_default().split(',');
    let mut gzip = offers.filter_map(|offer| {
        let mut words = offer.split(';').map(str::trim);
        let named = words.next()?.eq_ignore_ascii_case("gzip");
        named.then(|| !words.any(|word| matches!(word, "q=0" | "q=0.0" | "q=0.00" | "q=0.000")))
    });
    gzip.next().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepting() {
        use Answer::{Discovery, List, Object, Plain, Watch};
        const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
        const PARTIAL: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
        const V2: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json";
        let json = |shape| Some((Encoding::Json, shape));
        for (header, answer, expected) in [
            ("", Object, json(Shape::Full)),
            ("*/*", List, json(Shape::Full)),
            (
                "application/yaml",
                Object,
                Some((Encoding::Yaml, Shape::Full)),
            ),
            (TABLE, List, json(Shape::Table)),
            (TABLE, Plain, json(Shape::Full)),
            ("application/json;as=Table;v=v1;g=meta.k8s.io", Plain, None),
            (
                "application/json;as=Table;v=v1beta1;g=meta.k8s.io",
                List,
                None,
            ),
            (PARTIAL, Object, json(Shape::Partial)),
            (PARTIAL, List, None),
            (PARTIAL, Watch, json(Shape::Partial)),
            (V2, Discovery, json(Shape::Discovery)),
            (
                "application/vnd.kubernetes.protobuf,application/json",
                Object,
                json(Shape::Full),
            ),
            ("application/vnd.kubernetes.protobuf", Object, None),
            (
                "text/html;q=0.9, application/json;q=0.1",
                Object,
                json(Shape::Full),
            ),
            ("application/json;q=0", Object, None),
            (
                "application/yaml;q=0.5,application/json",
                Object,
                json(Shape::Full),
            ),
        ] {
            assert_eq!(
                accept(Some(header), answer).ok(),
                expected,
                "{header} {answer:?}"
            );
        }
    }

    #[test]
    fn bodies() {
        assert_eq!(body_media(None), Ok(Media::Json));
        assert_eq!(
            body_media(Some("application/json; charset=utf-8")),
            Ok(Media::Json)
        );
        assert_eq!(body_media(Some("Application/YAML")), Ok(Media::Yaml));
        assert_eq!(body_media(Some("text/plain")).unwrap_err().code(), 415);
        const PROTOBUF: Option<&str> = Some("application/vnd.kubernetes.protobuf");
        assert_eq!(body_media(PROTOBUF).unwrap_err().code(), 415);
        assert_eq!(typed_media(PROTOBUF), Ok(Media::Protobuf));
        assert_eq!(typed_media(Some("application/yaml")), Ok(Media::Yaml));
        assert_eq!(
            patch_media(Some("application/merge-patch+json"), &[]),
            Ok(Media::MergePatch)
        );
        assert_eq!(
            patch_media(Some("application/json"), &["x"])
                .unwrap_err()
                .code(),
            415
        );
    }

    #[test]
    fn gzip_is_taken_only_when_offered() {
        for (header, taken) in [
            (None, false),
            (Some("identity"), false),
            (Some("gzip"), true),
            (Some("deflate, GZIP;q=0.5"), true),
            (Some("gzip;q=0"), false),
        ] {
            assert_eq!(takes_gzip(header), taken, "{header:?}");
        }
    }
}
