//! A login, on a fresh connection or again on one that is in use (KIP-43, 152, 368).

use std::fmt;
use std::io;
use std::time::{Duration, Instant};

use bytes::Bytes;
use naru_protocol::messages::api_versions_request::ApiVersionsRequest;
use naru_protocol::messages::sasl_authenticate_request::SaslAuthenticateRequest;
use naru_protocol::messages::sasl_handshake_request::SaslHandshakeRequest;
use naru_protocol::{Request, frame};
use naru_security::bearer::renewal_of_session;
use naru_security::sasl::{Mechanism, OAUTH_ACKNOWLEDGED, ScramClient, ScramHash, plain_message};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::Stream;
use super::tokens::{TokenSource, random};
use crate::net::{Connection, Versions};

/// The version that every broker since 1.0 speaks.
const HANDSHAKE: i16 = 1;
/// Longest answer of a login.
const ANSWER_MAX: usize = 1 << 20;
/// Characters of a broker's refusal that are told at most.
const TOLD_MAX: usize = 200;

/// Who logs in, and how.
#[derive(Debug)]
pub(super) enum Credentials {
    /// By PLAIN.
    Plain(NameAndPassword),
    /// By SCRAM.
    Scram(ScramHash, NameAndPassword),
    /// By OAUTHBEARER.
    Token(TokenSource),
}

/// A user, or a delegation token.
pub(super) struct NameAndPassword {
    pub(super) name: String,
    pub(super) password: String,
    /// Name and password are those of a delegation token.
    pub(super) token: bool,
}

impl fmt::Debug for NameAndPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NameAndPassword").field("name", &self.name).finish_non_exhaustive()
    }
}

/// How long a login holds.
#[derive(Debug, Clone, Copy, Default)]
pub struct Session {
    renews: Option<Instant>,
    /// The version of SaslAuthenticate that both sides speak.
    authenticate: i16,
}

impl Session {
    /// Whether it is time to log in again; it never is where logins do not end.
    pub fn is_due(&self) -> bool {
        self.renews.is_some_and(|at| at <= Instant::now())
    }

    /// Whether it ends at all.
    pub(in crate::net) const fn ends(&self) -> bool {
        self.renews.is_some()
    }
}

/// A connection to log in on. Nothing else is under way on it.
pub(in crate::net) enum Link<'c> {
    /// By itself.
    Bare { stream: &'c mut Stream, client_id: &'c str },
    /// With tasks that read and write.
    Shared(&'c Connection),
}

/// A broker's part of an exchange, and how long the session lasts if it begins with it.
type Said = (Bytes, Option<Duration>);

impl Credentials {
    /// Logs in on a connection that is new.
    pub(super) async fn log_in(&self, mut link: Link<'_>) -> io::Result<Session> {
        // Since 2.2 brokers tell how long a session lasts; who asks nothing first is not told.
        let versions = link.ask(&ApiVersionsRequest::default(), 0).await?;
        let versions = Versions::of(&versions);
        let authenticate = versions.pick::<SaslAuthenticateRequest>(i16::MAX).unwrap_or(0);
        self.log_in_again(link, Session { authenticate, renews: None }).await
    }

    /// Logs in on a connection whose broker is known; an error says what the broker says.
    pub(super) async fn log_in_again(
        &self,
        mut link: Link<'_>,
        before: Session,
    ) -> io::Result<Session> {
        let Session { authenticate, .. } = before;
        // What takes time comes first: between handshake and proof the broker waits for nothing else.
        let token = match self {
            Self::Token(source) => Some((source, source.token().await?)),
            Self::Plain(_) | Self::Scram(..) => None,
        };
        let began = Instant::now();
        let mechanism = self.mechanism().name();
        let handshake = SaslHandshakeRequest { mechanism: mechanism.to_owned() };
        let answer = link.ask(&handshake, HANDSHAKE).await?;
        if answer.error_code != 0 {
            let served = answer.mechanisms.join(", ");
            return Err(denied(format!("{mechanism} is not offered; there are: {served}")));
        }
        let (_, lifetime) = match (self, token) {
            (Self::Plain(who), _) => {
                link.say(plain_message(&who.name, &who.password), authenticate).await?
            }
            (Self::Scram(hash, who), _) => {
                let nonce = nonce()?;
                let (mut client, first) =
                    ScramClient::start(*hash, &who.name, &who.password, who.token, &nonce);
                let (challenge, _) = link.say(first, authenticate).await?;
                let proof = client.prove(&challenge).map_err(|e| denied(e.to_string()))?;
                let said = link.say(proof, authenticate).await?;
                client.judge(&said.0).map_err(|e| denied(e.to_string()))?;
                said
            }
            (Self::Token(_), Some((source, token))) => {
                let first = token.first_message(source.extensions());
                let said = link.say(first, authenticate).await?;
                if !said.0.is_empty() {
                    return Err(refused(&mut link, &said.0, &token.subject, authenticate).await);
                }
                said
            }
            (Self::Token(_), None) => return Err(denied("there is no token".to_owned())),
        };
        let renews = lifetime.map(|lifetime| began + renewal_of_session(lifetime, random()));
        Ok(Session { renews, authenticate })
    }

    const fn mechanism(&self) -> Mechanism {
        match self {
            Self::Plain(_) => Mechanism::Plain,
            Self::Scram(hash, _) => Mechanism::Scram(*hash),
            Self::Token(_) => Mechanism::OAuthBearer,
        }
    }
}

/// What a broker says of a token that it does not take. It ends the exchange when it knows that
/// this was read.
async fn refused(link: &mut Link<'_>, why: &[u8], subject: &str, version: i16) -> io::Error {
    let why = String::from_utf8_lossy(why);
    let why: String = why.chars().flat_map(char::escape_debug).take(TOLD_MAX).collect();
    // It answers with an error that says the same.
    let _ = link.say(OAUTH_ACKNOWLEDGED.to_vec(), version).await;
    denied(format!("OAUTHBEARER: the token of {subject} is refused: {why}"))
}

impl Link<'_> {
    /// One message of a mechanism, and the broker's.
    async fn say(&mut self, message: Vec<u8>, version: i16) -> io::Result<Said> {
        let request = SaslAuthenticateRequest { auth_bytes: message.into() };
        let answer = self.ask(&request, version).await?;
        if answer.error_code == 0 {
            let lifetime = u64::try_from(answer.session_lifetime_ms).ok().filter(|ms| *ms > 0);
            return Ok((answer.auth_bytes, lifetime.map(Duration::from_millis)));
        }
        Err(denied(answer.error_message.unwrap_or_else(|| "Authentication failed".to_owned())))
    }

    async fn ask<R: Request>(&mut self, request: &R, version: i16) -> io::Result<R::Response> {
        let (stream, client_id) = match self {
            Self::Bare { stream, client_id } => (stream, *client_id),
            Self::Shared(connection) => return connection.ask_of_login(request, version).await,
        };
        stream.write_all(&frame::request(request, version, 0, client_id)).await?;
        stream.flush().await?;
        let length = stream.read_i32().await?;
        let length = usize::try_from(length).ok().filter(|length| *length <= ANSWER_MAX);
        let length = length.ok_or(io::ErrorKind::InvalidData)?;
        let mut bytes = vec![0; length];
        stream.read_exact(&mut bytes).await?;
        let read = frame::read_response::<R>(&bytes.into(), version);
        read.map(|(_, answer)| answer).map_err(io::Error::other)
    }
}

fn denied(text: String) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, text)
}

fn nonce() -> io::Result<String> {
    use ring::rand::SecureRandom as _;
    let mut bytes = [0; 20];
    let random = ring::rand::SystemRandom::new();
    random.fill(&mut bytes).map_err(|_| io::Error::other("no random bits"))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
