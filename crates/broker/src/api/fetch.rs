//! Fetch (key 1, v4–v18). KIP-74, 98, 207, 227, 320, 392, 516, 595.
//!
//! v4 isolation level, aborted transactions · v7 sessions · v9 leader epochs · v11 rack · v12 flexible, diverging epochs
//! · v13 topic ids · v15 replica state · v16 leader hints.
//! Record bytes never pass through here: the answer names ranges of log files.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use naru_model::config::ReplicaSelector;
use naru_model::{BrokerEpoch, BrokerId, ErrorCode};
use naru_protocol::messages::fetch_request::{FetchRequest, FetchTopic};
use naru_protocol::messages::fetch_response::{
    AbortedTransaction, EpochEndOffset, FetchResponse, FetchableTopicResponse, LeaderIdAndEpoch,
    NodeEndpoint, PartitionData,
};
use naru_protocol::{Records, frame};
use naru_replication::PartitionKey;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::lookup;
use crate::dispatch::{RequestContext, decode};
use crate::fetch_session::{
    BegunSession, FetchTarget, Session, SessionAsk, SessionPlan, TopicKey, Wanted, lock,
};
use crate::listener::{Answer, FileRange, Outgoing};
use crate::partition::{Feed, Partition, PartitionRead, ReadAs};
use crate::security::{Operation, Resource};

/// First version that names topics by id.
const TOPIC_IDS_SINCE: i16 = 13;
/// First version whose consumers may read from followers.
const RACKS_SINCE: i16 = 11;
/// First version that is told where the leader is.
const LEADERS_SINCE: i16 = 16;
/// Ranges up to this size are read into the answer: one system call less than sendfile.
const INLINE_MAX: usize = 8 << 10;
/// `isolation.level=read_committed`.
const READ_COMMITTED: i8 = 1;
/// A divergence that is not known.
const NO_EPOCH: (i32, i64) = (-1, -1);

pub(crate) fn handle(context: RequestContext, body: &Bytes) -> Answer {
    let request: FetchRequest = match decode(&context, body) {
        Ok(request) => request,
        Err(refusal) => return refusal,
    };
    let mut fetch = match Fetch::plan(context, &request) {
        Ok(fetch) => fetch,
        Err((context, error)) => {
            let response = FetchResponse { error_code: error.code(), ..Default::default() };
            return Answer::Send(context.frame(response));
        }
    };
    let attempt = fetch.attempt(Look::First);
    if fetch.is_enough(&attempt) || fetch.wait_max.is_zero() {
        return Answer::Send(fetch.answer(attempt));
    }
    if let Some(feed) = fetch.feed.clone() {
        return Answer::Later(Box::pin(fetch.wait_for_feed(feed)));
    }
    let partitions = attempt.reads.into_iter().filter_map(|(_, partition, _)| partition).collect();
    Answer::Later(Box::pin(fetch.wait(partitions)))
}

/// One fetch request being served.
struct Fetch {
    context: RequestContext,
    session: Option<(Arc<Mutex<Session>>, bool)>,
    /// The session that it has begun, until an answer tells of it.
    begun: BegunSession,
    targets: Vec<FetchTarget>,
    bytes_max: usize,
    bytes_min: usize,
    wait_max: Duration,
    read_as: ReadAs,
    access: Access,
    /// Where a follower's session hears of news, so that not every partition is looked at.
    feed: Option<Arc<Feed>>,
    /// The consumer's rack, if it should read from a replica there.
    rack: Option<String>,
}

/// What the sender may read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    Everything,
    Nothing,
    /// What each topic's ACLs say.
    Judged,
}

/// How often the partitions have been looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    First,
    Again,
}

/// What one look at the partitions found.
struct Attempt {
    reads: Vec<(FetchTarget, Option<Arc<Partition>>, PartitionRead)>,
    bytes: usize,
    /// Something must be told at once: an error, or that the client's log has diverged.
    urgent: bool,
}

impl Fetch {
    fn plan(
        context: RequestContext,
        request: &FetchRequest,
    ) -> Result<Self, (RequestContext, ErrorCode)> {
        let by_id = context.version >= TOPIC_IDS_SINCE;
        let named = targets(request, by_id);
        let replica = request.replica_id.max(request.replica_state.replica_id);
        let ask = SessionAsk {
            of_follower: replica >= 0,
            id: request.session_id,
            epoch: request.session_epoch,
            uses_topic_ids: by_id,
        };
        let node = &context.node;
        let forgotten = forgotten(request, by_id);
        let new_id = i32::try_from(node.random() >> 97).unwrap_or(1).max(1);
        let plan = node.fetch_sessions().plan(ask, &named, &forgotten, node.now(), new_id);
        let begun = match &plan {
            Ok(SessionPlan::Session { full: true, .. }) => {
                BegunSession::new(node.fetch_sessions(), new_id)
            }
            _ => BegunSession::none(),
        };
        let (session, feed, targets) = match plan {
            Ok(SessionPlan::Sessionless) => (None, None, named),
            Ok(SessionPlan::Session { session, full }) => {
                let mut held = lock(&session);
                let feed = (replica >= 0 && by_id).then(|| held.feed());
                if let (Some(feed), false) = (&feed, full) {
                    feed.renew();
                }
                let targets = match feed {
                    // What has waited longest comes first, what has just been served last.
                    Some(_) if !full && !held.is_full_look_due(node.now()) => {
                        once([held.changed(), named].concat())
                    }
                    _ => held.targets(),
                };
                drop(held);
                (Some((session, full)), feed, targets)
            }
            Err(error) => return Err((context, error)),
        };
        let size = |bytes: i32| usize::try_from(bytes).unwrap_or(0);
        let read_as = if replica >= 0 {
            let epoch = request.replica_state.replica_epoch;
            let broker_epoch = (epoch >= 0).then_some(BrokerEpoch(epoch));
            ReadAs::Follower { replica: BrokerId(replica), broker_epoch }
        } else {
            ReadAs::Consumer {
                from_follower: context.version >= RACKS_SINCE,
                uncommitted: request.isolation_level != READ_COMMITTED,
            }
        };
        let access = match read_as {
            _ if !context.is_judged() => Access::Everything,
            ReadAs::Consumer { .. } => Access::Judged,
            ReadAs::Follower { .. } if context.may(Operation::ClusterAction, Resource::Cluster) => {
                Access::Everything
            }
            ReadAs::Follower { .. } => Access::Nothing,
        };
        let node_max = match read_as {
            ReadAs::Consumer { .. } => {
                size(node.config().fetch.max_bytes).min(node.quotas().fetch_max(context.who()))
            }
            ReadAs::Follower { .. } => usize::MAX,
        };
        let sends_away = node.config().replication.selector == ReplicaSelector::RackAware
            && matches!(read_as, ReadAs::Consumer { from_follower: true, .. })
            && node.replication().knows_rack(&request.rack_id);
        let wait_max = u64::try_from(request.max_wait_ms).unwrap_or(0);
        Ok(Self {
            session,
            begun,
            targets,
            feed,
            bytes_max: size(request.max_bytes).min(node_max),
            bytes_min: size(request.min_bytes).min(node_max),
            wait_max: Duration::from_millis(wait_max),
            read_as,
            access,
            rack: sends_away.then(|| request.rack_id.clone()),
            context,
        })
    }

    fn attempt(&mut self, look: Look) -> Attempt {
        if look == Look::Again {
            self.take_news();
        }
        let mut attempt =
            Attempt { reads: Vec::with_capacity(self.targets.len()), bytes: 0, urgent: false };
        let mut left = self.bytes_max;
        let node = &self.context.node;
        for target in &self.targets {
            let found = match &target.topic {
                _ if !self.may_read(&target.topic, look) => {
                    Err(ErrorCode::TopicAuthorizationFailed)
                }
                TopicKey::Name(name) => lookup::by_name(node, name, target.wanted.partition),
                TopicKey::Id(id) => lookup::by_id(node, *id, target.wanted.partition),
            };
            let (partition, read) = match found {
                Ok(partition) => {
                    let first = attempt.bytes == 0;
                    let mut read = self.read(&partition, target, left, first, look);
                    if read.diverging == Some(NO_EPOCH) {
                        // An epoch that this log never had tells nothing of where to go on.
                        read = PartitionRead::error(ErrorCode::OffsetOutOfRange);
                    }
                    (Some(partition), read)
                }
                Err(error) => (None, PartitionRead::error(error)),
            };
            left = left.saturating_sub(read.len());
            attempt.bytes += read.len();
            attempt.urgent |= read.error != ErrorCode::None
                || read.diverging.is_some()
                || read.preferred.is_some();
            attempt.reads.push((target.clone(), partition, read));
        }
        attempt
    }

    /// Whether the sender may read a topic. One that is not there by its id is refused for that.
    fn may_read(&self, topic: &TopicKey, look: Look) -> bool {
        let may = |name: &str| match look {
            Look::First => self.context.may(Operation::Read, Resource::Topic(name)),
            Look::Again => self.context.may_see(Operation::Read, Resource::Topic(name)),
        };
        match (self.access, topic) {
            (Access::Everything, _) => true,
            (Access::Nothing, _) => false,
            (Access::Judged, TopicKey::Name(name)) => may(name),
            (Access::Judged, TopicKey::Id(id)) => {
                self.context.node.image().topic_by_id(*id).is_none_or(|topic| may(&topic.name))
            }
        }
    }

    /// Adds the partitions to be looked at that the feed has news of.
    fn take_news(&mut self) {
        if let (Some(_), Some((session, _))) = (&self.feed, &self.session) {
            let changed = lock(session).changed();
            if !changed.is_empty() {
                self.targets.extend(changed);
                self.targets = once(std::mem::take(&mut self.targets));
            }
        }
    }

    fn read(
        &self,
        partition: &Arc<Partition>,
        target: &FetchTarget,
        left: usize,
        first: bool,
        look: Look,
    ) -> PartitionRead {
        let wanted = &target.wanted;
        if let (Some(feed), ReadAs::Follower { replica, .. }) = (&self.feed, self.read_as) {
            // Subscribed first, looked second: what comes in between is heard of.
            partition.subscribe(replica, feed);
        }
        let leader_end = partition.log_end();
        let preferred = self.rack.as_ref().and_then(|rack| {
            partition
                .role()
                .leads
                .then(|| partition.preferred_replica(rack, wanted.fetch_offset))?
        });
        let held_back = match self.read_as {
            ReadAs::Follower { replica, .. } => partition.holds_back(replica),
            ReadAs::Consumer { .. } => false,
        };
        // Who is sent away or held back gets no records here.
        let nothing = preferred.is_some() || held_back;
        let left = if nothing { 0 } else { left };
        let mut read = partition.read(wanted, self.read_as, left, first && !nothing);
        if read.error == ErrorCode::None && read.diverging.is_none() {
            read.preferred = preferred;
            if let ReadAs::Follower { replica, broker_epoch } = self.read_as
                && look == Look::First
            {
                partition.note_fetch(wanted, replica, broker_epoch, leader_end);
                read.high_watermark = partition.high_watermark().0;
            }
        }
        read
    }

    fn is_enough(&self, attempt: &Attempt) -> bool {
        let nothing_asked = self.targets.is_empty() && self.feed.is_none();
        attempt.urgent || nothing_asked || attempt.bytes >= self.bytes_min
    }

    /// Waits for news of the partitions that the first look found.
    async fn wait(mut self, partitions: Vec<Arc<Partition>>) -> Answer {
        let deadline = Instant::now() + self.wait_max;
        let mut stop = self.context.node.stopping();
        let news = Arc::new(Notify::new());
        loop {
            // Parked first, looked second: what arrives in between wakes this fetch.
            for partition in &partitions {
                match self.read_as {
                    ReadAs::Consumer { .. } => partition.park_consumer(&news),
                    ReadAs::Follower { .. } => partition.park_follower(&news),
                }
            }
            let attempt = self.attempt(Look::Again);
            if self.is_enough(&attempt) {
                return Answer::Send(self.answer(attempt));
            }
            let woken = tokio::select! {
                () = news.notified() => true,
                () = tokio::time::sleep_until(deadline) => false,
                _ = stop.wait_for(|stopping| *stopping) => false,
            };
            if !woken {
                let attempt = self.attempt(Look::Again);
                return Answer::Send(self.answer(attempt));
            }
        }
    }

    /// Waits for news of any partition of a follower's session.
    async fn wait_for_feed(mut self, feed: Arc<Feed>) -> Answer {
        let deadline = Instant::now() + self.wait_max;
        let mut stop = self.context.node.stopping();
        loop {
            let woken = tokio::select! {
                () = feed.told() => true,
                () = tokio::time::sleep_until(deadline) => false,
                _ = stop.wait_for(|stopping| *stopping) => false,
            };
            let attempt = self.attempt(Look::Again);
            if !woken || self.is_enough(&attempt) {
                return Answer::Send(self.answer(attempt));
            }
        }
    }

    /// Has a partition looked at again with the follower's next fetch, unless there is nothing
    /// more to tell of it.
    fn look_again(
        &self,
        target: &FetchTarget,
        partition: Option<&Partition>,
        read: &PartitionRead,
    ) {
        let (Some(feed), TopicKey::Id(topic)) = (&self.feed, &target.topic) else { return };
        let is_behind = partition.is_none_or(|one| one.log_end().0 > target.wanted.fetch_offset);
        if read.error != ErrorCode::None || read.diverging.is_some() || is_behind {
            feed.note(PartitionKey { topic: *topic, partition: target.wanted.partition });
        }
    }

    /// What the client is told that has fetched too much: to ask again later.
    fn throttled(&self, throttle_ms: u32) -> Outgoing {
        let mut response = FetchResponse::default();
        // Nobody is told of one that begins.
        if let Some((session, false)) = &self.session {
            response.session_id = lock(session).id();
        }
        self.context.finish(response, throttle_ms)
    }

    fn answer(&mut self, attempt: Attempt) -> Outgoing {
        let mut throttle_ms = 0;
        if let ReadAs::Consumer { .. } = self.read_as {
            let (node, who) = (&self.context.node, self.context.who());
            let fetched = node.quotas().fetched(who, attempt.bytes);
            if !fetched.send {
                return self.throttled(fetched.throttle_ms);
            }
            throttle_ms = fetched.throttle_ms;
            if let Some(metered) = &self.context.metered {
                throttle_ms = throttle_ms.max(metered.throttle_ms());
            }
        }
        self.begun.tell();
        let mut response = FetchResponse {
            throttle_time_ms: i32::try_from(throttle_ms).unwrap_or(i32::MAX),
            ..FetchResponse::default()
        };
        let mut session = self.session.as_ref().map(|(session, full)| (lock(session), *full));
        if let Some((session, _)) = &session {
            response.session_id = session.id();
        }
        let mut served = Vec::new();
        let mut ranges = Vec::new();
        for (target, partition, read) in attempt.reads {
            let has_records = read.len() > 0;
            self.look_again(&target, partition.as_deref(), &read);
            if let Some((session, full)) = &mut session {
                let is_error = read.error != ErrorCode::None;
                let told = session.tell(
                    &target,
                    read.high_watermark,
                    read.log_start,
                    has_records,
                    is_error,
                );
                let is_news = read.diverging.is_some() || read.preferred.is_some();
                if !told && !*full && !is_news {
                    continue;
                }
            }
            if let Some(partition) = partition {
                let metrics = partition.metrics();
                match self.read_as {
                    ReadAs::Consumer { .. } => {
                        metrics.bytes_out.add(read.len() as u64);
                        metrics.total_fetch_requests.add(1);
                    }
                    ReadAs::Follower { .. } => {
                        metrics.replication_bytes_out.add(read.len() as u64);
                        partition.note_sent(read.len());
                    }
                }
            }
            if has_records {
                served.push((target.topic.clone(), target.wanted.partition));
            }
            let data = self.partition_data(&target, read, &mut ranges);
            push(&mut response.responses, target.topic, data);
        }
        if let Some((session, _)) = &mut session
            && self.feed.is_none()
        {
            session.rotate(&served);
        }
        self.name_leaders(&mut response);
        let context = &self.context;
        let writer =
            frame::response(&response, context.api, context.version, context.correlation_id);
        Outgoing { throttle_ms, ..Outgoing::with_ranges(writer, ranges) }
    }

    /// Adds where the leaders are that the answer names.
    fn name_leaders(&self, response: &mut FetchResponse) {
        let partitions = response.responses.iter().flat_map(|topic| &topic.partitions);
        let ids = partitions.map(|data| data.current_leader.leader_id).filter(|id| *id >= 0);
        let mut ids = ids.peekable();
        if ids.peek().is_none() {
            return;
        }
        let addresses = lookup::addresses(&self.context, ids).into_iter();
        response.node_endpoints = addresses
            .map(|at| NodeEndpoint { node_id: at.id, host: at.host, port: at.port, rack: at.rack })
            .collect();
    }

    fn partition_data(
        &self,
        target: &FetchTarget,
        read: PartitionRead,
        ranges: &mut Vec<FileRange>,
    ) -> PartitionData {
        let aborted = read.aborted.map(|aborted| {
            let told = aborted.iter().map(|txn| AbortedTransaction {
                producer_id: txn.producer_id.0,
                first_offset: txn.first_offset.0,
            });
            told.collect()
        });
        let mut data = PartitionData {
            partition_index: target.wanted.partition,
            error_code: read.error.code(),
            high_watermark: read.high_watermark,
            last_stable_offset: read.last_stable,
            log_start_offset: read.log_start,
            // Kafka leaves the list empty, not absent, where it knows no such partition.
            aborted_transactions: aborted.or_else(|| is_unknown(read.error).then(Vec::new)),
            records: Records::Inline(Bytes::new()),
            ..Default::default()
        };
        if let Some((epoch, end_offset)) = read.diverging {
            data.diverging_epoch = EpochEndOffset { epoch, end_offset };
        }
        if self.context.version >= LEADERS_SINCE && lookup::is_wrong_leader(read.error) {
            let (node, index) = (&self.context.node, target.wanted.partition);
            let (leader_id, leader_epoch) = lookup::current_leader(node, &target.topic, index);
            data.current_leader = LeaderIdAndEpoch { leader_id, leader_epoch };
        }
        if let Some(preferred) = read.preferred {
            data.preferred_read_replica = preferred.0;
        }
        match read.range {
            Some(range) if range.len > INLINE_MAX => {
                data.records = Records::External { len: range.len };
                ranges.push(range);
            }
            Some(range) => match inline(&range) {
                Ok(bytes) => data.records = Records::Inline(bytes),
                Err(error) => {
                    tracing::error!(%error, partition = target.wanted.partition, "read failed");
                    data.error_code = ErrorCode::KafkaStorageError.code();
                }
            },
            None => {}
        }
        data
    }
}

fn is_unknown(error: ErrorCode) -> bool {
    matches!(
        error,
        ErrorCode::UnknownTopicOrPartition
            | ErrorCode::UnknownTopicId
            | ErrorCode::InconsistentTopicId
            | ErrorCode::TopicAuthorizationFailed
    )
}

fn inline(range: &FileRange) -> std::io::Result<Bytes> {
    let mut bytes = vec![0; range.len];
    range.file.read_exact_at(&mut bytes, range.position)?;
    Ok(bytes.into())
}

fn push(responses: &mut Vec<FetchableTopicResponse>, topic: TopicKey, data: PartitionData) {
    let same = |last: &FetchableTopicResponse| match &topic {
        TopicKey::Name(name) => last.topic == *name,
        TopicKey::Id(id) => last.topic_id == *id,
    };
    match responses.last_mut() {
        Some(last) if same(last) => last.partitions.push(data),
        _ => {
            let mut topic_response =
                FetchableTopicResponse { partitions: vec![data], ..Default::default() };
            match topic {
                TopicKey::Name(name) => topic_response.topic = name,
                TopicKey::Id(id) => topic_response.topic_id = id,
            }
            responses.push(topic_response);
        }
    }
}

/// Each target once, in the order of first mention; what is said last counts.
fn once(targets: Vec<FetchTarget>) -> Vec<FetchTarget> {
    if targets.len() <= 1 {
        return targets;
    }
    let mut seen: HashMap<(TopicKey, i32), usize> = HashMap::with_capacity(targets.len());
    let mut unique: Vec<FetchTarget> = Vec::with_capacity(targets.len());
    for target in targets {
        match seen.entry((target.topic.clone(), target.wanted.partition)) {
            Entry::Occupied(at) => unique[*at.get()] = target,
            Entry::Vacant(place) => {
                place.insert(unique.len());
                unique.push(target);
            }
        }
    }
    unique
}

/// The partitions a request names, each once, in order; of several mentions the last counts.
fn targets(request: &FetchRequest, by_id: bool) -> Vec<FetchTarget> {
    let mut seen: HashMap<(TopicKey, i32), usize> = HashMap::new();
    let mut targets: Vec<FetchTarget> = Vec::new();
    for topic in &request.topics {
        for partition in &topic.partitions {
            let topic = topic_key(topic, by_id);
            let many = request.topics.len() > 1 || request.topics[0].partitions.len() > 1;
            let wanted = Wanted {
                partition: partition.partition,
                current_leader_epoch: partition.current_leader_epoch,
                fetch_offset: partition.fetch_offset,
                last_fetched_epoch: partition.last_fetched_epoch,
                log_start: partition.log_start_offset,
                bytes_max: partition.partition_max_bytes,
            };
            if many {
                match seen.entry((topic.clone(), partition.partition)) {
                    Entry::Occupied(at) => {
                        targets[*at.get()].wanted = wanted;
                        continue;
                    }
                    Entry::Vacant(place) => {
                        place.insert(targets.len());
                    }
                }
            }
            targets.push(FetchTarget { topic, wanted });
        }
    }
    targets
}

fn topic_key(topic: &FetchTopic, by_id: bool) -> TopicKey {
    if by_id { TopicKey::Id(topic.topic_id) } else { TopicKey::Name(topic.topic.clone()) }
}

fn forgotten(request: &FetchRequest, by_id: bool) -> Vec<(TopicKey, i32)> {
    let mut forgotten = Vec::new();
    for topic in &request.forgotten_topics_data {
        let key =
            if by_id { TopicKey::Id(topic.topic_id) } else { TopicKey::Name(topic.topic.clone()) };
        forgotten.extend(topic.partitions.iter().map(|partition| (key.clone(), *partition)));
    }
    forgotten
}
