//! CreateDelegationToken (38, v1–v3), RenewDelegationToken (39, v1–v2), ExpireDelegationToken
//! (40, v1–v2), DescribeDelegationToken (41, v1–v3). KIP-48, 373, 900.
//!
//! v2 flexible · v3 of 38 and 41: tokens for somebody else. What changes tokens the controller
//! decides; here it is checked how whoever asks is connected, which the controller cannot see.

use std::collections::HashSet;

use naru_controller::controller::{is_owner_or_renewer, token_owner};
use naru_model::ErrorCode;
use naru_model::config::SecurityProtocol;
use naru_protocol::messages::create_delegation_token_request::CreateDelegationTokenRequest;
use naru_protocol::messages::create_delegation_token_response::CreateDelegationTokenResponse;
use naru_protocol::messages::delegation_token_record::DelegationTokenRecord;
use naru_protocol::messages::describe_delegation_token_request::DescribeDelegationTokenRequest;
use naru_protocol::messages::describe_delegation_token_response::{
    DescribeDelegationTokenResponse, DescribedDelegationToken, DescribedDelegationTokenRenewer,
};
use naru_protocol::messages::expire_delegation_token_request::ExpireDelegationTokenRequest;
use naru_protocol::messages::expire_delegation_token_response::ExpireDelegationTokenResponse;
use naru_protocol::messages::renew_delegation_token_request::RenewDelegationTokenRequest;
use naru_protocol::messages::renew_delegation_token_response::RenewDelegationTokenResponse;
use naru_security::Principal;

use crate::dispatch::{RequestContext, ask};
use crate::security::{Operation, Resource};

/// The type of principals that may renew tokens.
const USER: &str = "User";
/// Instead of a time, where there is none.
const NO_TIME: i64 = -1;

/// Whether tokens may be asked for over this connection: not by whoever logged in with one (its
/// life would have no end), nor where nobody can be told from another.
pub(crate) fn may_be_asked_for(context: &RequestContext) -> bool {
    let connection = &context.connection;
    if connection.principal.token_authenticated {
        return false;
    }
    if connection.own || connection.forwarded {
        return true;
    }
    match connection.protocol {
        Some(SecurityProtocol::SaslPlaintext | SecurityProtocol::SaslSsl) => true,
        Some(SecurityProtocol::Ssl) => connection.principal != Principal::anonymous(),
        Some(SecurityProtocol::Plaintext) | None => false,
    }
}

/// Why whoever asks may not have a token for its owner, if so.
pub(crate) fn refusal(
    context: &RequestContext,
    request: &CreateDelegationTokenRequest,
) -> Option<ErrorCode> {
    let requester = &context.connection.principal;
    let owner = token_owner(request, requester);
    if !may_be_asked_for(context) {
        return Some(ErrorCode::DelegationTokenRequestNotAllowed);
    }
    let own = (&owner.kind, &owner.name) == (&requester.kind, &requester.name);
    if !own && !context.may(Operation::CreateTokens, Resource::User(&owner.to_string())) {
        return Some(ErrorCode::DelegationTokenAuthorizationFailed);
    }
    None
}

/// An answer without a token.
pub(crate) fn refused(
    context: &RequestContext,
    request: &CreateDelegationTokenRequest,
    error: ErrorCode,
    time: i64,
) -> CreateDelegationTokenResponse {
    let requester = &context.connection.principal;
    let owner = token_owner(request, requester);
    CreateDelegationTokenResponse {
        error_code: error.code(),
        principal_type: owner.kind,
        principal_name: owner.name,
        token_requester_principal_type: requester.kind.clone(),
        token_requester_principal_name: requester.name.clone(),
        issue_timestamp_ms: time,
        expiry_timestamp_ms: time,
        max_timestamp_ms: time,
        ..Default::default()
    }
}

pub(crate) async fn create(
    context: RequestContext,
    request: CreateDelegationTokenRequest,
) -> CreateDelegationTokenResponse {
    let is_no_user = request.renewers.iter().any(|renewer| renewer.principal_type != USER);
    let no_user = is_no_user.then_some(ErrorCode::InvalidPrincipalType);
    if let Some(error) = refusal(&context, &request).or(no_user) {
        return refused(&context, &request, error, NO_TIME);
    }
    let node = context.node.clone();
    ask(&node, &context, request).await
}

pub(crate) async fn renew(
    context: RequestContext,
    request: RenewDelegationTokenRequest,
) -> RenewDelegationTokenResponse {
    if !may_be_asked_for(&context) {
        return RenewDelegationTokenResponse {
            error_code: ErrorCode::DelegationTokenRequestNotAllowed.code(),
            expiry_timestamp_ms: NO_TIME,
            ..Default::default()
        };
    }
    let node = context.node.clone();
    ask(&node, &context, request).await
}

pub(crate) async fn expire(
    context: RequestContext,
    request: ExpireDelegationTokenRequest,
) -> ExpireDelegationTokenResponse {
    if !may_be_asked_for(&context) {
        return ExpireDelegationTokenResponse {
            error_code: ErrorCode::DelegationTokenRequestNotAllowed.code(),
            expiry_timestamp_ms: NO_TIME,
            ..Default::default()
        };
    }
    let node = context.node.clone();
    ask(&node, &context, request).await
}

#[expect(clippy::needless_pass_by_value, reason = "the shape of every handler")]
pub(crate) fn describe(
    context: &RequestContext,
    request: DescribeDelegationTokenRequest,
) -> DescribeDelegationTokenResponse {
    let refused = |error: ErrorCode| DescribeDelegationTokenResponse {
        error_code: error.code(),
        ..Default::default()
    };
    if !may_be_asked_for(context) {
        return refused(ErrorCode::DelegationTokenRequestNotAllowed);
    }
    if !context.node.security().tokens().are_served() {
        return refused(ErrorCode::DelegationTokenAuthDisabled);
    }
    let owners: Option<HashSet<(&str, &str)>> = request.owners.as_ref().map(|owners| {
        let parts = owners.iter();
        parts.map(|one| (one.principal_type.as_str(), one.principal_name.as_str())).collect()
    });
    let image = context.node.image();
    let is_asked_for = |token: &&DelegationTokenRecord| {
        owners.as_ref().is_none_or(|owners| is_of_any(token, owners))
    };
    let may_be_seen = |token: &&DelegationTokenRecord| {
        is_owner_or_renewer(token, &context.connection.principal)
            || context.may_see(Operation::Describe, Resource::DelegationToken(&token.token_id))
            || context.may_see(Operation::DescribeTokens, Resource::User(&token.owner))
    };
    let tokens = image.delegation_tokens().filter(is_asked_for).filter(may_be_seen);
    let described = tokens.map(|token| described(context, token)).collect();
    DescribeDelegationTokenResponse { tokens: described, ..Default::default() }
}

/// Whether a token belongs to one of them, or may be renewed by one: each is a type and a name.
fn is_of_any(token: &DelegationTokenRecord, people: &HashSet<(&str, &str)>) -> bool {
    let is_one = |text: &str| text.split_once(':').is_some_and(|who| people.contains(&who));
    is_one(&token.owner) || token.renewers.iter().any(|renewer| is_one(renewer))
}

fn described(context: &RequestContext, token: &DelegationTokenRecord) -> DescribedDelegationToken {
    let parts = |text: &str| {
        let (kind, name) = text.split_once(':').unwrap_or_default();
        (kind.to_owned(), name.to_owned())
    };
    let (principal_type, principal_name) = parts(&token.owner);
    let (token_requester_principal_type, token_requester_principal_name) = parts(&token.requester);
    let renewers = token.renewers.iter().map(|renewer| {
        let (principal_type, principal_name) = parts(renewer);
        DescribedDelegationTokenRenewer { principal_type, principal_name }
    });
    let hmac = context.node.security().tokens().hmac(&token.token_id);
    DescribedDelegationToken {
        principal_type,
        principal_name,
        token_requester_principal_type,
        token_requester_principal_name,
        issue_timestamp: token.issue_timestamp,
        expiry_timestamp: token.expiration_timestamp,
        max_timestamp: token.max_timestamp,
        token_id: token.token_id.clone(),
        hmac: hmac.unwrap_or_default().into(),
        renewers: renewers.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_found_by_its_owner_and_by_who_may_renew_it() {
        let token = DelegationTokenRecord {
            owner: "User:CN=a:b".to_owned(),
            renewers: vec!["User:r".to_owned()],
            ..Default::default()
        };
        let is_found = |who| is_of_any(&token, &HashSet::from([("User", "nobody"), who]));
        assert!(is_found(("User", "CN=a:b")) && is_found(("User", "r")));
        assert!(!is_found(("Group", "r")) && !is_found(("User:CN=a", "b")));
        assert!(!is_of_any(&token, &HashSet::new()));
    }
}
