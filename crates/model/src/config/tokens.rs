//! The settings of delegation tokens (KIP-48).

use std::fmt;

use super::ConfigError;
use super::layers::Reader;

/// A text that is not shown to whoever prints what holds it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The text itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hidden]")
    }
}

/// `delegation.token.*`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokensConfig {
    /// What tokens are signed with, the same on all nodes; without it there are none.
    pub secret_key: Option<Secret>,
    /// Longest life of a token.
    pub max_lifetime_ms: i64,
    /// Life of a token between renewals.
    pub expiry_time_ms: i64,
    /// How often expired tokens are removed.
    pub expiry_check_interval_ms: i64,
}

impl TokensConfig {
    pub(super) fn read(read: &Reader<'_>) -> Result<Self, ConfigError> {
        let secret = read.text("delegation.token.secret.key")?;
        Ok(Self {
            secret_key: secret.filter(|text| !text.is_empty()).map(Secret),
            max_lifetime_ms: read.long("delegation.token.max.lifetime.ms")?,
            expiry_time_ms: read.long("delegation.token.expiry.time.ms")?,
            expiry_check_interval_ms: read.long("delegation.token.expiry.check.interval.ms")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Props;
    use crate::config::layers::Layers;

    fn read(lines: &[(&str, &str)]) -> TokensConfig {
        let props: Props = lines.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        TokensConfig::read(&Reader::broker(Layers::of_file(&props))).unwrap()
    }

    #[test]
    fn without_a_secret_there_are_no_tokens() {
        assert_eq!(read(&[]).secret_key, None);
        assert_eq!(read(&[("delegation.token.secret.key", "")]).secret_key, None);
        assert_eq!(read(&[]).max_lifetime_ms, 604_800_000);
    }

    #[test]
    fn the_secret_is_not_printed() {
        let config = read(&[("delegation.token.secret.key", "hush")]);
        assert_eq!(config.secret_key.as_ref().map(Secret::reveal), Some("hush"));
        assert!(!format!("{config:?}").contains("hush"));
    }
}
