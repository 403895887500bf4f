//! CreateTopics, CreatePartitions, DeleteTopics.

use naru_model::Uuid;
use naru_protocol::messages::create_partitions_request::{
    CreatePartitionsAssignment, CreatePartitionsRequest, CreatePartitionsTopic,
};
use naru_protocol::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig, CreateTopicsRequest,
};
use naru_protocol::messages::delete_topics_request::{DeleteTopicState, DeleteTopicsRequest};

use crate::differential::session::Session;

fn topic(name: &str, num_partitions: i32, replication_factor: i16) -> CreatableTopic {
    let name = name.to_owned();
    CreatableTopic { name, num_partitions, replication_factor, ..CreatableTopic::default() }
}

fn config(name: &str, value: Option<&str>) -> CreatableTopicConfig {
    CreatableTopicConfig { name: name.to_owned(), value: value.map(str::to_owned) }
}

fn assigned(name: &str, assignments: &[(i32, &[i32])]) -> CreatableTopic {
    let assignments = assignments.iter().map(|(partition, brokers)| CreatableReplicaAssignment {
        partition_index: *partition,
        broker_ids: brokers.to_vec(),
    });
    CreatableTopic { assignments: assignments.collect(), ..topic(name, -1, -1) }
}

fn create(topics: Vec<CreatableTopic>) -> CreateTopicsRequest {
    CreateTopicsRequest { topics, timeout_ms: 10_000, validate_only: false }
}

fn creations() -> Vec<(&'static str, Vec<CreatableTopic>)> {
    let config_of = |name: &str, key: &str, value: Option<&str>| CreatableTopic {
        configs: vec![config(key, value)],
        ..topic(name, 1, 1)
    };
    vec![
        ("nothing", vec![]),
        ("the defaults", vec![topic("by-default", -1, -1)]),
        ("an empty name", vec![topic("", 1, 1)]),
        ("a dot", vec![topic(".", 1, 1)]),
        ("two dots", vec![topic("..", 1, 1)]),
        ("a space", vec![topic("a b", 1, 1)]),
        ("an umlaut", vec![topic("\u{e4}", 1, 1)]),
        ("249 letters", vec![topic(&"l".repeat(249), 1, 1)]),
        ("250 letters", vec![topic(&"l".repeat(250), 1, 1)]),
        ("a colliding name", vec![topic("dot.ted", 1, 1)]),
        ("the name it collides with", vec![topic("dot_ted", 1, 1)]),
        ("the same twice", vec![topic("twice", 1, 1), topic("twice", 2, 1), topic("once", 1, 1)]),
        ("zero partitions", vec![topic("p", 0, 1)]),
        ("minus two partitions", vec![topic("p", -2, 1)]),
        ("factor zero", vec![topic("p", 1, 0)]),
        ("factor minus two", vec![topic("p", 1, -2)]),
        ("factor two", vec![topic("p", 1, 2)]),
        ("assigned", vec![assigned("assigned", &[(0, &[1]), (1, &[1])])]),
        ("assigned to nobody", vec![assigned("p", &[(0, &[])])]),
        ("assigned to a stranger", vec![assigned("p", &[(0, &[7])])]),
        ("assigned twice to one", vec![assigned("p", &[(0, &[1, 1])])]),
        ("assigned with a gap", vec![assigned("p", &[(0, &[1]), (2, &[1])])]),
        ("assigned from one", vec![assigned("p", &[(1, &[1])])]),
        ("one partition assigned twice", vec![assigned("p", &[(0, &[1]), (0, &[1])])]),
        ("assigned unevenly", vec![assigned("p", &[(0, &[1]), (1, &[1, 7])])]),
        ("assigned to a negative broker", vec![assigned("p", &[(0, &[-1])])]),
        (
            "assigned and counted",
            vec![CreatableTopic { num_partitions: 1, ..assigned("p", &[(0, &[1])]) }],
        ),
        (
            "assigned and copied",
            vec![CreatableTopic { replication_factor: 1, ..assigned("p", &[(0, &[1])]) }],
        ),
        (
            "configured",
            vec![CreatableTopic {
                configs: vec![
                    config("retention.ms", Some("1000000")),
                    config("cleanup.policy", Some("compact,delete")),
                    config("compression.type", Some("zstd")),
                ],
                ..topic("configured", 1, 1)
            }],
        ),
        ("an unknown config", vec![config_of("p", "no.such.thing", Some("1"))]),
        ("a config without value", vec![config_of("p", "retention.ms", None)]),
        ("a config that is no number", vec![config_of("p", "retention.ms", Some("soon"))]),
        ("a config below its range", vec![config_of("p", "segment.bytes", Some("1"))]),
        ("a config of no choice", vec![config_of("p", "cleanup.policy", Some("shred"))]),
        ("a config that is no truth", vec![config_of("p", "preallocate", Some("maybe"))]),
        ("a config with spaces", vec![config_of("spaced", "retention.ms", Some(" 1000000 "))]),
        ("an empty config", vec![config_of("p", "retention.ms", Some(""))]),
        ("an empty list", vec![config_of("p", "cleanup.policy", Some(""))]),
        ("a ratio above one", vec![config_of("p", "min.cleanable.dirty.ratio", Some("1.5"))]),
        (
            "throttled replicas",
            vec![config_of("p", "leader.replication.throttled.replicas", Some("x"))],
        ),
        ("retention minus two", vec![config_of("p", "retention.ms", Some("-2"))]),
        ("min insync zero", vec![config_of("p", "min.insync.replicas", Some("0"))]),
        ("tiered storage", vec![config_of("p", "remote.storage.enable", Some("true"))]),
        ("local above whole retention", vec![config_of("p", "local.retention.bytes", Some("-3"))]),
        (
            "one config twice",
            vec![CreatableTopic {
                configs: vec![
                    config("retention.ms", Some("1000000")),
                    config("retention.ms", Some("2000000")),
                ],
                ..topic("doubled", 1, 1)
            }],
        ),
        ("an internal name", vec![topic("__consumer_offsets", 1, 1)]),
        ("the metadata log's name", vec![topic("__cluster_metadata", 1, 1)]),
    ]
}

pub fn run(s: &mut Session) {
    for version in 2..=7 {
        let name = format!("made-{version}");
        s.ask("good", version, &create(vec![topic(&name, 2, 1)]));
        s.until_ready(&name, 2);
        s.ask("exists", version, &create(vec![topic(&name, 2, 1)]));
        let checked = CreateTopicsRequest {
            validate_only: true,
            ..create(vec![topic("only-checked", 4, 1), topic("bad name", 1, 1)])
        };
        s.ask("validate only", version, &checked);
        let bad = create(vec![topic("zero", 0, 1), topic("many-copies", 1, 3)]);
        s.ask("bad numbers", version, &bad);
    }
    for (label, topics) in creations() {
        s.ask(label, 7, &create(topics));
    }
    for version in [2, 4] {
        s.ask("the defaults in old versions", version, &create(vec![topic("old", -1, -1)]));
    }
    s.settle();
}

pub fn partitions(s: &mut Session) {
    let more = |name: &str, count: i32, assignments: Option<Vec<Vec<i32>>>| {
        let assignments = assignments.map(|all| {
            all.into_iter().map(|broker_ids| CreatePartitionsAssignment { broker_ids }).collect()
        });
        CreatePartitionsTopic { name: name.to_owned(), count, assignments }
    };
    let ask = |topics: Vec<CreatePartitionsTopic>| CreatePartitionsRequest {
        topics,
        timeout_ms: 10_000,
        validate_only: false,
    };
    for version in 0..=3 {
        let name = format!("grow-{version}");
        s.topic(&name, 2, &[]);
        s.ask("more", version, &ask(vec![more(&name, 3, None)]));
        s.until_ready(&name, 3);
        s.ask("as many", version, &ask(vec![more(&name, 3, None)]));
        s.ask("fewer", version, &ask(vec![more(&name, 1, None)]));
    }
    let name = "grow-0";
    let cases: Vec<(&str, Vec<CreatePartitionsTopic>)> = vec![
        ("nothing", vec![]),
        ("zero", vec![more(name, 0, None)]),
        ("minus one", vec![more(name, -1, None)]),
        ("an unknown topic", vec![more("nowhere", 4, None)]),
        ("a bad name", vec![more("a b", 4, None)]),
        ("the same twice", vec![more(name, 5, None), more(name, 6, None)]),
        ("too few assignments", vec![more(name, 5, Some(vec![vec![1]]))]),
        ("too many assignments", vec![more(name, 4, Some(vec![vec![1], vec![1]]))]),
        ("a stranger", vec![more(name, 4, Some(vec![vec![9]]))]),
        ("nobody", vec![more(name, 4, Some(vec![vec![]]))]),
        ("one broker twice", vec![more(name, 4, Some(vec![vec![1, 1]]))]),
        ("no assignments at all", vec![more(name, 4, Some(vec![]))]),
        ("assigned", vec![more("grow-1", 4, Some(vec![vec![1]]))]),
    ];
    for (label, topics) in &cases {
        s.ask(label, 3, &ask(topics.clone()));
    }
    let checked = CreatePartitionsRequest {
        validate_only: true,
        ..ask(vec![more("grow-2", 9, None), more("nowhere", 9, None)])
    };
    s.ask("validate only", 3, &checked);
}

pub fn delete(s: &mut Session) {
    let named = |names: &[&str]| DeleteTopicsRequest {
        topic_names: names.iter().map(|name| (*name).to_owned()).collect(),
        timeout_ms: 10_000,
        topics: Vec::new(),
    };
    let state = |name: Option<&str>, topic_id: Uuid| DeleteTopicState {
        name: name.map(str::to_owned),
        topic_id,
    };
    let states = |topics: Vec<DeleteTopicState>| DeleteTopicsRequest {
        topics,
        timeout_ms: 10_000,
        topic_names: Vec::new(),
    };
    for version in 1..=5 {
        let name = format!("gone-{version}");
        s.topic(&name, 1, &[]);
        s.ask("good", version, &named(&[&name]));
        s.until_gone(&name);
        let mixed = format!("mixed-{version}");
        s.topic(&mixed, 1, &[]);
        s.ask("one of two", version, &named(&[&mixed, "nowhere"]));
        s.ask("again", version, &named(&[&name]));
    }
    s.ask("nothing", 5, &named(&[]));
    s.ask("a bad name", 5, &named(&["a b", ""]));
    s.topic("gone-twice", 1, &[]);
    s.ask("the same twice", 5, &named(&["gone-twice", "gone-twice"]));
    let id = s.topic("gone-6", 1, &[]);
    let other = s.topic("gone-by-name", 1, &[]);
    let unknown = Uuid(0x1234_5678_9abc_4ef0_8234_5678_9abc_def0);
    s.ask("an id and a name", 6, &states(vec![state(Some("gone-6"), id)]));
    s.ask("neither", 6, &states(vec![state(None, Uuid::ZERO)]));
    s.ask("an unknown id", 6, &states(vec![state(None, unknown)]));
    s.ask("an unknown name", 6, &states(vec![state(Some("nowhere"), Uuid::ZERO)]));
    let twice = states(vec![state(None, id), state(None, id)]);
    s.ask("an id twice", 6, &twice);
    let both = states(vec![state(None, other), state(Some("gone-by-name"), Uuid::ZERO)]);
    s.ask("its id and its name", 6, &both);
    s.ask("by id", 6, &states(vec![state(None, id)]));
    s.ask("by name", 6, &states(vec![state(Some("gone-by-name"), Uuid::ZERO)]));
    s.until_gone("gone-6");
    s.ask("by id, again", 6, &states(vec![state(None, id)]));
}
