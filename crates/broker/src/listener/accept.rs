//! Listening sockets and the threads that serve their connections.

use std::cell::Cell;
use std::io;
use std::net::{SocketAddr, TcpListener as StdListener, TcpStream as StdStream};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use naru_model::config::Endpoint;
use naru_quotas::Creation;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::LocalSet;

use super::connection;
use super::doors::{Doors, NewDoor, Notice};
use super::places::{NoPlace, Place};
use super::registry::{ConnectionInfo, Door};
use crate::node::Node;

/// `socket.listen.backlog.size` is 50 in Kafka; a burst of clients must not be refused.
const BACKLOG: i32 = 1024;
/// Pause after an accept that failed, such as for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Send buffer unless `socket.send.buffer.bytes` is set. The kernel's own tuning goes to several
/// megabytes, whose pages have left the cache when they are sent: a fifth more CPU per byte read
/// (`cargo xtask bench --only consume-1k`). Kafka's default is 100 KiB.
const SEND_BUFFER: usize = 512 << 10;
/// Connections that wait to be closed; beyond it they are closed at once.
const CLOSING_MAX: usize = 1024;
/// How often a failure that goes on is told.
const COMPLAIN_EVERY: Duration = Duration::from_secs(10);
/// How long open connections may take to finish when the node stops.
const DRAIN_MAX: Duration = Duration::from_secs(5);

/// A bound socket and the name of its listener.
#[derive(Debug)]
pub(crate) struct Bound {
    pub(crate) name: Arc<str>,
    /// What it was bound for.
    pub(crate) endpoint: Endpoint,
    /// Whether controllers' APIs are served here, and not brokers'.
    pub(crate) is_controller: bool,
    pub(crate) address: SocketAddr,
    pub(crate) socket: StdListener,
}

/// Binds `address`, which is the endpoint's, so that a restart need not wait for old connections to
/// time out.
pub(crate) fn bind(
    endpoint: &Endpoint,
    is_controller: bool,
    address: SocketAddr,
) -> io::Result<Bound> {
    let socket = take(address)?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    let socket = StdListener::from(socket);
    let (name, address) = (endpoint.name.as_str().into(), socket.local_addr()?);
    Ok(Bound { name, endpoint: endpoint.clone(), is_controller, address, socket })
}

/// Whether [`bind`] would succeed now.
pub(crate) fn check_free(address: SocketAddr) -> io::Result<()> {
    take(address).map(drop)
}

/// A socket that has the address, but listens not yet.
fn take(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        // An IPv6 wildcard also takes IPv4, as Java's sockets do.
        socket.set_only_v6(false)?;
    }
    socket.bind(&address.into())?;
    Ok(socket)
}

/// A connection, on its way to the thread that serves it.
#[derive(Debug)]
pub(super) struct Handover {
    stream: StdStream,
    info: ConnectionInfo,
    place: Place,
    /// What its listener tells it.
    notice: watch::Receiver<Notice>,
}

/// Work for a network thread.
#[derive(Debug)]
pub(super) enum Errand {
    /// Serve a connection.
    Serve(Handover),
    /// Accept connections.
    Accept(NewDoor),
}

/// The threads that serve connections.
#[derive(Debug)]
pub(crate) struct NetworkThreads {
    threads: Vec<JoinHandle<()>>,
    doors: Arc<Doors>,
}

impl NetworkThreads {
    /// Starts `count` threads; the first also accepts.
    pub(crate) fn start(node: &Arc<Node>, bound: Vec<Bound>, count: usize) -> io::Result<Self> {
        let mut inboxes = Vec::new();
        let mut receivers = Vec::new();
        for _ in 0..count.max(1) {
            let (sender, receiver) = mpsc::unbounded_channel();
            inboxes.push(sender);
            receivers.push(receiver);
        }
        let mut threads = Vec::new();
        for (index, receiver) in receivers.into_iter().enumerate() {
            let node = Arc::clone(node);
            let thread = std::thread::Builder::new()
                .name(format!("network-{index}"))
                .spawn(move || run_thread(&node, receiver))?;
            threads.push(thread);
        }
        Ok(Self { threads, doors: Arc::new(Doors::new(inboxes, bound)) })
    }

    /// The listeners that are open.
    pub(crate) const fn doors(&self) -> &Arc<Doors> {
        &self.doors
    }

    /// Waits until every connection is finished; the node's stop signal must have been given.
    pub(crate) fn join(self) {
        for thread in self.threads {
            // A panic in a thread has been printed by its hook; the others still end cleanly.
            let _ = thread.join();
        }
    }
}

fn run_thread(node: &Arc<Node>, mut inbox: mpsc::UnboundedReceiver<Errand>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "a network thread cannot start");
            return;
        }
    };
    let local = LocalSet::new();
    let mut stop = node.stopping();
    local.block_on(&runtime, async {
        loop {
            tokio::select! {
                errand = inbox.recv() => match errand {
                    Some(Errand::Serve(handover)) => serve(node, handover),
                    Some(Errand::Accept(door)) => {
                        tokio::task::spawn_local(accept(Arc::clone(node), door));
                    }
                    None => break,
                },
                _ = stop.wait_for(|stopping| *stopping) => break,
            }
        }
    });
    // Connections see the same signal, answer what is parked, and end by themselves.
    let drained = runtime.block_on(async { tokio::time::timeout(DRAIN_MAX, local).await });
    if drained.is_err() {
        tracing::warn!("connections that did not finish in time were cut");
    }
}

/// Accepts until the listener or the node ends, and tells its connections of the node's end. Where
/// nothing more can be accepted, those there are go on.
async fn accept(node: Arc<Node>, door: NewDoor) {
    let NewDoor { bound, notice, threads, closing } = door;
    let mut stop = node.stopping();
    let mut told = notice.subscribe();
    tokio::select! {
        () = keep_accepting(&node, bound, threads, &notice) => {}
        _ = stop.wait_for(|stopping| *stopping) => {
            notice.send_if_modified(|notice| {
                let is_open = *notice == Notice::Open;
                if is_open {
                    *notice = Notice::Stopping;
                }
                is_open
            });
        }
        _ = told.wait_for(|notice| *notice != Notice::Open) => {}
    }
    // The socket is closed by now.
    drop(closing);
}

async fn keep_accepting(
    node: &Node,
    bound: Bound,
    mut threads: Vec<mpsc::UnboundedSender<Errand>>,
    notice: &watch::Sender<Notice>,
) {
    let listener = match TcpListener::from_std(bound.socket) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!(%error, listener = %bound.name, "cannot accept");
            return;
        }
    };
    let mut turn = 0;
    let mut complained: Option<Instant> = None;
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let admitted = admit(node, &bound.name, bound.is_controller, stream, peer).await;
                let Some((stream, mut info, place)) = admitted else { continue };
                info.protocol = Some(bound.endpoint.protocol);
                let handover = Handover { stream, info, place, notice: notice.subscribe() };
                if !hand_over(&mut threads, &mut turn, handover) {
                    tracing::error!(listener = %bound.name, "no network thread takes connections");
                    return;
                }
            }
            Err(error) => {
                if complained.is_none_or(|last| last.elapsed() >= COMPLAIN_EVERY) {
                    complained = Some(Instant::now());
                    tracing::warn!(%error, listener = %bound.name, "accept failed");
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Gives a connection to the next thread that takes one; whether there is one. Those that take
/// none, such as one that could not start, are not asked again.
fn hand_over(
    threads: &mut Vec<mpsc::UnboundedSender<Errand>>,
    turn: &mut usize,
    handover: Handover,
) -> bool {
    let mut errand = Errand::Serve(handover);
    *turn += 1;
    while !threads.is_empty() {
        *turn %= threads.len();
        match threads[*turn].send(errand) {
            Ok(()) => return true,
            Err(mpsc::error::SendError(back)) => errand = back,
        }
        threads.remove(*turn);
    }
    false
}

/// Lets a connection in, when its time has come and there is a place for it.
async fn admit(
    node: &Node,
    name: &Arc<str>,
    is_controller: bool,
    stream: TcpStream,
    peer: SocketAddr,
) -> Option<(StdStream, ConnectionInfo, Place)> {
    let connections = node.connections();
    match connections.note_new(name, peer.ip()) {
        Creation::Take { pause_ms: 0 } => {}
        Creation::Take { pause_ms } => {
            tokio::time::sleep(Duration::from_millis(pause_ms.into())).await;
        }
        Creation::Close { after_ms } => {
            close_later(stream, after_ms);
            return None;
        }
    }
    let place = loop {
        let news = connections.news();
        match connections.enter(name, is_controller, peer.ip()) {
            Ok(place) => break place,
            Err(NoPlace::Address) => return None,
            Err(NoPlace::Full) => news.await,
        }
    };
    set_buffers(node, &stream);
    let stream = stream.into_std().ok()?;
    let info = ConnectionInfo::anonymous(Arc::clone(name), peer, Door::new(is_controller));
    Some((stream, info, place))
}

/// Keeps a connection of an address that is too fast waiting, and closes it then.
fn close_later(stream: TcpStream, after_ms: u32) {
    thread_local! {
        static WAITING: Cell<usize> = const { Cell::new(0) };
    }
    if WAITING.get() >= CLOSING_MAX {
        return;
    }
    WAITING.set(WAITING.get() + 1);
    tokio::task::spawn_local(async move {
        tokio::time::sleep(Duration::from_millis(after_ms.into())).await;
        drop(stream);
        WAITING.set(WAITING.get() - 1);
    });
}

/// Sets the buffer sizes that were configured, and otherwise bounds the send buffer.
fn set_buffers(node: &Node, stream: &TcpStream) {
    let sockets = &node.config().sockets;
    let socket = socket2::SockRef::from(stream);
    let send = socket.set_send_buffer_size(sockets.send_buffer_bytes.unwrap_or(SEND_BUFFER));
    let receive =
        sockets.receive_buffer_bytes.map_or(Ok(()), |size| socket.set_recv_buffer_size(size));
    if let Err(error) = send.and(receive) {
        tracing::debug!(%error, "a socket keeps its buffer sizes");
    }
}

fn serve(node: &Arc<Node>, handover: Handover) {
    let Handover { stream, info, place, notice } = handover;
    let stream = stream.set_nodelay(true).and_then(|()| TcpStream::from_std(stream));
    match stream {
        Ok(stream) => {
            let connection = connection::run(Arc::clone(node), stream, info, notice);
            tokio::task::spawn_local(async move {
                connection.await;
                drop(place);
            });
        }
        Err(error) => tracing::debug!(%error, peer = %info.peer, "connection lost at once"),
    }
}
