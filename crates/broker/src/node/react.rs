//! What the node does when metadata changes: open and close partitions, take over settings, tell
//! the coordinators.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};

use naru_controller::image::{ConfigResource, PartitionImage, ResourceType, TopicImage};
use naru_controller::{MetadataDelta, MetadataImage};
use naru_log::Health;
use naru_model::config::ReplicationThrottle;
use naru_model::{ErrorCode, Offset, TopicPartition, Uuid};

use super::{Node, millis};
use crate::partition::{Partition, PartitionParts, PartitionSettings, RoleChange, partition_state};
use crate::storage::{LogToOpen, OpenedLog, open_all};

impl Node {
    /// Brings partitions, settings and coordinators in line with a new image. Blocks on files.
    pub(crate) fn react(self: &Arc<Self>, image: &MetadataImage, delta: &MetadataDelta) {
        if !delta.brokers_changed.is_empty() {
            self.replication().learn_brokers(image);
        }
        self.drop_topics(delta);
        self.change_partitions(image, delta);
        self.fetchers().end_idle();
        self.share().learn(self, image, delta);
        self.reconfigure(image, delta);
        if delta.client_quotas_changed {
            self.adopt_quotas(image);
        }
        self.coordination().adopt(self, image);
        self.coordination().learn(self, &self.image(), delta);
    }

    fn drop_topics(self: &Arc<Self>, delta: &MetadataDelta) {
        let mut names = Vec::new();
        let mut gone = Vec::new();
        let mut delay = 0;
        for (id, topic) in &delta.topics_deleted {
            names.push((topic.name.to_string(), *id));
            for partition in self.partitions().remove_topic(*id) {
                self.fetchers().unfollow(&partition);
                delay = partition.settings().log.file_delete_delay_ms.max(delay);
                partition.abandon();
                gone.push(TopicPartition::new(partition.topic(), partition.index()));
            }
            self.forget_topic_metrics(&topic.name);
        }
        if names.is_empty() {
            return;
        }
        let folders = self.storage().begin_deletion(&gone, || self.random());
        self.coordination().topics_deleted(&names);
        self.remove_later(folders, delay);
    }

    /// Removes folders when readers have had time to finish. What a stop interrupts, the next
    /// start finishes.
    pub(super) fn remove_later(self: &Arc<Self>, folders: Vec<PathBuf>, delay_ms: i64) {
        if folders.is_empty() {
            return;
        }
        let dir_of =
            |folder: &PathBuf| folder.parent().and_then(|parent| self.storage().dir(parent));
        // A full disk needs the space now.
        let is_full = folders.iter().filter_map(dir_of).any(|d| d.health().now() == Health::Full);
        let delay_ms = if is_full { 0 } else { delay_ms };
        let node = Arc::clone(self);
        let delay = millis(delay_ms);
        self.background().spawn(async move {
            tokio::time::sleep(delay).await;
            let removed = tokio::task::spawn_blocking(move || {
                for folder in folders {
                    let dir = folder.parent().and_then(|parent| node.storage().dir(parent));
                    if let Some(Err(error)) = dir.map(|dir| dir.remove_folder(&folder)) {
                        tracing::warn!("{} stays on the disk: {error}", folder.display());
                    }
                }
            });
            // A panic in it has been printed by its hook.
            let _ = removed.await;
        });
    }

    /// Leads, follows, opens and gives up partitions as metadata says.
    fn change_partitions(self: &Arc<Self>, image: &MetadataImage, delta: &MetadataDelta) {
        let here = self.id();
        let mut wanted = Vec::new();
        let mut gone = Vec::new();
        for (topic_id, index) in &delta.partitions_changed {
            let Some(topic) = image.topic_by_id(*topic_id) else { continue };
            let Some(state) = topic.partitions.get(index) else { continue };
            let is_here = state.replicas.contains(&here);
            match self.partitions().by_id(*topic_id, *index) {
                Ok(known) if is_here => self.take_role(&known, state),
                Ok(known) => gone.push(known),
                Err(_) if is_here && self.lies_in_unopened(state) => {}
                Err(_) if is_here => wanted.push((topic, *index, state)),
                Err(_) => {}
            }
        }
        self.give_up(&gone);
        self.open_partitions(&wanted);
    }

    /// Opens the logs of partitions that are new here.
    fn open_partitions(self: &Arc<Self>, wanted: &[(&Arc<TopicImage>, i32, &Arc<PartitionImage>)]) {
        if wanted.is_empty() {
            return;
        }
        // Partitions of a topic have the same ones.
        let mut settings: HashMap<Uuid, Arc<PartitionSettings>> = HashMap::new();
        for (topic, ..) in wanted {
            settings.entry(topic.id).or_insert_with(|| self.partition_settings(&topic.name));
        }
        let logs: Vec<LogToOpen> = wanted
            .iter()
            .map(|(topic, index, _)| LogToOpen {
                partition: TopicPartition::new(&*topic.name, *index),
                topic_id: topic.id,
                config: settings[&topic.id].log.clone(),
                recovery_point: None,
                log_start: None,
                clean: false,
            })
            .collect();
        let opened = open_all(self.storage(), &logs, 1, self.now(), &|_, _, _| {});
        let mut partitions = Vec::new();
        let mut not_opened = BTreeSet::new();
        for ((topic, index, state), result) in wanted.iter().zip(opened) {
            match result {
                Ok(log) => {
                    let settings = Arc::clone(&settings[&topic.id]);
                    partitions.push((self.partition(topic, *index, settings, log, None), state));
                }
                Err(error) => {
                    tracing::error!("{}-{index} cannot be opened yet: {error}", topic.name);
                    not_opened.insert((topic.id, *index));
                }
            }
        }
        self.partitions().insert(partitions.iter().map(|(one, _)| Arc::clone(one)).collect());
        for (partition, state) in &partitions {
            self.take_role(partition, state);
        }
        let misplaced = partitions.iter().filter_map(|(one, state)| self.misplaced(one, state));
        self.assign_dirs(misplaced.collect());
        self.not_opened.lock().unwrap_or_else(PoisonError::into_inner).append(&mut not_opened);
    }

    /// Whether this partition's log could not be opened.
    pub(crate) fn is_not_opened(&self, topic: Uuid, index: i32) -> bool {
        let not_opened = self.not_opened.lock().unwrap_or_else(PoisonError::into_inner);
        not_opened.contains(&(topic, index))
    }

    /// Tries again to open what could not be opened: a full disk may have space by now.
    pub(super) fn open_again(&self) {
        let mut not_opened = self.not_opened.lock().unwrap_or_else(PoisonError::into_inner);
        if !not_opened.is_empty() {
            let partitions_changed = std::mem::take(&mut *not_opened);
            let delta = MetadataDelta { partitions_changed, ..MetadataDelta::default() };
            self.metadata().react_again(delta);
        }
    }

    /// Brings one partition in line with its metadata: it leads, or fetches from its leader.
    pub(super) fn take_role(self: &Arc<Self>, partition: &Arc<Partition>, state: &PartitionImage) {
        match partition.apply(&partition_state(state, &self.image())) {
            RoleChange::Same => {}
            RoleChange::Leads => self.fetchers().unfollow(partition),
            RoleChange::Follows(Some(leader), epoch) => {
                self.fetchers().follow(self, partition, leader, epoch);
            }
            RoleChange::Follows(None, _) => self.fetchers().unfollow(partition),
        }
    }

    /// Lets go of partitions that a reassignment has moved away.
    fn give_up(self: &Arc<Self>, partitions: &[Arc<Partition>]) {
        if partitions.is_empty() {
            return;
        }
        let mut delay = 0;
        let mut names = Vec::new();
        for partition in partitions {
            self.fetchers().unfollow(partition);
            self.partitions().remove(partition.topic_id(), partition.index());
            delay = partition.settings().log.file_delete_delay_ms.max(delay);
            partition.abandon_to(ErrorCode::NotLeaderOrFollower);
            names.push(TopicPartition::new(partition.topic(), partition.index()));
            tracing::info!(partition = %partition.name(), "moved away");
        }
        let folders = self.storage().begin_deletion(&names, || self.random());
        self.remove_later(folders, delay);
    }

    /// A partition over its opened log; what it is comes with its metadata.
    pub(super) fn partition(
        &self,
        topic: &TopicImage,
        index: i32,
        settings: Arc<PartitionSettings>,
        opened: OpenedLog,
        high_watermark: Option<Offset>,
    ) -> Arc<Partition> {
        Partition::new(PartitionParts {
            topic: Arc::clone(&topic.name),
            topic_id: topic.id,
            index,
            dir: opened.dir,
            log: opened.log,
            settings,
            services: self.partition_services(&topic.name),
            high_watermark,
        })
    }

    fn reconfigure(self: &Arc<Self>, image: &MetadataImage, delta: &MetadataDelta) {
        let (mut every, mut subscriptions) = (false, false);
        for ConfigResource { kind, name } in &delta.configs_changed {
            match kind {
                ResourceType::Topic => self.reconfigure_topic(name),
                ResourceType::Broker => every = true,
                ResourceType::ClientMetrics => subscriptions = true,
                ResourceType::BrokerLogger | ResourceType::Group => {}
            }
        }
        if subscriptions {
            self.telemetry().adopt(image);
        }
        if every {
            self.layers(|layers| self.live().take(layers));
            self.set_throttles();
            self.cordon();
            self.cleaner().configure(self);
            self.reload_security();
            self.limit_connections();
            image.topics().for_each(|topic| self.reconfigure_topic(&topic.name));
        }
    }

    /// Takes over what clients may use.
    pub(super) fn adopt_quotas(self: &Arc<Self>, image: &MetadataImage) {
        self.quotas().adopt(image.quota_limits());
        self.limit_connections();
    }

    /// Takes over the limits of replication that are set on this broker or on all.
    pub(super) fn set_throttles(&self) {
        match self.layers(ReplicationThrottle::resolve) {
            Ok(limits) => self.replication().throttles().set(&limits),
            Err(error) => tracing::error!(%error, "replication throttles stay as they were"),
        }
    }

    fn reconfigure_topic(&self, topic: &str) {
        let partitions = self.partitions().of_topic(topic);
        if partitions.is_empty() {
            return;
        }
        let settings = self.partition_settings(topic);
        for partition in partitions {
            partition.configure(Arc::clone(&settings));
        }
    }
}
