//! A network that can be cut: every node lives in a network namespace of its own, and all of them
//! hang on one bridge, where the clients are too.
//!
//! A direction is cut by giving the sender a false hardware address of the receiver: its packets
//! leave and arrive nowhere, as on a broken link, while all other directions work. Clients are
//! never cut off, so they see what each side of a partition believes.

use std::process::Command;

use crate::{Fault, Outcome};

/// Names of all that is made here begin so, which is how leftovers are found.
const PREFIX: &str = "stoa-e2e-";
const BRIDGE: &str = "stoa-e2e-br";
/// The bridge's own address; nodes count up from `FIRST`.
const HOST: &str = "10.77.0.1/24";
const FIRST: usize = 11;
/// Nobody has this hardware address.
const NOWHERE: &str = "02:de:ad:00:00:01";

/// The namespaces of some nodes, removed when dropped.
#[derive(Debug)]
pub struct Net {
    names: Vec<String>,
}

impl Net {
    /// A namespace for each name, all connected. What an earlier run left is removed first.
    ///
    /// # Errors
    /// When this machine does not allow it: it takes root, `ip`, and the kernel's bridge and veth.
    pub fn create(names: &[String]) -> Outcome<Self> {
        sweep();
        let net = Self {
            names: names.to_vec(),
        };
        ip(&format!("link add {BRIDGE} type bridge"))?;
        ip(&format!("addr add {HOST} dev {BRIDGE}"))?;
        ip(&format!("link set {BRIDGE} up"))?;
        for name in names {
            net.attach(name)?;
        }
        Ok(net)
    }

    fn attach(&self, name: &str) -> Outcome<()> {
        let space = namespace(name);
        let veth = format!("{PREFIX}{name}");
        ip(&format!("netns add {space}"))?;
        ip(&format!(
            "link add {veth} type veth peer name eth0 netns {space}"
        ))?;
        ip(&format!("link set {veth} master {BRIDGE} up"))?;
        ip(&format!("-n {space} link set lo up"))?;
        ip(&format!(
            "-n {space} addr add {}/24 dev eth0",
            self.host(name)?
        ))?;
        ip(&format!("-n {space} link set eth0 up"))
    }

    /// The address of a node.
    ///
    /// # Errors
    /// When there is none of this name.
    pub fn host(&self, name: &str) -> Outcome<String> {
        let place = self.names.iter().position(|known| known == name);
        let place = place.ok_or_else(|| Fault::new(format!("`{name}` has no namespace")))?;
        Ok(format!("10.77.0.{}", FIRST + place))
    }

    /// Words to put before a command line, so that it runs where this node lives.
    #[must_use]
    pub fn enter(name: &str) -> Vec<String> {
        let space = namespace(name);
        ["netns", "exec", &space].map(str::to_owned).to_vec()
    }

    /// Nothing sent by one node reaches the other any more.
    ///
    /// # Errors
    /// When it cannot be cut.
    pub fn cut(&self, from: &str, to: &str) -> Outcome<()> {
        let (space, host) = (namespace(from), self.host(to)?);
        ip(&format!(
            "-n {space} neigh replace {host} lladdr {NOWHERE} dev eth0 nud permanent"
        ))
    }

    /// Cuts both directions between the node and everybody else.
    ///
    /// # Errors
    /// When it cannot be cut.
    pub fn isolate(&self, name: &str) -> Outcome<()> {
        for other in self.names.iter().filter(|other| *other != name) {
            self.cut(name, other)?;
            self.cut(other, name)?;
        }
        Ok(())
    }

    /// Everything sent arrives again.
    ///
    /// # Errors
    /// When it cannot be healed.
    pub fn heal(&self) -> Outcome<()> {
        for name in &self.names {
            ip(&format!(
                "-n {} neigh flush nud permanent dev eth0",
                namespace(name)
            ))?;
        }
        Ok(())
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        sweep();
    }
}

fn namespace(name: &str) -> String {
    format!("{PREFIX}{name}")
}

/// Removes everything of ours, whoever made it: only one proof runs at a time.
fn sweep() {
    let mine = |text: String| {
        let words = text.split_whitespace().map(str::to_owned);
        let words = words.map(|word| word.split(['@', ':']).next().unwrap_or("").to_owned());
        words
            .filter(|word| word.starts_with(PREFIX))
            .collect::<Vec<_>>()
    };
    // What is gone already needs no removing.
    for link in mine(listing("-o link show")) {
        drop(ip(&format!("link del {link}")));
    }
    for space in mine(listing("netns list")) {
        drop(ip(&format!("netns del {space}")));
    }
}

fn listing(words: &str) -> String {
    let output = Command::new("ip").args(words.split(' ')).output();
    output.map_or_else(
        |_no_ip| String::new(),
        |output| String::from_utf8_lossy(&output.stdout).into_owned(),
    )
}

fn ip(words: &str) -> Outcome<()> {
    let output = Command::new("ip")
        .args(words.split(' '))
        .output()
        .map_err(|e| Fault::new(format!("`ip {words}`: {e}")))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(Fault::new(format!("`ip {words}`: {}", said.trim())))
}
