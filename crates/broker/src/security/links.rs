//! How this node's own connections to brokers and controllers are secured: as their listeners
//! ask for it.

use std::sync::Arc;

use naru_client::net::ClientSecurity;
use naru_model::config::{BrokerConfig, Props, SecurityProtocol};

use super::settings::Settings;

/// Who answers questions of a login in Apache Kafka.
const HANDLER: &str = "sasl.login.callback.handler.class";

/// One for each kind of peer.
#[derive(Debug, Clone, Default)]
pub(crate) struct Links {
    pub(crate) to_brokers: Arc<ClientSecurity>,
    pub(crate) to_controllers: Arc<ClientSecurity>,
}

impl Links {
    pub(super) fn read(props: &Props, config: &BrokerConfig) -> Result<Self, String> {
        let listeners = &config.listeners;
        let controller = listeners.controller_names.first().map_or("", String::as_str);
        let to_brokers = link(
            Settings::new(props, &listeners.inter_broker),
            listeners.inter_broker_protocol,
            "sasl.mechanism.inter.broker.protocol",
        );
        let to_controllers = link(
            Settings::new(props, controller),
            listeners.controller_protocol,
            "sasl.mechanism.controller.protocol",
        );
        let named = |listener: &str, text: String| format!("links to {listener}: {text}");
        Ok(Self {
            to_brokers: to_brokers.map_err(|text| named(&listeners.inter_broker, text))?,
            to_controllers: to_controllers.map_err(|text| named(controller, text))?,
        })
    }
}

fn link(
    settings: Settings<'_>,
    protocol: SecurityProtocol,
    mechanism_key: &str,
) -> Result<Arc<ClientSecurity>, String> {
    let mechanism = settings.text(mechanism_key).unwrap_or("GSSAPI");
    let lookup = |name: &str| match name {
        "security.protocol" => Some(protocol.name().to_owned()),
        "sasl.mechanism" => Some(mechanism.to_owned()),
        // Kafka reads it with the mechanism before it only.
        HANDLER => {
            let own = format!("{}.{HANDLER}", mechanism.to_ascii_lowercase());
            let is_of_all = mechanism == "OAUTHBEARER";
            let handler = settings.text(&own).or_else(|| settings.text(name).filter(|_| is_of_all));
            handler.map(str::to_owned)
        }
        sasl if sasl.starts_with("sasl.") => {
            settings.of_mechanism(mechanism, sasl).map(str::to_owned)
        }
        other => settings.text(other).map(str::to_owned),
    };
    ClientSecurity::read(&lookup).map(Arc::new)
}
