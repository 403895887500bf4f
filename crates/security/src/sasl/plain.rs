//! PLAIN (RFC 4616): `authorization NUL name NUL password`.

use std::fmt;

use subtle::ConstantTimeEq as _;

use super::SaslError;

/// What a client has said.
#[derive(Clone, PartialEq, Eq)]
pub struct PlainLogin {
    /// Who it says it is.
    pub name: String,
    /// Its password.
    pub password: String,
}

impl PlainLogin {
    /// Reads a client's message.
    ///
    /// # Errors
    /// In Kafka's words.
    pub fn parse(message: &[u8]) -> Result<Self, SaslError> {
        let text = std::str::from_utf8(message).map_err(|_| SaslError::Untold("not UTF-8"))?;
        let mut parts = text.splitn(4, '\0');
        let (Some(authorization), Some(name), Some(password), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(SaslError::Untold("not three parts"));
        };
        let told = |text: &str| Err(SaslError::Told(format!("Authentication failed: {text}")));
        if name.is_empty() {
            return told("username not specified");
        }
        if password.is_empty() {
            return told("password not specified");
        }
        if !authorization.is_empty() && authorization != name {
            return told("Client requested an authorization id that is different from username");
        }
        Ok(Self { name: name.to_owned(), password: password.to_owned() })
    }

    /// Whether the password is the expected one; without an expected one it never is, which takes
    /// as long.
    ///
    /// # Errors
    /// If it is not.
    pub fn check(&self, expected: Option<&str>) -> Result<(), SaslError> {
        let same = same_secret(self.password.as_bytes(), expected.unwrap_or_default().as_bytes());
        if same && expected.is_some() {
            return Ok(());
        }
        Err(SaslError::Told("Authentication failed: Invalid username or password".to_owned()))
    }
}

impl fmt::Debug for PlainLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PlainLogin").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Whether two secrets are the same, in a time that depends on their lengths only.
pub fn same_secret(one: &[u8], other: &[u8]) -> bool {
    one.ct_eq(other).into()
}

/// The message of a client.
pub fn plain_message(name: &str, password: &str) -> Vec<u8> {
    format!("\0{name}\0{password}").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_is_three_parts_and_the_right_password() {
        let login = PlainLogin::parse(&plain_message("alice", "secret")).unwrap();
        assert!(login.check(Some("secret")).is_ok());
        assert!(login.check(Some("other")).is_err() && login.check(None).is_err());
        assert!(PlainLogin::parse(b"alice\0alice\0secret").is_ok());
        for bad in [&b"bob\0alice\0secret"[..], b"\0\0x", b"\0x\0", b"\0x", b"\0x\0y\0z", b"\xff"] {
            assert!(PlainLogin::parse(bad).is_err(), "{bad:?}");
        }
        assert!(!format!("{login:?}").contains("secret"));
    }
}
