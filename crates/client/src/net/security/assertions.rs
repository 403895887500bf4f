//! Assertions that are shown to an identity provider: read from a file, or signed here.
//!
//! Files are read each time, so that keys may change. This blocks; only the thread that gets
//! tokens comes here.

use std::path::Path;

use naru_security::bearer::{
    AssertionPlace, AssertionRules, NoToken, SigningAlgorithm, signed_assertion,
};
use ring::rand::{SecureRandom as _, SystemRandom};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};
use rustls::pki_types::PrivateKeyDer;

use super::tls::{KeyError, private_key};
use super::tokens::{now_ms, read_file};

/// An assertion that is good now.
pub(super) fn assertion(place: &AssertionPlace) -> Result<String, NoToken> {
    let rules = match place {
        AssertionPlace::File(path) => return read_text(path),
        AssertionPlace::Signed(rules) => rules,
    };
    let template = rules.template_file.as_deref().map(read_text).transpose()?;
    let template = template.as_ref().map(String::as_bytes);
    let unsigned = rules.unsigned(template, now_ms(), &random_id())?;
    let signature = sign(rules, &unsigned)
        .map_err(|error| NoToken::passing(format!("{}: {error}", rules.key_file)))?;
    Ok(signed_assertion(&unsigned, &signature))
}

fn sign(rules: &AssertionRules, text: &str) -> Result<Vec<u8>, String> {
    let pem = read_text(&rules.key_file).map_err(|error| error.why)?;
    let key = private_key(&pem, rules.passphrase.as_deref()).map_err(|error| match error {
        KeyError::NoPassword => {
            "the key is encrypted; set sasl.oauthbearer.assertion.private.key.passphrase".to_owned()
        }
        KeyError::Wrong(error) => error,
    })?;
    let PrivateKeyDer::Pkcs8(key) = &key else {
        return Err("the key is not of PKCS#8 (BEGIN PRIVATE KEY)".to_owned());
    };
    let (key, random) = (key.secret_pkcs8_der(), SystemRandom::new());
    let failed = |_| "it cannot sign".to_owned();
    match rules.algorithm {
        SigningAlgorithm::Rs256 => {
            let key = RsaKeyPair::from_pkcs8(key).map_err(|error| error.to_string())?;
            let mut signature = vec![0; key.public().modulus_len()];
            key.sign(&RSA_PKCS1_SHA256, &random, text.as_bytes(), &mut signature)
                .map_err(failed)?;
            Ok(signature)
        }
        SigningAlgorithm::Es256 => {
            let kind = &ECDSA_P256_SHA256_FIXED_SIGNING;
            let key = EcdsaKeyPair::from_pkcs8(kind, key, &random).map_err(|e| e.to_string())?;
            let signature = key.sign(&random, text.as_bytes()).map_err(failed)?;
            Ok(signature.as_ref().to_vec())
        }
    }
}

fn read_text(path: &str) -> Result<String, NoToken> {
    let bytes = read_file(Path::new(path));
    let bytes = bytes.map_err(|error| NoToken::passing(format!("{path}: {error}")))?;
    String::from_utf8(bytes).map_err(|_| NoToken::passing(format!("{path}: it is no text")))
}

/// 128 random bits.
fn random_id() -> String {
    let mut bytes = [0; 16];
    // Without random bits the provider says that it has seen the id before.
    let _ = SystemRandom::new().fill(&mut bytes);
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD as BASE64URL};
    use naru_security::bearer::{Asking, BearerRules, TokenPlace};
    use naru_security::jaas::JaasEntry;
    use ring::signature::{ECDSA_P256_SHA256_FIXED, KeyPair as _, UnparsedPublicKey};

    use super::*;

    #[test]
    fn an_assertion_is_signed_with_the_key_of_the_file() {
        use std::fmt::Write as _;
        let document =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new())
                .unwrap();
        let der = document.as_ref();
        let path = std::env::temp_dir().join(format!("naru-assertion-{}", std::process::id()));
        let mut pem = "-----BEGIN PRIVATE KEY-----\n".to_owned();
        writeln!(pem, "{}\n-----END PRIVATE KEY-----", STANDARD.encode(der)).unwrap();
        std::fs::write(&path, pem).unwrap();
        let key_file = path.display().to_string();
        let lookup = |name: &str| {
            Some(match name {
                "sasl.oauthbearer.token.endpoint.url" => "http://id/".to_owned(),
                "sasl.oauthbearer.assertion.algorithm" => "ES256".to_owned(),
                "sasl.oauthbearer.assertion.claim.iss" => "me".to_owned(),
                "sasl.oauthbearer.assertion.private.key.file" => key_file.clone(),
                _ => return None,
            })
        };
        let entry = JaasEntry::parse("OAuthBearerLoginModule required;").unwrap();
        let rules = BearerRules::read(&lookup, &entry).unwrap();
        let TokenPlace::Endpoint { asking: Asking::Assertion(place, _), .. } = &rules.place else {
            panic!("{rules:?}")
        };
        let text = assertion(place).unwrap();
        let (signed, signature) = text.rsplit_once('.').unwrap();
        let pair =
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der, &SystemRandom::new());
        let pair = pair.unwrap();
        let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, pair.public_key().as_ref());
        public.verify(signed.as_bytes(), &BASE64URL.decode(signature).unwrap()).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert!(assertion(place).unwrap_err().why.contains("naru-assertion"));
    }
}
