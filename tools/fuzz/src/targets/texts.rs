//! Texts in settings and records that decide who may do what.

use naru_model::Uuid;
use naru_model::config::load;
use naru_security::Principal;
use naru_security::acl::{
    Acl, AclFilter, AclSet, Authorizer, Operation, PatternType, Permission, ResourceType,
};
use naru_security::jaas::JaasEntry;
use naru_security::names::PrincipalRules;

use super::{Memory, Target, as_it_is, joined, parts, texts};
use crate::random::Random;

const MEMORY: Memory = Memory { factor: 64, floor: 2 << 20 };

/// All of them.
pub(super) fn targets() -> Vec<Target> {
    vec![
        texts(("jaas", "sasl.jaas.config"), MEMORY, JAAS, |text| JaasEntry::parse(text).is_ok()),
        texts(
            ("principal", "principals and ids"),
            MEMORY,
            &["User:alice", "User:*", "Group:a:b"],
            |text| {
                let _ = text.parse::<Uuid>().map(|id| assert_eq!(id.to_string().parse(), Ok(id)));
                let Ok(principal) = Principal::parse(text) else { return false };
                assert!(principal.is_called(text), "a principal is called what it was read from");
                true
            },
        ),
        texts(
            ("mapping-rules", "ssl.principal.mapping.rules, and names mapped by them"),
            MEMORY,
            RULES,
            |text| {
                let (rules, name) = text.split_once('\n').unwrap_or((text, "CN=alice,O=Example"));
                PrincipalRules::parse(rules).is_ok_and(|rules| rules.name(name).is_some())
            },
        ),
        texts(("broker-config", "a broker's properties file"), MEMORY, CONFIGS, |text| {
            load(Some(text), [], "/tmp/naru").is_ok()
        }),
        acls(),
    ]
}

const JAAS: &[&str] = &[
    "org.apache.kafka.common.security.plain.PlainLoginModule required username=\"admin\" \
     password=\"a;b\\\"c = d\" user_alice='x' user_bob=y;",
    "M optional;",
];
const RULES: &[&str] = &[
    "RULE:^CN=(.*?),OU=ServiceUsers.*$/$1/,RULE:^CN=(.*?),O=.*$/$1@x/L,DEFAULT\nCN=alice,O=Example",
    "DEFAULT\nCN=a",
    "RULE:.*CN=([a-z]+)\\..*/$1/U\nCN=a.b",
];
const CONFIGS: &[&str] = &[
    "node.id=1\nprocess.roles=broker,controller\nlog.dirs=/a,/b\n\
     listeners=PLAINTEXT://:9092,CONTROLLER://:9093,SECURE://[::1]:9094\n\
     advertised.listeners=PLAINTEXT://host:9092,SECURE://host:9094\n\
     listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SECURE:SASL_SSL\n\
     controller.listener.names=CONTROLLER\ncontroller.quorum.voters=1@localhost:9093\n\
     inter.broker.listener.name=PLAINTEXT\nsuper.users=User:a;User:b\nlog.retention.hours=1\n",
    "process.roles=controller\nnode.id=3\ncontroller.quorum.bootstrap.servers=h:1,i:2\n\
     listeners=CONTROLLER://:9093\ncontroller.listener.names=CONTROLLER\nlog.dir=/tmp/x\n",
];

/// Six parts an ACL: its numbers and its texts; then a question.
fn acls() -> Target {
    Target {
        name: "acls",
        about: "ACLs of any numbers and names, filters, and the authorizer's decision",
        make: Box::new(|random: &mut Random| {
            const NAMES: [&str; 5] = ["topic", "top", "*", "", "kafka-cluster"];
            const WHO: [&str; 4] = ["User:alice", "User:*", "User:bob", "Group:g"];
            let mut all = Vec::new();
            for _ in 0..random.below(12) {
                let numbers = [
                    2 + random.byte() % 6,
                    3 + random.byte() % 2,
                    2 + random.byte() % 14,
                    2 + random.byte() % 2,
                ];
                all.push(numbers.to_vec());
                all.push(random.pick(&NAMES).as_bytes().to_vec());
                all.push(random.pick(&WHO).as_bytes().to_vec());
                all.push(random.pick(&["*", "127.0.0.1"]).as_bytes().to_vec());
            }
            joined(&all)
        }),
        repair: as_it_is,
        take: Box::new(take_acls),
        memory: MEMORY,
    }
}

fn take_acls(input: &[u8]) -> bool {
    let parts = parts(input);
    let all: Vec<Acl> = parts.chunks_exact(4).map(acl).collect();
    let mut set = AclSet::default();
    for acl in &all {
        set.insert(acl.clone());
        assert!(set.contains(acl), "an ACL that was inserted is there");
    }
    let authorizer = Authorizer { super_users: Vec::new(), allow_if_no_acl: false };
    for acl in &all {
        let filter = AclFilter {
            resource_type: acl.resource_type,
            resource_name: Some(acl.resource_name.clone()),
            pattern_type: PatternType::Match,
            principal: None,
            host: None,
            operation: Operation::Any,
            permission: acl.permission,
        };
        let _ = (filter.is_unknown(), filter.matches(acl));
        let Ok(who) = Principal::parse(&acl.principal) else { continue };
        let about = (acl.resource_type, acl.resource_name.as_str());
        let verdict = authorizer.decide(&set, &who, &acl.host, acl.operation, about);
        let denied = all.iter().any(|other| {
            other.permission == Permission::Deny
                && other.resource_type == acl.resource_type
                && other.resource_name == acl.resource_name
                && other.pattern_type == PatternType::Literal
                && other.principal == acl.principal
                && other.host == "*"
                && other.operation == Operation::All
        });
        assert!(!(denied && verdict.allowed), "what is denied is not allowed: {acl:?}");
        let _ = authorizer.decide_any(&set, &who, &acl.host, acl.operation, acl.resource_type);
    }
    for (left, acl) in all.iter().enumerate().rev() {
        set.remove(acl);
        // The same ACL may be there under several ids.
        assert_eq!(set.len(), left, "an ACL is removed once");
        assert_eq!(set.contains(acl), all[..left].contains(acl), "and is gone then");
    }
    assert!(set.is_empty() && set.iter().next().is_none(), "nothing is left");
    !all.is_empty()
}

fn acl(parts: &[&[u8]]) -> Acl {
    let number = |at: usize| parts[0].get(at).copied().unwrap_or(0).cast_signed();
    let text = |at: usize| String::from_utf8_lossy(parts[at]).into_owned();
    Acl {
        resource_type: ResourceType::from_code(number(0)),
        pattern_type: PatternType::from_code(number(1)),
        resource_name: text(1),
        principal: text(2),
        host: text(3),
        operation: Operation::from_code(number(2)),
        permission: Permission::from_code(number(3)),
    }
}
