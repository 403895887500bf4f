//! Hosts the group coordinator: one shard a partition of `__consumer_offsets`.
//!
//! The rules are `naru_coordinators`'; this folder finds the shard of a group, appends what the
//! shard writes, gives it back the result, wakes its timers and hands answers to who waits.

mod host;

use std::sync::{Arc, PoisonError, RwLock};

pub(crate) use naru_controller::topic_name::CONSUMER_OFFSETS as OFFSETS_TOPIC;
use naru_coordinators::{Command, Reply, partition_for};
use naru_model::ErrorCode;

pub(crate) use host::ShardHost;

use crate::node::Node;

/// All shards; none until the offsets topic exists.
#[derive(Debug, Default)]
pub(crate) struct Coordination {
    shards: RwLock<Arc<Vec<Arc<ShardHost>>>>,
}

impl Coordination {
    fn shards(&self) -> Arc<Vec<Arc<ShardHost>>> {
        Arc::clone(&self.shards.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes over the partitions of the offsets topic that are not hosted yet and loads them.
    pub(crate) fn adopt(&self, node: &Arc<Node>) {
        let partitions = node.partitions().of_topic(OFFSETS_TOPIC);
        let mut guard = self.shards.write().unwrap_or_else(PoisonError::into_inner);
        // A topic that was deleted and made anew has other partitions under the same numbers.
        let mut shards: Vec<Arc<ShardHost>> = guard
            .iter()
            .zip(&partitions)
            .take_while(|(shard, partition)| shard.hosts(partition))
            .map(|(shard, _)| Arc::clone(shard))
            .collect();
        if shards.len() == partitions.len() && shards.len() == guard.len() {
            return;
        }
        guard.iter().skip(shards.len()).for_each(|gone| gone.retire());
        for partition in partitions.into_iter().skip(shards.len()) {
            let host = ShardHost::new(node, partition);
            ShardHost::load(&host, node);
            shards.push(host);
        }
        *guard = Arc::new(shards);
    }

    /// Asks the shard of `group`.
    pub(crate) async fn ask(&self, group: &str, command: Command) -> Result<Reply, ErrorCode> {
        let shards = self.shards();
        let count = i32::try_from(shards.len()).unwrap_or(0);
        if count == 0 {
            return Err(ErrorCode::CoordinatorNotAvailable);
        }
        let index = usize::try_from(partition_for(group, count)).unwrap_or(0);
        shards[index].ask(command).await
    }

    /// Asks every shard the same.
    pub(crate) async fn ask_all(&self, command: &Command) -> Vec<Result<Reply, ErrorCode>> {
        let mut replies = Vec::new();
        for shard in self.shards().iter() {
            replies.push(shard.ask(command.clone()).await);
        }
        replies
    }

    /// Gives every shard up, because the node stops.
    pub(crate) fn unload(&self) {
        self.shards().iter().for_each(|shard| shard.unload());
    }

    /// Tells every shard that topics are gone.
    pub(crate) fn topics_deleted(&self, topics: &[String]) {
        for shard in self.shards().iter() {
            shard.topics_deleted(topics.to_vec());
        }
    }
}

/// The error code for an answer that is no answer to what was asked.
pub(crate) fn unexpected(answer: Result<Reply, ErrorCode>) -> i16 {
    match answer {
        Err(error) => error.code(),
        Ok(reply) => {
            tracing::error!(?reply, "a group shard answered something else than it was asked");
            ErrorCode::UnknownServerError.code()
        }
    }
}
