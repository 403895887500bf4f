//! What the node does about its log directories: those that fail take their replicas offline and
//! the node stays; those that are full are looked at until there is space.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use naru_controller::CORDONED_DIRECTORIES;
use naru_controller::image::{METADATA_VERSION, PartitionImage};
use naru_log::{Health, LogDir, StorageError};
use naru_model::config::Cordoning;
use naru_model::{ErrorCode, Uuid};
use naru_protocol::messages::assign_replicas_to_dirs_request::{
    AssignReplicasToDirsRequest, DirectoryData, PartitionData, TopicData,
};

use super::Node;
use crate::partition::Partition;

/// Pause before the controller is told again where replicas lie.
const ASSIGN_AGAIN: Duration = Duration::from_millis(500);

/// A replica and the directory it lies in.
pub(super) type Placed = (Uuid, i32, Uuid);

impl Node {
    /// The ids of the log directories that can be used.
    pub(crate) fn online_dirs(&self) -> Vec<Uuid> {
        self.dir_ids(|dir| !self.storage.has_failed(dir))
    }

    /// The ids of the log directories that have failed.
    pub(crate) fn offline_dirs(&self) -> Vec<Uuid> {
        self.dir_ids(|dir| self.storage.has_failed(dir))
    }

    /// The ids of the log directories that take no new partitions; `None` while the cluster does
    /// not know of such (KIP-1066).
    pub(crate) fn cordoned_dirs(&self) -> Option<Vec<Uuid>> {
        let is_known = self.image().feature_level(METADATA_VERSION) >= CORDONED_DIRECTORIES;
        is_known.then(|| self.dir_ids(|dir| self.storage.is_cordoned(dir)))
    }

    fn dir_ids(&self, is_wanted: impl Fn(&LogDir) -> bool) -> Vec<Uuid> {
        let dirs = self.log_dirs().iter().zip(&self.identity.directory_ids);
        dirs.filter(|(dir, _)| is_wanted(dir)).map(|(_, id)| *id).collect()
    }

    /// Takes over which log directories take no new partitions, and has the controller told.
    pub(super) fn cordon(&self) {
        match self.layers(Cordoning::resolve) {
            Ok(cordoning) => {
                if self.storage.cordon(|dir| cordoning.covers(&dir.to_string_lossy())) {
                    self.registration().hurry();
                }
            }
            Err(error) => tracing::error!(%error, "log directories are cordoned as they were"),
        }
    }

    /// The id of the log directory that a partition lies in.
    pub(super) fn dir_id_of(&self, partition: &Partition) -> Option<Uuid> {
        let mut dirs = self.log_dirs().iter().zip(&self.identity.directory_ids);
        dirs.find(|(dir, _)| partition.is_in(dir.path())).map(|(_, id)| *id)
    }

    /// Whether a replica lies in a directory that could not be opened.
    pub(super) fn lies_in_unopened(&self, state: &PartitionImage) -> bool {
        let known = state.directory_of(self.id());
        let reserved = [Uuid::DIR_UNASSIGNED, Uuid::DIR_MIGRATING, Uuid::DIR_LOST];
        !self.storage.unopened().is_empty()
            && !reserved.contains(&known)
            && !self.identity.directory_ids.contains(&known)
    }

    /// How many log directories cannot be used.
    pub(crate) fn offline_dir_count(&self) -> usize {
        self.offline_dirs().len() + self.storage.unopened().len()
    }

    /// Whether a partition lies on a disk that is full.
    pub(crate) fn is_full(&self, partition: &Partition) -> bool {
        let dir = self.log_dirs().iter().find(|dir| partition.is_in(dir.path()));
        dir.is_some_and(|dir| dir.health().now() == Health::Full)
    }

    /// The directory of a partition, if metadata does not know it. One that is told to be lost is
    /// `fitness`'s business.
    pub(super) fn misplaced(
        &self,
        partition: &Partition,
        state: &PartitionImage,
    ) -> Option<Placed> {
        let id = self.dir_id_of(partition)?;
        let known = state.directory_of(self.id());
        let is_news = known != id && known != Uuid::DIR_LOST;
        (is_news && !partition.is_wounded() && !self.is_full(partition))
            .then(|| (partition.topic_id(), partition.index(), id))
    }

    /// Tells the controller where replicas lie, so that it knows what a failed directory takes.
    pub(super) fn assign_dirs(self: &Arc<Self>, placed: Vec<Placed>) {
        if !placed.is_empty() {
            self.background().spawn(assign(Arc::clone(self), placed));
        }
    }
}

async fn assign(node: Arc<Node>, placed: Vec<Placed>) {
    let mut by_dir: BTreeMap<Uuid, BTreeMap<Uuid, Vec<PartitionData>>> = BTreeMap::new();
    for (topic, partition_index, dir) in placed {
        let topics = by_dir.entry(dir).or_default();
        topics.entry(topic).or_default().push(PartitionData { partition_index });
    }
    let topics = |topics: BTreeMap<Uuid, Vec<PartitionData>>| {
        topics
            .into_iter()
            .map(|(topic_id, partitions)| TopicData { topic_id, partitions })
            .collect()
    };
    let directories: Vec<_> =
        by_dir.into_iter().map(|(id, all)| DirectoryData { id, topics: topics(all) }).collect();
    let mut stop = node.stopping();
    loop {
        let request = AssignReplicasToDirsRequest {
            broker_id: node.id(),
            broker_epoch: node.metadata().broker_epoch(),
            directories: directories.clone(),
        };
        let link = node.controller_link();
        let error = match link.send(request).await {
            Ok(response) => ErrorCode::from_code(response.error_code),
            Err(error) => error,
        };
        match error {
            ErrorCode::None => return,
            error if error.is_retriable() => {}
            error => return tracing::error!(%error, "the controller does not take directories"),
        }
        tokio::select! {
            () = tokio::time::sleep(ASSIGN_AGAIN) => {}
            _ = stop.wait_for(|stopping| *stopping) => return,
        }
    }
}

/// Takes replicas in failed directories offline and has the controller told at once.
pub(super) fn give_up_failed(node: &Arc<Node>) -> Result<(), StorageError> {
    let failed = node.storage().newly_failed();
    if failed.is_empty() {
        return Ok(());
    }
    for partition in node.partitions().all() {
        if failed.iter().any(|dir| partition.is_in(dir)) {
            partition.take_offline(ErrorCode::KafkaStorageError);
            node.fetchers().unfollow(&partition);
        }
    }
    node.registration().hurry();
    let metadata_dir = Path::new(&node.config().metadata_log.dir);
    if failed.iter().any(|dir| dir == metadata_dir) || node.online_dirs().is_empty() {
        let reasons: Vec<&str> =
            node.log_dirs().iter().filter_map(|dir| dir.health().failure()).collect();
        node.metadata().give_up(format!(
            "the log directory of the metadata, or the last one, has failed: {}",
            reasons.join("; ")
        ));
    }
    Ok(())
}
