//! One connection: read what the socket has, run the requests, send the answers in order.
//!
//! Requests start in arrival order. A produce request appends at once and may then wait for its
//! replicas or its disk while later ones append; any other request that has to wait holds back
//! the later answers, as Kafka's muted channel does. Reading stops while too much is waiting or
//! unsent, so a client that does not read its answers costs a bounded amount of memory.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, Sleep};

use super::doors::Notice;
use super::input::{BadFrameLength, Input};
use super::outgoing::Outgoing;
use super::output::Output;
use super::registry::ConnectionInfo;
use super::tls::{Arrived, Tls};
use crate::dispatch;
use crate::node::Node;
use crate::security::{ListenerSecurity, Login};

/// Requests of one connection that may be under way at once.
const IN_FLIGHT_MAX: usize = 128;
/// Requests started before other connections of the thread get their turn.
const TURN_MAX: usize = 64;
/// How long a client that has finished sending may wait for its last answers.
const HALF_CLOSED_MAX: Duration = Duration::from_secs(30);
/// Unsent bytes above which no further request is started.
const UNSENT_MAX: usize = 1 << 20;

/// What a request comes to.
pub(crate) enum Answer {
    /// This goes out.
    Send(Outgoing),
    /// This goes out, and then the connection ends.
    SendAndClose(Outgoing, Refusal),
    /// Nothing goes out (acks=0).
    Nothing,
    /// The connection ends, without an answer.
    Close(Refusal),
    /// Not known yet.
    Later(Pin<Box<dyn Future<Output = Answer>>>),
}

/// Why a connection was closed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error(transparent)]
    Frame(#[from] BadFrameLength),
    #[error("API key {0} is not known here")]
    UnknownApi(i16),
    #[error("{api} version {version} is not served")]
    UnservedVersion { api: &'static str, version: i16 },
    #[error("malformed {api} request: {error}")]
    Malformed { api: &'static str, error: naru_protocol::DecodeError },
    #[error("malformed request header: {0}")]
    MalformedHeader(naru_protocol::DecodeError),
    #[error("{api} came before a login")]
    NotLoggedIn { api: &'static str },
    #[error("the login failed")]
    LoginFailed,
    #[error("the session is over, and a request came that is no login")]
    SessionOver,
    #[error("a produce request without acknowledgement failed")]
    UnacknowledgedFailure,
}

#[derive(Debug)]
enum End {
    /// The peer closed, or has been idle for too long, or the listener or the node ends.
    Quiet,
    Refused(Refusal),
    Io(io::Error),
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<Refusal> for End {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// Serves a connection until it ends.
pub(super) async fn run(
    node: Arc<Node>,
    stream: TcpStream,
    info: ConnectionInfo,
    notice: watch::Receiver<Notice>,
) {
    let idle_max = node.connections_idle_max();
    // None where the listener has just ended.
    let Some(security) = node.security().listener(&info.listener) else { return };
    // What it came by has ended, and another of its name, with another protocol, is to begin.
    if info.protocol != Some(security.protocol()) {
        return;
    }
    let tls = security.tls();
    let tls = match tls.map(|config| Tls::new(config).map(Box::new)).transpose() {
        Ok(tls) => tls,
        Err(error) => {
            tracing::error!(%error, listener = %info.listener, "TLS cannot begin");
            return;
        }
    };
    let mut connection = Connection {
        stream,
        tls,
        login: Login::of(&security),
        security,
        info: Arc::new(info),
        input: Input::default(),
        output: Output::default(),
        waiting: VecDeque::new(),
        muted: None,
        stopping: false,
        finished: false,
        idle_max,
        last_active: Instant::now(),
        idle: Box::pin(tokio::time::sleep(idle_max)),
        notice,
        node,
    };
    let end = connection.serve().await;
    if let Some(tls) = &mut connection.tls {
        tls.close(&connection.stream);
    }
    match end {
        End::Quiet => {}
        End::Refused(refusal) => {
            connection.node.metrics().refused_connections.add(1);
            tracing::debug!(peer = %connection.info.peer, "closed: {refusal}");
        }
        End::Io(error) => tracing::trace!(peer = %connection.info.peer, %error, "lost"),
    }
    connection.node.share().connection_ended(&connection.node, connection.info.id.0);
    if let Some((id, epoch)) = connection.info.heard_broker() {
        connection.node.metadata().broker_connection_ended(&connection.node, id, epoch);
    }
}

struct Connection {
    node: Arc<Node>,
    stream: TcpStream,
    /// Between the socket and everything else, where the listener has TLS.
    tls: Option<Box<Tls>>,
    security: Arc<ListenerSecurity>,
    info: Arc<ConnectionInfo>,
    /// Who is at the other end is to be found out, or may be again.
    login: Option<Login>,
    input: Input,
    output: Output,
    waiting: VecDeque<Answer>,
    /// Nothing is read and no request begins until then: the client was told to wait (KIP-219).
    muted: Option<Pin<Box<Sleep>>>,
    stopping: bool,
    /// The peer sends no more; what it has asked is still answered.
    finished: bool,
    idle_max: Duration,
    last_active: Instant,
    idle: Pin<Box<Sleep>>,
    /// What the listener tells.
    notice: watch::Receiver<Notice>,
}

impl Connection {
    async fn serve(&mut self) -> End {
        let mut stop = self.node.stopping();
        let mut notice = self.notice.clone();
        loop {
            // One that is never idle hears it as well.
            let told = *notice.borrow();
            if let Some(end) = self.hear(told) {
                return end;
            }
            match self.advance() {
                Ok(true) => {
                    tokio::task::yield_now().await;
                    continue;
                }
                Ok(false) => {}
                Err(end) => return end,
            }
            let asks_no_more = self.stopping || (self.finished && self.muted.is_none());
            if asks_no_more && self.is_settled() {
                return End::Quiet;
            }
            tokio::select! {
                biased;
                progress = poll_fn(|cx| self.poll_progress(cx)) => {
                    if let Err(end) = progress {
                        return end;
                    }
                }
                // Whatever the thread that accepts is at.
                _ = stop.wait_for(|stopping| *stopping), if !self.stopping => self.stopping = true,
                told = notice.wait_for(|told| *told != Notice::Open), if !self.stopping => {
                    let told = told.map_or(Notice::Closed, |told| *told);
                    if let Some(end) = self.hear(told) {
                        return end;
                    }
                }
            }
        }
    }

    /// What the listener tells; its end is the connection's.
    fn hear(&mut self, told: Notice) -> Option<End> {
        self.stopping |= told == Notice::Stopping;
        (told == Notice::Closed).then_some(End::Quiet)
    }

    /// Does what can be done without waiting, for one turn; whether there may be more.
    fn advance(&mut self) -> Result<bool, End> {
        let mut left = TURN_MAX;
        while left > 0 {
            let started = self.start_requests(left)?;
            self.flush()?;
            if started == 0 {
                return Ok(false);
            }
            left -= started;
        }
        Ok(true)
    }

    /// Sends what the socket takes.
    fn flush(&mut self) -> io::Result<bool> {
        match &mut self.tls {
            None => self.output.flush(&self.stream),
            Some(tls) => self.output.flush_tls(&self.stream, tls),
        }
    }

    /// Whether something waits for the socket.
    fn is_sending(&self) -> bool {
        self.output.unsent() > 0 || self.tls.as_ref().is_some_and(|tls| tls.wants_write())
    }

    /// Whether everything asked has been answered.
    fn is_settled(&self) -> bool {
        self.waiting.is_empty() && !self.is_sending()
    }

    fn has_room(&self) -> bool {
        self.muted.is_none()
            && self.waiting.len() < IN_FLIGHT_MAX
            && self.output.unsent() < UNSENT_MAX
    }

    /// Starts requests that have arrived whole, `most` at most; how many there were.
    fn start_requests(&mut self, most: usize) -> Result<usize, End> {
        let mut started = 0;
        let frame_max = self.node.config().sockets.request_max_bytes;
        while !self.stopping && started < most && self.has_room() {
            let max = self.login.as_ref().map_or(frame_max, |login| login.frame_max(frame_max));
            let Some(frame) = self.input.next_frame(max).map_err(Refusal::from)? else {
                break;
            };
            started += 1;
            let login = self.login.as_mut();
            let taken = login.and_then(|login| login.take(&self.node, &mut self.info, &frame));
            let answer = match taken {
                Some(answer) => answer,
                None => dispatch::handle(&self.node, &self.info, &frame),
            };
            if self.waiting.is_empty() {
                self.settle(answer)?;
            } else {
                self.waiting.push_back(answer);
            }
        }
        Ok(started)
    }

    /// Takes an answer that is next in order.
    fn settle(&mut self, answer: Answer) -> Result<(), End> {
        match answer {
            Answer::Send(outgoing) => {
                self.mute(outgoing.throttle_ms);
                self.output.push(outgoing);
            }
            Answer::Nothing => {}
            Answer::SendAndClose(outgoing, refusal) => {
                self.output.push(outgoing);
                self.flush()?;
                return Err(refusal.into());
            }
            Answer::Close(refusal) => {
                // What was answered before still goes out, as far as the socket takes it.
                self.flush()?;
                return Err(refusal.into());
            }
            later @ Answer::Later(_) => self.waiting.push_front(later),
        }
        Ok(())
    }

    /// Leaves the client alone for so long; what it has asked before is still answered.
    fn mute(&mut self, throttle_ms: u32) {
        if throttle_ms == 0 {
            return;
        }
        let until = Instant::now() + Duration::from_millis(throttle_ms.into());
        match &mut self.muted {
            Some(muted) if muted.deadline() >= until => {}
            Some(muted) => muted.as_mut().reset(until),
            None => self.muted = Some(Box::pin(tokio::time::sleep_until(until))),
        }
    }

    /// Ready when there is something for [`Self::advance`] to do.
    fn poll_progress(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), End>> {
        let mut progress = self.poll_waiting(cx)?;
        if let Some(muted) = &mut self.muted
            && muted.as_mut().poll(cx).is_ready()
        {
            self.muted = None;
            progress = true;
        }
        if self.is_sending() {
            progress |= self.stream.poll_write_ready(cx)?.is_ready();
        }
        if !self.stopping && !self.finished && self.has_room() {
            progress |= self.poll_read(cx)?;
        }
        if progress {
            self.last_active = Instant::now();
            return Poll::Ready(Ok(()));
        }
        if self.idle.as_mut().poll(cx).is_ready() {
            let deadline = self.last_active + self.idle_max;
            let expired = deadline <= Instant::now() && self.waiting.is_empty();
            if expired || self.finished {
                return Poll::Ready(Err(End::Quiet));
            }
            self.idle.as_mut().reset(deadline.max(Instant::now() + Duration::from_secs(1)));
            // Polled again so that the timer knows whom to wake.
            let _ = self.idle.as_mut().poll(cx);
        }
        Poll::Pending
    }

    /// Moves finished answers, in order, to the output; whether there was one.
    fn poll_waiting(&mut self, cx: &mut Context<'_>) -> Result<bool, End> {
        let mut progress = false;
        while let Some(front) = self.waiting.front_mut() {
            if let Answer::Later(future) = front {
                match future.as_mut().poll(cx) {
                    Poll::Ready(answer) => *front = answer,
                    Poll::Pending => break,
                }
                continue;
            }
            if let Some(answer) = self.waiting.pop_front() {
                progress = true;
                self.settle(answer)?;
            }
        }
        Ok(progress)
    }

    /// Reads what the socket has; whether there was something.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Result<bool, End> {
        match self.stream.poll_read_ready(cx)? {
            Poll::Pending => {
                self.input.shrink();
                return Ok(false);
            }
            Poll::Ready(()) => {}
        }
        if self.tls.is_some() {
            return self.read_tls(cx);
        }
        match self.stream.try_read_buf(self.input.room()) {
            Ok(0) => self.other_side_ended(),
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.stale(cx),
            Err(error) => Err(error.into()),
        }
    }

    /// As the rest of [`Self::poll_read`], through TLS.
    fn read_tls(&mut self, cx: &mut Context<'_>) -> Result<bool, End> {
        let Some(tls) = &mut self.tls else { return Ok(false) };
        let arrived = tls.read(&self.stream, self.input.room())?;
        if tls.is_greeted_now() {
            match self.security.principal(tls.certificates()) {
                Ok(principal) => {
                    let known = ConnectionInfo::clone(&self.info);
                    self.info = Arc::new(ConnectionInfo { principal, ..known });
                }
                Err(why) => {
                    let host = &*self.info.host;
                    tracing::info!(target: "audit.login", host, "certificate refused: {why}");
                    return Err(Refusal::LoginFailed.into());
                }
            }
        }
        match arrived {
            Arrived::Something => Ok(true),
            Arrived::Nothing => self.stale(cx),
            Arrived::End => self.other_side_ended(),
        }
    }

    /// What has arrived together with the end is still to be done.
    fn other_side_ended(&mut self) -> Result<bool, End> {
        self.finished = true;
        self.idle.as_mut().reset(Instant::now() + HALF_CLOSED_MAX);
        Ok(true)
    }

    /// The readiness was stale; asks again so that the next one wakes this task.
    fn stale(&self, cx: &mut Context<'_>) -> Result<bool, End> {
        Ok(self.stream.poll_read_ready(cx)?.is_ready())
    }
}
