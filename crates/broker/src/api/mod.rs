//! The handlers, one file per API family: authorize, validate, act, shape the answer.
//!
//! No storage and no election logic here: `partition`, `coordination` and `metadata` hold it.

pub(crate) mod acls;
pub(crate) mod api_versions;
pub(crate) mod client_quotas;
pub(crate) mod cluster;
pub(crate) mod config_resources;
pub(crate) mod configs;
pub(crate) mod consumer_groups;
pub(crate) mod controller;
pub(crate) mod delete_records;
pub(crate) mod fetch;
pub(crate) mod find_coordinator;
mod group_access;
pub(crate) mod group_admin;
pub(crate) mod groups;
pub(crate) mod init_producer_id;
pub(crate) mod leader_epoch;
pub(crate) mod list_offsets;
pub(crate) mod log_dirs;
pub(crate) mod loggers;
mod lookup;
pub(crate) mod metadata;
pub(crate) mod offsets;
mod own_configs;
pub(crate) mod produce;
mod produce_texts;
pub(crate) mod producers;
pub(crate) mod sasl;
pub(crate) mod scram;
pub(crate) mod share_acknowledge;
mod share_acks;
pub(crate) mod share_fetch;
pub(crate) mod share_groups;
pub(crate) mod share_offsets;
pub(crate) mod share_state;
mod share_state_messages;
pub(crate) mod streams_groups;
pub(crate) mod telemetry;
pub(crate) mod tokens;
pub(crate) mod topic_partitions;
pub(crate) mod transactions;
pub(crate) mod transactions_admin;
pub(crate) mod txn_markers;
pub(crate) mod txn_offset_commit;
mod verified;
mod words;

/// What Kafka says of a request that makes no sense.
const INVALID_REQUEST: &str = "This most likely occurs because of a request being malformed by \
                               the client library or the message was sent to an incompatible \
                               broker. See the broker logs for more details.";

/// Adds answers to those that are there: what is there under the same key is joined.
pub(crate) fn join_answers<T, K: std::hash::Hash + Eq>(
    answers: &mut Vec<T>,
    more: Vec<T>,
    key: impl Fn(&T) -> K,
    join: impl Fn(&mut T, T),
) {
    let mut places = std::collections::HashMap::new();
    for (at, answer) in answers.iter().enumerate() {
        places.entry(key(answer)).or_insert(at);
    }
    for answer in more {
        let at = *places.entry(key(&answer)).or_insert(answers.len());
        match answers.get_mut(at) {
            Some(known) => join(known, answer),
            None => answers.push(answer),
        }
    }
}
