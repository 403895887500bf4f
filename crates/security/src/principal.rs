//! Kafka's principals: a type and a name, such as `User:alice`.

use std::fmt;

/// The type of all principals that Kafka itself makes.
const USER: &str = "User";
/// The name of who has not said who they are.
const ANONYMOUS: &str = "ANONYMOUS";

/// Who a connection belongs to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Principal {
    /// The type; `User` unless an ACL says otherwise.
    pub kind: String,
    /// The name.
    pub name: String,
    /// Whether it logged in with a delegation token (KIP-48). Does not count for ACLs.
    pub token_authenticated: bool,
}

/// A text that is no principal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a string in format principalType:principalName but got {0}")]
pub struct InvalidPrincipal(pub String);

impl Principal {
    /// A user.
    pub fn user(name: impl Into<String>) -> Self {
        Self { kind: USER.to_owned(), name: name.into(), token_authenticated: false }
    }

    /// Whoever has not said who they are.
    pub fn anonymous() -> Self {
        Self::user(ANONYMOUS)
    }

    /// Reads `type:name`; the name may have colons.
    ///
    /// # Errors
    /// Without a colon.
    pub fn parse(text: &str) -> Result<Self, InvalidPrincipal> {
        let (kind, name) = text.split_once(':').ok_or_else(|| InvalidPrincipal(text.to_owned()))?;
        Ok(Self { kind: kind.to_owned(), name: name.to_owned(), token_authenticated: false })
    }

    /// Whether the text names this principal.
    pub fn is_called(&self, text: &str) -> bool {
        text.split_once(':').is_some_and(|(kind, name)| kind == self.kind && name == self.name)
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind, self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_principal_is_a_type_and_a_name_which_may_have_colons() {
        let principal = Principal::parse("User:CN=a:b").unwrap();
        assert_eq!((principal.kind.as_str(), principal.name.as_str()), ("User", "CN=a:b"));
        assert_eq!(principal.to_string(), "User:CN=a:b");
        assert!(principal.is_called("User:CN=a:b") && !principal.is_called("Group:CN=a:b"));
        assert!(Principal::parse("alice").is_err());
    }
}
