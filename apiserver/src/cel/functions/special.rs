//! Functions of Kubernetes' own types.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use super::{Outcome, text_of};
use crate::cel::eval::Error;
use crate::cel::kinds::{Cidr, Quantity, Semver, Special, Url, parse_cidr, parse_ip};
use crate::cel::value::{Key, Value};

fn special<'a>(value: Special) -> Value<'a> {
    Value::Special(Arc::new(value))
}

/// Functions that make such values, or ask whether they can be made.
pub(super) fn function<'a>(name: &str, args: &[Value<'a>]) -> Option<Outcome<'a>> {
    let [Value::String(text), rest @ ..] = args else {
        return None;
    };
    let normalize = match rest {
        [] => false,
        [Value::Bool(normalize)] if name.to_lowercase().ends_with("semver") => *normalize,
        _ => return None,
    };
    let version = || Semver::parse(text, normalize);
    Some(match name {
        "quantity" => match Quantity::parse(text) {
            Some(quantity) => Ok(special(Special::Quantity(quantity))),
            None => Err(Error::text(
                "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
            )),
        },
        "isQuantity" => Ok(Value::Bool(Quantity::parse(text).is_some())),
        "url" => match Url::parse(text) {
            Some(url) => Ok(special(Special::Url(url))),
            None => {
                let shown = &**text;
                Err(Error::text(format!(
                    "URL parse error during conversion from string: parse {shown:?}: invalid URI for request"
                )))
            }
        },
        "isURL" => Ok(Value::Bool(Url::parse(text).is_some())),
        "ip" => parse_ip(text)
            .map(|ip| special(Special::Ip(ip)))
            .map_err(Error::text),
        "isIP" => Ok(Value::Bool(parse_ip(text).is_ok())),
        "ip.isCanonical" => parse_ip(text)
            .map(|ip| Value::Bool(ip.to_string() == **text))
            .map_err(Error::text),
        "cidr" => parse_cidr(text)
            .map(|net| special(Special::Cidr(net)))
            .map_err(Error::text),
        "isCIDR" => Ok(Value::Bool(parse_cidr(text).is_ok())),
        "semver" => match version() {
            Some(version) => Ok(special(Special::Semver(version))),
            None => Err(Error::text("No Major.Minor.Patch elements found")),
        },
        "isSemver" => Ok(Value::Bool(version().is_some())),
        _ => return None,
    })
}

/// Methods.
pub(super) fn method<'a>(name: &str, args: &[Value<'a>]) -> Option<Outcome<'a>> {
    let [Value::Special(own), rest @ ..] = args else {
        return None;
    };
    if let [Value::Special(other)] = rest
        && let Some(order) = own.compare(other)
    {
        match name {
            "isGreaterThan" => return Some(Ok(Value::Bool(order == Ordering::Greater))),
            "isLessThan" => return Some(Ok(Value::Bool(order == Ordering::Less))),
            "compareTo" => return Some(Ok(Value::Int(order as i64))),
            _ => {}
        }
    }
    match &**own {
        Special::Quantity(quantity) => of_quantity(name, *quantity, rest),
        Special::Url(url) => of_url(name, url, rest),
        Special::Ip(ip) => of_ip(name, *ip, rest),
        Special::Cidr(cidr) => of_cidr(name, *cidr, rest),
        Special::Semver(version) => of_semver(name, version, rest),
        Special::Format(_) | Special::Right(_) => None,
    }
}

fn of_quantity<'a>(name: &str, quantity: Quantity, rest: &[Value<'a>]) -> Option<Outcome<'a>> {
    let other = match rest {
        [] => None,
        [Value::Int(n)] => Some(Quantity::of_int(*n)),
        [Value::Special(other)] => match **other {
            Special::Quantity(other) => Some(other),
            _ => return None,
        },
        _ => return None,
    };
    let sum = |sum: Option<Quantity>| match sum {
        Some(sum) => Ok(special(Special::Quantity(sum))),
        None => Err(Error::text("quantity overflow")),
    };
    Some(match (name, other) {
        ("sign", None) => Ok(Value::Int(quantity.sign())),
        ("isInteger", None) => Ok(Value::Bool(quantity.is_integer())),
        ("asInteger", None) => {
            let whole = quantity.as_integer().map(Value::Int);
            whole.ok_or_else(|| Error::text("cannot convert value to integer"))
        }
        ("asApproximateFloat", None) => Ok(Value::Double(quantity.as_double())),
        ("add", Some(other)) => sum(quantity.add(other)),
        ("sub", Some(other)) => sum(quantity.sub(other)),
        _ => return None,
    })
}

fn of_url<'a>(name: &str, url: &Url, rest: &[Value<'a>]) -> Option<Outcome<'a>> {
    if !rest.is_empty() {
        return None;
    }
    Some(Ok(match name {
        "getScheme" => text_of(&url.scheme),
        "getHost" => text_of(&url.host),
        "getHostname" => text_of(url.hostname()),
        "getPort" => text_of(url.port()),
        "getEscapedPath" => text_of(&url.path),
        "getQuery" => {
            let mut query: BTreeMap<Key, Vec<Value<'a>>> = BTreeMap::new();
            for (name, value) in url.pairs() {
                let values = query.entry(Key::String(name.into())).or_default();
                values.push(value.into());
            }
            let query = query
                .into_iter()
                .map(|(name, values)| (name, values.into()));
            query.collect::<BTreeMap<_, _>>().into()
        }
        _ => return None,
    }))
}

fn of_ip<'a>(name: &str, ip: IpAddr, rest: &[Value<'a>]) -> Option<Outcome<'a>> {
    if !rest.is_empty() {
        return None;
    }
    let link_local = match ip {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    };
    let local_multicast = match ip {
        IpAddr::V4(v4) => v4.octets()[..3] == [224, 0, 0],
        IpAddr::V6(v6) => v6.segments()[0] & 0xff0f == 0xff02,
    };
    let broadcast = matches!(ip, IpAddr::V4(v4) if v4.is_broadcast());
    Some(Ok(match name {
        "family" => Value::Int(if ip.is_ipv4() { 4 } else { 6 }),
        "isUnspecified" => Value::Bool(ip.is_unspecified()),
        "isLoopback" => Value::Bool(ip.is_loopback()),
        "isLinkLocalMulticast" => Value::Bool(local_multicast),
        "isLinkLocalUnicast" => Value::Bool(link_local),
        "isGlobalUnicast" => {
            let special = ip.is_unspecified() || ip.is_loopback() || ip.is_multicast();
            Value::Bool(!special && !link_local && !broadcast)
        }
        _ => return None,
    }))
}

fn of_cidr<'a>(name: &str, cidr: Cidr, rest: &[Value<'a>]) -> Option<Outcome<'a>> {
    Some(match (name, rest) {
        ("ip", []) => Ok(special(Special::Ip(cidr.ip))),
        ("masked", []) => Ok(special(Special::Cidr(cidr.masked()))),
        ("prefixLength", []) => Ok(Value::Int(cidr.bits.into())),
        ("containsIP", [Value::String(text)]) => parse_ip(text)
            .map(|ip| Value::Bool(cidr.contains_ip(ip)))
            .map_err(Error::text),
        ("containsCIDR", [Value::String(text)]) => parse_cidr(text)
            .map(|net| Value::Bool(cidr.contains(net)))
            .map_err(Error::text),
        (_, [Value::Special(other)]) => match (name, &**other) {
            ("containsIP", Special::Ip(ip)) => Ok(Value::Bool(cidr.contains_ip(*ip))),
            ("containsCIDR", Special::Cidr(net)) => Ok(Value::Bool(cidr.contains(*net))),
            _ => return None,
        },
        _ => return None,
    })
}

fn of_semver<'a>(name: &str, version: &Semver, rest: &[Value<'a>]) -> Option<Outcome<'a>> {
    let place = match (name, rest) {
        ("major", []) => 0,
        ("minor", []) => 1,
        ("patch", []) => 2,
        _ => return None,
    };
    let number = i64::try_from(version.numbers[place]).unwrap_or(i64::MAX);
    Some(Ok(Value::Int(number)))
}
