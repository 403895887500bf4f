//! CreateDelegationToken (38), RenewDelegationToken (39), ExpireDelegationToken (40), decided;
//! DescribeDelegationToken (41) as a controller answers it.

use naru_controller::Decision;
use naru_controller::controller::{TokenError, TokenLife};
use naru_model::{ErrorCode, Uuid};
use naru_protocol::messages::create_delegation_token_request::CreateDelegationTokenRequest;
use naru_protocol::messages::create_delegation_token_response::CreateDelegationTokenResponse;
use naru_protocol::messages::describe_delegation_token_request::DescribeDelegationTokenRequest;
use naru_protocol::messages::describe_delegation_token_response::DescribeDelegationTokenResponse;
use naru_protocol::messages::expire_delegation_token_request::ExpireDelegationTokenRequest;
use naru_protocol::messages::expire_delegation_token_response::ExpireDelegationTokenResponse;
use naru_protocol::messages::renew_delegation_token_request::RenewDelegationTokenRequest;
use naru_protocol::messages::renew_delegation_token_response::RenewDelegationTokenResponse;

use crate::api::tokens::{may_be_asked_for, refusal, refused};
use crate::dispatch::RequestContext;

/// Instead of a time, where there is none.
const NO_TIME: i64 = -1;

pub(crate) async fn describe(
    context: RequestContext,
    request: DescribeDelegationTokenRequest,
) -> DescribeDelegationTokenResponse {
    crate::api::tokens::describe(&context, request)
}

pub(crate) async fn create(
    context: RequestContext,
    request: CreateDelegationTokenRequest,
) -> Result<CreateDelegationTokenResponse, ErrorCode> {
    if let Some(error) = refusal(&context, &request) {
        return Ok(refused(&context, &request, error, NO_TIME));
    }
    let tokens = context.node.security().tokens();
    if !tokens.are_served() {
        let error = ErrorCode::DelegationTokenAuthDisabled;
        return Ok(refused(&context, &request, error, 0));
    }
    let (requester, life) = (context.connection.principal.clone(), life(&context));
    let id = Uuid::from_random(context.node.random()).to_string();
    let (asked, now_ms) = (request.clone(), context.node.now().0);
    let decided = context.node.metadata().decide(move |deciding| {
        deciding.controller.decide_create_token(&asked, &requester, life, id, now_ms)
    });
    Ok(match decided.await? {
        Ok(token) => CreateDelegationTokenResponse {
            issue_timestamp_ms: token.issue_timestamp,
            expiry_timestamp_ms: token.expiration_timestamp,
            max_timestamp_ms: token.max_timestamp,
            hmac: tokens.hmac(&token.token_id).unwrap_or_default().into(),
            token_id: token.token_id,
            ..refused(&context, &request, ErrorCode::None, 0)
        },
        Err(error) => refused(&context, &request, error.code(), 0),
    })
}

pub(crate) async fn renew(
    context: RequestContext,
    request: RenewDelegationTokenRequest,
) -> Result<RenewDelegationTokenResponse, ErrorCode> {
    let (error, expiry_timestamp_ms) = match before_change(&context) {
        Some(refused) => refused,
        None => {
            let (id, life) = (id_of(&context, &request.hmac), life(&context));
            let requester = context.connection.principal.clone();
            let (period, now_ms) = (request.renew_period_ms, context.node.now().0);
            let decided = context.node.metadata().decide(move |deciding| {
                let controller = deciding.controller;
                controller.decide_renew_token(id.as_deref(), &requester, period, life, now_ms)
            });
            outcome(decided.await?)
        }
    };
    let error_code = error.code();
    Ok(RenewDelegationTokenResponse { error_code, expiry_timestamp_ms, ..Default::default() })
}

pub(crate) async fn expire(
    context: RequestContext,
    request: ExpireDelegationTokenRequest,
) -> Result<ExpireDelegationTokenResponse, ErrorCode> {
    let (error, expiry_timestamp_ms) = match before_change(&context) {
        Some(refused) => refused,
        None => {
            let id = id_of(&context, &request.hmac);
            let requester = context.connection.principal.clone();
            let (period, now_ms) = (request.expiry_time_period_ms, context.node.now().0);
            let decided = context.node.metadata().decide(move |deciding| -> Decision<_> {
                let controller = deciding.controller;
                controller.decide_expire_token(id.as_deref(), &requester, period, now_ms)
            });
            outcome(decided.await?)
        }
    };
    let error_code = error.code();
    Ok(ExpireDelegationTokenResponse { error_code, expiry_timestamp_ms, ..Default::default() })
}

fn life(context: &RequestContext) -> TokenLife {
    let tokens = &context.node.config().tokens;
    TokenLife { max_ms: tokens.max_lifetime_ms, renewed_ms: tokens.expiry_time_ms }
}

/// Why no token is changed at all, if so, and the time that is told with it.
fn before_change(context: &RequestContext) -> Option<(ErrorCode, i64)> {
    if !may_be_asked_for(context) {
        return Some((ErrorCode::DelegationTokenRequestNotAllowed, NO_TIME));
    }
    let served = context.node.security().tokens().are_served();
    (!served).then_some((ErrorCode::DelegationTokenAuthDisabled, 0))
}

/// The token of which somebody knows this.
fn id_of(context: &RequestContext, hmac: &[u8]) -> Option<String> {
    let image = context.node.image();
    let ids = image.delegation_tokens().map(|token| token.token_id.as_str());
    context.node.security().tokens().id_of(hmac, ids).map(str::to_owned)
}

fn outcome(decided: Result<i64, TokenError>) -> (ErrorCode, i64) {
    match decided {
        Ok(expires) => (ErrorCode::None, expires),
        Err(error) => (error.code(), 0),
    }
}
