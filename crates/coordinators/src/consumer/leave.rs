//! Members that go: by their own word, by their session's end, or because they do not give up
//! what they must.

use std::sync::Arc;

use naru_protocol::messages::consumer_group_heartbeat_request::ConsumerGroupHeartbeatRequest;

use super::assignment::Owned;
use super::error::ConsumerError;
use super::facts::ConsumerFact;
use super::group::ConsumerGroup;
use super::heartbeat::{check_instance, remove};
use super::member::Progress;
use super::target::{Change, Scope};
use super::validate::LEAVE_STATIC;

/// How a member leaves.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Leaving {
    ForGood(Arc<str>),
    /// A static member that may be back before its session ends.
    ForAWhile(Arc<str>),
}

/// Who leaves by this heartbeat, and how.
pub(super) fn leaving(
    group: &ConsumerGroup,
    request: &ConsumerGroupHeartbeatRequest,
) -> Result<Leaving, ConsumerError> {
    let id = request.member_id.as_str();
    let Some(instance) = request.instance_id.as_deref() else {
        let member = group.member(id);
        let member = member.ok_or_else(|| ConsumerError::unknown_member(id, &group.id))?;
        return Ok(Leaving::ForGood(Arc::clone(&member.id)));
    };
    let owner = group.static_member(instance);
    let owner = owner.ok_or_else(|| ConsumerError::UnknownInstanceId(instance.to_owned()))?;
    check_instance(owner, id, instance)?;
    let id = Arc::clone(&owner.id);
    Ok(if request.member_epoch == LEAVE_STATIC {
        Leaving::ForAWhile(id)
    } else {
        Leaving::ForGood(id)
    })
}

/// A static member says that it will be back: it keeps what it has.
pub(super) fn leave_for_a_while(change: &mut Change<'_>, id: &Arc<str>) {
    let Some(member) = change.group.member(id) else { return };
    let progress = Progress {
        epoch: LEAVE_STATIC,
        pending_revocation: Owned::new(),
        ..member.progress.clone()
    };
    change.apply(ConsumerFact::Current(Arc::clone(id), Some(Box::new(progress))));
}

/// Takes members away and begins the group's next epoch without them.
pub(super) fn fence(scope: &mut Scope<'_>, change: &mut Change<'_>, members: &[Arc<str>]) {
    for id in members {
        let regex = change.group.member(id).map(|member| member.profile.regex.clone());
        remove(change, id);
        if let Some(regex) = regex.filter(|regex| !regex.is_empty())
            && change.group.members_with_pattern(&regex) == 0
            && change.group.resolved(&regex).is_some()
        {
            change.apply(ConsumerFact::Regex(regex.into(), None));
        }
    }
    scope.next_epoch(change, true);
}
