//! A topic and its partitions, as the metadata log says.

use std::sync::Arc;

use naru_model::Uuid;
use naru_protocol::messages::partition_change_record::PartitionChangeRecord;
use naru_protocol::messages::partition_record::PartitionRecord;

use super::SharedMap;

/// No broker leads: the `leader` field of the records.
pub(crate) const NO_LEADER: i32 = -1;
/// The `leader` field of a PartitionChangeRecord that does not change the leader.
pub(crate) const NO_LEADER_CHANGE: i32 = -2;
/// The leader recovery state of a leader that was elected from outside the ISR and ELR: it has to
/// find its end first.
pub(crate) const RECOVERING: i8 = 1;
/// The `leader_recovery_state` field of a PartitionChangeRecord that does not change it.
const NO_RECOVERY_CHANGE: i8 = -1;

/// A topic.
#[derive(Debug, Clone, PartialEq)]
pub struct TopicImage {
    /// Its name.
    pub name: Arc<str>,
    /// Its id.
    pub id: Uuid,
    /// Its partitions by index.
    pub partitions: SharedMap<i32, Arc<PartitionImage>>,
}

/// Where a partition lives and who leads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionImage {
    /// Brokers that hold it, the preferred leader first.
    pub replicas: Vec<i32>,
    /// Log directory of each replica, in the order of `replicas`.
    pub directories: Vec<Uuid>,
    /// In-sync replicas.
    pub isr: Vec<i32>,
    /// Replicas that a reassignment takes away.
    pub removing_replicas: Vec<i32>,
    /// Replicas that a reassignment adds.
    pub adding_replicas: Vec<i32>,
    /// Eligible leader replicas (KIP-966).
    pub elr: Vec<i32>,
    /// Members of the ELR that were lost by unclean shutdowns (KIP-966).
    pub last_known_elr: Vec<i32>,
    /// The leader, if there is one.
    pub leader: Option<i32>,
    /// Whether the leader was elected uncleanly and still recovers: 0 recovered, 1 recovering.
    pub leader_recovery_state: i8,
    /// Counts the leaders.
    pub leader_epoch: i32,
    /// Counts every change of this partition.
    pub partition_epoch: i32,
}

impl PartitionImage {
    /// The partition that a PartitionRecord establishes.
    pub(crate) fn from_record(record: &PartitionRecord) -> Self {
        let directories = if record.directories.len() == record.replicas.len() {
            record.directories.clone()
        } else {
            // Version 0 of the record knew no directories.
            vec![Uuid::DIR_MIGRATING; record.replicas.len()]
        };
        Self {
            replicas: record.replicas.clone(),
            directories,
            isr: record.isr.clone(),
            removing_replicas: record.removing_replicas.clone(),
            adding_replicas: record.adding_replicas.clone(),
            elr: record.eligible_leader_replicas.clone().unwrap_or_default(),
            last_known_elr: record.last_known_elr.clone().unwrap_or_default(),
            leader: leader_of(record.leader),
            leader_recovery_state: record.leader_recovery_state,
            leader_epoch: record.leader_epoch,
            partition_epoch: record.partition_epoch,
        }
    }

    /// The record that establishes this partition.
    pub(crate) fn to_record(&self, topic_id: Uuid, partition_id: i32) -> PartitionRecord {
        let unless_empty = |list: &Vec<i32>| (!list.is_empty()).then(|| list.clone());
        PartitionRecord {
            partition_id,
            topic_id,
            replicas: self.replicas.clone(),
            isr: self.isr.clone(),
            removing_replicas: self.removing_replicas.clone(),
            adding_replicas: self.adding_replicas.clone(),
            leader: self.leader.unwrap_or(NO_LEADER),
            leader_recovery_state: self.leader_recovery_state,
            leader_epoch: self.leader_epoch,
            partition_epoch: self.partition_epoch,
            directories: self.directories.clone(),
            eligible_leader_replicas: unless_empty(&self.elr),
            last_known_elr: unless_empty(&self.last_known_elr),
        }
    }

    /// This partition after a change. Every change counts the partition epoch; a change of the
    /// leader, also to the same one, counts the leader epoch.
    pub(crate) fn changed_by(&self, record: &PartitionChangeRecord) -> Self {
        let mut next = self.clone();
        let set = |field: &mut Vec<i32>, value: &Option<Vec<i32>>| {
            if let Some(value) = value {
                field.clone_from(value);
            }
        };
        set(&mut next.isr, &record.isr);
        set(&mut next.removing_replicas, &record.removing_replicas);
        set(&mut next.adding_replicas, &record.adding_replicas);
        set(&mut next.elr, &record.eligible_leader_replicas);
        set(&mut next.last_known_elr, &record.last_known_elr);
        if let Some(replicas) = &record.replicas {
            next.directories = replicas.iter().map(|id| self.directory_of(*id)).collect();
            next.replicas.clone_from(replicas);
        }
        if let Some(directories) = &record.directories
            && directories.len() == next.replicas.len()
        {
            next.directories.clone_from(directories);
        }
        if record.leader != NO_LEADER_CHANGE {
            next.leader = leader_of(record.leader);
            next.leader_epoch = next.leader_epoch.saturating_add(1);
        }
        if record.leader_recovery_state != NO_RECOVERY_CHANGE {
            next.leader_recovery_state = record.leader_recovery_state;
        }
        next.partition_epoch = next.partition_epoch.saturating_add(1);
        next
    }

    /// The log directory of a replica; unassigned if the broker holds none.
    pub fn directory_of(&self, broker: i32) -> Uuid {
        let at = self.replicas.iter().position(|replica| *replica == broker);
        at.and_then(|at| self.directories.get(at)).copied().unwrap_or(Uuid::DIR_UNASSIGNED)
    }
}

const fn leader_of(field: i32) -> Option<i32> {
    if field < 0 { None } else { Some(field) }
}
