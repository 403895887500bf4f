//! Group shards in their shell.

use std::convert::Infallible;
use std::sync::Arc;

use naru_controller::image::ResourceType;
use naru_controller::topic_name::CONSUMER_OFFSETS;
use naru_coordinators::{
    ConsumerOverrides, GroupConfig, GroupShard, ShareOverrides, StreamsOverrides,
};
use naru_model::config::{ConsumerGroupOwn, Props, ShareGroupOwn, StreamsGroupOwn};
use naru_records::Compression;

use super::host::{Hosted, Load, ShardHost};
use super::topics::ImageTopics;
use crate::node::Node;
use crate::partition::Partition;

impl Hosted for GroupShard {
    const TOPIC: &'static str = CONSUMER_OFFSETS;

    fn empty(node: &Node, partition: &Partition) -> Self {
        Self::new(config(node, partition))
    }

    fn compression(node: &Node) -> Compression {
        codec(node.config().offsets.topic_compression_codec)
    }

    fn reconfigure_from(&mut self, node: &Node, partition: &Partition) {
        self.reconfigure(config(node, partition));
    }

    fn prepare(&mut self, node: &Node) {
        let image = node.image();
        for (resource, own) in image.configs() {
            if resource.kind == ResourceType::Group {
                configure(self, &resource.name, own);
            }
        }
        self.on_metadata(Arc::new(ImageTopics::new(node, image)), &[], true);
    }

    fn carry_out(_host: &Arc<ShardHost<Self>>, _node: &Arc<Node>, effect: Infallible, _load: Load) {
        match effect {}
    }
}

fn config(node: &Node, partition: &Partition) -> GroupConfig {
    GroupConfig {
        max_record_bytes: partition.settings().log.max_message_bytes,
        ..node.group_config()
    }
}

/// Takes over what a group sets for itself.
pub(super) fn configure(shard: &mut GroupShard, group: &str, own: &Props) {
    shard.configure_group(group, overrides(own));
    shard.configure_streams_group(group, streams_overrides(own));
    shard.configure_share_group(group, share_overrides(own));
}

fn streams_overrides(own: &Props) -> Option<StreamsOverrides> {
    let own = StreamsGroupOwn::of(own);
    let own = StreamsOverrides {
        session_timeout_ms: own.session_timeout_ms,
        heartbeat_interval_ms: own.heartbeat_interval_ms,
        assignment_interval_ms: own.assignment_interval_ms,
        standby_replicas: own.standby_replicas,
        initial_rebalance_delay_ms: own.initial_rebalance_delay_ms,
    };
    (own != StreamsOverrides::default()).then_some(own)
}

fn overrides(own: &Props) -> Option<ConsumerOverrides> {
    let ConsumerGroupOwn { session_timeout_ms, heartbeat_interval_ms, assignment_interval_ms } =
        ConsumerGroupOwn::of(own);
    let own =
        ConsumerOverrides { session_timeout_ms, heartbeat_interval_ms, assignment_interval_ms };
    (own != ConsumerOverrides::default()).then_some(own)
}

fn share_overrides(own: &Props) -> Option<ShareOverrides> {
    let ShareGroupOwn { session_timeout_ms, heartbeat_interval_ms, assignment_interval_ms } =
        ShareGroupOwn::of(own);
    let own = ShareOverrides { session_timeout_ms, heartbeat_interval_ms, assignment_interval_ms };
    (own != ShareOverrides::default()).then_some(own)
}

/// The codec with this number in a batch's attributes; none if there is no such codec.
pub(super) fn codec(id: i32) -> Compression {
    u8::try_from(id).ok().and_then(Compression::from_number).unwrap_or_default()
}
