//! `ip("::1")` and `cidr("10.0.0.0/8")`.

use std::fmt;
use std::net::IpAddr;

/// A network, with its address as given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cidr {
    pub(crate) ip: IpAddr,
    pub(crate) bits: u8,
}

/// An address; IPv4 in IPv6 is not allowed.
pub(crate) fn parse_ip(text: &str) -> Result<IpAddr, String> {
    let ip: IpAddr = text
        .parse()
        .map_err(|_odd| format!("IP Address {text:?} parse error during conversion from string: ParseAddr({text:?}): unable to parse IP"))?;
    match ip {
        IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some() => {
            Err(format!("IPv4-mapped IPv6 address {text:?} is not allowed"))
        }
        IpAddr::V4(_) | IpAddr::V6(_) => Ok(ip),
    }
}

/// A network.
pub(crate) fn parse_cidr(text: &str) -> Result<Cidr, String> {
    let wrong = || {
        format!(
            "network address parse error during conversion from string: netip.ParsePrefix({text:?}): no valid prefix"
        )
    };
    let (ip, bits) = text.split_once('/').ok_or_else(wrong)?;
    let plain = !bits.is_empty() && bits.bytes().all(|b| b.is_ascii_digit());
    let plain = plain && (bits == "0" || !bits.starts_with('0'));
    let ip = parse_ip(ip)?;
    let bits: u8 = bits.parse().ok().filter(|_| plain).ok_or_else(wrong)?;
    if bits > width(ip) {
        return Err(wrong());
    }
    Ok(Cidr { ip, bits })
}

fn width(ip: IpAddr) -> u8 {
    if ip.is_ipv4() { 32 } else { 128 }
}

fn number(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(v4) => u128::from(v4.to_bits()) << 96,
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

fn mask(bits: u8) -> u128 {
    u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0)
}

impl Cidr {
    pub(crate) fn contains_ip(self, ip: IpAddr) -> bool {
        self.ip.is_ipv4() == ip.is_ipv4() && (number(self.ip) ^ number(ip)) & mask(self.bits) == 0
    }

    pub(crate) fn contains(self, other: Self) -> bool {
        other.bits >= self.bits && self.contains_ip(other.ip)
    }

    pub(crate) fn masked(self) -> Self {
        let masked = number(self.ip) & mask(self.bits);
        let ip = match self.ip {
            IpAddr::V4(_) => {
                let bits = u32::try_from(masked >> 96).unwrap_or_default();
                IpAddr::V4(bits.into())
            }
            IpAddr::V6(_) => IpAddr::V6(masked.into()),
        };
        Self { ip, ..self }
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.ip, self.bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks() {
        let net = parse_cidr("192.168.1.7/24").unwrap();
        assert_eq!(net.masked().to_string(), "192.168.1.0/24");
        assert!(net.contains_ip(parse_ip("192.168.1.255").unwrap()));
        assert!(!net.contains_ip(parse_ip("::1").unwrap()));
        assert!(
            parse_cidr("::/0")
                .unwrap()
                .contains(parse_cidr("::1/128").unwrap())
        );
        for bad in [
            "1.2.3.4",
            "1.2.3.4/33",
            "1.2.3.4/08",
            "::1/129",
            "x/1",
            "::ffff:1.2.3.4/24",
        ] {
            assert!(parse_cidr(bad).is_err(), "{bad}");
        }
        for bad in [
            "127.0.0.256",
            ":::1",
            "::ffff:1.2.3.4",
            "fe80::1%eth0",
            "01.2.3.4",
        ] {
            assert!(parse_ip(bad).is_err(), "{bad}");
        }
    }
}
