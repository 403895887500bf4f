//! The listeners that are open: how one begins and ends while others go on.
//!
//! The first network thread accepts for all of them. What ends tells its connections, which end
//! at once, and is over when its address is free again.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use naru_model::config::{Endpoint, ListenerChange};
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::watch;

use super::accept::{Bound, Errand};

/// How long an end waits for the thread that accepts.
const CLOSE_MAX: Duration = Duration::from_secs(5);

/// What a listener tells its connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Notice {
    /// Go on.
    Open,
    /// The node stops: answer what has been asked, and end.
    Stopping,
    /// The listener is no more: end.
    Closed,
}

/// A listener that is to be served, and what tells of its end.
#[derive(Debug)]
pub(super) struct NewDoor {
    pub(super) bound: Bound,
    pub(super) notice: Arc<watch::Sender<Notice>>,
    /// Every thread that serves connections.
    pub(super) threads: Vec<UnboundedSender<Errand>>,
    /// Dropped when the socket is closed.
    pub(super) closing: Sender<()>,
}

#[derive(Debug)]
struct OpenDoor {
    endpoint: Endpoint,
    address: SocketAddr,
    notice: Arc<watch::Sender<Notice>>,
    closed: Receiver<()>,
}

type Open = BTreeMap<Arc<str>, OpenDoor>;

/// The listeners that are open, by name.
#[derive(Debug)]
pub(crate) struct Doors {
    threads: Vec<UnboundedSender<Errand>>,
    /// Held while listeners begin and end, so that one change comes after the other.
    open: Mutex<Open>,
    /// How many are open, known without waiting for one that ends.
    count: AtomicUsize,
}

impl Doors {
    pub(super) fn new(threads: Vec<UnboundedSender<Errand>>, bound: Vec<Bound>) -> Self {
        let this = Self { threads, open: Mutex::default(), count: AtomicUsize::new(0) };
        this.with(|open| bound.into_iter().for_each(|bound| this.begin(open, bound)));
        this
    }

    fn with<T>(&self, act: impl FnOnce(&mut Open) -> T) -> T {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let done = act(&mut open);
        self.count.store(open.len(), Ordering::Relaxed);
        done
    }

    /// How many are open.
    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Whether one that is wanted is not open, or accepts no more; not while that changes.
    pub(crate) fn is_behind(&self, wanted: &[Endpoint]) -> bool {
        self.open
            .try_lock()
            .is_ok_and(|open| open.values().any(is_lost) || !change(&open, wanted).begin.is_empty())
    }

    /// Ends what is not wanted and begins what is not open; `bind` says why one cannot. Nothing
    /// where nobody says what is wanted: the node stops.
    pub(crate) fn change(
        &self,
        wanted: impl FnOnce() -> Option<Vec<Endpoint>>,
        bind: impl Fn(&Endpoint) -> Result<Bound, String>,
    ) {
        self.with(|open| {
            // Asked in here: of two who ask, the later one knows what is newer.
            let Some(wanted) = wanted() else { return };
            // What accepts no more begins anew.
            open.retain(|_, door| !is_lost(door));
            let change = change(open, &wanted);
            for name in change.end {
                if let Some(door) = open.remove(name.as_str()) {
                    end(&name, &door);
                }
            }
            for endpoint in change.begin {
                match bind(&endpoint) {
                    Ok(bound) => {
                        tracing::info!(address = %bound.address, "listener {} begins", endpoint.name);
                        self.begin(open, bound);
                    }
                    Err(problem) => tracing::error!("{problem}"),
                }
            }
        });
    }

    /// What is open.
    pub(crate) fn open(&self) -> Vec<Endpoint> {
        self.with(|open| endpoints(open))
    }

    /// What would begin, and whether it takes over the port of a listener that would end.
    pub(crate) fn to_begin(&self, wanted: &[Endpoint]) -> Vec<(bool, Endpoint)> {
        self.with(|open| {
            let ListenerChange { begin, end } = change(open, wanted);
            let ports = end.iter().filter_map(|name| open.get(name.as_str()));
            let ports: Vec<u16> = ports.map(|door| door.address.port()).collect();
            let takes_over = |one: &Endpoint| ports.contains(&one.port);
            begin.into_iter().map(|one| (takes_over(&one), one)).collect()
        })
    }

    fn begin(&self, open: &mut Open, bound: Bound) {
        let notice = Arc::new(watch::Sender::new(Notice::Open));
        let (closing, closed) = channel();
        let name = Arc::clone(&bound.name);
        let (endpoint, address) = (bound.endpoint.clone(), bound.address);
        let door = OpenDoor { endpoint, address, notice: Arc::clone(&notice), closed };
        let new = NewDoor { bound, notice, threads: self.threads.clone(), closing };
        // No thread takes it where the node stops.
        if let Some(first) = self.threads.first()
            && first.send(Errand::Accept(new)).is_ok()
        {
            open.insert(name, door);
        }
    }
}

fn change(open: &Open, wanted: &[Endpoint]) -> ListenerChange {
    ListenerChange::between(&endpoints(open), wanted)
}

fn endpoints(open: &Open) -> Vec<Endpoint> {
    open.values().map(|door| door.endpoint.clone()).collect()
}

/// Whether it accepts no more though nobody ended it: the other side is dropped.
fn is_lost(door: &OpenDoor) -> bool {
    door.closed.try_recv() == Err(TryRecvError::Disconnected)
}

fn end(name: &str, door: &OpenDoor) {
    door.notice.send_replace(Notice::Closed);
    // Nothing is ever sent: the other side is dropped.
    if door.closed.recv_timeout(CLOSE_MAX) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
        tracing::warn!("listener {name} takes its time to end");
    }
    tracing::info!(address = %door.address, "listener {name} ended");
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use naru_model::config::SecurityProtocol;
    use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

    use super::super::accept::bind;
    use super::*;

    fn endpoint(name: &str) -> Endpoint {
        let host = "127.0.0.1".to_owned();
        Endpoint { name: name.to_owned(), protocol: SecurityProtocol::Plaintext, host, port: 0 }
    }

    fn doors() -> (Doors, UnboundedReceiver<Errand>) {
        let (sender, receiver) = unbounded_channel();
        (Doors::new(vec![sender], Vec::new()), receiver)
    }

    fn bound(endpoint: &Endpoint) -> Result<Bound, String> {
        let address = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
        bind(endpoint, false, address).map_err(|error| error.to_string())
    }

    fn accepts(inbox: &mut UnboundedReceiver<Errand>) -> Option<NewDoor> {
        match inbox.try_recv() {
            Ok(Errand::Accept(door)) => Some(door),
            _ => None,
        }
    }

    #[test]
    fn what_could_not_begin_is_behind_until_it_does() {
        let (doors, mut inbox) = doors();
        let wanted = vec![endpoint("A")];
        doors.change(|| Some(wanted.clone()), |_| Err("a problem of this test's".to_owned()));
        assert!(accepts(&mut inbox).is_none());
        assert_eq!((doors.count(), doors.is_behind(&wanted)), (0, true));
        doors.change(|| Some(wanted.clone()), bound);
        let door = accepts(&mut inbox);
        assert!(door.is_some());
        assert_eq!((doors.count(), doors.is_behind(&wanted)), (1, false));
    }

    #[test]
    fn what_accepts_no_more_begins_anew_and_its_connections_go_on() {
        let (doors, mut inbox) = doors();
        let wanted = vec![endpoint("A")];
        doors.change(|| Some(wanted.clone()), bound);
        let door = accepts(&mut inbox).unwrap();
        let told = door.notice.subscribe();
        drop(door);
        assert!(doors.is_behind(&wanted));
        doors.change(|| Some(wanted.clone()), bound);
        assert_eq!(*told.borrow(), Notice::Open);
        assert!(accepts(&mut inbox).is_some(), "it begins again");
    }

    #[test]
    fn nothing_begins_or_ends_where_the_node_stops() {
        let (doors, mut inbox) = doors();
        doors.change(|| Some(vec![endpoint("A")]), bound);
        let door = accepts(&mut inbox).unwrap();
        doors.change(|| None, bound);
        assert!(accepts(&mut inbox).is_none());
        assert_eq!(*door.notice.borrow(), Notice::Open);
        assert_eq!(doors.count(), 1);
    }
}
