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
                before.map_or(Ok(()), |before| may_follow(before, &next)).map(|()| next)
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

    /// Whether these settings of all listeners can be taken over while the node runs: their files
    /// can be read, and a certificate names what the one before names, unless `ssl.allow.dn.changes`
    /// or `ssl.allow.san.changes` are true.
    ///
    /// # Errors
    /// What is wrong.
    pub(crate) fn check<'e>(
        &self,
        props: &Props,
        endpoints: impl IntoIterator<Item = &'e Endpoint>,
    ) -> Result<(), String> {
        let next = read_listeners(props, endpoints, &self.keys)?;
        let known = self.listeners.read().unwrap_or_else(PoisonError::into_inner);
        for (name, next) in &next {
            if let Some(before) = known.get(name) {
                may_follow(before, next).map_err(|text| format!("listener {name}: {text}"))?;
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
    use super::*;

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
