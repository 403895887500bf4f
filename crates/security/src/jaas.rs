//! Login settings in JAAS form: `Module required name="value" ...;`.
//!
//! The one line that `sasl.jaas.config` has; the module's name tells the mechanism.

use std::collections::BTreeMap;
use std::fmt;

/// One login module and its options.
#[derive(Clone, PartialEq, Eq)]
pub struct JaasEntry {
    /// The Java class's name.
    pub module: String,
    options: BTreeMap<String, String>,
}

/// A text that is no JAAS configuration. No part of it is shown: what is taken for a name may be
/// what follows a quote in a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JaasError {
    /// There is nothing, or not enough.
    #[error("a login module, a control flag and a semicolon are expected")]
    Incomplete,
    /// The flag is not one of the four.
    #[error("the second word is no control flag: required, requisite, sufficient or optional")]
    Flag,
    /// An option without a value: the first, the second and so on.
    #[error("option {0} has no value; write NAME=\"...\", and a backslash before a quote in it")]
    Option(usize),
    /// A quote without its end.
    #[error("a quote is not closed")]
    Quote,
    /// Something follows the semicolon.
    #[error("there is more than one login module")]
    MoreThanOne,
}

/// A word, or one of `=` and `;`.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Word(String),
    Equals,
    End,
}

impl JaasEntry {
    /// Reads one entry.
    ///
    /// # Errors
    /// If the text is none.
    pub fn parse(text: &str) -> Result<Self, JaasError> {
        let mut tokens = tokens(text)?.into_iter();
        let (Some(Token::Word(module)), Some(Token::Word(flag))) = (tokens.next(), tokens.next())
        else {
            return Err(JaasError::Incomplete);
        };
        let flags = ["required", "requisite", "sufficient", "optional"];
        if !flags.iter().any(|known| known.eq_ignore_ascii_case(&flag)) {
            return Err(JaasError::Flag);
        }
        let mut options = BTreeMap::new();
        for number in 1_usize.. {
            match tokens.next() {
                Some(Token::End) => break,
                Some(Token::Word(name)) => match (tokens.next(), tokens.next()) {
                    (Some(Token::Equals), Some(Token::Word(value))) => {
                        options.insert(name, value);
                    }
                    _ => return Err(JaasError::Option(number)),
                },
                Some(Token::Equals) | None => return Err(JaasError::Incomplete),
            }
        }
        if tokens.next().is_some() {
            return Err(JaasError::MoreThanOne);
        }
        Ok(Self { module, options })
    }

    /// An option's value.
    pub fn option(&self, name: &str) -> Option<&str> {
        self.options.get(name).map(String::as_str)
    }

    /// All options and their values, by name.
    pub fn options(&self) -> impl Iterator<Item = (&str, &str)> {
        self.options.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The users that a server's entry for PLAIN names (`user_NAME="password"`).
    pub fn users(&self) -> BTreeMap<String, String> {
        let user = |(name, value): (&String, &String)| {
            Some((name.strip_prefix("user_")?.to_owned(), value.clone()))
        };
        self.options.iter().filter_map(user).collect()
    }
}

impl fmt::Debug for JaasEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The values are secrets.
        let names: Vec<&String> = self.options.keys().collect();
        f.debug_struct("JaasEntry").field("module", &self.module).field("options", &names).finish()
    }
}

fn tokens(text: &str) -> Result<Vec<Token>, JaasError> {
    let mut tokens = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '=' => tokens.push(Token::Equals),
            ';' => tokens.push(Token::End),
            '"' | '\'' => {
                let mut word = String::new();
                loop {
                    match chars.next().ok_or(JaasError::Quote)? {
                        '\\' => word.push(chars.next().ok_or(JaasError::Quote)?),
                        end if end == c => break,
                        other => word.push(other),
                    }
                }
                tokens.push(Token::Word(word));
            }
            space if space.is_whitespace() => {}
            first => {
                let mut word = String::from(first);
                while let Some(&next) = chars.peek() {
                    if next.is_whitespace() || matches!(next, '=' | ';' | '"') {
                        break;
                    }
                    word.push(next);
                    chars.next();
                }
                tokens.push(Token::Word(word));
            }
        }
    }
    Ok(tokens)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_has_a_module_and_options() {
        let text = "org.apache.kafka.common.security.plain.PlainLoginModule required \
                    username=\"admin\" password=\"a;b\\\"c = d\" user_alice='x' user_bob=y;";
        let entry = JaasEntry::parse(text).unwrap();
        assert!(entry.module.ends_with("PlainLoginModule"));
        assert_eq!(entry.option("password"), Some("a;b\"c = d"));
        let users = entry.users();
        assert_eq!(users.get("alice").map(String::as_str), Some("x"));
        assert_eq!(users.get("bob").map(String::as_str), Some("y"));
        assert!(!format!("{entry:?}").contains("a;b"));
    }

    #[test]
    fn what_is_no_entry_is_refused() {
        for bad in ["", "Module", "Module required", "Module perhaps;", "M required a;"] {
            assert!(JaasEntry::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(JaasEntry::parse("M required a=\"b"), Err(JaasError::Quote));
        assert_eq!(JaasEntry::parse("M secret;"), Err(JaasError::Flag));
        let torn = "M required username=a password=se cret;";
        assert_eq!(JaasEntry::parse(torn), Err(JaasError::Option(3)));
        assert_eq!(JaasEntry::parse("M required; N required;"), Err(JaasError::MoreThanOne));
    }
}
