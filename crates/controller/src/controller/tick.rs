//! What the active controller does without being asked: fences silent brokers, elects uncleanly
//! where that is allowed, gives partitions back to their preferred leaders.

use naru_protocol::messages::no_op_record::NoOpRecord;

use super::changes::Changes;
use super::partition_change::{Election, PartitionChange};
use super::{BrokerSessions, Controller};
use crate::records::{Decision, RecordAndVersion};

/// Most elections of one look at the cluster, as Kafka has it.
const ELECTIONS_PER_TICK_MAX: usize = 1_000;

impl Controller {
    /// Does what is due, one thing a call, so that each sees what the one before it led to: call
    /// it again until [`Controller::next_deadline`] is in the future.
    pub fn decide_tick(&self, sessions: &mut BrokerSessions, now_ms: i64) -> Decision<()> {
        let mut changes = Changes::new(self);
        if let Some((id, expires_at)) = self.first_to_expire(sessions)
            && expires_at < now_ms
            && let Some(broker) = self.image.broker(id)
        {
            if sessions.forgive_stall(id, now_ms) {
                return Decision { records: Vec::new(), response: () };
            }
            self.fence(broker, &mut changes);
            sessions.end_shutdown(id);
        } else if self.unclean_elections_are_due(sessions, now_ms) {
            self.elect_uncleanly(&mut changes);
            sessions.unclean_settings_seen = self.unclean_settings;
            if changes.records.len() < ELECTIONS_PER_TICK_MAX {
                let interval = sessions.settings.unclean_election_interval_ms;
                sessions.unclean_due_ms = now_ms.saturating_add(interval);
            }
        } else if sessions.balance_due_ms <= now_ms {
            self.elect_preferred(&mut changes);
            if changes.records.len() < ELECTIONS_PER_TICK_MAX {
                let interval = sessions.settings.leader_imbalance_check_interval_ms;
                sessions.balance_due_ms =
                    interval.map_or(i64::MAX, |interval| now_ms.saturating_add(interval));
            }
        }
        Decision { records: changes.records, response: () }
    }

    /// The record that shows that the metadata log moves (`metadata.max.idle.interval.ms`).
    pub fn decide_no_op(&self) -> Vec<RecordAndVersion> {
        vec![self.versioned(NoOpRecord {})]
    }

    fn unclean_elections_are_due(&self, sessions: &BrokerSessions, now_ms: i64) -> bool {
        let changed = sessions.unclean_settings_seen != self.unclean_settings;
        (changed || sessions.unclean_due_ms <= now_ms)
            && self.index.without_leader().next().is_some()
    }

    fn elect_uncleanly(&self, changes: &mut Changes<'_>) {
        for key in self.index.without_leader() {
            if changes.records.len() >= ELECTIONS_PER_TICK_MAX {
                return;
            }
            let Some(topic) = self.image.topic_by_id(key.0) else { continue };
            let Some(partition) = changes.partition(key) else { continue };
            let rules = changes.rules(topic);
            if rules.unclean {
                let change =
                    PartitionChange::of(&partition, rules.change).election(Election::Unclean);
                changes.build(key, change);
            }
        }
    }

    fn elect_preferred(&self, changes: &mut Changes<'_>) {
        for key in self.index.without_preferred_leader() {
            if changes.records.len() >= ELECTIONS_PER_TICK_MAX {
                return;
            }
            let Some(topic) = self.image.topic_by_id(key.0) else { continue };
            let Some(partition) = changes.partition(key) else { continue };
            let rules = changes.rules(topic).change;
            let change = PartitionChange::of(&partition, rules).election(Election::Preferred);
            changes.build(key, change);
        }
    }
}
