//! Delegation tokens: create, renew, expire, describe (KIP-48, 373).

use bytes::Bytes;
use naru_protocol::messages::create_delegation_token_request::{
    CreatableRenewers, CreateDelegationTokenRequest,
};
use naru_protocol::messages::describe_delegation_token_request::{
    DescribeDelegationTokenOwner, DescribeDelegationTokenRequest,
};
use naru_protocol::messages::expire_delegation_token_request::ExpireDelegationTokenRequest;
use naru_protocol::messages::renew_delegation_token_request::RenewDelegationTokenRequest;
use naru_security::Principal;

use super::Admin;
use crate::error::{Error, Result};

/// A token; its id and HMAC are the name and password of who logs in with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DelegationToken {
    /// Its id.
    pub id: String,
    /// What proves that one has it.
    pub hmac: Bytes,
    /// Whom it logs in.
    pub owner: Principal,
    /// Who asked for it; not told before Kafka 3.3.
    pub requester: Principal,
    /// Who may renew it besides the owner.
    pub renewers: Vec<Principal>,
    /// When it was made, in milliseconds since 1970, as the others.
    pub issued: i64,
    /// When it ends if it is not renewed.
    pub expires: i64,
    /// When it ends in any case.
    pub max: i64,
}

impl Admin {
    /// Creates a token for `owner`, or for whoever asks; -1 is the longest life that the cluster
    /// gives.
    pub async fn create_token(
        &self,
        owner: Option<&Principal>,
        renewers: &[Principal],
        max_lifetime_ms: i64,
    ) -> Result<DelegationToken> {
        self.cluster
            .retry(async || {
                let named = renewers.iter().map(|renewer| CreatableRenewers {
                    principal_type: renewer.kind.clone(),
                    principal_name: renewer.name.clone(),
                });
                let request = CreateDelegationTokenRequest {
                    owner_principal_type: owner.map(|owner| owner.kind.clone()),
                    owner_principal_name: owner.map(|owner| owner.name.clone()),
                    renewers: named.collect(),
                    max_lifetime_ms,
                };
                let connection = self.cluster.any().await?;
                let response = self.cluster.call(&connection, i16::MAX, |_| request).await?;
                Error::check(response.error_code)?;
                Ok(DelegationToken {
                    id: response.token_id,
                    hmac: response.hmac,
                    owner: principal(response.principal_type, response.principal_name),
                    requester: principal(
                        response.token_requester_principal_type,
                        response.token_requester_principal_name,
                    ),
                    renewers: renewers.to_vec(),
                    issued: response.issue_timestamp_ms,
                    expires: response.expiry_timestamp_ms,
                    max: response.max_timestamp_ms,
                })
            })
            .await
    }

    /// Has a token live on for so long from now; when it ends. -1 is what the cluster gives.
    pub async fn renew_token(&self, hmac: &Bytes, period_ms: i64) -> Result<i64> {
        self.cluster
            .retry(async || {
                let request =
                    RenewDelegationTokenRequest { hmac: hmac.clone(), renew_period_ms: period_ms };
                let connection = self.cluster.any().await?;
                let response = self.cluster.call(&connection, i16::MAX, |_| request).await?;
                Error::check(response.error_code).map(|()| response.expiry_timestamp_ms)
            })
            .await
    }

    /// Has a token end so long from now; when it ends. A negative period ends it at once.
    pub async fn expire_token(&self, hmac: &Bytes, period_ms: i64) -> Result<i64> {
        self.cluster
            .retry(async || {
                let request = ExpireDelegationTokenRequest {
                    hmac: hmac.clone(),
                    expiry_time_period_ms: period_ms,
                };
                let connection = self.cluster.any().await?;
                let response = self.cluster.call(&connection, i16::MAX, |_| request).await?;
                Error::check(response.error_code).map(|()| response.expiry_timestamp_ms)
            })
            .await
    }

    /// The tokens of some owners, or of all, as far as whoever asks may see them.
    pub async fn describe_tokens(
        &self,
        owners: Option<&[Principal]>,
    ) -> Result<Vec<DelegationToken>> {
        self.cluster
            .retry(async || {
                let named = |owner: &Principal| DescribeDelegationTokenOwner {
                    principal_type: owner.kind.clone(),
                    principal_name: owner.name.clone(),
                };
                let owners = owners.map(|owners| owners.iter().map(named).collect());
                let request = DescribeDelegationTokenRequest { owners };
                let connection = self.cluster.any().await?;
                let response = self.cluster.call(&connection, i16::MAX, |_| request).await?;
                Error::check(response.error_code)?;
                let tokens = response.tokens.into_iter().map(|token| DelegationToken {
                    id: token.token_id,
                    hmac: token.hmac,
                    owner: principal(token.principal_type, token.principal_name),
                    requester: principal(
                        token.token_requester_principal_type,
                        token.token_requester_principal_name,
                    ),
                    renewers: token
                        .renewers
                        .into_iter()
                        .map(|renewer| principal(renewer.principal_type, renewer.principal_name))
                        .collect(),
                    issued: token.issue_timestamp,
                    expires: token.expiry_timestamp,
                    max: token.max_timestamp,
                });
                Ok(tokens.collect())
            })
            .await
    }
}

fn principal(kind: String, name: String) -> Principal {
    Principal { kind, name, token_authenticated: false }
}
