//! What goes over the socket, from what is said and back.

use std::io::{self, BufRead, Write};

use rustls::ClientConnection;

use crate::{Fault, Outcome};

pub(super) struct Tls(ClientConnection);

impl Tls {
    /// Goes on after the handshake.
    pub(super) fn new(mut connection: ClientConnection) -> Self {
        // What is sent is bounded where it is said.
        connection.set_buffer_limit(None);
        Self(connection)
    }

    /// Seals what is to be said, and whatever else the other end has to know.
    pub(super) fn seal(&mut self, said: &[u8]) -> Outcome<Vec<u8>> {
        let mut sealed = Vec::new();
        if !said.is_empty() {
            self.0.writer().write_all(said)?;
        }
        while self.0.wants_write() {
            self.0.write_tls(&mut sealed)?;
        }
        Ok(sealed)
    }

    /// Seals the last that is said; it goes with what is sealed next.
    pub(super) fn close(&mut self, said: &[u8]) {
        // This can only fail where nothing can be said any more.
        drop(self.0.writer().write_all(said));
        self.0.send_close_notify();
    }

    /// Opens what came, piece by piece, after what was there already.
    pub(super) fn open(
        &mut self,
        mut sealed: &[u8],
        mut each: impl FnMut(&[u8]) -> Outcome<()>,
    ) -> Outcome<()> {
        loop {
            self.0.process_new_packets()?;
            loop {
                let mut reader = self.0.reader();
                let bytes = match reader.fill_buf() {
                    Ok([]) => return Err(Fault::new("the server ended the connection")),
                    Ok(piece) => {
                        each(piece)?;
                        piece.len()
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) => return Err(error.into()),
                };
                reader.consume(bytes);
            }
            if sealed.is_empty() {
                return Ok(());
            }
            if self.0.read_tls(&mut sealed)? == 0 {
                return Err(Fault::new("the server ended the connection"));
            }
        }
    }
}
