//! StreamsGroupDescribe (key 89, v0).

use naru_model::ErrorCode;
use naru_protocol::messages::streams_group_describe_response::{
    Assignment as Described, DescribedGroup, Endpoint, KeyValue, Member, Subtopology, TaskIds,
    TopicInfo, Topology as DescribedTopology,
};
use naru_protocol::messages::streams_group_topology_value as record;

use super::configure::{Configured, ConfiguredSubtopology, InternalTopic};
use super::error::StreamsError;
use super::group::StreamsGroup;
use super::member::StreamsMember;
use super::tasks::{Assignment, Tasks, to_message};
use super::topology::Topology;

/// A group that is none of the streams protocol.
pub(super) fn unknown_group(group_id: String, exists: bool) -> DescribedGroup {
    let error = if exists {
        StreamsError::NotStreams(group_id.clone())
    } else {
        StreamsError::GroupNotFound(group_id.clone())
    };
    DescribedGroup {
        error_code: ErrorCode::from(&error).code(),
        error_message: Some(error.to_string()),
        group_id,
        ..Default::default()
    }
}

/// A group; authorized operations are the caller's.
pub(super) fn describe(group: &StreamsGroup) -> DescribedGroup {
    let with_numbers = group.configured.as_deref().filter(|configured| configured.is_ready());
    let topology = with_numbers.and_then(of_configured);
    DescribedGroup {
        group_id: group.id.to_string(),
        group_state: group.state().name().to_owned(),
        group_epoch: group.epoch(),
        assignment_epoch: group.target_epoch().epoch,
        topology: topology.or_else(|| group.topology().map(|topology| of_topology(topology))),
        members: group.members().map(|member| of_member(group, member)).collect(),
        ..Default::default()
    }
}

fn of_configured(configured: &Configured) -> Option<DescribedTopology> {
    let internal = |topic: &InternalTopic| TopicInfo {
        name: topic.name.clone(),
        partitions: topic.partitions,
        replication_factor: topic.replication_factor,
        topic_configs: pairs(topic.configs.iter()),
    };
    let subtopology = |(id, one): (&String, &ConfiguredSubtopology)| Subtopology {
        subtopology_id: id.clone(),
        source_topics: one.sources.iter().cloned().collect(),
        repartition_sink_topics: one.repartition_sinks.iter().cloned().collect(),
        state_changelog_topics: one.changelogs.values().map(internal).collect(),
        repartition_source_topics: one.repartition_sources.values().map(internal).collect(),
    };
    let subtopologies = configured.subtopologies.as_ref()?.iter().map(subtopology).collect();
    Some(DescribedTopology { epoch: configured.epoch, subtopologies: Some(subtopologies) })
}

fn of_topology(topology: &Topology) -> DescribedTopology {
    let infos = |topics: &[record::TopicInfo]| {
        let mut infos: Vec<TopicInfo> = topics
            .iter()
            .map(|topic| TopicInfo {
                name: topic.name.clone(),
                partitions: topic.partitions,
                replication_factor: topic.replication_factor,
                topic_configs: pairs(topic.topic_configs.iter().map(|one| (&one.key, &one.value))),
            })
            .collect();
        infos.sort_by(|a, b| a.name.cmp(&b.name));
        infos
    };
    let sorted = |names: &[String]| {
        let mut names = names.to_vec();
        names.sort_unstable();
        names
    };
    let subtopology = |one: &record::Subtopology| Subtopology {
        subtopology_id: one.subtopology_id.clone(),
        source_topics: sorted(&one.source_topics),
        repartition_sink_topics: sorted(&one.repartition_sink_topics),
        state_changelog_topics: infos(&one.state_changelog_topics),
        repartition_source_topics: infos(&one.repartition_source_topics),
    };
    let subtopologies = topology.subtopologies.values().map(subtopology).collect();
    DescribedTopology { epoch: topology.epoch, subtopologies: Some(subtopologies) }
}

fn of_member(group: &StreamsGroup, member: &StreamsMember) -> Member {
    let profile = &member.profile;
    let endpoint = profile.user_endpoint.clone();
    Member {
        member_id: member.id.to_string(),
        member_epoch: member.progress.epoch,
        instance_id: profile.instance_id.clone(),
        rack_id: profile.rack_id.clone(),
        client_id: profile.client_id.clone(),
        client_host: profile.client_host.clone(),
        topology_epoch: profile.topology_epoch,
        process_id: profile.process_id.clone(),
        user_endpoint: endpoint.map(|(host, port)| Endpoint { host, port }),
        client_tags: pairs(profile.client_tags.iter()),
        assignment: assignment(&member.progress.assigned.tasks()),
        target_assignment: group.target(&member.id).map(assignment).unwrap_or_default(),
        ..Default::default()
    }
}

fn assignment(tasks: &Assignment) -> Described {
    let ids = |tasks: &Tasks| {
        to_message(tasks, |subtopology_id, partitions| TaskIds { subtopology_id, partitions })
    };
    Described {
        active_tasks: ids(&tasks.active),
        standby_tasks: ids(&tasks.standby),
        warmup_tasks: ids(&tasks.warmup),
    }
}

fn pairs<'p>(all: impl Iterator<Item = (&'p String, &'p String)>) -> Vec<KeyValue> {
    all.map(|(key, value)| KeyValue { key: key.clone(), value: value.clone() }).collect()
}
