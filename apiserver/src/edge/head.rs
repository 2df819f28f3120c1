//! What a request's head must look like before anything of it is believed: headers that say who asks,
//! and of whom, are there once. Who sends two wants one reader to see another than the next does.
//! Pure.

use http::{HeaderMap, HeaderName, HeaderValue, Version, header};

use crate::status::Failure;

/// A head as RFC 9112 §3.2 wants it: HTTP/1.1 names its host, and nobody names two.
///
/// # Errors
/// 400.
pub(crate) fn check(version: Version, headers: &HeaderMap) -> Result<(), Failure> {
    let host = once(headers, &header::HOST);
    let host = host.map_err(|_two| Failure::bad_request("the request has several Host headers"))?;
    if host.is_none() && version == Version::HTTP_11 {
        return Err(Failure::bad_request("the request has no Host header"));
    }
    Ok(())
}

/// The value of the `Authorization` header, empty if it is no text; none: there is no such header.
///
/// # Errors
/// 401 for several of them.
pub(crate) fn credentials(headers: &HeaderMap) -> Result<Option<&str>, Failure> {
    let value = once(headers, &header::AUTHORIZATION);
    let value = value.map_err(|_two| Failure::unauthorized())?;
    Ok(value.map(|value| value.to_str().unwrap_or_default()))
}

/// There are several.
struct Several;

fn once<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a HeaderValue>, Several> {
    let mut all = headers.get_all(name).iter();
    match (all.next(), all.next()) {
        (value, None) => Ok(value),
        (_, Some(_)) => Err(Several),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
            headers.append(HeaderName::from_static(name), value);
        }
        headers
    }

    #[test]
    fn hosts() {
        for (version, lines, is_good) in [
            (Version::HTTP_11, &[("host", "x")][..], true),
            (Version::HTTP_11, &[], false),
            (Version::HTTP_11, &[("host", "x"), ("host", "x")], false),
            (Version::HTTP_10, &[], true),
            (Version::HTTP_2, &[], true),
            (Version::HTTP_2, &[("host", "x"), ("host", "y")], false),
        ] {
            let found = check(version, &headers(lines)).map_err(|failure| failure.code());
            let expected = if is_good { Ok(()) } else { Err(400) };
            assert_eq!(found, expected, "{version:?} {lines:?}");
        }
    }

    #[test]
    fn authorization() {
        for (lines, expected) in [
            (&[][..], Ok(None)),
            (&[("authorization", "Bearer x")], Ok(Some("Bearer x"))),
            (&[("authorization", "é")], Ok(Some(""))),
            (
                &[("authorization", "Bearer x"), ("authorization", "Bearer x")],
                Err(401),
            ),
        ] {
            let headers = headers(lines);
            let found = credentials(&headers).map_err(|failure| failure.code());
            assert_eq!(found, expected, "{lines:?}");
        }
    }
}
