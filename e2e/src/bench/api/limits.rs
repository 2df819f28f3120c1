//! What this machine can do at most: bare durable writes, and bare TLS over loopback.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use apiserver::pki::{self, Authority, Subject};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::{Figures, Options, line, wire};
use crate::bench::figure::number;
use crate::bench::store::floor;
use crate::{Fault, Outcome};

/// Bytes of a bare write: one object.
const WRITE_BYTES: usize = 1_024;

/// Bytes handed to TLS at once.
const PIECE: usize = 64 << 10;

pub(super) async fn measure(options: &Options) -> Outcome<Figures> {
    let folder = tempfile::tempdir_in(&options.root)?;
    let floor = floor::measure(folder.path(), WRITE_BYTES, options.limit_rounds)?;
    let bytes = options.limit_rounds << 20;
    let rate = pump(bytes).await?;
    Ok(Figures::from([
        (line::BARE_WRITE, floor.p50_ms),
        (line::BARE_WRITE_P99, floor.p99_ms),
        (line::BARE_TLS, rate / 1e6),
    ]))
}

/// Bytes a second through one connection; writer and reader have a thread each, as a server and its
/// client have.
async fn pump(bytes: usize) -> Outcome<f64> {
    let now_s = wire::now_s()?;
    let authority = Authority::create(now_s)?;
    let host = "127.0.0.1".to_owned();
    let pair = authority.issue(&Subject::Server("pump".to_owned()), &[host], now_s)?;
    let acceptor = TlsAcceptor::from(Arc::new(pki::peer_server(&authority, &pair)?));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let connector = TlsConnector::from(Arc::new(pki::peer_client(&authority, &pair)?));
    let reader = thread::spawn(move || {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(drain(address, connector, bytes))
    });
    let (stream, _) = listener.accept().await?;
    let mut stream = acceptor.accept(stream).await?;
    let piece = vec![0xa5; PIECE];
    for _ in 0..bytes.div_ceil(PIECE) {
        stream.write_all(&piece).await?;
    }
    stream.shutdown().await?;
    let joined = tokio::task::spawn_blocking(move || reader.join()).await?;
    joined.unwrap_or_else(|_panic| Err(Fault::new("the reader of the pump panicked")))
}

async fn drain(address: SocketAddr, connector: TlsConnector, bytes: usize) -> Outcome<f64> {
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from("127.0.0.1")?;
    let mut stream = connector.connect(name, stream).await?;
    let mut room = vec![0; PIECE];
    let start = Instant::now();
    let mut read = 0;
    while read < bytes {
        match stream.read(&mut room).await? {
            0 => return Err(Fault::new(format!("the pump ended after {read} bytes"))),
            more => read += more,
        }
    }
    Ok(number(read) / start.elapsed().as_secs_f64())
}
