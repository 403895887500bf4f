//! Share coordinators in their shell: their log is cut off in front when they say so.

use std::sync::Arc;

use naru_controller::topic_name::SHARE_GROUP_STATE;
use naru_coordinators::{Prune, ShareShard, ShareStateConfig};
use naru_records::Compression;

use super::groups::codec;
use super::host::{Hosted, Load, ShardHost};
use super::topics::ImageTopics;
use crate::node::Node;
use crate::partition::Partition;

impl Hosted for ShareShard {
    const TOPIC: &'static str = SHARE_GROUP_STATE;

    fn empty(node: &Node, _partition: &Partition) -> Self {
        Self::new(config(node))
    }

    fn compression(node: &Node) -> Compression {
        codec(node.config().share_coordinator.topic_compression_codec)
    }

    fn reconfigure_from(&mut self, node: &Node, _partition: &Partition) {
        self.reconfigure(config(node));
    }

    fn prepare(&mut self, node: &Node) {
        self.on_metadata(Arc::new(ImageTopics::new(node, node.image())));
    }

    fn carry_out(host: &Arc<ShardHost<Self>>, node: &Arc<Node>, prune: Prune, _load: Load) {
        let (partition, node) = (Arc::clone(host.partition()), Arc::clone(node));
        node.background().clone().spawn(async move {
            if let Err(error) = partition.delete_records_before(prune.before) {
                let partition = partition.name();
                return tracing::warn!(partition, %error, "old share state stays in the log");
            }
            if let Err(error) = node.checkpoint_log_starts().await {
                tracing::error!("log start offsets could not be written: {error}");
            }
        });
    }
}

fn config(node: &Node) -> ShareStateConfig {
    let config = &node.config().share_coordinator;
    ShareStateConfig {
        updates_per_snapshot: config.updates_per_snapshot,
        cold_snapshot_interval_ms: config.cold_snapshot_interval_ms,
        prune_interval_ms: config.prune_interval_ms,
    }
}
