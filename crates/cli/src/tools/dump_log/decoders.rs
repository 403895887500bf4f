//! What keys and values of Kafka's own topics mean.

use bytes::Bytes;
use naru_protocol::{DecodeError, Reader};
use naru_records::OwnedRecord;
use serde_json::{Value, json};

use super::schema::Schema;

/// How the contents of records are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decoder {
    /// As text.
    Text,
    /// Records of `__consumer_offsets`.
    Offsets,
    /// Records of `__transaction_state`.
    Transactions,
    /// Records of `__share_group_state`.
    ShareState,
    /// Records of `__cluster_metadata`.
    Metadata,
}

/// Key and payload as they are printed; none where nothing is.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Contents {
    pub(super) key: Option<Vec<u8>>,
    pub(super) payload: Option<Vec<u8>>,
}

macro_rules! schemas {
    ($($name:literal)*) => {
        &[$(($name, include_str!(concat!("../../../../protocol/schemas/", $name, ".schema"))),)*]
    };
}

static METADATA: &[(&str, &str)] = schemas! {
    "AbortTransactionRecord" "AccessControlEntryRecord" "BeginTransactionRecord"
    "BrokerRegistrationChangeRecord" "ClearElrRecord" "ClientQuotaRecord" "ConfigRecord"
    "DelegationTokenRecord" "EndTransactionRecord" "FeatureLevelRecord" "FenceBrokerRecord"
    "NoOpRecord" "PartitionChangeRecord" "PartitionRecord" "ProducerIdsRecord"
    "RegisterBrokerRecord" "RegisterControllerRecord" "RemoveAccessControlEntryRecord"
    "RemoveDelegationTokenRecord" "RemoveTopicRecord" "RemoveUserScramCredentialRecord"
    "TopicRecord" "UnfenceBrokerRecord" "UnregisterBrokerRecord" "UserScramCredentialRecord"
    "ZkMigrationStateRecord"
};

static GROUPS: &[(&str, &str)] = schemas! {
    "LegacyOffsetCommitKey" "LegacyOffsetCommitValue" "OffsetCommitKey" "OffsetCommitValue"
    "GroupMetadataKey" "GroupMetadataValue" "ConsumerGroupMetadataKey" "ConsumerGroupMetadataValue"
    "ConsumerGroupPartitionMetadataKey" "ConsumerGroupPartitionMetadataValue"
    "ConsumerGroupMemberMetadataKey" "ConsumerGroupMemberMetadataValue"
    "ConsumerGroupTargetAssignmentMetadataKey" "ConsumerGroupTargetAssignmentMetadataValue"
    "ConsumerGroupTargetAssignmentMemberKey" "ConsumerGroupTargetAssignmentMemberValue"
    "ConsumerGroupCurrentMemberAssignmentKey" "ConsumerGroupCurrentMemberAssignmentValue"
    "ConsumerGroupRegularExpressionKey" "ConsumerGroupRegularExpressionValue"
    "ShareGroupMetadataKey" "ShareGroupMetadataValue"
    "ShareGroupMemberMetadataKey" "ShareGroupMemberMetadataValue"
    "ShareGroupTargetAssignmentMetadataKey" "ShareGroupTargetAssignmentMetadataValue"
    "ShareGroupTargetAssignmentMemberKey" "ShareGroupTargetAssignmentMemberValue"
    "ShareGroupCurrentMemberAssignmentKey" "ShareGroupCurrentMemberAssignmentValue"
    "ShareGroupStatePartitionMetadataKey" "ShareGroupStatePartitionMetadataValue"
    "StreamsGroupMetadataKey" "StreamsGroupMetadataValue"
    "StreamsGroupMemberMetadataKey" "StreamsGroupMemberMetadataValue"
    "StreamsGroupTargetAssignmentMetadataKey" "StreamsGroupTargetAssignmentMetadataValue"
    "StreamsGroupTargetAssignmentMemberKey" "StreamsGroupTargetAssignmentMemberValue"
    "StreamsGroupCurrentMemberAssignmentKey" "StreamsGroupCurrentMemberAssignmentValue"
    "StreamsGroupTopologyKey" "StreamsGroupTopologyValue"
};

static TRANSACTIONS: &[(&str, &str)] = schemas! { "TransactionLogKey" "TransactionLogValue" };

static SHARE_STATE: &[(&str, &str)] =
    schemas! { "ShareSnapshotKey" "ShareSnapshotValue" "ShareUpdateKey" "ShareUpdateValue" };

static OTHERS: &[(&str, &str)] = schemas! {
    "ConsumerProtocolSubscription" "ConsumerProtocolAssignment" "LeaderChangeMessage"
    "SnapshotHeaderRecord" "SnapshotFooterRecord" "KRaftVersionRecord" "VotersRecord"
};

impl Decoder {
    /// Shows a record.
    pub(super) fn contents(self, record: &OwnedRecord) -> Contents {
        let offset = record.offset.0;
        match self {
            Self::Text => {
                let text = |bytes: &Option<Bytes>| {
                    bytes.as_ref().map(|b| String::from_utf8_lossy(b).into_owned().into_bytes())
                };
                Contents { key: text(&record.key), payload: text(&record.value) }
            }
            Self::Metadata => Contents { key: None, payload: Some(metadata(record)) },
            Self::Offsets => coordinator(GROUPS, record, offset),
            Self::Transactions => coordinator(TRANSACTIONS, record, offset),
            Self::ShareState => coordinator(SHARE_STATE, record, offset),
        }
    }
}

/// Which records of Kafka's own topics a console consumer's formatter shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::tools) enum Shown {
    /// Committed offsets.
    Offsets,
    /// Groups.
    Groups,
    /// Transactions.
    Transactions,
}

/// A record of one of Kafka's own topics as its formatters show it; none if it is of another kind.
pub(in crate::tools) fn internal_record(
    shown: Shown,
    key: Option<&Bytes>,
    value: Option<&Bytes>,
) -> Option<String> {
    let (schemas, kinds): (_, &[i16]) = match shown {
        Shown::Offsets => (GROUPS, &[0, 1]),
        Shown::Groups => (GROUPS, &[2]),
        Shown::Transactions => (TRANSACTIONS, &[0]),
    };
    let number = |bytes: &Bytes| Some(i16::from_be_bytes(*bytes.first_chunk::<2>()?));
    let key = key?;
    let kind = number(key).filter(|kind| kinds.contains(kind))?;
    let (_, schema) = by_number(schemas, "coordinator-key", kind)?;
    let key = json!({ "type": kind, "data": schema.decode(&key.slice(2..), 0).ok()? });
    let value = match value {
        None => Value::Null,
        Some(value) => {
            let version = number(value)?;
            let (_, schema) = by_number(schemas, "coordinator-value", kind)?;
            json!({ "version": version, "data": schema.decode(&value.slice(2..), version).ok()? })
        }
    };
    Some(json!({ "key": key, "value": value }).to_string())
}

/// Shows a message of a control record or another one by name.
pub(super) fn show(name: &str, bytes: &Bytes, version: i16) -> Option<String> {
    let schema = by_name(OTHERS, name)?;
    schema.decode(bytes, version).ok().map(|value| value.to_string())
}

fn by_name(schemas: &[(&str, &str)], name: &str) -> Option<Schema> {
    let (_, text) = schemas.iter().find(|(known, _)| *known == name)?;
    Schema::parse(text)
}

/// The schema whose first line begins with `kind number`.
fn by_number(
    schemas: &'static [(&str, &str)],
    kind: &str,
    number: i16,
) -> Option<(&'static str, Schema)> {
    let start = format!("{kind} {number} ");
    let (name, text) = schemas.iter().find(|(_, text)| text.starts_with(&start))?;
    Some((name, Schema::parse(text)?))
}

fn metadata(record: &OwnedRecord) -> Vec<u8> {
    let value = record.value.clone().unwrap_or_default();
    let failed = |error: &dyn std::fmt::Display| {
        format!("Error at {}, skipping. {error}", record.offset.0).into_bytes()
    };
    let mut reader = Reader::new(&value);
    let mut number = || -> Result<i16, DecodeError> {
        let raw = reader.uvarint()?;
        i16::try_from(raw).map_err(|_| DecodeError::BadLength(i64::from(raw)))
    };
    let head = (|| Ok::<_, DecodeError>((number()?, number()?, number()?)))();
    let (_, kind, version) = match head {
        Ok(head) => head,
        Err(error) => return failed(&error),
    };
    let Some((name, schema)) = by_number(METADATA, "metadata", kind) else {
        return failed(&format!("Unknown metadata record type {kind}"));
    };
    match schema.decode(&reader.rest(), version) {
        Ok(data) => {
            let shown = json!({ "type": upper_snake(name), "version": version, "data": data });
            shown.to_string().into_bytes()
        }
        Err(error) => failed(&error),
    }
}

/// `RegisterBrokerRecord` is `REGISTER_BROKER_RECORD`.
fn upper_snake(name: &str) -> String {
    let mut out = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() && !out.is_empty() {
            out.push('_');
        }
        out.extend(letter.to_uppercase());
    }
    out
}

fn coordinator(schemas: &'static [(&str, &str)], record: &OwnedRecord, offset: i64) -> Contents {
    let text = |text: String| Some(text.into_bytes());
    let Some(key) = &record.key else {
        let words = format!(
            "Error at offset {offset}, skipping. Failed to decode message at offset {offset} \
             using the specified decoder (message had a missing key)"
        );
        return Contents { key: text(words), payload: None };
    };
    let failed = |error: &dyn std::fmt::Display| Contents {
        key: text(format!("Error at offset {offset}, skipping. {error}")),
        payload: None,
    };
    let Some(kind) = key.first_chunk::<2>().map(|kind| i16::from_be_bytes(*kind)) else {
        return failed(&DecodeError::Truncated);
    };
    let Some((_, schema)) = by_number(schemas, "coordinator-key", kind) else {
        let words = format!("Unknown record type {kind} at offset {offset}, skipping.");
        return Contents { key: text(words), payload: None };
    };
    let shown_key = match schema.decode(&key.slice(2..), 0) {
        Ok(data) => json!({ "type": kind.to_string(), "data": data }).to_string(),
        Err(error) => return failed(&error),
    };
    let payload = match &record.value {
        None => "<DELETE>".to_owned(),
        Some(value) => match coordinator_value(schemas, kind, value) {
            Ok(shown) => shown,
            Err(error) => return failed(&error),
        },
    };
    Contents { key: text(shown_key), payload: text(payload) }
}

fn coordinator_value(
    schemas: &'static [(&str, &str)],
    kind: i16,
    value: &Bytes,
) -> Result<String, DecodeError> {
    let version = value.first_chunk::<2>().map(|version| i16::from_be_bytes(*version));
    let version = version.ok_or(DecodeError::Truncated)?;
    let (name, schema) =
        by_number(schemas, "coordinator-value", kind).ok_or(DecodeError::UnknownVersion(kind))?;
    let mut data = schema.decode(&value.slice(2..), version)?;
    if name == "GroupMetadataValue" {
        open_members(&mut data);
    }
    Ok(json!({ "version": version.to_string(), "data": data }).to_string())
}

/// Subscriptions and assignments of consumers are messages of their own.
fn open_members(group: &mut Value) {
    if group.get("protocolType").and_then(Value::as_str) != Some("consumer") {
        return;
    }
    let members = group.get_mut("members").and_then(Value::as_array_mut);
    for member in members.into_iter().flatten() {
        for (field, name) in [
            ("subscription", "ConsumerProtocolSubscription"),
            ("assignment", "ConsumerProtocolAssignment"),
        ] {
            let Some(shown) = member.get_mut(field) else { continue };
            let bytes = shown.as_str().and_then(crate::text::unbase64).map(Bytes::from);
            let opened = bytes.and_then(|bytes| {
                let version = i16::from_be_bytes(*bytes.first_chunk::<2>()?);
                by_name(OTHERS, name)?.decode(&bytes.slice(2..), version.min(3)).ok()
            });
            if let Some(opened) = opened {
                *shown = opened;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use naru_model::{Offset, Timestamp};

    fn record(key: Option<&[u8]>, value: Option<&[u8]>) -> OwnedRecord {
        OwnedRecord {
            offset: Offset(3),
            timestamp: Timestamp(0),
            key: key.map(Bytes::copy_from_slice),
            value: value.map(Bytes::copy_from_slice),
            headers: vec![],
        }
    }

    fn check(decoder: Decoder, key: Option<&[u8]>, value: Option<&[u8]>, expect: [&str; 2]) {
        let shown = decoder.contents(&record(key, value));
        let text = |bytes: Option<Vec<u8>>| String::from_utf8(bytes.unwrap_or_default()).unwrap();
        assert_eq!([text(shown.key), text(shown.payload)], expect);
    }

    #[test]
    fn every_schema_can_be_read() {
        for (name, text) in
            [METADATA, GROUPS, TRANSACTIONS, SHARE_STATE, OTHERS].into_iter().flatten()
        {
            assert!(Schema::parse(text).is_some(), "{name}");
        }
    }

    #[test]
    fn committed_offsets_are_shown() {
        let key = b"\x00\x01\x00\x02gg\x00\x02fr\x00\x00\x00\x00";
        let expect =
            [r#"{"type":"1","data":{"group":"gg","topic":"fr","partition":0}}"#, "<DELETE>"];
        check(Decoder::Offsets, Some(key), None, expect);
        let expect = ["Unknown record type 99 at offset 3, skipping.", ""];
        check(Decoder::Offsets, Some(&[0, 99]), None, expect);
    }

    #[test]
    fn console_consumers_see_what_their_formatter_is_for() {
        let key = Bytes::from_static(b"\x00\x01\x00\x02gg\x00\x02fr\x00\x00\x00\x00");
        let expect = r#"{"key":{"type":1,"data":{"group":"gg","topic":"fr","partition":0}},"#;
        let shown = internal_record(Shown::Offsets, Some(&key), None).unwrap();
        assert_eq!(shown, format!("{expect}\"value\":null}}"));
        assert_eq!(internal_record(Shown::Groups, Some(&key), None), None);
        assert_eq!(internal_record(Shown::Offsets, None, None), None);
    }

    #[test]
    fn metadata_records_are_shown() {
        let value = b"\x01\x0c\x00\x0etransaction.v\x00\x02\x00";
        let expect = r#"{"type":"FEATURE_LEVEL_RECORD","version":0,"data":{"name":"transaction.v","featureLevel":2}}"#;
        check(Decoder::Metadata, None, Some(value), ["", expect]);
        assert!(Decoder::Metadata.contents(&record(None, Some(&[1]))).payload.is_some());
    }
}
