//! How HTTP/2 packs headers, RFC 7541. What comes is unpacked with the table its sender fills; what we send is
//! packed without one, so that a connection keeps nothing for it.

pub mod huffman;

pub mod table;

pub mod decode;

pub mod encode;
