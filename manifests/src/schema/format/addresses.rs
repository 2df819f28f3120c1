//! Names and addresses of machines, networks and documents.

use super::matches;

/// As upstream spells it: labels of letters, digits and symbols, dashes within them, and a last
/// label of at least two characters if there are several.
const HOSTNAME: &str = r"^([a-zA-Z0-9\p{S}\p{L}]((-?[a-zA-Z0-9\p{S}\p{L}]{0,62})?)|([a-zA-Z0-9\p{S}\p{L}](([a-zA-Z0-9-\p{S}\p{L}]{0,61}[a-zA-Z0-9\p{S}\p{L}])?)(\.)){1,}([a-zA-Z0-9\p{S}\p{L}])(-?[a-zA-Z0-9\p{S}\p{L}]){1,62})$";

pub(super) fn is_hostname(text: &str) -> bool {
    text.len() <= 255 && text.split('.').all(|label| label.len() <= 63) && matches(HOSTNAME, text)
}

pub(super) fn is_cidr(text: &str) -> bool {
    let Some((address, bits)) = text.split_once('/') else {
        return false;
    };
    let most = match address.parse::<std::net::IpAddr>() {
        Ok(address) if address.is_ipv4() => 32,
        Ok(_) => 128,
        Err(_) => return false,
    };
    let digits = (1..=3).contains(&bits.len()) && bits.bytes().all(|b| b.is_ascii_digit());
    let zero_led = bits.len() > 1 && bits.starts_with('0');
    digits && !zero_led && bits.parse::<u16>().is_ok_and(|bits| bits <= most)
}

/// 6, 8 or 20 octets, as Go's `net.ParseMAC` reads them: `00:00:5e:00:53:01`, the same with
/// dashes, or in groups of two with dots.
pub(super) fn is_mac(text: &str) -> bool {
    let (separator, digits) = match text.as_bytes().get(2) {
        Some(b':') => (':', 2),
        Some(b'-') => ('-', 2),
        Some(_) => ('.', 4),
        None => return false,
    };
    let groups: Vec<&str> = text.split(separator).collect();
    let hex = |group: &&str| group.len() == digits && group.bytes().all(|b| b.is_ascii_hexdigit());
    groups.iter().all(hex) && matches!(groups.len() * digits / 2, 6 | 8 | 20)
}

/// What Go's `url.ParseRequestURI` takes: an absolute URI, or an absolute path.
pub(super) fn is_request_uri(text: &str) -> bool {
    if text.is_empty() || text.bytes().any(|b| b < b' ' || b == 0x7f) {
        return false;
    }
    let (scheme, rest) = match text.split_once(':') {
        Some((scheme, rest)) if is_scheme(scheme) => (scheme, rest),
        // A colon before the first slash, and no scheme before it.
        Some(_) | None => ("", text),
    };
    let rest = rest.split_once('?').map_or(rest, |(before, _)| before);
    if !rest.starts_with('/') {
        // `mailto:somebody`: opaque, if there is a scheme.
        return !scheme.is_empty();
    }
    let (authority, path) = match rest.strip_prefix("//") {
        // A path of three slashes has an empty authority; without a scheme, it is all path.
        Some(after) if !scheme.is_empty() || !rest.starts_with("///") => {
            after.split_at(after.find('/').unwrap_or(after.len()))
        }
        Some(_) | None => ("", rest),
    };
    is_authority(authority) && is_escaped(path)
}

fn is_scheme(text: &str) -> bool {
    let rest = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.');
    text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.bytes().all(rest)
}

fn is_authority(text: &str) -> bool {
    let (user, host) = text.rsplit_once('@').unwrap_or(("", text));
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._:~!$&'()*+,;=%@".contains(c);
    let after = match host.strip_prefix('[') {
        Some(rest) => match rest.rsplit_once(']') {
            Some((_, after)) if after.is_empty() || after.starts_with(':') => after,
            Some(_) | None => return false,
        },
        None => host.find(':').map_or("", |at| &host[at..]),
    };
    let port = after.strip_prefix(':').unwrap_or_default();
    let odd = |c: char| c == ' ' || "<>\"\\^{}|`".contains(c) && !host.starts_with('[');
    user.chars().all(plain)
        && is_escaped(user)
        && port.bytes().all(|b| b.is_ascii_digit())
        && !host.contains(odd)
}

fn is_escaped(text: &str) -> bool {
    let mut parts = text.split('%');
    parts.next();
    parts.all(|part| part.len() >= 2 && part.bytes().take(2).all(|b| b.is_ascii_hexdigit()))
}
