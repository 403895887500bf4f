//! A simulated machine with one process: its disk outlives the process.

use crate::broker::{self, Broker, State};
use crate::disk::NodeDisk;
use crate::env::{Emit, Env, NodeEvent};
use crate::message::{Request, Rpc, Ticket};
use crate::metadata::{Input, MetadataLoop};
use crate::trace::note;
use naru_controller::raft::Unreachable;

/// How long moving leaders away may take when a node stops.
const LEAVE_MAX_MS: i64 = 4000;
/// What another voter gets to take the lead of the quorum.
const RESIGN_MS: i64 = 200;

/// See the module.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) id: i32,
    pub(crate) disk: NodeDisk,
    /// Counts processes.
    pub(crate) life: u32,
    pub(crate) process: Option<Process>,
    /// Without power the machine does not even refuse connections.
    pub(crate) powered: bool,
    pub(crate) skew: i64,
    pub(crate) paused_until: i64,
    pub(crate) next_rpc: Rpc,
    /// Its disk has no space left, or little.
    pub(crate) full: bool,
    /// Its disk does not sync.
    pub(crate) broken: bool,
}

/// What runs on it.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) metadata: MetadataLoop,
    pub(crate) broker: Broker,
    /// The registration that heartbeats are sent for.
    beating: i64,
    resigned: bool,
}

impl Process {
    /// Starts from what is on the disk.
    pub(crate) fn start(env: &mut Env<'_>) -> Result<Self, String> {
        let clean = broker::take_clean_mark(env.disk);
        let metadata = MetadataLoop::start(env, clean.is_some())?;
        let broker = Broker::start(env, clean);
        let mut process = Self { metadata, broker, beating: -1, resigned: false };
        process.progress(env)?;
        Ok(process)
    }

    /// Lets something happen. An error ends the process.
    pub(crate) fn handle(&mut self, env: &mut Env<'_>, event: NodeEvent) -> Result<(), String> {
        self.broker.metadata_current_at = self.metadata.quorum.current_at(env.steady());
        self.broker.published = std::sync::Arc::clone(&self.metadata.image);
        match event {
            NodeEvent::Request { ticket, request } => match *request {
                Request::Raft(request) => {
                    let request = Box::new(request);
                    self.metadata.tell(env, Input::Raft { ticket, request });
                }
                Request::Controller(request) => {
                    let request = Box::new(request);
                    self.metadata.tell(env, Input::Decide { ticket, request });
                }
                request => self.broker.handle_request(env, ticket, request),
            },
            NodeEvent::Response { rpc, result } => match self.metadata.sent.remove(&rpc) {
                Some(request_id) => {
                    let result = match result.map(|response| *response) {
                        Ok(crate::message::Response::Raft(response)) => Ok(response),
                        Ok(_) | Err(_) => Err(Unreachable),
                    };
                    let result = Box::new(result);
                    self.metadata.tell(env, Input::Response { request_id, result });
                }
                None => self.broker.handle_response(env, rpc, result.map(|response| *response)),
            },
            NodeEvent::MetadataTurn => self.metadata.turn(env)?,
            NodeEvent::MetadataSynced => self.metadata.synced(env)?,
            NodeEvent::PeerGone { id } => self.metadata.tell(env, Input::PeerGone { id }),
            NodeEvent::BrokerGone { id, epoch } => {
                self.metadata.lost.insert(id, epoch);
                self.metadata.tell(env, Input::BrokerGone { id, epoch });
            }
            NodeEvent::React => {
                if self.broker.open
                    && let Some(reaction) = self.metadata.reactions.pop_front()
                {
                    self.broker.react(env, reaction);
                }
            }
            NodeEvent::Registration { turn } => {
                let end = self.metadata.image.end_offset();
                if let Some((rpc, Request::Controller(request))) =
                    self.broker.registration_due(env, turn, end)
                {
                    let ticket = Ticket { connection: None, rpc };
                    let request = Box::new(request);
                    self.metadata.tell(env, Input::Decide { ticket, request });
                }
            }
            NodeEvent::Stop => {
                if !self.broker.stopping {
                    note!(env, "n{} stops", env.node);
                    self.broker.stopping = true;
                    self.broker.wish_to_stop(env);
                    env.later(LEAVE_MAX_MS, NodeEvent::StopNow);
                }
            }
            NodeEvent::StopNow => {
                if !self.resigned {
                    self.resign(env);
                } else {
                    env.emit(Emit::Exit { why: "closed" });
                }
            }
            other => self.broker.handle(env, &other),
        }
        self.progress(env)
    }

    fn resign(&mut self, env: &mut Env<'_>) {
        self.resigned = true;
        let leads = self.metadata.leadership.leader == Some(env.node);
        let alone = self.metadata.leadership.voters < 2;
        if leads && !alone {
            self.metadata.tell(env, Input::Resign);
            env.later(RESIGN_MS, NodeEvent::StopNow);
        } else {
            env.emit(Emit::Exit { why: "closed" });
        }
    }

    /// The steps of starting and stopping that have become possible.
    fn progress(&mut self, env: &mut Env<'_>) -> Result<(), String> {
        self.broker.learn_leadership(env, self.metadata.leadership);
        let epoch = self.broker.registration.epoch;
        let registered = self.broker.registration.state != State::Unknown;
        let known = self.metadata.image.broker(env.node).is_some_and(|b| b.epoch >= epoch);
        if registered && known && self.beating != epoch {
            self.beating = epoch;
            note!(env, "n{} has read of its registration {epoch}", env.node);
            self.broker.begin_heartbeats(env);
            if !self.broker.open {
                let image = std::sync::Arc::clone(&self.metadata.image);
                self.broker.open_known(env, &image)?;
                // What was published before is in the image that was opened.
                let end = image.end_offset();
                self.metadata.reactions.retain(|reaction| reaction.image.end_offset() > end);
                self.broker.wish_to_serve(env);
            }
        }
        let serving = self.broker.registration.state == State::Serving;
        if self.broker.open && !self.broker.serving && serving {
            self.broker.serve(env);
        }
        if self.broker.stopping && self.broker.registration.state == State::MayGo && !self.resigned
        {
            self.resign(env);
        }
        Ok(())
    }

    /// Ends cleanly: everything is closed and marked.
    pub(crate) fn close(self, env: &mut Env<'_>) {
        let closed = self.metadata.close().is_ok();
        self.broker.close(env, closed);
    }
}
