//! A leader of the partition, as the shell drives it.

use std::collections::BTreeMap;

use naru_coordinators::{self as coordinators, ShareCommand, ShareReply, ShareStateError};
use naru_model::{Offset, Timestamp};

use super::coordinator::the_partition;
use crate::{AckType, DeliveryState, SharePartition, StateBatch, StateWrite, Ticket};

/// How often a request is made before it has failed.
const TRIES: u32 = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Loading,
    Ready,
    Ended,
}

/// An offset whose acknowledgement is being stored, and who held it until when.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) offset: i64,
    pub(super) of: AckType,
    pub(super) hold: (usize, Timestamp),
}

pub(super) struct Leader {
    pub(super) epoch: i32,
    pub(super) phase: Phase,
    pub(super) core: SharePartition,
    pub(super) state_epoch: i32,
    /// What is being stored.
    under_way: Option<StateWrite>,
    /// The request whose answer counts, and how often it was made.
    asked: Option<(u64, u32)>,
    pub(super) waiting: BTreeMap<Ticket, Vec<Waiting>>,
    pub(super) held: BTreeMap<i64, (usize, Timestamp)>,
}

/// What comes of an answer.
pub(super) enum Told {
    Nothing,
    /// A write has ended: what was waited for, and whether it is stored.
    Written(Vec<Waiting>, bool),
}

impl Leader {
    pub(super) fn new(epoch: i32) -> Self {
        Self {
            epoch,
            phase: Phase::Loading,
            core: SharePartition::load(Offset(0), &[]),
            state_epoch: 0,
            under_way: None,
            asked: None,
            waiting: BTreeMap::new(),
            held: BTreeMap::new(),
        }
    }

    pub(super) fn is_ready(&self) -> bool {
        self.phase == Phase::Ready
    }

    /// What is to be asked now, under this id; nothing while an answer is waited for.
    pub(super) fn ask(&mut self, id: u64) -> Option<ShareCommand> {
        if self.asked.is_some() {
            return None;
        }
        let command = match self.phase {
            Phase::Ended => return None,
            Phase::Loading => self.command(),
            Phase::Ready => {
                self.under_way = Some(self.core.begin_write()?);
                self.command()
            }
        };
        self.asked = Some((id, 1));
        Some(command)
    }

    /// No answer comes: asks again, under this id.
    pub(super) fn ask_again(&mut self, id: u64) -> Result<ShareCommand, Told> {
        match &mut self.asked {
            None => Err(Told::Nothing),
            Some((asked, tries)) if *tries < TRIES && self.phase != Phase::Ended => {
                (*asked, *tries) = (id, *tries + 1);
                Ok(self.command())
            }
            Some(_) => {
                self.asked = None;
                Err(self.end_write(false))
            }
        }
    }

    fn command(&self) -> ShareCommand {
        let partition = the_partition();
        let Some(write) = &self.under_way else {
            return ShareCommand::Read { partition, leader_epoch: self.epoch };
        };
        let batches = write.batches.iter().map(|batch| coordinators::StateBatch {
            first_offset: batch.first.0,
            last_offset: batch.last.0,
            delivery_state: batch.state.id(),
            delivery_count: i16::try_from(batch.deliveries).expect("few"),
        });
        let write = coordinators::StateWrite {
            state_epoch: self.state_epoch,
            leader_epoch: self.epoch,
            start_offset: write.start.0,
            delivery_complete_count: write.complete,
            batches: batches.collect(),
        };
        ShareCommand::Write { partition, write }
    }

    /// Takes in an answer. One that may be another next time is asked for again by the caller,
    /// which is told so by `None`.
    pub(super) fn told(&mut self, id: u64, reply: ShareReply, log_start: i64) -> Option<Told> {
        if self.asked.is_none_or(|(asked, _)| asked != id) || self.phase == Phase::Ended {
            return Some(Told::Nothing);
        }
        if matches!(reply, ShareReply::Refused(ShareStateError::Log(_))) {
            return None;
        }
        self.asked = None;
        Some(match reply {
            ShareReply::State(state) => {
                self.load(&state, log_start);
                Told::Nothing
            }
            ShareReply::Done => self.end_write(true),
            ShareReply::Refused(_) | ShareReply::Summary(_) => {
                // Somebody else leads, or the group was moved: what is known here is over.
                let told = self.end_write(false);
                self.phase = Phase::Ended;
                told
            }
        })
    }

    fn load(&mut self, state: &coordinators::ShareState, log_start: i64) {
        let batches = state.batches.iter().filter_map(|batch| {
            Some(StateBatch {
                first: Offset(batch.first_offset),
                last: Offset(batch.last_offset),
                state: DeliveryState::from_id(batch.delivery_state)?,
                deliveries: u16::try_from(batch.delivery_count).ok()?,
            })
        });
        let batches: Vec<StateBatch> = batches.collect();
        let start = if state.start_offset < 0 { log_start } else { state.start_offset };
        self.core = SharePartition::load(Offset(start), &batches);
        self.core.move_log_start(Offset(log_start));
        self.state_epoch = state.state_epoch;
        self.phase = Phase::Ready;
    }

    fn end_write(&mut self, stored: bool) -> Told {
        let Some(write) = self.under_way.take() else { return Told::Nothing };
        let mut waited = Vec::new();
        for ticket in self.core.end_write(write.id, stored) {
            waited.extend(self.waiting.remove(&ticket).expect("it waits once"));
        }
        if !stored {
            self.held.extend(waited.iter().map(|one| (one.offset, one.hold)));
        }
        Told::Written(waited, stored)
    }
}
