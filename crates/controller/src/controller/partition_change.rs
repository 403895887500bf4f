//! One change of one partition: who leads it, who is in sync, who may lead later.
//!
//! Takes what shall be (ISR, replicas, directories, kind of election) and gives the record that
//! makes it so, or nothing. Never looks at the cluster: who may lead is an argument.
//!
//! Invariants of the result: the leader is in the ISR; ISR and ELR are apart and within the
//! replicas; the ELR is empty while the ISR has its minimum; a leader from neither is recovering.
//! The leader epoch counts if the leader changes, if a replica is taken away, or, before
//! metadata version 3.6, if the ISR shrinks.

use std::collections::{BTreeMap, BTreeSet};

use naru_model::Uuid;
use naru_protocol::messages::partition_change_record::PartitionChangeRecord;

use super::reassignment::completed;
use crate::image::{NO_LEADER, NO_LEADER_CHANGE, PartitionImage, RECOVERING};

/// Whom an election may choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Election {
    /// The preferred replica if it may, else whoever keeps the partition online.
    Preferred,
    /// Whoever keeps the partition online: the leader it has, or one of the ISR or ELR.
    Online,
    /// As `Online`, and if nobody may, any replica that is there: records can be lost.
    Unclean,
}

/// What holds for all partitions of a topic, or of the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ChangeRules {
    /// `min.insync.replicas`; what counts is at most the number of replicas.
    pub(super) min_isr: usize,
    /// Whether `eligible.leader.replicas.version` is finalized (KIP-966).
    pub(super) elr: bool,
    /// Whether a smaller ISR counts the leader epoch (metadata versions before 3.6, KAFKA-15021).
    pub(super) bump_on_shrink: bool,
    /// Whether records tell log directories (KIP-858).
    pub(super) directories: bool,
}

/// See the module. What is not set stays as it is.
#[derive(Debug, Clone)]
pub(super) struct PartitionChange<'a> {
    before: &'a PartitionImage,
    rules: ChangeRules,
    election: Election,
    isr: Vec<i32>,
    elr: Vec<i32>,
    replicas: Vec<i32>,
    removing: Vec<i32>,
    adding: Vec<i32>,
    recovery: i8,
    directories: BTreeMap<i32, Uuid>,
    /// Not to be trusted with what it had: it stopped without saying so.
    unclean_shutdown: Option<i32>,
}

/// Who was elected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Elected {
    leader: Option<i32>,
    unclean: bool,
}

impl<'a> PartitionChange<'a> {
    pub(super) fn of(before: &'a PartitionImage, rules: ChangeRules) -> Self {
        let known = before.replicas.iter().copied().zip(before.directories.iter().copied());
        Self {
            before,
            rules,
            election: Election::Online,
            isr: before.isr.clone(),
            elr: before.elr.clone(),
            replicas: before.replicas.clone(),
            removing: before.removing_replicas.clone(),
            adding: before.adding_replicas.clone(),
            recovery: before.leader_recovery_state,
            directories: known.collect(),
            unclean_shutdown: None,
        }
    }

    pub(super) fn election(mut self, election: Election) -> Self {
        self.election = election;
        self
    }

    pub(super) fn isr(mut self, isr: Vec<i32>) -> Self {
        self.isr = isr;
        self
    }

    pub(super) fn replicas(mut self, replicas: Vec<i32>) -> Self {
        self.replicas = replicas;
        self
    }

    pub(super) fn removing(mut self, removing: Vec<i32>) -> Self {
        self.removing = removing;
        self
    }

    pub(super) fn adding(mut self, adding: Vec<i32>) -> Self {
        self.adding = adding;
        self
    }

    pub(super) fn recovery(mut self, state: i8) -> Self {
        self.recovery = state;
        self
    }

    pub(super) fn directory(mut self, broker: i32, directory: Uuid) -> Self {
        self.directories.insert(broker, directory);
        self
    }

    pub(super) fn unclean_shutdown(mut self, broker: Option<i32>) -> Self {
        self.unclean_shutdown = broker;
        self
    }

    /// The record, without its topic and index; none if nothing changes.
    ///
    /// `may_lead` says who is there and has its directory online; `default_dir` where a broker
    /// puts a replica it gets now.
    pub(super) fn build(
        mut self,
        may_lead: impl Fn(i32) -> bool,
        default_dir: impl Fn(i32) -> Uuid,
    ) -> Option<PartitionChangeRecord> {
        let unchanged = PartitionChangeRecord::default();
        let mut record = unchanged.clone();
        if let Some(done) = completed(&self.removing, &self.adding, &self.replicas, &self.isr) {
            self.isr = done.isr;
            self.replicas = done.replicas;
            self.removing = Vec::new();
            self.adding = Vec::new();
        }
        self.choose_elr();
        self.elect(&may_lead, &mut record);
        if record.leader == NO_LEADER_CHANGE && !contains_all(&self.replicas, &self.before.replicas)
        {
            record.leader = self.before.leader.unwrap_or(NO_LEADER);
        }
        self.note_elr_and_isr(&mut record);
        if self.rules.bump_on_shrink
            && record.leader == NO_LEADER_CHANGE
            && record.isr.as_ref().is_some_and(|isr| !contains_all(isr, &self.before.isr))
        {
            record.leader = self.before.leader.unwrap_or(NO_LEADER);
        }
        self.note_last_leader(&mut record);
        self.note_assignment(default_dir, &mut record);
        if self.recovery != self.before.leader_recovery_state {
            record.leader_recovery_state = self.recovery;
        }
        (record != unchanged).then_some(record)
    }

    /// Below its minimum size, whoever leaves the ISR stays eligible: nothing is acknowledged
    /// with `acks=all` from then on, so it keeps everything that was (KIP-966).
    fn choose_elr(&mut self) {
        if !self.rules.elr {
            return;
        }
        // As a leader counts it. Apache Kafka takes the replicas of the topic's first partition.
        if self.isr.len() >= self.rules.min_isr.min(self.replicas.len()) {
            self.elr = Vec::new();
            return;
        }
        let eligible: BTreeSet<i32> = self.elr.iter().chain(&self.before.isr).copied().collect();
        let eligible = eligible.into_iter().filter(|id| {
            // Apache Kafka keeps replicas that a reassignment has taken away; nobody elects them.
            !self.isr.contains(id)
                && self.unclean_shutdown != Some(*id)
                && self.replicas.contains(id)
        });
        self.elr = eligible.collect();
    }

    fn elect(&mut self, may_lead: &impl Fn(i32) -> bool, record: &mut PartitionChangeRecord) {
        let elected = self.elected(may_lead);
        if elected.leader == self.before.leader {
            return;
        }
        record.leader = elected.leader.unwrap_or(NO_LEADER);
        let Some(leader) = elected.leader else {
            return;
        };
        if self.elr.contains(&leader) {
            self.isr = vec![leader];
            self.elr.retain(|id| *id != leader);
        }
        if elected.unclean {
            record.isr = Some(vec![leader]);
            if self.before.leader_recovery_state != RECOVERING {
                record.leader_recovery_state = RECOVERING;
            }
        }
    }

    fn elected(&self, may_lead: &impl Fn(i32) -> bool) -> Elected {
        let clean = |leader| Elected { leader: Some(leader), unclean: false };
        let unclean = |leader| Elected { leader: Some(leader), unclean: true };
        let complete = |id: &i32| {
            let has_everything =
                self.isr.contains(id) || (self.isr.is_empty() && self.elr.contains(id));
            has_everything && may_lead(*id)
        };
        let preferred = self.replicas.first().filter(|id| complete(id));
        if self.election == Election::Preferred
            && let Some(preferred) = preferred
        {
            return clean(*preferred);
        }
        let stays = self.before.leader.filter(|id| complete(id));
        if let Some(leader) = stays.or_else(|| self.replicas.iter().copied().find(complete)) {
            return clean(leader);
        }
        if let Some(leader) = self.last_known_leader().filter(|id| may_lead(*id)) {
            return unclean(leader);
        }
        let any = self.replicas.iter().copied().find(|id| may_lead(*id));
        match any {
            Some(leader) if self.election == Election::Unclean => unclean(leader),
            _ => Elected { leader: None, unclean: false },
        }
    }

    /// Who led last, if nobody else can be better: no replica is known to be complete.
    fn last_known_leader(&self) -> Option<i32> {
        match self.before.last_known_elr.as_slice() {
            [last] if self.rules.elr && self.isr.is_empty() && self.elr.is_empty() => {
                // A reassignment may have taken it away since.
                self.replicas.contains(last).then_some(*last)
            }
            _ => None,
        }
    }

    fn note_elr_and_isr(&mut self, record: &mut PartitionChangeRecord) {
        let elected_uncleanly = record.isr.is_some();
        if elected_uncleanly || !self.rules.elr {
            self.elr = Vec::new();
        }
        if self.elr != self.before.elr {
            record.eligible_leader_replicas = Some(self.elr.clone());
        }
        // Without the ELR nothing else would remember the last one of the ISR.
        let may_be_empty = self.rules.elr || !self.isr.is_empty();
        if !elected_uncleanly && may_be_empty && self.isr != self.before.isr {
            record.isr = Some(self.isr.clone());
        }
    }

    /// The field that KIP-966 meant for lost members of the ELR holds the last leader.
    fn note_last_leader(&self, record: &mut PartitionChangeRecord) {
        if !self.rules.elr {
            return;
        }
        if record.leader == NO_LEADER && self.before.last_known_elr.is_empty() {
            record.last_known_elr = self.before.leader.map(|leader| vec![leader]);
        } else if record.leader >= 0 && !self.before.last_known_elr.is_empty() {
            record.last_known_elr = Some(Vec::new());
        }
    }

    fn note_assignment(
        &self,
        default_dir: impl Fn(i32) -> Uuid,
        record: &mut PartitionChangeRecord,
    ) {
        if self.rules.directories && !self.replicas.is_empty() {
            let of =
                |id: &i32| self.directories.get(id).copied().unwrap_or_else(|| default_dir(*id));
            let directories: Vec<Uuid> = self.replicas.iter().map(of).collect();
            if directories != self.before.directories {
                record.directories = Some(directories);
            }
        }
        let changed = |now: &Vec<i32>, before: &Vec<i32>| (now != before).then(|| now.clone());
        if !self.replicas.is_empty() {
            record.replicas = changed(&self.replicas, &self.before.replicas);
        }
        record.removing_replicas = changed(&self.removing, &self.before.removing_replicas);
        record.adding_replicas = changed(&self.adding, &self.before.adding_replicas);
    }
}

fn contains_all(list: &[i32], wanted: &[i32]) -> bool {
    wanted.iter().all(|id| list.contains(id))
}

#[cfg(test)]
mod tests;
