//! What a connection has still to send, coalesced: small responses go out in one system call,
//! ranges of log files by sendfile.

use std::collections::VecDeque;
use std::io;
use std::os::fd::AsFd;

use tokio::io::Interest;
use tokio::net::TcpStream;

use super::outgoing::{FileRange, Outgoing};
use super::tls::Tls;

/// Memory kept for the next responses after everything has been sent.
const KEPT_BYTES: usize = 64 << 10;

#[derive(Debug)]
enum Piece {
    Bytes { bytes: Vec<u8>, sent: usize },
    File(FileRange),
}

/// The queue of unsent pieces, in order.
#[derive(Debug, Default)]
pub(super) struct Output {
    pieces: VecDeque<Piece>,
    unsent: usize,
}

impl Output {
    /// Bytes not handed to the socket yet.
    pub(super) fn unsent(&self) -> usize {
        self.unsent
    }

    /// Puts a response behind what is there.
    pub(super) fn push(&mut self, outgoing: Outgoing) {
        if outgoing.bytes.is_empty() {
            return;
        }
        self.unsent += outgoing.len();
        if outgoing.ranges.is_empty() {
            self.push_bytes(outgoing.bytes);
            return;
        }
        let mut rest = outgoing.bytes;
        let mut base = 0;
        for (external, range) in outgoing.externals.iter().zip(outgoing.ranges) {
            let tail = rest.split_off(external.at - base);
            base = external.at;
            self.push_bytes(std::mem::replace(&mut rest, tail));
            self.pieces.push_back(Piece::File(range));
        }
        if !rest.is_empty() {
            self.push_bytes(rest);
        }
    }

    fn push_bytes(&mut self, bytes: Vec<u8>) {
        match self.pieces.back_mut() {
            Some(Piece::Bytes { bytes: last, .. }) if last.len() + bytes.len() <= KEPT_BYTES => {
                last.extend_from_slice(&bytes);
            }
            _ => self.pieces.push_back(Piece::Bytes { bytes, sent: 0 }),
        }
    }

    /// As [`Self::flush`], through TLS.
    pub(super) fn flush_tls(&mut self, stream: &TcpStream, tls: &mut Tls) -> io::Result<bool> {
        loop {
            if !tls.flush(stream)? {
                return Ok(false);
            }
            let Some(piece) = self.pieces.front_mut() else { return Ok(true) };
            let count = match piece {
                Piece::Bytes { bytes, sent } => {
                    let count = tls.write(&bytes[*sent..])?;
                    *sent += count;
                    count
                }
                Piece::File(range) => {
                    let position = range.position;
                    let count = tls
                        .write_with(range.len, |piece| range.file.read_exact_at(piece, position))?;
                    range.position += count as u64;
                    range.len -= count;
                    count
                }
            };
            self.unsent -= count;
            if piece.is_done() {
                self.pieces.pop_front();
            }
        }
    }

    /// Sends what the socket takes now. `Ok(true)` when everything is gone.
    pub(super) fn flush(&mut self, stream: &TcpStream) -> io::Result<bool> {
        loop {
            let more = self.pieces.len() > 1;
            let Some(piece) = self.pieces.front_mut() else { return Ok(true) };
            let result = match piece {
                Piece::Bytes { bytes, sent } => send_bytes(stream, bytes, sent, more),
                Piece::File(range) => send_file(stream, range),
            };
            match result {
                Ok(count) => self.unsent -= count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
            if piece.is_done() {
                self.pieces.pop_front();
            }
        }
    }
}

impl Piece {
    fn is_done(&self) -> bool {
        match self {
            Self::Bytes { bytes, sent } => *sent == bytes.len(),
            Self::File(range) => range.len == 0,
        }
    }
}

/// Sends bytes; `more` keeps the last packet open for the file range that follows.
fn send_bytes(stream: &TcpStream, bytes: &[u8], sent: &mut usize, more: bool) -> io::Result<usize> {
    let unsent = &bytes[*sent..];
    let count = if more {
        stream.try_io(Interest::WRITABLE, || {
            use rustix::net::SendFlags;
            let flags = SendFlags::MORE | SendFlags::NOSIGNAL;
            Ok(rustix::net::send(stream.as_fd(), unsent, flags)?)
        })?
    } else {
        stream.try_write(unsent)?
    };
    *sent += count;
    Ok(count)
}

/// Sends from a file, moving the range's start by what was sent.
fn send_file(stream: &TcpStream, range: &mut FileRange) -> io::Result<usize> {
    let file = range.file.as_file().ok_or(io::ErrorKind::Unsupported)?;
    let mut total = 0;
    while range.len > 0 {
        let count = stream.try_io(Interest::WRITABLE, || {
            let mut position = range.position;
            Ok(rustix::fs::sendfile(stream.as_fd(), file.as_fd(), Some(&mut position), range.len)?)
        });
        match count {
            // The file is shorter than the log says: the frame can no longer be completed.
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => {
                range.position += count as u64;
                range.len -= count;
                total += count;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && total > 0 => break,
            Err(error) => return Err(error),
        }
    }
    Ok(total)
}
