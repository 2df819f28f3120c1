//! The cluster's certificates: one authority, made at the first start, and what it signs.
//!
//! Nothing here reads a clock (`now_s` is an argument). `files.rs` alone touches the disk, and
//! drawing keys is the one use of randomness, inside the cryptography library.

mod authority;
mod client;
mod files;
mod kubeconfig;
pub(crate) mod tls;
mod verifier;

pub use authority::{Authority, Pair, Subject, Usage};
pub use client::Request;
pub use files::write_secret;
pub use kubeconfig::kubeconfig;
pub use tls::{
    Certified, agent_client, api_server, certified, joining_client, peer_client, peer_server,
    serial_of_pem, user_of,
};

/// Why a certificate, key or token cannot be made, read or trusted.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// Making or parsing a certificate failed.
    #[error("cannot {what}: {source}")]
    Certificate {
        /// What was tried.
        what: &'static str,
        /// The cause.
        source: rcgen::Error,
    },
    /// A TLS configuration was refused.
    #[error("cannot use the certificates for TLS")]
    Tls(#[from] rustls::Error),
    /// The verifier of client certificates was refused.
    #[error("cannot build the verifier of client certificates")]
    Verifier(#[from] rustls::server::VerifierBuilderError),
    /// A PEM text holds no certificate or key.
    #[error("{0} is not PEM of the expected kind")]
    Pem(&'static str),
    /// A certificate request that cannot be signed.
    #[error("{0}")]
    Request(String),
    /// A file or directory cannot be read or written.
    #[error("cannot use {path}: {source}")]
    Io {
        /// The file or directory.
        path: std::path::PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// Only one half of the authority is there.
    #[error("{0} holds only one of ca.crt and ca.key: restore the other from another server")]
    Half(std::path::PathBuf),
    /// A name that may not stand in a certificate.
    #[error("`{0}` is no usable name: lower case letters, digits, `-` and `.`, at most 253")]
    Name(String),
}
