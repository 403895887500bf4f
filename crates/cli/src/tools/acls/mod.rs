//! `kafka-acls`: who may do what (KIP-11, 140, 290, 373, 919).
//!
//! What Apache Kafka keeps in hash tables is told in the order of its names here, so that the same
//! ACLs always look the same.

mod wanted;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::BufRead as _;
use std::path::Path;

use naru_client::Admin;
use naru_security::Principal;
use naru_security::acl::{Acl, AclFilter, Operation, PatternType, Permission, ResourceType};

use super::bootstrap::client_config;
use super::common::{Ended, Face, block_on, finish};
use super::failure::{Failure, Thrown};
use super::properties::read_properties;
use crate::options::{
    BOOTSTRAP, COMMAND_CONFIG, HELP, Old, Parsed, Row, Takes, VERSION, ZOOKEEPER, old, row,
};
use crate::text::Streams;
use wanted::{Wanted, principal};

pub const ABOUT: &str = "This tool helps to manage acls on kafka.";

static ROWS: &[Row] = &[
    BOOTSTRAP,
    Row { takes: Takes::Maybe("file"), ..COMMAND_CONFIG },
    HELP,
    VERSION,
    row(
        "bootstrap-controller",
        Takes::Text("host:port,..."),
        "The controllers to connect to instead of brokers.",
    ),
    row("add", Takes::Nothing, "Adds ACLs."),
    row("remove", Takes::Nothing, "Removes ACLs."),
    row("list", Takes::Nothing, "Shows the ACLs of the resources named, or all."),
    row("topic", Takes::Text("name"), "A topic, or * for all; may be repeated, as the others."),
    row("group", Takes::Text("id"), "A group, or * for all."),
    row("cluster", Takes::Nothing, "The cluster itself."),
    row("transactional-id", Takes::Text("id"), "A transactional id, or * for all."),
    row("delegation-token", Takes::Text("id"), "A delegation token, or * for all."),
    row(
        "user-principal",
        Takes::Text("type:name"),
        "A user for whom tokens may be created or described.",
    ),
    row(
        "resource-pattern-type",
        Takes::Text("literal|prefixed|any|match"),
        "What the names of resources are: whole names (literal, as without it) or beginnings \
         (prefixed); to find ACLs also any pattern of exactly this name, or all that match it.",
    ),
    row(
        "operation",
        Takes::Text("operation"),
        "Read, Write, Create, Delete, Alter, Describe, ClusterAction, DescribeConfigs, \
         AlterConfigs, IdempotentWrite, CreateTokens, DescribeTokens, TwoPhaseCommit, or All, as \
         without it.",
    ),
    row("allow-principal", Takes::Text("type:name"), "Who may, such as User:alice or User:*."),
    row("deny-principal", Takes::Text("type:name"), "Who must not, whatever else allows it."),
    row("allow-host", Takes::Text("address"), "From where --allow-principal counts; *."),
    row("deny-host", Takes::Text("address"), "From where --deny-principal counts; *."),
    row(
        "principal",
        Takes::Maybe("type:name"),
        "With --list: only what is said of this principal.",
    ),
    row(
        "producer",
        Takes::Nothing,
        "What a producer needs: Write, Describe and Create on topics, Write and Describe on \
         transactional ids.",
    ),
    row("idempotent", Takes::Nothing, "With --producer: IdempotentWrite on the cluster."),
    row(
        "consumer",
        Takes::Nothing,
        "What a consumer needs: Read and Describe on topics, Read on \
                                     groups.",
    ),
    row("force", Takes::Nothing, "Asks nothing."),
    old("authorizer-properties", Takes::Text("k=v"), Old::ZooKeeper),
    old("authorizer", Takes::Text("class"), Old::Nothing),
    old("zk-tls-config-file", Takes::Text("file"), Old::Nothing),
    ZOOKEEPER,
];

const FACE: Face = Face {
    about: ABOUT,
    rows: ROWS,
    examples: &[
        "kafka-acls --bootstrap-server localhost:9092 --add --allow-principal User:alice \
         --producer --topic orders",
        "kafka-acls --bootstrap-server localhost:9092 --list --topic orders \
         --resource-pattern-type match",
    ],
    error_prefix: "",
};

pub fn run(args: &[String]) -> i32 {
    finish(start(args, &mut Streams::default()))
}

/// Why the work ended early.
enum Stopped {
    /// The arguments do not fit each other; help is shown.
    Usage(String),
    Failed(Failure),
}

impl From<Failure> for Stopped {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

fn start(args: &[String], streams: &mut Streams) -> Result<i32, Ended> {
    let mut p = FACE.read(args, streams)?;
    // Before Kafka 4.0: --authorizer-properties zookeeper.connect=host:2181.
    p.zookeeper = p.zookeeper.map(|text| match text.split_once('=') {
        Some((_, address)) => address.to_owned(),
        None => text,
    });
    check_options(&p, streams)?;
    let outcome = admin(&p, streams)?.map_err(Stopped::Failed).and_then(|admin| {
        let wanted = Wanted::read(&p)?;
        block_on(async {
            if p.has("add") {
                add(&admin, &wanted.to_add()?, streams).await
            } else if p.has("remove") {
                remove(&p, &admin, &wanted.to_remove()?, streams).await
            } else {
                list(&p, &admin, &wanted, streams).await
            }
        })
    });
    match outcome {
        Ok(()) => Ok(0),
        Err(Stopped::Usage(text)) => Err(FACE.usage(&text, streams)),
        Err(Stopped::Failed(failure)) => {
            streams.line(format!("Error while executing ACL command: {}", failure.words()));
            if let Failure::Thrown(thrown) = failure {
                streams.line(thrown.trace());
            }
            Ok(1)
        }
    }
}

fn check_options(p: &Parsed, streams: &mut Streams) -> Result<(), Ended> {
    let refuse = |text: &str, streams: &mut Streams| Err(FACE.usage(text, streams));
    let of_brokers = p.has("bootstrap-server") || p.zookeeper.is_some();
    match (of_brokers, p.has("bootstrap-controller")) {
        (true, true) => {
            let text = "Only one of --bootstrap-server or --bootstrap-controller must be specified";
            return refuse(text, streams);
        }
        (false, false) => {
            let text = "One of --bootstrap-server or --bootstrap-controller must be specified";
            return refuse(text, streams);
        }
        _ => {}
    }
    if ["list", "add", "remove"].iter().filter(|action| p.has(action)).count() != 1 {
        let text = "Command must include exactly one action: --list, --add, --remove. ";
        return refuse(text, streams);
    }
    let who = ["producer", "consumer", "allow-host", "allow-principal", "deny-host"];
    FACE.exclude(p, "list", &who, streams)?;
    FACE.exclude(p, "list", &["deny-principal"], streams)?;
    for role in ["producer", "consumer"] {
        FACE.exclude(p, role, &["operation", "deny-principal", "deny-host"], streams)?;
    }
    if p.has("principal") && !p.has("list") {
        return refuse("The --principal option is only available if --list is set", streams);
    }
    if p.has("producer") && !p.has("topic") {
        return refuse("With --producer you must specify a --topic", streams);
    }
    if p.has("idempotent") && !p.has("producer") {
        let text = "The --idempotent option is only available if --producer is set";
        return refuse(text, streams);
    }
    let more = !p.has("producer") && (p.has("cluster") || p.has("transactional-id"));
    if p.has("consumer") && (!p.has("topic") || !p.has("group") || more) {
        let text = "With --consumer you must specify a --topic and a --group and no --cluster or \
                    --transactional-id option should be specified.";
        return refuse(text, streams);
    }
    Ok(())
}

/// The admin client. A file of settings that cannot be read is a failure of the command's work.
fn admin(p: &Parsed, streams: &mut Streams) -> Result<Result<Admin, Failure>, Ended> {
    let controllers = FACE.one(p, "bootstrap-controller", streams)?;
    let servers = match controllers {
        Some(addresses) => addresses.to_owned(),
        None => FACE.servers(p, "", streams)?,
    };
    let mut properties = Vec::new();
    if let Some(path) = FACE.one(p, "command-config", streams)? {
        match read_properties(Path::new(path)) {
            Ok(read) => properties = read,
            Err(_) => {
                let thrown = Thrown::new("java.nio.file.NoSuchFileException", path);
                return Ok(Err(Failure::Thrown(thrown)));
            }
        }
    }
    let label = "AdminClient clientId=adminclient-1";
    let config = client_config(&servers, "adminclient-1", label, &properties);
    let made = config.map(|mut config| {
        config.to_controllers = controllers.is_some();
        Admin::new(config)
    });
    Ok(made.map_err(|text| Failure::thrown("org.apache.kafka.common.config.ConfigException", text)))
}

/// What an ACL is about, or what a filter is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Resource {
    kind: ResourceType,
    name: String,
    pattern: PatternType,
}

/// What an ACL says.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    principal: String,
    host: String,
    operation: Operation,
    permission: Permission,
}

type Entries = BTreeMap<Resource, BTreeSet<Entry>>;

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, name, pattern } = self;
        write!(f, "ResourcePattern(resourceType={kind}, name={name}, patternType={pattern})")
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { principal, host, operation, permission } = self;
        write!(
            f,
            "(principal={principal}, host={host}, operation={operation}, \
             permissionType={permission})"
        )
    }
}

impl Resource {
    /// All that is said about it.
    fn filter(&self) -> AclFilter {
        AclFilter {
            resource_type: self.kind,
            resource_name: Some(self.name.clone()),
            pattern_type: self.pattern,
            principal: None,
            host: None,
            operation: Operation::Any,
            permission: Permission::Any,
        }
    }

    /// The entry about it.
    fn filter_of(&self, entry: &Entry) -> AclFilter {
        AclFilter {
            principal: Some(entry.principal.clone()),
            host: Some(entry.host.clone()),
            operation: entry.operation,
            permission: entry.permission,
            ..self.filter()
        }
    }

    fn acl(&self, entry: &Entry) -> Acl {
        Acl {
            resource_type: self.kind,
            pattern_type: self.pattern,
            resource_name: self.name.clone(),
            principal: entry.principal.clone(),
            host: entry.host.clone(),
            operation: entry.operation,
            permission: entry.permission,
        }
    }
}

/// One line each, indented.
fn lines<'e>(entries: impl IntoIterator<Item = &'e Entry>) -> String {
    entries.into_iter().map(|entry| format!("\t{entry}")).collect::<Vec<_>>().join("\n")
}

async fn described(admin: &Admin, filter: &AclFilter) -> Result<Vec<Acl>, Failure> {
    admin.describe_acls(filter).await.map_err(|error| Failure::of(&error, "describeAcls"))
}

async fn add(admin: &Admin, wanted: &Entries, streams: &mut Streams) -> Result<(), Stopped> {
    for (resource, entries) in wanted {
        let known = described(admin, &resource.filter()).await?;
        let mut new: Vec<&Entry> = Vec::new();
        for entry in entries {
            if known.contains(&resource.acl(entry)) {
                streams.line(format!("Acl (pattern={resource}, entry={entry}) already exists."));
            } else {
                new.push(entry);
            }
        }
        if new.is_empty() {
            continue;
        }
        let shown = lines(new.iter().copied());
        streams.line(format!("Adding ACLs for resource `{resource}`: \n {shown}\n"));
        let acls: Vec<Acl> = new.iter().map(|entry| resource.acl(entry)).collect();
        let created = admin.create_acls(&acls).await;
        let created = created.and_then(|all| all.into_iter().collect::<Result<Vec<()>, _>>());
        created.map_err(|error| Failure::of(&error, "createAcls"))?;
    }
    Ok(())
}

async fn remove(
    p: &Parsed,
    admin: &Admin,
    wanted: &Entries,
    streams: &mut Streams,
) -> Result<(), Stopped> {
    for (resource, entries) in wanted {
        let (question, filters) = if entries.is_empty() {
            let question = format!(
                "Are you sure you want to delete all ACLs for resource filter `{resource}`? (y/n)"
            );
            (question, vec![resource.filter()])
        } else {
            let question = format!(
                "Are you sure you want to remove ACLs: \n {}\n from resource filter \
                 `{resource}`? (y/n)",
                lines(entries)
            );
            (question, entries.iter().map(|entry| resource.filter_of(entry)).collect())
        };
        if !p.has("force") && !is_confirmed(&question, streams) {
            continue;
        }
        let deleted = admin.delete_acls(&filters).await;
        let deleted = deleted.and_then(|all| all.into_iter().collect::<Result<Vec<_>, _>>());
        deleted.map_err(|error| Failure::of(&error, "deleteAcls"))?;
    }
    Ok(())
}

/// Asks, also where no terminal is.
fn is_confirmed(question: &str, streams: &mut Streams) -> bool {
    streams.line(question);
    streams.flush();
    let mut answer = String::new();
    let read = std::io::stdin().lock().read_line(&mut answer);
    read.is_ok() && answer.trim_end_matches(['\r', '\n']).eq_ignore_ascii_case("y")
}

async fn list(
    p: &Parsed,
    admin: &Admin,
    wanted: &Wanted<'_>,
    streams: &mut Streams,
) -> Result<(), Stopped> {
    let mut who: Vec<Principal> = Vec::new();
    for text in p.all("principal") {
        let one = principal(text)?;
        if !who.contains(&one) {
            who.push(one);
        }
    }
    let mut acls = Vec::new();
    for resource in &wanted.resources {
        acls.extend(described(admin, &resource.filter()).await?);
    }
    if wanted.resources.is_empty() {
        let all = AclFilter {
            resource_type: ResourceType::Any,
            resource_name: None,
            pattern_type: PatternType::Any,
            principal: None,
            host: None,
            operation: Operation::Any,
            permission: Permission::Any,
        };
        acls = described(admin, &all).await?;
    }
    let mut found = Entries::new();
    for acl in acls {
        let resource = Resource {
            kind: acl.resource_type,
            name: acl.resource_name,
            pattern: acl.pattern_type,
        };
        found.entry(resource).or_default().insert(Entry {
            principal: acl.principal,
            host: acl.host,
            operation: acl.operation,
            permission: acl.permission,
        });
    }
    if !p.has("principal") {
        show(&found, None, streams);
    }
    for one in who {
        streams.line(format!("ACLs for principal `{one}`"));
        show(&found, Some(&one.to_string()), streams);
    }
    Ok(())
}

fn show(found: &Entries, who: Option<&str>, streams: &mut Streams) {
    for (resource, entries) in found {
        let shown: Vec<&Entry> =
            entries.iter().filter(|entry| who.is_none_or(|who| who == entry.principal)).collect();
        if !shown.is_empty() {
            let shown = lines(shown);
            streams.line(format!("Current ACLs for resource `{resource}`:\n{shown}\n"));
        }
    }
}
