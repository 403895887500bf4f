//! Transaction shards in their shell: their markers are written everywhere, then they are told.

use std::sync::{Arc, Weak};

use naru_controller::topic_name::TRANSACTION_STATE;
use naru_coordinators::{Markers, TransactionShard, TxnCommand};
use naru_records::Compression;

use super::host::{Hosted, Load, ShardHost};
use crate::node::Node;
use crate::partition::Partition;
use crate::peer::write_markers;

impl Hosted for TransactionShard {
    const TOPIC: &'static str = TRANSACTION_STATE;

    fn empty(node: &Node, _partition: &Partition) -> Self {
        Self::new(node.transaction_config())
    }

    /// Kafka never compresses them.
    fn compression(_node: &Node) -> Compression {
        Compression::None
    }

    fn reconfigure_from(&mut self, node: &Node, _partition: &Partition) {
        self.reconfigure(node.transaction_config());
    }

    fn carry_out(host: &Arc<ShardHost<Self>>, node: &Arc<Node>, markers: Markers, load: Load) {
        let (host, asked) = (Arc::downgrade(host), Arc::clone(node));
        node.background().spawn(async move {
            // A shard that was read again has its markers written anew. Those of before, sent once
            // more after that, would end the producer's next transaction.
            let leader = Weak::clone(&host);
            let coordinator_epoch = move || leader.upgrade().and_then(|host| host.leads_in(load));
            if !write_markers(&asked, &markers, Arc::new(coordinator_epoch)).await {
                return;
            }
            if let Some(host) = host.upgrade() {
                let Markers { transactional_id, producer, .. } = markers;
                host.tell_in(load, TxnCommand::MarkersWritten { transactional_id, producer });
            }
        });
    }
}
