//! Client quotas in the image, and DescribeClientQuotas over them. KIP-546.

use std::collections::{BTreeMap, BTreeSet};

use naru_model::ErrorCode;
use naru_protocol::messages::client_quota_record::ClientQuotaRecord;
use naru_protocol::messages::describe_client_quotas_request::DescribeClientQuotasRequest;
use naru_protocol::messages::describe_client_quotas_response::{
    DescribeClientQuotasResponse, EntityData, EntryData, ValueData,
};
use naru_protocol::metadata::MetadataRecord;
use naru_quotas::{Limits, Part, Scope};

use super::MetadataImage;
use super::other::OtherKey;

/// What a quota is for: kinds and names, by kind; no name is the default.
pub(crate) type QuotaEntity = BTreeMap<String, Option<String>>;

pub(crate) const USER: &str = "user";
pub(crate) const CLIENT_ID: &str = "client-id";
pub(crate) const IP: &str = "ip";

/// Kinds of matches in a filter.
const EXACT: i8 = 0;
const DEFAULT: i8 = 1;
const SPECIFIED: i8 = 2;

/// A filter that cannot be. The texts are Apache Kafka 4.3.1's: tools print them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each text says what the variant is")]
pub enum DescribeQuotasError {
    #[error("Invalid empty entity type.")]
    EmptyKind,
    #[error("Entity type {0} cannot appear more than once in the filter.")]
    KindTwice(String),
    #[error("Unsupported entity type {0}")]
    UnknownKind(String),
    #[error("Request specified MATCH_TYPE_EXACT, but set match string to null.")]
    ExactWithout,
    #[error("Request specified MATCH_TYPE_DEFAULT, but also specified a match string.")]
    DefaultWith,
    #[error("Request specified MATCH_TYPE_SPECIFIED, but also specified a match string.")]
    SpecifiedWith,
    #[error("Unknown match type {0}")]
    UnknownMatch(i8),
    #[error(
        "Invalid entity filter component combination. IP filter component should not be used with \
         user or clientId filter component."
    )]
    IpAndClient,
}

impl DescribeQuotasError {
    /// The code a client gets.
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::UnknownKind(_) => ErrorCode::UnsupportedVersion,
            _ => ErrorCode::InvalidRequest,
        }
    }
}

impl MetadataImage {
    fn client_quota_records(&self) -> impl Iterator<Item = &ClientQuotaRecord> {
        self.other.values().filter_map(|record| match record {
            MetadataRecord::ClientQuotaRecord(record) => Some(record),
            _ => None,
        })
    }

    /// What is set for exactly this entity under this key.
    pub(crate) fn client_quota(&self, entity: &QuotaEntity, key: &str) -> Option<f64> {
        let parts: Vec<(String, Option<String>)> =
            entity.iter().map(|(kind, name)| (kind.clone(), name.clone())).collect();
        match self.other.get(&OtherKey::ClientQuota(parts, key.to_owned())) {
            Some(MetadataRecord::ClientQuotaRecord(record)) => Some(record.value),
            _ => None,
        }
    }

    /// All client quotas, to decide by.
    pub fn quota_limits(&self) -> Limits {
        Limits::new(self.client_quota_records().filter_map(|record| {
            let scope = scope_of(&entity_of(record))?;
            Some((scope, record.key.as_str(), record.value))
        }))
    }

    /// Answers a DescribeClientQuotas request.
    ///
    /// # Errors
    /// The first thing that is wrong with the filter.
    pub fn describe_client_quotas(
        &self,
        request: &DescribeClientQuotasRequest,
    ) -> Result<DescribeClientQuotasResponse, DescribeQuotasError> {
        let filter = Filter::read(request)?;
        let mut found: BTreeMap<QuotaEntity, Vec<ValueData>> = BTreeMap::new();
        for record in self.client_quota_records() {
            let entity = entity_of(record);
            if filter.fits(&entity) {
                let value = ValueData { key: record.key.clone(), value: record.value };
                found.entry(entity).or_default().push(value);
            }
        }
        let entries = found.into_iter().map(|(entity, values)| EntryData {
            entity: entity
                .into_iter()
                .map(|(entity_type, entity_name)| EntityData { entity_type, entity_name })
                .collect(),
            values,
        });
        Ok(DescribeClientQuotasResponse {
            // Kafka says nothing with an empty text.
            error_message: Some(String::new()),
            entries: Some(entries.collect()),
            ..DescribeClientQuotasResponse::default()
        })
    }
}

fn entity_of(record: &ClientQuotaRecord) -> QuotaEntity {
    let parts = record.entity.iter();
    parts.map(|part| (part.entity_type.clone(), part.entity_name.clone())).collect()
}

fn scope_of(entity: &QuotaEntity) -> Option<Scope> {
    let part =
        |kind: &str| entity.get(kind).map(|name| name.clone().map_or(Part::Default, Part::Named));
    match (part(IP), part(USER), part(CLIENT_ID)) {
        (Some(ip), None, None) => Some(Scope::Ip(ip)),
        (None, None, None) | (Some(_), ..) => None,
        (None, user, client_id) => Some(Scope::Client { user, client_id }),
    }
}

/// What is asked for.
struct Filter {
    exact: QuotaEntity,
    kinds: BTreeSet<String>,
    strict: bool,
}

impl Filter {
    fn read(request: &DescribeClientQuotasRequest) -> Result<Self, DescribeQuotasError> {
        let mut filter =
            Self { exact: BTreeMap::new(), kinds: BTreeSet::new(), strict: request.strict };
        for component in &request.components {
            let kind = &component.entity_type;
            if kind.is_empty() {
                return Err(DescribeQuotasError::EmptyKind);
            }
            if filter.has(kind) {
                return Err(DescribeQuotasError::KindTwice(kind.clone()));
            }
            if ![USER, CLIENT_ID, IP].contains(&kind.as_str()) {
                return Err(DescribeQuotasError::UnknownKind(kind.clone()));
            }
            match (component.match_type, &component.match_) {
                (EXACT, Some(name)) => {
                    filter.exact.insert(kind.clone(), Some(name.clone()));
                }
                (EXACT, None) => return Err(DescribeQuotasError::ExactWithout),
                (DEFAULT, None) => {
                    filter.exact.insert(kind.clone(), None);
                }
                (DEFAULT, Some(_)) => return Err(DescribeQuotasError::DefaultWith),
                (SPECIFIED, None) => {
                    filter.kinds.insert(kind.clone());
                }
                (SPECIFIED, Some(_)) => return Err(DescribeQuotasError::SpecifiedWith),
                (other, _) => return Err(DescribeQuotasError::UnknownMatch(other)),
            }
        }
        if filter.has(IP) && (filter.has(USER) || filter.has(CLIENT_ID)) {
            return Err(DescribeQuotasError::IpAndClient);
        }
        Ok(filter)
    }

    fn has(&self, kind: &str) -> bool {
        self.exact.contains_key(kind) || self.kinds.contains(kind)
    }

    fn fits(&self, entity: &QuotaEntity) -> bool {
        if self.strict && entity.len() != self.exact.len() + self.kinds.len() {
            return false;
        }
        self.exact.iter().all(|(kind, name)| entity.get(kind) == Some(name))
            && self.kinds.iter().all(|kind| entity.contains_key(kind))
    }
}
