//! ACLs, and what is refused by them. Everybody here is `User:ANONYMOUS`; a resource without an
//! ACL is open, so that ACLs about others close it.

use naru_model::Uuid;
use naru_protocol::messages::alter_configs_request::{AlterConfigsRequest, AlterConfigsResource};
use naru_protocol::messages::alter_partition_reassignments_request::AlterPartitionReassignmentsRequest;
use naru_protocol::messages::alter_share_group_offsets_request::AlterShareGroupOffsetsRequest;
use naru_protocol::messages::consumer_group_describe_request::ConsumerGroupDescribeRequest;
use naru_protocol::messages::consumer_group_heartbeat_request::ConsumerGroupHeartbeatRequest;
use naru_protocol::messages::create_acls_request::{AclCreation, CreateAclsRequest};
use naru_protocol::messages::create_partitions_request::{
    CreatePartitionsRequest, CreatePartitionsTopic,
};
use naru_protocol::messages::create_topics_request::{CreatableTopic, CreateTopicsRequest};
use naru_protocol::messages::delete_acls_request::{DeleteAclsFilter, DeleteAclsRequest};
use naru_protocol::messages::delete_groups_request::DeleteGroupsRequest;
use naru_protocol::messages::delete_records_request::{
    DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic,
};
use naru_protocol::messages::delete_share_group_offsets_request::DeleteShareGroupOffsetsRequest;
use naru_protocol::messages::delete_topics_request::{DeleteTopicState, DeleteTopicsRequest};
use naru_protocol::messages::describe_acls_request::DescribeAclsRequest;
use naru_protocol::messages::describe_cluster_request::DescribeClusterRequest;
use naru_protocol::messages::describe_configs_request::{
    DescribeConfigsRequest, DescribeConfigsResource,
};
use naru_protocol::messages::describe_groups_request::DescribeGroupsRequest;
use naru_protocol::messages::describe_log_dirs_request::DescribeLogDirsRequest;
use naru_protocol::messages::describe_share_group_offsets_request::{
    DescribeShareGroupOffsetsRequest, DescribeShareGroupOffsetsRequestGroup,
};
use naru_protocol::messages::describe_topic_partitions_request::{
    DescribeTopicPartitionsRequest, TopicRequest,
};
use naru_protocol::messages::elect_leaders_request::ElectLeadersRequest;
use naru_protocol::messages::find_coordinator_request::FindCoordinatorRequest;
use naru_protocol::messages::heartbeat_request::HeartbeatRequest;
use naru_protocol::messages::incremental_alter_configs_request::{
    self as incremental, IncrementalAlterConfigsRequest,
};
use naru_protocol::messages::init_producer_id_request::InitProducerIdRequest;
use naru_protocol::messages::join_group_request::JoinGroupRequest;
use naru_protocol::messages::leave_group_request::LeaveGroupRequest;
use naru_protocol::messages::list_groups_request::ListGroupsRequest;
use naru_protocol::messages::list_offsets_request::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic,
};
use naru_protocol::messages::list_partition_reassignments_request::ListPartitionReassignmentsRequest;
use naru_protocol::messages::metadata_request::{MetadataRequest, MetadataRequestTopic};
use naru_protocol::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderEpochRequest, OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use naru_protocol::messages::share_group_describe_request::ShareGroupDescribeRequest;
use naru_protocol::messages::share_group_heartbeat_request::ShareGroupHeartbeatRequest;
use naru_protocol::messages::streams_group_describe_request::StreamsGroupDescribeRequest;
use naru_protocol::messages::streams_group_heartbeat_request::{
    StreamsGroupHeartbeatRequest, Subtopology, Topology,
};
use naru_protocol::messages::sync_group_request::SyncGroupRequest;

use super::configs::{SET, change, describe_one};
use super::loggers::LOGGER;
use super::offsets;
use super::produce::produce;
use crate::differential::batch;
use crate::differential::cases::fetch::{fetch, part};
use crate::differential::session::{CONTROLLER, Session};

const TOPIC: i8 = 2;
const GROUP: i8 = 3;
const CLUSTER: i8 = 4;
const LITERAL: i8 = 3;
const PREFIXED: i8 = 4;
const ALL: i8 = 2;
const READ: i8 = 3;
const DENY: i8 = 2;
const ALLOW: i8 = 3;
const ME: &str = "User:ANONYMOUS";
const OTHER: &str = "User:other";

fn acl(resource: (i8, i8, &str), principal: &str, operation: i8, permission: i8) -> AclCreation {
    let (resource_type, resource_pattern_type, name) = resource;
    AclCreation {
        resource_type,
        resource_name: name.to_owned(),
        resource_pattern_type,
        principal: principal.to_owned(),
        host: "*".to_owned(),
        operation,
        permission_type: permission,
    }
}

fn create(creations: Vec<AclCreation>) -> CreateAclsRequest {
    CreateAclsRequest { creations }
}

fn describe(resource: (i8, i8, Option<&str>)) -> DescribeAclsRequest {
    let (resource_type_filter, pattern_type_filter, name) = resource;
    DescribeAclsRequest {
        resource_type_filter,
        resource_name_filter: name.map(str::to_owned),
        pattern_type_filter,
        operation: 1,
        permission_type: 1,
        ..DescribeAclsRequest::default()
    }
}

fn delete(resource: (i8, i8, Option<&str>)) -> DeleteAclsRequest {
    let (resource_type_filter, pattern_type_filter, name) = resource;
    let filter = DeleteAclsFilter {
        resource_type_filter,
        resource_name_filter: name.map(str::to_owned),
        pattern_type_filter,
        operation: 1,
        permission_type: 1,
        ..DeleteAclsFilter::default()
    };
    DeleteAclsRequest { filters: vec![filter] }
}

/// Where nobody decides on access.
pub fn without_authorizer(s: &mut Session) {
    let some = acl((TOPIC, LITERAL, "t"), OTHER, READ, ALLOW);
    for version in 1..=3 {
        s.ask("describe", version, &describe((1, 1, None)));
        s.ask("create", version, &create(vec![some.clone()]));
        s.ask("delete", version, &delete((TOPIC, LITERAL, Some("t"))));
    }
}

pub fn admin(s: &mut Session) {
    for version in 1..=3 {
        s.ask("nothing there", version, &describe((1, 1, None)));
        let good = vec![
            acl((TOPIC, LITERAL, "acl-t"), OTHER, READ, ALLOW),
            acl((TOPIC, PREFIXED, "acl-"), OTHER, READ, DENY),
            acl((GROUP, LITERAL, "*"), "User:x", ALL, ALLOW),
        ];
        s.ask("create", version, &create(good.clone()));
        s.ask("create again", version, &create(good));
        s.settle();
        let bad = vec![
            acl((TOPIC, LITERAL, ""), OTHER, READ, ALLOW),
            acl((TOPIC, LITERAL, "acl-t"), "no principal", READ, ALLOW),
            acl((CLUSTER, LITERAL, "another"), OTHER, READ, ALLOW),
            acl((1, LITERAL, "acl-t"), OTHER, READ, ALLOW),
            acl((TOPIC, 1, "acl-t"), OTHER, READ, ALLOW),
            acl((TOPIC, 2, "acl-t"), OTHER, READ, ALLOW),
            acl((TOPIC, LITERAL, "acl-t"), OTHER, 1, ALLOW),
            acl((TOPIC, LITERAL, "acl-t"), OTHER, READ, 1),
        ];
        for bad in bad {
            s.ask("bad", version, &create(vec![bad]));
        }
        let unknown = acl((TOPIC, LITERAL, "acl-t"), OTHER, 99, ALLOW);
        s.ask("an unknown operation", version, &create(vec![unknown]));
        let mut undefined = describe((TOPIC, LITERAL, Some("acl-t")));
        undefined.operation = 99;
        s.ask("describe an unknown operation", version, &undefined);
        let mut undefined = delete((TOPIC, LITERAL, Some("nobody")));
        undefined.filters[0].operation = 99;
        s.ask("delete an unknown operation", version, &undefined);
        for (label, filter) in [
            ("all", (1, 1, None)),
            ("of a topic", (TOPIC, LITERAL, Some("acl-t"))),
            ("that match a name", (TOPIC, 2, Some("acl-t"))),
            ("of any pattern", (TOPIC, 1, Some("acl-"))),
            ("of every name", (GROUP, 2, Some("whoever"))),
            ("of nobody", (TOPIC, LITERAL, Some("nobody"))),
        ] {
            s.ask(label, version, &describe(filter));
        }
        s.ask("delete nothing", version, &delete((TOPIC, LITERAL, Some("nobody"))));
        s.ask("delete by name", version, &delete((TOPIC, 2, Some("acl-t"))));
        s.ask("delete the rest", version, &delete((1, 1, None)));
        s.settle();
    }
}

pub fn topics(s: &mut Session) {
    let id = s.topic("closed", 1, &[]);
    let open = s.topic("opened", 1, &[]);
    let others = vec![
        acl((TOPIC, LITERAL, "closed"), OTHER, ALL, ALLOW),
        acl((TOPIC, PREFIXED, "clos"), ME, READ, DENY),
        acl((TOPIC, LITERAL, "never"), OTHER, ALL, ALLOW),
    ];
    s.quiet(3, &create(others));
    s.settle();
    let named = |name: Option<&str>, topic_id| MetadataRequestTopic {
        name: name.map(str::to_owned),
        topic_id,
    };
    let metadata = |topics: Option<Vec<MetadataRequestTopic>>| MetadataRequest {
        topics,
        allow_auto_topic_creation: true,
        include_cluster_authorized_operations: false,
        include_topic_authorized_operations: true,
    };
    for version in [1, 4, 9, 12, 13] {
        let both = vec![named(Some("closed"), Uuid::ZERO), named(Some("opened"), Uuid::ZERO)];
        s.ask("metadata", version, &metadata(Some(both)));
        let missing = vec![named(Some("never"), Uuid::ZERO)];
        s.ask("metadata of none", version, &metadata(Some(missing)));
        s.ask("metadata of all", version, &metadata(None));
    }
    s.ask("metadata by id", 13, &metadata(Some(vec![named(None, id), named(None, open)])));
    let described = ["closed", "opened", "never"].map(|n| TopicRequest { name: n.to_owned() });
    let partitions = DescribeTopicPartitionsRequest {
        topics: described.to_vec(),
        response_partition_limit: 100,
        cursor: None,
    };
    s.ask("described", 0, &partitions);
    for version in [3, 9, 12, 13] {
        s.ask("produce", version, &produce("closed", id, 0, batch::records(batch::plain(1))));
        let none = produce("never", Uuid(5), 0, batch::records(batch::plain(1)));
        s.ask("produce to none", version, &none);
    }
    for version in [4, 11, 13, 18] {
        s.ask("fetch", version, &fetch(&[("closed", id, vec![part(0, 0)])]));
        let mixed = [("closed", id, vec![part(0, 0)]), ("opened", open, vec![part(0, 0)])];
        s.ask("fetch both", version, &fetch(&mixed));
        s.ask("fetch none", version, &fetch(&[("never", Uuid(5), vec![part(0, 0)])]));
    }
    for topic in ["closed", "never"] {
        refused_on(s, topic);
    }
    administered(s, id);
}

/// Requests of clients about one topic.
fn refused_on(s: &mut Session, topic: &str) {
    let topic = topic.to_owned();
    let asked = ListOffsetsPartition { timestamp: -1, ..ListOffsetsPartition::default() };
    let listed = ListOffsetsTopic { name: topic.clone(), partitions: vec![asked] };
    let list = ListOffsetsRequest { replica_id: -1, topics: vec![listed], ..Default::default() };
    s.ask_each("list offsets", [1, 4, 7, 11], &list);
    let partition = OffsetForLeaderPartition { leader_epoch: 0, ..Default::default() };
    let epochs = OffsetForLeaderTopic { topic: topic.clone(), partitions: vec![partition] };
    let epochs = OffsetForLeaderEpochRequest { replica_id: -1, topics: vec![epochs] };
    s.ask_each("leader epochs", 2..=4, &epochs);
    let partition = DeleteRecordsPartition { partition_index: 0, offset: 0 };
    let records = DeleteRecordsTopic { name: topic, partitions: vec![partition] };
    let records = DeleteRecordsRequest { topics: vec![records], timeout_ms: 5000 };
    s.ask_each("delete records", 0..=2, &records);
}

/// Requests of administrators about the closed topic.
fn administered(s: &mut Session, id: Uuid) {
    let new = |name: &str| CreatableTopic {
        name: name.to_owned(),
        num_partitions: 1,
        replication_factor: 1,
        ..CreatableTopic::default()
    };
    let topics = vec![new("never"), new("acl-made")];
    let creation = CreateTopicsRequest { topics, timeout_ms: 10_000, validate_only: true };
    // Creation is asked of the cluster first; it becomes one that others may create in.
    s.quiet(
        3,
        &create(vec![
            acl((CLUSTER, LITERAL, "kafka-cluster"), ME, ALL, ALLOW),
            acl((CLUSTER, LITERAL, "kafka-cluster"), ME, 5, DENY),
            acl((TOPIC, LITERAL, "half"), ME, 5, ALLOW),
        ]),
    );
    s.settle();
    s.ask_each("create topics", [2, 5, 7], &creation);
    let half = CreateTopicsRequest { topics: vec![new("half")], ..creation };
    s.ask_each("create without sight", [4, 5, 7], &half);
    let partitions =
        CreatePartitionsTopic { name: "closed".to_owned(), count: 3, assignments: None };
    let more =
        CreatePartitionsRequest { topics: vec![partitions], timeout_ms: 5000, validate_only: true };
    s.ask_each("create partitions", 0..=3, &more);
    let names = ["closed", "never", "opened-not"].map(str::to_owned).to_vec();
    let deletion = DeleteTopicsRequest { topic_names: names, timeout_ms: 5000, topics: Vec::new() };
    s.ask_each("delete topics", [1, 3, 5], &deletion);
    let by_id = DeleteTopicState { name: None, topic_id: id };
    let by_name = DeleteTopicState { name: Some("closed".to_owned()), topic_id: Uuid::ZERO };
    let deletion = DeleteTopicsRequest {
        topic_names: Vec::new(),
        timeout_ms: 5000,
        topics: vec![by_id, by_name],
    };
    s.ask("delete by id", 6, &deletion);
    let resource = |kind: i8, name: &str| DescribeConfigsResource {
        resource_type: kind,
        resource_name: name.to_owned(),
        configuration_keys: Some(vec!["retention.ms".to_owned()]),
    };
    let configs = DescribeConfigsRequest {
        resources: vec![resource(TOPIC, "closed"), resource(TOPIC, "opened")],
        ..DescribeConfigsRequest::default()
    };
    s.ask_each("describe configs", 1..=4, &configs);
    let resource = AlterConfigsResource {
        resource_type: TOPIC,
        resource_name: "closed".to_owned(),
        configs: Vec::new(),
    };
    let alteration = AlterConfigsRequest { resources: vec![resource], validate_only: true };
    s.ask_each("alter configs", 0..=2, &alteration);
    let resource = incremental::AlterConfigsResource {
        resource_type: TOPIC,
        resource_name: "closed".to_owned(),
        configs: Vec::new(),
    };
    let alteration =
        IncrementalAlterConfigsRequest { resources: vec![resource], validate_only: true };
    s.ask_each("alter incrementally", 0..=1, &alteration);
    let id = InitProducerIdRequest { producer_id: -1, producer_epoch: -1, ..Default::default() };
    // The first block of ids takes Apache Kafka a moment.
    s.quiet(5, &id);
    s.settle();
    s.ask("a producer id", 5, &id);
}

pub fn groups(s: &mut Session) {
    let id = s.topic("closed-too", 1, &[]);
    s.quiet(
        3,
        &create(vec![
            acl((GROUP, LITERAL, "theirs"), OTHER, ALL, ALLOW),
            acl((TOPIC, LITERAL, "closed-too"), OTHER, ALL, ALLOW),
        ]),
    );
    s.settle();
    super::share_fetch::closed(s, "theirs", id);
    super::streams_groups::closed(s, "theirs", "closed-too");
    let theirs = || "theirs".to_owned();
    for version in [0, 3, 4, 6] {
        let coordinator = FindCoordinatorRequest {
            key: theirs(),
            key_type: 0,
            coordinator_keys: vec![theirs(), "ours".to_owned()],
        };
        s.ask("coordinator", version, &coordinator);
    }
    let join = JoinGroupRequest {
        group_id: theirs(),
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 10_000,
        protocol_type: "consumer".to_owned(),
        ..JoinGroupRequest::default()
    };
    s.ask_each("join", [0, 5, 6, 7, 9], &join);
    let sync = SyncGroupRequest {
        group_id: theirs(),
        member_id: "m".to_owned(),
        protocol_type: Some("consumer".to_owned()),
        protocol_name: Some("range".to_owned()),
        ..SyncGroupRequest::default()
    };
    s.ask_each("sync", [0, 3, 5], &sync);
    let beat = HeartbeatRequest { group_id: theirs(), ..HeartbeatRequest::default() };
    s.ask_each("heartbeat", [0, 4], &beat);
    let leave = LeaveGroupRequest { group_id: theirs(), ..LeaveGroupRequest::default() };
    s.ask_each("leave", [0, 3, 5], &leave);
    let groups = vec![theirs(), "ours".to_owned()];
    let described = DescribeGroupsRequest { groups, include_authorized_operations: true };
    s.ask_each("describe", [0, 3, 5, 6], &described);
    let deleted = DeleteGroupsRequest { groups_names: vec![theirs(), "ours".to_owned()] };
    s.ask_each("delete", 0..=2, &deleted);
    let offset = [(0, 1, Some(""))];
    let closed = offsets::Topic { name: "closed-too", id };
    for version in [2, 8, 9] {
        s.ask("commit to theirs", version, &offsets::commit("theirs", closed, &offset));
        s.ask("commit theirs", version, &offsets::commit("ours", closed, &offset));
    }
    for version in [1, 2, 7, 8, 9] {
        s.ask("offsets of theirs", version, &offsets::fetch("theirs", Some(closed)));
        s.ask("their offsets", version, &offsets::fetch("ours", Some(closed)));
    }
    s.ask("delete their offsets", 0, &offsets::delete("theirs", "closed-too", &[0]));
    new_groups(s);
    s.ask("list", 5, &ListGroupsRequest::default());
}

/// Groups of the newer kinds, theirs and one of ours that reads their topic.
fn new_groups(s: &mut Session) {
    let groups = || vec!["theirs".to_owned(), "ours".to_owned()];
    let topics = || Some(vec!["closed-too".to_owned()]);
    for group in groups() {
        let to = |what: &str| format!("{what} of {group}");
        let request = ConsumerGroupHeartbeatRequest {
            group_id: group.clone(),
            member_id: "m".to_owned(),
            rebalance_timeout_ms: 60_000,
            subscribed_topic_names: topics(),
            topic_partitions: Some(Vec::new()),
            ..Default::default()
        };
        s.ask_each(&to("a consumer"), 0..=1, &request);
        let request = ShareGroupHeartbeatRequest {
            group_id: group.clone(),
            member_id: "m".to_owned(),
            subscribed_topic_names: topics(),
            ..Default::default()
        };
        s.ask(&to("a share consumer"), 1, &request);
        let subtopology = Subtopology {
            subtopology_id: "0".to_owned(),
            source_topics: topics().unwrap_or_default(),
            ..Default::default()
        };
        let request = StreamsGroupHeartbeatRequest {
            group_id: group.clone(),
            member_id: "m".to_owned(),
            process_id: Some("p".to_owned()),
            rebalance_timeout_ms: 60_000,
            topology: Some(Topology { epoch: 0, subtopologies: vec![subtopology] }),
            active_tasks: Some(Vec::new()),
            standby_tasks: Some(Vec::new()),
            warmup_tasks: Some(Vec::new()),
            ..Default::default()
        };
        s.ask(&to("an application"), 0, &request);
    }
    let (group_ids, include_authorized_operations) = (groups(), true);
    let described = ConsumerGroupDescribeRequest { group_ids, include_authorized_operations };
    s.ask_each("consumers described", 0..=1, &described);
    let group_ids = groups();
    let described = ShareGroupDescribeRequest { group_ids, include_authorized_operations };
    s.ask("share consumers described", 1, &described);
    let group_ids = groups();
    let described = StreamsGroupDescribeRequest { group_ids, include_authorized_operations };
    s.ask("applications described", 0, &described);
    let group = DescribeShareGroupOffsetsRequestGroup {
        group_id: "theirs".to_owned(),
        ..Default::default()
    };
    s.ask_each("where it stands", 0..=1, &DescribeShareGroupOffsetsRequest { groups: vec![group] });
    let group_id = || "theirs".to_owned();
    let altered = AlterShareGroupOffsetsRequest { group_id: group_id(), ..Default::default() };
    s.ask("moved", 0, &altered);
    let deleted = DeleteShareGroupOffsetsRequest { group_id: group_id(), ..Default::default() };
    s.ask("forgotten", 0, &deleted);
}

/// Denials of the whole cluster; nothing can be taken back after this.
pub fn cluster(s: &mut Session) {
    let on_cluster = |operation| acl((CLUSTER, LITERAL, "kafka-cluster"), ME, operation, DENY);
    let me = acl((CLUSTER, LITERAL, "kafka-cluster"), ME, ALL, ALLOW);
    // Describe, describe configs, alter configs; at last alter.
    s.quiet(3, &create(vec![me, on_cluster(8), on_cluster(10), on_cluster(11)]));
    s.settle();
    s.quiet(3, &create(vec![on_cluster(7)]));
    s.settle();
    for version in 1..=3 {
        s.ask("describe", version, &describe((1, 1, None)));
        let some = acl((TOPIC, LITERAL, "t"), OTHER, READ, ALLOW);
        s.ask("create", version, &create(vec![some]));
        s.ask("delete", version, &delete((TOPIC, LITERAL, Some("t"))));
    }
    s.ask_each("log dirs", 1..=4, &DescribeLogDirsRequest::default());
    let described = DescribeClusterRequest {
        include_cluster_authorized_operations: true,
        endpoint_type: 1,
        ..DescribeClusterRequest::default()
    };
    s.ask_each("cluster", 0..=2, &described);
    let metadata = MetadataRequest {
        topics: Some(Vec::new()),
        include_cluster_authorized_operations: true,
        ..MetadataRequest::default()
    };
    s.ask_each("metadata", 8..=10, &metadata);
    s.ask_each("elections", 0..=2, &ElectLeadersRequest { timeout_ms: 5000, ..Default::default() });
    let moves = AlterPartitionReassignmentsRequest { timeout_ms: 5000, ..Default::default() };
    s.ask_each("reassignments", 0..=1, &moves);
    let moves = ListPartitionReassignmentsRequest { timeout_ms: 5000, ..Default::default() };
    s.ask("list reassignments", 0, &moves);
    let broker = DescribeConfigsResource {
        resource_type: 4,
        resource_name: "1".to_owned(),
        configuration_keys: Some(vec!["log.dirs".to_owned()]),
    };
    let configs = DescribeConfigsRequest { resources: vec![broker], ..Default::default() };
    s.ask("broker configs", 4, &configs);
    let resource = incremental::AlterConfigsResource {
        resource_type: 4,
        resource_name: String::new(),
        configs: Vec::new(),
    };
    let alteration =
        IncrementalAlterConfigsRequest { resources: vec![resource], validate_only: true };
    s.ask("alter broker configs", 1, &alteration);
    let shown = describe_one(LOGGER, "1", Some(&["root"]));
    let silenced = change(LOGGER, "1", &[("root", SET, Some("FATAL"))]);
    s.ask("loggers", 4, &shown);
    s.ask("silence", 1, &silenced);
    s.ask_on(CONTROLLER, "loggers of the controller", 4, &shown);
    s.ask_on(CONTROLLER, "silence the controller", 1, &silenced);
    s.ask_on(CONTROLLER, "describe at the controller", 3, &describe((1, 1, None)));
}
