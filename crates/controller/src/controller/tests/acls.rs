//! CreateAcls and DeleteAcls.

use naru_model::{ErrorCode, Uuid};
use naru_protocol::messages::create_acls_request::{AclCreation, CreateAclsRequest};
use naru_protocol::messages::delete_acls_request::{DeleteAclsFilter, DeleteAclsRequest};
use naru_security::Principal;
use naru_security::acl::{Authorizer, Operation, ResourceType};

use super::Cluster;
use crate::image::MetadataImage;

fn acl(name: &str, principal: &str) -> AclCreation {
    AclCreation {
        resource_type: ResourceType::Topic.code(),
        resource_name: name.to_owned(),
        resource_pattern_type: 3,
        principal: principal.to_owned(),
        host: "*".to_owned(),
        operation: Operation::Read.code(),
        permission_type: 3,
    }
}

fn create(cluster: &mut Cluster, creations: Vec<AclCreation>) -> Vec<i16> {
    let mut next = cluster.new_id().0;
    let new_id = || {
        next += 1;
        Uuid(next)
    };
    let decision = cluster.controller.decide_create_acls(&CreateAclsRequest { creations }, new_id);
    cluster.commit(decision.records);
    for _ in 0..10 {
        cluster.new_id();
    }
    decision.response.results.iter().map(|result| result.error_code).collect()
}

fn delete(cluster: &mut Cluster, names: &[Option<&str>]) -> Vec<usize> {
    let filter = |name: &Option<&str>| DeleteAclsFilter {
        resource_type_filter: 1,
        resource_name_filter: name.map(str::to_owned),
        pattern_type_filter: 1,
        operation: 1,
        permission_type: 1,
        ..DeleteAclsFilter::default()
    };
    let request = DeleteAclsRequest { filters: names.iter().map(filter).collect() };
    let decision = cluster.controller.decide_delete_acls(&request);
    cluster.commit(decision.records);
    decision.response.filter_results.iter().map(|result| result.matching_acls.len()).collect()
}

fn may_read(image: &MetadataImage, name: &str) -> bool {
    let (alice, resource) = (Principal::user("alice"), (ResourceType::Topic, name));
    Authorizer::default().decide(image.acls(), &alice, "h", Operation::Read, resource).allowed
}

#[test]
fn an_acl_counts_from_its_record_on_and_is_written_once() {
    let mut cluster = Cluster::with_brokers(&[1]);
    let before = cluster.end();
    let twice = vec![acl("t", "User:alice"), acl("t", "User:alice")];
    assert_eq!(create(&mut cluster, twice.clone()), [0, 0]);
    assert_eq!(create(&mut cluster, twice), [0, 0]);
    assert_eq!(cluster.end(), before + 1);
    assert!(may_read(cluster.controller.image(), "t"));
    assert!(!may_read(cluster.controller.image(), "u"));
}

#[test]
fn what_two_filters_find_is_deleted_once() {
    let mut cluster = Cluster::with_brokers(&[1]);
    create(&mut cluster, vec![acl("t", "User:alice"), acl("u", "User:alice")]);
    let before = cluster.end();
    assert_eq!(delete(&mut cluster, &[Some("t"), None, Some("x")]), [1, 2, 0]);
    assert_eq!(cluster.end(), before + 2);
    assert!(cluster.controller.image().acls().is_empty());
}

#[test]
fn a_snapshot_brings_the_same_acls() {
    let mut cluster = Cluster::with_brokers(&[1]);
    create(&mut cluster, vec![acl("t", "User:alice"), acl("u", "User:bob")]);
    delete(&mut cluster, &[Some("u")]);
    let mut copy = Cluster::empty();
    copy.commit(cluster.controller.image().to_records());
    assert_eq!(copy.controller.image().acls(), cluster.controller.image().acls());
    assert!(may_read(copy.controller.image(), "t"));
}

#[test]
fn acls_that_say_nothing_are_refused() {
    let mut cluster = Cluster::with_brokers(&[1]);
    let invalid = ErrorCode::InvalidRequest.code();
    let any = AclCreation { operation: Operation::Any.code(), ..acl("t", "User:a") };
    let cluster_name = AclCreation { resource_type: 4, ..acl("t", "User:a") };
    let bad = vec![acl("", "User:a"), acl("t", "alice"), any, cluster_name];
    assert_eq!(create(&mut cluster, bad), [invalid; 4]);
    assert!(cluster.controller.image().acls().is_empty());
}

#[test]
fn filters_that_find_more_than_a_request_may_delete_delete_nothing() {
    let mut cluster = Cluster::with_brokers(&[1]);
    let acls: Vec<_> = (0..10_001).map(|at| acl(&format!("t{at}"), "User:alice")).collect();
    for acls in acls.chunks(6_000) {
        assert!(create(&mut cluster, acls.to_vec()).iter().all(|code| *code == 0));
    }
    let filter = |resource_type_filter: i8| DeleteAclsFilter {
        resource_type_filter,
        pattern_type_filter: 1,
        operation: 1,
        permission_type: 1,
        ..DeleteAclsFilter::default()
    };
    let of_groups_and_all = DeleteAclsRequest { filters: vec![filter(3), filter(1)] };
    let refused = cluster.controller.decide_delete_acls(&of_groups_and_all);
    assert!(refused.records.is_empty());
    let many = "Cannot remove more than 10000 acls in a single delete operation.";
    assert_eq!(refused.response.filter_results.len(), 2);
    assert!(refused.response.filter_results.iter().all(|result| {
        result.error_code == ErrorCode::InvalidRequest.code()
            && result.error_message.as_deref() == Some(many)
            && result.matching_acls.is_empty()
    }));
    assert_eq!(delete(&mut cluster, &[Some("t0")]), [1]);
    assert_eq!(delete(&mut cluster, &[None]), [10_000]);
    assert!(cluster.controller.image().acls().is_empty());
}
