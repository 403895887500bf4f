//! SaslHandshake (17, v0–v1) and SaslAuthenticate (36, v0–v2) where no login is under way.
//! KIP-43, 152, 368. Logins themselves are `security::login`'s.

use naru_model::ErrorCode;
use naru_protocol::messages::sasl_authenticate_request::SaslAuthenticateRequest;
use naru_protocol::messages::sasl_authenticate_response::SaslAuthenticateResponse;
use naru_protocol::messages::sasl_handshake_request::SaslHandshakeRequest;
use naru_protocol::messages::sasl_handshake_response::SaslHandshakeResponse;

use crate::dispatch::RequestContext;

pub(crate) fn handshake(_: &RequestContext, _: SaslHandshakeRequest) -> SaslHandshakeResponse {
    SaslHandshakeResponse { error_code: ErrorCode::IllegalSaslState.code(), ..Default::default() }
}

pub(crate) fn authenticate(
    _: &RequestContext,
    _: SaslAuthenticateRequest,
) -> SaslAuthenticateResponse {
    SaslAuthenticateResponse {
        error_code: ErrorCode::IllegalSaslState.code(),
        error_message: Some(
            "SaslAuthenticate request received after successful authentication".to_owned(),
        ),
        ..Default::default()
    }
}
