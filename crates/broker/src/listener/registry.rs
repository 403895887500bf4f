//! What a request knows of the connection it came in on.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicI32, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use naru_coordinators::ConnectionId;
use naru_model::config::SecurityProtocol;
use naru_security::Principal;

/// What a request knows of the connection it came in on.
#[derive(Debug, Clone)]
pub(crate) struct ConnectionInfo {
    /// Tells it from every other connection of this process.
    pub(crate) id: ConnectionId,
    /// Who is at the other end.
    pub(crate) principal: Principal,
    /// The address of the other end, as ACLs have it.
    pub(crate) host: String,
    /// It is this node itself that asks: it may do everything.
    pub(crate) own: bool,
    /// A broker vouches for who asks, and has looked at how they are connected.
    pub(crate) forwarded: bool,
    /// Name of the listener, such as `PLAINTEXT`; decides the addresses that metadata tells.
    pub(crate) listener: Arc<str>,
    /// How the connection is secured, whatever is said of the listener's name by now; none where
    /// somebody else looks at that.
    pub(crate) protocol: Option<SecurityProtocol>,
    /// The other side.
    pub(crate) peer: SocketAddr,
    /// Which APIs are served here.
    pub(crate) door: Door,
    /// Requests of it whose transactions are being verified; see [`Self::begin_verifying`].
    pub(crate) verifying: Arc<AtomicUsize>,
    /// The client's library, if it has told it (KIP-511).
    pub(crate) software: Arc<OnceLock<Software>>,
}

/// A client's library.
#[derive(Debug, Clone)]
pub(crate) struct Software {
    pub(crate) name: String,
    pub(crate) version: String,
}

/// A request whose transaction is being verified, until it is dropped.
#[derive(Debug)]
pub(crate) struct Verifying(Arc<AtomicUsize>);

impl Drop for Verifying {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Which APIs a listener serves.
#[derive(Debug, Clone)]
pub(crate) enum Door {
    /// Those of brokers.
    Broker,
    /// Those of controllers, and which broker is heard through it.
    Controller(Arc<HeardBroker>),
}

/// The broker whose registration or heartbeats came over a connection; -1 if none did.
#[derive(Debug)]
pub(crate) struct HeardBroker {
    id: AtomicI32,
    epoch: AtomicI64,
}

impl Door {
    pub(crate) fn new(is_controller: bool) -> Self {
        if is_controller {
            let heard = HeardBroker { id: AtomicI32::new(-1), epoch: AtomicI64::new(-1) };
            Self::Controller(Arc::new(heard))
        } else {
            Self::Broker
        }
    }
}

impl ConnectionInfo {
    /// A request that this node asks itself.
    pub(crate) fn own() -> Self {
        let peer = SocketAddr::from(([127, 0, 0, 1], 0));
        Self { own: true, ..Self::anonymous("".into(), peer, Door::Broker) }
    }

    /// A connection whose other end has not said who it is.
    pub(crate) fn anonymous(listener: Arc<str>, peer: SocketAddr, door: Door) -> Self {
        let host = peer.ip().to_canonical().to_string();
        static LAST: AtomicU64 = AtomicU64::new(0);
        Self {
            id: ConnectionId(LAST.fetch_add(1, Ordering::Relaxed)),
            principal: Principal::anonymous(),
            host,
            own: false,
            forwarded: false,
            listener,
            protocol: None,
            peer,
            door,
            verifying: Arc::default(),
            software: Arc::default(),
        }
    }

    /// Whether a request that came in before is being verified. What comes after it must wait for
    /// it: the batches of a producer are appended in order.
    pub(crate) fn is_verifying(&self) -> bool {
        self.verifying.load(Ordering::Acquire) > 0
    }

    /// Notes that a request is being verified.
    pub(crate) fn begin_verifying(&self) -> Verifying {
        self.verifying.fetch_add(1, Ordering::AcqRel);
        Verifying(Arc::clone(&self.verifying))
    }

    /// Notes that this broker lives at the other end.
    pub(crate) fn hears_broker(&self, id: i32, epoch: i64) {
        if let Door::Controller(heard) = &self.door {
            heard.epoch.store(epoch, Ordering::Release);
            heard.id.store(id, Ordering::Release);
        }
    }

    /// The broker that lives at the other end, and its epoch.
    pub(crate) fn heard_broker(&self) -> Option<(i32, i64)> {
        let Door::Controller(heard) = &self.door else { return None };
        let id = heard.id.load(Ordering::Acquire);
        (id >= 0).then(|| (id, heard.epoch.load(Ordering::Acquire)))
    }
}
