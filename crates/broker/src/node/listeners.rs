//! What this broker listens on: what its file says, and what is set while it runs (KIP-226).
//!
//! `naru_model` says which listeners there should be; here their keys are read, their addresses
//! bound, and their connections limited.

use std::io::ErrorKind;
use std::sync::{Arc, PoisonError};

use naru_model::config::{Endpoint, Layers, Props};

use super::Node;
use crate::listener::{Bound, bind, check_free, resolve};
use crate::security::KeySource;

/// Changing one of these changes which listeners there are.
pub(crate) const LISTENER_KEYS: [&str; 2] = ["listeners", "listener.security.protocol.map"];

impl Node {
    /// Which listeners there should be now, as metadata says.
    pub(super) fn learn_listeners(&self) -> Vec<Endpoint> {
        let (started, open) = (&self.config.listeners, self.open_listeners());
        let wanted = self.layers(|layers| started.running(&open, layers, self.config.roles));
        match wanted {
            Ok(wanted) => {
                *self.listeners.write().unwrap_or_else(PoisonError::into_inner) = wanted;
            }
            Err(error) => tracing::error!("listeners stay as they were: {error}"),
        }
        self.listeners()
    }

    /// Lets listeners begin and end as they should; nothing before the first have begun.
    pub(super) fn open_doors(&self) {
        let Some(doors) = self.doors.get() else { return };
        doors.change(
            || (!*self.stopping().borrow()).then(|| self.listeners()),
            |endpoint| {
                // Never a door that nobody guards.
                let security = self.security.listener(&endpoint.name);
                if security.is_none_or(|security| security.protocol() != endpoint.protocol) {
                    let name = &endpoint.name;
                    return Err(format!(
                        "listener {name} does not begin: its settings are wrong, or not read yet"
                    ));
                }
                bind_one(endpoint)
            },
        );
    }

    /// Has what should be open and is not tried again, its settings read anew.
    pub(super) fn open_lost_doors(self: &Arc<Self>) {
        let Some(doors) = self.doors.get() else { return };
        if doors.is_behind(&self.listeners()) {
            self.reload_security();
        }
    }

    /// How many listeners are open; before the first have begun, how many there are to be.
    pub(super) fn open_count(&self) -> usize {
        self.doors.get().map_or_else(|| self.listeners().len(), |doors| doors.count())
    }

    /// None before the first have begun.
    fn open_listeners(&self) -> Vec<Endpoint> {
        self.doors.get().map(|doors| doors.open()).unwrap_or_default()
    }

    pub(super) fn listeners(&self) -> Vec<Endpoint> {
        self.listeners.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn with_controllers<'e>(
        &'e self,
        listeners: &'e [Endpoint],
    ) -> impl Iterator<Item = &'e Endpoint> {
        listeners.iter().chain(&self.config.listeners.controller)
    }

    /// Whether this broker could do as it should once `own` is set on it, of which `named` is
    /// new: listen on its listeners, read their keys. Blocks on files and names of hosts.
    ///
    /// # Errors
    /// What is wrong.
    pub(crate) fn check_listeners(&self, own: &Props, named: &[String]) -> Result<(), String> {
        let (started, open) = (&self.config.listeners, self.open_listeners());
        let (changes, wanted) = self.layers(|before| {
            let after = Layers { broker: own, ..*before };
            started
                .may_change(&open, before, &after, self.config.roles)
                .map_err(|refused| refused.to_string())?;
            let changes = LISTENER_KEYS.iter().any(|key| before.set(key) != after.set(key));
            // What cannot be is told where it is to become so.
            let wanted = started.running(&open, &after, self.config.roles);
            Ok::<_, String>((changes, wanted.unwrap_or_else(|_| self.listeners())))
        })?;
        let of_security = |key: &String| key.contains("ssl.") || key.contains("sasl.");
        if changes || named.iter().any(of_security) {
            self.security
                .check(&self.props_with(own), self.with_controllers(&wanted), named)
                .map_err(|text| format!("Validation of dynamic config update failed: {text}"))?;
        }
        match self.doors.get().filter(|_| changes) {
            Some(doors) => {
                doors.to_begin(&wanted).iter().try_for_each(|(over, one)| try_one(one, *over))
            }
            None => Ok(()),
        }
    }

    /// What is set in all, if `own` is what is set on this broker.
    pub(super) fn props_with(&self, own: &Props) -> Props {
        let mut props = self.layers(|layers| {
            let mut props = layers.file.clone();
            props.extend(layers.cluster.clone());
            props
        });
        props.extend(own.clone());
        props
    }

    /// Has the keys of those who sign tokens read from time to time, wherever they are now.
    pub(super) fn keep_keys_fresh(&self) {
        for source in self.security.new_key_sources() {
            self.background.spawn(KeySource::keep_fresh(Arc::downgrade(&source), self.stopping()));
        }
    }
}

fn bind_one(endpoint: &Endpoint) -> Result<Bound, String> {
    resolve(&endpoint.host, endpoint.port)
        .and_then(|address| bind(endpoint, false, address))
        .map_err(|error| cannot_listen(endpoint, &error))
}

/// Whether one could listen there, once a listener has ended that has the port now, if it
/// `takes_over` from one.
fn try_one(endpoint: &Endpoint, takes_over: bool) -> Result<(), String> {
    match resolve(&endpoint.host, endpoint.port).and_then(check_free) {
        Err(error) if takes_over && error.kind() == ErrorKind::AddrInUse => Ok(()),
        tried => tried.map_err(|error| cannot_listen(endpoint, &error)),
    }
}

fn cannot_listen(endpoint: &Endpoint, error: &std::io::Error) -> String {
    format!("Cannot listen on {endpoint}: {error}; name an address and port that are free here")
}

#[cfg(test)]
mod port_tests {
    use std::net::TcpListener;

    use naru_model::config::SecurityProtocol;

    use super::*;

    #[test]
    fn only_a_port_that_becomes_free_may_be_in_use() {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        let at = |host: &str| Endpoint {
            name: "A".to_owned(),
            protocol: SecurityProtocol::Plaintext,
            host: host.to_owned(),
            port,
        };
        assert_eq!(try_one(&at("127.0.0.1"), true), Ok(()));
        assert!(try_one(&at("127.0.0.1"), false).is_err());
        // An address for documentation, of no host (RFC 5737).
        assert!(try_one(&at("192.0.2.1"), true).is_err());
    }
}
