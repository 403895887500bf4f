//! Who a connection belongs to and what it may do.
//!
//! The rules are `naru_security`'s. `access` asks them for one request: handlers call
//! [`RequestContext::may`](crate::dispatch::RequestContext::may). `requests` lists what a request
//! needs of the cluster as a whole, which `dispatch` checks before any handler runs. `listeners`
//! are the settings of each listener, `login` a connection's login.
//!
//! Without an authorizer nothing is asked: everybody may do everything.

mod access;
mod jwks;
mod links;
mod listeners;
mod login;
mod oauth;
mod requests;
mod settings;
mod tls;
mod tokens;

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use naru_model::config::{BrokerConfig, Endpoint, Props};
use naru_security::acl::Authorizer;

use jwks::KeySources;

use crate::node::LISTENER_KEYS;

pub(crate) use access::Resource;
pub(crate) use jwks::KeySource;
pub(crate) use links::Links;
pub(crate) use listeners::ListenerSecurity;
pub(crate) use login::Login;
pub(crate) use naru_security::acl::{Operation, ResourceType};
pub(crate) use requests::{controller_operation, is_administration};
pub(crate) use tokens::Tokens;

/// Who decides on access in Apache Kafka.
const AUTHORIZER: &str = "authorizer.class.name";
/// The one authorizer that Kafka brings, and that is served.
const STANDARD: &str = "org.apache.kafka.metadata.authorizer.StandardAuthorizer";

/// By listener name.
type Listeners = HashMap<String, Arc<ListenerSecurity>>;

/// A node's security settings.
#[derive(Debug)]
pub(crate) struct Security {
    authorizer: Option<Arc<Authorizer>>,
    /// Replaced when the broker's configuration changes; a connection keeps what it began with.
    listeners: RwLock<Arc<Listeners>>,
    /// How this node's own connections are secured.
    links: Links,
    tokens: Tokens,
    keys: KeySources,
}

impl Security {
    /// Reads the settings, or says what is wrong with them.
    pub(crate) fn read(file: &Props, config: &BrokerConfig) -> Result<Self, String> {
        let keys = KeySources::default();
        let endpoints = config.listeners.broker.iter().chain(&config.listeners.controller);
        let listeners = RwLock::new(Arc::new(read_listeners(file, endpoints, &keys)?));
        let links = Links::read(file, config)?;
        let tokens = Tokens::new(config.tokens.secret_key.clone());
        let authorizer = authorizer(file)?.map(Arc::new);
        Ok(Self { authorizer, listeners, links, tokens, keys })
    }

    /// Takes the settings of all listeners as the cluster's metadata has them when the node starts:
    /// nobody has seen others of this process.
    pub(crate) fn begin<'e>(
        &self,
        props: &Props,
        endpoints: impl IntoIterator<Item = &'e Endpoint>,
    ) {
        self.take(props, endpoints, |_, _| Ok(()));
    }

    /// Takes the settings of all listeners anew, if they may follow those in force: who sets them
    /// at a controller is not asked before. What is wrong leaves a listener as it was. Reads
    /// files.
    pub(crate) fn reload<'e>(
        &self,
        props: &Props,
        endpoints: impl IntoIterator<Item = &'e Endpoint>,
    ) {
        self.take(props, endpoints, may_follow);
    }

    fn take<'e>(
        &self,
        props: &Props,
        endpoints: impl IntoIterator<Item = &'e Endpoint>,
        may_follow: fn(&ListenerSecurity, &ListenerSecurity) -> Result<(), String>,
    ) {
        let known = Arc::clone(&self.listeners.read().unwrap_or_else(PoisonError::into_inner));
        let mut listeners = Listeners::new();
        for endpoint in endpoints {
            let name = &endpoint.name;
            // What had the name with another protocol has nothing to do with it.
            let before = known.get(name).filter(|before| before.protocol() == endpoint.protocol);
            let next = ListenerSecurity::read(props, endpoint, &self.keys);
            let next = next.and_then(|next| {
                match before.map_or(Ok(()), |before| may_follow(before, &next)) {
                    Ok(()) => Ok(next),
                    // As in Kafka, nobody compares then.
                    Err(text) => Err(format!("{text}; it counts from the next start on")),
                }
            });
            match next {
                Ok(next) => {
                    listeners.insert(name.clone(), Arc::new(next));
                }
                Err(error) => {
                    tracing::error!("security of listener {name} stays as it was: {error}");
                    listeners.extend(before.map(|before| (name.clone(), Arc::clone(before))));
                }
            }
        }
        *self.listeners.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(listeners);
    }

    /// Whether these settings can be taken over while the node runs, by the listeners that
    /// `named`, the keys that are set or removed, say something of, and by those that begin with
    /// it: their files can be read, and a certificate names what the one before names, unless
    /// `ssl.allow.dn.changes` or `ssl.allow.san.changes` are true. What has become wrong with
    /// others is not theirs who change these.
    ///
    /// # Errors
    /// What is wrong.
    pub(crate) fn check<'e>(
        &self,
        props: &Props,
        endpoints: impl IntoIterator<Item = &'e Endpoint>,
        named: &[String],
    ) -> Result<(), String> {
        let known = Arc::clone(&self.listeners.read().unwrap_or_else(PoisonError::into_inner));
        for endpoint in endpoints {
            let name = &endpoint.name;
            let before = known.get(name).filter(|before| before.protocol() == endpoint.protocol);
            let begins = |key: &str| before.is_none() && LISTENER_KEYS.contains(&key);
            if !named.iter().any(|key| is_about(key, name) || begins(key)) {
                continue;
            }
            let next = ListenerSecurity::read(props, endpoint, &self.keys)?;
            if let Some(before) = before {
                may_follow(before, &next).map_err(|text| format!("listener {name}: {text}"))?;
            }
        }
        Ok(())
    }

    /// How this node's own connections are secured.
    pub(crate) const fn links(&self) -> &Links {
        &self.links
    }

    /// Where the keys of those who sign tokens are: what is new since this was asked, to be kept
    /// fresh.
    pub(crate) fn new_key_sources(&self) -> Vec<Arc<KeySource>> {
        self.keys.new_ones()
    }

    /// What logins with delegation tokens are checked by.
    pub(crate) const fn tokens(&self) -> &Tokens {
        &self.tokens
    }

    /// How a listener finds out who somebody is.
    pub(crate) fn listener(&self, name: &str) -> Option<Arc<ListenerSecurity>> {
        let listeners = self.listeners.read().unwrap_or_else(PoisonError::into_inner);
        listeners.get(name).cloned()
    }

    /// Who decides on access; nobody if everything is allowed.
    pub(crate) fn authorizer(&self) -> Option<&Authorizer> {
        self.authorizer.as_deref()
    }

    /// As [`Self::authorizer`], for who keeps it.
    pub(crate) fn shared_authorizer(&self) -> Option<Arc<Authorizer>> {
        self.authorizer.clone()
    }
}

/// Whether a setting says something of a listener's security: one of its own, or one of all.
fn is_about(key: &str, listener: &str) -> bool {
    let is_security = |key: &str| key.contains("ssl.") || key.contains("sasl.");
    match key.strip_prefix("listener.name.") {
        Some(key) => key
            .strip_prefix(&*listener.to_ascii_lowercase())
            .and_then(|key| key.strip_prefix('.'))
            .is_some_and(is_security),
        None => is_security(key),
    }
}

/// Whether a certificate names what the one before names.
fn may_follow(before: &ListenerSecurity, next: &ListenerSecurity) -> Result<(), String> {
    match (&before.tls, &next.tls) {
        (Some(before), Some(next)) => next.check_successor_of(before),
        _ => Ok(()),
    }
}

fn read_listeners<'e>(
    props: &Props,
    endpoints: impl IntoIterator<Item = &'e Endpoint>,
    keys: &KeySources,
) -> Result<Listeners, String> {
    endpoints
        .into_iter()
        .map(|endpoint| {
            let security = ListenerSecurity::read(props, endpoint, keys)?;
            Ok((endpoint.name.clone(), Arc::new(security)))
        })
        .collect()
}

fn authorizer(file: &Props) -> Result<Option<Authorizer>, String> {
    let text = |key: &str| file.get(key).map(|value| value.trim()).filter(|v| !v.is_empty());
    let Some(class) = text(AUTHORIZER) else { return Ok(None) };
    // A cluster with access control must not become one that everybody may change.
    if class != STANDARD {
        return Err(format!(
            "{AUTHORIZER}={class} cannot be loaded: no Java class can. Write \
             {AUTHORIZER}={STANDARD}, whose rules are built in, or leave the line out: then \
             everybody who reaches the listeners may do everything"
        ));
    }
    let users = text("super.users").unwrap_or_default().split(';').map(str::trim);
    let super_users: Vec<String> =
        users.filter(|user| !user.is_empty()).map(str::to_owned).collect();
    if let Some(wrong) = super_users.iter().find(|user| !user.contains(':')) {
        return Err(format!(
            "super.users: {wrong} is no principal; write User:{wrong}, several of them with \
             semicolons between"
        ));
    }
    let open =
        text("allow.everyone.if.no.acl.found").is_some_and(|v| v.eq_ignore_ascii_case("true"));
    Ok(Some(Authorizer { super_users, allow_if_no_acl: open }))
}

#[cfg(test)]
mod tests {
    use naru_model::config::SecurityProtocol;

    use super::*;

    const PLAIN_OF_A: &str = "listener.name.a.plain.sasl.jaas.config";
    const PLAIN_OF_B: &str = "listener.name.b.plain.sasl.jaas.config";

    fn endpoints(names: &[&str]) -> Vec<Endpoint> {
        let endpoint = |name: &&str| Endpoint {
            name: (*name).to_owned(),
            protocol: SecurityProtocol::SaslPlaintext,
            host: String::new(),
            port: 0,
        };
        names.iter().map(endpoint).collect()
    }

    /// Two listeners that take passwords.
    fn two_listeners() -> (Security, Props) {
        let mut props = Props::new();
        props.insert("sasl.enabled.mechanisms".to_owned(), "PLAIN".to_owned());
        for key in [PLAIN_OF_A, PLAIN_OF_B] {
            let entry = "PlainLoginModule required user_alice=\"x\";";
            props.insert(key.to_owned(), entry.to_owned());
        }
        let keys = KeySources::default();
        let listeners = read_listeners(&props, &endpoints(&["A", "B"]), &keys).unwrap();
        let listeners = RwLock::new(Arc::new(listeners));
        let (links, tokens) = (Links::default(), Tokens::new(None));
        (Security { authorizer: None, listeners, links, tokens, keys }, props)
    }

    #[test]
    fn a_listener_whose_settings_are_wrong_leaves_others_alone() {
        let (security, mut props) = two_listeners();
        let before = |name: &str| security.listener(name).unwrap();
        let (a, b) = (before("A"), before("B"));
        props.remove(PLAIN_OF_B);
        security.reload(&props, &endpoints(&["A", "B"]));
        assert!(Arc::ptr_eq(&b, &before("B")), "it stays as it was");
        assert!(!Arc::ptr_eq(&a, &before("A")), "the other is read anew");
    }

    #[test]
    fn only_listeners_that_a_change_is_about_are_judged() {
        let (security, mut props) = two_listeners();
        props.remove(PLAIN_OF_B);
        let check = |names: &[&str], key: &str| {
            security.check(&props, &endpoints(names), &[key.to_owned()])
        };
        assert_eq!(check(&["A", "B"], PLAIN_OF_A), Ok(()));
        assert_eq!(check(&["A", "B"], "listeners"), Ok(()));
        for key in [PLAIN_OF_B, "sasl.jaas.config"] {
            assert!(check(&["A", "B"], key).unwrap_err().contains("listener B"), "{key}");
        }
        assert_eq!(check(&["A", "B", "C"], PLAIN_OF_A), Ok(()));
        assert!(check(&["A", "B", "C"], "listeners").unwrap_err().contains("listener C"));
    }

    fn read(lines: &[(&str, &str)]) -> Result<Option<Authorizer>, String> {
        let props = lines.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        authorizer(&props)
    }

    #[test]
    fn access_control_that_would_not_be_enforced_is_refused() {
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&[(AUTHORIZER, " ")]), Ok(None));
        let refusal = read(&[(AUTHORIZER, "org.example.Authorizer")]).unwrap_err();
        assert!(refusal.contains("cannot be loaded"), "{refusal}");
    }

    #[test]
    fn the_standard_authorizer_has_super_users_and_a_default() {
        let lines = [(AUTHORIZER, STANDARD), ("super.users", "User:a; User:CN=b,O=c")];
        let authorizer = read(&lines).unwrap().unwrap();
        assert_eq!(authorizer.super_users, ["User:a", "User:CN=b,O=c"]);
        assert!(!authorizer.allow_if_no_acl);
        let refusal = read(&[(AUTHORIZER, STANDARD), ("super.users", "admin")]).unwrap_err();
        assert!(refusal.contains("User:admin"), "{refusal}");
    }
}
