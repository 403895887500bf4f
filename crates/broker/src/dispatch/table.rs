//! The API table: what is served, at which versions, by which handler.

use std::ops::RangeInclusive;

use bytes::Bytes;
use naru_protocol::api::ApiKey;

use super::{RequestContext, later, now};
use crate::api;
use crate::listener::Answer;

/// One API.
pub(super) struct Row {
    pub(super) api: ApiKey,
    pub(super) versions: RangeInclusive<i16>,
    pub(super) handle: fn(RequestContext, Bytes) -> Answer,
}

macro_rules! handler {
    (raw $handler:path) => {
        |context, body| $handler(context, &body)
    };
    (now $handler:path) => {
        |context, body| now(&context, &body, $handler)
    };
    (later $handler:path) => {
        |context, body| later(context, &body, $handler)
    };
}

macro_rules! table {
    ($($api:ident $low:literal..=$high:literal $kind:ident $handler:path;)*) => {
        /// The APIs served, in the order of their keys.
        const SERVED: &[(ApiKey, i16, i16)] = &[$((ApiKey::$api, $low, $high),)*];

        /// The row of an API, `None` if it is not served.
        pub(super) fn row(api: ApiKey) -> Option<Row> {
            match api {
                $(ApiKey::$api => Some(Row {
                    api, versions: $low..=$high, handle: handler!($kind $handler),
                }),)*
                _ => None,
            }
        }
    };
}

table! {
    Produce 3..=13 raw api::produce::handle;
    Fetch 4..=18 raw api::fetch::handle;
    ListOffsets 1..=11 later api::list_offsets::handle;
    Metadata 0..=13 later api::metadata::handle;
    OffsetCommit 2..=10 later api::offsets::commit;
    OffsetFetch 1..=10 later api::offsets::fetch;
    FindCoordinator 0..=6 later api::find_coordinator::handle;
    JoinGroup 0..=9 later api::groups::join;
    Heartbeat 0..=4 later api::groups::heartbeat;
    LeaveGroup 0..=5 later api::groups::leave;
    SyncGroup 0..=5 later api::groups::sync;
    DescribeGroups 0..=6 later api::group_admin::describe;
    ListGroups 0..=5 later api::group_admin::list;
    ApiVersions 0..=4 now api::api_versions::handle;
    CreateTopics 2..=7 later api::topics::create;
    DeleteTopics 1..=6 later api::topics::delete;
    DeleteRecords 0..=2 later api::delete_records::handle;
    InitProducerId 0..=5 later api::init_producer_id::handle;
    OffsetForLeaderEpoch 2..=4 now api::leader_epoch::handle;
    DescribeConfigs 1..=4 now api::configs::describe;
    AlterConfigs 0..=2 later api::configs::alter;
    DescribeLogDirs 1..=5 now api::log_dirs::describe;
    CreatePartitions 0..=3 later api::topics::create_partitions;
    DeleteGroups 0..=2 later api::group_admin::delete;
    IncrementalAlterConfigs 0..=1 later api::configs::alter_incrementally;
    OffsetDelete 0..=0 later api::offsets::delete;
    DescribeCluster 0..=2 now api::cluster::describe;
    DescribeTopicPartitions 0..=0 now api::topic_partitions::describe;
}

/// What ApiVersions tells: key, lowest and highest version.
pub(crate) fn advertised() -> impl Iterator<Item = (ApiKey, i16, i16)> {
    SERVED.iter().map(|&(api, low, high)| match api {
        // Versions 0 to 2 are refused but told, as Kafka tells them: some releases of librdkafka
        // switch features off when the lowest version is above 0 (KAFKA-18659).
        ApiKey::Produce => (api, 0, high),
        _ => (api, low, high),
    })
}

/// What is really served.
pub(crate) fn served() -> &'static [(ApiKey, i16, i16)] {
    SERVED
}
