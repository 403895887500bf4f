//! This broker's place in the cluster: registration, heartbeats, controlled shutdown (KIP-631).

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use naru_controller::controller::{FEATURES, broker_lease_ms};
use naru_model::{ErrorCode, Uuid};
use naru_protocol::messages::broker_heartbeat_request::BrokerHeartbeatRequest;
use naru_protocol::messages::broker_heartbeat_response::BrokerHeartbeatResponse;
use naru_protocol::messages::broker_registration_request::{
    self, BrokerRegistrationRequest, Listener,
};
use naru_protocol::messages::controller_registration_request::{
    self, ControllerRegistrationRequest,
};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout};

use crate::node::{Node, millis};

/// Pause after a request that met no controller.
const RETRY: Duration = Duration::from_millis(50);
/// Pause between heartbeats while this broker waits to be unfenced or to be let go.
const EAGER: Duration = Duration::from_millis(50);
/// How long a refused registration waits: another process of this id may still have a session.
const REFUSED: Duration = Duration::from_millis(500);

/// What this broker wants of the controller, and what it got.
#[derive(Debug)]
pub(crate) struct Registration {
    incarnation_id: Uuid,
    wishes: watch::Sender<Wish>,
    /// Told at once when something is to be said.
    urgent: Notify,
    state: watch::Sender<State>,
    /// -1 after an unclean stop, or if this broker was never there.
    previous_epoch: i64,
    /// -1 before the first registration.
    epoch: AtomicI64,
    /// When the last heartbeat was sent that a controller has answered.
    last_contact: Mutex<Instant>,
}

/// What this broker wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    /// Be known, but lead nothing: it is still starting.
    Fenced,
    /// Lead and follow.
    Serve,
    /// Lead nothing more, then go.
    ShutDown,
}

/// What this broker is to the controller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum State {
    /// Not registered.
    #[default]
    Unknown,
    /// Registered.
    Fenced,
    /// May lead.
    Serving,
    /// Leads nothing any more: it may go.
    MayGo,
}

impl Registration {
    pub(crate) fn new(incarnation_id: Uuid, previous_epoch: i64) -> Self {
        Self {
            incarnation_id,
            wishes: watch::Sender::new(Wish::Fenced),
            urgent: Notify::new(),
            state: watch::Sender::default(),
            previous_epoch,
            epoch: AtomicI64::new(-1),
            last_contact: Mutex::new(Instant::now()),
        }
    }

    /// This process's registration; -1 before it has one.
    pub(crate) fn epoch(&self) -> i64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// Whether no controller can have given this broker up yet. Without contact for longer than
    /// its lease others may have taken over, and what is known here may be old.
    pub(crate) fn is_in_contact(&self, session_timeout_ms: i64) -> bool {
        let last = *self.last_contact.lock().unwrap_or_else(PoisonError::into_inner);
        last.elapsed() < millis(broker_lease_ms(session_timeout_ms))
    }

    /// Asks to be unfenced: everything that a leader needs is there.
    pub(crate) fn serve(&self) {
        self.wishes.send_replace(Wish::Serve);
        self.urgent.notify_one();
    }

    /// Asks to be let go; leaders are moved away first.
    pub(crate) fn shut_down(&self) {
        self.wishes.send_replace(Wish::ShutDown);
        self.urgent.notify_one();
    }

    /// Says at once what there is to say, such as a directory that failed.
    pub(crate) fn hurry(&self) {
        self.urgent.notify_one();
    }

    pub(crate) fn state(&self) -> watch::Receiver<State> {
        self.state.subscribe()
    }

    /// Registers this broker and keeps it registered, until the node stops.
    pub(crate) async fn run(node: Arc<Node>) {
        let this = node.registration();
        let mut stop = node.stopping();
        let run = async {
            loop {
                let epoch = this.register(&node).await;
                // Decisions about this broker are made from here on; they count from its own
                // registration, not from an earlier process's.
                node.metadata()
                    .wait_for(|image| image.broker(node.id()).is_some_and(|b| b.epoch >= epoch))
                    .await;
                this.beat(&node, epoch).await;
            }
        };
        tokio::select! {
            () = run => {}
            _ = stop.wait_for(|stopping| *stopping) => {}
        }
    }

    async fn register(&self, node: &Arc<Node>) -> i64 {
        let mut news = node.metadata().leadership();
        let mut refused = None;
        loop {
            let request = request(node, self.incarnation_id, self.previous_epoch);
            let wait = match node.controller_link().send_lifecycle(request).await {
                Ok(response) => match ErrorCode::from_code(response.error_code) {
                    ErrorCode::None => {
                        self.epoch.store(response.broker_epoch, Ordering::Release);
                        self.state.send_replace(State::Fenced);
                        return response.broker_epoch;
                    }
                    error => {
                        if refused.replace(error) != Some(error) {
                            tracing::warn!(%error, "the controller does not register this broker");
                        }
                        REFUSED
                    }
                },
                Err(error) => {
                    tracing::debug!(%error, "not registered yet");
                    RETRY
                }
            };
            // Sooner, if there is another controller.
            let _ = timeout(wait, news.changed()).await;
        }
    }

    /// Tells the controller that this broker is alive, until it does not know it any more.
    async fn beat(&self, node: &Arc<Node>, epoch: i64) {
        let every = u64::try_from(node.config().cluster.heartbeat_interval_ms).unwrap_or(2000);
        let every = Duration::from_millis(every);
        let mut news = node.metadata().leadership();
        loop {
            let wish = *self.wishes.borrow();
            let began = Instant::now();
            let request = BrokerHeartbeatRequest {
                broker_id: node.id(),
                broker_epoch: epoch,
                current_metadata_offset: node.image().end_offset() - 1,
                want_fence: wish == Wish::Fenced,
                want_shut_down: wish == Wish::ShutDown,
                offline_log_dirs: node.offline_dirs(),
                cordoned_log_dirs: node.cordoned_dirs(),
            };
            let wait = match node.controller_link().send_lifecycle(request).await {
                Ok(response) => match ErrorCode::from_code(response.error_code) {
                    ErrorCode::None => {
                        *self.last_contact.lock().unwrap_or_else(PoisonError::into_inner) = began;
                        let settled = self.take(&response, wish);
                        if settled { every } else { EAGER }
                    }
                    ErrorCode::NotController => RETRY,
                    error => {
                        tracing::warn!(%error, "this broker has to register again");
                        self.state.send_replace(State::Unknown);
                        return;
                    }
                },
                Err(_) => RETRY,
            };
            let left = wait.saturating_sub(began.elapsed());
            tokio::select! {
                () = tokio::time::sleep(left) => {}
                () = self.urgent.notified() => {}
                // A new controller hears of this broker at once.
                _ = news.changed() => {}
            }
        }
    }

    /// Notes what the controller says; whether that is all that was wished for.
    fn take(&self, response: &BrokerHeartbeatResponse, wish: Wish) -> bool {
        let state = if response.should_shut_down {
            State::MayGo
        } else if response.is_fenced {
            State::Fenced
        } else {
            State::Serving
        };
        self.state.send_if_modified(|known| {
            let changed = *known != state;
            *known = state;
            changed
        });
        match wish {
            Wish::Fenced => true,
            Wish::Serve => state == State::Serving,
            Wish::ShutDown => state == State::MayGo,
        }
    }
}

fn request(node: &Node, incarnation_id: Uuid, previous_epoch: i64) -> BrokerRegistrationRequest {
    let config = node.config();
    BrokerRegistrationRequest {
        broker_id: node.id(),
        cluster_id: node.cluster_id().to_owned(),
        incarnation_id,
        listeners: config
            .listeners
            .advertised
            .iter()
            .map(|endpoint| Listener {
                name: endpoint.name.clone(),
                host: endpoint.host.clone(),
                port: endpoint.port,
                security_protocol: endpoint.protocol.id(),
            })
            .collect(),
        features: FEATURES
            .iter()
            .map(|feature| broker_registration_request::Feature {
                name: feature.name.to_owned(),
                min_supported_version: feature.min,
                max_supported_version: feature.max,
            })
            .collect(),
        rack: config.rack.clone(),
        log_dirs: node.online_dirs(),
        previous_broker_epoch: previous_epoch,
        ..Default::default()
    }
}

/// Registers this controller with every active controller that does not know it.
pub(crate) async fn register_controller(node: Arc<Node>, incarnation_id: Uuid) {
    let mut stop = node.stopping();
    let run = async {
        let mut news = node.metadata().leadership();
        loop {
            let known = node
                .image()
                .controller(node.id())
                .is_some_and(|known| known.incarnation_id == incarnation_id);
            if !known {
                let request = controller_request(&node, incarnation_id);
                let answer = node.controller_link().send(request).await;
                let done = answer.map(|response| ErrorCode::from_code(response.error_code));
                if done != Ok(ErrorCode::None) {
                    tracing::debug!(?done, "this controller is not registered yet");
                    tokio::time::sleep(RETRY).await;
                    continue;
                }
            }
            // The host, and with it the sender, lives as long as the node.
            let _ = news.changed().await;
        }
    };
    tokio::select! {
        () = run => {}
        _ = stop.wait_for(|stopping| *stopping) => {}
    }
}

fn controller_request(node: &Node, incarnation_id: Uuid) -> ControllerRegistrationRequest {
    let listeners = node.config().listeners.advertised_controller.iter();
    ControllerRegistrationRequest {
        controller_id: node.id(),
        incarnation_id,
        zk_migration_ready: false,
        listeners: listeners
            .map(|endpoint| controller_registration_request::Listener {
                name: endpoint.name.clone(),
                host: endpoint.host.clone(),
                port: endpoint.port,
                security_protocol: endpoint.protocol.id(),
            })
            .collect(),
        features: FEATURES
            .iter()
            .map(|feature| controller_registration_request::Feature {
                name: feature.name.to_owned(),
                min_supported_version: feature.min,
                max_supported_version: feature.max,
            })
            .collect(),
    }
}
