//! The group coordinator in its shell.

use std::convert::Infallible;

use naru_controller::topic_name::CONSUMER_OFFSETS;
use naru_coordinators::{GroupConfig, GroupShard, Reply};
use naru_model::ErrorCode;

use super::Broker;
use super::coordinator::{Coordinator, Hosted};
use crate::env::Env;
use crate::message::Response;

impl Hosted for GroupShard {
    const TOPIC: &'static str = CONSUMER_OFFSETS;

    fn empty() -> Self {
        Self::new(GroupConfig { initial_rebalance_delay_ms: 100, ..GroupConfig::default() })
    }

    fn place(broker: &mut Broker) -> &mut Option<Coordinator<Self>> {
        &mut broker.groups
    }

    fn response(reply: Result<Reply, ErrorCode>) -> Response {
        Response::Group(reply)
    }

    fn carry_out(_: &mut Broker, _: &mut Env<'_>, _: u64, effect: Infallible) {
        match effect {}
    }
}

/// What a client's commit or look came to: the offset that is committed, or nothing.
pub(crate) fn committed_offset(reply: &Reply) -> Option<i64> {
    match reply {
        Reply::OffsetFetch(group) if group.error_code == 0 => {
            let partition = group.topics.first()?.partitions.first()?;
            (partition.error_code == 0).then_some(partition.committed_offset)
        }
        _ => None,
    }
}
