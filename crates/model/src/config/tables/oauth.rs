//! OAuth bearer tokens.
//!
//! Rows only; names, types, defaults and bounds are facts of Apache Kafka 4.3.1.

use super::ENTRIES;
use crate::config::row::Validator::{Any, Between, OneOfAnyCase};
use crate::config::row::config_rows;

config_rows! {
    OAUTH

    /// Java class that fetches tokens.
    "sasl.oauthbearer.jwt.retriever.class": Class = "org.apache.kafka.common.security.oauthbearer.DefaultJwtRetriever", Any, ReadOnly, SERVED;
    /// Java class that checks tokens.
    "sasl.oauthbearer.jwt.validator.class": Class = "org.apache.kafka.common.security.oauthbearer.DefaultJwtValidator", Any, ReadOnly, JAVA;
    /// Where tokens are asked for.
    "sasl.oauthbearer.token.endpoint.url": String = null, Any, ReadOnly, SERVED;
    /// Where the signing keys are found.
    "sasl.oauthbearer.jwks.endpoint.url": String = null, Any, ReadOnly, SERVED;
    /// How often the signing keys are fetched anew.
    "sasl.oauthbearer.jwks.endpoint.refresh.ms": Long = "3600000", Any, ReadOnly, SERVED;
    /// First pause before the keys are asked for again.
    "sasl.oauthbearer.jwks.endpoint.retry.backoff.ms": Long = "100", Any, ReadOnly, SERVED;
    /// Longest pause before the keys are asked for again.
    "sasl.oauthbearer.jwks.endpoint.retry.backoff.max.ms": Long = "10000", Any, ReadOnly, SERVED;
    /// Audiences a token may name.
    "sasl.oauthbearer.expected.audience": List = "", ENTRIES, ReadOnly, SERVED;
    /// Issuer a token must name.
    "sasl.oauthbearer.expected.issuer": String = null, Any, ReadOnly, SERVED;
    /// Clock difference allowed in token times.
    "sasl.oauthbearer.clock.skew.seconds": Int = "30", Any, ReadOnly, SERVED;
    /// Scope asked for.
    "sasl.oauthbearer.scope": String = null, Any, ReadOnly, SERVED;
    /// Claim that holds the scope.
    "sasl.oauthbearer.scope.claim.name": String = "scope", Any, ReadOnly, SERVED;
    /// Claim that holds the subject.
    "sasl.oauthbearer.sub.claim.name": String = "sub", Any, ReadOnly, SERVED;
    /// Client id shown to the identity provider.
    "sasl.oauthbearer.client.credentials.client.id": String = null, Any, ReadOnly, SERVED;
    /// Client secret shown to the identity provider.
    "sasl.oauthbearer.client.credentials.client.secret": Password = null, Any, ReadOnly, SERVED;
    /// Signing algorithm of assertions.
    "sasl.oauthbearer.assertion.algorithm": String = "RS256", OneOfAnyCase(&["ES256", "RS256"]), ReadOnly, SERVED;
    /// Audience written into assertions.
    "sasl.oauthbearer.assertion.claim.aud": String = null, Any, ReadOnly, SERVED;
    /// Life of an assertion.
    "sasl.oauthbearer.assertion.claim.exp.seconds": Int = "300", Between(0, 86_400), ReadOnly, SERVED;
    /// Issuer written into assertions.
    "sasl.oauthbearer.assertion.claim.iss": String = null, Any, ReadOnly, SERVED;
    /// Whether assertions carry a unique id.
    "sasl.oauthbearer.assertion.claim.jti.include": Boolean = "false", Any, ReadOnly, SERVED;
    /// How far before now an assertion's validity starts.
    "sasl.oauthbearer.assertion.claim.nbf.seconds": Int = "60", Between(0, 3_600), ReadOnly, SERVED;
    /// Subject written into assertions.
    "sasl.oauthbearer.assertion.claim.sub": String = null, Any, ReadOnly, SERVED;
    /// File with a ready assertion.
    "sasl.oauthbearer.assertion.file": String = null, Any, ReadOnly, SERVED;
    /// File with the key assertions are signed with.
    "sasl.oauthbearer.assertion.private.key.file": String = null, Any, ReadOnly, SERVED;
    /// Password of that key.
    "sasl.oauthbearer.assertion.private.key.passphrase": Password = null, Any, ReadOnly, SERVED;
    /// File with more claims and headers for assertions.
    "sasl.oauthbearer.assertion.template.file": String = null, Any, ReadOnly, SERVED;
}
