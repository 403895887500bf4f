//! TLS.
//!
//! Rows only; names, types, defaults and bounds are facts of Apache Kafka 4.3.1.

use super::ENTRIES;
use crate::config::row::Validator::{Any, OneOf};
use crate::config::row::config_rows;

config_rows! {
    TLS

    /// Whether clients must, may or need not show a certificate.
    "ssl.client.auth": String = "none", OneOf(&["required", "requested", "none"]), PerBroker, SERVED;
    /// TLS version of the context.
    "ssl.protocol": String = "TLSv1.3", Any, PerBroker, JAVA;
    /// Java security provider for TLS.
    "ssl.provider": String = null, Any, PerBroker, JAVA;
    /// TLS versions offered.
    "ssl.enabled.protocols": List = "TLSv1.2,TLSv1.3", ENTRIES, PerBroker, SERVED;
    /// Cipher suites offered; empty means all.
    "ssl.cipher.suites": List = "", ENTRIES, PerBroker, SERVED;
    /// Format of the key store: JKS, PKCS12 or PEM.
    "ssl.keystore.type": String = "JKS", Any, PerBroker, SERVED;
    /// File of the key store.
    "ssl.keystore.location": String = null, Any, PerBroker, SERVED;
    /// Password of the key store.
    "ssl.keystore.password": Password = null, Any, PerBroker, SERVED;
    /// Private key as PEM text.
    "ssl.keystore.key": Password = null, Any, PerBroker, SERVED;
    /// Certificate chain as PEM text.
    "ssl.keystore.certificate.chain": Password = null, Any, PerBroker, SERVED;
    /// Password of the private key.
    "ssl.key.password": Password = null, Any, PerBroker, SERVED;
    /// Format of the trust store: JKS, PKCS12 or PEM.
    "ssl.truststore.type": String = "JKS", Any, PerBroker, SERVED;
    /// File of the trust store.
    "ssl.truststore.location": String = null, Any, PerBroker, SERVED;
    /// Password of the trust store.
    "ssl.truststore.password": Password = null, Any, PerBroker, SERVED;
    /// Trusted certificates as PEM text.
    "ssl.truststore.certificates": Password = null, Any, PerBroker, SERVED;
    /// Java key manager algorithm.
    "ssl.keymanager.algorithm": String = "SunX509", Any, PerBroker, JAVA;
    /// Java trust manager algorithm.
    "ssl.trustmanager.algorithm": String = "PKIX", Any, PerBroker, JAVA;
    /// Java random source for TLS.
    "ssl.secure.random.implementation": String = null, Any, PerBroker, JAVA;
    /// Java class that makes TLS engines.
    "ssl.engine.factory.class": Class = null, Any, PerBroker, JAVA;
    /// How a server's name is checked; empty means not at all.
    "ssl.endpoint.identification.algorithm": String = "https", Any, PerBroker, SERVED;
    /// Rules that turn a certificate's name into a principal.
    "ssl.principal.mapping.rules": String = "DEFAULT", Any, ReadOnly, SERVED;
    /// Whether a reloaded certificate may change its distinguished name.
    "ssl.allow.dn.changes": Boolean = "false", Any, ReadOnly, SERVED;
    /// Whether a reloaded certificate may lose alternative names.
    "ssl.allow.san.changes": Boolean = "false", Any, ReadOnly, SERVED;
}
