//! DescribeClientQuotas, AlterClientQuotas, ListConfigResources, and what clients are asked for.

use naru_model::Uuid;
use naru_protocol::messages::alter_client_quotas_request::{
    AlterClientQuotasRequest, EntityData, EntryData, OpData,
};
use naru_protocol::messages::create_partitions_request::{
    CreatePartitionsRequest, CreatePartitionsTopic,
};
use naru_protocol::messages::create_topics_request::{CreatableTopic, CreateTopicsRequest};
use naru_protocol::messages::delete_topics_request::{DeleteTopicState, DeleteTopicsRequest};
use naru_protocol::messages::describe_client_quotas_request::{
    ComponentData, DescribeClientQuotasRequest,
};
use naru_protocol::messages::get_telemetry_subscriptions_request::GetTelemetrySubscriptionsRequest;
use naru_protocol::messages::list_config_resources_request::ListConfigResourcesRequest;
use naru_protocol::messages::push_telemetry_request::PushTelemetryRequest;

use super::configs::{BROKER, SET, TOPIC, change, describe_one};
use crate::differential::session::Session;

const CLIENT_METRICS: i8 = 16;
const GROUP: i8 = 32;
const APPEND: i8 = 2;
const DELETE: i8 = 1;

/// Kind and name; `*` is the default.
type Entity<'a> = &'a [(&'a str, &'a str)];
/// Key and value; none removes it.
type Ops<'a> = &'a [(&'a str, Option<f64>)];

/// Kinds, matches and names of a filter.
type Components<'a> = &'a [(&'a str, i8, Option<&'a str>)];

fn entry(entity: Entity<'_>, ops: Ops<'_>) -> EntryData {
    let entity = entity.iter().map(|(kind, name)| EntityData {
        entity_type: (*kind).to_owned(),
        entity_name: (*name != "*").then(|| (*name).to_owned()),
    });
    let ops = ops.iter().map(|(key, value)| OpData {
        key: (*key).to_owned(),
        value: value.unwrap_or_default(),
        remove: value.is_none(),
    });
    EntryData { entity: entity.collect(), ops: ops.collect() }
}

fn alter(entries: Vec<EntryData>) -> AlterClientQuotasRequest {
    AlterClientQuotasRequest { entries, validate_only: false }
}

fn describe(components: Components<'_>, strict: bool) -> DescribeClientQuotasRequest {
    let components = components.iter().map(|(kind, match_type, name)| ComponentData {
        entity_type: (*kind).to_owned(),
        match_type: *match_type,
        match_: name.map(str::to_owned),
    });
    DescribeClientQuotasRequest { components: components.collect(), strict }
}

const PRODUCE: &str = "producer_byte_rate";
const FETCH: &str = "consumer_byte_rate";
const CONNECTIONS: &str = "connection_creation_rate";

const REFUSED: &[(&str, Entity<'_>, Ops<'_>)] = &[
    ("no entity", &[], &[(PRODUCE, Some(1.0))]),
    ("an unknown kind", &[("group", "g")], &[(PRODUCE, Some(1.0))]),
    ("an empty user", &[("user", "")], &[(PRODUCE, Some(1.0))]),
    ("an address and a user", &[("ip", "10.0.0.1"), ("user", "u")], &[(CONNECTIONS, Some(1.0))]),
    ("a host of nobody", &[("ip", "no.such.host.invalid")], &[(CONNECTIONS, Some(1.0))]),
    ("an unknown key", &[("user", "u")], &[("no_such_key", Some(1.0))]),
    ("an unknown key removed", &[("user", "u")], &[("no_such_key", None)]),
    ("a key of addresses", &[("user", "u")], &[(CONNECTIONS, Some(1.0))]),
    ("a key of users", &[("ip", "10.0.0.1")], &[(PRODUCE, Some(1.0))]),
    ("zero", &[("user", "u")], &[(PRODUCE, Some(0.0))]),
    ("below zero", &[("user", "u")], &[(PRODUCE, Some(-1.0))]),
    ("a fraction", &[("user", "u")], &[(PRODUCE, Some(1.5))]),
    ("too large", &[("user", "u")], &[(PRODUCE, Some(1e19))]),
    ("too large for an address", &[("ip", "10.0.0.1")], &[(CONNECTIONS, Some(3e9))]),
    ("a key twice", &[("user", "u")], &[(PRODUCE, Some(1.0)), (PRODUCE, Some(2.0))]),
    ("one good, one bad", &[("user", "u")], &[(PRODUCE, Some(1.0)), (FETCH, Some(0.0))]),
    ("nothing to do", &[("user", "u")], &[]),
    ("what is not set removed", &[("user", "u")], &[(PRODUCE, None)]),
];

pub fn quotas(s: &mut Session) {
    s.ask_each("nothing", 0..=1, &describe(&[], false));
    for version in 0..=1 {
        let rate = f64::from(version + 1) * 1_000_000.0;
        let some: &[(Entity<'_>, Ops<'_>)] = &[
            (&[("user", "alice")], &[(PRODUCE, Some(rate)), (FETCH, Some(rate))]),
            (&[("user", "*")], &[(FETCH, Some(rate))]),
            (&[("client-id", "app")], &[("request_percentage", Some(150.5))]),
            (&[("client-id", "*")], &[("controller_mutation_rate", Some(1000.5))]),
            (&[("user", "alice"), ("client-id", "app")], &[(PRODUCE, Some(rate))]),
            (&[("user", "alice"), ("client-id", "*")], &[(PRODUCE, Some(rate))]),
            (&[("ip", "10.0.0.1")], &[(CONNECTIONS, Some(10.0))]),
            (&[("ip", "*")], &[(CONNECTIONS, Some(1_000_000.0))]),
        ];
        let entries = some.iter().map(|(entity, ops)| entry(entity, ops)).collect();
        s.ask("set", version, &alter(entries));
        s.settle();
        let filters: &[(&str, Components<'_>, bool)] = &[
            ("all", &[], false),
            ("all, strictly", &[], true),
            ("a user", &[("user", 0, Some("alice"))], false),
            ("a user, strictly", &[("user", 0, Some("alice"))], true),
            ("the default user", &[("user", 1, None)], false),
            ("any user", &[("user", 2, None)], false),
            ("any user, strictly", &[("user", 2, None)], true),
            ("both", &[("user", 0, Some("alice")), ("client-id", 2, None)], true),
            ("addresses", &[("ip", 2, None)], true),
            ("nobody", &[("user", 0, Some("nobody"))], false),
            ("an empty kind", &[("", 2, None)], false),
            ("an unknown kind", &[("group", 2, None)], false),
            ("a kind twice", &[("user", 2, None), ("user", 1, None)], false),
            ("exactly nothing", &[("user", 0, None)], false),
            ("a default with a name", &[("user", 1, Some("x"))], false),
            ("any with a name", &[("user", 2, Some("x"))], false),
            ("an unknown match", &[("user", 7, None)], false),
            ("an address and a user", &[("ip", 2, None), ("user", 2, None)], false),
        ];
        for (label, components, strict) in filters {
            s.ask(label, version, &describe(components, *strict));
        }
        for (label, entity, ops) in REFUSED {
            s.ask(label, version, &alter(vec![entry(entity, ops)]));
        }
    }
    let one = || entry(&[("user", "twice")], &[(PRODUCE, Some(5.0))]);
    s.ask("an entity twice", 1, &alter(vec![one(), one()]));
    let checked = AlterClientQuotasRequest { validate_only: true, ..alter(vec![one()]) };
    s.ask("validate only", 1, &checked);
    let gone: &[(Entity<'_>, Ops<'_>)] = &[
        (&[("user", "alice")], &[(PRODUCE, None)]),
        (&[("user", "*")], &[(FETCH, None)]),
        (&[("client-id", "*")], &[("controller_mutation_rate", None)]),
        (&[("ip", "*")], &[(CONNECTIONS, None)]),
    ];
    s.ask("remove", 1, &alter(gone.iter().map(|(entity, ops)| entry(entity, ops)).collect()));
    s.settle();
    s.ask("what is left", 1, &describe(&[("user", 0, Some("alice"))], false));
}

/// What a user that may change little of the cluster is told.
pub fn mutations(s: &mut Session) {
    let rate = |rate| {
        let client: Entity<'_> = &[("client-id", "differential")];
        alter(vec![entry(client, &[("controller_mutation_rate", rate)])])
    };
    let create = |name: &str, partitions: i32| CreateTopicsRequest {
        topics: vec![CreatableTopic {
            name: name.to_owned(),
            num_partitions: partitions,
            replication_factor: 1,
            ..CreatableTopic::default()
        }],
        timeout_ms: 10_000,
        validate_only: false,
    };
    s.quiet(1, &rate(Some(0.01)));
    s.settle();
    s.ask_on("first", "the burst passes", 7, &create("limited", 20));
    s.until_ready("limited", 20);
    s.ask_on("second", "the next does not", 6, &create("refused", 1));
    let more = CreatePartitionsRequest {
        topics: vec![CreatePartitionsTopic {
            name: "limited".to_owned(),
            count: 21,
            assignments: None,
        }],
        timeout_ms: 10_000,
        validate_only: false,
    };
    s.ask_on("third", "nor partitions", 3, &more);
    let state = DeleteTopicState { name: Some("limited".to_owned()), topic_id: Uuid::ZERO };
    let delete = DeleteTopicsRequest {
        topics: vec![state],
        timeout_ms: 10_000,
        ..DeleteTopicsRequest::default()
    };
    s.ask_on("fourth", "nor a deletion", 6, &delete);
    s.ask_on("fifth", "an old client waits instead", 5, &create("permitted", 1));
    s.quiet(1, &rate(None));
    s.settle();
    s.ask_on("sixth", "without a limit", 6, &delete);
}

pub fn resources(s: &mut Session) {
    let list = |kinds: &[i8]| ListConfigResourcesRequest { resource_types: kinds.to_vec() };
    s.ask("no subscriptions", 0, &list(&[]));
    s.ask("no subscriptions", 1, &list(&[CLIENT_METRICS]));
    let name = "subscription";
    let good = change(
        CLIENT_METRICS,
        name,
        &[
            ("metrics", SET, Some("org.apache.kafka.producer.,org.apache.kafka.consumer.")),
            ("interval.ms", SET, Some("30000")),
            ("match", SET, Some("client_software_name=nobody.*,client_id=x-1")),
        ],
    );
    s.ask("subscribe", 1, &good);
    s.ask(
        "subscribe again",
        1,
        &change(CLIENT_METRICS, "other", &[("interval.ms", SET, Some("100"))]),
    );
    s.settle();
    s.ask("subscriptions", 0, &list(&[]));
    s.ask("subscriptions", 1, &list(&[CLIENT_METRICS]));
    s.ask("brokers", 1, &list(&[BROKER]));
    s.ask("loggers", 1, &list(&[8]));
    s.ask("an unknown kind", 1, &list(&[3]));
    s.ask("a kind twice", 1, &list(&[BROKER, BROKER]));
    s.quiet(
        1,
        &change(GROUP, "configured", &[("consumer.session.timeout.ms", SET, Some("50000"))]),
    );
    s.settle();
    s.ask("groups", 1, &list(&[GROUP]));
    s.topic("listed", 1, &[]);
    let topics = s.quiet(1, &list(&[TOPIC]));
    let there = topics.config_resources.iter().any(|one| one.resource_name == "listed");
    assert!(there || topics.config_resources.is_empty(), "the topic is listed");
    for (label, changes) in [
        ("an unknown key", &[("no.such.key", SET, Some("1"))][..]),
        ("an interval that is no number", &[("interval.ms", SET, Some("x"))]),
        ("too often", &[("interval.ms", SET, Some("99"))]),
        ("too seldom", &[("interval.ms", SET, Some("3600001"))]),
        ("no pattern", &[("match", SET, Some("client_id"))]),
        ("an unknown attribute", &[("match", SET, Some("rack=x"))]),
        ("a pattern that is none", &[("match", SET, Some("client_id=("))]),
        ("append a metric", &[("metrics", APPEND, Some("more."))]),
        ("remove the interval", &[("interval.ms", DELETE, None)]),
    ] {
        s.ask(label, 1, &change(CLIENT_METRICS, name, changes));
    }
    s.ask("no name", 1, &change(CLIENT_METRICS, "", &[("interval.ms", SET, Some("100"))]));
    s.settle();
    s.ask("the subscription", 4, &describe_one(CLIENT_METRICS, name, None));
    s.ask("a subscription of nobody", 4, &describe_one(CLIENT_METRICS, "nothing", None));
    s.ask("a subscription without a name", 4, &describe_one(CLIENT_METRICS, "", None));
    for name in [name, "other"] {
        let keys = ["metrics", "interval.ms", "match"].map(|key| (key, DELETE, None));
        s.quiet(1, &change(CLIENT_METRICS, name, &keys));
    }
    s.settle();
    s.ask("nothing is left", 0, &list(&[]));
}

/// Apache Kafka answers these, but tells of them only where a plugin takes what is pushed.
pub fn telemetry(s: &mut Session) {
    let instance = Uuid(0x1234_5678_9abc_def0_0fed_cba9_8765_4321);
    let ask = |client_instance_id| GetTelemetrySubscriptionsRequest { client_instance_id };
    let none = s.ask("nothing is asked", 0, &ask(instance));
    s.ask("too early", 0, &ask(instance));
    let push = |subscription_id: i32| PushTelemetryRequest {
        client_instance_id: instance,
        subscription_id,
        compression_type: 4,
        ..PushTelemetryRequest::default()
    };
    s.ask("a first push", 0, &push(none.subscription_id));
    s.ask("a push too early", 0, &push(none.subscription_id));
    for (label, client_instance_id) in [("no instance", Uuid::ZERO), ("a reserved one", Uuid::ONE)]
    {
        s.ask(label, 0, &PushTelemetryRequest { client_instance_id, ..push(1) });
    }
    let subscribe = |name: &str, metrics: &str, matches: &str| {
        let configs = [
            ("metrics", SET, Some(metrics)),
            ("interval.ms", SET, Some("500")),
            ("match", SET, Some(matches)),
        ];
        change(CLIENT_METRICS, name, &configs)
    };
    let metrics = "org.apache.kafka.producer.,org.apache.kafka.consumer.,a.b.c,x,metric.one,t2";
    s.quiet(1, &subscribe("one", metrics, "client_id=differ.*,client_source_address=127.*"));
    s.quiet(1, &subscribe("other", "not.for.us", "client_id=somebody"));
    s.settle();
    s.ask("a push of what is not asked any more", 0, &push(none.subscription_id));
    let granted = s.ask("what is asked now", 0, &ask(instance));
    s.sleep(600);
    let id = granted.subscription_id;
    s.ask("an unknown codec", 0, &PushTelemetryRequest { compression_type: 9, ..push(id) });
    s.sleep(600);
    let large = vec![0; (1 << 20) + 1].into();
    s.ask("too large", 0, &PushTelemetryRequest { metrics: large, ..push(id) });
    s.sleep(600);
    s.ask("a push", 0, &push(id));
    s.ask("another at once", 0, &push(id));
    s.ask("the last one", 0, &PushTelemetryRequest { terminating: true, ..push(id) });
    s.sleep(600);
    s.ask("one after the last", 0, &push(id));
    s.quiet(1, &subscribe("other", "*", "client_id=.*"));
    s.settle();
    s.ask("everything", 0, &ask(Uuid(77)));
    for name in ["one", "other"] {
        let keys = ["metrics", "interval.ms", "match"].map(|key| (key, DELETE, None));
        s.quiet(1, &change(CLIENT_METRICS, name, &keys));
    }
    s.settle();
}
