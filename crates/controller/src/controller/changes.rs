//! Changes of partitions that one decision collects.
//!
//! A later change of the same partition is built on the earlier one, not on what is replayed, so
//! that a decision may touch a partition twice. What a topic's configuration says is read once.

use std::collections::BTreeMap;
use std::sync::Arc;

use naru_model::Uuid;
use naru_protocol::messages::partition_change_record::PartitionChangeRecord;

use super::Controller;
use super::index::PartitionKey;
use super::partition_change::{ChangeRules, Election, PartitionChange};
use crate::image::{ConfigResource, METADATA_VERSION, PartitionImage, TopicImage};
use crate::records::{DIRECTORIES, NO_BUMP_ON_SHRINK, RecordAndVersion};

pub(super) const ELR_VERSION: &str = "eligible.leader.replicas.version";
pub(super) const MIN_INSYNC_REPLICAS: &str = "min.insync.replicas";
pub(super) const UNCLEAN_ELECTION: &str = "unclean.leader.election.enable";

/// What happens to a broker, as its partitions are concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BrokerEvent {
    /// It is gone, or going: out of every ISR, and leads nothing.
    Leaves(i32),
    /// It may lead from now on, although it is still fenced in the image.
    Returns(i32),
    /// It came back without having said that it stops: what it had may be lost.
    StoppedUncleanly(i32),
}

/// See the module.
#[derive(Debug)]
pub(super) struct Changes<'a> {
    controller: &'a Controller,
    pub(super) records: Vec<RecordAndVersion>,
    changed: BTreeMap<PartitionKey, PartitionImage>,
    rules: Option<(Uuid, TopicRules)>,
}

/// What a topic's configuration means for its partitions.
#[derive(Debug, Clone, Copy)]
pub(super) struct TopicRules {
    pub(super) change: ChangeRules,
    /// `unclean.leader.election.enable`.
    pub(super) unclean: bool,
}

impl<'a> Changes<'a> {
    pub(super) fn new(controller: &'a Controller) -> Self {
        Self { controller, records: Vec::new(), changed: BTreeMap::new(), rules: None }
    }

    /// A partition as it is after the changes so far.
    pub(super) fn partition(&self, key: PartitionKey) -> Option<Arc<PartitionImage>> {
        if let Some(changed) = self.changed.get(&key) {
            return Some(Arc::new(changed.clone()));
        }
        self.controller.image.topic_by_id(key.0)?.partitions.get(&key.1).cloned()
    }

    /// What holds for the partitions of a topic.
    pub(super) fn rules(&mut self, topic: &TopicImage) -> TopicRules {
        match self.rules {
            Some((id, rules)) if id == topic.id => rules,
            _ => {
                let rules = self.controller.topic_rules(topic);
                self.rules = Some((topic.id, rules));
                rules
            }
        }
    }

    /// Builds a change for brokers as they are in the image; false if nothing changes.
    pub(super) fn build(&mut self, key: PartitionKey, change: PartitionChange<'_>) -> bool {
        let before = self.partition(key);
        let image = &self.controller.image;
        let record = before.as_deref().and_then(|before| {
            let may_lead = |id| {
                let online =
                    |directory| image.broker(id).is_some_and(|b| b.has_online_dir(directory));
                image.broker(id).is_some_and(|b| b.is_active()) && online(before.directory_of(id))
            };
            change.build(may_lead, |id| self.controller.default_dir(id))
        });
        self.push(key, record)
    }

    /// Adds a built change; false if there is none.
    pub(super) fn push(
        &mut self,
        key: PartitionKey,
        record: Option<PartitionChangeRecord>,
    ) -> bool {
        let (Some(record), Some(before)) = (record, self.partition(key)) else {
            return false;
        };
        let record = PartitionChangeRecord { topic_id: key.0, partition_id: key.1, ..record };
        self.changed.insert(key, before.changed_by(&record));
        self.records.push(self.controller.versioned(record));
        true
    }

    /// Adds another record.
    pub(super) fn add(&mut self, record: RecordAndVersion) {
        self.records.push(record);
    }

    /// New ISRs and leaders for partitions, because of what happened to a broker.
    pub(super) fn follow(
        &mut self,
        event: BrokerEvent,
        keys: impl IntoIterator<Item = PartitionKey>,
    ) {
        let controller = self.controller;
        for key in keys {
            let Some(topic) = controller.image.topic_by_id(key.0) else { continue };
            let Some(before) = self.partition(key) else { continue };
            let rules = self.rules(topic);
            let (gone, unclean) = match event {
                BrokerEvent::Leaves(id) => (Some(id), None),
                BrokerEvent::StoppedUncleanly(id) => (Some(id), Some(id)),
                BrokerEvent::Returns(_) => (None, None),
            };
            let isr = before.isr.iter().copied().filter(|id| Some(*id) != gone).collect();
            let change = PartitionChange::of(&before, rules.change)
                .election(if rules.unclean { Election::Unclean } else { Election::Online })
                .unclean_shutdown(unclean)
                .isr(isr);
            let may_lead = |id| {
                let returns = event == BrokerEvent::Returns(id);
                let broker = controller.image.broker(id);
                Some(id) != gone
                    && broker.is_some_and(|broker| {
                        (returns || broker.is_active())
                            && broker.has_online_dir(before.directory_of(id))
                    })
            };
            let record = change.build(may_lead, |id| controller.default_dir(id));
            self.push(key, record);
        }
    }
}

impl Controller {
    /// The record at the version that the finalized metadata version prescribes.
    pub(super) fn versioned(
        &self,
        record: impl Into<naru_protocol::metadata::MetadataRecord>,
    ) -> RecordAndVersion {
        RecordAndVersion::at_level(self.image.feature_level(METADATA_VERSION), record)
    }

    /// Where a broker puts a replica it gets now; unassigned if nobody knows the broker.
    pub(super) fn default_dir(&self, broker: i32) -> Uuid {
        self.image.broker(broker).map(|broker| broker.default_dir()).unwrap_or_default()
    }

    fn topic_rules(&self, topic: &TopicImage) -> TopicRules {
        let own = self.image.config(&ConfigResource::topic(&*topic.name));
        let layers = self.config_layers();
        let value = |name: &str| match own.get(name) {
            Some(value) => Some(value.clone()),
            None => layers.layers().effective(name).map(|value| value.into_owned()),
        };
        let min_isr = value(MIN_INSYNC_REPLICAS).and_then(|text| text.trim().parse().ok());
        let unclean = value(UNCLEAN_ELECTION);
        let level = self.image.feature_level(METADATA_VERSION);
        TopicRules {
            change: ChangeRules {
                min_isr: min_isr.unwrap_or(1),
                elr: self.image.feature_level(ELR_VERSION) > 0,
                bump_on_shrink: level != 0 && level < NO_BUMP_ON_SHRINK,
                directories: level == 0 || level >= DIRECTORIES,
            },
            unclean: unclean.is_some_and(|text| text.trim().eq_ignore_ascii_case("true")),
        }
    }
}
