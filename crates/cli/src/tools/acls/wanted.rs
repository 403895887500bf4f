//! Which resources, and what of them, a command line of `kafka-acls` is about. Pure.

use std::collections::BTreeSet;

use naru_security::Principal;
use naru_security::acl::{
    CLUSTER_NAME, Operation, PatternType, Permission, ResourceType, WILDCARD,
};

use super::{Entries, Entry, Resource, Stopped};
use crate::options::{OptionError, Parsed};
use crate::tools::failure::{Failure, Thrown};

/// A command line, read but for what it is to do.
#[derive(Debug)]
pub(super) struct Wanted<'p> {
    p: &'p Parsed,
    pattern: PatternType,
    /// What was named.
    pub(super) resources: BTreeSet<Resource>,
}

const NO_RESOURCE: &str = "You must provide at least one resource: --topic <topic> or --cluster or \
                           --group <group> or --delegation-token <Delegation Token ID>";
const NO_PRINCIPAL: &str = "You must specify one of: --allow-principal, --deny-principal when \
                            trying to add ACLs.";

impl<'p> Wanted<'p> {
    pub(super) fn read(p: &'p Parsed) -> Result<Self, Stopped> {
        let usage = |error: OptionError| Stopped::Usage(error.to_string());
        let pattern = match p.one("resource-pattern-type").map_err(usage)? {
            Some(text) => pattern_type(text)?,
            None => PatternType::Literal,
        };
        let mut resources = BTreeSet::new();
        for (option, kind) in [
            ("topic", ResourceType::Topic),
            ("group", ResourceType::Group),
            ("transactional-id", ResourceType::TransactionalId),
            ("delegation-token", ResourceType::DelegationToken),
            ("user-principal", ResourceType::User),
        ] {
            resources.extend(p.all(option).map(|name| {
                // A transactional id may begin or end with a space.
                let trim = kind != ResourceType::TransactionalId;
                let name = if trim { name.trim() } else { name };
                Resource { kind, name: name.to_owned(), pattern }
            }));
        }
        if pattern == PatternType::Literal && (p.has("cluster") || p.has("idempotent")) {
            resources.insert(cluster());
        }
        Ok(Self { p, pattern, resources })
    }

    /// What is to be there. Each has something said of it.
    pub(super) fn to_add(&self) -> Result<Entries, Stopped> {
        if !matches!(self.pattern, PatternType::Literal | PatternType::Prefixed) {
            let pattern = self.pattern;
            return Err(Stopped::Usage(format!(
                "A '--resource-pattern-type' value of '{pattern}' is not valid when adding acls."
            )));
        }
        let entries = self.entries()?;
        if entries.values().any(BTreeSet::is_empty) {
            return Err(Stopped::Usage(NO_PRINCIPAL.to_owned()));
        }
        Ok(entries)
    }

    /// What is to go; of a resource without entries, all.
    pub(super) fn to_remove(&self) -> Result<Entries, Stopped> {
        self.entries()
    }

    fn entries(&self) -> Result<Entries, Stopped> {
        use Operation::{Create, Describe, IdempotentWrite, Read, Write};
        let mut found = Entries::new();
        let mut give = |kind: ResourceType, operations: &[Operation]| {
            let said = self.said(operations)?;
            for resource in self.resources.iter().filter(|resource| resource.kind == kind) {
                found.entry(resource.clone()).or_default().extend(said.iter().cloned());
            }
            Ok::<(), Stopped>(())
        };
        if self.p.has("producer") {
            give(ResourceType::Topic, &[Write, Describe, Create])?;
            give(ResourceType::TransactionalId, &[Write, Describe])?;
        }
        if self.p.has("consumer") {
            give(ResourceType::Topic, &[Read, Describe])?;
            give(ResourceType::Group, &[Read])?;
        }
        if self.p.has("idempotent") {
            // Also with a pattern: there is only one cluster.
            found.insert(cluster(), self.said(&[IdempotentWrite])?);
        }
        if !self.p.has("producer") && !self.p.has("consumer") {
            let mut operations: Vec<Operation> = self.p.all("operation").map(operation).collect();
            if operations.is_empty() {
                operations.push(Operation::All);
            }
            let said = self.said(&operations)?;
            found.extend(self.resources.iter().map(|resource| (resource.clone(), said.clone())));
        }
        if self.resources.is_empty() {
            return Err(Stopped::Usage(NO_RESOURCE.to_owned()));
        }
        check(&found)?;
        Ok(found)
    }

    /// The principals of the command line, with these operations.
    fn said(&self, operations: &[Operation]) -> Result<BTreeSet<Entry>, Stopped> {
        let mut said = BTreeSet::new();
        for (who, whence, permission) in [
            ("allow-principal", "allow-host", Permission::Allow),
            ("deny-principal", "deny-host", Permission::Deny),
        ] {
            let mut hosts: Vec<&str> = self.p.all(whence).map(str::trim).collect();
            if hosts.is_empty() {
                hosts.push(WILDCARD);
            }
            for text in self.p.all(who) {
                let principal = principal(text)?.to_string();
                for (host, operation) in
                    hosts.iter().flat_map(|host| operations.iter().map(move |one| (host, *one)))
                {
                    let (principal, host) = (principal.clone(), (*host).to_owned());
                    said.insert(Entry { principal, host, operation, permission });
                }
            }
        }
        Ok(said)
    }
}

fn cluster() -> Resource {
    let (kind, pattern) = (ResourceType::Cluster, PatternType::Literal);
    Resource { kind, name: CLUSTER_NAME.to_owned(), pattern }
}

/// Every operation must be one of its resource's.
fn check(entries: &Entries) -> Result<(), Stopped> {
    for (Resource { kind, .. }, said) in entries {
        let valid = |operation: Operation| {
            operation == Operation::All || kind.operations().contains(&operation)
        };
        if said.iter().all(|entry| valid(entry.operation)) {
            continue;
        }
        let names: Vec<&str> = kind.operations().iter().map(|one| one.name()).collect();
        let names = names.join(", ");
        return Err(Stopped::Usage(format!(
            "ResourceType {kind} only supports operations [{names}, ALL]"
        )));
    }
    Ok(())
}

/// `type:name`.
pub(super) fn principal(text: &str) -> Result<Principal, Failure> {
    Principal::parse(text.trim())
        .map_err(|error| Failure::thrown("java.lang.IllegalArgumentException", error.to_string()))
}

/// An operation by its name as in `ClusterAction`, in any letters; unknown if there is none.
fn operation(text: &str) -> Operation {
    let wanted = text.trim();
    let codes = Operation::Any.code()..=Operation::TwoPhaseCommit.code();
    let named = |one: &Operation| one.name().replace('_', "").eq_ignore_ascii_case(wanted);
    codes.map(Operation::from_code).find(named).unwrap_or(Operation::Unknown)
}

fn pattern_type(text: &str) -> Result<PatternType, Failure> {
    let known = [PatternType::Any, PatternType::Match, PatternType::Literal, PatternType::Prefixed];
    let found = known.into_iter().find(|one| one.name().eq_ignore_ascii_case(text));
    found.ok_or_else(|| {
        let option = "resource-pattern-type";
        let cause = if text.eq_ignore_ascii_case(PatternType::Unknown.name()) {
            format!("Unknown {option}: {text}")
        } else {
            format!("Value [{text}] is not one of [{}]", known.map(PatternType::name).join("|"))
        };
        Failure::Thrown(Thrown {
            class: "joptsimple.OptionArgumentConversionException".to_owned(),
            text: format!("Cannot parse argument '{text}' of option {option}"),
            below: vec![format!("Caused by: joptsimple.ValueConversionException: {cause}")],
        })
    })
}

#[cfg(test)]
mod tests {
    use super::super::ROWS;
    use super::*;

    fn parsed(line: &str) -> Parsed {
        let args: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        crate::options::parse(ROWS, &args).unwrap()
    }

    /// What a line would add, each as `TYPE name PATTERN: entries`.
    fn added(line: &str) -> Vec<String> {
        let p = parsed(line);
        let Ok(entries) = Wanted::read(&p).and_then(|wanted| wanted.to_add()) else {
            panic!("{line} is refused");
        };
        let short = |entry: &Entry| {
            let Entry { principal, host, operation, permission } = entry;
            format!("{permission} {principal}@{host} {operation}")
        };
        entries
            .iter()
            .map(|(Resource { kind, name, pattern }, said)| {
                let said: Vec<String> = said.iter().map(short).collect();
                format!("{kind} {name} {pattern}: {}", said.join("; "))
            })
            .collect()
    }

    fn refused(line: &str) -> String {
        let p = parsed(line);
        match Wanted::read(&p).and_then(|wanted| wanted.to_add()) {
            Ok(_) => panic!("{line} is not refused"),
            Err(Stopped::Usage(text)) => text,
            Err(Stopped::Failed(failure)) => failure.words().to_owned(),
        }
    }

    #[test]
    fn who_and_whence_and_what_are_all_combined() {
        let line = "--allow-principal User:a --allow-host h1 --allow-host h2 \
                    --deny-principal User:b --operation Read --operation describeconfigs --topic t";
        assert_eq!(
            added(line),
            ["TOPIC t LITERAL: ALLOW User:a@h1 READ; ALLOW User:a@h1 DESCRIBE_CONFIGS; \
              ALLOW User:a@h2 READ; ALLOW User:a@h2 DESCRIBE_CONFIGS; DENY User:b@* READ; \
              DENY User:b@* DESCRIBE_CONFIGS"]
        );
        assert_eq!(
            added("--allow-principal User:a --cluster"),
            ["CLUSTER kafka-cluster LITERAL: ALLOW User:a@* ALL"]
        );
    }

    #[test]
    fn roles_stand_for_what_they_need() {
        let producer = "--producer --idempotent --allow-principal User:a --topic t \
                        --transactional-id x --resource-pattern-type prefixed";
        assert_eq!(
            added(producer),
            [
                "TOPIC t PREFIXED: ALLOW User:a@* WRITE; ALLOW User:a@* CREATE; \
                 ALLOW User:a@* DESCRIBE",
                "CLUSTER kafka-cluster LITERAL: ALLOW User:a@* IDEMPOTENT_WRITE",
                "TRANSACTIONAL_ID x PREFIXED: ALLOW User:a@* WRITE; ALLOW User:a@* DESCRIBE",
            ]
        );
        assert_eq!(
            added("--producer --consumer --allow-principal User:a --topic t --group g"),
            [
                "TOPIC t LITERAL: ALLOW User:a@* READ; ALLOW User:a@* WRITE; \
                 ALLOW User:a@* CREATE; ALLOW User:a@* DESCRIBE",
                "GROUP g LITERAL: ALLOW User:a@* READ",
            ]
        );
    }

    #[test]
    fn what_makes_no_acl_is_refused_in_kafkas_words() {
        assert_eq!(refused("--allow-principal User:a"), NO_RESOURCE);
        assert_eq!(refused("--topic t"), NO_PRINCIPAL);
        let text = "expected a string in format principalType:principalName but got alice";
        assert_eq!(refused("--allow-principal alice --topic t"), text);
        let text = "ResourceType TRANSACTIONAL_ID only supports operations [WRITE, DESCRIBE, \
                    TWO_PHASE_COMMIT, ALL]";
        let line = "--allow-principal User:a --transactional-id x --operation Read";
        assert_eq!(refused(line), text);
        let line = "--allow-principal User:a --topic t --resource-pattern-type foo";
        let text = "Cannot parse argument 'foo' of option resource-pattern-type";
        assert_eq!(refused(line), text);
        let text = "A '--resource-pattern-type' value of 'MATCH' is not valid when adding acls.";
        let line = "--allow-principal User:a --topic t --resource-pattern-type match";
        assert_eq!(refused(line), text);
    }
}
