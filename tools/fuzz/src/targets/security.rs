//! What is read of somebody who has not logged in yet, and key stores.

use naru_client::net::security::tls;
use naru_security::names::subject_of;
use naru_security::sasl::{
    Jwk, Jwt, JwtRules, OAuthServer, PlainLogin, ScramClient, ScramHash, ScramServer, ScramStart,
    oauth_first_message, plain_message, scram_keys_of,
};

use super::{Memory, Target, as_it_is, joined, parts, texts};

const MEMORY: Memory = Memory { factor: 64, floor: 1 << 20 };
const NONCE: &str = "fyko+d2lbbFgONRv9qkxdawL";
const SALT: &[u8] = b"salt and pepper";

/// All of them.
pub(super) fn targets() -> Vec<Target> {
    vec![
        plain(),
        scram_server(),
        scram_client(),
        oauth(),
        texts(("jwks", "sets of keys that sign tokens"), MEMORY, KEY_SETS, take_keys),
        certificate(),
        pem(),
    ]
}

const KEY_SETS: &[&str] = &[
    r#"{"keys":[{"kty":"RSA","kid":"one","use":"sig","alg":"RS256","n":"AQID","e":"AQAB"},
        {"kty":"EC","crv":"P-256","x":"AQ","y":"Ag=="},{"kty":"EC","crv":"P-384","x":"AQ","y":"Ag"},
        {"kty":"OKP","crv":"Ed25519","kid":"","x":"AQ"},{"kty":"oct","k":"AQ"},7]}"#,
    r#"{"keys":[]}"#,
];

fn take_keys(text: &str) -> bool {
    let Some(keys) = Jwk::parse_set(text) else { return false };
    for key in &keys {
        let algorithm = key.algorithm.as_deref().unwrap_or("RS256");
        assert!(key.may_have_signed(key.id.as_deref(), algorithm), "a key's own name and use fit");
    }
    !keys.is_empty()
}

fn plain() -> Target {
    Target {
        name: "sasl-plain",
        about: "a client's message of PLAIN",
        make: Box::new(|_| plain_message("alice", "secret")),
        repair: as_it_is,
        take: Box::new(|input| {
            let Ok(login) = PlainLogin::parse(input) else { return false };
            let _ = login.check(Some("secret"));
            let again = PlainLogin::parse(&plain_message(&login.name, &login.password));
            assert!(again == Ok(login), "what is read can be said again");
            true
        }),
        memory: MEMORY,
    }
}

/// Both messages of a client.
fn scram_server() -> Target {
    const HASH: ScramHash = ScramHash::Sha256;
    let keys = scram_keys_of(HASH, b"salted", SALT, 4096);
    Target {
        name: "sasl-scram-server",
        about: "a client's messages of SCRAM, as the server reads them",
        make: Box::new(|random| {
            let token = random.once_in(2);
            let (_, first) = ScramClient::start(HASH, "al,i=ce", "secret", token, NONCE);
            let last = format!("c=biws,r={NONCE}3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=");
            joined(&[first, last.into_bytes()])
        }),
        repair: as_it_is,
        take: Box::new(move |input| {
            let parts = parts(input);
            let Some(start) = parts.first().and_then(|part| ScramStart::parse(part).ok()) else {
                return false;
            };
            let (server, _) = ScramServer::start(HASH, &start, keys.clone(), "3rfcNHYJY1ZVvWVs7j");
            // Nobody guesses the proof.
            let proof = parts.get(1).copied().unwrap_or_default();
            assert!(server.finish(proof).is_err(), "a login without the password");
            true
        }),
        memory: MEMORY,
    }
}

/// Both messages of a server. Few iterations are asked for, as each is paid for.
fn scram_client() -> Target {
    Target {
        name: "sasl-scram-client",
        about: "a server's messages of SCRAM, as the client reads them",
        make: Box::new(|_| {
            let first = format!("r={NONCE}3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096");
            joined(&[first.into_bytes(), b"v=rmF9pqV8S7suAoZWja4dJRkFsKQ=".to_vec()])
        }),
        repair: as_it_is,
        take: Box::new(|input| {
            let parts = parts(input);
            let challenge = parts.first().copied().unwrap_or_default();
            let text = String::from_utf8_lossy(challenge);
            let asked = text.split(',').filter_map(|part| part.strip_prefix("i=")?.parse().ok());
            if asked.max().is_some_and(|iterations: i64| iterations > 20_000) {
                return false;
            }
            let (mut client, _) =
                ScramClient::start(ScramHash::Sha256, "alice", "secret", false, NONCE);
            if client.prove(challenge).is_err() {
                return false;
            }
            let judged = client.judge(parts.get(1).copied().unwrap_or_default());
            assert!(judged.is_err(), "a server without the keys");
            true
        }),
        memory: MEMORY,
    }
}

fn oauth() -> Target {
    // {"alg":"none"} and {"sub":"alice","exp":9999999999,"iat":1,"aud":["a"],"iss":"i"}
    const TOKEN: &str = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbGljZSIsImV4cCI6OTk5OTk5OTk5OSwiaWF0Ijox\
                         LCJhdWQiOlsiYSJdLCJpc3MiOiJpIn0.";
    Target {
        name: "sasl-oauth",
        about: "a client's message of OAUTHBEARER, and the token in it",
        make: Box::new(|_| oauth_first_message(TOKEN, &[])),
        repair: as_it_is,
        take: Box::new(|input| {
            let mut server = OAuthServer::default();
            let Ok(step) = server.take(input) else { return false };
            let naru_security::sasl::OAuthStep::Judge { token, .. } = step;
            let rules = JwtRules {
                issuer: Some("i".to_owned()),
                audiences: vec!["a".to_owned()],
                clock_skew_ms: 30_000,
                scope_claim: "scope".to_owned(),
                scopes: Vec::new(),
                needs_issued_at: true,
                subject_claim: "sub".to_owned(),
            };
            Jwt::parse(&token).is_ok_and(|jwt| rules.judge(&jwt, 1_700_000_000_000).is_ok())
        }),
        memory: MEMORY,
    }
}

/// A certificate that names CN=alice, O=Example and was signed by nobody that matters.
const CERTIFICATE: &str = include_str!("../../samples/certificate.pem");

fn der() -> Vec<u8> {
    let chain = tls_identity(CERTIFICATE).expect("the sample is good").0;
    chain.first().map(|one| one.to_vec()).unwrap_or_default()
}

fn tls_identity(text: &str) -> Option<tls::Identity> {
    let settings = |name: &str| match name {
        "ssl.keystore.key" | "ssl.keystore.certificate.chain" => Some(text.to_owned()),
        _ => None,
    };
    tls::identity(&settings).ok().flatten()
}

fn certificate() -> Target {
    let sample = der();
    Target {
        name: "certificate-subject",
        about: "the subject of a certificate",
        make: Box::new(move |_| sample.clone()),
        repair: as_it_is,
        take: Box::new(|input| subject_of(input).is_some()),
        memory: MEMORY,
    }
}

fn pem() -> Target {
    Target {
        name: "pem",
        about: "key stores and trust stores in PEM",
        make: Box::new(|_| CERTIFICATE.as_bytes().to_vec()),
        repair: as_it_is,
        take: Box::new(|input| {
            let text = String::from_utf8_lossy(input).into_owned();
            let settings =
                |name: &str| (name == "ssl.truststore.certificates").then(|| text.clone());
            let trust = tls::trust(&settings);
            tls_identity(&text).is_some() || matches!(trust, Ok(Some(_)))
        }),
        memory: MEMORY,
    }
}
