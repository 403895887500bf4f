//! How a connection is secured: TLS, then a login, as Kafka's clients are told by
//! `security.protocol`, `ssl.*` and `sasl.*`.
//!
//! Public for brokers, which speak to each other the same way and read the same key stores.

mod login;
mod stream;
pub mod tls;

use std::fmt;
use std::io;
use std::sync::Arc;

use naru_security::jaas::JaasEntry;
use naru_security::sasl::Mechanism;
use rustls::ClientConfig as TlsConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use login::Credentials;
pub use stream::Stream;
pub(super) use stream::{ReadHalf, WriteHalf};

/// A setting by its name, none if it is not set.
pub type Lookup<'l> = &'l dyn Fn(&str) -> Option<String>;

/// How connections are secured; not at all by default.
#[derive(Clone, Default)]
pub struct ClientSecurity {
    tls: Option<Arc<TlsConfig>>,
    login: Option<Credentials>,
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
            login: if login { Some(credentials(settings)?) } else { None },
        })
    }

    /// Secures a fresh connection to `host`.
    ///
    /// # Errors
    /// If the handshake or the login fails; the text says why.
    pub async fn secure(&self, tcp: TcpStream, host: &str, client_id: &str) -> io::Result<Stream> {
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
        if let Some(credentials) = &self.login {
            credentials.log_in(&mut stream, client_id).await?;
        }
        Ok(stream)
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
    if mechanism == Mechanism::OAuthBearer {
        return Err("OAUTHBEARER is not spoken by this client".to_owned());
    }
    let (name, password) = (option("username"), option("password"));
    if name.is_empty() {
        return Err("sasl.jaas.config has no username=\"...\"".to_owned());
    }
    let token = entry.option("tokenauth") == Some("true");
    Ok(Credentials { mechanism, name, password, token })
}
