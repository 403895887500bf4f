//! How a listener judges OAUTHBEARER's tokens (KIP-255, KIP-768).
//!
//! With `sasl.oauthbearer.jwks.endpoint.url` a token must be signed with one of the keys there.
//! Without, as in Kafka, tokens are not signed at all, which is for tests only.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::PathBuf;
use std::sync::Arc;

use naru_client::net::HttpUrl;
use naru_client::net::security::tls;
use naru_security::bearer::{file_of_url, shown_address};
use naru_security::jaas::JaasEntry;
use naru_security::sasl::{Claims, Jwt, JwtError, JwtRules};

use super::jwks::{KeySource, KeySources, Pace, Place};
use super::settings::Settings;
use crate::node::millis;

const URL: &str = "sasl.oauthbearer.jwks.endpoint.url";
const HANDLER: &str = "sasl.server.callback.handler.class";
/// Who checks signatures in Apache Kafka.
const SIGNED: &str = "OAuthBearerValidatorCallbackHandler";
/// Who checks tokens that are not signed.
const UNSECURED: &str = "OAuthBearerUnsecuredValidatorCallbackHandler";
/// The algorithm of tokens that are not signed.
const NONE: &str = "none";

/// See the module.
#[derive(Debug)]
pub(super) struct OAuthRules {
    claims: JwtRules,
    /// None if tokens are not signed.
    keys: Option<Arc<KeySource>>,
}

impl OAuthRules {
    pub(super) fn read(settings: Settings<'_>, sources: &KeySources) -> Result<Self, String> {
        let text = |key: &str| settings.of_mechanism("OAUTHBEARER", key);
        let number = |key: &str, default: i64| {
            text(key).and_then(|text| text.parse().ok()).unwrap_or(default)
        };
        let entry = text("sasl.jaas.config")
            .map(JaasEntry::parse)
            .transpose()
            .map_err(|error| format!("sasl.jaas.config: {error}"))?;
        let option = |name: &str| entry.as_ref().and_then(|entry| entry.option(name));
        let handler = text(HANDLER).map(|class| class.rsplit('.').next().unwrap_or(class));
        if let Some(other) = handler.filter(|name| *name != SIGNED && *name != UNSECURED) {
            return Err(format!("{HANDLER}: no Java class can be loaded, so there is no {other}"));
        }
        let Some(url) = text(URL) else {
            if handler == Some(SIGNED) {
                return Err(format!("{URL} is needed to check the signatures of tokens"));
            }
            tracing::warn!("OAUTHBEARER without {URL}: everybody can make a token for everybody");
            let skew = option("unsecuredValidatorAllowableClockSkewMs").unwrap_or("0");
            let scopes = option("unsecuredValidatorRequiredScope").unwrap_or_default();
            let claim = |name: &str, default: &str| option(name).unwrap_or(default).to_owned();
            let claims = JwtRules {
                issuer: None,
                audiences: Vec::new(),
                clock_skew_ms: skew
                    .parse()
                    .map_err(|_| format!("unsecuredValidatorAllowableClockSkewMs: {skew}"))?,
                subject_claim: claim("unsecuredValidatorPrincipalClaimName", "sub"),
                scope_claim: claim("unsecuredValidatorScopeClaimName", "scope"),
                scopes: scopes.split_whitespace().map(str::to_owned).collect(),
                needs_issued_at: false,
            };
            return Ok(Self { claims, keys: None });
        };
        let place = place(url, entry.as_ref())?;
        let pace = Pace {
            refresh: millis(number("sasl.oauthbearer.jwks.endpoint.refresh.ms", 3_600_000)),
            backoff: (
                millis(number("sasl.oauthbearer.jwks.endpoint.retry.backoff.ms", 100)),
                millis(number("sasl.oauthbearer.jwks.endpoint.retry.backoff.max.ms", 10_000)),
            ),
        };
        let audiences = text("sasl.oauthbearer.expected.audience").unwrap_or_default();
        let audiences = audiences.split(',').map(str::trim).filter(|one| !one.is_empty());
        let skew_seconds = number("sasl.oauthbearer.clock.skew.seconds", 30);
        let claim = |key: &str, default: &str| text(key).unwrap_or(default).to_owned();
        let claims = JwtRules {
            issuer: text("sasl.oauthbearer.expected.issuer").map(str::to_owned),
            audiences: audiences.map(str::to_owned).collect(),
            clock_skew_ms: skew_seconds.saturating_mul(1000),
            subject_claim: claim("sasl.oauthbearer.sub.claim.name", "sub"),
            scope_claim: claim("sasl.oauthbearer.scope.claim.name", "scope"),
            scopes: Vec::new(),
            needs_issued_at: true,
        };
        // What is said of TLS makes the difference between two sources of one address. There are
        // passwords in it: it is not kept.
        let mut said = DefaultHasher::new();
        let options = entry.iter().flat_map(JaasEntry::options);
        for option in options.filter(|(name, _)| name.starts_with("ssl.")) {
            option.hash(&mut said);
        }
        let settings = format!("{url} {pace:?} {:x}", said.finish());
        let source = sources.source(url, settings, place, pace);
        source.read_file().map_err(|error| format!("{URL}: {error}"))?;
        Ok(Self { claims, keys: Some(source) })
    }

    /// Who a token is for, if it is good at this time.
    pub(super) fn judge(&self, token: &str, now_ms: i64) -> Result<Claims, JwtError> {
        let token = Jwt::parse(token)?;
        match &self.keys {
            Some(keys) => keys.check(&token)?,
            None if token.algorithm == NONE && token.signature.is_empty() => {}
            None => return Err(JwtError::Algorithm(token.algorithm)),
        }
        self.claims.judge(&token, now_ms)
    }
}

/// Where keys are.
fn place(url: &str, entry: Option<&JaasEntry>) -> Result<Place, String> {
    if let Some(path) = file_of_url(url) {
        return Ok(Place::File(PathBuf::from(path)));
    }
    let parsed = HttpUrl::parse(url).ok_or_else(|| {
        let url = shown_address(url);
        format!("{URL}: {url} is no address; write file:///PATH, or one with http or https")
    })?;
    let config = parsed.is_secure.then(|| match entry {
        Some(entry) => tls::identity_provider_config(entry),
        // As from an entry that says nothing.
        None => tls::client_config(&|_| None),
    });
    let config = config.transpose()?;
    Ok(Place::Http(parsed, config.map(Arc::new)))
}

#[cfg(test)]
mod tests {
    use naru_model::config::Props;

    use super::*;

    fn read(lines: &[(&str, &str)]) -> Result<OAuthRules, String> {
        let props: Props = lines.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        OAuthRules::read(Settings::new(&props, "OUT"), &KeySources::default())
    }

    #[test]
    fn signatures_that_should_be_checked_are_never_left_unchecked() {
        let class =
            "org.apache.kafka.common.security.oauthbearer.OAuthBearerValidatorCallbackHandler";
        assert!(read(&[(HANDLER, class)]).unwrap_err().contains(URL));
        let other = [("listener.name.out.oauthbearer.sasl.server.callback.handler.class", "a.B")];
        assert!(read(&other).unwrap_err().contains("no Java class"));
        assert!(read(&[(URL, "file:///does/not/exist")]).unwrap_err().contains("exist"));
        assert!(read(&[(URL, "ldap://x")]).unwrap_err().contains("no address"));
        let signed = read(&[(URL, "http://localhost:1/keys")]).unwrap();
        // {"alg":"none"} {"sub":"a","iat":0,"exp":99}
        let unsecured = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIiwiaWF0IjowLCJleHAiOjk5fQ.";
        assert!(signed.judge(unsecured, 1).is_err());
        assert_eq!(read(&[]).unwrap().judge(unsecured, 1).unwrap().subject, "a");
        assert!(read(&[]).unwrap().judge(unsecured, 99_000).is_err());
    }
}
