//! Reacting to published metadata, as `broker::node::react` does.

use naru_coordinators::{GroupShard, TransactionShard};
use naru_log::Disk as _;
use naru_model::ErrorCode;
use naru_replication::PartitionKey;

use super::partition::{RoleChange, partition_state, short};
use super::{Broker, folder};
use crate::env::Env;
use crate::message::Response;
use crate::metadata::Reaction;
use crate::settings::Mutation;
use crate::trace::note;

impl Broker {
    /// Brings partitions in line with a new image, then lets answers go that waited for it.
    pub(crate) fn react(&mut self, env: &mut Env<'_>, reaction: Reaction) {
        let Reaction { image, delta, done } = reaction;
        if !delta.brokers_changed.is_empty() {
            self.learn_brokers(&image);
        }
        self.image = image;
        let keeps = env.settings.has(Mutation::KeepDeletedTopics);
        for id in delta.topics_deleted.keys().filter(|_| !keeps) {
            let keys = self.partitions.keys().copied().filter(|key| key.topic == *id);
            for key in keys.collect::<Vec<_>>() {
                self.drop_partition(env, key, ErrorCode::UnknownTopicOrPartition);
            }
        }
        for (topic, index) in &delta.partitions_changed {
            let key = PartitionKey { topic: *topic, partition: *index };
            self.change_partition(env, key);
        }
        for (ticket, response) in done {
            env.answer(ticket, Response::Controller(Ok(response)));
        }
        self.pass_on(env);
    }

    /// Leads, follows, opens or gives up one partition, as metadata says.
    fn change_partition(&mut self, env: &mut Env<'_>, key: PartitionKey) {
        let topic = self.image.topic_by_id(key.topic);
        let Some(state) = topic.and_then(|topic| topic.partitions.get(&key.partition)) else {
            return;
        };
        let is_here = state.replicas.contains(&env.node);
        match (is_here, self.partitions.contains_key(&key)) {
            (true, true) => self.take_role(env, key),
            (true, false) => match self.open_partition(env, key, None, None, false) {
                Ok(()) => self.take_role(env, key),
                Err(error) => {
                    note!(env, "n{} cannot open {:?} yet: {error}", env.node, short(key));
                    self.not_opened.insert(key);
                }
            },
            (false, true) => self.drop_partition(env, key, ErrorCode::NotLeaderOrFollower),
            (false, false) => {}
        }
    }

    /// Tries again to open what could not be opened.
    pub(super) fn open_again(&mut self, env: &mut Env<'_>) {
        for key in std::mem::take(&mut self.not_opened) {
            self.change_partition(env, key);
        }
    }

    /// Brings one partition in line with its metadata.
    pub(super) fn take_role(&mut self, env: &mut Env<'_>, key: PartitionKey) {
        let topic = self.image.topic_by_id(key.topic);
        let Some(image) = topic.and_then(|topic| topic.partitions.get(&key.partition)) else {
            return;
        };
        let state = partition_state(image);
        note!(
            env,
            "n{} {:?} hears of partition epoch {}, ISR {:?}",
            env.node,
            short(key),
            state.partition_epoch,
            image.isr
        );
        let Some(partition) = self.partitions.get_mut(&key) else { return };
        match partition.apply(env, &self.brokers, &state) {
            RoleChange::Same => {}
            RoleChange::Leads => {
                self.unfollow(key);
                self.lead_shard::<GroupShard>(env, key, state.leader_epoch.0);
                self.lead_shard::<TransactionShard>(env, key, state.leader_epoch.0);
            }
            RoleChange::Follows(None, _) => {
                self.unfollow(key);
                self.unload_shards(env, key);
            }
            RoleChange::Follows(Some(leader), epoch) => {
                self.unload_shards(env, key);
                self.follow(env, key, leader, epoch);
            }
        }
    }

    fn unload_shards(&mut self, env: &mut Env<'_>, key: PartitionKey) {
        self.unload_shard::<GroupShard>(env, key);
        self.unload_shard::<TransactionShard>(env, key);
    }

    /// Lets go of a partition that was deleted or moved away.
    fn drop_partition(&mut self, env: &mut Env<'_>, key: PartitionKey, error: ErrorCode) {
        self.unfollow(key);
        self.unload_shards(env, key);
        let Some(mut partition) = self.partitions.remove(&key) else { return };
        note!(env, "n{} drops {:?}", env.node, short(key));
        partition.take_offline(env, error);
        drop(partition);
        // The broker renames the folder and removes it later; a crash in between finishes it at
        // the next start. Here it goes at once.
        let folder = folder(key);
        let removed = env
            .disk
            .remove_dir_all(&folder)
            .and_then(|()| folder.parent().map_or(Ok(()), |parent| env.disk.sync_dir(parent)));
        if let Err(error) = removed {
            note!(env, "n{} {:?} stays on the disk: {error}", env.node, short(key));
        }
        if let Some(judge) = env.judge() {
            judge.dropped(key);
        }
    }
}
