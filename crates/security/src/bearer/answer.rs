//! What the answer of an identity provider means (RFC 6749, 5).

use serde_json::Value;

use super::OwnToken;

/// Characters of somebody else's text that are shown at most.
const TOLD_MAX: usize = 200;

/// Why there is no token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoToken {
    /// In words, without a secret.
    pub why: String,
    /// The same question would get the same answer, until somebody changes something.
    pub is_lasting: bool,
}

impl NoToken {
    /// Something that may be over soon.
    pub fn passing(why: impl Into<String>) -> Self {
        Self { why: why.into(), is_lasting: false }
    }

    /// Something that somebody has to mend.
    pub fn lasting(why: impl Into<String>) -> Self {
        Self { why: why.into(), is_lasting: true }
    }
}

/// The token in an answer of HTTP.
///
/// # Errors
/// Why there is none, in the provider's words if it has some.
pub fn token_of_answer(status: u16, body: &[u8], subject_claim: &str) -> Result<OwnToken, NoToken> {
    let json = serde_json::from_slice::<Value>(body).unwrap_or_default();
    let text = |name: &str| {
        let text = json.get(name).and_then(Value::as_str).map(str::trim);
        text.filter(|text| !text.is_empty())
    };
    if !matches!(status, 200 | 201) {
        let said = [("error", "error_description"), ("errorCode", "errorSummary")]
            .into_iter()
            .find_map(|(error, about)| Some((text(error)?, text(about))));
        let why = match said {
            Some((error, None)) => format!("the answer is {status}: {}", told(error)),
            Some((error, Some(about))) => {
                format!("the answer is {status}: {}, {}", told(error), told(about))
            }
            None => format!("the answer is {status}"),
        };
        return Err(NoToken { why, is_lasting: is_lasting(status) });
    }
    // What is in the answer may be a secret: it is not shown.
    let token = text("access_token").or_else(|| text("id_token"));
    let token = token.ok_or_else(|| NoToken::lasting("the answer has no access_token"))?;
    read(token, subject_claim)
}

/// The token in a file.
///
/// # Errors
/// Why there is none.
pub fn token_of_file(bytes: &[u8], subject_claim: &str) -> Result<OwnToken, NoToken> {
    let text = std::str::from_utf8(bytes).map_err(|_| NoToken::passing("it is no text"))?;
    // Whoever writes the file may not be done with it.
    read(text, subject_claim).map_err(|error| NoToken { is_lasting: false, ..error })
}

fn read(token: &str, subject_claim: &str) -> Result<OwnToken, NoToken> {
    OwnToken::read(token, subject_claim).map_err(|error| NoToken::lasting(error.to_string()))
}

/// Whether asking again is of no use: as in Kafka, what RFC 9110 says of the request itself, but
/// for what a busy server says.
const fn is_lasting(status: u16) -> bool {
    matches!(status, 400..=407 | 409..=415 | 501 | 505)
}

fn told(text: &str) -> String {
    text.chars().flat_map(char::escape_debug).take(TOLD_MAX).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TOKEN: &str = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIiwiaWF0IjowLCJleHAiOjk5fQ.";

    fn answer(status: u16, body: &str) -> Result<OwnToken, NoToken> {
        token_of_answer(status, body.as_bytes(), "sub")
    }

    #[test]
    fn a_token_is_taken_from_either_place() {
        for name in ["access_token", "id_token"] {
            let token = answer(200, &format!("{{\"{name}\":\" {TOKEN} \",\"expires_in\":1}}"));
            assert_eq!(token.unwrap().subject, "a");
        }
        assert_eq!(token_of_file(format!("{TOKEN}\n").as_bytes(), "sub").unwrap().subject, "a");
    }

    #[test]
    fn who_refuses_is_quoted_and_asked_again_where_that_may_help() {
        let body = r#"{"error":"invalid_client","error_description":"bad\nsecret"}"#;
        let refused = answer(401, body).unwrap_err();
        assert_eq!(refused.why, "the answer is 401: invalid_client, bad\\nsecret");
        assert!(refused.is_lasting);
        for status in [408, 429, 500, 502, 503] {
            assert!(!answer(status, "<html>").unwrap_err().is_lasting, "{status}");
        }
        let long = format!("{{\"error\":\"{}\"}}", "x".repeat(1000));
        assert!(answer(400, &long).unwrap_err().why.len() < 300);
    }

    #[test]
    fn an_answer_without_a_token_is_not_shown() {
        let error = answer(200, r#"{"token":"secret"}"#).unwrap_err();
        assert_eq!(error.why, "the answer has no access_token");
        let error = answer(200, r#"{"access_token":"secret"}"#).unwrap_err();
        assert_eq!(error.why, "the token is no JSON web token");
    }

    proptest! {
        #[test]
        fn no_answer_is_too_strange(status: u16, body: Vec<u8>) {
            prop_assert!(token_of_answer(status, &body, "sub").is_err());
            prop_assert!(token_of_file(&body, "sub").is_err());
        }
    }
}
