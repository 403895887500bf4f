//! The streams group protocol (KIP-1071): topologies and their topics, tasks, offsets by epoch,
//! the end of an application.

use naru_protocol::messages::delete_groups_request::DeleteGroupsRequest;
use naru_protocol::messages::list_groups_request::ListGroupsRequest;
use naru_protocol::messages::offset_commit_request::OffsetCommitRequest;
use naru_protocol::messages::streams_group_describe_request::StreamsGroupDescribeRequest;
use naru_protocol::messages::streams_group_heartbeat_request::{
    CopartitionGroup, Endpoint, KeyValue, StreamsGroupHeartbeatRequest, Subtopology, TaskIds,
    TaskOffset, TopicInfo, Topology,
};

use super::groups::{describe, join};
use super::offsets::{Topic, commit, delete, fetch};
use crate::differential::session::Session;

/// More than the delay of a first assignment, and than the least time between two.
const NEXT_ASSIGNMENT: u64 = 1_200;

fn beat(group: &str, member: &str, epoch: i32) -> StreamsGroupHeartbeatRequest {
    StreamsGroupHeartbeatRequest {
        group_id: group.to_owned(),
        member_id: member.to_owned(),
        member_epoch: epoch,
        ..Default::default()
    }
}

/// The first request of a member, which describes the application.
fn first(group: &str, member: &str, topology: Topology) -> StreamsGroupHeartbeatRequest {
    StreamsGroupHeartbeatRequest {
        rebalance_timeout_ms: 60_000,
        topology: Some(topology),
        process_id: Some(format!("process-of-{member}")),
        ..owning(beat(group, member, 0), &[])
    }
}

/// The request with the active tasks that a member says it has.
fn owning(
    request: StreamsGroupHeartbeatRequest,
    tasks: &[(&str, &[i32])],
) -> StreamsGroupHeartbeatRequest {
    let tasks = tasks.iter().map(|(id, partitions)| TaskIds {
        subtopology_id: (*id).to_owned(),
        partitions: partitions.to_vec(),
    });
    StreamsGroupHeartbeatRequest {
        active_tasks: Some(tasks.collect()),
        standby_tasks: Some(Vec::new()),
        warmup_tasks: Some(Vec::new()),
        ..request
    }
}

fn internal(name: &str, partitions: i32) -> TopicInfo {
    TopicInfo { name: name.to_owned(), partitions, ..Default::default() }
}

/// One subtopology that reads `source` and remembers in `changelog`.
fn counting(source: &str, changelog: &str) -> Topology {
    let compact = KeyValue { key: "cleanup.policy".to_owned(), value: "compact".to_owned() };
    let changelog = TopicInfo { topic_configs: vec![compact], ..internal(changelog, 0) };
    let subtopology = Subtopology {
        subtopology_id: "0".to_owned(),
        source_topics: vec![source.to_owned()],
        state_changelog_topics: vec![changelog],
        ..Default::default()
    };
    Topology { epoch: 0, subtopologies: vec![subtopology] }
}

/// `source` is regrouped through `between`, which is joined with `other`.
fn joining(source: &str, between: TopicInfo, other: &[&str]) -> Topology {
    let count = |len: usize| (0..len).filter_map(|at| i16::try_from(at).ok()).collect();
    let group = CopartitionGroup {
        source_topics: count(other.len()),
        repartition_source_topics: vec![0],
        ..Default::default()
    };
    let regroup = Subtopology {
        subtopology_id: "0".to_owned(),
        source_topics: vec![source.to_owned()],
        repartition_sink_topics: vec![between.name.clone()],
        ..Default::default()
    };
    let join = Subtopology {
        subtopology_id: "1".to_owned(),
        source_topics: other.iter().map(|name| (*name).to_owned()).collect(),
        repartition_source_topics: vec![between],
        copartition_groups: vec![group],
        ..Default::default()
    };
    Topology { epoch: 0, subtopologies: vec![regroup, join] }
}

fn shown(group: &str) -> StreamsGroupDescribeRequest {
    StreamsGroupDescribeRequest {
        group_ids: vec![group.to_owned()],
        include_authorized_operations: true,
    }
}

/// What the ACLs of others close: their group, and a topic that an application reads.
pub fn closed(s: &mut Session, theirs: &str, topic: &str) {
    s.ask("streams: a heartbeat of theirs", 0, &first(theirs, "m", counting("s-open", "s-log")));
    s.ask("streams: their topic", 0, &first("s-ours", "m", counting(topic, "s-log")));
    s.ask("streams: describe theirs", 0, &shown(theirs));
    s.ask("streams: describe ours", 0, &shown("s-ours"));
}

pub fn refusals(s: &mut Session) {
    s.topic("w1", 2, &[]);
    let good = || first("w-refused", "m", counting("w1", "w1-log"));
    let mut no = |label: &str, request: StreamsGroupHeartbeatRequest| {
        s.ask(label, 0, &request);
    };
    no("no group", StreamsGroupHeartbeatRequest { group_id: String::new(), ..good() });
    no("a blank member", StreamsGroupHeartbeatRequest { member_id: " ".into(), ..good() });
    no("an instance", StreamsGroupHeartbeatRequest { instance_id: Some("i".into()), ..good() });
    no("an empty rack", StreamsGroupHeartbeatRequest { rack_id: Some(String::new()), ..good() });
    no("no timeout", StreamsGroupHeartbeatRequest { rebalance_timeout_ms: -1, ..good() });
    no("no topology", StreamsGroupHeartbeatRequest { topology: None, ..good() });
    no("no active tasks", StreamsGroupHeartbeatRequest { active_tasks: None, ..good() });
    no("something owned", owning(good(), &[("0", &[0])]));
    let warmup = vec![TaskIds { subtopology_id: "0".into(), partitions: vec![0] }];
    no("warm-up tasks", StreamsGroupHeartbeatRequest { warmup_tasks: Some(warmup), ..good() });
    let offsets = || Some(vec![TaskOffset::default()]);
    no("task offsets", StreamsGroupHeartbeatRequest { task_offsets: offsets(), ..good() });
    no("task end offsets", StreamsGroupHeartbeatRequest { task_end_offsets: offsets(), ..good() });
    no("a topology later", StreamsGroupHeartbeatRequest { member_epoch: 3, ..good() });
    no(
        "some tasks only",
        StreamsGroupHeartbeatRequest {
            active_tasks: Some(Vec::new()),
            ..beat("w-refused", "m", 3)
        },
    );
    no("an epoch far below", beat("w-refused", "m", -3));
    no("no instance to leave", beat("w-refused", "m", -2));
    no("leaves no group", beat("w-refused", "m", -1));
    no("beats in no group", beat("w-refused", "m", 1));
    let with =
        |topology: Topology| StreamsGroupHeartbeatRequest { topology: Some(topology), ..good() };
    let mut topology = counting("w1", "w1-log");
    topology.subtopologies[0].state_changelog_topics[0].partitions = 3;
    no("a changelog that says how wide it is", with(topology));
    let mut topology = counting("w1", "w1-log");
    topology.subtopologies[0].source_topic_regex = vec!["w.*".into()];
    no("a pattern", with(topology));
    no("a topic of Kafka's own", with(counting("__consumer_offsets", "w1-log")));
    no("names that cannot be", with(counting("w1", "a b")));
    let mut topology = counting("w1", "w1-log");
    topology.subtopologies[0].source_topics.clear();
    no("nothing to read", with(topology));
    let mut topology = joining("w1", internal("w1-between", 0), &[]);
    topology.subtopologies[0].repartition_sink_topics.clear();
    no("a repartition topic nobody writes", with(topology));
    let mut topology = joining("w1", internal("w1-between", 0), &[]);
    topology.subtopologies.remove(0);
    topology.subtopologies[0].repartition_sink_topics = vec!["w1-between".into()];
    no("a loop", with(topology));
    s.ask("no such group", 0, &shown("w-refused"));
    s.ask("no group id", 0, &shown(""));
    s.ask("nothing", 0, &StreamsGroupDescribeRequest::default());
    let topic = Topic { name: "w1", id: s.until_ready("w1", 2) };
    s.quiet(9, &commit("w-classic", topic, &[(0, 1, None)]));
    s.ask("a classic group", 0, &shown("w-classic"));
}

pub fn topics(s: &mut Session) {
    let state = |s: &mut Session, group: &str, topology: Topology| {
        s.ask(&format!("{group} joins"), 0, &first(group, "m", topology));
        s.ask(&format!("{group} described"), 0, &shown(group));
    };
    state(s, "w-absent", counting("w-absent-in", "w-absent-log"));
    s.topic("w2", 2, &[]);
    s.topic("w3", 3, &[]);
    state(s, "w-apart", joining("w2", internal("w-apart-between", 0), &["w2", "w3"]));
    state(s, "w-fixed", joining("w2", internal("w-fixed-between", 4), &["w3"]));
    s.topic("w-wide-log", 5, &[]);
    state(s, "w-wide", counting("w2", "w-wide-log"));
    state(s, "w-joined", joining("w2", internal("w-joined-between", 0), &["w3"]));
    s.until_ready("w-joined-between", 3);
    s.settle();
    s.sleep(2 * NEXT_ASSIGNMENT);
    s.ask("its topic is there", 0, &beat("w-joined", "m", 1));
    s.ask("described then", 0, &shown("w-joined"));
    s.topic("w-absent-in", 2, &[]);
    s.settle();
    s.ask("its source is there", 0, &beat("w-absent", "m", 1));
}

pub fn one_member(s: &mut Session) {
    s.topic("w4", 2, &[]);
    s.topic("w4-log", 2, &[]);
    let group = "w-one";
    let rich = StreamsGroupHeartbeatRequest {
        rack_id: Some("r".into()),
        user_endpoint: Some(Endpoint { host: "h".into(), port: 4000 }),
        client_tags: Some(vec![KeyValue { key: "k".into(), value: "v".into() }]),
        endpoint_information_epoch: -1,
        ..first(group, "m", counting("w4", "w4-log"))
    };
    s.ask("join", 0, &rich);
    s.ask("described before the first assignment", 0, &shown(group));
    s.sleep(NEXT_ASSIGNMENT);
    s.ask("is given all", 0, &beat(group, "m", 1));
    s.ask("described", 0, &shown(group));
    s.ask("has all", 0, &owning(beat(group, "m", 2), &[("0", &[0, 1])]));
    s.ask("beat", 0, &beat(group, "m", 2));
    let knows = |epoch| StreamsGroupHeartbeatRequest {
        endpoint_information_epoch: epoch,
        ..beat(group, "m", 2)
    };
    for epoch in 0..=3 {
        s.ask("knows endpoints", 0, &knows(epoch));
    }
    s.ask("an epoch behind without saying", 0, &beat(group, "m", 1));
    s.ask("an epoch behind", 0, &owning(beat(group, "m", 1), &[]));
    s.ask("too new", 0, &beat(group, "m", 6));
    s.ask("a stranger", 0, &beat(group, "x", 2));
    s.ask("a stranger leaves", 0, &beat(group, "x", -1));
    s.ask("no such subtopology", 0, &owning(beat(group, "m", 2), &[("7", &[0])]));
    s.ask("no such task", 0, &owning(beat(group, "m", 2), &[("0", &[2])]));
    s.ask("another topology", 0, &first(group, "n", counting("w4", "w4-other")));
    s.ask("described as a classic one", 6, &describe(group));
    s.ask("a classic member", 9, &join(group, ""));
    let list = |kind: &str| ListGroupsRequest {
        states_filter: Vec::new(),
        types_filter: vec![kind.to_owned()],
    };
    s.ask("asks for an end", 0, &{
        StreamsGroupHeartbeatRequest { shutdown_application: true, ..beat(group, "m", 2) }
    });
    s.ask("leave", 0, &beat(group, "m", -1));
    s.ask("described at the end", 0, &shown(group));
    s.ask("leave again", 0, &beat(group, "m", -1));
    s.ask("joins again", 0, &first(group, "m", counting("w4", "w4-log")));
    s.quiet(0, &beat(group, "m", -1));
    s.ask("no groups of such a type", 5, &list("moon"));
    let deletion = DeleteGroupsRequest { groups_names: vec![group.to_owned()] };
    s.ask("deleted", 2, &deletion);
    s.ask("described after", 0, &shown(group));
}

pub fn offsets(s: &mut Session) {
    let topic = Topic { name: "w5", id: s.topic("w5", 2, &[]) };
    let other = Topic { name: "w6", id: s.topic("w6", 2, &[]) };
    s.topic("w5-log", 2, &[]);
    let group = "w-offsets";
    s.quiet(0, &first(group, "m", counting("w5", "w5-log")));
    s.sleep(NEXT_ASSIGNMENT);
    s.ask("is given all", 0, &beat(group, "m", 1));
    let by = |member: &str, epoch: i32| OffsetCommitRequest {
        member_id: member.to_owned(),
        generation_id_or_member_epoch: epoch,
        ..commit(group, topic, &[(0, 5, Some("x"))])
    };
    for version in 8..=10 {
        s.ask("a member's", version, &by("m", 2));
        s.ask("of an older epoch", version, &by("m", 1));
        s.ask("of a later epoch", version, &by("m", 3));
        s.ask("a stranger's", version, &by("x", 2));
        s.ask("an administrator's", version, &by("", -1));
    }
    for (label, member, epoch) in [
        ("fetched by a member", Some("m"), 2),
        ("fetched of another epoch", Some("m"), 7),
        ("fetched by a stranger", Some("x"), 2),
        ("fetched by nobody", None, -1),
    ] {
        let mut request = fetch(group, Some(topic));
        for one in &mut request.groups {
            one.member_id = member.map(str::to_owned);
            one.member_epoch = epoch;
        }
        s.ask(label, 9, &request);
    }
    s.quiet(
        9,
        &OffsetCommitRequest {
            member_id: "m".into(),
            generation_id_or_member_epoch: 2,
            ..commit(group, other, &[(0, 1, None)])
        },
    );
    s.ask("a source topic", 0, &delete(group, "w5", &[0]));
    s.ask("another topic", 0, &delete(group, "w6", &[0]));
    let deletion = DeleteGroupsRequest { groups_names: vec![group.to_owned()] };
    s.ask("a living group", 2, &deletion);
    s.quiet(0, &beat(group, "m", -1));
    s.ask("an administrator's, when it is empty", 9, &by("", -1));
    s.ask("an empty group", 2, &deletion);
    s.ask("fetched after", 9, &fetch(group, Some(topic)));
}

pub fn two_members(s: &mut Session) {
    s.topic("w7", 4, &[]);
    s.topic("w7-log", 4, &[]);
    let group = "w-two";
    let topology = || counting("w7", "w7-log");
    s.quiet(0, &first(group, "a", topology()));
    s.sleep(NEXT_ASSIGNMENT);
    s.ask("a is given all", 0, &beat(group, "a", 1));
    s.ask("a has all", 0, &owning(beat(group, "a", 2), &[("0", &[0, 1, 2, 3])]));
    s.sleep(NEXT_ASSIGNMENT);
    s.ask("b joins", 0, &first(group, "b", topology()));
    s.ask("c joins at once", 0, &first(group, "c", topology()));
    s.ask("c leaves at once", 0, &beat(group, "c", -1));
    s.sleep(NEXT_ASSIGNMENT);
    s.ask("a is to give up", 0, &beat(group, "a", 2));
    s.ask("described as a gives up", 0, &shown(group));
    s.ask("b waits", 0, &beat(group, "b", 3));
    s.ask("a has not yet", 0, &beat(group, "a", 2));
    s.ask("a has given up", 0, &owning(beat(group, "a", 2), &[("0", &[0, 1])]));
    s.ask("b is given", 0, &beat(group, "b", 5));
    s.ask("described", 0, &shown(group));
    let leave = StreamsGroupHeartbeatRequest { shutdown_application: true, ..beat(group, "b", -1) };
    s.ask("b ends everything", 0, &leave);
    s.ask("a is told", 0, &beat(group, "a", 5));
}
