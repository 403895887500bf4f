//! `kafka-configs` for users: their SCRAM credentials (KIP-554).
//!
//! `SCRAM-SHA-256=[iterations=8192,password=secret]` sets one, its name removes it. Only what the
//! password is hashed to leaves this process.

use std::io::Read as _;

use naru_client::Admin;
use naru_client::admin::{ScramChange, ScramUser};
use naru_security::sasl::{ITERATIONS_MAX, ScramHash};

use super::Failure;
use super::entity::Entity;
use crate::text::Streams;

/// Iterations of a credential that does not say how many.
const ITERATIONS: i32 = 4096;
const MECHANISMS: [(&str, ScramHash); 2] =
    [("SCRAM-SHA-256", ScramHash::Sha256), ("SCRAM-SHA-512", ScramHash::Sha512)];

/// Whether a configuration of this name is a credential.
pub(super) fn is_scram(name: &str) -> bool {
    mechanism(name).is_some()
}

fn mechanism(name: &str) -> Option<ScramHash> {
    MECHANISMS.iter().find(|(known, _)| *known == name).map(|(_, hash)| *hash)
}

/// The name of a mechanism in requests, and as an enumeration of Java's.
fn names(hash: ScramHash) -> (&'static str, &'static str) {
    match hash {
        ScramHash::Sha256 => ("SCRAM-SHA-256", "SCRAM_SHA_256"),
        ScramHash::Sha512 => ("SCRAM-SHA-512", "SCRAM_SHA_512"),
    }
}

/// Sets and removes credentials of one user.
pub(super) async fn alter(
    admin: &Admin,
    entity: &Entity,
    set: &[(String, String)],
    removed: &[String],
    streams: &mut Streams,
) -> Result<(), Failure> {
    let mut changes: Vec<ScramChange> = Vec::new();
    changes.extend(removed.iter().filter_map(|name| mechanism(name)).map(ScramChange::Remove));
    for (name, value) in set {
        let Some(hash) = mechanism(name) else { continue };
        let (iterations, password) = parse(hash, value).map_err(Failure::Words)?;
        let (password, salt) = (password.to_owned(), salt().map_err(Failure::Words)?);
        changes.push(ScramChange::Set { hash, iterations, password, salt });
    }
    let user = entity.name.as_deref().unwrap_or_default();
    admin.alter_scram_user(user, &changes).await?;
    streams.line(entity.updated());
    Ok(())
}

/// Shows the credentials of the user named, or of all.
pub(super) async fn describe(
    admin: &Admin,
    entity: &Entity,
    streams: &mut Streams,
) -> Result<(), Failure> {
    let users = match entity.name.as_deref() {
        // The default of all users has no password.
        Some("") => return Ok(()),
        Some(name) => Some(vec![name.to_owned()]),
        None => None,
    };
    for user in admin.describe_scram_users(users.as_deref()).await? {
        streams.line(line(&user));
    }
    Ok(())
}

fn line((user, mechanisms): &ScramUser) -> String {
    let shown: Vec<String> = mechanisms
        .iter()
        .map(|(hash, iterations)| format!("{}=iterations={iterations}", names(*hash).0))
        .collect();
    format!("SCRAM credential configs for user-principal '{user}' are {}", shown.join(", "))
}

/// `[iterations=N,]password=...`, which goes on to its end whatever it has in it.
fn parse(hash: ScramHash, value: &str) -> Result<(u32, &str), String> {
    let (name, java) = names(hash);
    // Unlike Kafka's tool, without the value: the password is in it.
    let invalid =
        || format!("Invalid credential property {java}: write [iterations=8192,password=...]");
    let (iterations, rest) = match value.strip_prefix("iterations=") {
        Some(rest) => {
            let (number, rest) = rest.split_once(',').ok_or_else(invalid)?;
            let digits = number.strip_prefix('-').unwrap_or(number);
            if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err(invalid());
            }
            let words = || format!("For input string: \"{number}\"");
            (number.parse::<i32>().map_err(|_| words())?, rest)
        }
        None => (ITERATIONS, value),
    };
    let password = rest.strip_prefix("password=").ok_or_else(invalid)?;
    let iterations = if iterations == -1 { ITERATIONS } else { iterations };
    let min = hash.iterations_min();
    if iterations < min {
        return Err(format!(
            "Iterations {iterations} is less than the minimum {min} required for {name}"
        ));
    }
    // The broker would say so, but only after all of them have been gone through here.
    if iterations > ITERATIONS_MAX {
        return Err(format!(
            "Too many iterations: {iterations} is more than the maximum {ITERATIONS_MAX} for {name}"
        ));
    }
    Ok((iterations.unsigned_abs(), password))
}

/// Random bytes.
fn salt() -> Result<Vec<u8>, String> {
    let mut bytes = vec![0; 24];
    let source = std::fs::File::open("/dev/urandom");
    source
        .and_then(|mut file| file.read_exact(&mut bytes))
        .map_err(|error| format!("no random numbers: {error}"))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_is_a_password_and_how_often_it_is_hashed() {
        let read = |text| parse(ScramHash::Sha512, text);
        assert_eq!(read("iterations=8192,password=a,b=c"), Ok((8192, "a,b=c")));
        assert_eq!(read("password=x"), Ok((4096, "x")));
        assert_eq!(read("iterations=16384,password=x"), Ok((16384, "x")));
        assert_eq!(read("iterations=-1,password=x"), Ok((4096, "x")));
        for (text, words) in [
            (
                "iterations=16385,password=x",
                "Too many iterations: 16385 is more than the maximum 16384 for SCRAM-SHA-512",
            ),
            (
                "iterations=10,password=x",
                "Iterations 10 is less than the minimum 4096 required for SCRAM-SHA-512",
            ),
        ] {
            assert_eq!(read(text), Err(words.to_owned()));
        }
    }

    #[test]
    fn a_malformed_credential_shows_no_password() {
        for text in ["pass=x7y", "x7y", "iterations=abc,password=x7y", "iterations=x7y"] {
            let words = parse(ScramHash::Sha512, text).unwrap_err();
            assert!(words.starts_with("Invalid credential property SCRAM_SHA_512:"), "{words}");
            assert!(!words.contains("x7y"), "{words}");
        }
    }

    #[test]
    fn a_line_is_that_of_apache_kafka() {
        let user = ("u1".to_owned(), vec![(ScramHash::Sha256, 8192), (ScramHash::Sha512, 4096)]);
        let expect = "SCRAM credential configs for user-principal 'u1' are \
                      SCRAM-SHA-256=iterations=8192, SCRAM-SHA-512=iterations=4096";
        assert_eq!(line(&user), expect);
    }
}
