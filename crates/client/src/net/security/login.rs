//! A login on a fresh connection (KIP-43, 152).

use std::fmt;
use std::io;

use bytes::Bytes;
use naru_protocol::messages::sasl_authenticate_request::SaslAuthenticateRequest;
use naru_protocol::messages::sasl_handshake_request::SaslHandshakeRequest;
use naru_protocol::{Request, frame};
use naru_security::sasl::{Mechanism, ScramClient, plain_message};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::Stream;

/// The versions that every broker since 1.0 speaks.
const HANDSHAKE: i16 = 1;
const AUTHENTICATE: i16 = 0;
/// Longest answer of a login.
const ANSWER_MAX: usize = 1 << 20;

/// Who logs in, and how.
#[derive(Clone)]
pub(super) struct Credentials {
    pub(super) mechanism: Mechanism,
    pub(super) name: String,
    pub(super) password: String,
    /// Name and password are those of a delegation token.
    pub(super) token: bool,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.name;
        f.debug_struct("Credentials").field("name", name).finish_non_exhaustive()
    }
}

impl Credentials {
    /// Logs in; an error says what the broker says.
    pub(super) async fn log_in(&self, stream: &mut Stream, client_id: &str) -> io::Result<()> {
        let handshake = SaslHandshakeRequest { mechanism: self.mechanism.name().to_owned() };
        let answer = ask(stream, &handshake, HANDSHAKE, client_id).await?;
        if answer.error_code != 0 {
            let (mechanism, served) = (self.mechanism.name(), answer.mechanisms.join(", "));
            return Err(denied(format!("{mechanism} is not offered; there are: {served}")));
        }
        match self.mechanism {
            Mechanism::Plain => {
                let message = plain_message(&self.name, &self.password);
                say(stream, message, client_id).await.map(drop)
            }
            Mechanism::Scram(hash) => {
                let nonce = nonce()?;
                let (mut client, first) =
                    ScramClient::start(hash, &self.name, &self.password, self.token, &nonce);
                let challenge = say(stream, first, client_id).await?;
                let proof = client.prove(&challenge).map_err(|e| denied(e.to_string()))?;
                let answer = say(stream, proof, client_id).await?;
                client.judge(&answer).map_err(|e| denied(e.to_string()))
            }
            Mechanism::OAuthBearer => Err(denied("OAUTHBEARER is not spoken".to_owned())),
        }
    }
}

/// One message of a mechanism, and the broker's.
async fn say(stream: &mut Stream, message: Vec<u8>, client_id: &str) -> io::Result<Bytes> {
    let request = SaslAuthenticateRequest { auth_bytes: message.into() };
    let answer = ask(stream, &request, AUTHENTICATE, client_id).await?;
    if answer.error_code == 0 {
        return Ok(answer.auth_bytes);
    }
    Err(denied(answer.error_message.unwrap_or_else(|| "Authentication failed".to_owned())))
}

async fn ask<R: Request>(
    stream: &mut Stream,
    request: &R,
    version: i16,
    client_id: &str,
) -> io::Result<R::Response> {
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
