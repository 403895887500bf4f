//! Addresses of identity providers, which may have secrets in them.

use std::fmt;

/// An address that is shown without secrets.
#[derive(Clone, PartialEq, Eq)]
pub struct Address(String);

impl Address {
    /// As it was written.
    pub const fn new(text: String) -> Self {
        Self(text)
    }

    /// As it was written, secrets included.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shown_address(&self.0))
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// An address for people to read: without the name and the password of a user, and without what
/// follows a question mark.
pub fn shown_address(text: &str) -> String {
    let (scheme, rest) = match text.split_once("://") {
        Some((scheme, rest)) => (format!("{scheme}://"), rest),
        None => (String::new(), text),
    };
    let (place, hidden) = rest.split_at(rest.find(['?', '#']).unwrap_or(rest.len()));
    // A password may have such a character in it, which is wrong, but still secret.
    let is_secret = hidden.contains('@') && !place.contains('/');
    let place = place.rsplit_once('@').map_or(place, |(_, host)| host);
    if is_secret { scheme } else { scheme + place }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_address_shows_its_secrets() {
        for (text, shown) in [
            ("https://host:1/token", "https://host:1/token"),
            ("https://id:hidden@host/token", "https://host/token"),
            ("https://host/token?key=hidden#hidden", "https://host/token"),
            ("https://host/token?mail=a@hidden", "https://host/token"),
            ("https://id:hid/den@host/", "https://host/"),
            ("https://id:hid?den@host/", "https://"),
            ("id:hidden@host", "host"),
            ("file:///run/token", "file:///run/token"),
        ] {
            assert_eq!(shown_address(text), shown);
            assert_eq!(format!("{:?}", Address::new(text.to_owned())), shown);
        }
    }
}
