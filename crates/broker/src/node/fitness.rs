//! Which replicas here may lead and count as in sync.
//!
//! A replica with damaged records, one that has lost some, or one on a full disk must not lead. A
//! leader cannot take itself out of its ISR, so the broker tells the controller that the replica's
//! directory is lost (AssignReplicasToDirs, KIP-858): the controller takes it out of the ISR and
//! has another replica lead, and elects it no more. When the replica is whole and there is space,
//! its directory is told, and it comes back as any follower does.
//!
//! A replica that nobody could stand in for keeps its place: it serves what is good and refuses
//! the rest. One whose log is gone does not, if there are others: they have more than nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use naru_controller::image::PartitionImage;
use naru_log::Health;
use naru_model::{ErrorCode, Uuid};
use naru_protocol::messages::assign_replicas_to_dirs_request::{
    AssignReplicasToDirsRequest, DirectoryData, PartitionData, TopicData,
};

use super::Node;
use crate::partition::Partition;

/// How often disks are looked at, and replicas while some are not whole.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// So many of these looks are left out when nothing is known to be wrong.
const CALM_LOOKS: u32 = 4;

/// What keeps a replica from its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    /// The log is gone.
    Wiped,
    /// Records are damaged or missing.
    Wounded,
    /// It takes no records.
    Full,
}

/// What is to be told: the replicas by their directories.
type Report = BTreeMap<Uuid, BTreeMap<Uuid, Vec<i32>>>;

/// Tells the controller of replicas that are found wanting when the node starts. To be awaited
/// before the node asks to be let in.
pub(super) async fn report_before_serving(node: &Arc<Node>) {
    loop {
        let (report, _) = look(node);
        let damaged: Report = report.into_iter().filter(|(id, _)| *id == Uuid::DIR_LOST).collect();
        if damaged.is_empty() || tell(node, &damaged).await {
            return;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Watches over all replicas until the node stops.
pub(super) async fn run(node: Arc<Node>) {
    let mut stop = node.stopping();
    let mut calm = 0;
    loop {
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            _ = stop.wait_for(|stopping| *stopping) => return,
        }
        let any_full = node.log_dirs().iter().any(|dir| dir.health().now() == Health::Full);
        if calm > 0 && !any_full {
            calm -= 1;
            continue;
        }
        let (report, all_fit) = look(&node);
        if !report.is_empty() {
            tell(&node, &report).await;
        }
        calm = if all_fit { CALM_LOOKS } else { 0 };
    }
}

/// What the controller has to hear, and whether every replica is fit.
fn look(node: &Node) -> (Report, bool) {
    let image = node.image();
    let me = node.id();
    let (mut report, mut all_fit) = (Report::new(), true);
    for partition in node.partitions().all() {
        let Some(state) = image.partition(partition.topic(), partition.index()) else { continue };
        if partition.is_offline() {
            continue;
        }
        let known = state.directory_of(me);
        let told = known == Uuid::DIR_LOST;
        let another_leads = state.leader.is_some_and(|leader| leader != me);
        partition.settle_lost(another_leads && !state.elr.contains(&me));
        let dir = match trouble(node, &partition) {
            None if serves_from(known, node.dir_id_of(&partition)) => continue,
            None => node.dir_id_of(&partition),
            Some(trouble) => {
                all_fit = false;
                let holds_place = state.isr.contains(&me) || state.leader == Some(me);
                ((!told || holds_place) && has_stand_in(state, me, trouble))
                    .then_some(Uuid::DIR_LOST)
            }
        };
        if let Some(dir) = dir {
            let topics = report.entry(dir).or_default();
            topics.entry(partition.topic_id()).or_default().push(partition.index());
        }
    }
    (report, all_fit)
}

/// Whether the controller takes the replica for one that serves: in its directory, or in one that
/// was never told.
fn serves_from(known: Uuid, dir: Option<Uuid>) -> bool {
    [Uuid::DIR_UNASSIGNED, Uuid::DIR_MIGRATING].contains(&known) || Some(known) == dir
}

fn trouble(node: &Node, partition: &Partition) -> Option<Trouble> {
    if partition.is_wiped() {
        return Some(Trouble::Wiped);
    }
    if partition.is_wounded() {
        return Some(Trouble::Wounded);
    }
    node.is_full(partition).then_some(Trouble::Full)
}

/// Whether another replica leads, or can.
fn has_stand_in(state: &PartitionImage, me: i32, trouble: Trouble) -> bool {
    if state.leader.is_some_and(|leader| leader != me) {
        return true;
    }
    let eligible = match trouble {
        // Whatever another has is more. If none of them is in sync, an unclean election decides.
        Trouble::Wiped => state.replicas.as_slice(),
        Trouble::Wounded => state.elr.as_slice(),
        // One that has just left the ISR may have left it for the same reason.
        Trouble::Full => &[],
    };
    state.isr.iter().chain(eligible).any(|id| *id != me)
}

/// Whether the controller has taken it.
async fn tell(node: &Arc<Node>, report: &Report) -> bool {
    let partitions = |indexes: &[i32]| {
        indexes.iter().map(|index| PartitionData { partition_index: *index }).collect()
    };
    let topics = |topics: &BTreeMap<Uuid, Vec<i32>>| {
        let topics = topics.iter();
        topics.map(|(id, all)| TopicData { topic_id: *id, partitions: partitions(all) }).collect()
    };
    for (dir, all) in report {
        let count: usize = all.values().map(Vec::len).sum();
        if *dir == Uuid::DIR_LOST {
            tracing::warn!(
                count,
                "replicas here are not whole or not writable: others are to lead"
            );
        } else {
            tracing::info!(count, "replicas here are whole and writable again");
        }
    }
    let directories = report.iter().map(|(id, all)| DirectoryData { id: *id, topics: topics(all) });
    let request = AssignReplicasToDirsRequest {
        broker_id: node.id(),
        broker_epoch: node.metadata().broker_epoch(),
        directories: directories.collect(),
    };
    let link = node.controller_link();
    let error = match link.send(request).await {
        Ok(response) => ErrorCode::from_code(response.error_code),
        Err(error) => error,
    };
    match error {
        ErrorCode::None => true,
        // A metadata version from before directories were known: there is no way to tell.
        ErrorCode::UnsupportedVersion => true,
        error => {
            tracing::debug!(%error, "the controller was not told of replicas");
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(leader: Option<i32>, isr: &[i32], elr: &[i32]) -> PartitionImage {
        PartitionImage {
            replicas: vec![1, 2, 3],
            directories: vec![Uuid(11), Uuid(12), Uuid(13)],
            isr: isr.to_vec(),
            removing_replicas: Vec::new(),
            adding_replicas: Vec::new(),
            elr: elr.to_vec(),
            last_known_elr: Vec::new(),
            leader,
            leader_recovery_state: 0,
            leader_epoch: 0,
            partition_epoch: 0,
        }
    }

    #[test]
    fn a_replica_gives_up_its_place_only_if_another_can_take_it() {
        use Trouble::{Full, Wiped, Wounded};
        assert!(has_stand_in(&state(Some(2), &[2], &[]), 1, Full));
        assert!(serves_from(Uuid(11), Some(Uuid(11))) && serves_from(Uuid::DIR_MIGRATING, None));
        assert!(!serves_from(Uuid(10), Some(Uuid(11))) && !serves_from(Uuid::DIR_LOST, None));
        assert!(has_stand_in(&state(Some(1), &[1, 2], &[]), 1, Full));
        assert!(!has_stand_in(&state(Some(1), &[1], &[]), 1, Wounded));
        assert!(!has_stand_in(&state(None, &[1], &[]), 1, Wounded));
        assert!(has_stand_in(&state(None, &[1], &[]), 1, Wiped));
        assert!(has_stand_in(&state(None, &[1], &[3]), 1, Wounded));
        assert!(!has_stand_in(&state(Some(1), &[1], &[3]), 1, Full));
    }
}
