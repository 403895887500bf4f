//! Which version of an API both sides speak.

use std::collections::HashMap;

use naru_protocol::Request;
use naru_protocol::api::ApiKey;
use naru_protocol::messages::api_versions_response::ApiVersionsResponse;

use crate::error::{Error, Result};

/// The version ranges one broker has announced.
#[derive(Debug, Clone, Default)]
pub struct Versions {
    ranges: HashMap<i16, (i16, i16)>,
}

impl Versions {
    pub(crate) fn of(response: &ApiVersionsResponse) -> Self {
        let ranges = response
            .api_keys
            .iter()
            .map(|api| (api.api_key, (api.min_version, api.max_version)))
            .collect();
        Self { ranges }
    }

    /// The broker's range of an API, by key.
    pub fn range(&self, key: i16) -> Option<(i16, i16)> {
        self.ranges.get(&key).copied()
    }

    /// The highest version of `R` that both sides speak, and that is not above `cap`.
    pub fn pick<R: Request>(&self, cap: i16) -> Result<i16> {
        let (low, high) = (*R::VERSIONS.start(), (*R::VERSIONS.end()).min(cap));
        let theirs = self.range(R::KEY);
        let best = theirs.and_then(|(their_low, their_high)| {
            let version = high.min(their_high);
            (version >= low.max(their_low)).then_some(version)
        });
        best.ok_or_else(|| Error::UnsupportedVersion {
            api: ApiKey::from_key(R::KEY).unwrap_or(ApiKey::ApiVersions),
            ours: (low, high),
            theirs,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use naru_protocol::messages::api_versions_response::ApiVersion;
    use naru_protocol::messages::fetch_request::FetchRequest;

    fn broker(min_version: i16, max_version: i16) -> Versions {
        let api_keys = vec![ApiVersion { api_key: 1, min_version, max_version }];
        Versions::of(&ApiVersionsResponse { api_keys, ..Default::default() })
    }

    #[test]
    fn the_highest_common_version_is_picked() {
        assert_eq!(broker(0, 10).pick::<FetchRequest>(i16::MAX).unwrap(), 10);
        assert_eq!(broker(0, 99).pick::<FetchRequest>(12).unwrap(), 12);
    }

    #[test]
    fn no_common_version_is_an_error_that_names_both_ranges() {
        for versions in [broker(0, 3), broker(100, 101), Versions::default()] {
            let error = versions.pick::<FetchRequest>(i16::MAX).unwrap_err();
            assert!(error.to_string().starts_with("Fetch is not served"), "{error}");
            assert!(!error.is_retriable());
        }
    }
}
