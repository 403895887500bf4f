//! Topologies and the topics they need.

use naru_model::ErrorCode;
use naru_protocol::messages::streams_group_heartbeat_request::{
    CopartitionGroup, StreamsGroupHeartbeatRequest, Subtopology, TopicInfo, Topology,
};

use super::world::{Thread, World, word_count};

fn internal(name: &str, partitions: i32) -> TopicInfo {
    TopicInfo { name: name.into(), partitions, ..Default::default() }
}

/// A join of `sources` with the regrouped `repartitioned`, which must be as wide.
fn join(sources: &[&str], repartitioned: Vec<TopicInfo>) -> Topology {
    let count = |len: usize| (0..len).map(|at| i16::try_from(at).expect("few")).collect();
    let group = CopartitionGroup {
        source_topics: count(sources.len()),
        repartition_source_topics: count(repartitioned.len()),
        ..Default::default()
    };
    let regroup = Subtopology {
        subtopology_id: "0".into(),
        source_topics: vec!["in".into()],
        repartition_sink_topics: repartitioned.iter().map(|topic| topic.name.clone()).collect(),
        ..Default::default()
    };
    let join = Subtopology {
        subtopology_id: "1".into(),
        source_topics: sources.iter().map(|name| (*name).to_owned()).collect(),
        repartition_source_topics: repartitioned,
        state_changelog_topics: vec![internal("store", 0)],
        copartition_groups: vec![group],
        ..Default::default()
    };
    Topology { epoch: 0, subtopologies: vec![regroup, join] }
}

fn ask(world: &mut World, topology: Topology) -> (ErrorCode, String, Vec<(String, i32)>) {
    let thread = Thread { topology, ..Thread::named("a", "p") };
    let token = world.send(thread.request());
    let (response, missing) = world.answer(token);
    let text = match response.status.as_deref() {
        Some([one]) => format!("{} {}", one.status_code, one.status_detail),
        _ => response.error_message.unwrap_or_default(),
    };
    let missing = missing.into_iter().map(|topic| (topic.name, topic.num_partitions)).collect();
    (ErrorCode::from_code(response.error_code), text, missing)
}

#[test]
fn a_repartition_topic_is_as_wide_as_what_it_is_joined_with() {
    let mut world = World::with(0, &[("in", 2), ("other", 6)]);
    let (code, _, missing) = ask(&mut world, join(&["other"], vec![internal("rep", 0)]));
    assert_eq!(code, ErrorCode::None);
    assert_eq!(missing, [("rep".into(), 6), ("store".into(), 6)]);
}

#[test]
fn alone_it_is_as_wide_as_what_is_written_to_it_or_as_it_says() {
    let mut world = World::with(0, &[("in", 2)]);
    let topics = vec![internal("a", 0), internal("b", 5)];
    let (_, _, missing) = ask(&mut world, join(&[], topics));
    assert_eq!(missing, [("a".into(), 5), ("b".into(), 5), ("store".into(), 5)]);
}

#[test]
fn topics_that_are_not_copartitioned_are_told() {
    let mut world = World::with(0, &[("in", 2), ("x", 3), ("y", 4)]);
    let (_, text, _) = ask(&mut world, join(&["x", "y"], vec![]));
    assert_eq!(text, "2 Following topics do not have the same number of partitions: [{x=3, y=4}]");
    let mut world = World::with(0, &[("in", 2), ("x", 3)]);
    let (_, text, missing) = ask(&mut world, join(&["x"], vec![internal("rep", 4)]));
    let expected = "2 Number of partitions [4] of repartition topic [rep] doesn't match number of \
                    partitions [3] of the source topic.";
    assert_eq!((text.as_str(), missing.len()), (expected, 0));
}

#[test]
fn an_internal_topic_of_another_width_is_told() {
    let mut world = World::with(0, &[("in", 2), ("g-words", 2), ("g-counts", 9)]);
    let (_, text, _) = ask(&mut world, word_count());
    assert_eq!(
        text,
        "2 Existing topic g-counts has different number of partitions: expected 2, found 9"
    );
}

#[test]
fn missing_sources_are_told_until_they_are_there() {
    let mut world = World::with(0, &[]);
    let mut a = Thread::named("a", "p");
    world.beat(&mut a);
    assert_eq!(a.statuses, [(1, "Source topics in are missing.".into())]);
    world.set_topic("in", 1);
    world.converge(std::slice::from_mut(&mut a));
    assert_eq!(a.active.len(), 2);
    world.delete_topic("in");
    world.beat(&mut a);
    assert_eq!(a.statuses, [(1, "Source topics in are missing.".into())]);
    assert_eq!(a.active.len(), 0);
}

#[test]
fn topologies_that_cannot_be_are_refused() {
    let refuse = |topology: Topology, expected: &str| {
        let mut world = World::with(0, &[("in", 2)]);
        let (code, text, _) = ask(&mut world, topology);
        assert_eq!((code, text.as_str()), (ErrorCode::StreamsInvalidTopology, expected));
        assert_eq!(world.state(), None, "no group is left behind");
    };
    let mut topology = word_count();
    topology.subtopologies[0].repartition_sink_topics.clear();
    refuse(
        topology,
        "Failed to compute number of partitions for all repartition topics, because a repartition \
         source topic is never used as a sink topic.",
    );
    let mut topology = word_count();
    topology.subtopologies.remove(0);
    topology.subtopologies[0].repartition_sink_topics = vec!["g-words".into()];
    refuse(
        topology,
        "Failed to compute number of partitions for all repartition topics. There may be loops in \
         the topology that cannot be resolved.",
    );
    let empty = Subtopology { subtopology_id: "0".into(), ..Default::default() };
    refuse(
        Topology { epoch: 0, subtopologies: vec![empty] },
        "No source topics found for subtopology 0",
    );
    let mut topology = join(&[], vec![internal("rep", 0)]);
    topology.subtopologies[1].copartition_groups[0].source_topics = vec![7];
    refuse(topology, "A copartition group of subtopology 1 names a topic that is not there.");
}

#[test]
fn a_topology_can_be_older_but_not_another() {
    let mut world = World::with(0, &[("in", 2)]);
    let described = Topology { epoch: 3, ..word_count() };
    let mut a = Thread { topology: described, ..Thread::named("a", "p") };
    world.converge(std::slice::from_mut(&mut a));
    let mut b = Thread { topology: word_count(), ..Thread::named("b", "q") };
    assert_eq!(world.beat(&mut b), ErrorCode::None);
    let text = "The member's topology epoch 0 is behind the group's topology epoch 3.";
    assert!(b.statuses.contains(&(0, text.into())), "{:?}", b.statuses);
    let other = Topology { epoch: 4, ..word_count() };
    let request =
        StreamsGroupHeartbeatRequest { topology: Some(other), ..Thread::named("c", "r").request() };
    let response = world.ask(request);
    assert_eq!(ErrorCode::from_code(response.error_code), ErrorCode::InvalidRequest);
    assert_eq!(response.error_message.as_deref(), Some("Topology updates are not supported yet."));
}

#[test]
fn topologies_that_are_too_big_are_refused() {
    let refuse = |topology: Topology, expected: &str| {
        let mut world = World::with(0, &[("in", 50_001)]);
        let (code, text, _) = ask(&mut world, topology);
        assert_eq!((code, text.as_str()), (ErrorCode::StreamsInvalidTopology, expected));
        assert_eq!(world.state(), None, "no group is left behind");
    };
    let one = |at: usize| Subtopology {
        subtopology_id: at.to_string(),
        source_topics: vec!["in".into()],
        ..Default::default()
    };
    refuse(
        Topology { epoch: 0, subtopologies: (0..1_001).map(one).collect() },
        "The topology has 1001 subtopologies, but at most 1000 are allowed.",
    );
    let named = Subtopology { source_topics: vec!["in".into(); 10_001], ..one(0) };
    refuse(
        Topology { epoch: 0, subtopologies: vec![named] },
        "The topology names topics 10001 times, but at most 10000 are allowed.",
    );
    refuse(
        word_count(),
        "The topology has 100002 tasks over its topics, but at most 100000 are allowed.",
    );
}

#[test]
fn widths_go_through_a_long_chain_in_whatever_order_it_is_told() {
    let mut world = World::with(0, &[("in", 3)]);
    let link = |at: usize| Subtopology {
        subtopology_id: format!("{:03}", 999 - at),
        source_topics: if at == 0 { vec!["in".into()] } else { Vec::new() },
        repartition_source_topics: (at > 0)
            .then(|| internal(&format!("r{at}"), 0))
            .into_iter()
            .collect(),
        repartition_sink_topics: if at < 999 { vec![format!("r{}", at + 1)] } else { Vec::new() },
        ..Default::default()
    };
    let topology = Topology { epoch: 0, subtopologies: (0..1_000).map(link).collect() };
    let (code, _, missing) = ask(&mut world, topology);
    assert_eq!((code, missing.len()), (ErrorCode::None, 999));
    assert!(missing.iter().all(|(_, partitions)| *partitions == 3));
}
