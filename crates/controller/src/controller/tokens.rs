//! CreateDelegationToken (38), RenewDelegationToken (39), ExpireDelegationToken (40). KIP-48,
//! 373, 900.
//!
//! What a token's holder knows is made of its id outside; here are only ids. Times are
//! milliseconds since 1970.

use naru_model::ErrorCode;
use naru_protocol::messages::create_delegation_token_request::CreateDelegationTokenRequest;
use naru_protocol::messages::delegation_token_record::DelegationTokenRecord;
use naru_protocol::messages::remove_delegation_token_record::RemoveDelegationTokenRecord;
use naru_security::Principal;

use super::Controller;
use crate::image::METADATA_VERSION;
use crate::records::{Decision, RECORDS_PER_REQUEST_MAX, RecordAndVersion};

/// 3.6-IV2: the metadata log may hold delegation tokens.
const TOKENS_SINCE: i16 = 14;
/// Most tokens that one principal may have asked for and that still count. Apache Kafka has no
/// limit; here nobody who can log in can fill the metadata.
const TOKENS_PER_REQUESTER_MAX: usize = 1000;
/// Most renewers of a token, and bytes of a principal's name: a token is one record of the metadata.
const RENEWERS_MAX: usize = 100;
const NAME_BYTES_MAX: usize = 1024;
/// The type of principals that may renew tokens.
const USER: &str = "User";

/// How long tokens live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenLife {
    /// `delegation.token.max.lifetime.ms`.
    pub max_ms: i64,
    /// `delegation.token.expiry.time.ms`.
    pub renewed_ms: i64,
}

/// Why a request about a token is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// The cluster's metadata version has no tokens.
    #[error("the metadata version has no delegation tokens")]
    Version,
    /// Only users may renew.
    #[error("a renewer is no user")]
    Renewer,
    /// There is no such token.
    #[error("there is no such token")]
    NotFound,
    /// It is over.
    #[error("the token has expired")]
    Expired,
    /// Whoever asks has asked for many already.
    #[error("the principal has asked for as many tokens as there is room for")]
    TooMany,
    /// It names too many, or somebody at too great length.
    #[error("a token has at most 100 renewers, and names of at most 1024 bytes")]
    TooLarge,
    /// Neither its owner nor one of its renewers asks.
    #[error("the token belongs to somebody else")]
    Owner,
}

impl TokenError {
    /// The code a client gets.
    pub const fn code(self) -> ErrorCode {
        match self {
            Self::Version => ErrorCode::UnsupportedVersion,
            Self::Renewer => ErrorCode::InvalidPrincipalType,
            Self::NotFound => ErrorCode::DelegationTokenNotFound,
            Self::Expired => ErrorCode::DelegationTokenExpired,
            Self::TooMany | Self::TooLarge => ErrorCode::PolicyViolation,
            Self::Owner => ErrorCode::DelegationTokenOwnerMismatch,
        }
    }
}

/// The principal that a new token is to be for; whoever asks, unless somebody else is named.
pub fn token_owner(request: &CreateDelegationTokenRequest, requester: &Principal) -> Principal {
    let name = request.owner_principal_name.as_deref().filter(|name| !name.is_empty());
    let kind = request.owner_principal_type.as_deref().unwrap_or_default();
    name.map_or_else(
        || requester.clone(),
        |name| Principal {
            kind: kind.to_owned(),
            name: name.to_owned(),
            token_authenticated: false,
        },
    )
}

/// Whether a token belongs to somebody, or may be renewed by them.
pub fn is_owner_or_renewer(token: &DelegationTokenRecord, who: &Principal) -> bool {
    who.is_called(&token.owner) || token.renewers.iter().any(|renewer| who.is_called(renewer))
}

/// Whether a token does not count any more.
pub fn is_token_expired(token: &DelegationTokenRecord, now_ms: i64) -> bool {
    token.max_timestamp < now_ms || token.expiration_timestamp < now_ms
}

impl Controller {
    /// Decides a CreateDelegationToken request: the token `id`, unless it is refused.
    pub fn decide_create_token(
        &self,
        request: &CreateDelegationTokenRequest,
        requester: &Principal,
        life: TokenLife,
        id: String,
        now_ms: i64,
    ) -> Decision<Result<DelegationTokenRecord, TokenError>> {
        if !self.has_tokens() {
            return refused(TokenError::Version);
        }
        if request.renewers.iter().any(|renewer| renewer.principal_type != USER) {
            return refused(TokenError::Renewer);
        }
        let owner = request.owner_principal_name.iter();
        let names = request.renewers.iter().map(|one| &one.principal_name).chain(owner);
        if request.renewers.len() > RENEWERS_MAX
            || names.map(String::len).any(|bytes| bytes > NAME_BYTES_MAX)
        {
            return refused(TokenError::TooLarge);
        }
        // Those that have expired count until they are gone: they go now, when there are many.
        let tokens = self.image.delegation_tokens();
        let of_requester: Vec<&DelegationTokenRecord> =
            tokens.filter(|token| requester.is_called(&token.requester)).collect();
        let mut records = Vec::new();
        if of_requester.len() >= TOKENS_PER_REQUESTER_MAX {
            let expired = of_requester.iter().filter(|token| is_token_expired(token, now_ms));
            records.extend(expired.map(|token| removal(token)));
            if records.is_empty() {
                return refused(TokenError::TooMany);
            }
        }
        let asked = Some(request.max_lifetime_ms).filter(|ms| *ms > 0);
        let max_timestamp =
            now_ms.saturating_add(asked.map_or(life.max_ms, |asked| asked.min(life.max_ms)));
        let name = |kind: &str, name: &str| format!("{kind}:{name}");
        let renewers = request.renewers.iter();
        let token = DelegationTokenRecord {
            owner: token_owner(request, requester).to_string(),
            requester: requester.to_string(),
            renewers: renewers.map(|one| name(&one.principal_type, &one.principal_name)).collect(),
            issue_timestamp: now_ms,
            max_timestamp,
            expiration_timestamp: max_timestamp.min(now_ms.saturating_add(life.renewed_ms)),
            token_id: id,
        };
        records.push(RecordAndVersion::newest(token.clone()));
        Decision { records, response: Ok(token) }
    }

    /// Decides a RenewDelegationToken request about the token `id`, if one was found: when the
    /// token expires now.
    pub fn decide_renew_token(
        &self,
        id: Option<&str>,
        requester: &Principal,
        period_ms: i64,
        life: TokenLife,
        now_ms: i64,
    ) -> Decision<Result<i64, TokenError>> {
        let token = match self.token_for(id, requester, |token| !is_token_expired(token, now_ms)) {
            Ok(token) => token,
            Err(error) => return refused(error),
        };
        let asked = Some(period_ms).filter(|ms| *ms > 0);
        let period = asked.map_or(life.renewed_ms, |asked| asked.min(life.renewed_ms));
        expiring(token, now_ms.saturating_add(period))
    }

    /// Decides an ExpireDelegationToken request about the token `id`, if one was found: when the
    /// token expires now. A negative period removes it, even if it has expired.
    pub fn decide_expire_token(
        &self,
        id: Option<&str>,
        requester: &Principal,
        period_ms: i64,
        now_ms: i64,
    ) -> Decision<Result<i64, TokenError>> {
        let token = match self.token_for(id, requester, |_| true) {
            Ok(token) => token,
            Err(error) => return refused(error),
        };
        if period_ms < 0 {
            return Decision { records: vec![removal(token)], response: Ok(now_ms) };
        }
        if is_token_expired(token, now_ms) {
            return refused(TokenError::Expired);
        }
        expiring(token, now_ms.saturating_add(period_ms))
    }

    /// Removes tokens that have expired.
    pub fn decide_sweep_tokens(&self, now_ms: i64) -> Vec<RecordAndVersion> {
        let tokens = self.image.delegation_tokens();
        let expired = tokens.filter(|token| is_token_expired(token, now_ms));
        expired.take(RECORDS_PER_REQUEST_MAX).map(removal).collect()
    }

    fn has_tokens(&self) -> bool {
        self.image.feature_level(METADATA_VERSION) >= TOKENS_SINCE
    }

    /// The token, if it counts and `requester` may change it, judged in this order.
    fn token_for(
        &self,
        id: Option<&str>,
        requester: &Principal,
        counts: impl Fn(&DelegationTokenRecord) -> bool,
    ) -> Result<&DelegationTokenRecord, TokenError> {
        if !self.has_tokens() {
            return Err(TokenError::Version);
        }
        let token = id.and_then(|id| self.image.delegation_token(id));
        let token = token.ok_or(TokenError::NotFound)?;
        if !counts(token) {
            return Err(TokenError::Expired);
        }
        if !is_owner_or_renewer(token, requester) {
            return Err(TokenError::Owner);
        }
        Ok(token)
    }
}

fn refused<R>(error: TokenError) -> Decision<Result<R, TokenError>> {
    Decision { records: Vec::new(), response: Err(error) }
}

/// The token expires at a time, but never after its longest life.
fn expiring(token: &DelegationTokenRecord, at_ms: i64) -> Decision<Result<i64, TokenError>> {
    let expiration_timestamp = at_ms.min(token.max_timestamp);
    let token = DelegationTokenRecord { expiration_timestamp, ..token.clone() };
    Decision { records: vec![RecordAndVersion::newest(token)], response: Ok(expiration_timestamp) }
}

fn removal(token: &DelegationTokenRecord) -> RecordAndVersion {
    RecordAndVersion::newest(RemoveDelegationTokenRecord { token_id: token.token_id.clone() })
}
