//! SASL.
//!
//! Rows only; names, types, defaults and bounds are facts of Apache Kafka 4.3.1.

use super::ENTRIES;
use crate::config::row::Validator::Any;
use crate::config::row::config_rows;

config_rows! {
    SASL

    /// SASL mechanisms offered.
    "sasl.enabled.mechanisms": List = "GSSAPI", ENTRIES, PerBroker, SERVED;
    /// SASL mechanism between brokers.
    "sasl.mechanism.inter.broker.protocol": String = "GSSAPI", Any, PerBroker, SERVED;
    /// SASL mechanism towards controllers.
    "sasl.mechanism.controller.protocol": String = "GSSAPI", Any, ReadOnly, SERVED;
    /// Login settings in JAAS form.
    "sasl.jaas.config": Password = null, Any, PerBroker, SERVED;
    /// Largest SASL message taken before login.
    "sasl.server.max.receive.size": Int = "524288", Any, ReadOnly, SERVED;
    /// Java class that answers the SASL client's questions.
    "sasl.client.callback.handler.class": Class = null, Any, ReadOnly, JAVA;
    /// Java class that checks SASL logins.
    "sasl.server.callback.handler.class": Class = null, Any, ReadOnly, SERVED;
    /// Java class that answers login questions.
    "sasl.login.callback.handler.class": Class = null, Any, ReadOnly, SERVED;
    /// Java class that logs in.
    "sasl.login.class": Class = null, Any, ReadOnly, JAVA;
    /// Connect timeout towards an identity provider.
    "sasl.login.connect.timeout.ms": Int = null, Any, ReadOnly, SERVED;
    /// Read timeout towards an identity provider.
    "sasl.login.read.timeout.ms": Int = null, Any, ReadOnly, SERVED;
    /// First pause before a login is tried again.
    "sasl.login.retry.backoff.ms": Long = "100", Any, ReadOnly, SERVED;
    /// Longest pause before a login is tried again.
    "sasl.login.retry.backoff.max.ms": Long = "10000", Any, ReadOnly, SERVED;
    /// Share of a credential's life after which it is renewed.
    "sasl.login.refresh.window.factor": Double = "0.8", Any, PerBroker, SERVED;
    /// Random share added to that time.
    "sasl.login.refresh.window.jitter": Double = "0.05", Any, PerBroker, SERVED;
    /// Shortest time between two renewals.
    "sasl.login.refresh.min.period.seconds": Short = "60", Any, PerBroker, SERVED;
    /// Time before expiry that a renewal keeps free.
    "sasl.login.refresh.buffer.seconds": Short = "300", Any, PerBroker, SERVED;
    /// Service name brokers run under.
    "sasl.kerberos.service.name": String = null, Any, PerBroker, KERBEROS;
    /// Path of kinit.
    "sasl.kerberos.kinit.cmd": String = "/usr/bin/kinit", Any, PerBroker, KERBEROS;
    /// Share of a ticket's life after which it is renewed.
    "sasl.kerberos.ticket.renew.window.factor": Double = "0.8", Any, PerBroker, KERBEROS;
    /// Random share added to that time.
    "sasl.kerberos.ticket.renew.jitter": Double = "0.05", Any, PerBroker, KERBEROS;
    /// Shortest time between two ticket renewals.
    "sasl.kerberos.min.time.before.relogin": Long = "60000", Any, PerBroker, KERBEROS;
    /// Rules that turn a Kerberos name into a principal.
    "sasl.kerberos.principal.to.local.rules": List = "DEFAULT", ENTRIES, PerBroker, KERBEROS;
}
