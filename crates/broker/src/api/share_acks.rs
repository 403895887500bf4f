//! Acknowledgements of records of share groups, which come with ShareAcknowledge and ShareFetch.

use std::collections::BTreeMap;
use std::sync::Arc;

use naru_model::{ErrorCode, Offset, Uuid};
use naru_share::{AckBatch, AckType, SessionKey};

use super::lookup;
use crate::dispatch::RequestContext;
use crate::security::{Operation, Resource};
use crate::share::{AckRefusal, Acknowledging, share_key};

/// Longest member id: a UUID as text.
const MEMBER_ID_MAX: usize = 36;
/// What Kafka says of a request without a group.
pub(super) const NO_GROUP: &str = "Invalid group id in the request.";
/// What Kafka says of a request with a member id that makes no sense.
pub(super) const NO_MEMBER: &str = "Invalid member id in the request.";

/// A range as it stands in a request.
#[derive(Debug, Clone)]
pub(super) struct AskedBatch {
    pub(super) first: i64,
    pub(super) last: i64,
    pub(super) types: Vec<i8>,
}

/// Acknowledgements by partition, in order.
pub(super) type AskedAcks = Vec<((Uuid, i32), Vec<AskedBatch>)>;

/// What has become of them.
pub(super) type AckResults = BTreeMap<(Uuid, i32), AckResult>;

/// What has become of one partition's: no error, or why they do not count.
#[derive(Debug)]
pub(super) struct AckResult {
    pub(super) error: ErrorCode,
    pub(super) message: Option<String>,
}

/// Who asks; why not, otherwise.
pub(super) fn session_of(
    context: &RequestContext,
    group: Option<&str>,
    member: Option<&str>,
) -> Result<SessionKey, ErrorCode> {
    if !context.node.has_share_groups() {
        return Err(ErrorCode::UnsupportedVersion);
    }
    let Some(group) = group else { return Err(refuse(NO_GROUP)) };
    if !context.may(Operation::Read, Resource::Group(group)) {
        return Err(ErrorCode::GroupAuthorizationFailed);
    }
    match member {
        Some(member) if !member.is_empty() && member.len() <= MEMBER_ID_MAX => {
            Ok(SessionKey { group: group.into(), member: member.into() })
        }
        _ => Err(refuse(NO_MEMBER)),
    }
}

/// A request that makes no sense; the answer has no room for why.
fn refuse(why: &str) -> ErrorCode {
    tracing::debug!(why, "request refused");
    ErrorCode::InvalidRequest
}

/// Hands all acknowledgements to their partitions; what is waited for later. So that what they
/// give back is available at once, this does not wait itself.
pub(super) fn begin(
    context: &RequestContext,
    session: &SessionKey,
    asked: &AskedAcks,
    renews: bool,
) -> Vec<((Uuid, i32), Acknowledging)> {
    let mut begun = Vec::new();
    for (of, batches) in asked.iter().filter(|(_, batches)| !batches.is_empty()) {
        let acknowledging = match check(context, *of, batches, renews) {
            Err(error) => Acknowledging::Done(Err(error.into())),
            Ok(batches) => {
                let node = &context.node;
                let key = share_key(&session.group, of.0, of.1);
                match node.share().get(&key) {
                    Some(shared) => shared.acknowledge(node, &session.member, &batches),
                    // Nothing was given out here since this broker leads.
                    None => Acknowledging::Done(Err(ErrorCode::InvalidRecordState.into())),
                }
            }
        };
        begun.push((*of, acknowledging));
    }
    begun
}

/// Waits until all are stored, or not.
pub(super) async fn settled(begun: Vec<((Uuid, i32), Acknowledging)>) -> AckResults {
    let mut results = AckResults::new();
    for (of, acknowledging) in begun {
        let result = match acknowledging.settled().await {
            Ok(()) => AckResult { error: ErrorCode::None, message: None },
            Err(AckRefusal { error, message }) => AckResult { error, message },
        };
        results.insert(of, result);
    }
    results
}

fn check(
    context: &RequestContext,
    (topic, partition): (Uuid, i32),
    batches: &[AskedBatch],
    renews: bool,
) -> Result<Vec<AckBatch>, ErrorCode> {
    let image = context.node.image();
    let known = image.topic_by_id(topic).ok_or(ErrorCode::UnknownTopicId)?;
    if !context.may(Operation::Read, Resource::Topic(&known.name)) {
        return Err(ErrorCode::TopicAuthorizationFailed);
    }
    let parsed = parse(batches, context.version, renews).ok_or(ErrorCode::InvalidRequest)?;
    lookup::by_id(&context.node, topic, partition)?.check_leads()?;
    Ok(parsed)
}

/// The ranges, if they make sense: ascending, with a type for all or for each record.
fn parse(batches: &[AskedBatch], version: i16, renews: bool) -> Option<Vec<AckBatch>> {
    // A renewal can only be asked for by who says so (KIP-1222).
    let type_max = if version >= 2 { 4 } else { 3 };
    let mut behind = -1;
    let mut parsed = Vec::with_capacity(batches.len());
    for batch in batches {
        let is_range = batch.first <= batch.last && batch.first >= behind;
        let len = batch.types.len();
        let is_each =
            batch.last.checked_sub(batch.first) == i64::try_from(len).ok()?.checked_sub(1);
        if !is_range || len == 0 || (len > 1 && !is_each) {
            return None;
        }
        let types: Option<Vec<AckType>> = batch
            .types
            .iter()
            .map(|id| AckType::from_id(*id).filter(|_| *id <= type_max && (*id < 4 || renews)))
            .collect();
        parsed.push(AckBatch {
            first: Offset(batch.first),
            last: Offset(batch.last),
            types: types?,
        });
        behind = batch.last;
    }
    Some(parsed)
}

/// The group's name as it is shared by many.
pub(super) fn group_of(session: &SessionKey) -> &Arc<str> {
    &session.group
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(first: i64, last: i64, types: &[i8]) -> AskedBatch {
        AskedBatch { first, last, types: types.to_vec() }
    }

    #[test]
    fn ranges_ascend_and_have_a_type_for_all_or_for_each() {
        let fits = |batches: &[AskedBatch]| parse(batches, 1, false).is_some();
        assert!(fits(&[batch(0, 9, &[1]), batch(10, 11, &[1, 2])]));
        assert!(!fits(&[batch(5, 4, &[1])]));
        assert!(!fits(&[batch(5, 9, &[1]), batch(0, 1, &[1])]));
        assert!(!fits(&[batch(0, 9, &[])]));
        assert!(!fits(&[batch(0, 9, &[1, 2])]));
        assert!(!fits(&[batch(0, 0, &[4])]));
        assert!(!fits(&[batch(0, 0, &[-1])]));
        assert!(!fits(&[batch(i64::MIN, i64::MAX, &[1, 1])]));
    }

    #[test]
    fn more_time_is_asked_for_by_who_says_so() {
        let asked = [batch(0, 0, &[4])];
        assert!(parse(&asked, 2, true).is_some());
        assert!(parse(&asked, 2, false).is_none());
        assert!(parse(&asked, 1, true).is_none());
    }
}
