//! AlterUserScramCredentials (51). KIP-554, 900.

use std::collections::{BTreeMap, BTreeSet};

use naru_model::ErrorCode;
use naru_protocol::messages::alter_user_scram_credentials_request::{
    AlterUserScramCredentialsRequest, ScramCredentialUpsertion,
};
use naru_protocol::messages::alter_user_scram_credentials_response::{
    AlterUserScramCredentialsResponse, AlterUserScramCredentialsResult,
};
use naru_protocol::messages::remove_user_scram_credential_record::RemoveUserScramCredentialRecord;
use naru_protocol::messages::user_scram_credential_record::UserScramCredentialRecord;
use naru_security::sasl::{ITERATIONS_MAX, ScramHash, scram_keys_of};

use super::Controller;
use crate::records::{Decision, RecordAndVersion, take_decided};

/// Why a credential is not changed. The texts are Apache Kafka 4.3.1's: tools print them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each text says what the variant is")]
pub enum ScramError {
    #[error("A user credential cannot be altered twice in the same request")]
    Twice,
    #[error("Username must not be empty")]
    EmptyName,
    #[error("Unknown SCRAM mechanism")]
    Mechanism,
    #[error("Attempt to delete a user credential that does not exist")]
    NotThere,
    #[error("Too few iterations")]
    TooFewIterations,
    #[error("Too many iterations")]
    TooManyIterations,
    #[error("Unable to perform excessively large batch operation.")]
    TooManyRecords,
}

impl ScramError {
    /// The code a client gets.
    pub const fn code(self) -> ErrorCode {
        match self {
            Self::Twice => ErrorCode::DuplicateResource,
            Self::Mechanism => ErrorCode::UnsupportedSaslMechanism,
            Self::NotThere => ErrorCode::ResourceNotFound,
            Self::TooManyRecords => ErrorCode::PolicyViolation,
            Self::EmptyName | Self::TooFewIterations | Self::TooManyIterations => {
                ErrorCode::UnacceptableCredential
            }
        }
    }
}

impl Controller {
    /// Decides an AlterUserScramCredentials request: all that is asked of a user, or nothing.
    pub fn decide_alter_scram(
        &self,
        request: &AlterUserScramCredentialsRequest,
    ) -> Decision<AlterUserScramCredentialsResponse> {
        let mut users: BTreeMap<&str, Result<Vec<RecordAndVersion>, ScramError>> = BTreeMap::new();
        // Kafka's tools count on it: a second mechanism is the same user twice, too.
        let mut seen: BTreeSet<&str> = BTreeSet::new();
        let mut note = |user, change: Result<RecordAndVersion, ScramError>| {
            let change = if seen.insert(user) { change } else { Err(ScramError::Twice) };
            let so_far = users.entry(user).or_insert_with(|| Ok(Vec::new()));
            match (so_far, change) {
                (Ok(records), Ok(record)) => records.push(record),
                (so_far @ Ok(_), Err(error)) => *so_far = Err(error),
                // What is named twice counts before what else is wrong.
                (Err(known), Err(ScramError::Twice)) => *known = ScramError::Twice,
                (Err(_), _) => {}
            }
        };
        for deletion in &request.deletions {
            let user = deletion.name.as_str();
            note(user, self.delete_scram(user, deletion.mechanism));
        }
        for upsertion in &request.upsertions {
            note(upsertion.name.as_str(), upsert_scram(upsertion));
        }
        let mut records = Vec::new();
        let mut results = Vec::with_capacity(users.len());
        for (user, decided) in users {
            let mut result = AlterUserScramCredentialsResult {
                user: user.to_owned(),
                ..AlterUserScramCredentialsResult::default()
            };
            // Apache Kafka fails with all of them, in no words.
            let taken = take_decided(&mut records, decided, ScramError::TooManyRecords);
            if let Err(error) = taken {
                result.error_code = error.code().code();
                result.error_message = Some(error.to_string());
            }
            results.push(result);
        }
        let response = AlterUserScramCredentialsResponse {
            results,
            ..AlterUserScramCredentialsResponse::default()
        };
        Decision { records, response }
    }

    fn delete_scram(&self, user: &str, mechanism: i8) -> Result<RecordAndVersion, ScramError> {
        if user.is_empty() {
            return Err(ScramError::EmptyName);
        }
        ScramHash::from_code(mechanism).ok_or(ScramError::Mechanism)?;
        self.image.scram_credential(user, mechanism).ok_or(ScramError::NotThere)?;
        let record = RemoveUserScramCredentialRecord { name: user.to_owned(), mechanism };
        Ok(RecordAndVersion::newest(record))
    }
}

fn upsert_scram(asked: &ScramCredentialUpsertion) -> Result<RecordAndVersion, ScramError> {
    if asked.name.is_empty() {
        return Err(ScramError::EmptyName);
    }
    let hash = ScramHash::from_code(asked.mechanism).ok_or(ScramError::Mechanism)?;
    if asked.iterations < hash.iterations_min() {
        return Err(ScramError::TooFewIterations);
    }
    if asked.iterations > ITERATIONS_MAX {
        return Err(ScramError::TooManyIterations);
    }
    let keys = scram_keys_of(hash, &asked.salted_password, &asked.salt, asked.iterations);
    Ok(RecordAndVersion::newest(UserScramCredentialRecord {
        name: asked.name.clone(),
        mechanism: asked.mechanism,
        salt: asked.salt.clone(),
        stored_key: keys.stored_key.into(),
        server_key: keys.server_key.into(),
        iterations: keys.iterations,
    }))
}
