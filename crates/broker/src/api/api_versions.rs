//! ApiVersions (key 18, v0–v4). KIP-35, 511, 584.
//!
//! v3 flexible, client software name and version, features · v4 features whose lowest version is 0.
//! Above v4: error 35 in the layout of v0, naming only ApiVersions itself.

use naru_controller::controller::FEATURES;
use naru_model::ErrorCode;
use naru_protocol::api::ApiKey;
use naru_protocol::messages::api_versions_request::ApiVersionsRequest;
use naru_protocol::messages::api_versions_response::{
    ApiVersion, ApiVersionsResponse, FinalizedFeatureKey, SupportedFeatureKey,
};

use crate::dispatch::{Reply, RequestContext, advertised, served};
use crate::listener::{Outgoing, Software};

/// First version whose answer may name features with a lowest version of 0.
const ZERO_MINIMUM_SINCE: i16 = 4;
/// The feature that the quorum keeps in control records.
const KRAFT_VERSION: &str = "kraft.version";
/// First version with the client's software name and version.
const SOFTWARE_SINCE: i16 = 3;
/// Longest software name or version that is taken, in bytes: each is kept with its connection and
/// copied into each client instance that telemetry knows.
const SOFTWARE_WORD_MAX: usize = 256;

#[expect(clippy::needless_pass_by_value, reason = "the shape of every handler")]
pub(crate) fn handle(context: &RequestContext, request: ApiVersionsRequest) -> ApiVersionsResponse {
    answer(context, &request, advertised())
}

/// The answer of a listener that serves these APIs.
pub(super) fn answer(
    context: &RequestContext,
    request: &ApiVersionsRequest,
    apis: impl Iterator<Item = (ApiKey, i16, i16)>,
) -> ApiVersionsResponse {
    let version = context.version;
    if version >= SOFTWARE_SINCE
        && !(is_software_word(&request.client_software_name)
            && is_software_word(&request.client_software_version))
    {
        return ApiVersionsResponse {
            error_code: ErrorCode::InvalidRequest.code(),
            ..Default::default()
        };
    }
    if version >= SOFTWARE_SINCE {
        let (name, version) = (&request.client_software_name, &request.client_software_version);
        // What is told first counts.
        let _ = context
            .connection
            .software
            .set(Software { name: name.clone(), version: version.clone() });
    }
    let image = context.node.image();
    ApiVersionsResponse {
        api_keys: apis.map(|(api, low, high)| row(api, low, high)).collect(),
        supported_features: FEATURES
            .iter()
            .filter(|feature| version >= ZERO_MINIMUM_SINCE || feature.min > 0)
            .map(|feature| SupportedFeatureKey {
                name: feature.name.to_owned(),
                min_version: feature.min,
                max_version: feature.max,
            })
            .collect(),
        finalized_features_epoch: image.end_offset().saturating_sub(1),
        finalized_features: finalized(context.node.metadata().kraft_version(), image.features()),
        ..Default::default()
    }
}

/// The levels of all features; that of `kraft.version` is the quorum's own.
fn finalized<'f>(
    kraft_version: i16,
    features: impl IntoIterator<Item = (&'f String, &'f i16)>,
) -> Vec<FinalizedFeatureKey> {
    let key = |name: &str, level: i16| FinalizedFeatureKey {
        name: name.to_owned(),
        max_version_level: level,
        min_version_level: level,
    };
    let kraft = (kraft_version > 0).then(|| key(KRAFT_VERSION, kraft_version));
    features.into_iter().map(|(name, level)| key(name, *level)).chain(kraft).collect()
}

/// The answer to a version that nobody here knows.
pub(crate) fn unsupported_version(context: &RequestContext) -> Outgoing {
    let own = served().iter().filter(|(api, ..)| *api == ApiKey::ApiVersions);
    let response = ApiVersionsResponse {
        error_code: ErrorCode::UnsupportedVersion.code(),
        api_keys: own.map(|&(api, low, high)| row(api, low, high)).collect(),
        ..Default::default()
    };
    Reply { version: 0, ..context.reply() }.frame(response)
}

fn row(api: ApiKey, low: i16, high: i16) -> ApiVersion {
    ApiVersion { api_key: api.key(), min_version: low, max_version: high }
}

/// Letters, digits, dots and dashes, neither first nor last a dot or dash (KIP-511), and not long.
fn is_software_word(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '-';
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    text.len() <= SOFTWARE_WORD_MAX
        && text.chars().all(inner)
        && edge(text.chars().next())
        && edge(text.chars().last())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{SOFTWARE_WORD_MAX, finalized, is_software_word};

    #[test]
    fn the_level_of_kraft_version_is_told_when_there_is_one() {
        let levels = BTreeMap::from([("metadata.version".to_owned(), 30)]);
        let told = |kraft| {
            let keys = finalized(kraft, &levels);
            keys.into_iter().map(|key| (key.name, key.max_version_level)).collect::<Vec<_>>()
        };
        assert_eq!(told(0), [("metadata.version".to_owned(), 30)]);
        assert_eq!(told(1)[1], ("kraft.version".to_owned(), 1));
    }

    #[test]
    fn software_names_are_checked_as_kip_511_says() {
        for good in ["apache-kafka-java", "4.3.1", "a"] {
            assert!(is_software_word(good), "{good}");
        }
        for bad in ["", "-a", "a-", "a b", "\u{e4}"] {
            assert!(!is_software_word(bad), "{bad}");
        }
    }

    #[test]
    fn software_names_are_no_longer_than_is_kept() {
        assert!(is_software_word(&"a".repeat(SOFTWARE_WORD_MAX)));
        assert!(!is_software_word(&"a".repeat(SOFTWARE_WORD_MAX + 1)));
    }
}
