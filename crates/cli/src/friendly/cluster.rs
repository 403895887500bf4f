//! `naru cluster`: brokers, quorum, disks, features.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::time::{SystemTime, UNIX_EPOCH};

use naru_client::admin::{ClusterDescription, QuorumDescription, QuorumReplica};
use naru_client::{Admin, Error, Topic};
use naru_model::{ErrorCode, Uuid};
use serde_json::{Value, json};

use super::context::{
    BOOTSTRAP, BOOTSTRAP_SERVER, Command, Context, Form, HELP, OUTPUT, TIMEOUT, YES,
};
use super::failure::Failure;
use crate::text::{Column, Table};
use crate::tools::feature_levels::shown;

pub const COMMANDS: &[Command] = &[
    Command {
        name: "describe",
        aliases: &["show", "info", "ls"],
        about: "Shows the brokers and what they carry.",
        usage: "cluster describe",
        rows: &[BOOTSTRAP, BOOTSTRAP_SERVER, OUTPUT, TIMEOUT, HELP],
        examples: &["naru cluster describe", "naru cluster describe -o json"],
        work: |context| Box::pin(describe(context)),
    },
    Command {
        name: "quorum",
        aliases: &[],
        about: "Shows who votes on the metadata, who leads, and how far each is.",
        usage: "cluster quorum",
        rows: &[BOOTSTRAP, BOOTSTRAP_SERVER, OUTPUT, TIMEOUT, HELP],
        examples: &["naru cluster quorum", "naru cluster quorum -o json"],
        work: |context| Box::pin(quorum(context)),
    },
    Command {
        name: "log-dirs",
        aliases: &["disks", "du"],
        about: "Shows the log directories of all brokers, and how full they are.",
        usage: "cluster log-dirs",
        rows: &[BOOTSTRAP, BOOTSTRAP_SERVER, OUTPUT, TIMEOUT, HELP],
        examples: &["naru cluster log-dirs", "naru cluster log-dirs -o json"],
        work: |context| Box::pin(log_dirs(context)),
    },
    Command {
        name: "features",
        aliases: &[],
        about: "Shows the levels of features: what the cluster has and what it could have.",
        usage: "cluster features",
        rows: &[BOOTSTRAP, BOOTSTRAP_SERVER, OUTPUT, TIMEOUT, HELP],
        examples: &["naru cluster features", "naru cluster features -o json"],
        work: |context| Box::pin(features(context)),
    },
    Command {
        name: "unregister",
        aliases: &["forget"],
        about: "Takes brokers that are gone for good off the cluster's books.",
        usage: "cluster unregister ID... [--yes]",
        rows: &[BOOTSTRAP, BOOTSTRAP_SERVER, TIMEOUT, YES, HELP],
        examples: &["naru cluster unregister 4", "naru cluster unregister 4 5 --yes"],
        work: |context| Box::pin(unregister(context)),
    },
];

/// `naru quorum`.
pub const QUORUM_COMMANDS: &[Command] = &[
    Command {
        name: "status",
        aliases: &["describe", "ls"],
        about: "Shows who votes on the metadata, who leads, and how far each is.",
        usage: "quorum status",
        rows: &[BOOTSTRAP, BOOTSTRAP_SERVER, OUTPUT, TIMEOUT, HELP],
        examples: &["naru quorum status", "naru quorum status -o json"],
        work: |context| Box::pin(quorum(context)),
    },
    Command {
        name: "remove",
        aliases: &["rm"],
        about: "Takes a controller out of the voters. (One that joins adds itself.)",
        usage: "quorum remove ID [--yes]",
        rows: &[BOOTSTRAP, BOOTSTRAP_SERVER, TIMEOUT, YES, HELP],
        examples: &["naru quorum remove 3", "naru quorum remove 3 --yes"],
        work: |context| Box::pin(remove_voter(context)),
    },
];

/// A line for people; nothing where programs read.
fn title(context: &mut Context, text: &str) -> Result<(), Failure> {
    if context.form()? == Form::Table && std::io::stdout().is_terminal() {
        context.streams.line(text);
    }
    Ok(())
}

/// What a broker carries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Share {
    replicas: usize,
    leaders: usize,
    /// Replicas that are not in sync.
    behind: usize,
}

fn shares(topics: &[Topic]) -> BTreeMap<i32, Share> {
    let mut shares: BTreeMap<i32, Share> = BTreeMap::new();
    for partition in topics.iter().flat_map(|topic| &topic.partitions) {
        for id in &partition.replicas {
            let share = shares.entry(*id).or_default();
            share.replicas += 1;
            share.behind += usize::from(!partition.isr.contains(id));
        }
        if let Some(leader) = partition.leader {
            shares.entry(leader).or_default().leaders += 1;
        }
    }
    shares
}

/// Every registered broker; those that are fenced where brokers can tell.
async fn brokers(admin: &Admin) -> Result<ClusterDescription, Failure> {
    match admin.describe_cluster_with(true).await {
        Err(Error::UnsupportedVersion { .. }) => Ok(admin.describe_cluster().await?),
        described => Ok(described?),
    }
}

async fn describe(context: &mut Context) -> Result<i32, Failure> {
    let admin = context.admin()?;
    let cluster = brokers(&admin).await?;
    let topics = admin.list_topics().await?;
    // Clusters before KRaft have none, and not everybody may know it.
    let quorum = admin.describe_quorum().await.ok();
    let shares = shares(&topics);
    let mut table = Table::new(&[
        Column::number("ID"),
        Column::text("ADDRESS"),
        Column::text("RACK"),
        Column::text("STATE"),
        Column::text("QUORUM"),
        Column::number("LEADERS"),
        Column::number("REPLICAS"),
        Column::number("BEHIND"),
    ]);
    let mut json: Vec<Value> = Vec::new();
    for broker in &cluster.brokers {
        let share = shares.get(&broker.id).copied().unwrap_or_default();
        let state = if cluster.fenced.contains(&broker.id) { "fenced" } else { "up" };
        let part = quorum.as_ref().map_or("", |quorum| part_of(quorum, broker.id));
        table.row([
            broker.id.to_string(),
            broker.address(),
            broker.rack.clone().unwrap_or_default(),
            state.to_owned(),
            part.to_owned(),
            share.leaders.to_string(),
            share.replicas.to_string(),
            share.behind.to_string(),
        ]);
        json.push(json!({
            "id": broker.id,
            "address": broker.address(),
            "rack": broker.rack,
            "state": state,
            "quorum": part,
            "leaders": share.leaders,
            "replicas": share.replicas,
            "behind": share.behind,
        }));
    }
    if context.form()? == Form::Json {
        let all = json!({
            "cluster_id": cluster.cluster_id,
            "quorum_leader": quorum.map(|quorum| quorum.leader),
            "topics": topics.len(),
            "partitions": topics.iter().map(|topic| topic.partitions.len()).sum::<usize>(),
            "brokers": json,
        });
        context.streams.line(all.to_string());
        return Ok(0);
    }
    let partitions = || topics.iter().flat_map(|topic| &topic.partitions);
    let offline = partitions().filter(|partition| partition.leader.is_none()).count();
    let behind = partitions().filter(|p| p.isr.len() < p.replicas.len()).count();
    title(
        context,
        &format!(
            "cluster {}: {} topics, {} partitions, {behind} under-replicated, {offline} offline",
            cluster.cluster_id,
            topics.len(),
            partitions().count(),
        ),
    )?;
    context.show(&table, cluster.brokers.iter().map(|broker| broker.id.to_string()), json)?;
    Ok(0)
}

/// What a node is in the quorum.
fn part_of(quorum: &QuorumDescription, id: i32) -> &'static str {
    if quorum.leader == id {
        "leader"
    } else if quorum.voters.iter().any(|voter| voter.id == id) {
        "voter"
    } else if quorum.observers.iter().any(|observer| observer.id == id) {
        "observer"
    } else {
        ""
    }
}

async fn quorum(context: &mut Context) -> Result<i32, Failure> {
    let quorum = context.admin()?.describe_quorum().await?;
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now_ms = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
    let end = quorum.voters.iter().find(|voter| voter.id == quorum.leader).map(|v| v.log_end);
    let end = end.unwrap_or(quorum.high_watermark);
    let mut table = Table::new(&[
        Column::number("NODE"),
        Column::text("ROLE"),
        Column::number("LOG-END"),
        Column::number("LAG"),
        Column::text("LAST-FETCH"),
        Column::text("CAUGHT-UP"),
        Column::text("ADDRESS"),
        Column::text("DIRECTORY"),
    ]);
    let mut json: Vec<Value> = Vec::new();
    for replica in quorum.voters.iter().chain(&quorum.observers) {
        let known = quorum.endpoints.iter().find(|node| node.id == replica.id);
        let listener = known.and_then(|node| node.listeners.first());
        let address = listener.map(|l| format!("{}:{}", l.host, l.port)).unwrap_or_default();
        let directory = if replica.directory_id == Uuid::ZERO {
            String::new()
        } else {
            replica.directory_id.to_string()
        };
        let role = part_of(&quorum, replica.id);
        table.row([
            replica.id.to_string(),
            role.to_owned(),
            replica.log_end.to_string(),
            (end - replica.log_end).to_string(),
            ago(replica.last_fetch_ms, now_ms),
            ago(replica.last_caught_up_ms, now_ms),
            address.clone(),
            directory.clone(),
        ]);
        json.push(replica_json(replica, role, end, &address, &directory));
    }
    title(
        context,
        &format!(
            "leader {} in epoch {}, committed up to {}",
            quorum.leader, quorum.leader_epoch, quorum.high_watermark
        ),
    )?;
    if context.form()? == Form::Json {
        let all = json!({
            "leader": quorum.leader,
            "leader_epoch": quorum.leader_epoch,
            "high_watermark": quorum.high_watermark,
            "replicas": json,
        });
        context.streams.line(all.to_string());
        return Ok(0);
    }
    let names = quorum.voters.iter().chain(&quorum.observers).map(|replica| replica.id.to_string());
    let names: Vec<String> = names.collect();
    context.show(&table, names, json)?;
    Ok(0)
}

async fn remove_voter(context: &mut Context) -> Result<i32, Failure> {
    let names = context.names("controller")?;
    let [name] = names.as_slice() else {
        return Err(Failure::usage("one controller at a time can be removed"));
    };
    let parsed = name.parse::<i32>();
    let id = parsed.map_err(|_| Failure::usage(format!("'{name}' is not a node's id")))?;
    let admin = context.admin()?;
    let quorum = admin.describe_quorum().await?;
    let voter = quorum.voters.iter().find(|voter| voter.id == id);
    let Some(voter) = voter else {
        return Err(Failure::not_found("voter", name, ErrorCode::VoterNotFound, None));
    };
    let left = quorum.voters.len() - 1;
    context.confirm(&format!("node {id} votes no more, {left} voters are left"), name)?;
    admin.remove_raft_voter(id, voter.directory_id).await?;
    context.streams.line(format!("node {id} is no voter any more"));
    Ok(0)
}

fn replica_json(
    replica: &QuorumReplica,
    role: &str,
    end: i64,
    address: &str,
    directory: &str,
) -> Value {
    json!({
        "node": replica.id,
        "role": role,
        "log_end": replica.log_end,
        "lag": end - replica.log_end,
        "last_fetch_ms": replica.last_fetch_ms,
        "last_caught_up_ms": replica.last_caught_up_ms,
        "address": address,
        "directory_id": directory,
    })
}

/// How long ago something was.
fn ago(ms: Option<i64>, now_ms: i64) -> String {
    match ms {
        None => "never".to_owned(),
        Some(ms) => match (now_ms - ms).max(0) {
            past @ 0..10_000 => format!("{past} ms ago"),
            past @ 10_000..600_000 => format!("{} s ago", past / 1000),
            past => format!("{} min ago", past / 60_000),
        },
    }
}

async fn log_dirs(context: &mut Context) -> Result<i32, Failure> {
    let admin = context.admin()?;
    let mut table = Table::new(&[
        Column::number("BROKER"),
        Column::text("DIRECTORY"),
        Column::number("REPLICAS"),
        Column::number("BYTES"),
        Column::number("FREE"),
        Column::number("TOTAL"),
        Column::text("STATE"),
    ]);
    let mut json: Vec<Value> = Vec::new();
    let mut names = Vec::new();
    for broker in admin.describe_cluster().await?.brokers {
        for (path, dir) in admin.describe_log_dirs(broker.id).await? {
            let error = dir.as_ref().err().map(Error::code);
            let state = error.map_or("online", |code: ErrorCode| code.name());
            let dir = dir.ok();
            let bytes: Option<i64> =
                dir.as_ref().map(|dir| dir.replicas.iter().map(|replica| replica.size).sum());
            let replicas = dir.as_ref().map(|dir| dir.replicas.len());
            let (free, total) = dir.map_or((None, None), |dir| (dir.usable_bytes, dir.total_bytes));
            let number = |value: Option<i64>| value.map(|v| v.to_string()).unwrap_or_default();
            table.row([
                broker.id.to_string(),
                path.clone(),
                replicas.map(|count| count.to_string()).unwrap_or_default(),
                number(bytes),
                number(free),
                number(total),
                state.to_owned(),
            ]);
            json.push(json!({
                "broker": broker.id,
                "directory": path,
                "replicas": replicas,
                "bytes": bytes,
                "free_bytes": free,
                "total_bytes": total,
                "state": state,
            }));
            names.push(format!("{}:{path}", broker.id));
        }
    }
    context.show(&table, names, json)?;
    Ok(0)
}

async fn features(context: &mut Context) -> Result<i32, Failure> {
    let features = context.admin()?.describe_features(None).await?;
    let mut table = Table::new(&[
        Column::text("FEATURE"),
        Column::text("LEVEL"),
        Column::text("LOWEST"),
        Column::text("HIGHEST"),
    ]);
    let mut json: Vec<Value> = Vec::new();
    for (name, (min, max)) in &features.supported {
        let level = features.finalized.get(name).copied().unwrap_or(0);
        table.row([name.clone(), shown(name, level), shown(name, *min), shown(name, *max)]);
        json.push(json!({
            "feature": name,
            "level": level,
            "lowest": min,
            "highest": max,
            "shown": shown(name, level),
        }));
    }
    context.show(&table, features.supported.keys().cloned(), json)?;
    Ok(0)
}

async fn unregister(context: &mut Context) -> Result<i32, Failure> {
    let names = context.names("broker")?;
    let parse = |name: &String| {
        name.parse::<i32>().map_err(|_| Failure::usage(format!("'{name}' is not a broker's id")))
    };
    let ids: Vec<i32> = names.iter().map(parse).collect::<Result<_, _>>()?;
    let admin = context.admin()?;
    let known = brokers(&admin).await?;
    for id in &ids {
        let up = known.brokers.iter().any(|b| b.id == *id) && !known.fenced.contains(id);
        if up {
            return Err(Failure::failed(format!("broker {id} is up"))
                .hint("stop it first, after 'naru rebalance run --drain' has emptied it"));
        }
    }
    let what = format!("broker {} will be forgotten", names.join(", "));
    context.confirm(&what, &names.join(","))?;
    for id in ids {
        admin.unregister_broker(id).await?;
        context.streams.line(format!("broker {id} is no longer registered"));
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use naru_client::Partition;

    use super::*;

    #[test]
    fn shares_count_replicas_leaders_and_who_is_behind() {
        let partition = |index: i32, leader: Option<i32>, isr: &[i32]| Partition {
            index,
            leader,
            leader_epoch: 0,
            replicas: vec![1, 2],
            isr: isr.to_vec(),
            offline: vec![],
        };
        let topic = Topic {
            name: "a".to_owned(),
            id: Uuid::ZERO,
            internal: false,
            partitions: vec![partition(0, Some(1), &[1, 2]), partition(1, Some(1), &[1])],
            error: ErrorCode::None,
        };
        let shares = shares(&[topic]);
        assert_eq!(shares[&1], Share { replicas: 2, leaders: 2, behind: 0 });
        assert_eq!(shares[&2], Share { replicas: 2, leaders: 0, behind: 1 });
    }

    #[test]
    fn times_are_as_coarse_as_they_are_long_ago() {
        assert_eq!(ago(None, 0), "never");
        assert_eq!(ago(Some(1_000), 1_250), "250 ms ago");
        assert_eq!(ago(Some(0), 42_000), "42 s ago");
        assert_eq!(ago(Some(0), 7_200_000), "120 min ago");
        // A clock that is behind the leader's.
        assert_eq!(ago(Some(5), 1), "0 ms ago");
    }
}
