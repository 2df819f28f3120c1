//! The server's front door for those who write their bytes themselves: TLS, and nothing above it.

use std::net::SocketAddr;
use std::sync::Arc;

use apiserver::pki::{Pair, Subject};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::rig::{PATIENCE, Rig, now_s};

/// Bytes that a reader who does not want to read takes in spite of himself.
const NARROW: u32 = 4 << 10;

/// Where one knocks, and with which certificate.
#[derive(Clone)]
pub(crate) struct Door {
    address: SocketAddr,
    connector: TlsConnector,
}

impl Door {
    /// HTTP/1.1 with this certificate, or with none.
    pub(crate) fn with(rig: &Rig, pair: Option<&Pair>) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(rig.authority().certificate().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let config = match pair {
            Some(pair) => builder
                .with_client_auth_cert(pair.chain().unwrap(), pair.private_key().unwrap())
                .unwrap(),
            None => builder.with_no_client_auth(),
        };
        Self {
            address: rig.handle.address(),
            connector: TlsConnector::from(Arc::new(config)),
        }
    }

    /// HTTP/1.1 as this subject.
    pub(crate) fn of(rig: &Rig, subject: &Subject) -> Self {
        let pair = rig.authority().issue(subject, &[], now_s()).unwrap();
        Self::with(rig, Some(&pair))
    }

    /// The same, but HTTP/2.
    pub(crate) fn http2(&self) -> Self {
        let mut config = (**self.connector.config()).clone();
        config.alpn_protocols = vec![b"h2".to_vec()];
        Self {
            address: self.address,
            connector: TlsConnector::from(Arc::new(config)),
        }
    }

    /// A connection without TLS.
    pub(crate) async fn knock(&self) -> std::io::Result<TcpStream> {
        TcpStream::connect(self.address).await
    }

    pub(crate) async fn dial(&self) -> std::io::Result<TlsStream<TcpStream>> {
        self.shake(self.knock().await?).await
    }

    /// A connection on which little is on its way at once.
    pub(crate) async fn dial_narrow(&self) -> std::io::Result<TlsStream<TcpStream>> {
        let socket = TcpSocket::new_v4()?;
        socket.set_recv_buffer_size(NARROW)?;
        self.shake(socket.connect(self.address).await?).await
    }

    async fn shake(&self, tcp: TcpStream) -> std::io::Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from("localhost").unwrap();
        self.connector.connect(name, tcp).await
    }

    /// Sends these bytes, and reads until the server closes.
    pub(crate) async fn ask(&self, bytes: &[u8]) -> Answers {
        let asked = async {
            let mut read = Vec::new();
            let Ok(mut stream) = self.dial().await else {
                return read;
            };
            // It may close before it has read all, and break off what it had to say.
            let _refused = stream.write_all(bytes).await;
            let _broken = stream.read_to_end(&mut read).await;
            read
        };
        let asked = tokio::time::timeout(PATIENCE, asked).await;
        Answers(asked.expect("the server closes in time"))
    }
}

/// All that came back over one connection of HTTP/1.1.
pub(crate) struct Answers(pub(crate) Vec<u8>);

impl Answers {
    /// The codes of the answers.
    pub(crate) fn codes(&self) -> Vec<u16> {
        let text = self.text();
        let heads = text.split("HTTP/1.").skip(1);
        heads
            .filter_map(|head| head.get(2..5)?.parse().ok())
            .collect()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.0).into_owned()
    }
}
