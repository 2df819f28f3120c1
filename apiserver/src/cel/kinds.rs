//! Kubernetes' own types in expressions: quantities, URLs, addresses, versions, formats.

mod network;
mod quantity;
pub(crate) mod rights;
mod semver;
mod url;

use std::cmp::Ordering;
use std::fmt;

pub(crate) use network::{Cidr, parse_cidr, parse_ip};
pub(crate) use quantity::Quantity;
use rights::Right;
pub(crate) use semver::Semver;
pub(crate) use url::Url;

/// A value of one of them.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Special {
    Quantity(Quantity),
    Url(Url),
    Ip(std::net::IpAddr),
    Cidr(Cidr),
    Semver(Semver),
    /// The name of a format.
    Format(&'static str),
    Right(Right),
}

impl Special {
    pub(crate) fn type_name(&self) -> &'static str {
        match self {
            Self::Quantity(_) => "kubernetes.Quantity",
            Self::Url(_) => "kubernetes.URL",
            Self::Ip(_) => "net.IP",
            Self::Cidr(_) => "net.CIDR",
            Self::Semver(_) => "kubernetes.Semver",
            Self::Format(_) => "kubernetes.NamedFormat",
            Self::Right(right) => right.type_name(),
        }
    }

    /// Equality; none where values are not compared.
    pub(crate) fn equals(&self, other: &Self) -> Option<bool> {
        let comparable = !matches!(self, Self::Right(_)) && !matches!(other, Self::Right(_));
        comparable.then(|| self == other)
    }

    /// Order, where there is one.
    pub(crate) fn compare(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Quantity(a), Self::Quantity(b)) => Some(a.cmp(b)),
            (Self::Semver(a), Self::Semver(b)) => Some(a.compare(b)),
            _ => None,
        }
    }
}

impl fmt::Display for Special {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Quantity(quantity) => quantity.fmt(f),
            Self::Url(url) => f.write_str(&url.text),
            Self::Ip(ip) => ip.fmt(f),
            Self::Cidr(cidr) => cidr.fmt(f),
            Self::Semver(version) => f.write_str(&version.text),
            Self::Format(name) => f.write_str(name),
            Self::Right(right) => right.fmt(f),
        }
    }
}
