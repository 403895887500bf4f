//! SCRAM credentials of users (KIP-554). Passwords do not leave this process.

use naru_model::ErrorCode;
use naru_protocol::messages::alter_user_scram_credentials_request::{
    AlterUserScramCredentialsRequest, ScramCredentialDeletion, ScramCredentialUpsertion,
};
use naru_protocol::messages::describe_user_scram_credentials_request::{
    DescribeUserScramCredentialsRequest, UserName,
};
use naru_security::sasl::ScramHash;

use super::Admin;
use crate::error::{Error, Result};

/// What is to be done to a user's credential of one mechanism.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScramChange {
    /// It is set.
    Set {
        /// The mechanism.
        hash: ScramHash,
        /// How often the password is hashed.
        iterations: u32,
        /// The password.
        password: String,
        /// What is hashed with it: random bytes.
        salt: Vec<u8>,
    },
    /// It is removed.
    Remove(ScramHash),
}

/// A user and its mechanisms, each with its iterations.
pub type ScramUser = (String, Vec<(ScramHash, i32)>);

impl Admin {
    /// The users that have credentials: all, or of these those that are there.
    pub async fn describe_scram_users(&self, users: Option<&[String]>) -> Result<Vec<ScramUser>> {
        self.cluster
            .retry(async || {
                let named = |name: &String| UserName { name: name.clone() };
                let users = users.map(|users| users.iter().map(named).collect());
                let request = DescribeUserScramCredentialsRequest { users };
                let connection = self.cluster.any().await?;
                let response = self.cluster.call(&connection, i16::MAX, |_| request).await?;
                Error::check_with(response.error_code, response.error_message)?;
                let mut known = Vec::new();
                for result in response.results {
                    match ErrorCode::from_code(result.error_code) {
                        ErrorCode::ResourceNotFound => continue,
                        _ => Error::check_with(result.error_code, result.error_message)?,
                    }
                    let infos = result.credential_infos.iter().filter_map(|info| {
                        Some((ScramHash::from_code(info.mechanism)?, info.iterations))
                    });
                    known.push((result.user, infos.collect()));
                }
                Ok(known)
            })
            .await
    }

    /// Changes a user's credentials.
    pub async fn alter_scram_user(&self, user: &str, changes: &[ScramChange]) -> Result<()> {
        let mut request = AlterUserScramCredentialsRequest::default();
        for change in changes {
            match change {
                ScramChange::Set { password, .. } if password.is_empty() => {
                    let words = "Password must not be empty".to_owned();
                    return Err(Error::broker(ErrorCode::UnacceptableCredential, Some(words)));
                }
                ScramChange::Set { hash, iterations, password, salt } => {
                    let salted = hash.salted(password.as_bytes(), salt, *iterations);
                    request.upsertions.push(ScramCredentialUpsertion {
                        name: user.to_owned(),
                        mechanism: hash.code(),
                        iterations: i32::try_from(*iterations).unwrap_or(i32::MAX),
                        salt: salt.clone().into(),
                        salted_password: salted.into(),
                    });
                }
                ScramChange::Remove(hash) => request.deletions.push(ScramCredentialDeletion {
                    name: user.to_owned(),
                    mechanism: hash.code(),
                }),
            }
        }
        self.cluster
            .retry(async || {
                let connection = self.cluster.controller().await?;
                let response =
                    self.cluster.call(&connection, i16::MAX, |_| request.clone()).await?;
                response.results.into_iter().try_for_each(|result| {
                    Error::check_with(result.error_code, result.error_message)
                })
            })
            .await
    }
}
