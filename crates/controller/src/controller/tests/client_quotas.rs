//! AlterClientQuotas, DescribeClientQuotas, and what changes of the cluster cost.

use std::collections::BTreeSet;

use naru_model::ErrorCode;
use naru_protocol::messages::alter_client_quotas_request::{
    AlterClientQuotasRequest, EntityData, EntryData, OpData,
};
use naru_protocol::messages::create_topics_request::CreateTopicsRequest;
use naru_protocol::messages::delete_topics_request::DeleteTopicsRequest;
use naru_protocol::messages::describe_client_quotas_request::{
    ComponentData, DescribeClientQuotasRequest,
};
use naru_quotas::{Kind, MutationQuota, TokenBucket, Windows};

use super::{Cluster, topic};

fn entry(entity: &[(&str, &str)], ops: &[(&str, Option<f64>)]) -> EntryData {
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

fn alter(cluster: &mut Cluster, entries: Vec<EntryData>) -> Vec<(i16, Option<String>)> {
    let request = AlterClientQuotasRequest { entries, validate_only: false };
    let unknown = BTreeSet::from(["no.such.host".to_owned()]);
    let decision = cluster.controller.decide_alter_client_quotas(&request, &unknown);
    cluster.commit(decision.records);
    let entries = decision.response.entries.into_iter();
    entries.map(|entry| (entry.error_code, entry.error_message)).collect()
}

fn described(cluster: &Cluster, components: &[(&str, i8, Option<&str>)], strict: bool) -> usize {
    let components = components.iter().map(|(kind, match_type, name)| ComponentData {
        entity_type: (*kind).to_owned(),
        match_type: *match_type,
        match_: name.map(str::to_owned),
    });
    let request = DescribeClientQuotasRequest { components: components.collect(), strict };
    let response = cluster.controller.image().describe_client_quotas(&request).unwrap();
    response.entries.unwrap().len()
}

#[test]
fn quotas_come_change_and_go() {
    let mut cluster = Cluster::with_brokers(&[1]);
    let rate = "producer_byte_rate";
    let set = |value| vec![entry(&[("user", "alice")], &[(rate, value)])];
    assert_eq!(alter(&mut cluster, set(Some(1000.0))), [(0, None)]);
    let bound = |cluster: &Cluster| {
        let limits = cluster.controller.image().quota_limits();
        limits.find(Kind::Produce, "alice", "x").map(|limit| limit.bound)
    };
    assert_eq!(bound(&cluster), Some(1000.0));
    let before = cluster.end();
    assert_eq!(alter(&mut cluster, set(Some(1000.0))), [(0, None)]);
    assert_eq!(cluster.end(), before, "what stays needs no record");
    alter(&mut cluster, set(Some(2000.0)));
    assert_eq!(bound(&cluster), Some(2000.0));
    assert_eq!(alter(&mut cluster, set(None)), [(0, None)]);
    assert_eq!(bound(&cluster), None);
    let before = cluster.end();
    assert_eq!(alter(&mut cluster, set(None)), [(0, None)]);
    assert_eq!(cluster.end(), before);
}

#[test]
fn what_cannot_be_is_refused_in_kafkas_words() {
    let mut cluster = Cluster::with_brokers(&[1]);
    let user: &[(&str, &str)] = &[("user", "a")];
    type Case<'a> = (&'a [(&'a str, &'a str)], &'a [(&'a str, Option<f64>)], &'a str);
    let cases: &[Case<'_>] = &[
        (&[], &[], "Invalid empty client quota entity"),
        (&[("group", "g")], &[], "Unhandled client quota entity type: group"),
        (&[("user", "")], &[], "Empty user not supported"),
        (user, &[("nothing", Some(1.0))], "Invalid configuration key nothing"),
        (
            user,
            &[("connection_creation_rate", Some(1.0))],
            "Invalid configuration key \
             connection_creation_rate",
        ),
        (
            user,
            &[("producer_byte_rate", Some(0.0))],
            "Quota producer_byte_rate must be greater \
             than 0",
        ),
        (
            user,
            &[("producer_byte_rate", Some(f64::NAN))],
            "Quota producer_byte_rate must be \
             greater than 0",
        ),
        (
            user,
            &[("producer_byte_rate", Some(1.5))],
            "producer_byte_rate cannot be a fractional \
             value.",
        ),
        (
            user,
            &[("producer_byte_rate", Some(1e19))],
            "Proposed value for producer_byte_rate is \
             too large for a LONG.",
        ),
        (
            &[("ip", "::1")],
            &[("connection_creation_rate", Some(3e9))],
            "Proposed value for \
             connection_creation_rate is too large for an INT.",
        ),
        (&[("ip", "no.such.host")], &[], "no.such.host is not a valid IP or resolvable host."),
        (
            &[("ip", "::1"), ("user", "a")],
            &[],
            "Invalid quota entity combination, IP entity \
             shouldnot be combined with User or ClientId",
        ),
    ];
    for (entity, ops, text) in cases {
        let before = cluster.end();
        let answer = alter(&mut cluster, vec![entry(entity, ops)]);
        let expect = (ErrorCode::InvalidRequest.code(), Some((*text).to_owned()));
        assert_eq!(answer, [expect]);
        assert_eq!(cluster.end(), before);
    }
    let ok = &[("request_percentage", Some(0.5)), ("controller_mutation_rate", Some(2.5))];
    assert_eq!(alter(&mut cluster, vec![entry(user, ok)])[0].0, 0);
}

#[test]
fn filters_find_entities() {
    let mut cluster = Cluster::with_brokers(&[1]);
    let rate: &[(&str, Option<f64>)] = &[("consumer_byte_rate", Some(5.0))];
    alter(
        &mut cluster,
        vec![
            entry(&[("user", "a")], rate),
            entry(&[("user", "*")], rate),
            entry(&[("user", "a"), ("client-id", "c")], rate),
            entry(&[("ip", "*")], &[("connection_creation_rate", Some(5.0))]),
        ],
    );
    assert_eq!(described(&cluster, &[], false), 4);
    assert_eq!(described(&cluster, &[], true), 0);
    assert_eq!(described(&cluster, &[("user", 0, Some("a"))], false), 2);
    assert_eq!(described(&cluster, &[("user", 0, Some("a"))], true), 1);
    assert_eq!(described(&cluster, &[("user", 1, None)], false), 1);
    assert_eq!(described(&cluster, &[("user", 2, None)], false), 3);
    let both = [("user", 2, None), ("client-id", 2, None)];
    assert_eq!(described(&cluster, &both, true), 1);
    assert_eq!(described(&cluster, &[("ip", 2, None)], false), 1);
}

#[test]
fn a_mutation_quota_refuses_what_is_too_much() {
    let mut cluster = Cluster::with_brokers(&[1]);
    let topics = vec![topic("first", 20, 1), topic("second", 20, 1)];
    cluster.create(&CreateTopicsRequest { topics, ..CreateTopicsRequest::default() });
    let windows = Windows { count: 11, size_ms: 1000 };
    let bucket = TokenBucket::full(windows, 1.0, 0);
    let mut quota = MutationQuota::new(bucket, windows, 1.0, true, 0);
    let names = ["first", "second"].map(str::to_owned).to_vec();
    let request = DeleteTopicsRequest { topic_names: names, ..DeleteTopicsRequest::default() };
    let decision = cluster.controller.decide_delete_topics(&request, &mut quota);
    let codes: BTreeSet<i16> =
        decision.response.responses.iter().map(|response| response.error_code).collect();
    assert_eq!(codes, BTreeSet::from([0, ErrorCode::ThrottlingQuotaExceeded.code()]));
    assert_eq!(decision.records.len(), 1);
    assert_eq!(quota.throttle_ms(), 9000);
}
