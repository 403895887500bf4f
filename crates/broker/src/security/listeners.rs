//! How each listener finds out who somebody is, read from the settings.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use naru_model::config::{Endpoint, Props, SecurityProtocol};
use naru_security::Principal;
use naru_security::jaas::JaasEntry;
use naru_security::sasl::Mechanism;
use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;

use super::jwks::KeySources;
use super::oauth::OAuthRules;
use super::settings::Settings;
use super::tls::TlsRules;

/// Who checks logins in Apache Kafka.
const HANDLER: &str = "sasl.server.callback.handler.class";

/// One listener's part.
#[derive(Debug)]
pub(crate) struct ListenerSecurity {
    /// How logins work here, if there are any.
    pub(super) sasl: Option<SaslRules>,
    /// How TLS works here, if it does.
    pub(super) tls: Option<TlsRules>,
}

/// How logins work on one listener.
#[derive(Debug)]
pub(crate) struct SaslRules {
    /// `sasl.enabled.mechanisms`.
    pub(super) mechanisms: Vec<Mechanism>,
    /// Passwords of PLAIN, by user.
    pub(super) plain_users: BTreeMap<String, String>,
    /// How tokens are judged, where they are taken.
    pub(super) oauth: Option<OAuthRules>,
    /// `connections.max.reauth.ms` by mechanism, where it is above 0.
    pub(super) reauth: BTreeMap<Mechanism, Duration>,
    /// `connection.failed.authentication.delay.ms`.
    pub(super) failure_delay: Duration,
    /// `sasl.server.max.receive.size`.
    pub(super) receive_max: usize,
}

impl ListenerSecurity {
    /// Reads a listener's settings, or says what is wrong with them.
    pub(super) fn read(
        props: &Props,
        endpoint: &Endpoint,
        keys: &KeySources,
    ) -> Result<Self, String> {
        let settings = Settings::new(props, &endpoint.name);
        let wrong = |text: String| format!("listener {}: {text}", endpoint.name);
        let sasl = match endpoint.protocol {
            SecurityProtocol::SaslPlaintext | SecurityProtocol::SaslSsl => {
                Some(SaslRules::read(settings, keys).map_err(wrong)?)
            }
            SecurityProtocol::Plaintext | SecurityProtocol::Ssl => None,
        };
        let tls = match endpoint.protocol {
            SecurityProtocol::Ssl | SecurityProtocol::SaslSsl => {
                Some(TlsRules::read(settings, endpoint.protocol).map_err(wrong)?)
            }
            SecurityProtocol::Plaintext | SecurityProtocol::SaslPlaintext => None,
        };
        Ok(Self { sasl, tls })
    }

    /// How connections are secured.
    pub(crate) const fn protocol(&self) -> SecurityProtocol {
        match (&self.sasl, &self.tls) {
            (None, None) => SecurityProtocol::Plaintext,
            (None, Some(_)) => SecurityProtocol::Ssl,
            (Some(_), None) => SecurityProtocol::SaslPlaintext,
            (Some(_), Some(_)) => SecurityProtocol::SaslSsl,
        }
    }

    /// What a new connection's TLS is made from; none where there is no TLS.
    pub(crate) fn tls(&self) -> Option<Arc<ServerConfig>> {
        self.tls.as_ref().map(|tls| Arc::clone(&tls.config))
    }

    /// Who shows these certificates.
    ///
    /// # Errors
    /// If no mapping rule fits.
    pub(crate) fn principal(
        &self,
        certificates: Option<&[CertificateDer<'_>]>,
    ) -> Result<Principal, String> {
        self.tls
            .as_ref()
            .map_or_else(|| Ok(Principal::anonymous()), |tls| tls.principal(certificates))
    }
}

impl SaslRules {
    fn read(settings: Settings<'_>, keys: &KeySources) -> Result<Self, String> {
        let mut mechanisms = Vec::new();
        for name in settings.list("sasl.enabled.mechanisms") {
            mechanisms.push(Mechanism::from_name(name).ok_or_else(|| {
                let served = Mechanism::ALL.map(Mechanism::name).join(", ");
                format!("the SASL mechanism {name} is not served; there are {served}")
            })?);
        }
        if mechanisms.is_empty() {
            return Err("sasl.enabled.mechanisms is empty, and Kafka's default, GSSAPI, is not \
                        served; write, for example, sasl.enabled.mechanisms=SCRAM-SHA-512"
                .to_owned());
        }
        for mechanism in mechanisms.iter().filter(|one| **one != Mechanism::OAuthBearer) {
            // Kafka reads it with the mechanism before it only. What checks passwords there would
            // not be asked here.
            let key = format!("{}.{HANDLER}", mechanism.name().to_ascii_lowercase());
            if let Some(class) = settings.text(&key) {
                return Err(format!("{key}: no Java class can be loaded, so there is no {class}"));
            }
        }
        let oauth = match mechanisms.contains(&Mechanism::OAuthBearer) {
            true => Some(OAuthRules::read(settings, keys)?),
            false => None,
        };
        let mut plain_users = BTreeMap::new();
        if mechanisms.contains(&Mechanism::Plain) {
            let text = settings.of_mechanism("PLAIN", "sasl.jaas.config").ok_or(
                "PLAIN needs plain.sasl.jaas.config with an option user_NAME=\"PASSWORD\" for each \
                 user",
            )?;
            let entry = JaasEntry::parse(text).map_err(|e| format!("sasl.jaas.config: {e}"))?;
            plain_users = entry.users();
        }
        let mut reauth = BTreeMap::new();
        for mechanism in &mechanisms {
            let text = settings.of_mechanism(mechanism.name(), "connections.max.reauth.ms");
            if let Some(ms) = text.and_then(|text| text.parse().ok()).filter(|ms| *ms > 0) {
                reauth.insert(*mechanism, Duration::from_millis(ms));
            }
        }
        let delay = settings.number("connection.failed.authentication.delay.ms", 100);
        let receive_max = settings.number("sasl.server.max.receive.size", 524_288);
        Ok(Self {
            mechanisms,
            plain_users,
            oauth,
            reauth,
            failure_delay: crate::node::millis(delay),
            receive_max: usize::try_from(receive_max).unwrap_or(0),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[(&str, &str)]) -> Result<ListenerSecurity, String> {
        let props: Props = lines.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let endpoint = Endpoint {
            name: "OUT".to_owned(),
            protocol: SecurityProtocol::SaslPlaintext,
            host: String::new(),
            port: 0,
        };
        ListenerSecurity::read(&props, &endpoint, &KeySources::default())
    }

    #[test]
    fn a_listener_with_logins_needs_mechanisms_that_are_served() {
        assert!(read(&[]).unwrap_err().contains("GSSAPI"));
        let gssapi = [("sasl.enabled.mechanisms", "GSSAPI")];
        assert!(read(&gssapi).unwrap_err().contains("not served"));
        let plain = [("sasl.enabled.mechanisms", "PLAIN")];
        assert!(read(&plain).unwrap_err().contains("user_NAME"));
    }

    #[test]
    fn classes_that_check_passwords_are_refused_where_they_would_be_asked() {
        let own = "listener.name.out.plain.sasl.server.callback.handler.class";
        let read = |key| {
            read(&[
                ("sasl.enabled.mechanisms", "PLAIN"),
                ("sasl.jaas.config", "PlainLoginModule required user_alice=\"x\";"),
                (key, "corp.LdapHandler"),
            ])
        };
        assert!(read(own).unwrap_err().contains("no corp.LdapHandler"));
        assert!(read("listener.name.in.plain.sasl.server.callback.handler.class").is_ok());
        assert!(read(HANDLER).is_ok(), "as in Kafka nobody asks it");
    }

    #[test]
    fn users_and_lifetimes_are_those_of_the_mechanism() {
        let jaas = "PlainLoginModule required user_alice=\"x\";";
        let rules = read(&[
            ("listener.name.out.sasl.enabled.mechanisms", "PLAIN,SCRAM-SHA-512"),
            ("listener.name.out.plain.sasl.jaas.config", jaas),
            ("listener.name.out.plain.connections.max.reauth.ms", "5000"),
        ]);
        let sasl = rules.unwrap().sasl.unwrap();
        assert_eq!(sasl.plain_users.get("alice").map(String::as_str), Some("x"));
        assert_eq!(sasl.reauth.get(&Mechanism::Plain), Some(&Duration::from_secs(5)));
        assert_eq!(sasl.reauth.len(), 1);
    }
}
