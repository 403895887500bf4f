//! Which partitions are found where: for interactive queries, and for them only.

use std::collections::BTreeMap;

use naru_protocol::messages::streams_group_heartbeat_response::{
    Endpoint, EndpointToPartitions, TopicPartition,
};

use super::configure::ConfiguredSubtopology;
use super::group::StreamsGroup;
use super::member::StreamsMember;
use super::tasks::{Tasks, without_epochs};
use crate::consumer::Topics;

/// What every member with an endpoint has, `own` last.
pub(super) fn partitions_by_endpoint(
    group: &StreamsGroup,
    own: &str,
    topics: &dyn Topics,
) -> Vec<EndpointToPartitions> {
    let Some(subtopologies) = group.configured.as_ref().and_then(|one| one.subtopologies.as_ref())
    else {
        return Vec::new();
    };
    let others = group.members().filter(|member| *member.id != *own);
    let members = others.chain(group.member(own));
    members.filter_map(|member| of_member(member, subtopologies, topics)).collect()
}

fn of_member(
    member: &StreamsMember,
    subtopologies: &BTreeMap<String, ConfiguredSubtopology>,
    topics: &dyn Topics,
) -> Option<EndpointToPartitions> {
    let (host, port) = member.profile.user_endpoint.clone()?;
    let assigned = &member.progress.assigned;
    Some(EndpointToPartitions {
        user_endpoint: Endpoint { host, port },
        active_partitions: partitions(&without_epochs(&assigned.active), subtopologies, topics),
        standby_partitions: partitions(&assigned.standby, subtopologies, topics),
    })
}

fn partitions(
    tasks: &Tasks,
    subtopologies: &BTreeMap<String, ConfiguredSubtopology>,
    topics: &dyn Topics,
) -> Vec<TopicPartition> {
    let mut all = Vec::new();
    for (id, tasks) in tasks {
        let Some(subtopology) = subtopologies.get(id) else { continue };
        for topic in subtopology.sources.iter().chain(subtopology.repartition_sources.keys()) {
            // A narrower topic has no partitions for the later tasks.
            let Some(count) = topics.by_name(topic).map(|topic| topic.partitions) else { continue };
            let partitions = tasks.iter().copied().filter(|task| *task < count).collect();
            all.push(TopicPartition { topic: topic.clone(), partitions });
        }
    }
    all
}
