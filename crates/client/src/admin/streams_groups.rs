//! Streams groups (KIP-1071): describe. Where they stand and what they forget is asked as of any
//! other group.

use naru_model::{ErrorCode, TopicPartition};
use naru_protocol::messages::streams_group_describe_request::StreamsGroupDescribeRequest;
use naru_protocol::messages::streams_group_describe_response as described;

use super::{Admin, GroupEpochs};
use crate::error::{Error, Result};

/// A streams group with its topology and members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamsGroupDescription {
    /// Group id.
    pub group: String,
    /// State, as the broker names it.
    pub state: String,
    /// Node id of the coordinator.
    pub coordinator: i32,
    /// How far it is.
    pub epochs: GroupEpochs,
    /// What its members run; none if the broker does not tell.
    pub subtopologies: Option<Vec<Subtopology>>,
    /// Members.
    pub members: Vec<StreamsMember>,
}

/// A part of a topology, and the topics at its borders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subtopology {
    /// Its id.
    pub id: String,
    /// Topics of the user that it reads.
    pub source_topics: Vec<String>,
    /// Internal topics that it reads.
    pub repartition_source_topics: Vec<String>,
    /// Internal topics that it writes.
    pub repartition_sink_topics: Vec<String>,
    /// Where it keeps its state.
    pub changelog_topics: Vec<String>,
}

/// A member of a streams group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamsMember {
    /// Member id.
    pub member_id: String,
    /// Its client id.
    pub client_id: String,
    /// The process that it is a thread of.
    pub process_id: String,
    /// Its epoch.
    pub epoch: i32,
    /// Epoch of the topology that it runs.
    pub topology_epoch: i32,
    /// Whether it still speaks the classic protocol.
    pub classic: bool,
    /// What it runs.
    pub assignment: Tasks,
    /// What it is to run in the end.
    pub target: Tasks,
}

/// Tasks by kind: subtopologies, and the partitions of each.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tasks {
    /// Run.
    pub active: Vec<(String, Vec<i32>)>,
    /// Kept ready beside another member's active ones.
    pub standby: Vec<(String, Vec<i32>)>,
    /// Made ready to be taken over.
    pub warmup: Vec<(String, Vec<i32>)>,
}

impl StreamsGroupDescription {
    /// The topics that the topology reads, those of the user and its own.
    pub fn read_topics(&self) -> impl Iterator<Item = &str> {
        self.subtopologies.iter().flatten().flat_map(|part| {
            part.source_topics.iter().chain(&part.repartition_source_topics).map(String::as_str)
        })
    }

    /// The partitions that members read.
    pub fn read_partitions(&self) -> Vec<TopicPartition> {
        let mut partitions = Vec::new();
        for (id, indexes) in self.members.iter().flat_map(|member| &member.assignment.active) {
            let parts = self.subtopologies.iter().flatten().filter(|part| part.id == *id);
            for topic in
                parts.flat_map(|p| p.source_topics.iter().chain(&p.repartition_source_topics))
            {
                partitions.extend(indexes.iter().map(|p| TopicPartition::new(topic.as_str(), *p)));
            }
        }
        partitions.sort();
        partitions.dedup();
        partitions
    }
}

impl Admin {
    /// Describes a streams group.
    pub async fn describe_streams_group(&self, group: &str) -> Result<StreamsGroupDescription> {
        self.cluster()
            .retry(async || {
                let request = StreamsGroupDescribeRequest {
                    group_ids: vec![group.to_owned()],
                    include_authorized_operations: false,
                };
                let (coordinator, response) = self.ask_coordinator(group, request).await?;
                let group = response.groups.into_iter().next();
                let group = group.ok_or(Error::code_only(ErrorCode::UnknownServerError))?;
                Error::check_with(group.error_code, group.error_message.clone())?;
                Ok(description_of(coordinator, group))
            })
            .await
    }
}

fn description_of(coordinator: i32, group: described::DescribedGroup) -> StreamsGroupDescription {
    let parts = group.topology.and_then(|topology| topology.subtopologies);
    let names = |topics: Vec<described::TopicInfo>| {
        topics.into_iter().map(|topic| topic.name).collect::<Vec<_>>()
    };
    let part = |part: described::Subtopology| Subtopology {
        id: part.subtopology_id,
        source_topics: part.source_topics,
        repartition_source_topics: names(part.repartition_source_topics),
        repartition_sink_topics: part.repartition_sink_topics,
        changelog_topics: names(part.state_changelog_topics),
    };
    let member = |member: described::Member| StreamsMember {
        member_id: member.member_id,
        client_id: member.client_id,
        process_id: member.process_id,
        epoch: member.member_epoch,
        topology_epoch: member.topology_epoch,
        classic: member.is_classic,
        assignment: tasks_of(member.assignment),
        target: tasks_of(member.target_assignment),
    };
    StreamsGroupDescription {
        group: group.group_id,
        state: group.group_state,
        coordinator,
        epochs: GroupEpochs { group: group.group_epoch, assignment: group.assignment_epoch },
        subtopologies: parts.map(|parts| parts.into_iter().map(part).collect()),
        members: group.members.into_iter().map(member).collect(),
    }
}

fn tasks_of(assignment: described::Assignment) -> Tasks {
    let of = |tasks: Vec<described::TaskIds>| {
        tasks.into_iter().map(|task| (task.subtopology_id, task.partitions)).collect()
    };
    Tasks {
        active: of(assignment.active_tasks),
        standby: of(assignment.standby_tasks),
        warmup: of(assignment.warmup_tasks),
    }
}
