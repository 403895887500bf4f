//! The listeners that are open: how one begins and ends while others go on.
//!
//! The first network thread accepts for all of them. What ends tells its connections, which end
//! at once, and is over when its address is free again.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, Sender, channel};
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
}

impl Doors {
    pub(super) fn new(threads: Vec<UnboundedSender<Errand>>, bound: Vec<Bound>) -> Self {
        let this = Self { threads, open: Mutex::default() };
        this.with(|open| bound.into_iter().for_each(|bound| this.begin(open, bound)));
        this
    }

    fn with<T>(&self, act: impl FnOnce(&mut Open) -> T) -> T {
        act(&mut self.open.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Ends what is not wanted and begins what is not open; `bind` says why one cannot.
    pub(crate) fn change(
        &self,
        wanted: impl FnOnce() -> Vec<Endpoint>,
        bind: impl Fn(&Endpoint) -> Result<Bound, String>,
    ) {
        self.with(|open| {
            // Asked in here: of two who ask, the later one knows what is newer.
            let change = change(open, &wanted());
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

    /// What would begin, but for what takes over the port of a listener that would end.
    pub(crate) fn to_begin(&self, wanted: &[Endpoint]) -> Vec<Endpoint> {
        self.with(|open| {
            let ListenerChange { mut begin, end } = change(open, wanted);
            let ports = end.iter().filter_map(|name| open.get(name.as_str()));
            let ports: Vec<u16> = ports.map(|door| door.address.port()).collect();
            begin.retain(|endpoint| !ports.contains(&endpoint.port));
            begin
        })
    }

    fn begin(&self, open: &mut Open, bound: Bound) {
        let notice = Arc::new(watch::Sender::new(Notice::Open));
        let (closing, closed) = channel();
        let name = Arc::clone(&bound.name);
        let door = OpenDoor { address: bound.address, notice: Arc::clone(&notice), closed };
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
    let names: Vec<String> = open.keys().map(|name| name.to_string()).collect();
    ListenerChange::between(&names, wanted)
}

fn end(name: &str, door: &OpenDoor) {
    door.notice.send_replace(Notice::Closed);
    // Nothing is ever sent: the other side is dropped.
    if door.closed.recv_timeout(CLOSE_MAX) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
        tracing::warn!("listener {name} takes its time to end");
    }
    tracing::info!(address = %door.address, "listener {name} ended");
}
