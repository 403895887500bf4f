//! One connection to another broker: requests one at a time, answers bounded by what arrives.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use naru_client::net::ClientSecurity;
use naru_client::net::security::{Session, Stream};
use naru_protocol::{DecodeError, Request, frame};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream, lookup_host};

/// Memory reserved for an answer before its bytes are there.
const RESERVE_MAX: usize = 1 << 20;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectionError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("no answer in time")]
    TimedOut,
    #[error("an answer that cannot be read: {0}")]
    Malformed(#[from] DecodeError),
    #[error("an answer to another request")]
    OutOfOrder,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Connection {
    stream: Stream,
    client_id: String,
    next_id: i32,
    security: Arc<ClientSecurity>,
    session: Session,
    /// How long connecting, and a login, may take.
    within: Duration,
}

impl Connection {
    pub(super) async fn open(
        host: &str,
        port: u16,
        client_id: String,
        receive_buffer: Option<usize>,
        within: Duration,
        security: &Arc<ClientSecurity>,
    ) -> Result<Self, ConnectionError> {
        let connecting = async {
            let stream = connect(host, port, receive_buffer).await?;
            stream.set_nodelay(true)?;
            security.secure(stream, host, &client_id).await
        };
        let connected = tokio::time::timeout(within, connecting).await;
        let (stream, session) = connected.map_err(|_| ConnectionError::TimedOut)??;
        let security = Arc::clone(security);
        Ok(Self { stream, client_id, next_id: 0, security, session, within })
    }

    /// Sends a request; the answer is to be awaited with [`Self::receive`]. May take for ever if
    /// the other end takes nothing in; given up half way, the connection is of no use any more.
    pub(super) async fn send<R: Request>(
        &mut self,
        request: &R,
        version: i16,
    ) -> Result<(), ConnectionError> {
        if self.session.is_due() {
            self.renew().await?;
        }
        self.next_id = self.next_id.wrapping_add(1) & i32::MAX;
        let bytes = frame::request(request, version, self.next_id, &self.client_id);
        self.stream.write_all(&bytes).await?;
        // TLS keeps what is not flushed.
        self.stream.flush().await?;
        Ok(())
    }

    /// Logs in again where logins end (KIP-368). No answer is awaited now.
    async fn renew(&mut self) -> Result<(), ConnectionError> {
        let renewing = self.security.renew(&mut self.stream, &self.client_id, self.session);
        let renewed = tokio::time::timeout(self.within, renewing).await;
        self.session = renewed.map_err(|_| ConnectionError::TimedOut)??;
        Ok(())
    }

    /// Reads the answer to the last request. If this is given up half way, the connection is of
    /// no use any more.
    pub(super) async fn receive<R: Request>(
        &mut self,
        version: i16,
    ) -> Result<R::Response, ConnectionError> {
        let frame = self.read_frame().await?;
        let (id, response) = frame::read_response::<R>(&frame, version)?;
        if id != self.next_id {
            return Err(ConnectionError::OutOfOrder);
        }
        Ok(response)
    }

    /// Sends a request and reads its answer, both `within` this time. After that the connection is
    /// of no use any more.
    pub(super) async fn ask<R: Request>(
        &mut self,
        request: &R,
        version: i16,
        within: Duration,
    ) -> Result<R::Response, ConnectionError> {
        let asking = async {
            self.send(request, version).await?;
            self.receive::<R>(version).await
        };
        tokio::time::timeout(within, asking).await.map_err(|_| ConnectionError::TimedOut)?
    }

    async fn read_frame(&mut self) -> Result<Bytes, ConnectionError> {
        let len = self.stream.read_i32().await?;
        let len = usize::try_from(len).map_err(|_| DecodeError::Truncated)?;
        let mut bytes = BytesMut::with_capacity(len.min(RESERVE_MAX));
        while bytes.len() < len {
            let left = len - bytes.len();
            bytes.reserve(left.min(RESERVE_MAX));
            let mut limited = (&mut self.stream).take(left as u64);
            if limited.read_buf(&mut bytes).await? == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
        }
        Ok(bytes.freeze())
    }
}

async fn connect(host: &str, port: u16, receive_buffer: Option<usize>) -> io::Result<TcpStream> {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in lookup_host((host, port)).await? {
        match connect_to(address, receive_buffer).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

async fn connect_to(address: SocketAddr, receive_buffer: Option<usize>) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if let Some(size) = receive_buffer {
        socket.set_recv_buffer_size(u32::try_from(size).unwrap_or(u32::MAX))?;
    }
    socket.connect(address).await
}

#[cfg(test)]
mod tests {
    use naru_protocol::messages::fetch_request::{FetchPartition, FetchRequest, FetchTopic};

    use super::*;

    #[test]
    fn whoever_takes_nothing_in_is_not_waited_for_longer_than_was_said() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        // Accepts, as the kernel does for a process that is stopped, and reads nothing.
        let stuck = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = stuck.local_addr().unwrap().port();
        // More than the buffers of both ends take.
        let partitions = vec![FetchPartition::default(); 1_000_000];
        let topics = vec![FetchTopic { partitions, ..FetchTopic::default() }];
        let request = FetchRequest { topics, ..FetchRequest::default() };
        let ended = runtime.block_on(async {
            let security = Arc::new(ClientSecurity::default());
            let (id, within) = ("stuck".to_owned(), Duration::from_secs(10));
            let opened = Connection::open("127.0.0.1", port, id, None, within, &security).await;
            let mut connection = opened.unwrap();
            let sending = tokio::time::timeout(within, connection.send(&request, 17));
            assert!(
                tokio::time::timeout(Duration::from_millis(300), sending).await.is_err(),
                "all of it was taken in: the request is too small"
            );
            let opened = Connection::open("127.0.0.1", port, "b".into(), None, within, &security);
            let mut connection = opened.await.unwrap();
            let asking = connection.ask(&request, 17, Duration::from_millis(100));
            tokio::time::timeout(within, asking).await
        });
        assert!(matches!(ended, Ok(Err(ConnectionError::TimedOut))), "{ended:?}");
    }
}
