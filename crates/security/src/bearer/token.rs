//! A token of this side's own, as far as this side has to understand it.

use std::fmt;

use crate::sasl::{Jwt, JwtError, oauth_first_message};

/// A token that was given to this side.
#[derive(Clone, PartialEq, Eq)]
pub struct OwnToken {
    text: String,
    /// Whom it names.
    pub subject: String,
    /// Since when it is good, in milliseconds since 1970, if it says so.
    pub issued_ms: Option<i64>,
    /// Until when it is good.
    pub expires_ms: i64,
}

impl OwnToken {
    /// Takes a token as whoever signed it gave it. Its signature is the broker's concern.
    ///
    /// # Errors
    /// If it is no JSON web token, or does not say for whom and until when it is.
    pub fn read(text: &str, subject_claim: &str) -> Result<Self, JwtError> {
        let text = text.trim();
        let token = Jwt::parse(text)?;
        let subject = token.text(subject_claim).map(str::trim).filter(|name| !name.is_empty());
        let subject = subject.ok_or_else(|| JwtError::Missing(subject_claim.to_owned()))?;
        Ok(Self {
            subject: subject.to_owned(),
            issued_ms: token.time_ms("iat"),
            expires_ms: token.time_ms("exp").ok_or_else(|| JwtError::Missing("exp".to_owned()))?,
            text: text.to_owned(),
        })
    }

    /// The first message of a login with it.
    pub fn first_message(&self, extensions: &[(String, String)]) -> Vec<u8> {
        oauth_first_message(&self.text, extensions)
    }
}

impl fmt::Debug for OwnToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("OwnToken");
        let shown = shown.field("subject", &self.subject).field("expires_ms", &self.expires_ms);
        shown.finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Nobody's signature, and these claims.
    pub(in crate::bearer) const TOKEN: &str =
        // {"alg":"none"} {"sub":"a","iat":0,"exp":99}
        "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIiwiaWF0IjowLCJleHAiOjk5fQ.";

    #[test]
    fn a_token_says_for_whom_and_until_when_and_is_never_shown() {
        let token = OwnToken::read(&format!("{TOKEN}\n"), "sub").unwrap();
        assert_eq!((token.issued_ms, token.expires_ms), (Some(0), 99_000));
        assert!(!format!("{token:?}").contains("eyJ"));
        let message = token.first_message(&[("a".to_owned(), "b c".to_owned())]);
        let expected = format!("n,,\u{1}auth=Bearer {TOKEN}\u{1}a=b c\u{1}\u{1}");
        assert_eq!(String::from_utf8(message).unwrap(), expected);
        let missing = OwnToken::read(TOKEN, "email").unwrap_err();
        assert_eq!(missing, JwtError::Missing("email".to_owned()));
        assert_eq!(OwnToken::read("opaque", "sub"), Err(JwtError::Malformed));
    }
}
