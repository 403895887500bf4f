//! The set and the authorizer against a model that looks at every ACL there is.

use proptest::prelude::*;

use super::*;
use crate::Principal;

fn acl(pattern_type: PatternType, name: &str, operation: Operation, allow: bool) -> Acl {
    Acl {
        resource_type: ResourceType::Topic,
        pattern_type,
        resource_name: name.to_owned(),
        principal: "User:alice".to_owned(),
        host: WILDCARD.to_owned(),
        operation,
        permission: if allow { Permission::Allow } else { Permission::Deny },
    }
}

fn set(acls: &[Acl]) -> AclSet {
    let mut set = AclSet::default();
    acls.iter().for_each(|acl| set.insert(acl.clone()));
    set
}

fn may(acls: &AclSet, operation: Operation, name: &str) -> bool {
    let alice = Principal::user("alice");
    let resource = (ResourceType::Topic, name);
    Authorizer::default().decide(acls, &alice, "10.0.0.1", operation, resource).allowed
}

#[test]
fn permissions_imply_describe_but_denials_do_not() {
    let allowed = set(&[acl(PatternType::Literal, "t", Operation::Read, true)]);
    assert!(may(&allowed, Operation::Describe, "t") && !may(&allowed, Operation::Write, "t"));
    assert!(!may(&allowed, Operation::DescribeConfigs, "t"));
    let denied = set(&[
        acl(PatternType::Literal, "t", Operation::Read, false),
        acl(PatternType::Literal, "t", Operation::All, true),
    ]);
    assert!(may(&denied, Operation::Describe, "t") && !may(&denied, Operation::Read, "t"));
}

#[test]
fn a_denial_beats_every_permission() {
    let acls = set(&[
        acl(PatternType::Literal, "t", Operation::Read, true),
        acl(PatternType::Prefixed, "", Operation::Read, false),
    ]);
    assert!(!may(&acls, Operation::Read, "t"));
}

#[test]
fn super_users_need_no_acl_and_everybody_else_does() {
    let authorizer =
        Authorizer { super_users: vec!["User:admin".to_owned()], allow_if_no_acl: false };
    let (acls, resource) = (AclSet::default(), (ResourceType::Cluster, CLUSTER_NAME));
    let ask = |authorizer: &Authorizer, name: &str| {
        let who = Principal::user(name);
        authorizer.decide(&acls, &who, "h", Operation::Alter, resource).allowed
    };
    assert!(ask(&authorizer, "admin") && !ask(&authorizer, "alice"));
    let open = Authorizer { allow_if_no_acl: true, ..authorizer };
    assert!(ask(&open, "alice"));
}

#[test]
fn a_match_filter_finds_what_a_name_falls_under() {
    let filter = |pattern_type| AclFilter {
        resource_type: ResourceType::Topic,
        resource_name: Some("test-1".to_owned()),
        pattern_type,
        principal: None,
        host: None,
        operation: Operation::Any,
        permission: Permission::Any,
    };
    let names = [
        acl(PatternType::Literal, "test-1", Operation::Read, true),
        acl(PatternType::Literal, "*", Operation::Read, true),
        acl(PatternType::Prefixed, "test-", Operation::Read, true),
        acl(PatternType::Prefixed, "test-1", Operation::Read, true),
        acl(PatternType::Literal, "other", Operation::Read, true),
    ];
    let found = |pattern_type| -> Vec<usize> {
        let filter = filter(pattern_type);
        (0..names.len()).filter(|&at| filter.matches(&names[at])).collect()
    };
    assert_eq!(found(PatternType::Match), [0, 1, 2, 3]);
    assert_eq!(found(PatternType::Any), [0, 3]);
    assert_eq!(found(PatternType::Literal), [0]);
    assert_eq!(found(PatternType::Prefixed), [3]);
}

/// What `decide` must say, from the rules, without an index.
fn naive(acls: &[Acl], open: bool, who: &Principal, operation: Operation, name: &str) -> bool {
    let about: Vec<&Acl> = acls
        .iter()
        .filter(|acl| match acl.pattern_type {
            PatternType::Prefixed => name.starts_with(&acl.resource_name),
            _ => acl.resource_name == name || acl.resource_name == "*",
        })
        .collect();
    if about.is_empty() {
        return open;
    }
    let fits = |acl: &&&Acl| {
        let named = acl.principal == "User:*" || acl.principal == who.to_string();
        named && (acl.host == "*" || acl.host == "h")
    };
    let implied: Vec<Operation> = match operation {
        Operation::Describe => vec![
            Operation::All,
            Operation::Describe,
            Operation::Read,
            Operation::Write,
            Operation::Delete,
            Operation::Alter,
        ],
        Operation::DescribeConfigs => {
            vec![Operation::All, Operation::DescribeConfigs, Operation::AlterConfigs]
        }
        other => vec![Operation::All, other],
    };
    let denied = about.iter().filter(fits).any(|acl| {
        acl.permission == Permission::Deny && [Operation::All, operation].contains(&acl.operation)
    });
    let allowed = about
        .iter()
        .filter(fits)
        .any(|acl| acl.permission == Permission::Allow && implied.contains(&acl.operation));
    allowed && !denied
}

fn some_acl() -> impl Strategy<Value = Acl> {
    let operations = prop::sample::select(vec![2i8, 3, 4, 6, 7, 8, 10, 11]);
    let principals = prop::sample::select(vec!["User:alice", "User:bob", "User:*", "Group:alice"]);
    let parts = (any::<bool>(), "[a-c\u{e4}]{0,4}|\\*", principals, any::<bool>(), operations);
    (parts, prop::bool::weighted(0.7)).prop_map(
        |((prefixed, name, principal, every_host, operation), allow)| Acl {
            resource_type: ResourceType::Topic,
            pattern_type: if prefixed { PatternType::Prefixed } else { PatternType::Literal },
            resource_name: name,
            principal: principal.to_owned(),
            host: if every_host { "*" } else { "h" }.to_owned(),
            operation: Operation::from_code(operation),
            permission: if allow { Permission::Allow } else { Permission::Deny },
        },
    )
}

proptest! {
    #[test]
    fn decisions_are_those_of_the_model(
        acls in prop::collection::vec(some_acl(), 0..12),
        removed in 0usize..4,
        name in "[a-c\u{e4}]{1,5}",
        operation in prop::sample::select(vec![3i8, 4, 8, 10]),
        open in any::<bool>(),
    ) {
        let mut built = set(&acls);
        let left = &acls[removed.min(acls.len())..];
        acls[..removed.min(acls.len())].iter().for_each(|acl| built.remove(acl));
        prop_assert_eq!(&built, &set(left));
        prop_assert_eq!(built.len(), left.len());
        let (who, operation) = (Principal::user("alice"), Operation::from_code(operation));
        let authorizer = Authorizer { super_users: Vec::new(), allow_if_no_acl: open };
        let resource = (ResourceType::Topic, name.as_str());
        let verdict = authorizer.decide(&built, &who, "h", operation, resource);
        prop_assert_eq!(verdict.allowed, naive(left, open, &who, operation, &name));
    }

    #[test]
    fn what_is_allowed_somewhere_is_allowed_on_some_resource(
        acls in prop::collection::vec(some_acl(), 0..8),
    ) {
        let (built, who) = (set(&acls), Principal::user("alice"));
        let authorizer = Authorizer::default();
        let any = authorizer.decide_any(&built, &who, "h", Operation::Write, ResourceType::Topic);
        // Names that tell every pattern of these apart, and one that none of them knows.
        let mut names: Vec<String> = acls.iter().map(|acl| acl.resource_name.clone()).collect();
        names.extend(acls.iter().map(|acl| format!("{}zz", acl.resource_name)));
        names.push("hardcode".to_owned());
        let somewhere = names.iter().any(|name| {
            let resource = (ResourceType::Topic, name.as_str());
            authorizer.decide(&built, &who, "h", Operation::Write, resource).allowed
        });
        // The reverse does not hold: Kafka's rule does not look at combined denials.
        prop_assert!(!somewhere || any);
    }
}
