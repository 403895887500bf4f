//! Addresses of hosts: what listeners bind, and what limits on connections name.
//!
//! A name server may take minutes or not answer: what limits name is looked up once, by who can
//! wait, and known from then on. An address that was found counts until another one is.

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The addresses of names that were looked up.
#[derive(Debug, Default)]
pub(crate) struct Hosts(Mutex<HashMap<String, IpAddr>>);

impl Hosts {
    /// A host's address, if it is one or was found before.
    pub(crate) fn address(&self, host: &str) -> Option<IpAddr> {
        let written = literal(host).or_else(|| self.known().get(host).copied());
        written.map(|address| address.to_canonical())
    }

    /// Those of the hosts that have to be looked up.
    pub(crate) fn names<'a>(hosts: impl Iterator<Item = &'a str>) -> BTreeSet<String> {
        hosts.filter(|host| literal(host).is_none()).map(str::to_owned).collect()
    }

    /// Looks these names up, one after the other, and forgets all others; tells of each address
    /// that is news. Blocks.
    pub(crate) fn look_up(&self, names: &BTreeSet<String>, news: impl FnMut()) {
        self.look_up_by(names, |name| Some(resolve(name, 0).ok()?.ip()), news);
    }

    fn look_up_by(
        &self,
        names: &BTreeSet<String>,
        look: impl Fn(&str) -> Option<IpAddr>,
        mut news: impl FnMut(),
    ) {
        self.known().retain(|name, _| names.contains(name));
        // Who has no address yet waits for no other name.
        let known: BTreeSet<String> = self.known().keys().cloned().collect();
        let (again, first): (Vec<&String>, Vec<&String>) =
            names.iter().partition(|name| known.contains(*name));
        for name in first.into_iter().chain(again) {
            let Some(address) = look(name) else {
                let before = self.known().get(name).copied();
                match before {
                    Some(address) => {
                        tracing::warn!(host = name, %address, "nobody knows this host any more: \
                                       its last address stays limited");
                    }
                    None => tracing::warn!(
                        host = name,
                        "nobody knows this host: it has no limit \
                                           of its own"
                    ),
                }
                continue;
            };
            let before = self.known().insert(name.clone(), address);
            if before != Some(address) {
                news();
            }
        }
    }

    fn known(&self) -> MutexGuard<'_, HashMap<String, IpAddr>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn bare(host: &str) -> &str {
    host.trim_start_matches('[').trim_end_matches(']')
}

fn literal(host: &str) -> Option<IpAddr> {
    bare(host).parse().ok()
}

/// The address of a host: an empty one is every address, a name its first one, IPv4 before IPv6
/// as clients that are told `localhost` try it. Blocks.
pub(crate) fn resolve(host: &str, port: u16) -> std::io::Result<SocketAddr> {
    if host.is_empty() {
        return Ok(SocketAddr::from(([0, 0, 0, 0], port)));
    }
    let all: Vec<SocketAddr> = (bare(host), port).to_socket_addrs()?.collect();
    let first = all.iter().find(|address| address.is_ipv4()).or_else(|| all.first());
    first.copied().ok_or_else(|| std::io::ErrorKind::AddrNotAvailable.into())
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    fn names(names: &[&str]) -> BTreeSet<String> {
        Hosts::names(names.iter().copied())
    }

    #[test]
    fn addresses_need_nobody_who_knows_them() {
        let hosts = Hosts::default();
        assert_eq!(hosts.address("10.0.0.1"), Some(IpAddr::from([10, 0, 0, 1])));
        assert_eq!(hosts.address("::ffff:10.0.0.1"), Some(IpAddr::from([10, 0, 0, 1])));
        assert_eq!(hosts.address("[::1]"), "::1".parse().ok());
        assert_eq!(hosts.address("a"), None);
        assert_eq!(names(&["10.0.0.1", "a", "[::1]", "b"]).into_iter().collect::<String>(), "ab");
    }

    #[test]
    fn an_address_counts_until_another_is_found() {
        let hosts = Hosts::default();
        let told = RefCell::new(0);
        let news = || *told.borrow_mut() += 1;
        let first = |_: &str| Some(IpAddr::from([10, 0, 0, 1]));
        hosts.look_up_by(&names(&["a"]), first, news);
        hosts.look_up_by(&names(&["a"]), first, news);
        assert_eq!(*told.borrow(), 1, "the same address is no news");
        hosts.look_up_by(&names(&["a"]), |_| None, news);
        assert_eq!(hosts.address("a"), Some(IpAddr::from([10, 0, 0, 1])));
        hosts.look_up_by(&names(&["a"]), |_| Some(IpAddr::from([10, 0, 0, 2])), news);
        assert_eq!(hosts.address("a"), Some(IpAddr::from([10, 0, 0, 2])));
        assert_eq!(*told.borrow(), 2);
        hosts.look_up_by(&names(&[]), first, news);
        assert_eq!(hosts.address("a"), None, "nobody wants it any more");
    }

    #[test]
    fn a_new_name_waits_for_none_that_is_known() {
        let hosts = Hosts::default();
        let asked = RefCell::new(Vec::new());
        let look = |name: &str| {
            asked.borrow_mut().push(name.to_owned());
            Some(IpAddr::from([10, 0, 0, 1]))
        };
        hosts.look_up_by(&names(&["a"]), look, || {});
        hosts.look_up_by(&names(&["a", "b"]), look, || {});
        assert_eq!(*asked.borrow(), ["a", "b", "a"]);
    }
}
