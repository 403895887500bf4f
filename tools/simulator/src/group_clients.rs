//! Who commits offsets, and who looks them up again.
//!
//! One client commits ever higher offsets, one at a time. When it does not know what became of a
//! commit it goes on with another partition, as the request may arrive much later and be last.

use std::collections::BTreeMap;

use naru_controller::topic_name::CONSUMER_OFFSETS;
use naru_coordinators::{ClientContext, Command, Reply};
use naru_model::ErrorCode;
use naru_protocol::messages::offset_commit_request::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use naru_protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopics,
};

use crate::broker::committed_offset;
use crate::clients::ClientEvent;
use crate::message::{Actor, FIRST_CLIENT, Failed, Lane, Request, Response, Rpc};
use crate::settings::times;
use crate::trace::note;
use crate::txn_clients;
use crate::world::{Happening, World};

const GROUP: &str = "group";
const TOPIC: &str = "topic";
const PAUSE_MAX_MS: i64 = 120;
/// The one that commits; those after it look.
const COMMITTER: Actor = FIRST_CLIENT + 70;
const LOOKERS: i32 = 2;

#[derive(Debug, Clone, Copy)]
enum Asked {
    Commit {
        partition: i32,
        offset: i64,
    },
    /// The same of offsets that transactions have committed.
    LookStable {
        producer: i64,
        least: i64,
        of: i32,
        at: i64,
    },
    /// What was known to be committed when it was asked, who was asked, and when.
    Look {
        partition: i32,
        least: i64,
        of: i32,
        at: i64,
    },
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct GroupClients {
    asked: BTreeMap<Actor, (Rpc, Asked)>,
    next_rpc: Rpc,
    /// Where the committer is.
    partition: i32,
    offset: i64,
    /// The highest offset that anybody was told of, by partition.
    known: BTreeMap<i32, i64>,
}

impl GroupClients {
    pub(crate) fn is_one(actor: Actor) -> bool {
        (COMMITTER..=COMMITTER + LOOKERS).contains(&actor)
    }

    pub(crate) fn actors() -> impl Iterator<Item = Actor> {
        COMMITTER..=COMMITTER + LOOKERS
    }
}

impl World {
    pub(crate) fn use_group(&mut self, actor: Actor) {
        let pause = self.random.between(5, PAUSE_MAX_MS);
        let idle = actor == COMMITTER && !self.clients.writing;
        let Some(leader) = self.coordinator_for(actor, CONSUMER_OFFSETS).filter(|_| !idle) else {
            return self.after(pause, Happening::Client(actor, ClientEvent::Go));
        };
        let ids = self.txn_clients.ids();
        let producer = self.random.pick(&ids).filter(|_| self.random.percent(40));
        let groups = &mut self.group_clients;
        let (asked, command) = if actor == COMMITTER {
            let (partition, offset) = (groups.partition, groups.offset + 1);
            groups.offset = offset;
            (Asked::Commit { partition, offset }, commit(partition, offset))
        } else if let Some(producer) = producer {
            let least = self.judge.transactions.promised_offset(producer);
            let partition = i32::try_from(producer).unwrap_or(i32::MAX);
            let asked = Asked::LookStable { producer, least, of: leader, at: self.now };
            (asked, look((txn_clients::GROUP, txn_clients::TOPIC), partition, true))
        } else {
            let partition = groups.partition;
            let least = groups.known.get(&partition).copied().unwrap_or(-1);
            (
                Asked::Look { partition, least, of: leader, at: self.now },
                look((GROUP, TOPIC), partition, false),
            )
        };
        groups.next_rpc += 1;
        let rpc = groups.next_rpc;
        groups.asked.insert(actor, (rpc, asked));
        let request = Box::new(Request::Group(Box::new(command)));
        self.send(actor, 0, leader, Lane::Client, rpc, request, times::CLIENT_TIMEOUT_MS);
    }

    /// The leader of an internal topic's partition, as any running node that can be reached knows
    /// it: it need not be the newest.
    pub(crate) fn coordinator_for(&mut self, actor: Actor, topic: &str) -> Option<i32> {
        let nodes: Vec<i32> = self.running().into_iter().collect();
        let id = self.random.pick(&nodes)?;
        if self.network.cut.contains(&(actor, id)) || self.network.cut.contains(&(id, actor)) {
            return None;
        }
        let image = &self.nodes.get(&id)?.process.as_ref()?.metadata.image;
        let topic = image.topic(topic)?;
        topic.partitions.values().next()?.leader
    }

    pub(crate) fn group_answered(
        &mut self,
        actor: Actor,
        rpc: Rpc,
        result: Result<Box<Response>, Failed>,
    ) {
        let groups = &mut self.group_clients;
        let Some((_, asked)) = groups.asked.get(&actor).filter(|(sent, _)| *sent == rpc).copied()
        else {
            return;
        };
        groups.asked.remove(&actor);
        let pause = self.random.between(5, PAUSE_MAX_MS);
        self.after(pause, Happening::Client(actor, ClientEvent::Go));
        let groups = &mut self.group_clients;
        let reply = match result.map(|response| *response) {
            Ok(Response::Group(reply)) => reply.ok(),
            _ => None,
        };
        match asked {
            Asked::Commit { partition, offset } => {
                let code = match &reply {
                    Some(Reply::OffsetCommit(response)) => response
                        .topics
                        .first()
                        .and_then(|t| t.partitions.first())
                        .map(|p| p.error_code),
                    _ => None,
                };
                if code == Some(ErrorCode::None.code()) {
                    note!(self, "c{actor} has committed {offset} of {partition}");
                    self.judge.met.offsets_committed += 1;
                    let known = self.group_clients.known.entry(partition).or_insert(-1);
                    *known = offset.max(*known);
                } else {
                    groups.partition += 1;
                    groups.offset = 0;
                }
            }
            Asked::LookStable { producer, least, of, at } => {
                let Some(found) = reply.as_ref().and_then(committed_offset) else { return };
                note!(self, "c{actor} finds {found} of the transactions of {producer}");
                self.judge.met.txn_offsets += 1;
                if found < least && !self.judge.may_be_stale(of, at) {
                    let what = format!("producer {producer}: {found}, {least} is promised");
                    self.judge.broken("offsets of committed transactions are there", what);
                }
                self.judge.offset_found(producer, found);
            }
            Asked::Look { partition, least, of, at } => {
                let Some(found) = reply.as_ref().and_then(committed_offset) else { return };
                note!(self, "c{actor} finds {found} of {partition}");
                self.judge.met.offsets_looked_up += 1;
                if found < least && self.judge.may_be_stale(of, at) {
                    self.judge.met.stale_offsets += 1;
                } else if found < least {
                    let what = format!(
                        "partition {partition}: {found} is committed, after {least} was already"
                    );
                    self.judge.broken("committed offsets never go back", what);
                }
                let known = self.group_clients.known.entry(partition).or_insert(-1);
                *known = found.max(*known);
            }
        }
    }
}

fn commit(partition: i32, offset: i64) -> Command {
    let partitions = vec![OffsetCommitRequestPartition {
        partition_index: partition,
        committed_offset: offset,
        ..OffsetCommitRequestPartition::default()
    }];
    let topic = OffsetCommitRequestTopic {
        name: TOPIC.to_owned(),
        partitions,
        ..OffsetCommitRequestTopic::default()
    };
    Command::OffsetCommit {
        context: ClientContext {
            api_version: 9,
            client_id: "sim".to_owned(),
            client_host: "/sim".to_owned(),
            viewer: None,
        },
        request: OffsetCommitRequest {
            group_id: GROUP.to_owned(),
            topics: vec![topic],
            ..OffsetCommitRequest::default()
        },
    }
}

fn look((group, topic): (&str, &str), partition: i32, require_stable: bool) -> Command {
    let topic = OffsetFetchRequestTopics {
        name: topic.to_owned(),
        partition_indexes: vec![partition],
        ..OffsetFetchRequestTopics::default()
    };
    Command::OffsetFetch {
        group: OffsetFetchRequestGroup {
            group_id: group.to_owned(),
            topics: Some(vec![topic]),
            ..OffsetFetchRequestGroup::default()
        },
        require_stable,
    }
}
