//! AlterClientQuotas (49). KIP-546, 612.

use std::collections::{BTreeMap, BTreeSet};

use naru_model::ErrorCode;
use naru_protocol::messages::alter_client_quotas_request::{
    AlterClientQuotasRequest, EntryData as AskedEntry, OpData,
};
use naru_protocol::messages::alter_client_quotas_response::{
    AlterClientQuotasResponse, EntityData as AnsweredEntity, EntryData as AnsweredEntry,
};
use naru_protocol::messages::client_quota_record::{ClientQuotaRecord, EntityData};

use super::Controller;
use crate::image::client_quotas::{CLIENT_ID, IP, QuotaEntity, USER};
use crate::records::{Decision, RecordAndVersion, take_decided};

/// Why quotas of an entity are not changed. The texts are Apache Kafka 4.3.1's: tools print them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each text says what the variant is")]
pub enum ClientQuotaError {
    #[error("Ignoring duplicate entity {0}")]
    EntityTwice(String),
    #[error("Duplicate quota key {key} not updating quota for this entity {entity}")]
    KeyTwice { key: String, entity: String },
    #[error("Invalid empty client quota entity")]
    EmptyEntity,
    #[error("Unhandled client quota entity type: {0}")]
    UnknownKind(String),
    #[error("Empty {0} not supported")]
    EmptyName(String),
    #[error(
        "Invalid quota entity combination, IP entity shouldnot be combined with User or ClientId"
    )]
    IpAndClient,
    #[error("{0} is not a valid IP or resolvable host.")]
    UnknownHost(String),
    #[error("Invalid configuration key {0}")]
    UnknownKey(String),
    #[error("Quota {0} must be greater than 0")]
    NotPositive(String),
    #[error("Proposed value for {key} is too large for {kind}.")]
    TooLarge { key: String, kind: &'static str },
    #[error("{0} cannot be a fractional value.")]
    Fraction(String),
    #[error("Unable to perform excessively large batch operation.")]
    TooManyRecords,
}

impl ClientQuotaError {
    /// The code a client gets.
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::TooManyRecords => ErrorCode::PolicyViolation,
            _ => ErrorCode::InvalidRequest,
        }
    }
}

/// What a quota's value has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ValueKind {
    Double,
    Int,
    Long,
}

const CLIENT_KEYS: [(&str, ValueKind); 4] = [
    ("producer_byte_rate", ValueKind::Long),
    ("consumer_byte_rate", ValueKind::Long),
    ("request_percentage", ValueKind::Double),
    ("controller_mutation_rate", ValueKind::Double),
];
const IP_KEYS: [(&str, ValueKind); 1] = [("connection_creation_rate", ValueKind::Int)];

impl Controller {
    /// Decides an AlterClientQuotas request: all that is asked for an entity, or nothing.
    /// `unknown_hosts` are the names of `ip` entities that are no addresses and that nobody knows.
    pub fn decide_alter_client_quotas(
        &self,
        request: &AlterClientQuotasRequest,
        unknown_hosts: &BTreeSet<String>,
    ) -> Decision<AlterClientQuotasResponse> {
        let mut records = Vec::new();
        let mut answers: BTreeMap<QuotaEntity, Option<ClientQuotaError>> = BTreeMap::new();
        for entry in &request.entries {
            let entity = entity_of(entry);
            if let Some(answer) = answers.get_mut(&entity) {
                // What was decided for it before stands.
                *answer = Some(ClientQuotaError::EntityTwice(java_text(&entity)));
                continue;
            }
            let decided = self.alter_quotas(&entity, &entry.ops, unknown_hosts);
            let taken = take_decided(&mut records, decided, ClientQuotaError::TooManyRecords);
            answers.insert(entity, taken.err());
        }
        if request.validate_only {
            records.clear();
        }
        let entries = answers.into_iter().map(|(entity, error)| AnsweredEntry {
            error_code: error.as_ref().map_or(0, |error| error.code().code()),
            error_message: error.map(|error| error.to_string()),
            entity: entity
                .into_iter()
                .map(|(entity_type, entity_name)| AnsweredEntity { entity_type, entity_name })
                .collect(),
        });
        let response =
            AlterClientQuotasResponse { entries: entries.collect(), ..Default::default() };
        Decision { records, response }
    }

    fn alter_quotas(
        &self,
        entity: &QuotaEntity,
        ops: &[OpData],
        unknown_hosts: &BTreeSet<String>,
    ) -> Result<Vec<RecordAndVersion>, ClientQuotaError> {
        let mut wanted: BTreeMap<&str, Option<f64>> = BTreeMap::new();
        for op in ops {
            let value = (!op.remove).then_some(op.value);
            if wanted.insert(&op.key, value).is_some() {
                let (key, entity) = (op.key.clone(), java_text(entity));
                return Err(ClientQuotaError::KeyTwice { key, entity });
            }
        }
        let keys = keys_for(entity, unknown_hosts)?;
        let mut records = Vec::new();
        for (key, value) in wanted {
            let now = self.image.client_quota(entity, key);
            if let Some(value) = value {
                check_value(keys, key, value)?;
            }
            // What stays as it is needs no record.
            if now != value {
                records.push(RecordAndVersion::newest(ClientQuotaRecord {
                    entity: entity
                        .iter()
                        .map(|(kind, name)| EntityData {
                            entity_type: kind.clone(),
                            entity_name: name.clone(),
                        })
                        .collect(),
                    key: key.to_owned(),
                    value: value.unwrap_or(0.0),
                    remove: value.is_none(),
                }));
            }
        }
        Ok(records)
    }
}

fn entity_of(entry: &AskedEntry) -> QuotaEntity {
    let parts = entry.entity.iter();
    parts.map(|part| (part.entity_type.clone(), part.entity_name.clone())).collect()
}

/// An entity as Java prints it.
fn java_text(entity: &QuotaEntity) -> String {
    let parts = entity.iter().map(|(kind, name)| {
        let name = name.as_deref().unwrap_or("null");
        format!("{kind}={name}")
    });
    format!("ClientQuotaEntity(entries={{{}}})", parts.collect::<Vec<_>>().join(", "))
}

/// The keys that may be set for an entity.
fn keys_for(
    entity: &QuotaEntity,
    unknown_hosts: &BTreeSet<String>,
) -> Result<&'static [(&'static str, ValueKind)], ClientQuotaError> {
    if entity.is_empty() {
        return Err(ClientQuotaError::EmptyEntity);
    }
    for (kind, name) in entity {
        if ![USER, CLIENT_ID, IP].contains(&kind.as_str()) {
            return Err(ClientQuotaError::UnknownKind(kind.clone()));
        }
        if name.as_deref() == Some("") {
            return Err(ClientQuotaError::EmptyName(kind.clone()));
        }
    }
    match entity.get(IP) {
        None => Ok(&CLIENT_KEYS),
        Some(_) if entity.len() > 1 => Err(ClientQuotaError::IpAndClient),
        Some(Some(host)) if unknown_hosts.contains(host) => {
            Err(ClientQuotaError::UnknownHost(host.clone()))
        }
        Some(_) => Ok(&IP_KEYS),
    }
}

fn check_value(keys: &[(&str, ValueKind)], key: &str, value: f64) -> Result<(), ClientQuotaError> {
    let owned = || key.to_owned();
    let (_, kind) = keys
        .iter()
        .find(|(known, _)| *known == key)
        .ok_or_else(|| ClientQuotaError::UnknownKey(owned()))?;
    // Kafka lets "not a number" pass, which no rate could be compared with.
    if value.is_nan() || value <= 0.0 {
        return Err(ClientQuotaError::NotPositive(owned()));
    }
    let (most, kind) = match kind {
        ValueKind::Double => return Ok(()),
        ValueKind::Int => (f64::from(i32::MAX), "an INT"),
        ValueKind::Long => (LONG_MAX, "a LONG"),
    };
    if value > most {
        return Err(ClientQuotaError::TooLarge { key: owned(), kind });
    }
    if (value % 1.0).abs() > FRACTION_MAX {
        return Err(ClientQuotaError::Fraction(owned()));
    }
    Ok(())
}

/// 2^63, the nearest to Java's `Long.MAX_VALUE`.
const LONG_MAX: f64 = 9_223_372_036_854_775_808.0;
/// What may be off a whole number.
const FRACTION_MAX: f64 = 1e-6;
