//! Authorisation and delegation tokens.
//!
//! Rows only; names, types, defaults and bounds are facts of Apache Kafka 4.3.1.

use crate::config::row::Validator::{Any, AtLeast};
use crate::config::row::config_rows;

config_rows! {
    SECURITY

    /// Java class that decides access; empty means none.
    "authorizer.class.name": String = "", Any, ReadOnly, SERVED;
    /// Java class that names a connection's principal.
    "principal.builder.class": Class = "org.apache.kafka.common.security.authenticator.DefaultKafkaPrincipalBuilder", Any, PerBroker, JAVA;
    /// Java security providers to load.
    "security.providers": String = null, Any, ReadOnly, JAVA;
    /// Secret that delegation tokens are signed with.
    "delegation.token.secret.key": Password = null, Any, ReadOnly, SERVED;
    /// Longest life of a delegation token.
    "delegation.token.max.lifetime.ms": Long = "604800000", AtLeast(1), ReadOnly, SERVED;
    /// Life of a delegation token between renewals.
    "delegation.token.expiry.time.ms": Long = "86400000", AtLeast(1), ReadOnly, SERVED;
    /// How often expired delegation tokens are looked for.
    "delegation.token.expiry.check.interval.ms": Long = "3600000", AtLeast(1), ReadOnly, SERVED;
}
