//! AssignReplicasToDirs (key 73, v0): a broker says which log directory holds a replica (KIP-858).

use std::collections::BTreeSet;

use naru_model::{ErrorCode, Uuid};
use naru_protocol::messages::assign_replicas_to_dirs_request::AssignReplicasToDirsRequest;
use naru_protocol::messages::assign_replicas_to_dirs_response as answer;

use super::changes::{BrokerEvent, Changes};
use super::index::PartitionKey;
use super::partition_change::PartitionChange;
use super::{BrokerError, Controller};
use crate::image::METADATA_VERSION;
use crate::records::{DIRECTORIES, Decision};

impl Controller {
    /// Decides an AssignReplicasToDirs request. A replica in a directory that is lost leaves its
    /// ISR.
    pub fn decide_assign_replicas_to_dirs(
        &self,
        request: &AssignReplicasToDirsRequest,
    ) -> Decision<answer::AssignReplicasToDirsResponse> {
        let known = if self.image.feature_level(METADATA_VERSION) < DIRECTORIES {
            Err(BrokerError::NoDirectoryAssignment)
        } else {
            self.check_broker_epoch(request.broker_id, request.broker_epoch)
        };
        let broker = match known {
            Ok(broker) => broker,
            Err(error) => {
                let response = answer::AssignReplicasToDirsResponse {
                    error_code: error.code().code(),
                    ..answer::AssignReplicasToDirsResponse::default()
                };
                return Decision { records: Vec::new(), response };
            }
        };
        let mut changes = Changes::new(self);
        let mut offline = BTreeSet::new();
        let directories = request.directories.iter().map(|directory| {
            let online = broker.has_online_dir(directory.id);
            let topics = directory.topics.iter().map(|topic| {
                let partitions = topic.partitions.iter().map(|partition| {
                    let key = (topic.topic_id, partition.partition_index);
                    let assigned = self.assign(broker.id, key, directory.id, &mut changes);
                    if assigned.is_ok() && !online {
                        offline.insert(key);
                    }
                    answer::PartitionData {
                        partition_index: partition.partition_index,
                        error_code: assigned.err().unwrap_or(ErrorCode::None).code(),
                    }
                });
                let partitions = partitions.collect();
                answer::TopicData { topic_id: topic.topic_id, partitions }
            });
            answer::DirectoryData { id: directory.id, topics: topics.collect() }
        });
        let directories = directories.collect();
        changes.follow(BrokerEvent::Leaves(broker.id), offline);
        let response = answer::AssignReplicasToDirsResponse {
            directories,
            ..answer::AssignReplicasToDirsResponse::default()
        };
        Decision { records: changes.records, response }
    }

    fn assign(
        &self,
        broker: i32,
        key: PartitionKey,
        directory: Uuid,
        changes: &mut Changes<'_>,
    ) -> Result<(), ErrorCode> {
        let topic = self.image.topic_by_id(key.0).ok_or(ErrorCode::UnknownTopicId)?;
        let before = changes.partition(key).ok_or(ErrorCode::UnknownTopicOrPartition)?;
        if !before.replicas.contains(&broker) {
            return Err(ErrorCode::NotLeaderOrFollower);
        }
        let rules = changes.rules(topic).change;
        changes.build(key, PartitionChange::of(&before, rules).directory(broker, directory));
        Ok(())
    }
}
