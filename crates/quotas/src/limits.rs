//! Which limit counts for a user and a client id, and whose requests count against it together.

use std::collections::HashMap;

/// What is limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Bytes of produce requests a second.
    Produce,
    /// Bytes of fetch answers a second.
    Fetch,
    /// Percent of a thread.
    Request,
    /// Partitions created and deleted a second.
    Mutation,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Produce, Self::Fetch, Self::Request, Self::Mutation];

    /// The key that sets its limit.
    pub const fn key(self) -> &'static str {
        match self {
            Self::Produce => "producer_byte_rate",
            Self::Fetch => "consumer_byte_rate",
            Self::Request => "request_percentage",
            Self::Mutation => "controller_mutation_rate",
        }
    }

    const fn index(self) -> usize {
        self as usize
    }
}

/// What limits the new connections of an address.
const CONNECTION_RATE: &str = "connection_creation_rate";

/// A user, client id or address: this one, or every one that has no limit of its own.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Part {
    /// Every other one.
    Default,
    /// This one.
    Named(String),
}

/// What a limit is set for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    /// A user, a client id, or both; not neither.
    Client {
        /// The user, if it matters.
        user: Option<Part>,
        /// The client id, if it matters.
        client_id: Option<Part>,
    },
    /// An address.
    Ip(Part),
}

/// A limit, and what counts against it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limit<'a> {
    /// What there may be a second.
    pub bound: f64,
    /// The user whose requests count together; empty if all users' do.
    pub user: &'a str,
    /// The client id whose requests count together; empty if those of all client ids do.
    pub client_id: &'a str,
}

/// Limits of a user, or of users that have none.
#[derive(Debug, Clone, Default, PartialEq)]
struct OfUser {
    own: Option<f64>,
    clients: HashMap<String, f64>,
    default_client: Option<f64>,
}

impl OfUser {
    fn with_client(&self, client_id: &str) -> Option<f64> {
        self.clients.get(client_id).copied().or(self.default_client)
    }
}

/// All limits of one kind.
#[derive(Debug, Clone, Default, PartialEq)]
struct OfKind {
    users: HashMap<String, OfUser>,
    default_user: OfUser,
    clients: HashMap<String, f64>,
    default_client: Option<f64>,
    is_set: bool,
}

/// See the module.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Limits {
    kinds: [OfKind; Kind::ALL.len()],
    ips: HashMap<String, f64>,
    default_ip: Option<f64>,
}

impl Limits {
    /// Limits from what is set: for what, under which key, how much. What is not known is left
    /// out.
    pub fn new<'a>(set: impl IntoIterator<Item = (Scope, &'a str, f64)>) -> Self {
        let mut limits = Self::default();
        for (scope, key, bound) in set {
            limits.set(scope, key, bound);
        }
        limits
    }

    fn set(&mut self, scope: Scope, key: &str, bound: f64) {
        let (user, client_id) = match scope {
            Scope::Ip(_) if key != CONNECTION_RATE => return,
            Scope::Ip(Part::Default) => {
                self.default_ip = Some(bound);
                return;
            }
            Scope::Ip(Part::Named(ip)) => {
                self.ips.insert(ip, bound);
                return;
            }
            Scope::Client { user, client_id } => (user, client_id),
        };
        let Some(kind) = Kind::ALL.into_iter().find(|kind| kind.key() == key) else { return };
        let all = &mut self.kinds[kind.index()];
        all.is_set = true;
        let of_user = match user {
            None => match client_id {
                None => return,
                Some(Part::Default) => {
                    all.default_client = Some(bound);
                    return;
                }
                Some(Part::Named(id)) => {
                    all.clients.insert(id, bound);
                    return;
                }
            },
            Some(Part::Default) => &mut all.default_user,
            Some(Part::Named(name)) => all.users.entry(name).or_default(),
        };
        match client_id {
            None => of_user.own = Some(bound),
            Some(Part::Default) => of_user.default_client = Some(bound),
            Some(Part::Named(id)) => {
                of_user.clients.insert(id, bound);
            }
        }
    }

    /// Whether anybody is limited in this.
    pub const fn has(&self, kind: Kind) -> bool {
        self.kinds[kind.index()].is_set
    }

    /// Whether any address is limited.
    pub fn has_ips(&self) -> bool {
        self.default_ip.is_some() || !self.ips.is_empty()
    }

    /// The limit that counts for a request. Kafka looks for it in this order: the user with this
    /// client id, with any client id, the user, any user with this client id, with any, any user,
    /// this client id, any client id.
    pub fn find<'a>(&self, kind: Kind, user: &'a str, client_id: &'a str) -> Option<Limit<'a>> {
        let all = &self.kinds[kind.index()];
        if !all.is_set {
            return None;
        }
        let of_user = |of: &OfUser| {
            // Without a client id there is nothing to tell one client from the next.
            let with_client = of.with_client(client_id).filter(|_| !client_id.is_empty());
            let both = with_client.map(|bound| Limit { bound, user, client_id });
            both.or_else(|| of.own.map(|bound| Limit { bound, user, client_id: "" }))
        };
        let of_client = || {
            let bound = all.clients.get(client_id).copied().or(all.default_client);
            bound.filter(|_| !client_id.is_empty()).map(|bound| Limit {
                bound,
                user: "",
                client_id,
            })
        };
        all.users
            .get(user)
            .and_then(of_user)
            .or_else(|| of_user(&all.default_user))
            .or_else(of_client)
    }

    /// How many connections a second may come from an address, if that is limited.
    pub fn ip(&self, address: &str) -> Option<f64> {
        self.ips.get(address).copied().or(self.default_ip)
    }

    /// Addresses and names with limits of their own.
    pub fn ips(&self) -> impl Iterator<Item = (&str, f64)> {
        self.ips.iter().map(|(ip, bound)| (ip.as_str(), *bound))
    }

    /// The limit of addresses without one of their own.
    pub const fn default_ip(&self) -> Option<f64> {
        self.default_ip
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(text: &str) -> Option<Part> {
        match text {
            "" => None,
            "*" => Some(Part::Default),
            name => Some(Part::Named(name.to_owned())),
        }
    }

    /// Limits of produce requests from `user/client id`, `*` for the default.
    fn limits(set: &[(&str, f64)]) -> Limits {
        Limits::new(set.iter().map(|(text, bound)| {
            let (user, client_id) = text.split_once('/').unwrap();
            let scope = Scope::Client { user: part(user), client_id: part(client_id) };
            (scope, "producer_byte_rate", *bound)
        }))
    }

    /// In Kafka's order, and what counts together.
    const ORDER: [(&str, &str, &str); 8] = [
        ("alice/app", "alice", "app"),
        ("alice/*", "alice", "app"),
        ("alice/", "alice", ""),
        ("*/app", "alice", "app"),
        ("*/*", "alice", "app"),
        ("*/", "alice", ""),
        ("/app", "", "app"),
        ("/*", "", "app"),
    ];

    #[test]
    fn the_nearest_limit_counts() {
        for from in 0..ORDER.len() {
            let set: Vec<(&str, f64)> =
                ORDER[from..].iter().zip(1_u8..).map(|((at, ..), n)| (*at, n.into())).collect();
            let limits = limits(&set);
            let found = limits.find(Kind::Produce, "alice", "app").unwrap();
            let (at, user, client_id) = ORDER[from];
            assert_eq!(found, Limit { bound: 1.0, user, client_id }, "{at}");
            assert_eq!(limits.find(Kind::Fetch, "alice", "app"), None);
        }
    }

    #[test]
    fn limits_of_others_do_not_count() {
        let limits = limits(&[("alice/app", 1.0), ("alice/", 2.0), ("/app", 3.0)]);
        let bound = |user, id| limits.find(Kind::Produce, user, id).map(|found| found.bound);
        assert_eq!(bound("bob", "other"), None);
        assert_eq!(bound("bob", "app"), Some(3.0));
        assert_eq!(bound("alice", "other"), Some(2.0));
        assert_eq!(bound("alice", ""), Some(2.0));
    }

    #[test]
    fn addresses_have_limits_of_their_own() {
        let set = [
            (Scope::Ip(Part::Default), CONNECTION_RATE, 5.0),
            (Scope::Ip(Part::Named("10.0.0.1".to_owned())), CONNECTION_RATE, 9.0),
        ];
        let limits = Limits::new(set);
        assert_eq!((limits.ip("10.0.0.1"), limits.ip("10.0.0.2")), (Some(9.0), Some(5.0)));
        assert!(limits.has_ips() && !limits.has(Kind::Produce));
        assert!(!Limits::default().has_ips());
    }
}
