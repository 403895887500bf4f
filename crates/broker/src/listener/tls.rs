//! TLS on a connection's socket: ciphertext in and out, plain bytes between.
//!
//! Files cannot go to the socket by themselves here: they are read in pieces of a record's size.
//! Memory is bounded by `BUFFER_MAX` and what rustls keeps of one record.

use std::io::{self, Read as _, Write as _};
use std::sync::Arc;

use bytes::BytesMut;
use rustls::ServerConnection;
use rustls::pki_types::CertificateDer;
use tokio::net::TcpStream;

/// Ciphertext that may wait for the socket.
const BUFFER_MAX: usize = 256 << 10;
/// Plain bytes moved at once: four records.
const PIECE: usize = 64 << 10;
/// Reads of the socket before others get their turn.
const READS_MAX: usize = 16;

/// See the module.
#[derive(Debug)]
pub(super) struct Tls {
    connection: ServerConnection,
    piece: Vec<u8>,
    greeted: bool,
}

/// What a look at the socket came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arrived {
    /// Ciphertext came.
    Something,
    /// Nothing is there now.
    Nothing,
    /// The other side has ended.
    End,
}

impl Tls {
    pub(super) fn new(config: Arc<rustls::ServerConfig>) -> io::Result<Self> {
        let mut connection = ServerConnection::new(config).map_err(io::Error::other)?;
        connection.set_buffer_limit(Some(BUFFER_MAX));
        Ok(Self { connection, piece: Vec::new(), greeted: false })
    }

    /// Takes what the socket has; plain bytes go to `input`.
    pub(super) fn read(&mut self, stream: &TcpStream, input: &mut BytesMut) -> io::Result<Arrived> {
        let mut arrived = Arrived::Nothing;
        for _ in 0..READS_MAX {
            match self.connection.read_tls(&mut Socket(stream)) {
                Ok(0) => return Ok(Arrived::End),
                Ok(_) => arrived = Arrived::Something,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
            let state = self.connection.process_new_packets().map_err(|error| {
                // The other side learns why, if it still listens.
                let _ = self.connection.write_tls(&mut Socket(stream));
                io::Error::new(io::ErrorKind::InvalidData, error)
            })?;
            let mut left = state.plaintext_bytes_to_read();
            self.piece.resize(PIECE, 0);
            while left > 0 {
                let count = self.connection.reader().read(&mut self.piece)?;
                if count == 0 {
                    break;
                }
                input.extend_from_slice(&self.piece[..count]);
                left = left.saturating_sub(count);
            }
            if state.peer_has_closed() {
                return Ok(Arrived::End);
            }
        }
        Ok(arrived)
    }

    /// True once: when the handshake is done.
    pub(super) fn is_greeted_now(&mut self) -> bool {
        let now = !self.greeted && !self.connection.is_handshaking();
        self.greeted |= now;
        now
    }

    /// What the other side has shown.
    pub(super) fn certificates(&self) -> Option<&[CertificateDer<'static>]> {
        self.connection.peer_certificates()
    }

    /// Whether ciphertext waits for the socket.
    pub(super) fn wants_write(&self) -> bool {
        self.connection.wants_write()
    }

    /// Takes plain bytes, as many as there is room for.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.connection.writer().write(&bytes[..bytes.len().min(PIECE)])
    }

    /// Takes plain bytes that `fill` puts into a buffer of at most `most`.
    pub(super) fn write_with(
        &mut self,
        most: usize,
        fill: impl FnOnce(&mut [u8]) -> io::Result<()>,
    ) -> io::Result<usize> {
        self.piece.resize(PIECE, 0);
        let piece = &mut self.piece[..most.min(PIECE)];
        fill(piece)?;
        self.connection.writer().write(piece)
    }

    /// Sends ciphertext; false if the socket takes no more.
    pub(super) fn flush(&mut self, stream: &TcpStream) -> io::Result<bool> {
        while self.connection.wants_write() {
            match self.connection.write_tls(&mut Socket(stream)) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Says goodbye, as far as the socket takes it.
    pub(super) fn close(&mut self, stream: &TcpStream) {
        self.connection.send_close_notify();
        // Whoever has gone already does not need to know.
        let _ = self.flush(stream);
    }
}

/// The socket as rustls reads and writes it; never waits.
struct Socket<'s>(&'s TcpStream);

impl io::Read for Socket<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(bytes)
    }
}

impl io::Write for Socket<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn write_vectored(&mut self, bytes: &[io::IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
