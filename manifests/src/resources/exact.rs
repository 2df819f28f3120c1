//! `Resources`: exact amounts, and the checked arithmetic on them.

use std::collections::BTreeMap;
use std::fmt;

use super::{Milli, PORTS, Ranges, Ratio, ResourceList, in_bytes};

/// Exact resources. No entry is ever zero, so equal amounts are equal values. There is no order:
/// of two amounts neither need hold the other.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Resources {
    scalars: BTreeMap<String, Milli>,
    ports: Ranges,
}

/// A resource of which there is not enough.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Short {
    /// Which.
    pub resource: String,
    /// How much is asked for, as text.
    pub need: String,
    /// How much there is, as text.
    pub have: String,
}

/// A sum or difference that does not exist.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Imbalance {
    /// More than can be counted.
    #[error("the sum of {resource} is too large")]
    Overflow {
        /// Which.
        resource: String,
    },
    /// More is taken than there is.
    #[error("{0}")]
    Short(Short),
    /// Ports that are already in the sum.
    #[error("ports {ports} are counted twice")]
    PortsTwice {
        /// Which.
        ports: Ranges,
    },
}

impl Resources {
    /// Only these scalars, of zero ports.
    pub fn new<N: Into<String>>(scalars: impl IntoIterator<Item = (N, Milli)>) -> Self {
        let mut resources = Self::default();
        for (name, amount) in scalars {
            resources.set(name, amount);
        }
        resources
    }

    /// How much of a scalar there is; 0 when it is not named.
    #[must_use]
    pub fn get(&self, name: &str) -> Milli {
        self.scalars.get(name).copied().unwrap_or_default()
    }

    /// Sets a scalar.
    pub fn set(&mut self, name: impl Into<String>, amount: Milli) {
        if amount.is_zero() {
            self.scalars.remove(&name.into());
        } else {
            self.scalars.insert(name.into(), amount);
        }
    }

    /// The scalars that are not zero, by name.
    pub fn scalars(&self) -> impl Iterator<Item = (&str, Milli)> {
        self.scalars
            .iter()
            .map(|(name, amount)| (name.as_str(), *amount))
    }

    /// The ports.
    #[must_use]
    pub fn ports(&self) -> &Ranges {
        &self.ports
    }

    /// Sets the ports.
    pub fn set_ports(&mut self, ports: Ranges) {
        self.ports = ports;
    }

    /// The same without ports. Ports of different agents are different things, so totals over
    /// agents are taken of scalars alone, as in Mesos.
    #[must_use]
    pub fn without_ports(&self) -> Self {
        Self {
            scalars: self.scalars.clone(),
            ports: Ranges::default(),
        }
    }

    /// True for nothing at all.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        self.scalars.is_empty() && self.ports.is_empty()
    }

    /// The sum.
    ///
    /// # Errors
    /// When a sum is too large, or a port is in both.
    pub fn checked_add(&self, other: &Self) -> Result<Self, Imbalance> {
        let mut sum = self.clone();
        for (name, amount) in other.scalars() {
            let total = sum.get(name).checked_add(amount);
            sum.set(
                name,
                total.ok_or_else(|| Imbalance::Overflow {
                    resource: name.to_owned(),
                })?,
            );
        }
        let twice = self.ports.intersection(&other.ports);
        if !twice.is_empty() {
            return Err(Imbalance::PortsTwice { ports: twice });
        }
        sum.ports = self.ports.union(&other.ports);
        Ok(sum)
    }

    /// The difference.
    ///
    /// # Errors
    /// When `other` holds more of anything.
    pub fn checked_sub(&self, other: &Self) -> Result<Self, Imbalance> {
        other
            .fits_in(self)
            .map_err(|mut shorts| Imbalance::Short(shorts.swap_remove(0)))?;
        Ok(self.saturating_sub(other))
    }

    /// What is left after taking away as much of `other` as there is.
    #[must_use]
    pub fn saturating_sub(&self, other: &Self) -> Self {
        let left = self
            .scalars()
            .map(|(name, amount)| (name, amount.saturating_sub(other.get(name))));
        let mut left = Self::new(left);
        left.ports = self.ports.difference(&other.ports);
        left
    }

    /// Of each the smaller amount, and the common ports.
    #[must_use]
    pub fn min(&self, other: &Self) -> Self {
        let mut least = Self::new(
            self.scalars()
                .map(|(name, n)| (name, n.min(other.get(name)))),
        );
        least.ports = self.ports.intersection(&other.ports);
        least
    }

    /// Of each the larger amount, and all ports.
    #[must_use]
    pub fn max(&self, other: &Self) -> Self {
        let mut most = self.clone();
        for (name, amount) in other.scalars() {
            most.set(name, amount.max(self.get(name)));
        }
        most.ports = self.ports.union(&other.ports);
        most
    }

    /// Scalars times `count`; ports cannot be had twice, so there are none in the product.
    ///
    /// # Errors
    /// When a product is too large.
    pub fn scale(&self, count: u32) -> Result<Self, Imbalance> {
        let mut product = Self::default();
        for (name, amount) in self.scalars() {
            let scaled = amount
                .get()
                .checked_mul(i64::from(count))
                .and_then(Milli::new);
            product.set(
                name,
                scaled.ok_or_else(|| Imbalance::Overflow {
                    resource: name.to_owned(),
                })?,
            );
        }
        Ok(product)
    }

    /// True when all of `other` is here.
    #[must_use]
    pub fn contains(&self, other: &Self) -> bool {
        self.ports.contains(&other.ports)
            && other
                .scalars()
                .all(|(name, amount)| amount <= self.get(name))
    }

    /// Whether all of this is in `room`.
    ///
    /// # Errors
    /// Every resource that is short, by name, ports last.
    pub fn fits_in(&self, room: &Self) -> Result<(), Vec<Short>> {
        let mut shorts: Vec<Short> = self
            .scalars()
            .filter(|(name, need)| *need > room.get(name))
            .map(|(name, need)| Short {
                resource: name.to_owned(),
                need: amount_text(name, need),
                have: amount_text(name, room.get(name)),
            })
            .collect();
        let missing = self.ports.difference(&room.ports);
        if !missing.is_empty() {
            let have = self.ports.intersection(&room.ports).to_string();
            let have = if have.is_empty() {
                "none".to_owned()
            } else {
                have
            };
            shorts.push(Short {
                resource: PORTS.to_owned(),
                need: self.ports.to_string(),
                have,
            });
        }
        if shorts.is_empty() {
            Ok(())
        } else {
            Err(shorts)
        }
    }

    /// The scalar of which this is the largest fraction of `total`, and that fraction; the first
    /// by name among equals. Resources that `total` has not are left out, as in Mesos.
    #[must_use]
    pub fn dominant_share(&self, total: &Self) -> Option<(&str, Ratio)> {
        let mut dominant: Option<(&str, Ratio)> = None;
        for (name, amount) in self.scalars() {
            let Some(share) = Ratio::new(amount.wide(), total.get(name).wide()) else {
                continue;
            };
            if dominant.is_none_or(|(_, largest)| share > largest) {
                dominant = Some((name, share));
            }
        }
        dominant
    }

    /// The canonical written form: `{cpus: "0.5", mem: 64Mi}`.
    #[must_use]
    pub fn to_list(&self) -> ResourceList {
        let mut list: ResourceList = self
            .scalars()
            .map(|(name, amount)| (name, amount_text(name, amount)))
            .collect();
        if !self.ports.is_empty() {
            list.insert(PORTS, self.ports.to_string());
        }
        list
    }
}

/// An amount as this resource is best read: bytes with a binary suffix, all else as a decimal.
#[must_use]
pub fn amount_text(name: &str, amount: Milli) -> String {
    if in_bytes(name) {
        amount.bytes_text()
    } else {
        amount.to_string()
    }
}

impl From<&Resources> for ResourceList {
    fn from(resources: &Resources) -> Self {
        resources.to_list()
    }
}

/// One line: `cpus 0.5, mem 64Mi`.
impl fmt::Display for Resources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_zero() {
            return f.write_str("nothing");
        }
        for (index, (name, amount)) in self.to_list().iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{name} {amount}")?;
        }
        Ok(())
    }
}

/// `needs 4 cpus, 1.5 free`.
impl fmt::Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "needs {} {}, {} free",
            self.need, self.resource, self.have
        )
    }
}
