//! Delegation tokens (KIP-48): whoever knows one logs in as its owner.
//!
//! A token is an id and what a secret of the cluster's nodes makes of it. Nobody stores the
//! second: every node that has the secret knows it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::sasl::{ScramHash, ScramKeys, same_secret, scram_keys};

/// What makes a token of its id.
pub fn token_hmac(secret: &str, id: &str) -> Vec<u8> {
    ScramHash::Sha512.hmac(secret.as_bytes(), id.as_bytes())
}

/// Which of these ids `hmac` belongs to.
pub fn token_of_hmac<'i>(
    secret: &str,
    hmac: &[u8],
    mut ids: impl Iterator<Item = &'i str>,
) -> Option<&'i str> {
    ids.find(|id| same_secret(&token_hmac(secret, id), hmac))
}

/// What SCRAM checks of whoever logs in with the token `id`. The salt is made of the secret, so
/// that it is the same for every login and nobody can foresee it.
pub fn token_keys(hash: ScramHash, secret: &str, id: &str) -> ScramKeys {
    let password = BASE64.encode(token_hmac(secret, id));
    let salt = hash.hmac(secret.as_bytes(), format!("salt of {id}").as_bytes());
    scram_keys(hash, &password, &salt, hash.iterations_min().unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sasl::{ScramClient, ScramServer, ScramStart};

    #[test]
    fn a_token_is_what_apache_kafka_makes_of_its_id() {
        // Made by a broker of Apache Kafka 4.3.1 with the secret `secret`.
        let id = "FFSFbYUPSCGsFoU_RTycMA";
        let hmac = "4k67KhTyIj3+sq3Da0Quv8lLtgka7DSUboewzhYqK77ppIF73/3PBLXobjGUD59pF+wDFwTUgT6p3b3Xia+EvA==";
        assert_eq!(BASE64.encode(token_hmac("secret", id)), hmac);
        let hmac = BASE64.decode(hmac).unwrap();
        let found =
            |secret, ids: &[&'static str]| token_of_hmac(secret, &hmac, ids.iter().copied());
        assert_eq!(found("secret", &["other", id]), Some(id));
        assert_eq!(found("secret", &["other"]), None);
        assert_eq!(found("another", &[id]), None);
    }

    #[test]
    fn who_knows_the_token_can_log_in_with_it() {
        for hash in [ScramHash::Sha256, ScramHash::Sha512] {
            let password = BASE64.encode(token_hmac("secret", "id"));
            for (known, is_good) in [(password.as_str(), true), ("guessed", false)] {
                let (mut client, first) = ScramClient::start(hash, "id", known, true, "abc");
                let start = ScramStart::parse(&first).unwrap();
                let keys = token_keys(hash, "secret", &start.name);
                let (server, challenge) = ScramServer::start(hash, &start, keys, "def");
                let proof = client.prove(&challenge).unwrap();
                assert_eq!(server.finish(&proof).is_ok(), is_good);
            }
        }
    }
}
