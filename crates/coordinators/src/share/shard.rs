//! Share groups in their shard: requests, timers and metadata reach them here, and what they
//! decide is handed to the log.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use naru_model::{ErrorCode, Timestamp, Uuid};
use naru_protocol::messages::alter_share_group_offsets_request::AlterShareGroupOffsetsRequest;
use naru_protocol::messages::delete_share_group_offsets_request::DeleteShareGroupOffsetsRequest;
use naru_protocol::messages::share_group_describe_response::DescribedGroup;
use naru_protocol::messages::share_group_heartbeat_request::ShareGroupHeartbeatRequest;
use naru_protocol::messages::share_group_heartbeat_response::ShareGroupHeartbeatResponse;

use super::admin::{alter_offsets, delete_all, delete_offsets, deleted, forget};
use super::config::{ShareOverrides, ShareSettings};
use super::describe::{describe, unknown_group};
use super::error::ShareGroupError;
use super::group::ShareGroup;
use super::heartbeat::{LEAVE, beat, fence, validate};
use super::target::{Scope, ShareChange};
use crate::change::{Change, Changed};
use crate::command::ClientContext;
use crate::consumer::Topics;
use crate::reply::{Outcome, Reply, ReplyToken};
use crate::shard::GroupShard;
use crate::timers::Timer;

type Decided<R> = Result<(R, Changed<ShareGroup>), ShareGroupError>;

impl GroupShard {
    /// What a share group sets for itself; `None` if nothing.
    pub fn configure_share_group(&mut self, group: &str, own: Option<ShareOverrides>) {
        match own {
            Some(own) => self.share_overrides.insert(group.to_owned(), own),
            None => self.share_overrides.remove(group),
        };
    }

    /// Every share group with its state and its number of members, for metrics.
    pub fn share_groups(&self) -> impl Iterator<Item = (&str, super::ShareGroupState, usize)> {
        self.shares.values().map(|group| (&*group.id, group.state(), group.len()))
    }

    fn share_settings_of(&self, group: &str) -> ShareSettings {
        let own = self.share_overrides.get(group).copied().unwrap_or_default();
        ShareSettings::new(&self.config.share, own)
    }

    /// Topics have changed: groups that subscribe to them look again.
    pub(crate) fn expire_share_metadata(&mut self, changed: &[Arc<str>], racks_too: bool) {
        for group in self.shares.values_mut() {
            group.metadata_expired |=
                racks_too || changed.iter().any(|topic| group.is_subscribed(topic));
        }
    }

    pub(super) fn restart_share_session(
        &mut self,
        now: Timestamp,
        group: &Arc<str>,
        member: &Arc<str>,
    ) {
        let timeout_ms = self.share_settings_of(group).session_timeout_ms;
        // Never for now: a tick that sets it must not find it due.
        let at = Timestamp(now.get().saturating_add(i64::from(timeout_ms.max(1))));
        self.timers.set(session(group, member), at);
    }

    /// Runs a decision on a group that exists. What it refuses leaves no trace.
    fn decide_share<R>(
        &mut self,
        now: Timestamp,
        group: &str,
        act: impl FnOnce(&mut Scope<'_>, &mut ShareChange<'_>) -> Result<R, ShareGroupError>,
    ) -> Decided<R> {
        let settings = self.share_settings_of(group);
        let Some(known) = self.shares.get_mut(group) else {
            return Err(self.no_share_group(group));
        };
        let topics: &dyn Topics = &*self.topics;
        let (config, hashes) = (&self.config.share, &mut self.topic_hashes);
        let loaded_at = self.loaded_at;
        let mut scope = Scope { now, loaded_at, config, settings, topics, hashes };
        Change::run(known, |change| act(&mut scope, change))
    }

    fn no_share_group(&self, group: &str) -> ShareGroupError {
        if self.has_group(group) {
            ShareGroupError::OtherType(group.to_owned())
        } else {
            ShareGroupError::NoGroup(group.to_owned())
        }
    }

    /// Makes sure that there is a share group of this id to decide on.
    fn enter_share(&mut self, group: &str) -> Result<(), ShareGroupError> {
        if self.shares.contains_key(group) {
            return Ok(());
        }
        if self.has_group(group) {
            return Err(ShareGroupError::OtherType(group.to_owned()));
        }
        let id: Arc<str> = group.into();
        self.shares.insert(Arc::clone(&id), ShareGroup::new(id));
        Ok(())
    }

    pub(crate) fn share_heartbeat(
        &mut self,
        now: Timestamp,
        token: ReplyToken,
        context: &ClientContext,
        request: &ShareGroupHeartbeatRequest,
        out: &mut Outcome,
    ) {
        let result = validate(request).and_then(|()| match request.member_epoch {
            LEAVE => self.leave_share_group(now, token, request, out),
            _ => self.beat_share_group(now, token, context, request, out),
        });
        if let Err(error) = result {
            let response = ShareGroupHeartbeatResponse {
                error_code: ErrorCode::from(&error).code(),
                error_message: Some(error.to_string()),
                ..Default::default()
            };
            let reply = Reply::ShareGroupHeartbeat { response, initialization: None };
            out.reply(token, reply);
        }
    }

    fn beat_share_group(
        &mut self,
        now: Timestamp,
        token: ReplyToken,
        context: &ClientContext,
        request: &ShareGroupHeartbeatRequest,
        out: &mut Outcome,
    ) -> Result<(), ShareGroupError> {
        let group = request.group_id.as_str();
        if request.member_epoch == 0 {
            self.enter_share(group)?;
        } else if !self.has_group(group) {
            return Err(ShareGroupError::UnknownGroup(group.to_owned()));
        }
        let decided =
            self.decide_share(now, group, |scope, change| beat(scope, change, context, request));
        let (beaten, changed) = decided.inspect_err(|_| self.drop_if_gone::<ShareGroup>(group))?;
        let Some(id) = self.shares.get(group).map(|known| Arc::clone(&known.id)) else {
            return Ok(());
        };
        self.restart_share_session(now, &id, &beaten.member);
        let (response, initialization) = (beaten.response, beaten.initialization);
        let reply = Reply::ShareGroupHeartbeat { response, initialization };
        self.store_change(now, out, &id, changed, None, Some((token, reply)));
        Ok(())
    }

    fn leave_share_group(
        &mut self,
        now: Timestamp,
        token: ReplyToken,
        request: &ShareGroupHeartbeatRequest,
        out: &mut Outcome,
    ) -> Result<(), ShareGroupError> {
        let group = request.group_id.as_str();
        let known = self.shares.get(group).ok_or_else(|| self.no_share_group(group))?;
        let Some(member) = known.member(&request.member_id) else {
            let (member, group) = (request.member_id.clone(), group.to_owned());
            return Err(ShareGroupError::UnknownMemberId { member, group });
        };
        let (group, member) = (Arc::clone(&known.id), Arc::clone(&member.id));
        let response = ShareGroupHeartbeatResponse {
            member_id: Some(request.member_id.clone()),
            member_epoch: LEAVE,
            ..Default::default()
        };
        let reply = Reply::ShareGroupHeartbeat { response, initialization: None };
        self.fence_share_member(now, &group, &member, Some((token, reply)), out);
        Ok(())
    }

    fn fence_share_member(
        &mut self,
        now: Timestamp,
        group: &Arc<str>,
        member: &Arc<str>,
        answer: Option<(ReplyToken, Reply)>,
        out: &mut Outcome,
    ) {
        self.timers.cancel(&session(group, member));
        let decided = self.decide_share(now, group, |scope, change| {
            fence(scope, change, member);
            Ok(())
        });
        if let Ok(((), changed)) = decided {
            self.store_change(now, out, group, changed, None, answer);
        }
    }

    /// A member has not been heard of for too long.
    pub(crate) fn on_share_session_timeout(
        &mut self,
        now: Timestamp,
        group: &Arc<str>,
        member: &Arc<str>,
        out: &mut Outcome,
    ) {
        if self.shares.get(group).is_some_and(|known| known.member(member).is_some()) {
            self.fence_share_member(now, group, member, None, out);
        }
    }

    pub(crate) fn describe_share_group(&self, group_id: String) -> DescribedGroup {
        match self.shares.get(group_id.as_str()) {
            Some(group) => describe(group, &*self.topics),
            None => {
                let exists = self.has_group(&group_id);
                unknown_group(group_id, exists)
            }
        }
    }

    /// The partitions that share coordinators keep state of for a group.
    pub(crate) fn initialized_partitions(&self, group: &str) -> BTreeMap<Uuid, BTreeSet<i32>> {
        let state = self.shares.get(group).and_then(ShareGroup::state_partitions);
        let kept = state.into_iter().flat_map(|state| &state.initialized);
        kept.map(|(topic, kept)| (*topic, kept.partitions.clone())).collect()
    }

    /// The state of partitions has begun, or has not.
    pub(crate) fn on_share_state_initialized(
        &mut self,
        now: Timestamp,
        token: ReplyToken,
        group: &str,
        partitions: &BTreeSet<(Uuid, i32)>,
        success: bool,
        out: &mut Outcome,
    ) {
        self.note_share_state(now, token, group, out, |scope, change| {
            scope.initialized(change, partitions, success);
        });
    }

    /// The state of topics is deleted.
    pub(crate) fn on_share_state_deleted(
        &mut self,
        now: Timestamp,
        token: ReplyToken,
        group: &str,
        topics: &BTreeSet<Uuid>,
        out: &mut Outcome,
    ) {
        self.note_share_state(now, token, group, out, |_, change| deleted(change, topics));
    }

    fn note_share_state(
        &mut self,
        now: Timestamp,
        token: ReplyToken,
        group: &str,
        out: &mut Outcome,
        note: impl FnOnce(&mut Scope<'_>, &mut ShareChange<'_>),
    ) {
        let decided = self.decide_share(now, group, |scope, change| {
            note(scope, change);
            Ok(Arc::clone(&change.group.id))
        });
        // The group may be gone by now.
        match decided {
            Ok((id, changed)) => {
                self.store_change(now, out, &id, changed, None, Some((token, Reply::Done)));
            }
            Err(_) => out.reply(token, Reply::Done),
        }
    }

    pub(crate) fn alter_share_offsets(
        &mut self,
        now: Timestamp,
        token: ReplyToken,
        request: &AlterShareGroupOffsetsRequest,
        out: &mut Outcome,
    ) {
        let group = request.group_id.as_str();
        let decided = self.enter_share(group).and_then(|()| {
            self.decide_share(now, group, |scope, change| {
                let altered = alter_offsets(scope, change, request)?;
                Ok((Arc::clone(&change.group.id), altered))
            })
        });
        match decided {
            Ok(((id, (response, initialization)), changed)) => {
                let reply = Reply::AlterShareGroupOffsets(Ok((response, initialization)));
                self.store_change(now, out, &id, changed, None, Some((token, reply)));
            }
            Err(error) => {
                let reply = Reply::AlterShareGroupOffsets(Err(refusal(&error)));
                out.reply(token, reply);
            }
        }
        self.drop_if_gone::<ShareGroup>(group);
    }

    pub(crate) fn delete_share_offsets(
        &mut self,
        now: Timestamp,
        token: ReplyToken,
        request: &DeleteShareGroupOffsetsRequest,
        out: &mut Outcome,
    ) {
        let decided = self.decide_share(now, &request.group_id, |scope, change| {
            let deleted = delete_offsets(scope, change, request)?;
            Ok((Arc::clone(&change.group.id), deleted))
        });
        match decided {
            Ok(((id, deleted), changed)) => {
                let reply = Reply::DeleteShareGroupOffsets(Ok(deleted));
                self.store_change(now, out, &id, changed, None, Some((token, reply)));
            }
            Err(error) => {
                let reply = Reply::DeleteShareGroupOffsets(Err(refusal(&error)));
                out.reply(token, reply);
            }
        }
    }

    /// Before a share group is deleted its state is. A group of another kind has none.
    pub(crate) fn prepare_share_deletion(
        &mut self,
        now: Timestamp,
        token: ReplyToken,
        group: &str,
        out: &mut Outcome,
    ) {
        if !self.shares.contains_key(group) {
            return out.reply(token, Reply::StateDeletion(Ok(None)));
        }
        let decided = self.decide_share(now, group, |scope, change| {
            let deletion = delete_all(scope, change)?;
            Ok((Arc::clone(&change.group.id), deletion))
        });
        match decided {
            Ok(((id, deletion), changed)) => {
                let reply = Reply::StateDeletion(Ok(deletion));
                self.store_change(now, out, &id, changed, None, Some((token, reply)));
            }
            Err(error) => {
                out.reply(token, Reply::StateDeletion(Err(ErrorCode::from(&error))));
            }
        }
    }

    /// Share groups forget topics that are gone.
    pub(crate) fn forget_share_topics(
        &mut self,
        now: Timestamp,
        topics: &BTreeSet<Uuid>,
        out: &mut Outcome,
    ) {
        let ids: Vec<Arc<str>> = self.shares.keys().cloned().collect();
        for id in ids {
            let decided = self.decide_share(now, &id, |_, change| {
                forget(change, topics);
                Ok(())
            });
            if let Ok(((), changed)) = decided {
                self.store_change(now, out, &id, changed, None, None);
            }
        }
    }
}

pub(super) fn session(group: &Arc<str>, member: &Arc<str>) -> Timer {
    Timer::ShareSession { group: Arc::clone(group), member: Arc::clone(member) }
}

fn refusal(error: &ShareGroupError) -> (ErrorCode, String) {
    (ErrorCode::from(error), error.to_string())
}
