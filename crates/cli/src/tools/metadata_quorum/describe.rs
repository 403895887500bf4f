//! `kafka-metadata-quorum describe`.

use std::time::{SystemTime, UNIX_EPOCH};

use naru_client::Admin;
use naru_client::admin::{QuorumDescription, QuorumReplica};
use naru_model::Uuid;

use super::Failure;
use crate::options::Parsed;
use crate::text::Streams;

pub(super) async fn describe(
    p: &Parsed,
    admin: &Admin,
    streams: &mut Streams,
) -> Result<(), Failure> {
    let (status, replication) = (p.has("status"), p.has("replication"));
    let human = p.has("human-readable");
    match (status, replication) {
        (true, true) => Err(Failure::terse(
            "Only one of --status or --replication should be specified with describe sub-command",
        )),
        (false, false) => Err(Failure::terse(
            "One of --status or --replication must be specified with describe sub-command",
        )),
        (true, false) if human => Err(Failure::terse(
            "The option --human-readable is only supported along with --replication",
        )),
        (true, false) => {
            let cluster = admin.describe_cluster().await;
            let cluster = cluster.map_err(|error| Failure::of(&error, "describeCluster"))?;
            let quorum = quorum(admin).await?;
            streams.line(status_text(&cluster.cluster_id, &quorum)?);
            Ok(())
        }
        (false, true) => {
            let quorum = quorum(admin).await?;
            let now_ms = human.then(now_ms);
            streams.text(replication_text(&quorum, now_ms)?);
            Ok(())
        }
    }
}

async fn quorum(admin: &Admin) -> Result<QuorumDescription, Failure> {
    admin.describe_quorum().await.map_err(|error| Failure::of(&error, "describeMetadataQuorum"))
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

fn leader(quorum: &QuorumDescription) -> Result<&QuorumReplica, Failure> {
    let found = quorum.voters.iter().find(|voter| voter.id == quorum.leader);
    // The leader may just be leaving the voters; Java's tool fails in the same words.
    found.ok_or_else(|| Failure::thrown("java.util.NoSuchElementException", "No value present"))
}

fn status_text(cluster_id: &str, quorum: &QuorumDescription) -> Result<String, Failure> {
    let leader = leader(quorum)?;
    // The first of those that are furthest behind.
    let last = quorum.voters.iter().min_by_key(|voter| voter.log_end).unwrap_or(leader);
    let lag_ms = if last.id == leader.id {
        0
    } else {
        match (leader.last_caught_up_ms, last.last_caught_up_ms) {
            (Some(leader), Some(last)) => leader - last,
            _ => -1,
        }
    };
    Ok(format!(
        "ClusterId:              {cluster_id}\n\
         LeaderId:               {}\n\
         LeaderEpoch:            {}\n\
         HighWatermark:          {}\n\
         MaxFollowerLag:         {}\n\
         MaxFollowerLagTimeMs:   {lag_ms}\n\
         CurrentVoters:          {}\n\
         CurrentObservers:       {}",
        quorum.leader,
        quorum.leader_epoch,
        quorum.high_watermark,
        leader.log_end - last.log_end,
        replicas_text(quorum, &quorum.voters),
        replicas_text(quorum, &quorum.observers),
    ))
}

fn replicas_text(quorum: &QuorumDescription, replicas: &[QuorumReplica]) -> String {
    let one = |replica: &QuorumReplica| {
        let mut text = format!("{{\"id\": {}", replica.id);
        if replica.directory_id != Uuid::default() {
            text.push_str(&format!(", \"directoryId\": \"{}\"", replica.directory_id));
        }
        let node = quorum.endpoints.iter().find(|node| node.id == replica.id);
        let listeners = node.map(|node| node.listeners.as_slice()).unwrap_or_default();
        if !listeners.is_empty() {
            let shown: Vec<String> = listeners
                .iter()
                .map(|l| format!("\"{}\"", super::controller::address(l)))
                .collect();
            text.push_str(&format!(", \"endpoints\": [{}]", shown.join(", ")));
        }
        text + "}"
    };
    format!("[{}]", replicas.iter().map(one).collect::<Vec<_>>().join(", "))
}

/// The table of replicas: leader, followers, observers; times as they are, or as how long before
/// `now_ms`.
fn replication_text(quorum: &QuorumDescription, now_ms: Option<i64>) -> Result<String, Failure> {
    let leader = leader(quorum)?;
    let time = |ms: Option<i64>, what: &str| match (ms, now_ms) {
        (None, _) => Ok("-1".to_owned()),
        (Some(ms), None) => Ok(ms.to_string()),
        (Some(ms), Some(now)) if ms > 0 && ms <= now => Ok(format!("{} ms ago", now - ms)),
        (Some(ms), Some(now)) => Err(Failure::thrown(
            "org.apache.kafka.common.KafkaException",
            format!(
                "Error while computing relative time, possible drift in system clock.\n\
                 Current timestamp is {now}, {what} timestamp is {ms}"
            ),
        )),
    };
    let row = |replica: &QuorumReplica, status: &str| {
        Ok([
            replica.id.to_string(),
            replica.directory_id.to_string(),
            replica.log_end.to_string(),
            (leader.log_end - replica.log_end).to_string(),
            time(replica.last_fetch_ms, "last fetch")?,
            time(replica.last_caught_up_ms, "last caught up")?,
            status.to_owned(),
        ])
    };
    let titles = [
        "NodeId",
        "DirectoryId",
        "LogEndOffset",
        "Lag",
        "LastFetchTimestamp",
        "LastCaughtUpTimestamp",
        "Status",
    ];
    let mut rows = vec![titles.map(str::to_owned), row(leader, "Leader")?];
    for follower in quorum.voters.iter().filter(|voter| voter.id != quorum.leader) {
        rows.push(row(follower, "Follower")?);
    }
    for observer in &quorum.observers {
        rows.push(row(observer, "Observer")?);
    }
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths: [usize; 7] = std::array::from_fn(width);
    let mut text = String::new();
    for row in &rows {
        for (cell, width) in row.iter().zip(widths) {
            text.push_str(&format!("{cell:width$}\t"));
        }
        text.push('\n');
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use naru_client::admin::{QuorumNode, VoterAddress};

    use super::*;

    fn replica(id: i32, log_end: i64, fetched: i64, caught_up: i64) -> QuorumReplica {
        let time = |ms: i64| (ms >= 0).then_some(ms);
        QuorumReplica {
            id,
            directory_id: Uuid::default(),
            log_end,
            last_fetch_ms: time(fetched),
            last_caught_up_ms: time(caught_up),
        }
    }

    fn quorum() -> QuorumDescription {
        let node = |id: i32| QuorumNode {
            id,
            listeners: vec![VoterAddress {
                name: "CONTROLLER".to_owned(),
                host: "127.0.0.1".to_owned(),
                port: 23600 + u16::try_from(id).unwrap(),
            }],
        };
        QuorumDescription {
            leader: 3,
            leader_epoch: 1,
            high_watermark: 1548,
            voters: vec![
                replica(1, 1567, 1795256467229, 1795256466736),
                replica(2, 1568, 1795256467312, 1795256467312),
                replica(3, 1568, 1795256467348, 1795256467348),
            ],
            observers: vec![],
            endpoints: vec![node(1), node(2), node(3)],
        }
    }

    #[test]
    fn status_is_told_as_apache_kafka_tells_it() {
        let mut quorum = quorum();
        quorum.voters[0] = replica(1, 1568, 1795256467229, 1795256466960);
        let expect = "\
ClusterId:              4vUWciKhTVmYGsepxc6sUg
LeaderId:               3
LeaderEpoch:            1
HighWatermark:          1548
MaxFollowerLag:         0
MaxFollowerLagTimeMs:   388
CurrentVoters:          [{\"id\": 1, \"endpoints\": [\"CONTROLLER://127.0.0.1:23601\"]}, \
{\"id\": 2, \"endpoints\": [\"CONTROLLER://127.0.0.1:23602\"]}, \
{\"id\": 3, \"endpoints\": [\"CONTROLLER://127.0.0.1:23603\"]}]
CurrentObservers:       []";
        assert_eq!(status_text("4vUWciKhTVmYGsepxc6sUg", &quorum).unwrap(), expect);
    }

    #[test]
    fn replication_is_the_table_that_apache_kafka_prints() {
        let expect = "\
NodeId\tDirectoryId           \tLogEndOffset\tLag\tLastFetchTimestamp\tLastCaughtUpTimestamp\tStatus  \t
3     \tAAAAAAAAAAAAAAAAAAAAAA\t1568        \t0  \t1795256467348     \t1795256467348        \tLeader  \t
1     \tAAAAAAAAAAAAAAAAAAAAAA\t1567        \t1  \t1795256467229     \t1795256466736        \tFollower\t
2     \tAAAAAAAAAAAAAAAAAAAAAA\t1568        \t0  \t1795256467312     \t1795256467312        \tFollower\t
";
        assert_eq!(replication_text(&quorum(), None).unwrap(), expect);
    }

    #[test]
    fn a_voter_that_is_down_and_times_for_people() {
        let mut quorum = quorum();
        quorum.voters = vec![replica(3, 2089, 1_000, 1_001), replica(1, -1, -1, -1)];
        let text = replication_text(&quorum, Some(1_156)).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert!(
            lines[1].ends_with("\t0   \t156 ms ago        \t155 ms ago           \tLeader  \t")
        );
        assert!(lines[2].ends_with(
            "\t-1          \t2090\t-1                \t-1                   \tFollower\t"
        ));
        assert!(status_text("c", &quorum).unwrap().contains("MaxFollowerLagTimeMs:   -1\n"));
        // A clock behind the leader's is told, not shown as a negative time.
        assert!(replication_text(&quorum, Some(900)).is_err());
        quorum.leader = 9;
        assert_eq!(status_text("c", &quorum).unwrap_err().words(), "No value present");
    }
}
