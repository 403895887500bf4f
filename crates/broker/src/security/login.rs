//! A connection's login, message by message (KIP-43, 152, 368).
//!
//! Invariant: until somebody is logged in, no request but ApiVersions reaches a handler; a
//! session that is over lets nothing through but a new login of the same principal by the same
//! mechanism. Memory is bounded by `sasl.server.max.receive.size` and the longest message of a
//! mechanism.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use naru_controller::controller::is_token_expired;
use naru_model::ErrorCode;
use naru_protocol::api::ApiKey;
use naru_protocol::frame::RequestHeader;
use naru_protocol::messages::sasl_authenticate_request::SaslAuthenticateRequest;
use naru_protocol::messages::sasl_authenticate_response::SaslAuthenticateResponse;
use naru_protocol::messages::sasl_handshake_request::SaslHandshakeRequest;
use naru_protocol::messages::sasl_handshake_response::SaslHandshakeResponse;
use naru_protocol::{Message, Reader};
use naru_security::Principal;
use naru_security::sasl::{
    Mechanism, OAuthServer, OAuthStep, PlainLogin, SaslError, ScramHash, ScramKeys, ScramServer,
    ScramStart,
};

use super::ListenerSecurity;
use super::listeners::SaslRules;
use crate::dispatch::Reply;
use crate::listener::{Answer, ConnectionInfo, Outgoing, Refusal};
use crate::node::Node;

/// First version of SaslHandshake whose tokens come in SaslAuthenticate requests.
const FRAMED_SINCE: i16 = 1;
/// Characters of a text that go into a line of the log at most: whoever is not logged in yet may
/// have chosen it.
const LOGGED_MAX: usize = 200;

/// See the module.
#[derive(Debug)]
pub(crate) struct Login {
    security: Arc<ListenerSecurity>,
    stage: Stage,
    session: Option<Session>,
}

#[derive(Debug)]
enum Stage {
    /// A handshake is expected, or, with a session, anything.
    Open,
    /// A mechanism's messages are expected: in SaslAuthenticate requests or bare.
    Tokens { exchange: Exchange, framed: bool },
    /// It failed; the connection is about to end.
    Failed,
}

/// Where a mechanism stands.
#[derive(Debug)]
enum Exchange {
    Plain,
    OAuth(OAuthServer),
    ScramStart(ScramHash),
    ScramProof { server: Box<ScramServer>, hash: ScramHash, who: Named },
}

/// Whom a proof is about.
#[derive(Debug)]
struct Named {
    principal: Principal,
    /// When what they prove to know is over, in milliseconds since 1970.
    ends_ms: Option<i64>,
}

/// Who is logged in, and until when.
#[derive(Debug)]
struct Session {
    mechanism: Mechanism,
    principal: Principal,
    ends: Option<Instant>,
}

/// An answer to a mechanism's message, and how long the session lasts if it begins with it.
type Said = (Vec<u8>, Option<Duration>);

/// What a message of a mechanism leads to.
enum Outcome {
    Goes { exchange: Exchange, bytes: Vec<u8> },
    Done { who: Named, bytes: Vec<u8> },
}

impl Login {
    /// The login that a listener asks for; none if it asks for none.
    pub(crate) fn of(security: &Arc<ListenerSecurity>) -> Option<Self> {
        security.sasl.is_some().then(|| Self {
            security: Arc::clone(security),
            stage: Stage::Open,
            session: None,
        })
    }

    /// Largest frame that is taken now.
    pub(crate) fn frame_max(&self, usual: usize) -> usize {
        match &self.session {
            Some(_) => usual,
            None => usual.min(self.rules().map_or(0, |rules| rules.receive_max)),
        }
    }

    fn rules(&self) -> Option<&SaslRules> {
        self.security.sasl.as_ref()
    }

    /// Takes a frame; none if it is for a handler. A login that succeeds changes `info`.
    pub(crate) fn take(
        &mut self,
        node: &Arc<Node>,
        info: &mut Arc<ConnectionInfo>,
        frame: &Bytes,
    ) -> Option<Answer> {
        if let Stage::Failed = self.stage {
            return Some(Answer::Nothing);
        }
        if let Stage::Tokens { framed: false, .. } = self.stage {
            return Some(self.bare_token(node, info, frame));
        }
        let mut reader = Reader::new(frame);
        let header = match RequestHeader::read(&mut reader) {
            Ok(header) => header,
            Err(error) => return Some(Answer::Close(Refusal::MalformedHeader(error))),
        };
        let api = ApiKey::from_key(header.api_key)?;
        let reply =
            Reply { api, version: header.api_version, correlation_id: header.correlation_id };
        match (api, &self.stage) {
            (ApiKey::SaslHandshake, Stage::Open) if self.may_begin() => {
                Some(self.handshake(node, info, reply, &reader.rest()))
            }
            (ApiKey::SaslAuthenticate, Stage::Tokens { .. }) => {
                Some(self.framed_token(node, info, reply, &reader.rest()))
            }
            (ApiKey::ApiVersions, Stage::Open) => None,
            (_, Stage::Open) if self.session.is_some() => match self.is_over() {
                true => Some(Answer::Close(Refusal::SessionOver)),
                false => None,
            },
            _ => Some(Answer::Close(Refusal::NotLoggedIn { api: api.name() })),
        }
    }

    /// Whether a login may begin: nobody is logged in, or sessions end.
    fn may_begin(&self) -> bool {
        self.session.as_ref().is_none_or(|session| session.ends.is_some())
    }

    fn is_over(&self) -> bool {
        let ends = self.session.as_ref().and_then(|session| session.ends);
        ends.is_some_and(|ends| ends <= Instant::now())
    }

    fn handshake(
        &mut self,
        node: &Arc<Node>,
        info: &ConnectionInfo,
        reply: Reply,
        body: &Bytes,
    ) -> Answer {
        let request = match read::<SaslHandshakeRequest>(reply, body) {
            Ok(request) => request,
            Err(refusal) => return refusal,
        };
        let Some(rules) = self.security.sasl.as_ref() else { return Answer::Nothing };
        let mechanisms: Vec<String> =
            rules.mechanisms.iter().map(|mechanism| mechanism.name().to_owned()).collect();
        let mechanism = Mechanism::from_name(&request.mechanism)
            .filter(|mechanism| rules.mechanisms.contains(mechanism));
        let Some(mechanism) = mechanism else {
            let error_code = ErrorCode::UnsupportedSaslMechanism.code();
            let answer = reply.frame(SaslHandshakeResponse { error_code, mechanisms });
            return self.fail(node, info, Some(answer), "a mechanism that is not served");
        };
        if self.session.as_ref().is_some_and(|session| session.mechanism != mechanism) {
            let error_code = ErrorCode::IllegalSaslState.code();
            let answer = reply.frame(SaslHandshakeResponse { error_code, mechanisms });
            return self.fail(node, info, Some(answer), "another mechanism than before");
        }
        let exchange = match mechanism {
            Mechanism::Plain => Exchange::Plain,
            Mechanism::Scram(hash) => Exchange::ScramStart(hash),
            Mechanism::OAuthBearer => Exchange::OAuth(OAuthServer::default()),
        };
        self.stage = Stage::Tokens { exchange, framed: reply.version >= FRAMED_SINCE };
        Answer::Send(reply.frame(SaslHandshakeResponse { error_code: 0, mechanisms }))
    }

    fn framed_token(
        &mut self,
        node: &Arc<Node>,
        info: &mut Arc<ConnectionInfo>,
        reply: Reply,
        body: &Bytes,
    ) -> Answer {
        let request = match read::<SaslAuthenticateRequest>(reply, body) {
            Ok(request) => request,
            Err(refusal) => return refusal,
        };
        match self.token(node, info, &request.auth_bytes) {
            Ok((bytes, lifetime)) => {
                let session_lifetime_ms = lifetime.map_or(0, |time| time.as_millis());
                Answer::Send(reply.frame(SaslAuthenticateResponse {
                    auth_bytes: bytes.into(),
                    session_lifetime_ms: i64::try_from(session_lifetime_ms).unwrap_or(i64::MAX),
                    ..Default::default()
                }))
            }
            Err((mechanism, error)) => {
                let told = match &error {
                    SaslError::Told(text) => text.clone(),
                    SaslError::Untold(_) => format!(
                        "Authentication failed during authentication due to invalid credentials \
                         with SASL mechanism {mechanism}"
                    ),
                };
                let answer = reply.frame(SaslAuthenticateResponse {
                    error_code: ErrorCode::SaslAuthenticationFailed.code(),
                    error_message: Some(told),
                    ..Default::default()
                });
                self.fail(node, info, Some(answer), &error.to_string())
            }
        }
    }

    /// A token without a header, as clients before KIP-152 send it.
    fn bare_token(
        &mut self,
        node: &Arc<Node>,
        info: &mut Arc<ConnectionInfo>,
        frame: &Bytes,
    ) -> Answer {
        match self.token(node, info, frame) {
            Ok((bytes, _)) => Answer::Send(Outgoing::framed(&bytes)),
            Err((_, error)) => self.fail(node, info, None, &error.to_string()),
        }
    }

    /// Takes a mechanism's message: the answer, and how long the session lasts if it begins.
    fn token(
        &mut self,
        node: &Arc<Node>,
        info: &mut Arc<ConnectionInfo>,
        message: &[u8],
    ) -> Result<Said, (&'static str, SaslError)> {
        let Stage::Tokens { exchange, framed } = std::mem::replace(&mut self.stage, Stage::Failed)
        else {
            return Err(("", SaslError::Untold("no handshake")));
        };
        let mechanism = exchange.mechanism();
        let failed = |error| (mechanism.name(), error);
        let rules = self.security.sasl.as_ref();
        let rules = rules.ok_or_else(|| failed(SaslError::Untold("no logins here")))?;
        match exchange.advance(node, rules, message).map_err(failed)? {
            Outcome::Goes { exchange, bytes } => {
                self.stage = Stage::Tokens { exchange, framed };
                Ok((bytes, None))
            }
            Outcome::Done { who: Named { principal, ends_ms }, bytes } => {
                if self.session.as_ref().is_some_and(|before| before.principal != principal) {
                    let error = "Cannot change principals during re-authentication";
                    return Err(failed(SaslError::Told(error.to_owned())));
                }
                let left = ends_ms.map(|at| crate::node::millis(at.saturating_sub(node.now().0)));
                let lifetime = rules.reauth.get(&mechanism).copied();
                let lifetime = [lifetime, left].into_iter().flatten().min();
                let ends = lifetime.map(|lifetime| Instant::now() + lifetime);
                self.stage = Stage::Open;
                *info = Arc::new(ConnectionInfo {
                    principal: principal.clone(),
                    ..ConnectionInfo::clone(info)
                });
                self.session = Some(Session { mechanism, principal, ends });
                Ok((bytes, lifetime))
            }
        }
    }

    /// Ends the connection after a while, so that guessing takes long.
    fn fail(
        &mut self,
        node: &Arc<Node>,
        info: &ConnectionInfo,
        answer: Option<Outgoing>,
        why: &str,
    ) -> Answer {
        self.stage = Stage::Failed;
        let (listener, host) = (&*info.listener, &*info.host);
        let why = loggable(why);
        tracing::info!(target: "audit.login", listener, host, "login failed: {why}");
        node.metrics().refused_connections.add(1);
        let delay = self.rules().map_or(Duration::ZERO, |rules| rules.failure_delay);
        Answer::Later(Box::pin(async move {
            tokio::time::sleep(delay).await;
            match answer {
                Some(answer) => Answer::SendAndClose(answer, Refusal::LoginFailed),
                None => Answer::Close(Refusal::LoginFailed),
            }
        }))
    }
}

impl Exchange {
    const fn mechanism(&self) -> Mechanism {
        match self {
            Self::Plain => Mechanism::Plain,
            Self::OAuth(_) => Mechanism::OAuthBearer,
            Self::ScramStart(hash) | Self::ScramProof { hash, .. } => Mechanism::Scram(*hash),
        }
    }

    fn advance(
        self,
        node: &Arc<Node>,
        rules: &SaslRules,
        message: &[u8],
    ) -> Result<Outcome, SaslError> {
        match self {
            Self::Plain => {
                let login = PlainLogin::parse(message)?;
                login.check(rules.plain_users.get(&login.name).map(String::as_str))?;
                Ok(Outcome::Done { who: Named::user(login.name), bytes: Vec::new() })
            }
            Self::OAuth(server) => judge_token(node, rules, server, message),
            Self::ScramStart(hash) => {
                let start = ScramStart::parse(message)?;
                let (keys, who) = keys_of(node, hash, &start)?;
                let (server, bytes) = ScramServer::start(hash, &start, keys, &nonce()?);
                let exchange = Self::ScramProof { server: Box::new(server), hash, who };
                Ok(Outcome::Goes { exchange, bytes })
            }
            Self::ScramProof { server, who, .. } => {
                let bytes = server.finish(message)?;
                Ok(Outcome::Done { who, bytes })
            }
        }
    }
}

/// Takes a message of OAUTHBEARER.
fn judge_token(
    node: &Node,
    rules: &SaslRules,
    mut server: OAuthServer,
    message: &[u8],
) -> Result<Outcome, SaslError> {
    let OAuthStep::Judge { token, authorization } = server.take(message)?;
    let judge = rules.oauth.as_ref().ok_or(SaslError::Untold("no tokens here"))?;
    match judge.judge(&token, node.now().0) {
        Ok(claims) if authorization.is_empty() || authorization == claims.subject => {
            let principal = Principal::user(claims.subject);
            let who = Named { principal, ends_ms: Some(claims.expires_ms) };
            Ok(Outcome::Done { who, bytes: Vec::new() })
        }
        Ok(claims) => Err(SaslError::Told(format!(
            "Authentication failed: Client requested an authorization id ({authorization}) that is \
             different from the token's principal name ({})",
            claims.subject
        ))),
        Err(error) => {
            let why = loggable(&error.to_string());
            tracing::info!(target: "audit.login", "a token was refused: {why}");
            let bytes = server.refuse(&error);
            Ok(Outcome::Goes { exchange: Exchange::OAuth(server), bytes })
        }
    }
}

impl Named {
    fn user(name: String) -> Self {
        Self { principal: Principal::user(name), ends_ms: None }
    }
}

/// What is checked of whoever begins so, and who it is.
fn keys_of(
    node: &Node,
    hash: ScramHash,
    start: &ScramStart,
) -> Result<(ScramKeys, Named), SaslError> {
    let image = node.image();
    if start.token {
        let token = image.delegation_token(&start.name);
        let token = token.filter(|token| !is_token_expired(token, node.now().0));
        let token = token.ok_or(SaslError::Untold("no such token"))?;
        let keys = node.security().tokens().keys(hash, &token.token_id);
        let keys = keys.ok_or(SaslError::Untold("no delegation tokens here"))?;
        let owner = Principal::parse(&token.owner).map_err(|_| SaslError::Untold("no owner"))?;
        let principal = Principal { token_authenticated: true, ..owner };
        let ends_ms = Some(token.expiration_timestamp.min(token.max_timestamp));
        return Ok((keys, Named { principal, ends_ms }));
    }
    let record = image.scram_credential(&start.name, hash.code());
    let record = record.ok_or(SaslError::Untold("no such user"))?;
    let keys = ScramKeys {
        salt: record.salt.to_vec(),
        iterations: record.iterations,
        stored_key: record.stored_key.to_vec(),
        server_key: record.server_key.to_vec(),
    };
    Ok((keys, Named::user(start.name.clone())))
}

/// A text as one line of the log takes it: escaped and no longer than [`LOGGED_MAX`].
fn loggable(text: &str) -> String {
    text.chars().flat_map(char::escape_debug).take(LOGGED_MAX).collect()
}

/// 160 random bits in letters and digits.
fn nonce() -> Result<String, SaslError> {
    use ring::rand::SecureRandom as _;
    let mut bytes = [0; 20];
    ring::rand::SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| SaslError::Untold("no random bits"))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn read<M: Message>(reply: Reply, body: &Bytes) -> Result<M, Answer> {
    let api = reply.api.name();
    if !M::VERSIONS.contains(&reply.version) {
        return Err(Answer::Close(Refusal::UnservedVersion { api, version: reply.version }));
    }
    M::from_bytes(body, reply.version)
        .map_err(|error| Answer::Close(Refusal::Malformed { api, error }))
}

#[cfg(test)]
mod tests {
    use super::{LOGGED_MAX, loggable};

    #[test]
    fn what_strangers_send_stays_in_its_line_of_the_log() {
        assert_eq!(loggable("no such user"), "no such user");
        assert_eq!(loggable("a\nb\0\u{1b}[1m"), "a\\nb\\0\\u{1b}[1m");
        assert_eq!(loggable(&"\n".repeat(LOGGED_MAX)).len(), LOGGED_MAX);
    }
}
