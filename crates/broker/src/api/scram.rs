//! DescribeUserScramCredentials (50, v0). KIP-554. AlterUserScramCredentials is the controller's.

use std::collections::BTreeMap;

use naru_model::ErrorCode;
use naru_protocol::messages::describe_user_scram_credentials_request::DescribeUserScramCredentialsRequest;
use naru_protocol::messages::describe_user_scram_credentials_response::{
    CredentialInfo, DescribeUserScramCredentialsResponse, DescribeUserScramCredentialsResult,
};

use crate::api::acls::NOT_AUTHORIZED;
use crate::dispatch::RequestContext;
use crate::security::{Operation, Resource};

pub(crate) fn describe(
    context: &RequestContext,
    request: DescribeUserScramCredentialsRequest,
) -> DescribeUserScramCredentialsResponse {
    if !context.may(Operation::Describe, Resource::Cluster) {
        return DescribeUserScramCredentialsResponse {
            error_code: ErrorCode::ClusterAuthorizationFailed.code(),
            error_message: Some(NOT_AUTHORIZED.to_owned()),
            ..Default::default()
        };
    }
    let image = context.node.image();
    let mut known: BTreeMap<&str, Vec<CredentialInfo>> = BTreeMap::new();
    for record in image.scram_credentials() {
        known
            .entry(&record.name)
            .or_default()
            .push(CredentialInfo { mechanism: record.mechanism, iterations: record.iterations });
    }
    let asked = request.users.unwrap_or_default();
    let mut times: BTreeMap<&str, usize> = BTreeMap::new();
    asked.iter().for_each(|user| *times.entry(&user.name).or_default() += 1);
    if asked.is_empty() {
        times.extend(known.keys().map(|name| (*name, 1)));
    }
    let results = times.into_iter().map(|(user, times)| {
        let mut result =
            DescribeUserScramCredentialsResult { user: user.to_owned(), ..Default::default() };
        let refusal = match known.get(user) {
            _ if times > 1 => Some((
                ErrorCode::DuplicateResource,
                "Cannot describe SCRAM credentials for the same user twice in a single request: ",
            )),
            Some(infos) => {
                result.credential_infos.clone_from(infos);
                // Kafka says nothing with an empty text.
                result.error_message = Some(String::new());
                None
            }
            None => Some((
                ErrorCode::ResourceNotFound,
                "Attempt to describe a user credential that does not exist: ",
            )),
        };
        if let Some((error, text)) = refusal {
            result.error_code = error.code();
            result.error_message = Some(format!("{text}{user}"));
        }
        result
    });
    DescribeUserScramCredentialsResponse {
        error_message: Some(String::new()),
        results: results.collect(),
        ..Default::default()
    }
}
