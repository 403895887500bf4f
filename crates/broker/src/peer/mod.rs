//! Other nodes: the active controller and this broker's place in its cluster, fetching from the
//! leaders of partitions that this broker follows, and asking for changes of ISRs.

mod answer;
mod brokers;
mod connection;
mod fetcher;
mod fetchers;
mod isr;
mod link;
mod marker_lane;
mod marker_queue;
mod markers;
mod mend;
mod registration;
pub(crate) mod share_log_ends;
mod share_state;
pub(crate) mod share_state_admin;
mod verify;

pub(crate) use brokers::BrokerLinks;
pub(crate) use fetchers::Fetchers;
pub(crate) use isr::send_isr_changes;
pub(crate) use link::{ControllerLink, LinkState};
pub(crate) use markers::write_markers;
/// A host and port as one text; the colons of an IPv6 address need brackets around them.
pub(crate) fn address(host: &str, port: u16) -> String {
    if host.contains(':') && !host.starts_with('[') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

pub(crate) use registration::{Registration, State, register_controller};
pub(crate) use share_state::{Epochs, ShareKey, StoredState, read_state, write_state};
pub(crate) use verify::verify;
