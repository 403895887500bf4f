//! Carrying out what the quorum core wants, in order.

use naru_controller::raft::{Effect, Event, LogView as _, RaftRequest, RaftResponse, SnapshotId};
use naru_controller::{Controller, MetadataDelta};
use naru_model::ErrorCode;
use naru_protocol::Records;

use super::journal::SnapshotRecords;
use super::{MetadataLoop, PORTS};
use crate::env::Env;
use crate::message::{Lane, Request, Response};
use crate::settings::{Mutation, times};
use crate::trace::note;

impl MetadataLoop {
    pub(super) fn execute(
        &mut self,
        env: &mut Env<'_>,
        effects: Vec<Effect>,
    ) -> Result<(), String> {
        effects.into_iter().try_for_each(|effect| self.carry_out(env, effect))
    }

    fn carry_out(&mut self, env: &mut Env<'_>, effect: Effect) -> Result<(), String> {
        let node = env.node;
        match effect {
            Effect::SaveState(state) => {
                note!(env, "n{node} saves {state:?}");
                let json = self.quorum.state_json(&state);
                self.journal.save_state(&json)
            }
            Effect::Send { request_id, to, request, .. } => {
                let fetches =
                    matches!(request, RaftRequest::Fetch(_) | RaftRequest::FetchSnapshot(_));
                let lane = if fetches { Lane::RaftFetch } else { Lane::Raft };
                // What a fetch may wait comes on top.
                let timeout = times::QUORUM_TIMEOUT_MS + times::FETCH_WAIT_MS;
                let target = i32::from(to.port - PORTS);
                let rpc = env.ask(target, lane, Request::Raft(request), timeout);
                self.sent.insert(rpc, request_id);
                Ok(())
            }
            Effect::Reply { token, response } => {
                self.reply(env, token, response);
                Ok(())
            }
            Effect::ReplyFetch { token, mut response, read } => {
                if let Some(plan) = read {
                    let max = usize::try_from(plan.max_bytes).unwrap_or(0);
                    let bytes = self.journal.read(plan.from, max)?;
                    let topic = response.responses.first_mut();
                    if let Some(partition) = topic.and_then(|topic| topic.partitions.first_mut()) {
                        partition.records = Records::Inline(bytes);
                    }
                }
                self.reply(env, token, RaftResponse::Fetch(response));
                Ok(())
            }
            Effect::ReplySnapshot { token, mut response, read } => {
                if let Some(plan) = read {
                    let max = usize::try_from(plan.max_bytes).unwrap_or(0);
                    let position = usize::try_from(plan.position).unwrap_or(usize::MAX);
                    let part = self.journal.read_snapshot(plan.id, position, max);
                    let topic = response.topics.first_mut();
                    if let Some(partition) = topic.and_then(|topic| topic.partitions.first_mut()) {
                        match part {
                            Some((bytes, size)) => {
                                partition.size = i64::try_from(size).unwrap_or(i64::MAX);
                                partition.unaligned_records = Records::Inline(bytes);
                            }
                            None => partition.error_code = ErrorCode::SnapshotNotFound.code(),
                        }
                    }
                }
                self.reply(env, token, RaftResponse::FetchSnapshot(response));
                Ok(())
            }
            Effect::AppendControl { epoch, records } => {
                let log_end = self.journal.append_control(epoch, &records, env.wall())?;
                if let Some(active) = &mut self.active {
                    active.controller.advance_to(log_end, epoch);
                }
                self.unsynced = true;
                self.step(env, Event::Appended { log_end })
            }
            Effect::AppendFetched { records } => self.follow(env, &records),
            Effect::TruncateTo { offset } => {
                note!(env, "n{node} cuts metadata at {offset} of {}", self.journal.end());
                if let Some(judge) = env.judge() {
                    judge.metadata_cut(node, offset);
                }
                if env.settings.has(Mutation::VoterSkipsTruncation) {
                    return Ok(());
                }
                self.journal.truncate(offset, env.wall())
            }
            Effect::SnapshotChunk { id, position, bytes, last } => {
                self.take_chunk(env, id, position, &bytes, last)
            }
            Effect::BecameLeader { epoch } => {
                note!(env, "n{node} leads the quorum in epoch {epoch}");
                let end = self.journal.end();
                if let Some(judge) = env.judge() {
                    judge.leads_quorum(node, epoch, end);
                }
                self.leading = true;
                Ok(())
            }
            Effect::LostLeadership { epoch } => {
                note!(env, "n{node} no longer leads the quorum of epoch {epoch}");
                self.step_down(env);
                Ok(())
            }
            Effect::LeaderChanged { .. } => {
                self.tell_leadership();
                Ok(())
            }
            Effect::AdvanceHighWatermark { to } => self.commit(env, to),
        }
    }

    fn reply(&mut self, env: &mut Env<'_>, token: u64, response: RaftResponse) {
        if let Some(ticket) = self.replies.remove(&token) {
            env.answer(ticket, Response::Raft(response));
        }
    }

    fn follow(&mut self, env: &mut Env<'_>, records: &[u8]) -> Result<(), String> {
        let skips = env.settings.has(Mutation::VoterSkipsSync);
        let appended = self.journal.append_fetched(records, env.wall()).and_then(|appended| {
            if !skips {
                self.journal.sync()?;
            }
            Ok(appended)
        });
        match appended {
            Ok((end, control)) => self.step(env, Event::Fetched { end, control }),
            Err(error) => {
                note!(env, "n{} fetched metadata was not appended: {error}", env.node);
                self.step(env, Event::FetchFailed)
            }
        }
    }

    fn take_chunk(
        &mut self,
        env: &mut Env<'_>,
        id: SnapshotId,
        position: i64,
        bytes: &[u8],
        last: bool,
    ) -> Result<(), String> {
        let taken = match self.journal.write_part(id, position, bytes, last) {
            Ok(None) => return Ok(()),
            Ok(Some(whole)) => self.install(env, id, &whole),
            Err(error) => Err(error),
        };
        match taken {
            Ok(control) => self.step(env, Event::SnapshotInstalled { id, control }),
            Err(error) => {
                note!(env, "n{} a fetched snapshot is not used: {error}", env.node);
                self.step(env, Event::FetchFailed)
            }
        }
    }

    fn install(
        &mut self,
        env: &mut Env<'_>,
        id: SnapshotId,
        bytes: &bytes::Bytes,
    ) -> Result<Vec<naru_controller::raft::ControlRecord>, String> {
        let mut records = SnapshotRecords::read(bytes)?;
        let control = std::mem::take(&mut records.control);
        let mut fresh = Controller::new(env.node, std::sync::Arc::default());
        records.replay(&mut fresh, id)?;
        self.journal.install(id, bytes, env.wall())?;
        note!(env, "n{} takes over snapshot {id}", env.node);
        let node = env.node;
        if let Some(judge) = env.judge() {
            judge.installed(node, &fresh);
        }
        let before = std::sync::Arc::clone(&self.image);
        self.committed = fresh;
        let published = self.committed.publish();
        let delta = MetadataDelta::between(&before, &published.image);
        self.publish(env, published.image, delta, Vec::new());
        Ok(control)
    }
}
