//! From a classic group to a consumer group and back, while members keep consuming (KIP-848).

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use naru_model::Timestamp;
use naru_protocol::messages::consumer_protocol_assignment::{
    ConsumerProtocolAssignment, TopicPartition,
};
use naru_protocol::messages::consumer_protocol_subscription::ConsumerProtocolSubscription;
use naru_protocol::messages::group_metadata_value::{GroupMetadataValue, MemberMetadata};
use naru_protocol::{DecodeError, Message, Reader, Wire, Writer};

use super::assignment::{Owned, Partitions, owned_since, partitions_of};
use super::error::ConsumerError;
use super::facts::{ConsumerFact, GroupEpoch, TargetEpoch};
use super::group::{ConsumerGroup, ConsumerGroupState};
use super::member::{Classic, ConsumerMember, MemberState, Profile, Progress};
use super::target::{Change, Scope};
use super::topics::Topics;
use crate::change::Changed;
use crate::config::ConsumerConfig;
use crate::group::ClassicGroup;
use crate::kind::GroupKind;
use crate::member::Member;
use crate::records::Fact;
use crate::reply::{Outcome, Reply, ReplyToken};
use crate::shard::GroupShard;
use crate::subscription::CONSUMER_PROTOCOL;
use crate::undo::Undo;

/// A classic group as a consumer group: its members with what they own.
#[derive(Debug, Clone)]
pub(super) struct Upgrade {
    epoch: i32,
    members: Vec<(Arc<str>, Profile, Owned)>,
}

impl Upgrade {
    /// Reads a classic group, or says why it has to stay one.
    pub(super) fn of(
        group: &ClassicGroup,
        config: &ConsumerConfig,
        topics: &dyn Topics,
    ) -> Result<Self, ConsumerError> {
        let refuse = |why: &str| {
            let id = &group.id;
            let text =
                format!("Cannot upgrade classic group {id} to consumer group because {why}.");
            Err(ConsumerError::GroupIdNotFound(text))
        };
        if !config.migration.allows_upgrade() {
            return refuse("online upgrade is disabled");
        }
        if !group.uses_consumer_protocol() {
            return refuse("the group does not use the consumer embedded protocol");
        }
        if group.len() > config.max_size {
            return refuse("the group size exceeds the consumer group maximum size");
        }
        let epoch = group.generation;
        let mut members = Vec::with_capacity(group.len());
        for member in group.members() {
            let Ok(profile) = profile_of(member) else {
                return refuse("the embedded consumer protocol is malformed");
            };
            let Ok(assignment) = read_assignment(&member.assignment) else {
                return refuse("the embedded consumer protocol is malformed");
            };
            if assignment.user_data.as_ref().is_some_and(|data| !data.is_empty()) {
                let id = &group.id;
                return Err(ConsumerError::GroupIdNotFound(format!(
                    "Cannot upgrade classic group {id} to consumer group because an unsupported \
                     custom assignor is in use. Please refer to the documentation or switch to a \
                     default assignor before re-attempting the upgrade."
                )));
            }
            let owned = owned_since(&by_id(&assignment.assigned_partitions, topics), epoch);
            members.push((Arc::clone(&member.id), profile, owned));
        }
        Ok(Self { epoch, members })
    }

    /// Makes the new group what the classic one was.
    pub(super) fn apply(&self, scope: &mut Scope<'_>, change: &mut Change<'_>) {
        let epoch = self.epoch;
        for (id, profile, _) in &self.members {
            change.apply(ConsumerFact::Member(Arc::clone(id), Some(Box::new(profile.clone()))));
        }
        let metadata_hash = scope.hash(change.group);
        change.apply(ConsumerFact::Group(Some(GroupEpoch { epoch, metadata_hash })));
        for (id, _, owned) in &self.members {
            change.apply(ConsumerFact::Target(Arc::clone(id), Some(partitions_of(owned))));
        }
        change.apply(ConsumerFact::TargetEpoch(Some(TargetEpoch { epoch, timestamp: 0 })));
        for (id, _, owned) in &self.members {
            let progress = Progress {
                epoch,
                previous_epoch: epoch,
                state: MemberState::Stable,
                assigned: owned.clone(),
                pending_revocation: Owned::new(),
            };
            change.apply(ConsumerFact::Current(Arc::clone(id), Some(Box::new(progress))));
        }
    }

    pub(super) fn sessions(&self) -> impl Iterator<Item = (Arc<str>, i32)> {
        self.members.iter().filter_map(|(id, profile, _)| {
            let classic = profile.classic.as_ref()?;
            Some((Arc::clone(id), classic.session_timeout_ms))
        })
    }
}

fn profile_of(member: &Member) -> Result<Profile, DecodeError> {
    let subscription = match member.protocols.first() {
        Some((_, metadata)) => read_subscription(metadata)?,
        None => ConsumerProtocolSubscription::default(),
    };
    Ok(Profile {
        instance_id: member.instance_id.clone(),
        rack_id: subscription.rack_id.filter(|rack| !rack.is_empty()),
        client_id: member.client_id.clone(),
        client_host: member.client_host.clone(),
        topics: subscription.topics.into_iter().collect(),
        regex: String::new(),
        rebalance_timeout_ms: member.rebalance_timeout_ms,
        assignor: None,
        classic: Some(Classic {
            session_timeout_ms: member.session_timeout_ms,
            protocols: member.protocols.clone(),
        }),
    })
}

/// A classic member's subscription.
pub(super) fn read_subscription(
    bytes: &Bytes,
) -> Result<ConsumerProtocolSubscription, DecodeError> {
    read_embedded(bytes)
}

fn read_assignment(bytes: &Bytes) -> Result<ConsumerProtocolAssignment, DecodeError> {
    if bytes.is_empty() {
        return Ok(ConsumerProtocolAssignment::default()); // The generation has none yet.
    }
    read_embedded(bytes)
}

/// Later versions only append fields, so the last one known here reads them all.
fn read_embedded<M: Message>(bytes: &Bytes) -> Result<M, DecodeError> {
    let mut reader = Reader::new(bytes);
    let version = reader.i16()?;
    if version < 0 {
        return Err(DecodeError::UnknownVersion(version));
    }
    M::read(&mut reader, version.min(*M::VERSIONS.end()))
}

/// An assignment in the version of the member's subscription.
pub(super) fn write_assignment(
    owned: &Partitions,
    subscription: Option<&Bytes>,
    topics: &dyn Topics,
) -> Bytes {
    let asked = subscription.and_then(|bytes| Reader::new(bytes).i16().ok()).unwrap_or(0);
    let versions = ConsumerProtocolAssignment::VERSIONS;
    let version = asked.clamp(*versions.start(), *versions.end());
    let assigned_partitions = owned
        .iter()
        .filter_map(|(topic, set)| {
            let topic = topics.name(*topic)?.to_string();
            Some(TopicPartition { topic, partitions: set.iter().copied().collect() })
        })
        .collect();
    let mut writer = Writer::default();
    writer.i16(version);
    ConsumerProtocolAssignment { assigned_partitions, user_data: None }.write(&mut writer, version);
    writer.into_bytes().into()
}

fn by_id(assigned: &[TopicPartition], topics: &dyn Topics) -> Partitions {
    let mut partitions = Partitions::new();
    for topic in assigned.iter().filter(|topic| !topic.partitions.is_empty()) {
        if let Some(known) = topics.by_name(&topic.topic) {
            partitions.entry(known.id).or_default().extend(topic.partitions.iter().copied());
        }
    }
    partitions
}

impl GroupShard {
    /// The classic group that a consumer group has to become, because only classic members are
    /// left in it once `leaving` are gone.
    pub(super) fn classic_without(
        &self,
        now: Timestamp,
        id: &str,
        leaving: &[Arc<str>],
    ) -> Option<ClassicGroup> {
        let group = self.consumers.get(id)?;
        let leaving: BTreeSet<&Arc<str>> = leaving.iter().collect();
        let left: Vec<&ConsumerMember> =
            group.members().filter(|member| !leaving.contains(&member.id)).collect();
        let possible = !left.is_empty()
            && left.iter().all(|member| member.uses_classic_protocol())
            && self.config.consumer.migration.allows_downgrade()
            && left.len() <= self.config.max_size;
        if !possible {
            return None;
        }
        to_classic(group, &left, now, &*self.topics)
    }

    /// Makes a consumer group a classic one, because members have left it, or because of a static
    /// member that has `joined`: it has the place of the one before, and if everybody has what the
    /// target says, nobody needs to rebalance.
    pub(super) fn become_classic(
        &mut self,
        now: Timestamp,
        id: &Arc<str>,
        mut classic: ClassicGroup,
        joined: Option<Changed<ConsumerGroup>>,
        answer: Option<(ReplyToken, Reply)>,
        out: &mut Outcome,
    ) {
        let group = self.consumers.get(id);
        let is_stable = group.is_some_and(|group| group.state() == ConsumerGroupState::Stable);
        let members = group.map(GroupKind::member_ids).unwrap_or_default();
        for member in &members {
            self.cancel_consumer_timers(id, member);
        }
        let Some((tombstones, mut undo)) = self.take_out::<ConsumerGroup>(id) else { return };
        let has_joined = joined.is_some();
        let mut facts: Vec<Fact> = Vec::new();
        if let Some(joined) = joined {
            let fact = |fact| Fact::Consumer { group: Arc::clone(id), fact };
            facts.extend(joined.facts.into_iter().map(fact));
            undo.facts.extend(joined.undo);
        }
        facts.extend(tombstones);
        let value = Some(classic.to_record(&classic.assignments()));
        facts.push(Fact::Group { group: Arc::clone(id), value });
        let mut step = self.step(now, out);
        let write = step.write(facts, answer.into());
        for member in classic.member_ids() {
            step.restart_session(&classic, &member);
        }
        if !(has_joined && is_stable) {
            step.prepare_rebalance(&mut classic);
        }
        self.writes.undo_with(write, Undo::Consumer(undo));
        self.groups.insert(Arc::clone(id), classic);
    }
}

/// The classic group of these members; `None` if they have no protocol in common.
fn to_classic(
    group: &ConsumerGroup,
    members: &[&ConsumerMember],
    now: Timestamp,
    topics: &dyn Topics,
) -> Option<ClassicGroup> {
    let classics: Vec<(&ConsumerMember, &Classic)> = members
        .iter()
        .filter_map(|member| Some((*member, member.profile.classic.as_ref()?)))
        .collect();
    let first = classics.first()?;
    let offers =
        |classic: &Classic, name: &str| classic.protocols.iter().any(|(own, _)| own == name);
    let (protocol, _) = first
        .1
        .protocols
        .iter()
        .find(|(name, _)| classics.iter().all(|(_, classic)| offers(classic, name)))?;
    let value = GroupMetadataValue {
        protocol_type: CONSUMER_PROTOCOL.to_owned(),
        generation: group.epoch(),
        protocol: Some(protocol.clone()),
        leader: Some(first.0.id.to_string()),
        current_state_timestamp: now.get(),
        members: classics
            .iter()
            .map(|(member, classic)| {
                let metadata = classic.protocols.iter().find(|(name, _)| name == protocol);
                let subscription =
                    metadata.map(|(_, metadata)| metadata.clone()).unwrap_or_default();
                let target = group.target(&member.id).cloned().unwrap_or_default();
                MemberMetadata {
                    member_id: member.id.to_string(),
                    group_instance_id: member.profile.instance_id.clone(),
                    client_id: member.profile.client_id.clone(),
                    client_host: member.profile.client_host.clone(),
                    rebalance_timeout: member.profile.rebalance_timeout_ms,
                    session_timeout: classic.session_timeout_ms,
                    assignment: write_assignment(&target, Some(&subscription), topics),
                    subscription,
                }
            })
            .collect(),
    };
    let mut made = ClassicGroup::from_record(Arc::clone(&group.id), value);
    let all: HashMap<&Arc<str>, &Classic> =
        classics.iter().map(|(member, classic)| (&member.id, *classic)).collect();
    for (id, classic) in all {
        made.update(id, |member| member.protocols.clone_from(&classic.protocols));
    }
    Some(made)
}
