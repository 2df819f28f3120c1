//! How a store node is started: what its command line says, and what the store is told.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use store::{Bootstrap, Limits, NodeId};
use tokio::net::TcpListener;

use crate::node::pki;
use crate::{Fault, Outcome};

/// Everything a node needs.
#[derive(Clone, Debug)]
pub struct Options {
    /// Its name.
    pub name: String,
    /// Its data directory.
    pub dir: PathBuf,
    /// `host:port` for other replicas.
    pub peer_addr: String,
    /// `host:port` for clients.
    pub client_addr: String,
    /// `host:port` for clients that speak etcd's gRPC, if there are any.
    pub grpc_addr: Option<String>,
    /// How an empty directory becomes a member.
    pub bootstrap: Bootstrap,
    /// Where `pki::create` left the certificates.
    pub pki: PathBuf,
    /// Failpoints armed from the start.
    pub faults: String,
    /// Limits that differ from the default, as `key=value`.
    pub limits: Vec<String>,
}

impl Options {
    /// What the store is told.
    pub(super) async fn for_store(&self) -> Outcome<store::Options> {
        let faults = store::Faults::default();
        faults.arm_all(&self.faults).map_err(Fault::new)?;
        let peer_listener = TcpListener::bind(&self.peer_addr)
            .await
            .map_err(|e| Fault::new(format!("cannot listen on {}: {e}", self.peer_addr)))?;
        Ok(store::Options {
            name: self.name.clone(),
            data_dir: self.dir.clone(),
            peer_listener,
            peer_addr: self.peer_addr.clone(),
            api_addr: self.client_addr.clone(),
            bootstrap: self.bootstrap.clone(),
            tls: pki::load(&self.pki)?,
            limits: limits(&self.limits)?,
            faults,
        })
    }
}

/// A new cluster, from `a=ADDR,b=ADDR,…`.
///
/// # Errors
/// With the word that is not understood.
pub fn founding(list: &str) -> Outcome<Bootstrap> {
    let pair = |word: &str| {
        let (name, addr) = word
            .split_once('=')
            .ok_or_else(|| Fault::new(format!("--initial: `{word}` lacks `=`")))?;
        Ok((name.to_owned(), addr.to_owned()))
    };
    let initial = list.split(',').map(pair).collect::<Outcome<_>>()?;
    Ok(Bootstrap::Static { initial })
}

/// A member that `AddMember` announced.
///
/// # Errors
/// When the cluster's id is no hexadecimal number.
pub fn joining(node_id: NodeId, cluster_id: &str, peers: &[String]) -> Outcome<Bootstrap> {
    Ok(Bootstrap::Join {
        node_id,
        cluster_id: u128::from_str_radix(cluster_id, 16)?,
        peers: peers.to_vec(),
    })
}

fn limits(words: &[String]) -> Outcome<Limits> {
    let mut limits = Limits::default();
    for word in words {
        let (key, value) = word
            .split_once('=')
            .ok_or_else(|| Fault::new(format!("--limit: `{word}` lacks `=`")))?;
        set(&mut limits, key, value).map_err(|fault| fault.while_doing("--limit"))?;
    }
    Ok(limits)
}

fn set(limits: &mut Limits, key: &str, value: &str) -> Outcome<()> {
    match key {
        "history-bytes" => limits.history_bytes = parse(value)?,
        "resident-bytes" => limits.resident_bytes = parse(value)?,
        "history-age-ms" => limits.history_age_ms = parse(value)?,
        "heartbeat-ms" => limits.heartbeat_ms = parse(value)?,
        "election-ms" => {
            let (low, high) = value
                .split_once('-')
                .ok_or_else(|| Fault::new(format!("`{value}` is not LOW-HIGH")))?;
            limits.election_ms = (parse(low)?, parse(high)?);
        }
        "idle-poll" => limits.idle_poll = parse(value)?,
        "request-ms" => limits.request = Duration::from_millis(parse(value)?),
        "txn-bytes-max" => limits.txn_bytes_max = parse(value)?,
        "checkpoint-entries" => limits.checkpoint_entries = parse(value)?,
        "checkpoint-bytes" => limits.checkpoint_bytes = parse(value)?,
        "keep-entries" => limits.keep_entries = parse(value)?,
        "keep-bytes" => limits.keep_bytes = parse(value)?,
        "hold-bytes" => limits.hold_bytes = parse(value)?,
        other => return Err(Fault::new(format!("no limit is called `{other}`"))),
    }
    Ok(())
}

fn parse<T: FromStr>(value: &str) -> Outcome<T> {
    value
        .parse()
        .map_err(|_not_a_number| Fault::new(format!("`{value}` is not a number")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_set_by_name() {
        let words = ["request-ms=250", "election-ms=50-90", "keep-entries=7"];
        let limits = limits(&words.map(str::to_owned)).unwrap();
        assert_eq!(limits.request, Duration::from_millis(250));
        assert_eq!(limits.election_ms, (50, 90));
        assert_eq!(limits.keep_entries, 7);
    }

    #[test]
    fn what_is_not_understood_is_named() {
        for (word, why) in [
            ("request-ms", "lacks `=`"),
            ("request-ms=soon", "`soon` is not a number"),
            ("patience=1", "no limit is called `patience`"),
        ] {
            let fault = limits(&[word.to_owned()]).unwrap_err().to_string();
            assert!(fault.contains(why), "{word}: {fault}");
        }
        assert!(founding("a=1:1,b").unwrap_err().to_string().contains("`b`"));
    }
}
