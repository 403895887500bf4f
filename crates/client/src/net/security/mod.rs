//! How a connection is secured: TLS, then a login, as Kafka's clients are told by
//! `security.protocol`, `ssl.*` and `sasl.*`.
//!
//! Public for brokers, which speak to each other the same way and read the same key stores.

mod assertions;
mod login;
mod stream;
pub mod tls;
mod tokens;

use std::fmt;
use std::io;
use std::sync::Arc;

use naru_security::jaas::JaasEntry;
use naru_security::sasl::Mechanism;
use rustls::ClientConfig as TlsConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

pub(super) use login::Link;
pub use login::Session;
use login::{Credentials, NameAndPassword};
pub use stream::Stream;
pub(super) use stream::{ReadHalf, WriteHalf};
use tokens::TokenSource;

/// Who answers questions of a login in Apache Kafka: served for OAUTHBEARER only.
const HANDLER: &str = "sasl.login.callback.handler.class";

/// A setting by its name, none if it is not set.
pub type Lookup<'l> = &'l dyn Fn(&str) -> Option<String>;

/// How connections are secured; not at all by default.
#[derive(Clone, Default)]
pub struct ClientSecurity {
    tls: Option<Arc<TlsConfig>>,
    login: Option<Arc<Credentials>>,
}

impl fmt::Debug for ClientSecurity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (tls, login) = (self.tls.is_some(), self.login.is_some());
        f.debug_struct("ClientSecurity").field("tls", &tls).field("login", &login).finish()
    }
}

impl ClientSecurity {
    /// Reads `security.protocol` and what it needs.
    ///
    /// # Errors
    /// What is missing or wrong, in words.
    pub fn read(settings: Lookup<'_>) -> Result<Self, String> {
        let protocol = settings("security.protocol").unwrap_or_else(|| "PLAINTEXT".to_owned());
        let (tls, login) = match protocol.to_ascii_uppercase().as_str() {
            "PLAINTEXT" => (false, false),
            "SSL" => (true, false),
            "SASL_PLAINTEXT" => (false, true),
            "SASL_SSL" => (true, true),
            _ => return Err(format!("security.protocol: there is no {protocol}")),
        };
        Ok(Self {
            tls: if tls { Some(Arc::new(tls::client_config(settings)?)) } else { None },
            login: if login { Some(Arc::new(credentials(settings)?)) } else { None },
        })
    }

    /// Secures a fresh connection to `host`, and says how long that holds.
    ///
    /// # Errors
    /// If the handshake or the login fails; the text says why.
    pub async fn secure(
        &self,
        tcp: TcpStream,
        host: &str,
        client_id: &str,
    ) -> io::Result<(Stream, Session)> {
        let mut stream = match &self.tls {
            None => Stream::Plain(tcp),
            Some(config) => {
                let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
                let name = ServerName::try_from(host).map_err(io::Error::other)?;
                let connector = TlsConnector::from(Arc::clone(config));
                let tls = connector.connect(name, tcp).await.map_err(|error| {
                    io::Error::new(error.kind(), format!("TLS handshake failed: {error}"))
                })?;
                Stream::Tls(Box::new(tls))
            }
        };
        let session = match &self.login {
            Some(login) => login.log_in(Link::Bare { stream: &mut stream, client_id }).await?,
            None => Session::default(),
        };
        Ok((stream, session))
    }

    /// Logs in again on a connection on which no answer is awaited (KIP-368).
    ///
    /// # Errors
    /// If the login fails; the connection is of no use then.
    pub async fn renew(
        &self,
        stream: &mut Stream,
        client_id: &str,
        session: Session,
    ) -> io::Result<Session> {
        self.renew_on(Link::Bare { stream, client_id }, session).await
    }

    pub(super) async fn renew_on(&self, link: Link<'_>, session: Session) -> io::Result<Session> {
        match &self.login {
            Some(login) => login.log_in_again(link, session).await,
            None => Ok(Session::default()),
        }
    }
}

fn credentials(settings: Lookup<'_>) -> Result<Credentials, String> {
    let name = settings("sasl.mechanism").unwrap_or_else(|| "GSSAPI".to_owned());
    let mechanism = Mechanism::from_name(&name).ok_or_else(|| {
        let served = Mechanism::ALL.map(Mechanism::name).join(", ");
        format!("sasl.mechanism: {name} is not spoken; there are {served}")
    })?;
    let jaas = settings("sasl.jaas.config").ok_or("sasl.jaas.config is not set")?;
    let entry = JaasEntry::parse(&jaas).map_err(|error| format!("sasl.jaas.config: {error}"))?;
    let option = |name: &str| entry.option(name).unwrap_or_default().to_owned();
    let who = || {
        if let Some(class) = settings(HANDLER).filter(|class| !class.trim().is_empty()) {
            return Err(format!("{HANDLER}: no Java class can be loaded, so there is no {class}"));
        }
        let (name, password) = (option("username"), option("password"));
        if name.is_empty() {
            return Err("sasl.jaas.config has no username=\"...\"".to_owned());
        }
        let token = entry.option("tokenauth") == Some("true");
        Ok(NameAndPassword { name, password, token })
    };
    Ok(match mechanism {
        Mechanism::Plain => Credentials::Plain(who()?),
        Mechanism::Scram(hash) => Credentials::Scram(hash, who()?),
        Mechanism::OAuthBearer => Credentials::Token(TokenSource::read(settings, &entry)?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_that_would_know_the_password_is_refused() {
        let read = |handler: Option<&str>| {
            ClientSecurity::read(&|name| {
                Some(match name {
                    "security.protocol" => "SASL_PLAINTEXT".to_owned(),
                    "sasl.mechanism" => "SCRAM-SHA-256".to_owned(),
                    "sasl.jaas.config" => "a.B required username=\"a\";".to_owned(),
                    HANDLER => handler?.to_owned(),
                    _ => return None,
                })
            })
        };
        assert!(read(None).is_ok());
        assert!(read(Some("corp.Vault")).unwrap_err().contains("no corp.Vault"));
    }
}
