//! `--add-scram`: users that a cluster begins with (KIP-900).
//!
//! `MECHANISM=[name=alice,password=secret]`, with `salt` and `iterations` if they are not to be
//! chosen here, and `saltedpassword` in place of `password`. Salts are base64.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use naru_controller::RecordAndVersion;
use naru_protocol::messages::user_scram_credential_record::UserScramCredentialRecord;
use naru_security::sasl::{ITERATIONS_MAX, ScramHash, scram_keys_of};

use super::random_uuid;

/// The record of one argument.
pub(super) fn scram_record(text: &str) -> Result<RecordAndVersion, String> {
    let malformed = || {
        // Without what it was: a password is in it.
        "Invalid argument to --add-scram. Write, for example, \
         SCRAM-SHA-256=[name=alice,password=secret]"
            .to_owned()
    };
    let (mechanism, fields) = text.split_once("=[").ok_or_else(malformed)?;
    let fields = fields.trim_end().strip_suffix(']').ok_or_else(malformed)?;
    let hash = match mechanism.trim() {
        "SCRAM-SHA-256" => ScramHash::Sha256,
        "SCRAM-SHA-512" => ScramHash::Sha512,
        // A password may be before the bracket, too.
        other if other.contains(|c: char| !c.is_ascii_alphanumeric() && c != '-') => {
            return Err(malformed());
        }
        other => {
            return Err(format!("The add-scram mechanism {other} is not supported."));
        }
    };
    let mut named: BTreeMap<&str, &str> = BTreeMap::new();
    for field in fields.split(',') {
        let (name, value) = field.split_once('=').ok_or_else(malformed)?;
        named.insert(name.trim(), unquoted(value.trim()));
    }
    let known = ["name", "password", "salt", "saltedpassword", "iterations"];
    if named.keys().any(|name| !known.contains(name)) {
        // Not which: a password with a comma goes on behind it.
        return Err(format!("--add-scram has no other parts than {}", known.join(", ")));
    }
    let name = named.get("name").filter(|name| !name.is_empty());
    let name = name.ok_or("You must supply 'name' to add-scram")?;
    let iterations = match named.get("iterations") {
        Some(text) => text.parse().map_err(|_| malformed())?,
        None => hash.iterations_min(),
    };
    if !(hash.iterations_min()..=ITERATIONS_MAX).contains(&iterations) {
        return Err(format!(
            "The 'iterations' value must be between {} and {ITERATIONS_MAX} for add-scram",
            hash.iterations_min()
        ));
    }
    let bytes = |text: &str| BASE64.decode(text).map_err(|_| malformed());
    let salt = match named.get("salt") {
        Some(text) => bytes(text)?,
        None => random_uuid()?.to_bytes().to_vec(),
    };
    let salted = match (named.get("password"), named.get("saltedpassword")) {
        (Some(password), None) => {
            hash.salted(password.as_bytes(), &salt, iterations.unsigned_abs())
        }
        (None, Some(salted)) if named.contains_key("salt") => bytes(salted)?,
        (None, Some(_)) => {
            return Err("You must supply 'salt' with 'saltedpassword' to add-scram".to_owned());
        }
        _ => {
            return Err(
                "You must supply one of 'password' or 'saltedpassword' to add-scram".to_owned()
            );
        }
    };
    let keys = scram_keys_of(hash, &salted, &salt, iterations);
    Ok(RecordAndVersion::newest(UserScramCredentialRecord {
        name: (*name).to_owned(),
        mechanism: hash.code(),
        salt: keys.salt.into(),
        stored_key: keys.stored_key.into(),
        server_key: keys.server_key.into(),
        iterations: keys.iterations,
    }))
}

fn unquoted(text: &str) -> &str {
    text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use naru_protocol::metadata::MetadataRecord;

    use super::*;

    #[test]
    fn a_user_is_a_name_and_what_proves_its_password() {
        let record = scram_record("SCRAM-SHA-256=[name=alice,password=\"a=b\",iterations=8192]");
        let Ok(MetadataRecord::UserScramCredentialRecord(record)) = record.map(|r| r.record) else {
            panic!("no credential");
        };
        assert_eq!((record.name.as_str(), record.mechanism), ("alice", 1));
        assert_eq!((record.iterations, record.salt.len()), (8192, 16));
        let salted = ScramHash::Sha256.salted(b"a=b", &record.salt, 8192);
        let keys = scram_keys_of(ScramHash::Sha256, &salted, &record.salt, 8192);
        assert_eq!(record.stored_key, keys.stored_key);
    }

    #[test]
    fn what_names_no_user_is_refused() {
        for bad in [
            "SCRAM-SHA-256",
            "SCRAM-SHA-1=[name=a,password=b]",
            "SCRAM-SHA-256=[password=b]",
            "SCRAM-SHA-256=[name=a]",
            "SCRAM-SHA-256=[name=a,password=b,iterations=7]",
            "SCRAM-SHA-256=[name=a,saltedpassword=AAAA]",
            "SCRAM-SHA-256=[name=a,password=b,colour=c]",
        ] {
            assert!(scram_record(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_refusal_shows_no_password() {
        for bad in [
            "SCRAM-SHA-256=[name=a,password=x7y",
            "SCRAM-SHA-256=[name=a,password=b,x7y]",
            "SCRAM-SHA-256=[name=a,password=b,x7y=c]",
            "SCRAM-SHA-256=[name=a,salt=x7y,password=b]",
            "SCRAM-SHA-256=[name=a,password=x7y,iterations=16385]",
            "name=a,password=x7y",
        ] {
            let words = scram_record(bad).unwrap_err();
            assert!(!words.contains("x7y"), "{words}");
        }
    }
}
